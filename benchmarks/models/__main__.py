"""Published models beside their ports in examples/models, taking turns: best and median time, and lines.

    python -m benchmarks.models [MODEL ...] [--seconds 3] [--threads 1]

Each pair runs for so many seconds. What is not installed is left out and named; docs/models.md says how
each is installed. PyTorch has as many threads as fastlstm; the sessions of silero-vad have one, as its own
wrapper sets them.

asv imports all of `benchmarks` but this folder, which has no __init__.py: not all of its users have what this
imports.
"""

from __future__ import annotations

import argparse
import ast
import os
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median

import numpy as np

os.environ.setdefault("KERAS_BACKEND", "torch")

import fastlstm
from tests import support_models
from tests.support_models import CHINESE, FOLDER, JAPANESE, PERSIAN, frames_of, port

Call = Callable[[], object]
Pair = tuple[str, str, Call | None, Call]
"""What is timed, in words; the port's file; the original's call, where there is one to time; the port's."""


def each(
    theirs: Callable[[str], object], ours: Callable[[str], object], given: list[str]
) -> tuple[Call, Call]:
    """Return what calls both for each of some texts."""
    return lambda: [theirs(text) for text in given], lambda: [ours(text) for text in given]


def g2pm() -> Iterator[Pair]:
    import g2pM

    theirs, ours = g2pM.G2pM(), port("g2pm").G2pM()
    yield "g2pM: a page of Chinese", "g2pm", *each(theirs, ours, CHINESE)


def nagisa() -> Iterator[Pair]:
    import nagisa

    def tagged(tagger) -> list[str]:
        return [tagger.tagging(text).postags for text in JAPANESE]

    ours = port("nagisa").Tagger()
    yield "nagisa: a page of Japanese", "nagisa", lambda: tagged(nagisa), lambda: tagged(ours)


def silero_vad() -> Iterator[Pair]:
    module = port("silero_vad")
    frames = frames_of(support_models.speech())
    theirs = support_models.SileroVAD(module.FILE)
    ours, k = module.SileroVAD(), 0

    def step(model) -> float:
        nonlocal k
        k = (k + 1) % len(frames)
        return model.step(frames[k])

    yield "silero-vad: a step", "silero_vad", lambda: step(theirs), lambda: step(ours)
    sound = frames.ravel()
    said = f"silero-vad: {len(sound) / 16000:.0f} s of speech, whole"
    yield said, "silero_vad", lambda: [theirs.step(frame) for frame in frames], lambda: ours(sound)


def resemblyzer() -> Iterator[Pair]:
    import torch

    theirs, ours = support_models.original_resemblyzer(), port("resemblyzer").VoiceEncoder()
    mels = np.stack([support_models.mel_spectrogram(support_models.speech())[:160]] * 4)
    given = torch.from_numpy(mels)

    @torch.no_grad()
    def called() -> object:
        return theirs(given)

    yield "Resemblyzer: 4 pieces of 1.6 s", "resemblyzer", called, lambda: ours(mels)


def textgenrnn() -> Iterator[Pair]:
    module = port("textgenrnn")
    x = support_models.last_letters(module.VOCABULARY, ["What is the best way to learn a language"])
    theirs, ours = support_models.InKeras(module.FOLDER / "textgenrnn_weights.hdf5"), module.load()
    yield "textgenrnn: a letter (Keras on PyTorch)", "textgenrnn", lambda: theirs(x), lambda: ours(x)


def g2p_fa() -> Iterator[Pair]:
    import g2p_fa

    theirs, ours = g2p_fa.G2P_Fa(), port("g2p_fa").G2pFa()
    theirs.model.eval()
    yield "g2p_fa: 12 words", "g2p_fa", *each(theirs, ours, PERSIAN)


def g2p_en() -> Iterator[Pair]:
    theirs, ours = support_models.original_g2p_en(), port("g2p_en").G2p()
    words = support_models.english_words()
    yield "g2p_en: 40 words", "g2p_en", *each(theirs.predict, ours.predict, words)


def tesseract() -> Iterator[Pair]:
    reader = port("tesseract").Reader()
    picture = np.random.default_rng(0).integers(0, 256, (36, 900)).astype(float)
    yield "tesseract: a line, 900 pixels long", "tesseract", None, lambda: reader(picture)


def xlstm() -> Iterator[Pair]:
    import torch

    block = support_models.original_xlstm(512)
    graph = port("xlstm").block_of(block)
    x = np.random.default_rng(0).standard_normal((2080, 1, 512), np.float32)
    given = torch.from_numpy(x).transpose(0, 1).contiguous()

    def through(steps: torch.Tensor, state: dict[str, object]) -> tuple[torch.Tensor, dict[str, object]]:
        y, state = block.xlstm(block.xlstm_norm(steps), return_last_state=True, **state)
        y = steps + y
        return y + block.ffn(block.ffn_norm(y)), state

    @torch.no_grad()
    def theirs() -> object:
        y, state = through(given[:, :2048], {})
        to_come = []
        for t in range(2048, 2080):
            y, state = through(given[:, t : t + 1], state)
            to_come.append(y)
        return to_come

    def ours() -> object:
        stream = graph.stream(1)
        stream.feed(x[:2048])
        return [stream.step(x[t]) for t in range(2048, 2080)]

    yield "xlstm: a block of TiRex's size, 2048 steps and 32", "xlstm", theirs, ours


def lines_of(path: Path) -> int:
    """Return how many lines of code a file has, without imports, docstrings and comments."""
    text = path.read_text(encoding="utf-8")
    left_out: set[int] = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)) and ast.get_docstring(node):
            node = node.body[0]
        elif not isinstance(node, (ast.Import, ast.ImportFrom)):
            continue
        left_out.update(range(node.lineno, node.end_lineno + 1))
    lines = enumerate(text.splitlines(), start=1)
    return sum(n not in left_out and bool(line.strip()) and line.strip()[0] != "#" for n, line in lines)


def times(calls: list[Call], seconds: float) -> list[list[float]]:
    """Return the times of calls that take turns, a few of each at a time."""
    found: list[list[float]] = [[] for _ in calls]
    for call in calls:
        call()
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or len(found[0]) < 3:
        for call, own in zip(calls, found, strict=True):
            begin = turn = time.perf_counter()
            while turn - begin < 0.02:
                before, _ = turn, call()
                turn = time.perf_counter()
                own.append(turn - before)
    return found


def in_units(seconds: float) -> str:
    """Return a time in the unit that fits."""
    unit, size = next(
        (unit, size)
        for unit, size in (("s", 1), ("ms", 1e-3), ("us", 1e-6))
        if seconds >= size or unit == "us"
    )
    return f"{seconds / size:.3g} {unit}"


MODELS = {
    model.__name__: model
    for model in (g2pm, nagisa, silero_vad, resemblyzer, textgenrnn, g2p_fa, g2p_en, tesseract, xlstm)
}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser("python -m benchmarks.models", description=__doc__.splitlines()[0])
    parser.add_argument("models", nargs="*", metavar="MODEL", help=f"one of {', '.join(MODELS)}; or all")
    parser.add_argument("--seconds", type=float, default=3, help="of each pair (default: %(default)s)")
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args()
    if unknown := set(given.models) - MODELS.keys():
        parser.error(f"MODEL: expected some of {', '.join(MODELS)}, got {', '.join(unknown)}")
    fastlstm.set_num_threads(given.threads)
    warnings.simplefilter("ignore")
    try:
        import torch

        torch.set_num_threads(given.threads)
    except ImportError:
        pass
    print(f"{given.threads} threads\n")
    print("| model | lines | original, best / median | port, best / median | original / port |")
    print("| --- | ---: | ---: | ---: | ---: |")
    missing = []
    for model in given.models or MODELS:
        try:
            for what, name, theirs, ours in MODELS[model]():
                *before, after = times([call for call in (theirs, ours) if call], given.seconds)
                shown = [f"{in_units(min(own))} / {in_units(median(own))}" for own in (*before, after)]
                ratio = f"{min(before[0]) / min(after):.2f}" if before else ""
                columns = what, lines_of(FOLDER / f"{name}.py"), *(shown[:-1] or [""]), shown[-1], ratio
                print(f"| {' | '.join(map(str, columns))} |", flush=True)
        except (ImportError, OSError, AttributeError) as error:
            missing.append(f"{model}: {error}")
    print(*missing, sep="\n")


if __name__ == "__main__":
    main()
