"""fit: what it learns from, what it records, how it stops and goes on."""

import re
import signal

import numpy as np
import pytest
from support_fit import LENGTHS, StopAfter, readout_model, sequences, step_targets, steps_model, weights

from fastlstm import GRU, LSTM, RNN, SLSTM, Embedding, LastStep, Linear, Sequential
from fastlstm.training import (
    SGD,
    Adam,
    CosineSchedule,
    PlateauSchedule,
    StepSchedule,
    clip_gradient_norm,
    ctc_loss,
    evaluate,
    fit,
    mean_squared_error,
    softmax_cross_entropy,
    streams,
)

# What it does is what a loop by hand does


@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("dense", [False, True])
def test_a_loop_by_hand(batch_first, dense):
    x = sequences([4] * 5 if dense else [4, 2, 1, 4, 3])
    y = step_targets(x)
    fitted, by_hand = steps_model("float64", batch_first), steps_model("float64", batch_first)
    history = fit(fitted, (x, y), mean_squared_error, epochs=3, batch_size=2, shuffle=False)
    adam, epoch_losses = Adam([by_hand]), []
    for _ in range(3):
        total = count = 0.0
        for chosen in ([0, 1], [2, 3], [4]):
            lengths = [len(x[k]) for k in chosen]
            padded, target = (np.zeros((max(lengths), len(chosen), size)) for size in (3, 2))
            for place, k in enumerate(chosen):
                padded[: len(x[k]), place], target[: len(x[k]), place] = x[k], y[k]
            if batch_first:
                padded, target = padded.swapaxes(0, 1), target.swapaxes(0, 1)
            output, _, tape = by_hand.forward(padded, lengths=lengths)
            value, doutput = mean_squared_error(output, target, lengths, batch_first=batch_first)
            gradients = dict(tape.backward(doutput).parameters)
            clip_gradient_norm([gradients], 1.0)
            adam.step([gradients])
            total, count = total + value * sum(lengths), count + sum(lengths)
        epoch_losses.append(total / count)
    for name, array in by_hand.parameters.items():
        np.testing.assert_allclose(fitted.parameters[name], array, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(history["loss"], epoch_losses, rtol=1e-9)


@pytest.mark.parametrize(
    "model",
    [LSTM(3, 2, rng=0), RNN(3, 2, rng=0), GRU(3, 2, rng=0), SLSTM(3, 2, rng=0), steps_model()],
    ids=repr,
)
def test_learns_at_each_step(model):
    x = sequences()
    y = [0.3 * sequence[:, :2] for sequence in x]
    history = fit(
        model, (x, y), mean_squared_error, optimizer=lambda models: Adam(models, lr=0.03), epochs=30, rng=0
    )
    assert history["loss"][-1] < 0.5 * history["loss"][0]
    assert history.stopped == "finished"
    assert history.epochs == 30
    assert history["steps_per_second"][0] > 0


def test_targets_without_axes_in_either_layout():
    x, y = sequences(), np.arange(len(LENGTHS)) % 2
    losses = [
        fit(readout_model(batch_first=batch_first), (x, y), softmax_cross_entropy, epochs=1, rng=0)["loss"]
        for batch_first in (False, True)
    ]
    assert losses[0] == losses[1]


def test_learns_one_target_a_sequence():
    rng = np.random.default_rng(0)
    x = sequences(rng.integers(1, 9, 60).tolist())
    y = np.array([int(sequence[-1, 0] > 0) for sequence in x])
    model = Sequential(LSTM(3, 8, rng=0), LastStep(), Linear(8, 2, rng=0))

    def accuracy(outputs, targets):
        return np.mean([output.argmax() == target for output, target in zip(outputs, targets, strict=True)])

    history = fit(
        model,
        (x, y),
        softmax_cross_entropy,
        optimizer=lambda models: Adam(models, lr=0.02),
        epochs=25,
        batch_size=8,
        validation=(x, y),
        metrics={"accuracy": accuracy},
        rng=0,
    )
    assert history["val_accuracy"][-1] > 0.95
    assert history["val_loss"][-1] == pytest.approx(evaluate(model, (x, y), softmax_cross_entropy), rel=1e-6)


def test_learns_indices():
    text = np.tile(np.arange(5), 40)
    model = Sequential(Embedding(5, 4, rng=0), LSTM(4, 8, rng=0), Linear(8, 5, rng=0))
    x, y = streams(text[:-1], 4), streams(text[1:], 4)
    assert x.shape == (4, 49)
    history = fit(
        model, (x, y), softmax_cross_entropy, optimizer=lambda m: Adam(m, lr=0.05), epochs=8, bptt=10
    )
    assert history["loss"][-1] < 0.1


def test_learns_labels_without_times():
    rng = np.random.default_rng(0)
    y = [rng.integers(1, 3, rng.integers(1, 3)) for _ in range(12)]
    x = [np.repeat(np.eye(3)[labels], 3, axis=0) for labels in y]
    model = Sequential(LSTM(3, 8, rng=0), Linear(8, 3, rng=0))
    history = fit(
        model, (x, y), ctc_loss, optimizer=lambda m: Adam(m, lr=0.03), epochs=30, batch_size=4, rng=0
    )
    assert history["loss"][-1] < 0.2 * history["loss"][0]


def test_the_last_linear_is_one_with_the_loss(monkeypatch):
    """With cross-entropy the logits exist some at a time; a loss that is not recognised gives the same."""
    x = [np.arange(6) % 4, np.arange(3)]
    y = [np.arange(1, 7) % 4, np.arange(1, 4)]

    def model():
        return Sequential(
            Embedding(4, 3, rng=0), LSTM(3, 4, dtype="float64", rng=0), Linear(4, 4, dtype="float64", rng=0)
        )

    fused, apart = model(), model()

    def same(*arguments, **options):
        return softmax_cross_entropy(*arguments, **options)

    one = fit(fused, (x, y), softmax_cross_entropy, epochs=3, rng=0)
    other = fit(apart, (x, y), same, epochs=3, rng=0)
    np.testing.assert_allclose(one["loss"], other["loss"], rtol=1e-6)
    for name, array in apart.parameters.items():
        np.testing.assert_allclose(fused.parameters[name], array, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("kind", ["steps", "readout", "labels"])
def test_a_weight_of_two_counts_twice(kind):
    x = sequences([4, 3, 5])
    if kind == "steps":
        model, y, loss = steps_model, step_targets(x), mean_squared_error
    elif kind == "readout":
        model, y, loss = readout_model, [0, 1, 1], softmax_cross_entropy
    else:
        model, y, loss = steps_model, [[1], [1], [1, 1]], ctc_loss
    weighted, repeated = model(), model()
    one = fit(
        weighted, (x, y, [2, 0, 1]), loss, epochs=2, batch_size=3, shuffle=False, validation=(x, y, [2, 0, 1])
    )
    twice = [x[0], x[0], x[2]], [y[0], y[0], y[2]]
    other = fit(repeated, twice, loss, epochs=2, batch_size=3, shuffle=False, validation=twice)
    np.testing.assert_allclose(one["loss"], other["loss"], rtol=1e-5)
    np.testing.assert_allclose(one["val_loss"], other["val_loss"], rtol=1e-5)


def test_a_linear_layer_as_first_and_only():
    x = np.random.default_rng(0).standard_normal((5, 4, 3))
    model = Sequential(Linear(3, 2, rng=0))
    history = fit(model, (x, x[..., :2]), mean_squared_error, optimizer=lambda m: SGD(m, lr=0.3), epochs=20)
    assert history["loss"][-1] < 0.3 * history["loss"][0]


# Stopping


def test_patience_gives_the_best_weights_back():
    x, seen = sequences(), []
    model = steps_model()
    history = fit(
        model,
        (x, step_targets(x)),
        mean_squared_error,
        validation=(x, step_targets(x, seed=2)),
        optimizer=lambda m: Adam(m, lr=0.5),
        epochs=100,
        patience=3,
        callbacks=[lambda progress: seen.append(weights(progress.model))],
        rng=0,
    )
    best = int(np.argmin(history["val_loss"])) + 1
    assert history.stopped == "patience"
    assert history.best_epoch == best
    assert history.epochs == best + 3
    assert weights(model) == seen[best - 1]
    assert weights(model) != seen[-1]


def test_a_callback_stops():
    x = sequences()
    history = fit(
        steps_model(),
        (x, step_targets(x)),
        mean_squared_error,
        callbacks=[lambda progress: progress.stop("enough")],
    )
    assert (history.stopped, history.epochs) == ("enough", 1)


def test_most_steps(tmp_path):
    """An epoch that is cut short is recorded; with more steps it is gone on with, as if never cut."""
    x = sequences([3] * 20)
    data, path = (x, step_targets(x)), tmp_path / "run"
    options = {"epochs": 5, "batch_size": 4, "rng": 0, "validation": data}
    unbroken, cut = steps_model(), steps_model()
    history = fit(unbroken, data, mean_squared_error, max_steps=12, **options)
    assert (history.steps, history.epochs, history.stopped) == (12, 3, "finished")
    assert len(history["val_loss"]) == 3
    fit(cut, data, mean_squared_error, max_steps=7, checkpoint=path, **options)
    assert (
        fit(cut, data, mean_squared_error, max_steps=12, checkpoint=path, **options)["loss"]
        == history["loss"]
    )
    assert weights(cut) == weights(unbroken)
    whole = fit(steps_model(), data, mean_squared_error, max_steps=10, **options)
    assert (whole.steps, whole.epochs) == (10, 2)


def test_fresh_data_each_epoch(tmp_path):
    def data(epoch):
        x = sequences([4, 2, 3], seed=epoch)
        return x, step_targets(x, seed=epoch)

    seen = []
    unbroken = steps_model()
    fit(unbroken, data, mean_squared_error, epochs=3, rng=0)
    broken = steps_model()
    for epochs in (1, 2, 3):
        fit(broken, data, mean_squared_error, epochs=epochs, rng=0, checkpoint=tmp_path / "run")
        seen.append(weights(broken))
    assert weights(broken) == weights(unbroken)
    assert seen[0] != seen[1]


def test_ctrl_c_ends_after_the_step():
    x = sequences([3] * 20)
    model = steps_model()
    history = fit(
        model, (x, step_targets(x)), mean_squared_error, batch_size=2, callbacks=[StopAfter(13)], rng=0
    )
    assert history.stopped == "interrupted"
    assert history.epochs == 1
    assert weights(model) != weights(steps_model())
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.mark.parametrize("epochs", [1, 2])
def test_ctrl_c_while_an_epoch_ends_is_not_forgotten(epochs):
    x = sequences([3] * 4)

    def interrupt(progress):
        signal.raise_signal(signal.SIGINT)

    history = fit(
        steps_model(), (x, step_targets(x)), mean_squared_error, epochs=epochs, callbacks=[interrupt]
    )
    assert history.stopped == "interrupted"
    with pytest.raises(KeyboardInterrupt):
        history.or_interrupt()


def test_a_history_that_was_not_interrupted_goes_on():
    x = sequences([3] * 4)
    history = fit(steps_model(), (x, step_targets(x)), mean_squared_error, epochs=1)
    assert history.or_interrupt() is history


def test_two_ctrl_c_end_at_once():
    x = sequences([3] * 20)
    with pytest.raises(KeyboardInterrupt):
        fit(
            steps_model(),
            (x, step_targets(x)),
            mean_squared_error,
            callbacks=[StopAfter(1), StopAfter(1)],
        )
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_loss_that_is_no_number_says_where():
    x = sequences([3] * 4)
    x[2][1, 0] = np.nan
    model = steps_model()
    with pytest.raises(FloatingPointError, match=r"loss is nan in epoch 1, step 2: x has numbers"):
        fit(model, (x, step_targets(x)), mean_squared_error, batch_size=2, shuffle=False)
    assert all(np.isfinite(array).all() for array in model.parameters.values())


def test_a_rate_that_is_too_large_says_what_to_try():
    x = sequences([3] * 4)
    model = Sequential(Linear(3, 2, rng=0))
    sentence = r"loss is inf in epoch \d+, step 1; .* Try a smaller rate than 1e\+20, or a smaller max_norm"
    with np.errstate(all="ignore"), pytest.raises(FloatingPointError, match=sentence):
        fit(
            model,
            (x, step_targets(x)),
            mean_squared_error,
            optimizer=lambda m: SGD(m, lr=1e20),
            max_norm=None,
        )
    assert all(np.isfinite(array).all() for array in model.parameters.values())


# Rates


def test_schedules():
    x = sequences([3] * 4)
    data = x, step_targets(x)
    history = fit(steps_model(), data, mean_squared_error, schedule=CosineSchedule, epochs=4, batch_size=2)
    assert history["lr"][-1] == 0
    assert history["lr"] == sorted(history["lr"], reverse=True)
    adam = Adam([model := steps_model()], lr=1.0)
    schedule = StepSchedule(adam, 4, 0.5)
    history = fit(model, data, mean_squared_error, optimizer=adam, schedule=schedule, epochs=4, batch_size=2)
    assert history["lr"] == [1.0, 0.5, 0.5, 0.25]
    history = fit(
        steps_model(),
        data,
        lambda output, target, **options: (1.0, np.zeros_like(output)),
        schedule=lambda optimizer, total: PlateauSchedule(optimizer, factor=0.1, patience=1),
        epochs=4,
    )
    np.testing.assert_allclose(history["lr"], [1e-3, 1e-3, 1e-3, 1e-4])


# Bad input


X = sequences([2, 3])
Y = step_targets(X)


@pytest.mark.parametrize(
    ("arguments", "options", "error", "sentence"),
    [
        (
            (None, (X, Y), mean_squared_error),
            {},
            TypeError,
            "model: expected LSTM, RNN, GRU, SLSTM or Sequential, got NoneType",
        ),
        ((steps_model(), (X, Y), "mse"), {}, TypeError, "loss: expected a function such as"),
        (
            (steps_model(), X[0], mean_squared_error),
            {},
            TypeError,
            "data: expected (x, y) or (x, y, sample_weight), got",
        ),
        (
            (steps_model(), ([], []), mean_squared_error),
            {},
            ValueError,
            "data x: expected at least one sequence",
        ),
        (
            (steps_model(), (X, Y[:1]), mean_squared_error),
            {},
            ValueError,
            "data y: expected one for each of 2",
        ),
        (
            (steps_model(), (X, [Y[0], Y[1][:2]]), mean_squared_error),
            {},
            ValueError,
            "data y[1]: expected a target for each of 3 steps, of shape (2,), got shape (2, 2)",
        ),
        (
            (steps_model(), ([X[0], X[1][:, :2]], Y), mean_squared_error),
            {},
            ValueError,
            "data x[1]: expected shape (T, 3), got (3, 2)",
        ),
        (
            (steps_model(), ([X[0], [[1, 2, 3]]], Y), mean_squared_error),
            {},
            TypeError,
            "data x[1]: expected an array of floats",
        ),
        (
            (readout_model(), (X, [0, [1]]), softmax_cross_entropy),
            {},
            ValueError,
            "data y[1]: expected shape () as the first",
        ),
        (
            (readout_model(), (X, [0, 1.5]), softmax_cross_entropy),
            {},
            TypeError,
            "data y[1]: expected int64 as the first",
        ),
        (
            (steps_model(), (X, Y, [1, -1]), mean_squared_error),
            {},
            ValueError,
            "sample_weight: expected finite numbers of at least 0, got -1",
        ),
        (
            (steps_model(), (X, Y, [1]), mean_squared_error),
            {},
            ValueError,
            "sample_weight: expected shape (2,), got (1,)",
        ),
        (
            (steps_model(), (X, Y), mean_squared_error),
            {"epochs": 0},
            ValueError,
            "epochs: expected an integer of at least 1",
        ),
        (
            (steps_model(), (X, Y), mean_squared_error),
            {"batch_size": 1.5},
            TypeError,
            "batch_size: expected an integer",
        ),
        (
            (steps_model(), (X, Y), mean_squared_error),
            {"optimizer": 3},
            TypeError,
            "optimizer: expected an Optimizer",
        ),
        (
            (steps_model(), (X, Y), mean_squared_error),
            {"optimizer": Adam([LSTM(1, 1)])},
            ValueError,
            "optimizer: expected one of [model]",
        ),
        (
            (steps_model(), (X, Y), mean_squared_error),
            {"schedule": 3},
            TypeError,
            "schedule: expected a Schedule",
        ),
        (
            (steps_model(), (X, Y), mean_squared_error),
            {"callbacks": [3]},
            TypeError,
            "callbacks: expected Callback objects or functions",
        ),
        (
            (steps_model(), (X, Y), mean_squared_error),
            {"validation": (X, Y[:1])},
            ValueError,
            "validation y: expected one for each",
        ),
        (
            (steps_model(), (X, Y), mean_squared_error),
            {"metrics": {"a": len}},
            ValueError,
            "metrics: expected validation data",
        ),
        (
            (readout_model(), (X, [0, 1]), softmax_cross_entropy),
            {"bptt": 2},
            ValueError,
            "bptt: expected None for a model with a readout",
        ),
        (
            (LSTM(3, 1, bidirectional=True), (X, Y), mean_squared_error),
            {"bptt": 2},
            ValueError,
            "bptt: expected None",
        ),
        (
            (steps_model(), (X, Y, [0.0, 0.0]), mean_squared_error),
            {},
            ValueError,
            "data sample_weight: expected a number above 0 among them, got zeros alone",
        ),
        (
            (steps_model(), (X, Y, [1.0, float("inf")]), mean_squared_error),
            {},
            ValueError,
            "data sample_weight: expected finite numbers of at least 0, got inf",
        ),
        (
            (LSTM(1, 2), ([[1, 2, 3]], [[1.0, 2.0, 3.0]]), mean_squared_error),
            {},
            TypeError,
            "data x[0]: expected an array of floats, got dtype int64: indices are for",
        ),
        (
            (Sequential(Embedding(3, 2), LSTM(2, 2)), ([[1.0, 2.0]], [[[1.0, 1.0]] * 2]), mean_squared_error),
            {},
            TypeError,
            "data x[0]: expected an array of integers, as the model begins with an Embedding",
        ),
        (
            (readout_model(), (X, ["cat", "dog"]), softmax_cross_entropy),
            {},
            TypeError,
            "data y[0]: expected an array of integers, got dtype <U3; numpy.unique(..., return_inverse=True)",
        ),
        (
            (steps_model(), (X, Y), lambda output, target, **options: 1.0),
            {},
            TypeError,
            "loss: expected a function that returns its value and its gradient, got one that returns float",
        ),
        (
            (steps_model(), (X, Y), lambda output, target, **options: (None, output)),
            {},
            TypeError,
            "loss: expected a number as its value, got NoneType",
        ),
        (
            (steps_model(), (X, Y), lambda output, target, **options: (1.0, output[:1])),
            {},
            ValueError,
            "loss's gradient: expected shape",
        ),
        (
            (steps_model(), (X, Y), mean_squared_error),
            {"callbacks": print},
            TypeError,
            "callbacks: expected a list of Callback objects or functions, got <built-in function print>",
        ),
        (
            (steps_model(), (X, Y), mean_squared_error),
            {"shuffle": "no"},
            TypeError,
            "shuffle: expected True or False, got 'no'",
        ),
        (
            (steps_model(), (X, Y), mean_squared_error),
            {"rng": "a"},
            TypeError,
            "rng: expected a numpy.random.Generator, a seed or None, got 'a'",
        ),
        (
            (steps_model(), (X, Y), mean_squared_error),
            {"progress": 3},
            TypeError,
            "progress: expected True, False, None or a string, got 3",
        ),
        (
            (steps_model(), (X, Y), mean_squared_error),
            {"comm": 3},
            TypeError,
            "comm: expected an mpi4py communicator",
        ),
        (
            (steps_model(), (X, Y), mean_squared_error),
            {"max_norm": 0},
            ValueError,
            "max_norm: expected a number above 0",
        ),
        (
            (steps_model(), (X, Y), mean_squared_error),
            {"patience": 0},
            ValueError,
            "patience: expected an integer of at least 1",
        ),
    ],
)
def test_refusals(arguments, options, error, sentence):
    with pytest.raises(error, match=re.escape(sentence)):
        fit(*arguments, **options)


def test_evaluate_refuses_what_can_not_be_cut():
    backwards = LSTM(3, 1, bidirectional=True, rng=0)
    with pytest.raises(ValueError, match="bptt: expected None for a model with a readout or two directions"):
        evaluate(backwards, (X, Y), mean_squared_error, bptt=2)


def test_streams_refuses():
    with pytest.raises(ValueError, match=re.escape("x: expected at least 3 steps, got shape (2,)")):
        streams(np.ones(2), 3)


def test_history_draws_itself():
    x = sequences()
    history = fit(
        steps_model(), (x, step_targets(x)), mean_squared_error, epochs=2, validation=(x, step_targets(x))
    )
    legend = history.plot().get_legend()
    assert [text.get_text() for text in legend.get_texts()] == ["loss", "val_loss"]
    assert re.search(r"2 epochs in .* s, finished; last loss", repr(history))


def test_bar(capsys):
    x = sequences()
    fit(steps_model(), (x, step_targets(x)), mean_squared_error, epochs=2, batch_size=2)
    assert capsys.readouterr().err == ""
    fit(steps_model(), (x, step_targets(x)), mean_squared_error, epochs=2, batch_size=2, progress=True)
    shown = capsys.readouterr().err
    assert "epoch 2/2" in shown
    assert "100%" in shown
    assert "real steps/s" in shown
