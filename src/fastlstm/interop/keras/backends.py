"""The same pass for tensors of each of Keras's backends."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from .passes import Make, on_arrays

BACKENDS = ("torch", "jax", "tensorflow", "numpy")


def is_here(tensor: Any, training: bool) -> bool:
    """Return whether a pass over a tensor can be ours: it has numbers in this memory, or its graph will have.

    Training is ours on torch alone.
    """
    backend = keras.backend.backend()
    if backend == "torch":
        return bool(tensor.device.type == "cpu")
    if backend == "jax":
        import jax

        return not training and jax.default_backend() == "cpu"
    if backend == "tensorflow":
        import tensorflow

        return not training and not tensorflow.config.list_physical_devices("GPU")
    return not training


def run(make: Make, x: Any, mask: Any, state: Sequence[Any], weights: Sequence[Any]) -> Sequence[Any]:
    """Return y and the final states, as tensors of the backend that x is of."""
    backend = keras.backend.backend()
    if backend == "torch":
        from .torch_pass import Pass

        return Pass.apply(make, mask, len(state), x, *state, *weights)  # type: ignore[no-any-return]
    if backend == "jax":
        return _in_jax(make, x, mask, state, weights)
    if backend == "tensorflow":
        return _in_tensorflow(make, x, mask, state, weights)
    return on_arrays(make, x, mask, state, weights)[0]


def _in_jax(make: Make, x: Any, mask: Any, state: Sequence[Any], weights: Sequence[Any]) -> Sequence[Any]:
    """Return what a call out of jax's graph gives; jax refuses to differentiate it."""
    import jax

    def call(x: Any, mask: Any, state: Any, weights: Any) -> list[NDArray[Any]]:
        arrays = jax.tree.map(np.asarray, (x, mask, state, weights))
        return on_arrays(make, *arrays)[0]

    B, T, _ = x.shape
    shapes = [(B, T, state[0].shape[1]), *(part.shape for part in state)]
    results = [jax.ShapeDtypeStruct(shape, x.dtype) for shape in shapes]
    given = x, mask, list(state), list(weights)
    found: Sequence[Any] = jax.pure_callback(call, results, *given, vmap_method="sequential")
    return found


def _in_tensorflow(
    make: Make, x: Any, mask: Any, state: Sequence[Any], weights: Sequence[Any]
) -> Sequence[Any]:
    """Return what a call out of TensorFlow's graph gives; to differentiate it is refused."""
    import tensorflow

    masks = [] if mask is None else [mask]

    def call(*arrays: NDArray[Any]) -> list[NDArray[Any]]:
        waiting = iter(arrays)
        x, *masks_and_state = (next(waiting) for _ in range(1 + len(masks) + len(state)))
        return on_arrays(
            make,
            x,
            masks_and_state[0] if masks else None,
            masks_and_state[len(masks) :],
            [*waiting],
        )[0]

    @tensorflow.custom_gradient
    def passed(*tensors: Any) -> tuple[list[Any], Any]:
        found = tensorflow.numpy_function(call, tensors, [x.dtype] * (1 + len(state)))

        def gradients(*_: Any) -> Any:
            raise ValueError("training: expected True, as only such calls have gradients here, got False")

        return found, gradients

    tensors = map(tensorflow.convert_to_tensor, (x, *masks, *state, *weights))  # no variables
    outputs, *final = passed(*tensors)
    outputs.set_shape((*x.shape[:2], state[0].shape[1]))
    for part, begun in zip(final, state, strict=True):
        part.set_shape(begun.shape)
    return outputs, *final
