"""The face: shapes, layouts, what may be left out; and the reference over random options."""

import copy
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import Problem

import fastlstm
from fastlstm._reference import Reference

DIRECTIONS = [
    {},
    {"reverse": True},
    *({"bidirectional": True, "merge": merge} for merge in ("concat", "sum", "mean", "mul")),
]

problems = st.builds(
    lambda directions, **options: Problem(**directions, **options),
    directions=st.sampled_from(DIRECTIONS),
    cell=st.sampled_from(["lstm", "tanh", "relu", "gru", "gru_reset_first"]),
    T=st.integers(0, 8),
    B=st.integers(0, 9),
    I=st.integers(1, 20),
    H=st.integers(2, 40),
    layers=st.integers(1, 3),
    bias=st.booleans(),
    dtype=st.sampled_from(["float32", "float64"]),
    ragged=st.booleans(),
    seed=st.integers(0, 2**32 - 1),
)


@given(problem=problems)
def test_against_the_reference(problem):
    problem.check(problem.results(), problem.expected())


@given(problem=problems.filter(lambda p: p.cell == "lstm"), data=st.data())
def test_projection_against_the_reference(problem, data):
    problem.P = data.draw(st.integers(1, problem.H - 1))
    problem.__post_init__()
    problem.check(problem.results(), problem.expected())


@pytest.mark.parametrize("cell", [fastlstm.LSTM, fastlstm.RNN])
@pytest.mark.parametrize("sequential", [False, True])
def test_without_the_inputs_gradient(isa, cell, sequential):
    """All others are the same."""
    layer = cell(3, 5, num_layers=2, bidirectional=True, rng=0)
    model, x = fastlstm.Sequential(layer) if sequential else layer, np.ones((4, 2, 3), np.float32)
    with_input, without = (
        model.forward(x, lengths=[4, 2])[2].backward(np.ones((4, 2, 10)), input_gradient=wanted)
        for wanted in (True, False)
    )
    assert without.input is None
    for name, gradient in with_input.parameters.items():
        assert without.parameters[name].tobytes() == gradient.tobytes()
    states = [np.asarray(gradients.state).tobytes() for gradients in (with_input, without)]
    assert states[0] == states[1]


def test_unaligned_input():
    """As a view into a file's or a network's bytes may be."""
    model, x = fastlstm.LSTM(3, 5, rng=0), np.random.default_rng(0).standard_normal((4, 2, 3)).astype("f")
    unaligned = np.zeros(x.nbytes + 1, np.uint8)[1:].view(np.float32).reshape(x.shape)
    unaligned[...] = x
    assert not unaligned.flags.aligned
    assert model(unaligned)[0].tobytes() == model(x)[0].tobytes()
    given, aligned = (model.forward(array)[2].backward(np.ones((4, 2, 5))) for array in (unaligned, x))
    assert given.input.tobytes() == aligned.input.tobytes()


class TestLayouts:
    problem = Problem(T=5, B=3, layers=2, bidirectional=True, ragged=True)

    def test_batch_first(self):
        problem, model, first = self.problem, self.problem.model(), self.problem.model(batch_first=True)
        y, _, tape = model.forward(problem.x, lengths=problem.lengths)
        y_first, _, tape_first = first.forward(problem.x.swapaxes(0, 1), lengths=problem.lengths)
        assert np.array_equal(y, y_first.swapaxes(0, 1))
        assert y_first.flags.c_contiguous
        dx = tape.backward(problem.dy).input
        assert np.array_equal(dx, tape_first.backward(problem.dy.swapaxes(0, 1)).input.swapaxes(0, 1))

    @pytest.mark.parametrize("batch_first", [False, True])
    @pytest.mark.parametrize("cell", ["lstm", "tanh", "gru", "gru_reset_first"])
    def test_one_sequence(self, batch_first, cell):
        problem = Problem(cell, T=5, B=1, layers=2, bidirectional=True)
        model = problem.model(batch_first=batch_first)
        h, c = problem.h_0[:, 0], problem.c_0[:, 0]
        y, state, tape = model.forward(problem.x[:, 0], problem.state(h, c))
        gradients = tape.backward(problem.dy[:, 0], problem.state(problem.dh_n[:, 0], problem.dc_n[:, 0]))
        expected = problem.expected()
        assert y.shape == (5, 8)
        np.testing.assert_allclose(y, expected["y"][:, 0])
        np.testing.assert_allclose(gradients.input, expected["dx"][:, 0])
        final, initial = (state[0], gradients.state[0]) if cell == "lstm" else (state, gradients.state)
        np.testing.assert_allclose(final, expected["h_n"][:, 0])
        np.testing.assert_allclose(initial, expected["dh_0"][:, 0])

    @pytest.mark.parametrize("dtype", ["float16", ">f4", "float64", "longdouble"])
    def test_any_float_array(self, dtype):
        problem = Problem(T=5, B=3)
        model = problem.model(dtype="float32")
        x = problem.x.astype("float16")  # exact in all of them
        plain = model(x.astype("float32"))[0]
        strided = np.zeros((10, 6, 9), dtype)[::-2, ::2, ::3]
        strided[...] = x
        strided.flags.writeable = False
        y, _, tape = model.forward(strided)
        assert np.array_equal(y, plain)
        assert np.array_equal(strided, x)
        gradients = tape.backward(np.ones_like(y))
        assert gradients.input.dtype == np.dtype(dtype)
        assert gradients.parameters["weight_ih_l0"].dtype == np.float32

    def test_nested_lists(self):
        model = Problem().model()
        assert np.array_equal(model([[1.0, 2.0, 3.0]])[0], model(np.array([[1.0, 2.0, 3.0]]))[0])

    def test_dlpack_alone(self):
        problem = Problem()

        class Tensor:
            def __dlpack__(self, **options):
                return problem.x.__dlpack__(**options)

            def __dlpack_device__(self):
                return problem.x.__dlpack_device__()

        assert np.array_equal(problem.model()(Tensor())[0], problem.model()(problem.x)[0])


@pytest.mark.parametrize("lengths", [None, [2, 4, 0]])
def test_states_handed_in_stay_as_they_are(lengths):
    """The final state is written where the initial one was copied to."""
    problem = Problem(T=4, B=3, layers=2, bidirectional=True)
    model, given = problem.model(), (problem.h_0.copy(), problem.c_0.copy())
    _, called = model(problem.x, given, lengths=lengths)
    _, trained, _ = model.forward(problem.x, given, lengths=lengths)
    for before, after, *finals in zip((problem.h_0, problem.c_0), given, called, trained, strict=True):
        assert before.tobytes() == after.tobytes()
        assert finals[0].tobytes() == finals[1].tobytes()
        assert not any(np.may_share_memory(after, final) for final in finals)


class TestNothingThere:
    @pytest.mark.parametrize(("T", "B"), [(0, 3), (4, 0), (0, 0)])
    @pytest.mark.parametrize("cell", ["lstm", "tanh", "gru", "gru_reset_first"])
    def test_empty(self, T, B, cell):
        problem = Problem(cell, T=T, B=B, layers=2, bidirectional=True)
        results = problem.results()
        assert results["y"].shape == (T, B, 8)
        if T == 0:
            assert np.array_equal(results["h_n"], problem.h_0)
            assert np.array_equal(results["dh_0"], problem.dh_n)
        assert not any(results[f"d{name}"].any() for name in problem.model().parameters)

    def test_length_zero(self):
        problem = Problem(T=4, B=3, bidirectional=True)
        y, (h_n, c_n) = problem.model()(problem.x, (problem.h_0, problem.c_0), lengths=[0, 4, 0])
        assert not y[:, [0, 2]].any()
        assert np.array_equal(h_n[:, [0, 2]], problem.h_0[:, [0, 2]])
        assert np.array_equal(c_n[:, [0, 2]], problem.c_0[:, [0, 2]])

    def test_what_stands_past_the_end_does_not_matter(self):
        problem = Problem(T=6, B=3, bidirectional=True)
        model, lengths = problem.model(), [2, 6, 3]
        x = problem.x.copy()
        for b, length in enumerate(lengths):
            x[length:, b] = np.nan
        y, _, tape = model.forward(x, lengths=lengths)
        assert np.array_equal(y, model(problem.x, lengths=lengths)[0])
        gradients = tape.backward(np.where(np.isnan(x[..., :1]), np.nan, problem.dy))
        assert np.isfinite(gradients.input).all()
        assert not gradients.input[2:, 0].any()


class TestUpstreamLeftOut:
    @pytest.mark.parametrize("cell", ["lstm", "tanh", "gru", "gru_reset_first"])
    def test_none_counts_as_zeros(self, cell):
        problem = Problem(cell, layers=2, bidirectional=True)
        zeros = problem.state(np.zeros_like(problem.dh_n), np.zeros_like(problem.dc_n))

        def gradients(*upstream):
            _, _, tape = problem.model().forward(problem.x)
            return tape.backward(*upstream)

        dstate = problem.state(problem.dh_n, problem.dc_n)
        pairs = [
            ((problem.dy, zeros), (problem.dy,)),
            ((np.zeros_like(problem.dy), dstate), (None, dstate)),
            ((np.zeros_like(problem.dy), zeros), ()),
        ]
        if cell == "lstm":
            pairs.append(((problem.dy, (problem.dh_n, zeros[1])), (problem.dy, (problem.dh_n, None))))
        for full, short in pairs:
            a, b = gradients(*full), gradients(*short)
            assert np.array_equal(a.input, b.input)
            assert all(np.array_equal(a.parameters[name], b.parameters[name]) for name in a.parameters)

    def test_states_gradient_takes_the_states_dtype(self):
        problem = Problem(dtype="float32")
        _, _, tape = problem.model().forward(problem.x, (problem.h_0.astype("d"), problem.c_0))
        gradients = tape.backward(problem.dy)
        assert [a.dtype for a in gradients.state] == [np.float64, np.float32]


class TestNonFinite:
    """IEEE says what comes of them, and nothing hangs."""

    @pytest.mark.parametrize("cell", ["lstm", "tanh", "relu", "gru", "gru_reset_first"])
    @pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
    def test_input(self, isa, cell, value):
        problem = Problem(cell, T=4, B=3, H=20)
        problem.x[1, 1, 0] = value
        with np.errstate(invalid="ignore"):
            expected = problem.expected()
        results = problem.results()
        for name in ("y", "h_n", "c_n"):
            if name in results:
                np.testing.assert_allclose(results[name], expected[name], rtol=1e-12, atol=1e-14)

    def test_gates_saturate(self):
        model = fastlstm.LSTM(1, 4, rng=0)
        y = model(np.full((3, 1), np.inf))[0]
        assert np.isfinite(y).all()


class TestDenormals:
    """They cost nothing inside a pass, and the caller's arithmetic keeps them."""

    def test_callers_arithmetic_keeps_denormals(self):
        model = fastlstm.LSTM(3, 4, rng=0)
        model(np.zeros((5, 3)))
        _, _, tape = model.forward(np.zeros((5, 3)))
        tape.backward(np.ones((5, 4)))
        assert np.float32(1e-38) * np.float32(0.01) > 0

    def test_flushed_inside(self):
        model = fastlstm.RNN(1, 1, nonlinearity="relu", bias=False, rng=0)
        model.load_state_dict({"weight_ih_l0": [[0.01]], "weight_hh_l0": [[0.0]]})
        assert model(np.full((1, 1), 1e-37, np.float32))[0].item() == 0


class TestDropout:
    def test_only_in_training_and_not_on_the_last_layer(self):
        problem = Problem(T=20, B=5, H=30, layers=2)
        model = problem.model(dropout=0.5)
        quiet = problem.model()
        assert np.array_equal(model(problem.x)[0], quiet(problem.x)[0])
        y, _, _ = model.forward(problem.x)
        assert not np.array_equal(y, quiet(problem.x)[0])
        assert (y != 0).all()

    def test_gradients_with_the_same_masks(self):
        problem = Problem(T=4, B=3, layers=3, bidirectional=True, ragged=True)
        model = problem.model(dropout=0.3)
        y, _, tape = model.forward(problem.x, (problem.h_0, problem.c_0), lengths=problem.lengths)
        kept = tape._kept
        masks = [kept.arrangement.pad(m, np.empty((4, 3, 8))) for m in kept.masks]
        gradients = tape.backward(problem.dy, (problem.dh_n, problem.dc_n))
        reference = Reference("lstm", model.parameters, 3, bidirectional=True)
        expected = reference.forward(problem.x, problem.h_0, problem.c_0, problem.lengths, masks)
        np.testing.assert_allclose(y, expected[0], atol=1e-12)
        dx, dh_0, _, parameters = reference.backward(problem.dy, problem.dh_n, problem.dc_n)
        np.testing.assert_allclose(gradients.input, dx, atol=1e-12)
        np.testing.assert_allclose(gradients.state[0], dh_0, atol=1e-12)
        for name, expected_gradient in parameters.items():
            np.testing.assert_allclose(gradients.parameters[name], expected_gradient, atol=1e-12)

    def test_everything_dropped(self):
        problem = Problem(T=4, layers=2)
        model = problem.model(dropout=1)
        y, _, tape = model.forward(problem.x)
        assert np.array_equal(y, model.forward(problem.x * 2)[0])
        assert not tape.backward(problem.dy).input.any()

    def test_seed(self):
        problem = Problem(T=4, layers=2)
        first, second = (problem.model(dropout=0.5).forward(problem.x)[0] for _ in range(2))
        assert np.array_equal(first, second)


class TestInitialValues:
    def test_same_seed_same_weights_everywhere(self):
        """These numbers must never change."""
        weights = fastlstm.LSTM(2, 3, rng=1).parameters
        assert weights["weight_ih_l0"][0].tolist() == [0.013650435954332352, 0.5201506614685059]
        assert weights["bias_hh_l0"][-1].item() == -0.3329293429851532

    def test_bounds(self):
        for model in (fastlstm.LSTM(30, 25, rng=0), fastlstm.RNN(30, 25, rng=0), fastlstm.GRU(30, 25, rng=0)):
            for array in model.parameters.values():
                assert np.abs(array).max() <= 0.2
            assert np.abs(model.parameters["weight_ih_l0"]).max() > 0.19

    def test_generator_is_drawn_from(self):
        rng = np.random.default_rng(0)
        first, second = fastlstm.LSTM(2, 3, rng=rng), fastlstm.LSTM(2, 3, rng=rng)
        assert not np.array_equal(first.parameters["weight_ih_l0"], second.parameters["weight_ih_l0"])

    def test_float32_is_float64_rounded(self):
        single, double = (fastlstm.LSTM(2, 3, dtype=dtype, rng=0) for dtype in ("float32", "float64"))
        for name, array in double.parameters.items():
            assert np.array_equal(single.parameters[name], array.astype("float32"))


@pytest.mark.parametrize(
    "changes",
    [
        {"hidden_size": 4},
        {"input_size": 2**61},
        {"num_layers": 1},
        {"num_layers": 2**61},
        {"proj_size": 1},
        {"directions": 2},
        {"heads": 0},
        {"_passes": 2**61},
        {"directions": 0, "num_layers": 2**61},
        {"bias": False},
        {"dtype": np.dtype("f8")},
    ],
)
def test_a_pickle_agrees_with_its_weights(changes):
    model = fastlstm.LSTM(2, 3, 2, rng=0)
    state = model.__getstate__() | changes
    with pytest.raises(ValueError, match="expected"):
        fastlstm.LSTM.__new__(fastlstm.LSTM).__setstate__(state)


@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
def test_copies_are_whole_and_their_own(duplicate):
    problem = Problem(layers=2, bidirectional=True)
    model = problem.model()
    y = model(problem.x)[0]
    twin = duplicate(model)
    assert np.array_equal(twin(problem.x)[0], y)
    twin.update({"bias_ih_l0": np.ones(16)})
    assert np.array_equal(model(problem.x)[0], y)
    assert not np.array_equal(twin(problem.x)[0], y)


@pytest.mark.parametrize(
    "text",
    [
        "LSTM(80, 25, num_layers=2, batch_first=True, bidirectional=True, dropout=0.1, proj_size=7)",
        "LSTM(3, 5, dtype='float64')",
        "RNN(3, 5, nonlinearity='relu', bias=False)",
        "GRU(3, 5, num_layers=2, bias=False, bidirectional=True)",
        "GRU(3, 5, reset_after=False)",
        "LSTM(3, 5)",
    ],
)
def test_repr_is_its_own_recipe(text):
    assert repr(eval(text, vars(fastlstm))) == text
