"""Variants of the cells: values against the reference, gradients against central differences, bits."""

import pickle

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from support import TOLERANCE, central_differences, distance

import fastlstm
import fastlstm.training
from fastlstm import _core, config
from fastlstm._reference import FUNCTIONS, direction_names, slstm_sequence, varied_sequence

KINDS = {"lstm": fastlstm.LSTM, "tanh": fastlstm.RNN, "gru": fastlstm.GRU, "slstm": fastlstm.SLSTM}
USUAL = {"lstm": ("sigmoid", "tanh", "tanh"), "tanh": ("tanh",), "gru": ("sigmoid", "tanh")}
SMOOTH = ["sigmoid", "tanh", ("scaled_tanh", 1.2, 0.7), ("affine", 0.5, 0.1), "softsign", ("elu", 0.8)]
KINKED = [
    "relu",
    ("leaky_relu", 0.3),
    ("thresholded_relu", 0.2),
    "hard_sigmoid",
    ("hard_sigmoid", 1 / 6, 0.5),
]


def shares():
    return st.sampled_from([0.0, 0.3])


@st.composite
def variants(draw, cell, H, smooth=False):
    """Options of a model of that cell and H units, some of them at their defaults."""
    heads = draw(st.sampled_from([n for n in (1, 2, 3, 4, 8, H) if H % n == 0]))
    if cell == "slstm":
        return {
            "forget_gate": draw(st.sampled_from(["sigmoid", "exp"])),
            "recurrent_dropout": draw(shares()),
            "gate_masks": draw(st.booleans()),
            "reverse": draw(st.booleans()),
            "bias": draw(st.booleans()),
            "heads": heads,
        }
    functions = st.sampled_from(SMOOTH if smooth else SMOOTH + KINKED)
    options = {
        "clip": draw(st.sampled_from([None, 0.4, 1.5])),
        "zoneout": (draw(shares()), draw(shares()) if cell == "lstm" else 0.0),
        "recurrent_dropout": draw(shares()),
        "reverse": draw(st.booleans()),
        "bias": draw(st.booleans()),
        "heads": heads,
    }
    if cell != "tanh":
        options["gate_masks"] = draw(st.booleans())
    count = len(USUAL[cell])
    if draw(st.booleans()):
        options["activations"] = tuple(draw(functions) for _ in range(count))
    if cell == "gru" and draw(st.booleans()):
        options |= {"reset_after": False, "recurrent_dropout": 0.0}
    if cell == "lstm" and draw(st.sampled_from([False, False, True])):
        return {
            "layer_norm": True,
            "zoneout": (options["zoneout"][0], 0.0),
            **{name: options[name] for name in ("recurrent_dropout", "gate_masks", "reverse", "bias")},
        }
    if cell in ("gru", "tanh") and options.get("reset_after", True) and draw(st.booleans()):
        options |= {"layer_norm": True, "heads": 1}
    if cell == "lstm":
        options["cell_clip"] = draw(st.sampled_from([None, 0.3]))
        options["input_forget"] = draw(st.booleans())
        options["peepholes"] = draw(st.booleans())
        if options["peepholes"]:
            options["zoneout"] = (options["zoneout"][0], 0.0)
        if options["input_forget"] and "activations" in options:
            options["activations"] = (
                draw(st.sampled_from(["sigmoid", "hard_sigmoid"] if not smooth else ["sigmoid"])),
                *options["activations"][1:],
            )
    return options


class Drawn:
    """A model of a variant and an input for it."""

    def __init__(self, cell, T, B, I, H, options, seed, dtype="float64", **more):  # noqa: E741
        rng = np.random.default_rng(seed)
        self.cell = cell
        self.model = KINDS[cell](I, H, dtype=dtype, rng=seed, **options, **more)
        self.model.update(
            {name: rng.uniform(-0.4, 0.4, array.shape) for name, array in self.model.parameters.items()}
        )
        self.x, self.dy = rng.standard_normal((T, B, I)), rng.standard_normal((T, B, self.model.output_size))
        self.states = [rng.standard_normal((1, B, size)) for size in self.model._state_sizes]
        if cell == "slstm":
            self.states[2] = np.abs(self.states[2]) + 0.5  # a normaliser
        self.dstates = [rng.standard_normal(array.shape) for array in self.states]

    @property
    def state(self):
        return self.model._to_state(list(self.states))

    def short(self, parameters):
        return {
            short: parameters[name] for short, name in direction_names(0, False).items() if name in parameters
        }

    def mask(self, dropped, b):
        """What a sequence's h is multiplied by: (P,), or a row for each gate that the reference has."""
        if dropped is None or dropped.mask is None:
            return 1.0
        rows = dropped.mask[b].reshape(-1, self.model.output_size)
        if len(rows) > 1 and self.model.input_forget:
            assert rows[0].tobytes() == rows[1].tobytes()
            rows = np.delete(rows, 1, axis=0)
        return rows[0] if len(rows) == 1 else rows

    def slstm(self, parameters, x, states, dropped):
        order, w = slice(None, None, -1 if self.model.reverse else 1), self.short(parameters)
        y, final = np.zeros((*x.shape[:2], self.model.output_size)), [np.zeros_like(part) for part in states]
        for b in range(x.shape[1]):
            own = [part[0, b] for part in states]
            mask = self.mask(dropped, b)
            y[order, b], after = slstm_sequence(w, x[order, b], own, self.model.forget_gate == "exp", mask)
            for part, value in zip(final, after, strict=True):
                part[0, b] = value
        return [y, *final]

    def reference(self, parameters, x, states, dropped=None):
        """Return y and the final states, each sequence on its own."""
        model = self.model
        if self.cell == "slstm":
            return self.slstm(parameters, x, states, dropped)
        functions = model.activations or [(name, 0.0, 0.0) for name in USUAL[self.cell]]
        w = {
            short: parameters[name] for short, name in direction_names(0, False).items() if name in parameters
        }
        h, c = states[0][0], states[1][0] if len(states) == 2 else np.zeros((x.shape[1], model.hidden_size))
        order = slice(None, None, -1 if model.reverse else 1)
        y, h_n, c_n = np.zeros((*x.shape[:2], model.output_size)), np.zeros_like(h), np.zeros_like(c)
        for b in range(x.shape[1]):
            zones, mask = list(model.zoneout), 1.0
            if dropped is not None:
                shape = (*x.shape[:2], model.hidden_size)
                for k, zone in enumerate((dropped.zone_h, dropped.zone_c)):
                    zones[k] = 0.0 if zone is None else zone.reshape(shape)[order, b]
                mask = self.mask(dropped, b)
            y[order, b], h_n[b], c_n[b] = varied_sequence(
                self.cell,
                w,
                x[order, b],
                h[b],
                c[b],
                functions,
                model.clip or np.inf,
                model.cell_clip or np.inf,
                model.input_forget or not model.reset_after,
                zones,
                mask,
            )
        return [y, h_n[None], *([c_n[None]] if len(states) == 2 else [])]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("cell", ["lstm", "tanh", "gru", "slstm"])
@settings(max_examples=40)
@given(data=st.data())
def test_against_the_reference(cell, dtype, data):
    size = data.draw(st.integers(1, 40), "H")
    drawn = Drawn(
        cell,
        data.draw(st.integers(1, 7), "T"),
        data.draw(st.integers(1, 9), "B"),
        data.draw(st.integers(1, 9), "I"),
        size,
        data.draw(variants(cell, size), "options"),
        data.draw(st.integers(0, 2**32 - 1), "seed"),
        dtype,
    )
    model = drawn.model
    parameters = {name: array.astype(np.float64) for name, array in model.parameters.items()}
    y, state = model(drawn.x, drawn.state)
    actual = [y, *model._from_state(state, "state")]
    expected = drawn.reference(parameters, drawn.x, drawn.states)
    # With functions that have no bound, numbers may leave float32's range.
    assume(all(np.abs(theirs).max() < np.finfo(dtype).max for theirs in expected))
    for ours, theirs in zip(actual, expected, strict=True):
        assert distance(ours, theirs) <= TOLERANCE[dtype]


def joined(droppings, size):
    """Return what all passes of a direction drop, each of so many units, side by side."""
    if droppings[0] is None:
        return None
    names = [name for name in ("zone_h", "zone_c") if getattr(droppings[0], name) is not None]
    sides = {name: np.concatenate([getattr(one, name) for one in droppings], axis=1) for name in names}
    if droppings[0].mask is not None:  # by gate, then by pass
        B = len(droppings[0].mask)
        masks = [one.mask.reshape(B, -1, size) for one in droppings]
        sides["mask"] = np.concatenate(masks, axis=2).reshape(B, -1)
    return _core.Dropped(**sides)


@pytest.mark.parametrize("drop", [True, False])
@pytest.mark.parametrize("cell", ["lstm", "tanh", "gru", "slstm"])
@settings(max_examples=8)
@given(data=st.data())
def test_gradients(cell, drop, data):
    size = data.draw(st.sampled_from([1, 3, 8]), "H")
    options = data.draw(variants(cell, size, smooth=True), "options")
    drawn = Drawn(cell, 3, 2, 2, size, options, data.draw(st.integers(0, 2**32 - 1), "seed"))
    model = drawn.model
    parameters = {name: array.copy() for name, array in model.parameters.items()}
    _, _, tape = model._run(drawn.x, drawn.state, None, True, model._weights, drop=drop)
    dropped = joined(tape._kept.droppings, tape._kept.layers[0].output_size)

    def loss():
        y, *states = drawn.reference(parameters, drawn.x, drawn.states, dropped)
        weighted = [
            (y * drawn.dy).sum(),
            *((s * d).sum() for s, d in zip(states, drawn.dstates, strict=True)),
        ]
        return float(sum(weighted))

    gradients = tape.backward(drawn.dy, model._to_state(list(drawn.dstates)))
    expected = {"x": central_differences(loss, drawn.x)}
    actual = {"x": gradients.input}
    for k, part in enumerate(model._from_state(gradients.state, "state")):
        actual[f"state {k}"], expected[f"state {k}"] = part, central_differences(loss, drawn.states[k])
    for name, array in parameters.items():
        actual[name], expected[name] = gradients.parameters[name], central_differences(loss, array)
    assume(not any(np.isnan(array).any() for array in expected.values()))
    for name, array in expected.items():
        assert np.abs(actual[name] - array).max() <= 1e-6 * max(np.abs(array).max(), 1), name


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions(isa, name, dtype):
    """To some units in the last place, from far below zero to far above, and at zero."""
    x = np.concatenate([np.geomspace(1e-6, 30, 500), -np.geomspace(1e-6, 30, 500), [0.0, -0.0]]).astype(dtype)
    function = fastlstm.RNN(1, 1, activations=[name], bias=False, dtype=dtype, rng=0)
    function.update({"weight_ih_l0": [[1.0]], "weight_hh_l0": [[0.0]]})
    _, alpha, beta = function.activations[0]
    expected = FUNCTIONS[name](x.astype(np.longdouble), dtype_of(alpha, dtype), dtype_of(beta, dtype))
    y = function(x.reshape(1, -1, 1))[0].reshape(-1)
    error = np.abs(y - expected) / np.spacing(np.abs(expected.astype(dtype)))
    # What is a difference of numbers near 1 is as exact as these.
    small = {"elu": 4, "hard_sigmoid": 1, "affine": 1}.get(name, 3)
    assert error[np.isfinite(error)].max() <= small


def dtype_of(number, dtype):
    return np.longdouble(np.dtype(dtype).type(number))


VARIANTS = [
    (
        "lstm",
        {
            "peepholes": True,
            "clip": 1.0,
            "cell_clip": 0.5,
            "activations": ["hard_sigmoid", "elu", "softsign"],
        },
    ),
    ("lstm", {"peepholes": True}),
    ("lstm", {"input_forget": True}),
    ("lstm", {"zoneout": 0.2, "recurrent_dropout": 0.3, "proj_size": 0}),
    ("lstm", {"recurrent_dropout": 0.3, "proj_size": 7}),
    ("lstm", {"recurrent_dropout": 0.3, "gate_masks": True}),
    ("lstm", {"recurrent_dropout": 0.3, "gate_masks": True, "layer_norm": True, "proj_size": 7}),
    ("gru", {"recurrent_dropout": 0.3, "gate_masks": True}),
    ("lstm", {"layer_norm": True, "recurrent_dropout": 0.2, "zoneout": (0.1, 0)}),
    ("lstm", {"layer_norm": True, "proj_size": 5}),
    ("gru", {"layer_norm": True}),
    ("gru", {"layer_norm": True, "recurrent_dropout": 0.3, "gate_masks": True, "zoneout": 0.2, "clip": 0.7}),
    ("tanh", {"layer_norm": True}),
    ("tanh", {"layer_norm": True, "activations": ["softsign"], "recurrent_dropout": 0.3}),
    ("lstm", {"heads": 3}),
    ("lstm", {"heads": 33, "peepholes": True, "recurrent_dropout": 0.2}),
    ("gru", {"heads": 3}),
    ("gru", {"clip": 0.7, "activations": ["hard_sigmoid", "softsign"], "zoneout": 0.2}),
    ("gru", {"recurrent_dropout": 0.3}),
    ("gru", {"reset_after": False, "zoneout": 0.2, "clip": 0.7}),
    ("slstm", {}),
    ("slstm", {"heads": 3, "recurrent_dropout": 0.2, "forget_gate": "exp"}),
    ("tanh", {"zoneout": 0.2, "recurrent_dropout": 0.3, "clip": 0.5}),
    ("tanh", {"activations": [("leaky_relu", 0.1)]}),
]


@pytest.fixture(params=VARIANTS, ids=lambda one: "-".join([one[0], *one[1]]))
def varied(request):
    cell, options = request.param

    def model(H=33, **more):
        return KINDS[cell](5, H, rng=0, **options, **more)

    return model


@pytest.mark.parametrize("B", [1, 24])
@pytest.mark.parametrize(
    ("cell", "options"),
    [
        ("lstm", {}),
        ("lstm", {"layer_norm": True, "proj_size": 40}),
        ("lstm", {"heads": 3, "peepholes": True}),
        ("gru", {}),
        ("slstm", {}),
    ],
)
def test_gates_with_the_same_mask_are_those_with_one(cell, options, B, isa, threads, monkeypatch):
    """The same bits forward, the same gradients to rounding."""

    def same(rng, p, shape, dtype):
        one = (rng.random((shape[0], 1, shape[-1])) < 1 - p).astype(dtype) / (1 - p)
        return np.broadcast_to(one, shape)

    monkeypatch.setattr(fastlstm.model.variants, "dropout_mask", same)
    fastlstm.set_num_threads(2)
    x = np.random.default_rng(0).standard_normal((20, B, 9))
    results = []
    for gate_masks in (False, True):
        model = KINDS[cell](
            9, 99, rng=0, dtype="float64", recurrent_dropout=0.3, gate_masks=gate_masks, **options
        )
        y, _, tape = model.forward(x, lengths=[20] * (B - 1) + [13])
        gradients = tape.backward(np.ones_like(y))
        results.append((y, [gradients.input, *gradients.parameters.values()]))
    (y, gradients), (y_gates, of_gates) = results
    assert y_gates.tobytes() == y.tobytes()
    for one, other in zip(gradients, of_gates, strict=True):
        assert distance(other, one) <= 1e-12


@pytest.mark.parametrize("gate_masks", [False, True])
def test_recurrent_dropout_of_no_sequences(gate_masks):
    y, _, tape = fastlstm.LSTM(3, 4, recurrent_dropout=0.3, gate_masks=gate_masks).forward(
        np.zeros((5, 0, 3))
    )
    assert y.shape == (5, 0, 4)
    assert not tape.backward(y).parameters["weight_hh_l0"].any()


@pytest.mark.parametrize("H", [17, 64, 99])
@pytest.mark.parametrize("cell", ["lstm", "gru", "tanh"])
def test_a_normed_sequence_alone_projects_beside_its_steps(cell, H, isa):
    model = KINDS[cell](24, H, layer_norm=True, rng=0)
    x = np.random.default_rng(0).standard_normal((50, 3, 24)).astype("f")
    y, _ = model(x)
    for b in range(3):
        assert model(x[:, b : b + 1])[0].tobytes() == y[:, b : b + 1].tobytes()


class TestBits:
    """The same alone and in a batch, in pieces and steps, with all threads and instruction sets."""

    x = np.random.default_rng(1).standard_normal((9, 11, 5)).astype("f")

    def test_alone(self, varied):
        model = varied(num_layers=2, bidirectional=True)
        lengths = np.array([9, 3, 0, 7, 9, 1, 5, 2, 8, 9, 4])
        y, state = model(self.x, lengths=lengths)
        for b, length in enumerate(lengths):
            alone, own = model(self.x[:length, b])
            assert alone.tobytes() == y[:length, b].tobytes()
            for part, whole in zip(model._from_state(own, ""), model._from_state(state, ""), strict=True):
                assert part.tobytes() == whole[:, b].tobytes()

    def test_in_pieces_and_steps(self, varied):
        model = varied(num_layers=2)
        y, state = model(self.x)
        first, middle = model(self.x[:4])
        second, last = model(self.x[4:], middle)
        assert np.concatenate([first, second]).tobytes() == y.tobytes()
        for part, whole in zip(model._from_state(last, ""), model._from_state(state, ""), strict=True):
            assert part.tobytes() == whole.tobytes()
        stream = model.stream(batch_size=11)
        assert all(stream.step(x_t).tobytes() == y_t.tobytes() for x_t, y_t in zip(self.x, y, strict=True))

    def test_traced(self, varied):
        model = varied(num_layers=2)
        assert model.trace(self.x).y.tobytes() == model(self.x)[0].tobytes()

    def test_with_any_number_of_threads(self, varied, threads):
        def results():
            model = varied(H=99, bidirectional=True)
            x = np.random.default_rng(2).standard_normal((40, 24, 5)).astype("f")
            y, _, tape = model.forward(x)
            gradients = tape.backward(np.ones_like(y))
            return [model(x)[0], y, gradients.input, *gradients.parameters.values()]

        fastlstm.set_num_threads(1)
        alone = results()
        fastlstm.set_num_threads(2)
        for ours, theirs in zip(results(), alone, strict=True):
            assert ours.tobytes() == theirs.tobytes()

    def test_with_any_instruction_set(self, varied):
        results = {}
        config.use_product("kernels")  # BLAS adds in an order of its own
        for isa in _core.available_isas():
            _core.use_isa(isa)
            try:
                for dtype in ("float32", "float64"):
                    model = varied(dtype=dtype)
                    y, _, tape = model.forward(self.x.astype(dtype), lengths=[9] * 10 + [3])
                    gradients = tape.backward(np.ones_like(y))
                    bits = [a.tobytes() for a in (y, gradients.input, *gradients.parameters.values())]
                    assert results.setdefault(dtype, bits) == bits
            finally:
                _core.use_isa(None)
        config.use_product("auto")


def test_gradients_of_a_ragged_batch(varied):
    """Those of its sequences, one by one, together."""
    model = varied(dtype="float64", num_layers=2, bidirectional=True)
    lengths = np.array([7, 2, 0, 9, 9])
    x = np.random.default_rng(3).standard_normal((9, 5, 5))

    dy = np.random.default_rng(4).standard_normal((9, 5, 2 * model.output_size))
    _, _, tape = model._run(x, None, lengths, True, model._weights, drop=False)
    whole = tape.backward(dy)
    total = {name: np.zeros_like(array) for name, array in whole.parameters.items()}
    for b, length in enumerate(lengths):
        _, _, tape = model._run(x[:length, b], None, None, True, model._weights, drop=False)
        alone = tape.backward(dy[:length, b])
        assert distance(whole.input[:length, b], alone.input) <= 1e-12
        for name, array in alone.parameters.items():
            total[name] += array
    for name, array in total.items():
        assert distance(whole.parameters[name], array) <= 1e-12, name


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"clip": 0}, "clip: expected a number above 0"),
        ({"clip": "1"}, "clip: expected a number above 0"),
        ({"activations": "tanh"}, "activations: expected a sequence"),
        ({"activations": ["tanh"]}, "activations: expected 3"),
        ({"activations": ["tanh", "tanh", "swish"]}, r"activations\[2\]: expected one of sigmoid, tanh"),
        ({"activations": ["tanh", "tanh", ("elu", 0)]}, r"activations\[2\]: expected an alpha above 0"),
        ({"activations": ["tanh", "tanh", ("elu", "a")]}, r"activations\[2\] alpha: expected"),
        ({"zoneout": 1.5}, "zoneout"),
        ({"zoneout": (0.1, 0.1, 0.1)}, "zoneout: expected a number, or a pair"),
        ({"zoneout": 0.1, "proj_size": 2}, "zoneout: expected 0 for h with a projection"),
        ({"zoneout": 0.1, "peepholes": True}, "zoneout: expected 0 for c with peepholes"),
        ({"recurrent_dropout": 1}, "recurrent_dropout: expected a number from 0 to less than 1"),
        ({"peepholes": 1}, "peepholes: expected True or False"),
        ({"input_forget": True, "activations": ["relu", "tanh", "tanh"]}, "activations: expected a gate"),
        ({"layer_norm": True, "peepholes": True}, "peepholes: expected none with layer_norm=True"),
        ({"layer_norm": True, "zoneout": 0.1}, "zoneout: expected 0 for c with layer_norm=True"),
        ({"peephole": True}, "peephole: expected one of the options"),
    ],
)
def test_refusals(options, sentence):
    with pytest.raises((TypeError, ValueError), match=sentence):
        fastlstm.LSTM(3, 4, **options)


def test_refusals_of_the_core():
    weights = np.zeros((4, 3), "f"), np.zeros((4, 4), "f"), np.zeros(4, "f")
    with pytest.raises(ValueError, match="variant: expected one for cell 'rnn'"):
        _core.Layer("rnn", *weights, None, False)
    with pytest.raises(ValueError, match="norms: expected some for cell 'lstm_norm'"):
        _core.Layer(
            "lstm_norm", np.zeros((16, 3), "f"), np.zeros((16, 4), "f"), np.zeros(16, "f"), None, False
        )


def test_a_tape_that_is_kept(varied):
    model = varied(num_layers=2)
    y, _, tape = model.forward(np.random.default_rng(5).standard_normal((6, 3, 5)))
    first, second = (tape.backward(y, keep=True) for _ in range(2))
    third = tape.backward(y)
    for other in (second, third):
        assert other.input.tobytes() == first.input.tobytes()
        for name, array in first.parameters.items():
            assert other.parameters[name].tobytes() == array.tobytes()


def test_saved_and_loaded(varied, tmp_path):
    model = varied(num_layers=2)
    fastlstm.save(model, tmp_path / "model.safetensors")
    loaded = fastlstm.load(tmp_path / "model.safetensors")
    copied = pickle.loads(pickle.dumps(model))
    assert repr(loaded) == repr(model) == repr(copied)
    x = np.ones((3, 2, 5), "f")
    assert loaded(x)[0].tobytes() == model(x)[0].tobytes() == copied(x)[0].tobytes()


def test_it_learns(varied):
    model = varied()
    x = np.random.default_rng(0).standard_normal((20, 6, 5)).astype("f")
    target = np.roll(x[..., :1], 1, axis=0) * np.ones(model.output_size, "f") * 0.5
    optimizer = fastlstm.training.Adam([model], 0.02)
    losses = []
    for _ in range(30):
        y, _, tape = model.forward(x)
        losses.append(float(((y - target) ** 2).mean()))
        optimizer.step([tape.backward(y - target).parameters])
    assert min(losses[-5:]) < 0.8 * losses[0]
