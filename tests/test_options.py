"""Options together, as hypothesis draws them: one model, whichever way it is run, kept and copied."""

import copy
import pickle
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import fastlstm
from fastlstm import GRU, LSTM, RNN, SLSTM, StreamPool, load, save
from fastlstm.model.options import options_of
from fastlstm.training import predict

KINDS = {"LSTM": LSTM, "RNN": RNN, "GRU": GRU, "SLSTM": SLSTM}
VARIANTS = [
    {},
    {"proj_size": 4},
    {"peepholes": True, "cell_clip": 9.0},
    {"peepholes": True, "input_forget": True, "proj_size": 4},
    {"zoneout": 0.2, "activations": ["sigmoid", "softsign", "tanh"]},
    {"layer_norm": True, "zoneout": (0.3, 0.0)},
    {"layer_norm": True, "proj_size": 4},
]


@st.composite
def models(draw, dtype=None):
    """Return a model with options of every kind, and learned states that are not zero."""
    kind = draw(st.sampled_from(sorted(KINDS)))
    directions = draw(st.sampled_from(["one", "reverse", "concat", "sum", "mean", "mul"]))
    options = {
        "bidirectional": directions not in ("one", "reverse"),
        "reverse": directions == "reverse",
        "merge": directions if directions not in ("one", "reverse") else "concat",
        "learn_state": draw(st.booleans()),
        "weight_drop": draw(st.sampled_from([0.0, 0.5])),
        "empty_state": draw(st.sampled_from(["initial", "zero"])),
        "num_layers": draw(st.integers(1, 3)),
        "batch_first": draw(st.booleans()),
        "recurrent_dropout": draw(st.sampled_from([0.0, 0.5])),
        "dtype": dtype or draw(st.sampled_from(["float32", "float64"])),
    }
    inits = ["uniform", "orthogonal", "glorot"] + [("chrono", 9)] * (kind in ("LSTM", "GRU"))
    options["init"] = draw(st.sampled_from(inits))
    if options["num_layers"] > 1:
        options["dropout"] = draw(st.sampled_from([0.0, 0.5]))
    if kind in ("LSTM", "SLSTM") and not isinstance(options["init"], tuple):
        options["forget_bias"] = draw(st.sampled_from([None, 1.0]))
    if kind in ("GRU", "RNN"):
        options |= draw(st.sampled_from([{}, {}, {"layer_norm": True}]))
    if kind == "LSTM":
        options |= draw(st.sampled_from(VARIANTS))
        if options.get("input_forget"):
            options |= {"init": "uniform", "forget_bias": None}
    if "proj_size" not in options and "layer_norm" not in options:
        options["heads"] = draw(st.sampled_from([1, 2, 20]))
    model = KINDS[kind](3, 20, rng=draw(st.integers(0, 9)), **options)
    rng = np.random.default_rng(0)
    states = [name for name in model.parameters if name in ("h_0", "c_0", "n_0", "m_0")]
    drawn = {name: rng.standard_normal(model.parameters[name].shape) for name in states}
    if "n_0" in drawn:  # a normaliser is above zero
        drawn["n_0"] = np.abs(drawn["n_0"]) + 0.5
    return model.update(drawn)


@st.composite
def runs(draw, dtype=None):
    """Return a model, an input and how its steps are told."""
    model, rng = draw(models(dtype)), np.random.default_rng(draw(st.integers(0, 99)))
    T, B = draw(st.integers(1, 6)), draw(st.integers(1, 5))
    x, lengths, mask = rng.standard_normal((T, B, 3)), rng.integers(0, T + 1, B), rng.random((T, B)) < 0.6
    if model.batch_first:
        x, mask = x.swapaxes(0, 1), mask.T
    steps = draw(st.sampled_from([{}, {"lengths": lengths}, {"mask": mask}]))
    return model, np.ascontiguousarray(x, model.dtype), steps


def bits(*values):
    return [part.tobytes() for value in values for part in (value if isinstance(value, tuple) else (value,))]


@given(runs())
def test_the_same_bits_however_it_is_run(run):
    model, x, steps = run
    y, final = model(x, **steps)
    trained_y, trained, _ = model.forward(x, drop=False, **steps)
    trace = model.trace(x, **steps)
    lent_y, lent = model.run(
        x, weights={name: array + 0 for name, array in model.parameters.items()}, **steps
    )
    expected = bits(y, final)
    for got in ((trained_y, trained), (trace.y, trace.state), (lent_y, lent)):
        assert bits(*got) == expected
    before = fastlstm.get_num_threads()
    fastlstm.set_num_threads(1)
    try:
        assert bits(*model(x, **steps)) == expected
    finally:
        fastlstm.set_num_threads(before)


@given(runs())
def test_a_sequence_alone_and_in_a_batch(run):
    model, x, steps = run
    y, final = model(x, **steps)
    batch = 0 if model.batch_first else 1
    for b in range(x.shape[batch]):
        own = {"mask": steps["mask"].take(b, batch)} if "mask" in steps else {}
        end = steps["lengths"][b] if "lengths" in steps else x.shape[1 - batch]
        alone, state = model(x.take(b, batch)[:end], **own)
        assert bits(y.take(b, batch)[:end]) == bits(alone)
        states = final if isinstance(final, tuple) else (final,)
        assert bits(*(part[:, b] for part in states)) == bits(state)


@given(runs("float64"))
def test_gradients_along_a_line(run):
    """Central differences along one drawn direction of the input, the states and all parameters."""
    model, x, steps = run
    rng = np.random.default_rng(1)
    y, final, tape = model.forward(x, drop=False, **steps)
    parts = model._from_state(final, "")
    dy, dparts = rng.standard_normal(y.shape), [rng.standard_normal(part.shape) for part in parts]
    if isinstance(model, SLSTM):  # m has a kink, which h doesn't see
        dparts[1:] = [np.zeros_like(part) for part in dparts[1:]]
    gradients = tape.backward(dy, model._to_state(dparts))
    own = model.state_dict()
    along = {name: rng.standard_normal(array.shape) for name, array in own.items()}
    along_x = rng.standard_normal(x.shape)

    def loss(step):
        model.update({name: array + step * along[name] for name, array in own.items()})
        y, final = model(x + step * along_x, **steps)
        sums = [(part * d).sum() for part, d in zip(model._from_state(final, ""), dparts, strict=True)]
        return (y * dy).sum() + sum(sums)

    slope, nearer = ((loss(step) - loss(-step)) / (2 * step) for step in (2e-6, 1e-6))
    assume(np.isclose(slope, nearer, rtol=1e-6, atol=1e-6))  # otherwise a kink lies between
    expected = (gradients.input * along_x).sum()
    expected += sum((gradients.parameters[name] * along[name]).sum() for name in own)
    np.testing.assert_allclose(slope, expected, rtol=1e-5, atol=1e-5)


@given(runs())
def test_saved_copied_and_pickled(run):
    model, x, steps = run
    expected = bits(*model(x, **steps))
    with tempfile.TemporaryDirectory() as folder:
        save(model, Path(folder) / "model")
        loaded = load(Path(folder) / "model")
    for other in (loaded, copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert repr(other) == repr(model)
        assert other.options() == model.options()
        assert bits(*other(x, **steps)) == expected
    rebuilt = eval(repr(model), dict(KINDS))
    assert repr(rebuilt) == repr(model)
    assert bits(*rebuilt.load_state_dict(model.parameters)(x, **steps)) == expected


@given(runs())
def test_streams_and_pools(run):
    model, x, _ = run
    by_step = x.swapaxes(0, 1) if model.batch_first else x
    if not model.is_causal:
        with pytest.raises(ValueError, match="model: expected one that runs forward in time"):
            model.stream()
        return
    y, final = model(x)
    stream, batch = model.stream(), model.stream(by_step.shape[1])
    for t, frames in enumerate(by_step):
        steps = y[:, t] if model.batch_first else y[t]
        assert bits(stream.step(frames[0])) == bits(steps[0])
        assert bits(batch.step(frames)) == bits(np.ascontiguousarray(steps))
    assert bits(batch.state) == bits(final)
    pool = StreamPool(model, by_step.shape[1])
    ids = [pool.open() for _ in range(by_step.shape[1])]
    assert bits(pool.feed(ids, x)) == bits(y)


@given(models())
def test_predicted_in_batches(model):
    rng = np.random.default_rng(0)
    x = [rng.standard_normal((length, 3)).astype(model.dtype) for length in (3, 5, 1, 5)]
    for sequence, y in zip(x, predict(model, x, batch_size=3), strict=True):
        assert bits(model(sequence)[0]) == bits(y)


@pytest.mark.parametrize("name", sorted(KINDS))
def test_every_option_is_an_attribute_that_stays(name):
    model = KINDS[name](3, 5)
    for option, known in options_of(name).items():
        assert getattr(model, option) == known.default
        with pytest.raises(AttributeError, match=f"{option}: expected to stay as this {name} was built"):
            setattr(model, option, known.default)
    assert model.options() == {}
    assert all(option in KINDS[name].__doc__ for option in options_of(name))


@pytest.mark.parametrize("name", sorted(KINDS))
def test_an_option_that_nobody_knows(name):
    with pytest.raises(TypeError, match="bidirektional: expected one of the options reverse"):
        KINDS[name](3, 5, bidirektional=True)
