"""The ports of published models in examples/models, their originals, and what both are given."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import types
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

FOLDER = Path(__file__).parents[1] / "examples" / "models"

CHINESE = """\
我冒了严寒，回到相隔二千余里，别了二十余年的故乡去。
时候既然是深冬；渐近故乡时，天气又阴晦了，冷风吹进船舱中，呜呜的响，从篷隙向外一望，苍黄的天底下，远近横着几个萧索的荒村，没有一些活气。我的心禁不住悲凉起来了。
阿！这不是我二十年来时时记得的故乡？
我所记得的故乡全不如此。我的故乡好得多了。但要我记起他的美丽，说出他的佳处来，却又没有影像，没有言辞了。仿佛也就如此。
于是我自己解释说：故乡本也如此，——虽然没有进步，也未必有如我所感的悲凉，这只是我自己心情的改变罢了，因为我这次回乡，本没有什么好心绪。
""".splitlines()
"""How Lu Xun's "My Old Home" (1921) begins."""

JAPANESE = """\
吾輩は猫である。名前はまだ無い。
どこで生れたかとんと見当がつかぬ。何でも薄暗いじめじめした所でニャーニャー泣いていた事だけは記憶している。
吾輩はここで始めて人間というものを見た。しかもあとで聞くとそれは書生という人間中で一番獰悪な種族であったそうだ。
この書生というのは時々我々を捕えて煮て食うという話である。
Pythonで簡単に使えるツールです。2026年に福岡・博多の観光情報を調べる。
""".splitlines()
"""How Natsume Soseki's "I Am a Cat" (1905) begins, and what it does not have: letters and digits."""

PERSIAN = "سلام کتاب دانشگاه پنجره خیابان زندگی دوست مدرسه ایران آب باران خورشید".split()  # noqa: SIM905

SPEECH = "Good morning. This is a voice that no one has. It speaks, it waits, . . . and it speaks again."
RATE = 16_000


def port(name: str) -> Any:
    """Return the module of a port; under a name of its own, as some are called as their originals are."""
    spec = spec_from_file_location(f"port_of_{name}", FOLDER / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def has_voice() -> bool:
    return shutil.which("espeak-ng") is not None


@cache
def speech(voice: str = "en") -> NDArray[np.float32]:
    """Return what espeak-ng says, at 16 kHz, with a second of silence before and after."""
    command = ["espeak-ng", "-v", voice, "--stdout", SPEECH]
    said = subprocess.run(command, capture_output=True, check=True).stdout
    data = said.index(b"data") + 8
    samples = np.frombuffer(said[data : data + (len(said) - data) // 2 * 2], np.int16) / 32768
    own_rate = int.from_bytes(said[24:28], "little")
    places = np.arange(0, len(samples), own_rate / RATE)
    return np.pad(np.interp(places, np.arange(len(samples)), samples), RATE).astype(np.float32)


def mel_spectrogram(sound: NDArray[np.float32], channels: int = 40) -> NDArray[np.float32]:
    """Return the energy in each of some bands, (T, channels), 10 ms a step, as a voice encoder reads it."""
    frames = np.lib.stride_tricks.sliding_window_view(sound, 400)[::160] * np.hanning(400)
    energy = np.abs(np.fft.rfft(frames)) ** 2
    highest = 2595 * np.log10(1 + RATE / 2 / 700)
    edges = 700 * (10 ** (np.linspace(0, highest, channels + 2) / 2595) - 1)
    hertz = np.arange(201) * RATE / 400
    rising = (hertz - edges[:-2, None]) / (edges[1:-1] - edges[:-2])[:, None]
    falling = (edges[2:, None] - hertz) / (edges[2:] - edges[1:-1])[:, None]
    bands = np.maximum(np.minimum(rising, falling), 0) * (2 / (edges[2:] - edges[:-2]))[:, None]
    return (energy @ bands.T).astype(np.float32)


@contextmanager
def absent(*names: str) -> Iterator[None]:
    """Let empty modules stand for packages that an original imports and what is tested doesn't call."""
    missing = {name: types.ModuleType(name) for name in names if name not in sys.modules}
    sys.modules.update(missing)
    try:
        yield
    finally:
        for name in missing:
            del sys.modules[name]


def original_g2p_en() -> Any:
    """Return g2p_en's model with an empty dictionary, which it would fetch: it predicts every word."""
    import nltk

    download, nltk.download = nltk.download, lambda *arguments, **named: False
    try:
        from g2p_en import g2p
    finally:
        nltk.download = download
    g2p.cmudict = types.SimpleNamespace(dict=dict)
    return g2p.G2p()


def original_resemblyzer() -> Any:
    """Return Resemblyzer's model, without the packages that make spectrograms of sound."""
    with absent("librosa", "webrtcvad"):
        import resemblyzer
    return resemblyzer.VoiceEncoder("cpu", verbose=False)


def original_xlstm(width: int) -> Any:
    """Return a block of xlstm with random weights and its plain backend, four heads, as TiRex has them."""
    import torch
    from xlstm.blocks.slstm.block import sLSTMBlock, sLSTMBlockConfig
    from xlstm.blocks.slstm.layer import sLSTMLayerConfig
    from xlstm.components.feedforward import FeedForwardConfig

    torch.manual_seed(0)
    cell = sLSTMLayerConfig(
        embedding_dim=width,
        num_heads=4,
        recurrent_weight_init="standard",
        backend="vanilla",
        dtype="float32",
        enable_automatic_mixed_precision=False,
    )
    block = sLSTMBlock(
        sLSTMBlockConfig(cell, FeedForwardConfig(proj_factor=2.6667), _num_blocks=12, _block_idx=0)
    )
    for name, parameter in block.named_parameters():
        if "norm" in name:
            torch.nn.init.normal_(parameter, std=0.2)
    return block.eval()


class SileroVAD:
    """silero-vad's ONNX file in ONNX Runtime, with the options and the context that its own wrapper has."""

    def __init__(self, path: Path) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.inter_op_num_threads = options.intra_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(path, options, ["CPUExecutionProvider"])
        self._rate = np.array(RATE, np.int64)
        self._state = np.zeros((2, 1, 128), np.float32)
        self._context = np.zeros((1, 64), np.float32)

    def step(self, samples: NDArray[np.float32]) -> float:
        """Return the probability that a frame (512,) has speech."""
        frame = np.concatenate([self._context, samples[None]], axis=1)
        self._context = frame[:, -64:]
        given = {"input": frame, "state": self._state, "sr": self._rate}
        p, self._state = self._session.run(None, given)
        return float(p[0, 0])


def frames_of(sound: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return a recording as frames (N, 512), the last one filled with zeros."""
    return np.pad(sound, (0, -len(sound) % 512)).reshape(-1, 512)


class InKeras:
    """textgenrnn's layers in Keras, wired as its own `textgenrnn_model`, which needs an old TensorFlow."""

    def __init__(self, path: Path) -> None:
        import h5py
        import keras

        with h5py.File(path) as file:
            arrays = {
                name: [np.array(file[name][w]) for w in file[name].attrs["weight_names"]] for name in file
            }
        embedding = keras.layers.Embedding(*arrays["embedding"][0].shape)
        lstms = [keras.layers.LSTM(128, return_sequences=True) for _ in range(2)]
        given = keras.Input((40,), dtype="int32")
        vectors = embedding(given)
        first = lstms[0](vectors)
        self._body = keras.Model(given, keras.layers.Concatenate()([vectors, first, lstms[1](first)]))
        embedding.set_weights(arrays["embedding"])
        for layer, name in zip(lstms, ("rnn_1", "rnn_2"), strict=True):
            layer.set_weights(from_cudnn(*arrays[name]))
        self._attention, self._output = arrays["attention"][0], arrays["output"]

    def __call__(self, x: NDArray[np.integer[Any]]) -> NDArray[np.float32]:
        """Return p of the next letter, (B, 465), of the last 40, (B, 40)."""
        y = np.asarray(self._body.predict_on_batch(x))
        shares = np.exp(y @ self._attention)
        pooled = (y * shares).sum(axis=1) / shares.sum(axis=1)
        likely: NDArray[np.float32] = np.exp(pooled @ self._output[0] + self._output[1])
        return likely / likely.sum(axis=1, keepdims=True)


def from_cudnn(
    kernel: NDArray[np.float32], recurrent_kernel: NDArray[np.float32], bias: NDArray[np.float32]
) -> list[NDArray[np.float32]]:
    """Return an LSTM's weights as Keras has them: cuDNN's gates lie transposed, and have two biases."""
    kernels = [gate.ravel().reshape(gate.shape[::-1]).T for gate in np.split(kernel, 4, axis=1)]
    recurrent = [gate.T for gate in np.split(recurrent_kernel, 4, axis=1)]
    return [np.concatenate(kernels, axis=1), np.concatenate(recurrent, axis=1), sum(np.split(bias, 2))]


def last_letters(vocabulary: dict[str, int], texts: list[str]) -> NDArray[np.int64]:
    """Return texts as textgenrnn encodes them: their last 40 letters, zeros first."""
    x = np.zeros((len(texts), 40), np.int64)
    for row, text in zip(x, texts, strict=True):
        letters = [vocabulary.get(letter, 0) for letter in ["<s>", *text][-40:]]
        row[40 - len(letters) :] = letters
    return x


def english_words() -> list[str]:
    page = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
    return sorted({word.lower() for word in re.findall(r"[A-Za-z']{3,}", page)})[:40]
