"""tesseract's English: a line of text from its picture, by int8 LSTMs along its columns and its rows.

apt install tesseract-ocr-eng
"""

import re
import struct
from pathlib import Path

import numpy as np

import fastlstm
from fastlstm.decoding import ctc_greedy

FILE = Path("/usr/share/tesseract-ocr/5/tessdata/eng.traineddata")


def matrices(content):
    """Return each matrix of a network, and what one is worth in its rows: behind a mark and its two sizes."""
    for mark in re.finditer(rb"\x85(..\0\0)(..\0\0)\0", content, re.DOTALL):
        M, K = (int.from_bytes(size, "little") for size in mark.groups())
        scales = mark.end() + M * K
        if content[scales : scales + 4] == mark[1]:  # as many of them as rows
            whole = np.frombuffer(content, np.int8, M * K, mark.end()).reshape(M, K)
            yield whole, np.frombuffer(content, "<f8", M, scales + 4)


def linear(whole, scale):
    """Return a layer whose bias is the last column."""
    layer = fastlstm.Linear(whole.shape[1] - 1, len(whole), precision="int8", x_scale=1 / 127)
    return layer.update({"weight": whole[:, :-1], "weight_scale": scale, "bias": whole[:, -1] * scale})


def lstm(gates, **options):
    """Return a layer whose gates are g i f o there, and i f g o here."""
    whole, scale = (np.concatenate([gates[k][part] for k in (1, 2, 0, 3)]) for part in (0, 1))
    hidden, bias = len(whole) // 4, whole[:, -1] * scale
    layer = fastlstm.LSTM(whole.shape[1] - 1 - hidden, hidden, precision="int8", x_scale=1 / 127, **options)
    arrays = scale, whole[:, : -1 - hidden], scale, whole[:, -1 - hidden : -1], bias, 0 * bias
    return layer.update(dict(zip(layer.parameters, arrays, strict=True)))


class Reader:
    """What reads a line of dark text on light ground, its picture (36, W) numbers from 0 to 255."""

    def __init__(self):
        content = FILE.read_bytes()
        places = struct.unpack("<24q", content[4:196])
        first, *gates, last = matrices(content[places[17] : places[18]])
        along, *lstms = (lstm(gates[k : k + 4], reverse=k == 8) for k in (0, 4, 8, 12))
        self.convolution = fastlstm.Sequential(linear(*first), fastlstm.Tanh())
        self.columns = fastlstm.Sequential(along, fastlstm.LastStep())
        self.rows = fastlstm.Sequential(*lstms, linear(*last))
        letters = content[places[21] : places[22]].decode().splitlines()[4:]
        self.letters = [" ", *(letter.split()[0] for letter in letters)]

    def __call__(self, picture):
        """Return the text."""
        black, white = np.percentile(picture[18], [2, 98])
        light = np.pad(np.clip(2 * (picture - black) / (white - black) - 1, -1, 1), 1)
        windows = np.lib.stride_tricks.sliding_window_view(light, (3, 3)).swapaxes(2, 3)
        y, W = self.convolution(windows.reshape(*picture.shape, 9)), picture.shape[1] // 3
        pooled = y[:, : 3 * W].reshape(12, 3, W, 3, 16).max(axis=(1, 3))
        (codes,) = ctc_greedy(self.rows(self.columns(pooled)), blank=110)
        return "".join(self.letters[code] for code in codes)
