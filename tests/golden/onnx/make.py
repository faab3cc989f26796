"""Write ONNX files that converters make of other frameworks' models, and results.npz with what these give.

``python tests/golden/onnx/make.py torch`` with PyTorch and onnxscript installed, ``... keras`` with
TensorFlow and tf2onnx. Written by PyTorch 2.13, onnxscript 0.7, Keras 3.15, TensorFlow 2.21 and tf2onnx 1.17.
"""

import os
import sys
from pathlib import Path

import numpy as np
import onnx

os.environ |= {"KERAS_BACKEND": "tensorflow", "CUDA_VISIBLE_DEVICES": ""}
FOLDER = Path(__file__).parent
RNG = np.random.default_rng(0)
x = RNG.standard_normal((2, 5, 3)).astype("f")
indices = RNG.integers(1, 9, (2, 5))
indices_masked = np.where(np.arange(5) < np.array([[5], [3]]), indices, 0).astype(np.int32)
results = {"x": x, "indices": indices, "indices_masked": indices_masked}


def of_torch():
    import torch
    from torch import nn

    torch.manual_seed(0)

    class Tagger(nn.Module):
        def __init__(self):
            super().__init__()
            self.words = nn.Embedding(9, 3)
            self.read = nn.LSTM(3, 4, 2, batch_first=True, bidirectional=True)
            self.tag = nn.Linear(8, 2)

        def forward(self, words):
            return self.tag(self.read(self.words(words))[0])

    class First(nn.Module):
        def __init__(self, layer):
            super().__init__()
            self.layer = layer

        def forward(self, x):
            return self.layer(x)[0]

    for name, model, given in (
        ("tagger", Tagger(), indices),
        ("gru", First(nn.GRU(3, 4, batch_first=True)), x),
        ("no_bias", First(nn.LSTM(3, 4, bias=False, batch_first=True)), x),
        ("projected", First(nn.LSTM(3, 4, proj_size=2, batch_first=True)), x),
    ):
        batch, path = torch.from_numpy(given), FOLDER / f"torch_{name}.onnx"
        results[f"torch_{name}"] = model(batch).detach().numpy()
        if name != "projected":  # for which the older exporter has no node
            axes = {"x": {0: "batch", 1: "time"}}
            torch.onnx.export(
                model, (batch,), path, dynamo=False, input_names=["x"], dynamic_axes=axes, opset_version=17
            )
        if name != "no_bias":
            path, shapes = FOLDER / f"torch_{name}_2.onnx", ({0: torch.export.Dim("batch")},)
            torch.onnx.export(model, (batch,), path, dynamo=True, dynamic_shapes=shapes, external_data=False)


def of_keras():
    import keras
    import tensorflow as tf
    import tf2onnx

    keras.utils.set_random_seed(0)
    layers = keras.layers
    words = [layers.Embedding(9, 3, mask_zero=True)]

    def write(name, given, *made, shape):
        model = keras.Sequential([keras.Input(shape, dtype=given.dtype), *made])
        model.set_weights([RNG.standard_normal(one.shape) * 0.5 for one in model.get_weights()])
        results[f"keras_{name}"] = np.asarray(model(given))
        signature = (tf.TensorSpec((None, *shape), given.dtype, name="x"),)
        function = tf.function(lambda x: model(x), input_signature=signature)
        graph, _ = tf2onnx.convert.from_function(function, input_signature=signature, opset=17)
        onnx.save(graph, FOLDER / f"keras_{name}.onnx")

    def both(layer, merge_mode):
        return layers.Bidirectional(layer, merge_mode=merge_mode)

    whole = {"return_sequences": True}
    for name, layer in (
        ("lstm", layers.LSTM(4, **whole)),
        ("lstm_last", layers.LSTM(4)),
        ("gru", layers.GRU(4, **whole)),
        ("gru_before", layers.GRU(4, reset_after=False, **whole)),
        ("rnn", layers.SimpleRNN(4, **whole)),
        ("both_summed", both(layers.LSTM(4, **whole), "sum")),
        ("both_gru", both(layers.GRU(4, **whole), "concat")),
        ("both_gru_summed", both(layers.GRU(4, **whole), "sum")),
    ):
        write(name, x, layer, shape=(None, 3))
    write("masked", indices_masked, *words, layers.LSTM(4, **whole), shape=(None,))
    write("masked_gru", indices_masked, *words, layers.GRU(4), shape=(None,))


if __name__ == "__main__":
    path = FOLDER / "results.npz"
    known = dict(np.load(path)) if path.exists() else {}
    {"torch": of_torch, "keras": of_keras}[sys.argv[1]]()
    np.savez(path, **(known | results))
