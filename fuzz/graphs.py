"""`load` and `accelerate` of ONNX on any graph: a model or a session, or the sentence of a refusal."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import onnx

from fastlstm import (
    GRU,
    LSTM,
    RNN,
    SLSTM,
    Embedding,
    LastStep,
    LayerNorm,
    Linear,
    Sequential,
    Softmax,
    quantize,
)
from fastlstm.interop.onnx import accelerate, export, load, runtimes

from . import bounds

# ONNX Runtime isn't made for forged graphs, and crashes: what is tested is what comes before it.
runtimes.find_spec = lambda name: None

SENTENCE = ": expected "
ANY_BYTES = True
NUMBERS = (-(1 << 63), -1, 0, 1, 2, 3, 7, 1 << 20, 1 << 40)


def seeds() -> Iterator[bytes]:
    """Yield a file of each kind of graph."""
    for model, told in (
        (LSTM(2, 3, 2, bidirectional=True, batch_first=True, rng=0), {"lengths": True, "state": True}),
        (GRU(2, 3, reset_after=False, activations=["softsign", "elu"], clip=1.0, rng=0), {}),
        (RNN(2, 3, reverse=True, dtype="float64", rng=0), {"lengths": True}),
        (SLSTM(2, 3, rng=0), {}),
        (quantize(LSTM(2, 3, rng=0), "int8"), {}),
        (Sequential(Embedding(4, 2, rng=0), LSTM(2, 3, peepholes=True, rng=1), LayerNorm(3), LastStep()), {}),
        (Sequential(LSTM(2, 4, proj_size=2, rng=0), Linear(2, 2, rng=1), Softmax()), {}),
    ):
        yield export(model, **told).SerializeToString()


def mutated(content: bytes, rng: random.Random) -> bytes:
    """Return a graph with something else in a node or a tensor."""
    model = onnx.load_model_from_string(content)
    for _ in range(rng.randint(1, 4)):
        rng.choice(CHANGES)(model.graph, rng)
    return model.SerializeToString()


def _connect(graph: Any, rng: random.Random) -> None:
    names = [name for node in graph.node for name in (*node.input, *node.output)]
    node = rng.choice(graph.node)
    if node.input and rng.random() < 0.7:
        node.input[rng.randrange(len(node.input))] = rng.choice([*names, ""])
    else:
        node.input.append(rng.choice(names))


def _rename(graph: Any, rng: random.Random) -> None:
    rng.choice(graph.node).op_type = rng.choice(graph.node).op_type


def _tell(graph: Any, rng: random.Random) -> None:
    node = rng.choice([node for node in graph.node if node.attribute])
    attribute = rng.choice(node.attribute)
    attribute.i, attribute.f = rng.choice(NUMBERS), rng.choice([0.0, -1.0, 1e38, float("nan")])
    if attribute.ints:
        attribute.ints[rng.randrange(len(attribute.ints))] = rng.choice(NUMBERS)


def _reshape(graph: Any, rng: random.Random) -> None:
    tensor = rng.choice([tensor for tensor in graph.initializer if tensor.dims])
    tensor.dims[rng.randrange(len(tensor.dims))] = rng.choice(NUMBERS)


def _change_numbers(graph: Any, rng: random.Random) -> None:
    tensor = rng.choice([tensor for tensor in graph.initializer if tensor.raw_data])
    data = bytearray(tensor.raw_data)
    data[rng.randrange(len(data))] = rng.randrange(256)
    tensor.raw_data = bytes(data)


def _repeat(graph: Any, rng: random.Random) -> None:
    place = rng.randrange(len(graph.node))
    for _ in range(rng.choice([1, 1, 50])):
        graph.node.insert(place, rng.choice(graph.node))


def _remove(graph: Any, rng: random.Random) -> None:
    graph.node.remove(rng.choice(graph.node))


CHANGES = (_connect, _rename, _tell, _reshape, _change_numbers, _repeat, _remove)


def run(content: bytes) -> None:
    """Load a graph as a model, and as a session."""
    with bounds.in_proportion(content):
        for make in (load, accelerate):
            try:
                make(content)
            except ValueError as error:
                if SENTENCE not in str(error):
                    raise
