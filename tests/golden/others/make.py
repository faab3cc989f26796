"""Write the files of other frameworks in this folder, and results.npz with what the frameworks give.

Run with them installed: ``python tests/golden/others/make.py``. Written by PyTorch 2.13, Keras 3.15, tf_keras
and TensorFlow 2.21, and Flax 0.12.
"""

import os

os.environ |= {"KERAS_BACKEND": "tensorflow", "TF_USE_LEGACY_KERAS": "1", "JAX_PLATFORMS": "cpu"}

from pathlib import Path

import flax.linen
import flax.serialization
import jax
import keras
import numpy as np
import tensorflow as tf
import tf_keras
import torch

FOLDER = Path(__file__).parent
RNG = np.random.default_rng(0)
x = RNG.normal(size=(3, 6, 2)).astype("f")
indices = RNG.integers(1, 9, (3, 6))
indices_masked = np.where(np.arange(6) < np.array([[6], [4], [1]]), indices, 0)
results = {"x": x, "indices": indices, "indices_masked": indices_masked}


def random(shape):
    return RNG.normal(size=tuple(shape)).astype("f") * np.float32(0.5)


def of_keras(layers, library, name, *inputs, given=x):
    """Write a sequential model with random weights, whole and its weights alone; note its results."""
    model = library.Sequential([*inputs, *layers])
    model.set_weights([random(weight.shape) for weight in model.get_weights()])
    results[name] = np.asarray(model(given))
    model.save(FOLDER / name)
    return model


def of_keras_3():
    layers = keras.layers
    steps, tokens = keras.Input((None, 2)), keras.Input((None,), dtype="int32")
    model = of_keras(
        [
            layers.Bidirectional(layers.GRU(3, return_sequences=True), merge_mode="sum", name="ours"),
            layers.LayerNormalization(),
            layers.LSTM(4, go_backwards=True, activation="softsign", recurrent_activation="hard_sigmoid"),
            layers.Dropout(0.25),
            layers.Dense(2, activation="softmax"),
        ],
        keras,
        "many.keras",
        steps,
    )
    model.save(FOLDER / "many.h5")
    inner = keras.Sequential(
        [keras.Input((None, 3)), layers.LSTM(4, return_sequences=True, name="deep")], name="inner"
    )
    start = layers.Embedding(9, 3, mask_zero=True)(tokens)
    model = keras.Model(tokens, layers.Dense(2)(layers.GRU(3, reset_after=False)(inner(start))))
    model.set_weights([random(weight.shape) for weight in model.get_weights()])
    model.save(FOLDER / "masked.keras")
    results["masked.keras"] = np.asarray(model(indices_masked))
    model = of_keras(
        [layers.LSTM(3, return_sequences=True), layers.LSTM(3, return_sequences=True), layers.Dense(2)],
        keras,
        "plain.keras",
        steps,
    )
    (FOLDER / "plain.keras").unlink()
    model.save_weights(FOLDER / "plain.weights.h5")
    results["plain.weights.h5"] = results.pop("plain.keras")


def of_keras_3_around():
    """What may stand around recurrent layers, and cells one above the other."""
    layers, rng = keras.layers, np.random.default_rng(1)
    model = keras.Sequential(
        [
            keras.Input((None, 2)),
            layers.Conv1D(4, 3, padding="causal", activation="elu"),
            layers.BatchNormalization(),
            layers.MaxPooling1D(2, strides=1),
            layers.AveragePooling1D(2),
            layers.LeakyReLU(0.1),
            layers.RNN([layers.GRUCell(3, reset_after=False), layers.LSTMCell(2, use_bias=False)]),
            layers.Dense(3, activation="gelu"),
            layers.ELU(0.5),
        ]
    )
    model.set_weights([np.abs(rng.normal(size=w.shape)).astype("f") * 0.5 for w in model.get_weights()])
    model.save(FOLDER / "around.keras")
    results["around.keras"] = np.asarray(model(x))


def of_keras_2():
    layers = tf_keras.layers
    cells = {"lstm": (layers.LSTM, "CuDNNLSTM"), "gru": (layers.GRU, "CuDNNGRU")}
    for name, (plain, fast) in cells.items():
        model = tf_keras.Sequential([tf_keras.Input((6, 2)), plain(3, return_sequences=True), plain(2)])
        kind = getattr(tf.compat.v1.keras.layers, fast)
        same = tf_keras.Sequential([tf_keras.Input((6, 2)), kind(3, return_sequences=True), kind(2)])
        same.set_weights([random(weight.shape) for weight in same.get_weights()])
        same.save(FOLDER / f"cudnn-{name}.h5")
        model.load_weights(FOLDER / f"cudnn-{name}.h5")
        results[f"cudnn-{name}.h5"] = model(x).numpy()
    old = [layers.LSTM(3, recurrent_activation="hard_sigmoid"), layers.Dense(2)]
    model = of_keras(old, tf_keras, "old.h5", tf_keras.Input((None, 2)))
    model.save(FOLDER / "old.keras")


def of_flax():
    class Tagger(flax.linen.Module):
        cell: type

        @flax.linen.compact
        def __call__(self, given):
            for size in (3, 4):
                given = flax.linen.RNN(self.cell(size))(given)
            return flax.linen.Dense(2)(given)

    for cell in (flax.linen.OptimizedLSTMCell, flax.linen.GRUCell, flax.linen.SimpleCell):
        model, name = Tagger(cell), f"{cell.__name__}.msgpack"
        parameters = jax.tree.map(lambda array: random(array.shape), model.init(jax.random.key(0), x))
        (FOLDER / name).write_bytes(flax.serialization.to_bytes(parameters))
        results[name] = np.asarray(model.apply(parameters, x))


def of_flax_both_directions():
    cells = [flax.linen.RNN(flax.linen.GRUCell(3)) for _ in range(2)]
    model, rng = flax.linen.Bidirectional(*cells), np.random.default_rng(2)
    parameters = jax.tree.map(
        lambda array: rng.normal(size=array.shape).astype("f"), model.init(jax.random.key(0), x)
    )
    (FOLDER / "Bidirectional.msgpack").write_bytes(flax.serialization.to_bytes(parameters))
    results["Bidirectional.msgpack"] = np.asarray(model.apply(parameters, x))


def of_graph(name, build):
    """Write a frozen graph of TensorFlow 1; note its results."""
    v1 = tf.compat.v1
    with v1.Graph().as_default(), v1.Session() as session:
        given = v1.placeholder("float32", (None, 6, 2))
        y = build(v1, given)
        session.run(v1.global_variables_initializer())
        for variable in v1.global_variables():
            variable.load(random(variable.shape), session)
        results[name] = session.run(y, {given: x})
        frozen = v1.graph_util.convert_variables_to_constants(session, session.graph_def, [y.op.name])
        (FOLDER / name).write_bytes(frozen.SerializeToString())


def block(v1, given):
    variables = [v1.get_variable(*one) for one in (("w", (5, 12)), ("i", 3), ("f", 3), ("o", 3), ("b", 12))]
    zeros = tf.zeros((3, 3))
    names = zip(("w", "wci", "wcf", "wco", "b"), variables, strict=True)
    steps = tf.raw_ops.BlockLSTM(
        seq_len_max=tf.constant(6, tf.int64),
        x=tf.transpose(given, (1, 0, 2)),
        cs_prev=zeros,
        h_prev=zeros,
        use_peephole=True,
        cell_clip=0.4,
        forget_bias=0.5,
        **dict(names),
    )
    return tf.transpose(steps.h, (1, 0, 2))


def of_tensorflow_1():
    tf.compat.v1.disable_control_flow_v2()

    def rnn(v1, given, *cells):
        return v1.nn.dynamic_rnn(v1.nn.rnn_cell.MultiRNNCell(cells), given, dtype="float32")[0]

    def basic(v1, size):
        return v1.nn.rnn_cell.BasicLSTMCell(size, forget_bias=1.5)

    of_graph("stacked.pb", lambda v1, given: rnn(v1, given, basic(v1, 3), basic(v1, 4)))
    of_graph("block.pb", block)
    of_graph("dense.pb", lambda v1, given: v1.layers.dense(rnn(v1, given, basic(v1, 3)), 2))
    of_graph(
        "peepholes.pb",
        lambda v1, given: rnn(v1, given, v1.nn.rnn_cell.LSTMCell(3, use_peepholes=True)),
    )
    of_graph("gru.pb", lambda v1, given: rnn(v1, given, v1.nn.rnn_cell.GRUCell(3)))
    of_graph("projected.pb", lambda v1, given: rnn(v1, given, v1.nn.rnn_cell.LSTMCell(3, num_proj=2)))
    of_graph("clipped.pb", lambda v1, given: rnn(v1, given, v1.nn.rnn_cell.LSTMCell(3, cell_clip=0.1)))


class Tagger(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.emb = torch.nn.Embedding(9, 3)
        self.lstm = torch.nn.LSTM(3, 4, 2, batch_first=True, bidirectional=True)
        self.fc = torch.nn.Linear(8, 2)

    def forward(self, tokens):
        return self.fc(self.lstm(self.emb(tokens))[0])


def of_pytorch():
    torch.manual_seed(0)
    model = Tagger()
    results["pytorch"] = model(torch.from_numpy(indices)).detach().numpy()
    torch.save(model.state_dict(), FOLDER / "state.pt")
    torch.save(model.state_dict(), FOLDER / "legacy.pt", _use_new_zipfile_serialization=False)
    torch.save({"epoch": 3, "model": model}, FOLDER / "module.pt")
    torch.jit.save(torch.jit.script(model), FOLDER / "script.pt")


if __name__ == "__main__":
    of_pytorch()
    of_keras_3()
    of_keras_3_around()
    of_keras_2()
    of_flax()
    of_flax_both_directions()
    of_tensorflow_1()
    np.savez_compressed(FOLDER / "results.npz", **results)
