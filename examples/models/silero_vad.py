"""silero-vad: whether someone speaks, for each 32 ms of sound at 16 kHz: convolutions, and an LSTM.

pip install silero-vad onnx (the package's safetensors file holds other weights than its ONNX file)
"""

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import onnx

import fastlstm

FILE = Path(find_spec("silero_vad").origin).parent / "data" / "silero_vad_16k_op15.onnx"
SAMPLES, PAST, REFLECTED = 512, 64, 64
# A probability changes 1e-5 for what the first two lose in float32.
CONVOLUTIONS = [(129, 128, 1, "f8"), (128, 64, 2, "f8"), (64, 64, 2, "f4"), (64, 128, 1, "f4")]


class SileroVAD:
    """`step` takes frame after frame, 512 samples each; a call takes a whole recording."""

    def __init__(self):
        given = [onnx.numpy_helper.to_array(array) for array in onnx.load(FILE).graph.initializer]
        given[-2] = given[-2][:, :, 0]
        layers = [fastlstm.Conv1d(1, 258, 256, stride=128, bias=False)]
        layers += [fastlstm.Conv1d(i, o, 3, stride, 1, dtype=d) for i, o, stride, d in CONVOLUTIONS]
        layers += [fastlstm.LSTM(128, 128), fastlstm.Linear(128, 1)]
        for layer in layers:
            layer.load_state_dict({name: given.pop(0) for name in layer.parameters})
        self.spectrum, *convolutions, lstm, linear = layers
        self.encoder = fastlstm.Sequential(*(each for c in convolutions for each in (c, fastlstm.ReLU())))
        self.decoder = fastlstm.Sequential(lstm, fastlstm.ReLU(), linear, fastlstm.Sigmoid())
        self.stream, self.samples = self.decoder.stream(), np.zeros(PAST + SAMPLES + REFLECTED, np.float32)

    def read(self, samples):
        """Return what the LSTM reads of a frame (640,), or of some (B, 640), with its past and reflection."""
        parts = self.spectrum(samples.T[..., None])
        parts *= parts
        return self.encoder(np.sqrt(parts[..., :129] + parts[..., 129:]))[0]

    def step(self, samples):
        """Return the probability that a frame (512,) has speech."""
        own = self.samples
        own[:PAST], own[PAST:-REFLECTED] = own[SAMPLES : SAMPLES + PAST], samples
        own[-REFLECTED:] = own[-REFLECTED - 2 : -2 * REFLECTED - 2 : -1]
        return self.stream.step(self.read(own))[0]

    def __call__(self, sound):
        """Return the probability for each frame of a recording, whose last one is filled with zeros."""
        sound = np.pad(sound, (PAST, -len(sound) % SAMPLES))
        frames = np.lib.stride_tricks.sliding_window_view(sound, PAST + SAMPLES)[::SAMPLES]
        reflected = frames[:, -2 : -REFLECTED - 2 : -1]
        return self.decoder(self.read(np.concatenate([frames, reflected], axis=1)))[:, 0]
