"""Write lstm.npz: results of Keras's own, for machines without Keras.

Run with Keras installed: ``KERAS_BACKEND=torch python tests/golden/keras/make.py``; recorded by Keras 3.15.1.
The file holds inputs and weights, too.
"""

from pathlib import Path

import numpy as np
from keras import layers, ops

SIZE = 5
PARTS = ("kernel", "recurrent_kernel", "bias")


def weights_of(rng, kind):
    """Return weights for a layer, by their names in Keras."""
    shapes = {"kernel": (3, 4 * SIZE), "recurrent_kernel": (SIZE, 4 * SIZE), "bias": (4 * SIZE,)}
    return {f"{kind}.{name}": rng.normal(size=shapes[name]).astype("f") for name in PARTS}


def made(arrays, kind, x, **options):
    """Return a layer with weights of that kind."""
    layer = layers.LSTM(SIZE, **options)
    layer(x)
    layer.set_weights([arrays[f"{kind}.{name}"] for name in PARTS])
    return layer


def main() -> None:
    rng = np.random.default_rng(0)
    x, mask = rng.normal(size=(4, 7, 3)).astype("f"), rng.random((4, 7)) < 0.6
    mask[2] = False
    arrays = {"x": x, "mask": mask} | weights_of(rng, "forward") | weights_of(rng, "backward")
    results = {}
    for name, options in {"plain": {}, "backwards": {"go_backwards": True}}.items():
        for suffix, masked in (("", None), ("_masked", mask)):
            steps = made(arrays, "forward", x, return_sequences=True, return_state=True, **options)
            results |= zip((f"{name}{suffix}.{part}" for part in "yhc"), steps(x, mask=masked), strict=True)
            results[f"{name}{suffix}.last"] = made(arrays, "forward", x, **options)(x, mask=masked)
    for merge in ("concat", "sum", "ave", "mul"):
        both = layers.Bidirectional(layers.LSTM(SIZE, return_sequences=True), merge_mode=merge)
        both(x)
        both.set_weights([arrays[f"{kind}.{name}"] for kind in ("forward", "backward") for name in PARTS])
        results[f"{merge}.y"] = both(x)
        results[f"{merge}_masked.y"] = both(x, mask=mask)
    arrays |= {name: ops.convert_to_numpy(array) for name, array in results.items()}
    np.savez_compressed(Path(__file__).with_name("lstm.npz"), **arrays)


if __name__ == "__main__":
    main()
