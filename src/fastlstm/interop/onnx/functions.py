"""The functions of cells under ONNX's names, with their alphas and betas in lists."""

from __future__ import annotations

from collections.abc import Sequence

from ...model.variants import Function, as_function

NAMES = {
    "sigmoid": "Sigmoid",
    "tanh": "Tanh",
    "relu": "Relu",
    "affine": "Affine",
    "leaky_relu": "LeakyRelu",
    "thresholded_relu": "ThresholdedRelu",
    "scaled_tanh": "ScaledTanh",
    "hard_sigmoid": "HardSigmoid",
    "elu": "Elu",
    "softsign": "Softsign",
    "softplus": "Softplus",
}
"""ONNX's names by ours."""

WITH_ALPHA = {"affine", "leaky_relu", "thresholded_relu", "scaled_tanh", "hard_sigmoid", "elu"}
WITH_BETA = {"affine", "scaled_tanh", "hard_sigmoid"}
"""Which functions take a number from the lists, as ONNX Runtime reads them."""


def from_onnx(names: Sequence[str], alphas: Sequence[float], betas: Sequence[float]) -> list[Function]:
    """Return the functions that a node's lists say; numbers that are not there are ONNX's defaults."""
    alpha, beta = iter(alphas), iter(betas)
    functions = []
    for k, given in enumerate(names):
        place = f"activations[{k}]"
        name, default_alpha, default_beta = as_function(given, place)
        numbers = (
            next(alpha, default_alpha) if name in WITH_ALPHA else default_alpha,
            next(beta, default_beta) if name in WITH_BETA else default_beta,
        )
        functions.append(as_function((name, *numbers), place))
    return functions


def to_onnx(functions: Sequence[Function]) -> dict[str, list[str] | list[float]]:
    """Return the attributes of a node whose functions these are."""
    return {
        "activations": [NAMES[name] for name, _, _ in functions],
        "activation_alpha": [alpha for name, alpha, _ in functions if name in WITH_ALPHA],
        "activation_beta": [beta for name, _, beta in functions if name in WITH_BETA],
    }
