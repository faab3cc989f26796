"""What people type at a model: summaries, indices, attributes, and PyTorch's habits."""

import copy
import logging
import pickle
import re

import numpy as np
import pytest
from support_processes import interpreter, python

import fastlstm
from fastlstm import GRU, LSTM, Embedding, Graph, LastStep, Linear, Sequential
from fastlstm.training import SGD, Adam, CosineSchedule, ExponentialAverage, RMSprop


def tagger(**options):
    rng = np.random.default_rng(0)
    return Sequential(Embedding(10, 4, rng=rng), LSTM(4, 8, rng=rng, **options), Linear(2 * 8, 3, rng=rng))


class TestSummary:
    def test_by_hand(self):
        summary = tagger(bidirectional=True, batch_first=True).summary()
        assert [row.name for row in summary.layers] == ["0", "1", "2"]
        assert [row.output for row in summary.layers] == ["(B, T, 4)", "(B, T, 16)", "(B, T, 3)"]
        of_lstm = 2 * 32 * (4 + 8)
        assert [row.multiply_adds for row in summary.layers] == [0, of_lstm, 48]
        assert [row.parameters for row in summary.layers] == [40, of_lstm + 4 * 32, 51]
        assert summary.nbytes == 4 * summary.parameters == 4 * tagger(bidirectional=True).num_parameters

    def test_prints_as_a_table(self):
        shown = repr(tagger(bidirectional=True).summary()).splitlines()
        assert shown[0].split("  ")[-1] == "bytes"
        assert len(shown) == 5
        assert len({len(line) for line in shown}) == 1
        assert shown[-1].split()[:2] == ["in", "all"]

    def test_html_has_the_same_cells(self):
        html = tagger(bidirectional=True).summary()._repr_html_()
        assert html.count("<tr>") == 5
        assert "Embedding(10, 4)" in html
        assert "<td" in html
        assert "script" not in html

    @pytest.mark.parametrize(
        ("model", "outputs"),
        [
            (LSTM(3, 4, proj_size=2), ["(T, B, 2)"]),
            (Linear(3, 4), ["(..., 4)"]),
            (Sequential(Linear(3, 4), fastlstm.ReLU()), ["(..., 4)", "(..., 4)"]),
            (Sequential(GRU(3, 4), LastStep()), ["(T, B, 4)", "(B, 4)"]),
            (fastlstm.Conv1d(3, 8, 5), ["(T', B, 8)"]),
            (
                Sequential(fastlstm.Conv1d(3, 8, 3, padding="same"), fastlstm.MaxPool1d(2), LSTM(8, 2)),
                ["(T, B, 8)", "(T', B, 8)", "(T', B, 2)"],
            ),
            (
                Graph({"a": LSTM(3, 4), "b": (fastlstm.Concat(), "a", "x")}, outputs="b"),
                ["(T, B, 4)", "(T, B, 7)"],
            ),
            (Sequential(fastlstm.Dropout(0.5)), ["(..., n)"]),
        ],
        ids=lambda value: None if isinstance(value, list) else type(value).__name__,
    )
    def test_shapes(self, model, outputs):
        assert [row.output for row in model.summary().layers] == outputs

    def test_of_whole_numbers(self):
        small = fastlstm.quantize(LSTM(4, 8, rng=0), "int8").summary()
        assert small.multiply_adds == 32 * 12
        assert small.nbytes == 32 * 12 + 4 * (2 * 32 + 2 * 32)


class TestSequential:
    def test_is_a_list_of_its_layers(self):
        model = tagger(bidirectional=True)
        assert len(model) == 3
        assert list(model) == list(model.layers)
        assert model[1] is model.layers[1]
        assert model[-1] is model.layers[2]
        with pytest.raises(IndexError):
            model[3]

    def test_a_slice_shares_its_layers(self):
        model = tagger(bidirectional=True)
        part = model[:2]
        assert isinstance(part, Sequential)
        assert part[1] is model[1]
        x = np.array([[1, 2, 3]])
        assert np.array_equal(model[2](part(x)), model(x))
        with pytest.raises(ValueError, match="layers: expected at least one"):
            model[3:]

    def test_one_in_the_place_of_a_list_is_told(self):
        with pytest.raises(
            TypeError, match=r"models: expected a list of models, got Sequential: write \[it\]"
        ):
            Adam(tagger(bidirectional=True))


class TestAttributes:
    def test_parameters(self):
        lstm = LSTM(3, 5, 2, bidirectional=True, rng=0)
        assert lstm.weight_hh_l1_reverse is lstm.parameters["weight_hh_l1_reverse"]
        assert set(lstm.parameters) <= set(dir(lstm))
        lstm.update({"bias_ih_l0": np.ones(20)})
        assert (lstm.bias_ih_l0 == 1).all()
        with pytest.raises(ValueError, match="read-only"):
            lstm.bias_ih_l0[0] = 3
        assert tagger(bidirectional=True)[0].weight.shape == (10, 4)

    def test_setting_one_names_the_way(self):
        lstm = LSTM(3, 5, rng=0)
        with pytest.raises(AttributeError, match=re.escape("update({'weight_ih_l0': array})")):
            lstm.weight_ih_l0 = np.zeros((20, 3))
        assert "weight_ih_l0" not in vars(lstm)

    def test_what_is_not_there(self):
        lstm = LSTM(3, 5, rng=0)
        with pytest.raises(AttributeError, match="'LSTM' object has no attribute 'weight_ih_l1'"):
            lstm.weight_ih_l1  # noqa: B018
        assert not hasattr(lstm, "predict")
        with pytest.raises(AttributeError, match=r'double: LSTM has none: astype\("float64"\)'):
            lstm.double()
        with pytest.raises(AttributeError, match="to: Sequential has none: models run on the CPU"):
            tagger(bidirectional=True).to("cuda")

    def test_copies_have_theirs(self):
        lstm = LSTM(3, 5, rng=0)
        for other in (copy.copy(lstm), copy.deepcopy(lstm), pickle.loads(pickle.dumps(lstm))):
            assert np.array_equal(other.weight_ih_l0, lstm.weight_ih_l0)

    def test_eval_and_train(self):
        model = tagger(bidirectional=True)
        assert model.eval() is model
        assert model.train(False) is model
        with pytest.raises(ValueError, match=r"mode: expected False.*forward"):
            model.train()


class TestAstype:
    def test_the_same_numbers(self):
        model = tagger(bidirectional=True)
        x = np.array([[1, 2, 3, 4]])
        double = model.astype("float64")
        assert double(x).dtype == np.float64
        assert double(x) == pytest.approx(model(x), abs=1e-5)
        assert model[1].dtype == np.float32
        back = double.astype(np.float32)
        assert back(x).tobytes() == model(x).tobytes()
        assert repr(back) == repr(model)

    def test_it_trains_apart(self):
        model = LSTM(3, 5, rng=0)
        double = model.astype("float64")
        y, _, tape = double.forward(np.ones((4, 2, 3)))
        Adam([double]).step([tape.backward(y).parameters])
        assert (model.weight_ih_l0 != double.weight_ih_l0).any()
        assert np.array_equal(model.astype("float64").weight_ih_l0, model.weight_ih_l0)

    def test_layers_that_drew_from_one_generator_do_still(self):
        rng = np.random.default_rng(0)
        drops = Sequential(
            fastlstm.Dropout(0.5, rng=rng), LSTM(3, 3, rng=rng), fastlstm.Dropout(0.5, rng=rng)
        )
        first, _, second = drops.astype("float64")
        assert first.generators[0] is second.generators[0]
        assert first.generators[0] is not rng

    @pytest.mark.parametrize("dtype", ["int8", "float16", 3, None])
    def test_no_such_dtype(self, dtype):
        with pytest.raises((TypeError, ValueError), match="dtype: expected"):
            LSTM(3, 5).astype(dtype)

    def test_what_has_no_place_is_refused(self):
        large = Linear(1, 1, dtype="float64").update({"weight": [[1e300]]})
        with pytest.raises(ValueError, match="weight: expected finite"):
            large.astype("float32")
        with pytest.raises(ValueError, match="precision: expected None with dtype='float64'"):
            fastlstm.quantize(LSTM(3, 5, rng=0), "int8").astype("float64")

    @pytest.mark.parametrize("name", ["BatchNorm1d", "GroupNorm", "LayerNorm", "CRF", "AttentionPool"])
    def test_other_layers(self, name):
        arguments = (1, 4) if name == "GroupNorm" else (4,)
        layer = getattr(fastlstm, name)(*arguments).astype("float64")
        assert {array.dtype.name for array in layer.parameters.values()} <= {"float64", "int64"}


class TestReprs:
    def test_optimisers(self):
        model = Linear(3, 2, rng=0)
        assert repr(SGD([model], lr=0.1)) == (
            "SGD([Linear(3, 2)], lr=0.1, momentum=0.0, weight_decay=0.0, nesterov=False)"
        )
        assert "betas=(0.9, 0.999), eps=1e-08" in repr(Adam([model]))
        assert eval(repr(RMSprop([model], alpha=0.5))).alpha == 0.5
        assert "<CosineSchedule of Adam: lr=0.001, " in repr(CosineSchedule(Adam([model]), 9))
        assert repr(ExponentialAverage(model)).endswith("of Linear(3, 2): 0 updates>")

    def test_tapes_and_gradients(self):
        lstm, x = LSTM(3, 5, rng=0), np.ones((7, 2, 3))
        y, _, tape = lstm.forward(x)
        assert repr(tape) == f"<tape of LSTM(3, 5): 7 steps of 2, {tape.nbytes:,} bytes kept>"
        gradients = tape.backward(y)
        assert repr(tape) == "<tape of LSTM(3, 5): 7 steps of 2, used>"
        assert repr(gradients).startswith("<gradients: input (7, 2, 3); parameters weight_ih_l0 (20, 3), ")
        _, tape = Linear(3, 2).forward(x)
        assert repr(tape) == "<tape of a layer: y (7, 2, 2)>"
        model = Sequential(lstm, LastStep())
        assert ": y (2, 5), 1,680 bytes" in repr(model.forward(x)[2])
        assert repr(model.parameters).endswith("0.bias_hh_l0 (20,) parameters>")

    def test_traces(self):
        lstm, x = LSTM(3, 5, rng=0), np.ones((7, 2, 3))
        trace = lstm.trace(x, lengths=[7, 2])
        assert repr(trace) == "<trace of i, f, g, o, c, h at (0, 0): 9 steps of 2>"
        assert repr(trace[0, 0]).startswith("<steps: i (7, 2, 5), f (7, 2, 5)")
        html = trace._repr_html_()
        assert html.count("<tr>") == 7
        real = np.concatenate([trace[0, 0].c[:7, 0], trace[0, 0].c[:2, 1]])
        assert f'<td style="text-align: right">{real.mean():.3f}</td>' in html
        assert lstm.trace(x[:0])._repr_html_().count("<tr>") == 7
        assert fastlstm.SLSTM(3, 4, rng=0).trace(x[:, 0])._repr_html_().count("<tr>") == 10


class TestLogger:
    CONFIGURED = """
import logging, sys
logging.basicConfig(level="DEBUG", stream=sys.stdout, format="%(name)s %(levelname)s %(message)s")
"""

    def test_tells_what_is_chosen(self):
        told = python(self.CONFIGURED + "import fastlstm\nfastlstm.set_num_threads(10**6)")
        assert re.search(
            r"^fastlstm INFO instruction set \w+, up to \d+ threads, int8 by ", told, re.MULTILINE
        )
        assert re.search(r"^fastlstm WARNING 1000000 threads were asked for", told, re.MULTILINE)

    def test_tells_what_falls_back(self):
        told = python(self.CONFIGURED + "import fastlstm", FASTLSTM_ISA="generic")
        assert "fastlstm WARNING generic: plain C, no vector instructions of its own" in told

    def test_is_silent_unless_asked(self):
        run = interpreter("import fastlstm; fastlstm.set_num_threads(10**6)", {"FASTLSTM_ISA": "generic"})
        assert (run.stdout, run.stderr) == ("", "")
        assert isinstance(logging.getLogger("fastlstm").handlers[0], logging.NullHandler)
