"""Many threads at one thing, from the same moment on: each gets the bits that it would get alone.

Without an interpreter lock they really run at once; with one they take turns as often as can be had.
"""

import itertools
import pickle
import sysconfig
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from support_processes import python

import fastlstm
from fastlstm import _core
from fastlstm.config import use_product
from fastlstm.model.precision import rounded
from fastlstm.training import SGD, Adam, mean_squared_error

THREADS = 8
ROUNDS = 10
X = np.random.default_rng(0).standard_normal((12, 3, 6)).astype(np.float32)
LENGTHS = [12, 0, 7]

MODELS = {
    "lstm": lambda: fastlstm.LSTM(6, 24, 2, bidirectional=True, rng=0),
    "wide": lambda: fastlstm.LSTM(6, 160, rng=0),  # enough work for a second thread
    "normed": lambda: fastlstm.LSTM(6, 17, layer_norm=True, rng=0),
    "projected": lambda: fastlstm.LSTM(6, 17, proj_size=5, peepholes=True, rng=0),
    "heads": lambda: fastlstm.GRU(6, 16, heads=4, rng=0),
    "slstm": lambda: fastlstm.SLSTM(6, 9, rng=0),
    "rnn": lambda: fastlstm.RNN(6, 16, 2, dtype="float64", rng=0),
    "sequential": lambda: fastlstm.Sequential(
        fastlstm.Conv1d(6, 8, 3, rng=0),
        fastlstm.LSTM(8, 16, rng=1),
        fastlstm.GELU(),
        fastlstm.Linear(16, 4, rng=2),
    ),
}

pytestmark = pytest.mark.usefixtures("eager_threads", "threads")


def at_once(*functions):
    """Run each function on a thread of its own, all from the same moment on; return what they return."""
    start = threading.Barrier(len(functions))

    def run(function):
        start.wait()
        return function()

    with ThreadPoolExecutor(len(functions)) as pool:
        return list(pool.map(run, functions))


def evaluated(model):
    return model.run(X, lengths=LENGTHS)[0].tobytes()


def trained(model):
    y, _, tape = model.forward(X, lengths=LENGTHS)
    return y.tobytes() + bytes_of(tape.backward(np.ones_like(y)))


def used_by(tape, dy, **options):
    """Return the gradients of a tape; None where another has used it before."""
    try:
        return bytes_of(tape.backward(dy, **options))
    except RuntimeError as error:
        if "expected one backward for each forward" in str(error):
            return None
        raise


def bytes_of(gradients):
    return gradients.input.tobytes() + b"".join(part.tobytes() for part in gradients.parameters.values())


@pytest.mark.skipif(not sysconfig.get_config_var("Py_GIL_DISABLED"), reason="has an interpreter lock")
def test_importing_leaves_the_lock_off():
    rooms = ("estimators", "files", "plot", "predictors", "serve", "threadpool", "training", "interop.saving")
    imports = "\n".join(f"import fastlstm.{room}" for room in rooms)
    assert python(f"import sys\n{imports}\nprint(sys._is_gil_enabled())") == "False"


@pytest.mark.parametrize("name", MODELS)
def test_first_passes(name):
    """Nothing is packed yet."""
    _core.set_num_threads(2)
    expected = [evaluated(MODELS[name]()), trained(MODELS[name]())] * (THREADS // 2)
    for _ in range(ROUNDS):
        model = MODELS[name]()
        passes = [lambda: evaluated(model), lambda: trained(model)]  # noqa: B023
        assert at_once(*passes * (THREADS // 2)) == expected


@pytest.mark.parametrize("precision", ["int8", "bfloat16"])
def test_first_passes_of_fewer_bits(precision):
    layers = fastlstm.Embedding(9, 6, rng=0), fastlstm.LSTM(6, 24, rng=1), fastlstm.Linear(24, 3, rng=2)
    floats, indices = fastlstm.Sequential(*layers), np.arange(36).reshape(12, 3) % 9
    expected = fastlstm.quantize(floats, precision)(indices).tobytes()
    for _ in range(ROUNDS):
        model = fastlstm.quantize(floats, precision)
        assert set(at_once(*[lambda: model(indices).tobytes()] * THREADS)) == {expected}  # noqa: B023


@pytest.mark.parametrize("name", MODELS)
def test_one_tape_is_used_once(name):
    """One thread gets the gradients; the others are refused, and disturb no pass that has the memory next."""
    model = MODELS[name]()
    expected = trained(model)

    for _ in range(ROUNDS):
        y, _, tape = model.forward(X, lengths=LENGTHS)
        users = [lambda: used_by(tape, np.ones_like(y))] * (THREADS - 2)  # noqa: B023
        *used, first, second = at_once(*users, *[lambda: trained(model)] * 2)
        assert first == second == expected
        assert [gradients for gradients in used if gradients] == [expected[len(y.tobytes()) :]]


@pytest.mark.parametrize("name", MODELS)
def test_a_tape_that_is_kept(name):
    """All get the gradients, unless one takes the tape away meanwhile."""
    model = MODELS[name]()
    y, _, tape = model.forward(X, lengths=LENGTHS)
    dy = np.ones_like(y)
    expected = bytes_of(tape.backward(dy, keep=True))

    assert set(at_once(*[lambda: used_by(tape, dy, keep=True)] * THREADS)) == {expected}
    for _ in range(ROUNDS):
        _, _, tape = model.forward(X, lengths=LENGTHS)
        users = [lambda: used_by(tape, dy, keep=True)] * (THREADS - 1)  # noqa: B023
        *kept, last = at_once(*users, lambda: used_by(tape, dy))  # noqa: B023
        assert last == expected
        assert {*kept} <= {expected, None}


def test_settings_that_change_meanwhile():
    """Passes have the same bits whatever is set, and what is set is never read half, or gone."""
    model, stop = fastlstm.LSTM(16, 64, rng=0), threading.Event()
    x = np.random.default_rng(0).standard_normal((30, 4, 16)).astype(np.float32)

    def digest():
        y, _, tape = model.forward(x)
        assert np.isfinite(tape.backward(y).input).all()  # BLAS has other bits than the kernels
        return y.tobytes()

    def change(setting, values):
        for value in itertools.cycle(values):
            if stop.is_set():
                return
            # A new string each time: nobody else holds it.
            setting("".join(list(value)) if isinstance(value, str) else value)

    def run():
        try:
            return {digest() for _ in range(40)}
        finally:
            stop.set()

    def ask():
        while not stop.is_set():
            assert _core.current_isa() in _core.available_isas()
            assert _core.ways_of("int8")
            assert "threads" in fastlstm.show_config("dicts")

    expected, isa = digest(), _core.current_isa()
    try:
        results = at_once(
            run, run, run, ask, ask,
            lambda: change(fastlstm.set_num_threads, [1, 2]),
            *[lambda: change(use_product, ["blas", "kernels", "auto"])] * 2,
            *[lambda: change(_core.use_isa, [*_core.available_isas(), None])] * 2,
        )  # fmt: skip
    finally:
        use_product("auto")
        _core.use_isa(isa)
    assert results[:3] == [{expected}] * 3


def test_passes_while_another_thread_learns_with_rounded_weights():
    """Each pass has one kind of weights in all its layers."""
    model = fastlstm.LSTM(6, 24, 2, proj_size=5, rng=0)
    allowed = {evaluated(model), evaluated(fastlstm.quantize(model, "int8"))}
    stop = threading.Event()

    def round_often():
        while not stop.is_set():
            with rounded([model], "int8"):
                evaluated(model)

    def run():
        try:
            return {evaluated(model) for _ in range(300)}
        finally:
            stop.set()

    *seen, _ = at_once(run, run, round_often)
    assert set.union(*seen) <= allowed


def test_weights_that_are_borrowed():
    """Each thread lends its own."""
    model = fastlstm.LSTM(6, 24, rng=0)
    lent = [fastlstm.LSTM(6, 24, rng=seed).state_dict() for seed in range(THREADS)]
    expected = [model.run(X, weights=weights)[0].tobytes() for weights in lent]

    def run(weights):
        return [model.run(X, weights=weights)[0].tobytes() for _ in range(30)]

    results = at_once(*[lambda weights=weights: run(weights) for weights in lent])
    assert results == [[y] * 30 for y in expected]


def test_one_stream_whose_weights_change():
    """Who steps at the same time as others may be refused, and harms nothing."""
    model = fastlstm.LSTM(6, 24, 2, rng=0)
    stream, sets = model.stream(), [fastlstm.LSTM(6, 24, 2, rng=seed).state_dict() for seed in (0, 1)]

    def step():
        for x_t in X[:, 0].repeat(20, axis=0):
            try:
                stream.step(x_t)
                stream.state = stream.copy().state
            except RuntimeError as error:
                if "another is stepping this stream" not in str(error):
                    raise

    def change():
        for k in range(100):
            model.load_state_dict(sets[k % 2])

    at_once(*[step] * (THREADS - 2), *[change] * 2)
    model.load_state_dict(sets[0])
    stream.reset()
    assert np.array_equal(stream.feed(X[:, 0]), model(X[:, 0])[0])


@pytest.mark.parametrize("kind", [SGD, Adam])
def test_one_model_is_trained_by_several(kind):
    """What comes of it depends on who is first, but it is a model, and can be copied at any moment."""
    model = MODELS["sequential"]()
    optimizer = kind([model], lr=1e-3)

    def train():
        for _ in range(20):
            y, _, tape = model.forward(X, lengths=LENGTHS)
            optimizer.step([tape.backward(y).parameters])

    def copy():
        for _ in range(40):
            twin = pickle.loads(pickle.dumps(model))
            assert evaluated(twin) == evaluated(twin)
            optimizer.state_dict()

    at_once(*[train] * (THREADS // 2), *[copy] * 2)
    assert all(np.isfinite(array).all() for array in model.parameters.values())
    assert np.isfinite(model.run(X, lengths=LENGTHS)[0]).all()


def test_models_that_come_and_go():
    """Threads make, use and drop models, tapes and streams; their memory goes from one thread to another."""
    expected = {name: trained(make()) for name, make in MODELS.items()}
    left = []

    def use(first):
        for k in range(2 * len(MODELS)):
            name = [*MODELS][(first + k) % len(MODELS)]
            model = MODELS[name]()
            assert trained(model) == expected[name]
            left.append((model, model.forward(X)))
            if len(left) > THREADS:
                left.pop(0)

    at_once(*[lambda first=first: use(first) for first in range(THREADS)])


def test_fits_side_by_side():
    """Each thread fits a model of its own."""
    x = np.random.default_rng(0).standard_normal((24, 7, 6)).astype(np.float32)

    def run():
        layers = fastlstm.LSTM(6, 9, rng=0), fastlstm.LastStep(), fastlstm.Linear(9, 1, rng=1)
        model = fastlstm.Sequential(*layers)
        fastlstm.fit(model, (x, x[:, -1, :1]), mean_squared_error, epochs=2, batch_size=8, rng=0)
        return model(x.transpose(1, 0, 2)).tobytes()

    assert len(set(at_once(*[run] * THREADS))) == 1
