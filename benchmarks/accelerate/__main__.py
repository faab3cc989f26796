"""Are models of others faster with `accelerate`, and never slower? Beside the originals, taking turns.

Three models of different kinds: a tagger (embedding, both directions, linear), a language model of characters
(two layers), and a GRU that is stepped. Each over a grid of sizes and batches: in PyTorch in evaluation and
in training, and, exported by it, in ONNX Runtime in evaluation.

    python -m benchmarks.accelerate [torch | onnx] [--seconds 2] [--threads 2]

For each case so many seconds, and four times as long for one that seems slower: the shortest times count.
Each side has a process of its own, and its threads are asleep before the other's turn. Threads wait for each
other at every step: where others use the processor, too, one thread each is the fairer comparison.

asv imports all of `benchmarks` but this folder, which has no __init__.py: not all of its users have what this
imports.
"""

from __future__ import annotations

import argparse
import io
import math
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from multiprocessing import get_context
from multiprocessing.connection import Connection

import torch
from torch import Tensor, nn

import fastlstm

SLOWER = 1.02
"""How many times as long as the original none may take."""

TURN = 0.03
"""Seconds that each side has in turn."""

PAUSE = 0.02
"""Seconds between turns: threads of the side that was before spin for some of them."""

Run = Callable[[], object]


class Tagger(nn.Module):
    """A tag for each word of sentences."""

    def __init__(self, hidden_size: int) -> None:
        super().__init__()
        self.words = nn.Embedding(5000, 100)
        self.read = nn.LSTM(100, hidden_size, batch_first=True, bidirectional=True)
        self.tag = nn.Linear(2 * hidden_size, 20)

    def forward(self, words: Tensor) -> Tensor:
        return self.tag(self.read(self.words(words))[0])


class Language(nn.Module):
    """Scores for the character after each."""

    def __init__(self, hidden_size: int) -> None:
        super().__init__()
        self.characters = nn.Embedding(100, 64)
        self.read = nn.LSTM(64, hidden_size, num_layers=2)
        self.next = nn.Linear(hidden_size, 100)

    def forward(self, characters: Tensor) -> Tensor:
        return self.next(self.read(self.characters(characters))[0])


class Steps(nn.Module):
    """A GRU that sees what it gave the step before."""

    def __init__(self, hidden_size: int) -> None:
        super().__init__()
        self.read = nn.GRU(hidden_size, hidden_size)

    def forward(self, x: Tensor) -> Tensor:
        state = None
        for _ in range(20):
            x, state = self.read(x, state)
        return x


BATCHES = 1, 8, 32


def cases(training: bool) -> Iterator[tuple[str, nn.Module, Tensor]]:
    """Yield each case's name, its model and an input."""
    torch.manual_seed(0)
    ending = ", training" if training else ""
    for B in BATCHES:
        for H in (50, 100, 200):
            yield f"tagger, 25 words, H={H}, B={B}{ending}", Tagger(H), torch.randint(0, 5000, (B, 25))
        for H in (64, 128, 256):
            yield (
                f"2 layers, 50 characters, H={H}, B={B}{ending}",
                Language(H),
                torch.randint(0, 100, (50, B)),
            )
        for H in (32, 128, 256):
            yield f"GRU, 20 single steps, H={H}, B={B}{ending}", Steps(H), torch.randn(1, B, H)


def of_torch(threads: int) -> Iterator[tuple[str, Run, Run]]:
    """Yield each case, and what runs it in PyTorch, as it is and with `accelerate`."""
    from fastlstm.interop.torch import accelerate

    torch.set_num_threads(threads)
    for training in (False, True):
        for name, model, x in cases(training):
            faster, _ = accelerate(model)
            yield name, call(model, x, training), call(faster, x, training)


def call(model: nn.Module, x: Tensor, training: bool) -> Run:
    """Return one pass of a model, and back if it is trained."""

    def evaluate() -> None:
        with torch.no_grad():
            model(x)

    def train() -> None:
        model.zero_grad()
        model(x).square().mean().backward()

    return train if training else evaluate


def of_onnx(threads: int) -> Iterator[tuple[str, Run, Run]]:
    """Yield each case in evaluation, and what runs its graph: ONNX Runtime, and `accelerate`."""
    import onnxruntime

    from fastlstm.interop.onnx import accelerate

    def options(*, stops: bool) -> onnxruntime.SessionOptions:
        told = onnxruntime.SessionOptions()
        told.intra_op_num_threads = threads
        if stops:  # as `accelerate` has it by itself
            told.add_session_config_entry("session.force_spinning_stop", "1")
        return told

    for name, model, x in cases(training=False):
        file = io.BytesIO()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.onnx.export(
                model.eval(),
                (x,),
                file,
                dynamo=False,
                input_names=["x"],
                dynamic_axes={"x": {0: "a", 1: "b"}},
            )
        content, feeds = file.getvalue(), {"x": x.numpy()}
        session = onnxruntime.InferenceSession(
            content, options(stops=False), providers=["CPUExecutionProvider"]
        )
        faster = accelerate(content, options(stops=True))
        yield name, partial(session.run, None, feeds), partial(faster.run, None, feeds)


SIDES = {"torch": of_torch, "onnx": of_onnx}


def shortest(run: Run, seconds: float) -> float:
    """Return the shortest time of a call, of as many as end in so many seconds."""
    least, start, end = float("inf"), time.perf_counter(), time.perf_counter() + seconds
    while start < end:
        run()
        now = time.perf_counter()
        least, start = min(least, now - start), now
    return least


def take_turns(side: str, which: int, threads: int, caller: Connection) -> None:
    """Time the originals, 0, or what is accelerated, 1, case by case, whenever the caller sends seconds."""
    fastlstm.set_num_threads(threads)
    for name, *runs in SIDES[side](threads):
        caller.send(name)
        while seconds := caller.recv():
            caller.send(shortest(runs[which], seconds))
    caller.send("")


def best(sides: list[Connection], seconds: float) -> list[float]:
    """Return the shortest time of each side, taking turns for so many seconds in all."""
    least = [float("inf")] * len(sides)
    for _ in range(math.ceil(seconds / TURN / len(sides))):
        for k, side in enumerate(sides):
            time.sleep(PAUSE)
            side.send(TURN)
            least[k] = min(least[k], side.recv())
    return least


def compared(sides: list[Connection], seconds: float) -> list[float]:
    """Return the shortest times, of more tries if the second side seems to be slower than it may be."""
    theirs, ours = best(sides, seconds)
    if ours > SLOWER * theirs:
        again = best(sides, 4 * seconds)
        theirs, ours = min(theirs, again[0]), min(ours, again[1])
    return [theirs, ours]


def begin(side: str, which: int, threads: int) -> Connection:
    """Start a process for one side, and return the way to it."""
    context = get_context("fork")  # nothing here has threads yet
    here, there = context.Pipe()
    context.Process(target=take_turns, args=(side, which, threads, there), daemon=True).start()
    return here


def main() -> int:
    """Print a table; return how many cases are slower than they may be."""
    parser = argparse.ArgumentParser("python -m benchmarks.accelerate", description=__doc__.splitlines()[0])
    parser.add_argument("side", choices=SIDES, nargs="?", default="torch")
    parser.add_argument("--seconds", type=float, default=2, help="of each case (default: %(default)s)")
    parser.add_argument("--threads", type=int, default=2)
    given = parser.parse_args()
    sides = [begin(given.side, which, given.threads) for which in (0, 1)]
    slower = 0
    print(f"{given.side:48}{'original':>12}{'accelerated':>14}{'ratio':>8}")
    while any(names := [side.recv() for side in sides]):
        theirs, ours = compared(sides, given.seconds)
        for side in sides:
            side.send(0)
        slower += ours > SLOWER * theirs
        print(f"{names[0]:48}{1e3 * theirs:9.3f} ms{1e3 * ours:11.3f} ms{theirs / ours:8.2f}", flush=True)
    return slower


if __name__ == "__main__":
    sys.exit(main() > 0)
