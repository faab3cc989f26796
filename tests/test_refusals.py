"""Every argument of every public call, given what nobody should give: a sentence that names it, or nothing.

What the sentences say of shapes and values is tested beside what refuses them.
"""

import re

import numpy as np
import pytest

import fastlstm
from fastlstm import decoding, training
from fastlstm.inspection import gradient_reach
from fastlstm.serve import Batcher

WRONG = {
    "None": None,
    "a string": "abc",
    "bytes": b"abc",
    "a number": 1.5,
    "nan": float("nan"),
    "a huge integer": 10**30,
    "a negative integer": -3,
    "a boolean": True,
    "an empty list": [],
    "a list of None": [None],
    "a list of strings": ["a", "b"],
    "a ragged list": [[1.0], [1.0, 2.0]],
    "an empty tuple": (),
    "a pair": (1, 2),
    "a dict": {},
    "a named string": {"weight": "abc"},
    "a set": {1},
    "a function": len,
    "a class": dict,
    "an object": object(),
    "strings": np.array(["a", "b"]),
    "objects": np.array([None, {}], object),
    "complex numbers": np.ones(2, complex),
    "a scalar": np.float64(2),
    "an array with an empty axis": np.zeros((0, 3)),
    "an array of four axes": np.zeros((2, 2, 2, 2), np.float32),
    "integers": np.array([[1, 2], [3, 4]]),
    "masked numbers": np.ma.masked_array(np.ones((4, 2, 3)), mask=np.eye(4, 6).reshape(4, 2, 3)),
}

X = np.ones((4, 2, 3), np.float32)


def lstm(**options):
    return fastlstm.LSTM(3, 5, rng=0, **options)


def embedded():
    return fastlstm.Sequential(fastlstm.Embedding(7, 3, rng=0), lstm())


def read():
    return fastlstm.Sequential(lstm(batch_first=True), fastlstm.LastStep(), fastlstm.Linear(5, 2, rng=0))


def graph():
    return fastlstm.Graph({"lstm": lstm(), "out": fastlstm.Linear(5, 2, rng=0)}, ["lstm", "out"])


def sayer():
    return fastlstm.Sequential(fastlstm.Embedding(5, 3, rng=0), lstm(), fastlstm.Linear(5, 5, rng=0))


def taped(model=lstm):
    return model().forward(X)[-1]


def adam():
    return training.Adam([fastlstm.Linear(1, 1, rng=0)])


def pool():
    streams = fastlstm.StreamPool(lstm(), 4)
    streams.open()
    return streams


def of_sequences(loss):
    return loss, {
        "output": X,
        "target": X,
        "lengths": [4, 3],
        "sample_weight": [1.0, 2.0],
        "batch_first": False,
    }


STATE = (np.zeros((1, 2, 5)), np.zeros((1, 2, 5)))
SIZES = {
    "num_layers": 2,
    "bias": True,
    "batch_first": False,
    "dropout": 0.5,
    "bidirectional": False,
    "rng": 0,
}
DATA = (X.transpose(1, 0, 2), np.zeros((2, 2)))

CALLS = {
    "LSTM": (fastlstm.LSTM, {"input_size": 3, "hidden_size": 5, **SIZES, "proj_size": 2, "dtype": "float32"}),
    "GRU": (fastlstm.GRU, {"input_size": 3, "hidden_size": 5, **SIZES, "reset_after": False}),
    "SLSTM": (fastlstm.SLSTM, {"input_size": 3, "hidden_size": 5, **SIZES}),
    "RNN": (fastlstm.RNN, {"input_size": 3, "hidden_size": 5, **SIZES, "nonlinearity": "relu"}),
    "quantize": (fastlstm.quantize, {"model": lstm(), "precision": "int8", "x_scale": 0.1}),
    "calibrate": (fastlstm.calibrate, {"data": X, "share": 1.0}),
    "LSTM()": (lstm(), {"x": X, "state": STATE, "lengths": [4, 3]}),
    "LSTM.forward": (lstm().forward, {"x": X, "state": STATE, "lengths": [4, 3]}),
    "LSTM.trace": (lstm().trace, {"x": X, "state": STATE, "lengths": [4, 3]}),
    "LSTM.load_state_dict": (lstm().load_state_dict, {"mapping": lstm().state_dict()}),
    "LSTM.update": (lstm().update, {"mapping": {}}),
    "LSTM.stream": (lstm().stream, {"batch_size": 2}),
    "Tape.backward": (
        lambda **k: taped().backward(**k),
        {"dy": None, "dstate": None, "input_gradient": True},
    ),
    "Trace[]": (lambda layer, direction: lstm().trace(X)[layer, direction], {"layer": 0, "direction": 0}),
    "Trace.sequence": (lstm().trace(X).sequence, {"b": 0}),
    "Stream.step": (lambda **k: lstm().stream().step(**k), {"x_t": X[0, 0], "out": np.empty(5, "f")}),
    "Stream.feed": (lambda **k: lstm().stream().feed(**k), {"x": X[:, 0]}),
    "Stream.state": (lambda state: setattr(lstm().stream(), "state", state), {"state": None}),
    "Embedding": (
        fastlstm.Embedding,
        {"num_embeddings": 7, "embedding_dim": 3, "padding_idx": 0, "dtype": "float32", "rng": 0},
    ),
    "Embedding()": (fastlstm.Embedding(7, 3, rng=0), {"x": [1, 2]}),
    "Linear": (fastlstm.Linear, {"in_features": 3, "out_features": 2, "bias": True, "dtype": "f", "rng": 0}),
    "Linear()": (fastlstm.Linear(3, 2, rng=0), {"x": X}),
    "Conv1d()": (fastlstm.Conv1d(3, 2, 2, rng=0), {"x": X, "lengths": [4, 2], "batch_first": False}),
    "Conv1d.lengths_after": (fastlstm.Conv1d(3, 2, 2, rng=0).lengths_after, {"lengths": [4, 2]}),
    "CRF.loss": (
        fastlstm.CRF(3, rng=0).loss,
        {"emissions": X, "tags": np.zeros((4, 2), int), "lengths": [4, 2], "batch_first": False},
    ),
    "CRF.decode": (
        fastlstm.CRF(3, rng=0).decode,
        {"emissions": X, "lengths": [4, 2], "batch_first": False},
    ),
    "ctc_greedy": (decoding.ctc_greedy, {"output": X, "lengths": [4, 2], "blank": 0, "batch_first": False}),
    "ctc_beam": (decoding.ctc_beam, {"output": X, "lengths": [4, 2], "beam": 2, "blank": 0}),
    "generate": (
        lambda **k: decoding.generate(sayer(), **k),
        {"state": None, "start": [1, 2], "end": 0, "most": 3},
    ),
    "BatchNorm1d()": (fastlstm.BatchNorm1d(3), {"x": X, "lengths": [4, 2], "batch_first": False}),
    "GroupNorm()": (fastlstm.GroupNorm(3, 3), {"x": X, "lengths": [4, 2], "batch_first": False}),
    "MaxPool1d()": (fastlstm.MaxPool1d(2), {"x": X, "lengths": [4, 2], "batch_first": False}),
    "Graph": (fastlstm.Graph, {"nodes": {"out": fastlstm.Linear(3, 2, rng=0)}, "outputs": "out"}),
    "Graph()": (graph(), {"x": X, "lengths": [4, 2]}),
    "LayerTape.backward": (lambda dy: fastlstm.Linear(3, 2).forward(X)[1].backward(dy), {"dy": None}),
    "LayerNorm": (fastlstm.LayerNorm, {"size": 3, "eps": 1e-5, "dtype": "float32"}),
    "Dropout": (fastlstm.Dropout, {"p": 0.5, "rng": 0}),
    "Tanh()": (fastlstm.Tanh(), {"x": X}),
    "LastStep()": (
        fastlstm.LastStep(),
        {"x": X, "lengths": [4, 3], "batch_first": False, "bidirectional": False},
    ),
    "Sequential": (lambda layers: fastlstm.Sequential(layers), {"layers": lstm()}),
    "Sequential()": (embedded(), {"x": np.ones((4, 2), int), "lengths": [4, 3]}),
    "Sequential.run": (embedded().run, {"x": np.ones((4, 2), int), "state": None, "lengths": [4, 3]}),
    "LayeredTape.backward": (
        lambda **k: taped(lambda: fastlstm.Sequential(lstm())).backward(**k),
        {"dy": None, "dstate": None, "input_gradient": True},
    ),
    "LayeredStream.step": (lambda **k: embedded().stream().step(**k), {"x_t": 1, "out": None}),
    "LayeredStream.feed": (lambda **k: embedded().stream().feed(**k), {"x": [1, 2]}),
    "StreamPool": (fastlstm.StreamPool, {"model": lstm(), "capacity": 4}),
    "StreamPool.step": (lambda **k: pool().step(**k), {"ids": [0], "x": X[0, :1], "out": None}),
    "StreamPool.feed": (lambda **k: pool().feed(**k), {"ids": [0], "x": X[:, :1], "lengths": [4]}),
    "StreamPool.restore": (lambda state: pool().restore(0, state), {"state": pool().state(0)}),
    "gradient_reach": (gradient_reach, {"model": lstm(), "x": X}),
    "set_num_threads": (fastlstm.set_num_threads, {"n": fastlstm.get_num_threads()}),
    "show_config": (fastlstm.show_config, {"mode": "dicts"}),
    "fit": (
        lambda **k: fastlstm.fit(read(), DATA, training.mean_squared_error, **{"epochs": 1} | k),
        {
            "optimizer": None,
            "schedule": None,
            "epochs": 1,
            "max_steps": 1,
            "batch_size": 2,
            "shuffle": True,
            "validation": None,
            "metrics": {},
            "patience": 1,
            "max_norm": 1.0,
            "bptt": None,
            "callbacks": [],
            "checkpoint_every": 1.0,
            "progress": False,
            "rng": 0,
            "comm": None,
        },
    ),
    "fit what": (
        lambda **k: fastlstm.fit(**k, epochs=1),
        {"model": read(), "data": DATA, "loss": training.mean_squared_error},
    ),
    "fit data": (
        lambda x, y, weight: fastlstm.fit(read(), (x, y, weight), training.mean_squared_error, epochs=1),
        {"x": DATA[0], "y": DATA[1], "weight": [1.0, 2.0]},
    ),
    "evaluate": (
        training.evaluate,
        {"model": read(), "data": DATA, "loss": training.mean_squared_error, "batch_size": 2, "bptt": None},
    ),
    "predict": (training.predict, {"model": read(), "x": DATA[0], "batch_size": 2}),
    "streams": (training.streams, {"x": np.arange(6.0), "count": 2}),
    "mean_squared_error": of_sequences(training.mean_squared_error),
    "huber_loss": (training.huber_loss, {"output": X, "target": X, "delta": 1.0, "mask": X > 0}),
    "binary_cross_entropy_with_logits": of_sequences(training.binary_cross_entropy_with_logits),
    "quantile_loss": (
        training.quantile_loss,
        {"output": X[..., :1], "target": X[..., 0], "quantiles": [0.5], "batch_first": False},
    ),
    "softmax_cross_entropy": (
        training.softmax_cross_entropy,
        {"output": X, "target": np.zeros((4, 2), int), "weight": [1.0, 1.0, 1.0], "batch_first": False},
    ),
    "linear_softmax_cross_entropy": (
        training.linear_softmax_cross_entropy,
        {"linear": fastlstm.Linear(3, 3, rng=0), "x": X, "target": np.zeros((4, 2), int)},
    ),
    "ctc_loss": (
        training.ctc_loss,
        {
            "output": X,
            "target": [[1], [2]],
            "lengths": [4, 3],
            "target_lengths": [1, 1],
            "blank": 0,
            "batch_first": False,
        },
    ),
    "clip_gradient_norm": (training.clip_gradient_norm, {"gradients": [{"a": np.ones(2)}], "max_norm": 1.0}),
    "SGD": (
        training.SGD,
        {"models": [lstm()], "lr": 0.1, "momentum": 0.9, "weight_decay": 0.0, "nesterov": True},
    ),
    "Adam": (
        training.Adam,
        {"models": [lstm()], "lr": 0.1, "betas": (0.9, 0.99), "eps": 1e-8, "weight_decay": 0.0},
    ),
    "RMSprop": (
        training.RMSprop,
        {"models": [lstm()], "alpha": 0.9, "eps": 1e-8, "momentum": 0.1, "centered": True},
    ),
    "Adagrad": (
        training.Adagrad,
        {"models": [lstm()], "lr_decay": 0.0, "initial_accumulator_value": 0.0, "eps": 1e-8},
    ),
    "Optimizer.step": (lambda **k: adam().step(**k), {"gradients": [{"bias": np.ones(1)}]}),
    "Optimizer.load_state_dict": (lambda **k: adam().load_state_dict(**k), {"mapping": adam().state_dict()}),
    "CosineSchedule": (
        training.CosineSchedule,
        {"optimizer": adam(), "total_steps": 5, "warmup_steps": 1, "final_lr": 0.0},
    ),
    "StepSchedule": (training.StepSchedule, {"optimizer": adam(), "step_size": 5, "gamma": 0.5}),
    "OneCycleSchedule": (
        training.OneCycleSchedule,
        {"optimizer": adam(), "max_lr": 1.0, "total_steps": 5, "pct_start": 0.3, "div_factor": 2.0},
    ),
    "PlateauSchedule": (
        training.PlateauSchedule,
        {"optimizer": adam(), "factor": 0.5, "patience": 1, "threshold": 0.1, "cooldown": 1, "min_lr": 0.0},
    ),
    "Schedule.load_state_dict": (
        lambda **k: training.StepSchedule(adam(), 5).load_state_dict(**k),
        {"mapping": {"base_lr": 1.0, "steps": 1}},
    ),
    "ExponentialAverage": (training.ExponentialAverage, {"model": lstm(), "decay": 0.9}),
    "EqualAverage": (training.EqualAverage, {"model": lstm()}),
    "EqualAverage.load_state_dict": (training.EqualAverage(lstm()).load_state_dict, {"mapping": {}}),
    "Averaging": (training.Averaging, {"average": training.EqualAverage(lstm())}),
    "History": (training.History, {"records": {"loss": [1.0]}}),
    "Batcher": (
        Batcher,
        {"model": lstm(), "max_batch": 4, "max_delay": 0.001, "max_queue": 4, "max_steps": 9},
    ),
    "Batcher.submit": (lambda x: Batcher(lstm()).submit(x), {"x": X[:, 0]}),
}

CASES = [(call, argument) for call, (_, arguments) in CALLS.items() for argument in arguments]

OTHER_NAMES = {
    ("fit data", "x"): "data x",
    ("fit data", "y"): "data y|target",
    ("fit data", "weight"): "data sample_weight",
    ("predict", "x"): "data x",
    ("Trace[]", "layer"): "layer, direction",
    ("LayeredStream.step", "x_t"): "x_t|x",
}
"""What sentences call an argument, if not by its own name."""

CALLED = {"optimizer", "schedule", "data", "loss"}
"""Arguments that may be functions of the caller's own, which raise what they raise."""


@pytest.mark.parametrize(("call", "argument"), CASES)
@pytest.mark.filterwarnings("ignore:dropout")
def test_a_sentence_that_names_the_argument(call, argument, threads):
    function, arguments = CALLS[call]
    bare = []
    for kind, value in WRONG.items():
        if callable(value) and argument in CALLED:
            continue
        try:
            function(**arguments | {argument: value})
        except (TypeError, ValueError) as error:
            names = [OTHER_NAMES.get((call, name), name) for name in arguments]  # two may not fit each other
            sentence = rf"({'|'.join(names)})\b[^:]*: expected .+(, got |missing |surplus )"
            if not re.match(sentence, str(error), re.DOTALL):
                bare.append((kind, str(error)))
        except Exception as error:
            bare.append((kind, repr(error)))
    assert not bare


def test_the_table_knows_every_public_call():
    public = {
        name
        for name in (*fastlstm.__all__, *training.__all__)
        if callable(getattr(fastlstm, name, None) or getattr(training, name))
    }
    known = {call.split(".")[0].removesuffix("()") for call in CALLS}
    alike = {
        "Add",
        "AttentionPool",
        "AvgPool1d",
        "ELU",
        "GELU",
        "LeakyReLU",
        "SiLU",
        "TorchLastStep",
        "Concat",
        "Multiply",
        "ReLU",
        "Sigmoid",
        "Softmax",
        "LogSoftmax",
        "MaxOverTime",
        "MeanOverTime",
        "AdamW",
        "Tanh",
        "LastStep",
    }
    elsewhere = {"load", "save", "get_include", "get_library", "get_num_threads", "Callback", "Progress"}
    assert public <= known | alike | elsewhere
