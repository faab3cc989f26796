"""Keras's layers, from their configurations and weights, as layers of this package."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..model.cells import ROWS
from ..model.checks import as_dict
from .budget import DEEPEST
from .parts import (
    RECURRENT,
    Part,
    Tensor,
    Told,
    embedding_part,
    linear_part,
    norm_part,
    part,
    recurrent_part,
    shown,
    under,
    with_nonlinearity,
)

MODELS = ("Sequential", "Functional", "Model")
NOTHING = ("InputLayer", "ActivityRegularization", "SpatialDropout1D", "GaussianNoise", "GaussianDropout")
"""Classes that do nothing when a model is called, but for `Dropout`, which there is."""

ACTIVATION_LAYERS: Mapping[str, tuple[str, Mapping[str, float]]] = {
    "relu": ("ReLU", {}),
    "sigmoid": ("Sigmoid", {}),
    "softmax": ("Softmax", {}),
    "log_softmax": ("LogSoftmax", {}),
    "tanh": ("Tanh", {}),
    "elu": ("ELU", {}),
    "gelu": ("GELU", {}),
    "silu": ("SiLU", {}),
    "swish": ("SiLU", {}),
    "leaky_relu": ("LeakyReLU", {"negative_slope": 0.2}),
}
"""The layer that stands behind another for an activation of Keras's, and its arguments."""

FUNCTIONS: Mapping[str, str | tuple[str, float] | tuple[str, float, float]] = {
    "linear": ("affine", 1.0, 0.0),
    "tanh": "tanh",
    "sigmoid": "sigmoid",
    "relu": "relu",
    "elu": ("elu", 1.0),
    "softsign": "softsign",
    "softplus": "softplus",
    "leaky_relu": ("leaky_relu", 0.2),
    "hard_sigmoid": ("hard_sigmoid", 1 / 6, 0.5),
}
"""The functions of a cell by Keras's names; until Keras 2 its hard sigmoid was another."""

OLD_HARD_SIGMOID = ("hard_sigmoid", 0.2, 0.5)

KINDS = {
    "LSTM": "LSTM",
    "CuDNNLSTM": "LSTM",
    "GRU": "GRU",
    "CuDNNGRU": "GRU",
    "SimpleRNN": "RNN",
    "LSTMCell": "LSTM",
    "GRUCell": "GRU",
    "SimpleRNNCell": "RNN",
}
MERGES = {"concat": "concat", "sum": "sum", "ave": "mean", "mul": "mul"}
MASKS = ("Masking", "NotEqual")
POOLS = {"MaxPooling1D": "MaxPool1d", "AveragePooling1D": "AvgPool1d"}
READOUTS = {"GlobalAveragePooling1D": "MeanOverTime", "GlobalMaxPooling1D": "MaxOverTime"}
LAYER_NORM_EPS = 1e-3
"""Keras's default."""


# Configurations


def class_of(layer: Any) -> str:
    """Return the class that a configuration is of; ValueError if it is none."""
    name = as_dict(layer, "layer").get("class_name")
    if not isinstance(name, str):
        raise ValueError(f"class_name: expected a str, got {type(name).__name__}")
    return name


def config_of(layer: Any) -> dict[str, Any]:
    """Return the arguments of a configuration's class."""
    config = as_dict(layer, "layer").get("config")
    return as_dict({"layers": config} if isinstance(config, list) else config, "config")


def name_of(layer: Any) -> str:
    """Return a layer's own name."""
    return str(config_of(layer).get("name") or as_dict(layer, "layer").get("name") or class_of(layer))


def layers_of(model: Any) -> list[Any]:
    """Return the configurations of a model's layers, in Keras's order."""
    if class_of(model) not in MODELS:
        expected = "a Sequential or Functional model"
        raise ValueError(f"configuration: expected {expected}, got {class_of(model)[:100]!r}")
    layers = config_of(model).get("layers")
    if not isinstance(layers, list):
        raise ValueError(f"layers: expected a list, got {type(layers).__name__}")
    return layers


def parts_of(
    model: Any,
    version: str,
    arrays: Sequence[Sequence[Tensor]],
    told: Told,
    prefix: str,
    trained_first: bool = False,
) -> list[Part]:
    """Return the layers of a model.

    Parameters
    ----------
    model : object
        Its configuration.
    version : str
        Of the Keras that wrote it.
    arrays : sequence
        The arrays of each layer of `layers_of(model)`, in Keras's order.
    told : Told
    prefix : str
        The name of the layer that is wanted; with none the whole model, which must be a chain.
    trained_first : bool
        Whether the arrays of a model within the model are those that are trained, of all its layers, and
        then the others.

    Raises
    ------
    ValueError
        If there is a layer or an option of a layer that is not here.
    """
    reading = _Reading(told, version.split(".")[0] in ("1", "2"), trained_first)
    if not prefix:
        parts = [one for layer, its in _chain(model, arrays) for one in reading.parts(layer, its, "")]
        return reading.checked(parts)
    found = [one for layer, its in _under(model, arrays, prefix) for one in reading.parts(layer, its, "")]
    wanted = [one for one in found if under(one.name, prefix)]
    if not wanted:
        there = ", ".join(name_of(layer) for layer in layers_of(model)[:12])
        raise ValueError(f"prefix: expected the name of a layer, got {prefix!r}; there is {there}")
    return reading.checked(wanted)


def _under(
    model: Any, arrays: Sequence[Sequence[Tensor]], prefix: str
) -> Iterator[tuple[Any, Sequence[Tensor]]]:
    """Yield the layers of a model that a prefix is of, or leads into."""
    for layer, its in zip(layers_of(model), arrays, strict=True):
        if under(name_of(layer), prefix) or under(prefix, name_of(layer)):
            yield layer, its


def _chain(model: Any, arrays: Sequence[Sequence[Tensor]]) -> Iterator[tuple[Any, Sequence[Tensor]]]:
    """Yield the layers of a model one after another; ValueError if it is no chain."""
    pairs = {name_of(layer): (layer, its) for layer, its in zip(layers_of(model), arrays, strict=True)}
    if len(pairs) != len(arrays):
        raise ValueError("layers: expected a name for each, got one twice")
    if class_of(model) == "Sequential":
        yield from pairs.values()
        return
    for name in [name for name, (layer, _) in pairs.items() if class_of(layer) == "NotEqual"]:
        yield pairs.pop(name)  # beside the chain: what it gives is a mask for others
    after: dict[str, str] = {}
    first = ""
    for name, (layer, _) in pairs.items():
        before = set(_referred(layer.get("inbound_nodes"), pairs.keys()))
        if not before and not first:
            first = name
        elif len(before) == 1 and len(layer["inbound_nodes"]) == 1 and before.isdisjoint(after):
            after[before.pop()] = name
        else:
            raise ValueError(
                f"{shown(name)}: expected a model whose layers follow one another, got one that branches: "
                f"load each with prefix=..., as in prefix={name[:100]!r}"
            )
    here = first
    for _ in pairs:
        if here not in pairs:
            raise ValueError("layers: expected a model whose layers follow one another, got another")
        yield pairs[here]
        here = after.get(here, "")


def _referred(node: Any, names: Any, depth: int = 0) -> Iterator[str]:
    """Yield the layers that the calls of a layer refer to: lists that begin with name, node and output."""
    if depth > DEEPEST:
        return
    if isinstance(node, dict):
        for value in node.values():
            yield from _referred(value, names, depth + 1)
    elif isinstance(node, list):
        match node:
            case [str(name), int(), int(output), *_] if name in names:
                if output:
                    raise ValueError(
                        f"{shown(name)}: expected its first output to be read, got output {output}"
                    )
                yield name
        for value in node:
            yield from _referred(value, names, depth + 1)


# Layers


@dataclass
class _Reading:
    """A file's layers in the making.

    Attributes
    ----------
    told : Told
    is_old : bool
        Whether it was written by Keras 2 or older.
    trained_first : bool
        Whether the arrays of models within models are in another order than their layers.
    makes_masks : str
        The layer that makes masks, if one did so far.
    """

    told: Told
    is_old: bool
    trained_first: bool
    makes_masks: str = ""

    def checked(self, parts: list[Part]) -> list[Part]:
        """Return the parts; ValueError if the caller has to know something first."""
        if self.makes_masks and not self.told.masked:
            raise ValueError(
                f"{shown(self.makes_masks)}: expected no masks, got a layer that makes them: load with "
                "masked=True and call the model with mask=..., True at the steps that count"
            )
        if not parts:
            raise ValueError("layers: expected at least one, got none")
        return parts

    def parts(self, layer: Any, arrays: Sequence[Tensor], place: str, depth: int = 0) -> list[Part]:
        """Return what a layer becomes: itself, and what stands after it here, as a readout."""
        kind, config, name = class_of(layer), config_of(layer), place + name_of(layer)
        if depth > DEEPEST:
            raise ValueError(f"{shown(name)}: expected models less deep in each other, got more")
        if kind in MODELS:
            return self._of_model(layer, arrays, f"{name}/", depth)
        if kind in KINDS or kind == "Bidirectional" or kind == "RNN":
            return self._recurrent(name, kind, config, arrays)
        if kind == "TimeDistributed":
            return self.parts(config.get("layer"), arrays, f"{name}/", depth + 1)
        if kind in NOTHING:
            return []
        if kind in MASKS:
            self.makes_masks = name
            return []
        if kind in READOUTS:
            if kind == "GlobalMaxPooling1D":
                self._check_unmasked(name, kind)
            return [Part(name, READOUTS[kind], {}, {})]
        if kind in POOLS:
            return self._pool(name, kind, config)
        maker = {
            "Dense": self._dense,
            "Embedding": self._embedding,
            "LayerNormalization": self._norm,
            "Dropout": self._dropout,
            "Activation": self._activation,
            "ReLU": self._relu,
            "Softmax": self._softmax,
            "LeakyReLU": self._leaky,
            "ELU": self._elu,
            "Conv1D": self._convolution,
            "BatchNormalization": self._batch_norm,
        }.get(kind)
        if maker is None:
            raise ValueError(f"{shown(name)}: expected a layer that fastlstm has, got {kind[:100]}")
        return maker(name, config, list(arrays))

    def _of_model(self, layer: Any, arrays: Sequence[Tensor], place: str, depth: int) -> list[Part]:
        """Return the layers of a model in a model, whose arrays are those of its layers one after another."""
        waiting = list(arrays)
        own = []
        for inner in layers_of(layer):
            fixed = class_of(inner) == "BatchNormalization" or config_of(inner).get("trainable") is False
            if fixed and self.trained_first:
                raise ValueError(
                    f"{shown(place + name_of(inner))}: expected layers that are trained whole in a model "
                    "within a model, as an .h5 file has all else last, got one that is not: save it as .keras"
                )
            count = _count(inner)
            own.append(waiting[:count])
            waiting = waiting[count:]
        if waiting:
            raise ValueError(f"{shown(place)}: expected the arrays of its layers, got {len(waiting)} more")
        chain = _chain(layer, own)
        return [one for inner, its in chain for one in self.parts(inner, its, place, depth + 1)]

    def _recurrent(
        self, name: str, kind: str, config: dict[str, Any], arrays: Sequence[Tensor]
    ) -> list[Part]:
        both = kind == "Bidirectional"
        inner = config.get("layer") if both else {"class_name": kind, "config": config}
        options = config_of(inner)
        if class_of(inner) == "RNN":
            if class_of(options.get("cell")) == "StackedRNNCells" and not both:
                return self._stacked(name, options, arrays)
            inner = {
                "class_name": class_of(options.get("cell")),
                "config": options | config_of(options["cell"]),
            }
            options = config_of(inner)
        its = class_of(inner)
        if its not in KINDS:
            raise ValueError(f"{shown(name)}: expected {', '.join(KINDS)}, got {its[:100]}")
        arguments = self._arguments(name, its, options)
        reverse = options.get("go_backwards", False) is True
        sequences = options.get("return_sequences", False) is True
        if both:
            merge = config.get("merge_mode", "concat")
            if merge not in MERGES:
                expected = f"merge_mode {', '.join(MERGES)}"
                raise ValueError(f"{shown(name)}: expected {expected}, got {str(merge)[:100]}")
            if reverse or not self._is_mirrored(config, options):
                raise ValueError(f"{shown(name)}: expected the same layer backward, got another")
            if not sequences and merge != "concat":
                raise ValueError(
                    f"{shown(name)}: expected return_sequences=True or merge_mode='concat', got {merge!r}"
                )
            arguments["merge"] = MERGES[merge]
        elif reverse:
            arguments["reverse"] = True
            if sequences:
                raise ValueError(
                    f"{shown(name)}: expected go_backwards with the last step alone, got all steps, "
                    "which come in the order of the visits: reverse them by hand"
                )
        count = 2 + (options.get("use_bias", True) is not False)
        its_arrays = _these(name, arrays, count * (1 + both))
        directions = [its_arrays[:count], its_arrays[count:]] if both else [its_arrays]
        made = recurrent(name, KINDS[its], directions, arguments | dict(self.told.recurrent))
        return [made] if sequences else [made, Part(name, "LastStep", {}, {})]

    def _stacked(self, name: str, config: dict[str, Any], arrays: Sequence[Tensor]) -> list[Part]:
        """Return layers one above the other: of each step Keras does all before the next one."""
        cells = config_of(config["cell"]).get("cells")
        if not isinstance(cells, list):
            raise ValueError(f"{shown(name)}: expected a list of cells, got {type(cells).__name__}")
        waiting, made = list(arrays), []
        for place, cell in enumerate(cells):
            count, is_last = _count(cell), place + 1 == len(cells)
            whole = config | {"cell": cell}
            if not is_last:
                whole["return_sequences"] = True
            made += self._recurrent(f"{name}/{place}", "RNN", whole, waiting[:count])
            del waiting[:count]
        return made

    def _is_mirrored(self, config: Mapping[str, Any], options: Mapping[str, Any]) -> bool:
        """Return whether a layer's backward half differs from its forward half in nothing but that."""
        backward = config.get("backward_layer")
        if backward is None:
            return True
        other = config_of(backward)
        told = ("units", "activation", "recurrent_activation", "use_bias", "reset_after", "return_sequences")
        return other.get("go_backwards") is True and all(other.get(key) == options.get(key) for key in told)

    def _arguments(self, name: str, kind: str, config: Mapping[str, Any]) -> dict[str, Any]:
        """Return the arguments of a recurrent layer that its configuration says."""
        for option in ("stateful", "return_state"):
            if config.get(option, False) is not False:
                raise ValueError(
                    f"{shown(name)}: expected {option}=False, got True: here calls take and return states"
                )
        arguments: dict[str, Any] = {"batch_first": config.get("time_major", False) is not True}
        if kind == "GRU" or kind == "GRUCell":
            arguments["reset_after"] = config.get("reset_after", not self.is_old) is True
        if kind.startswith("CuDNN"):
            return arguments
        inner = self._function(name, config.get("activation", "tanh"))
        if KINDS[kind] == "RNN":
            if inner in ("tanh", "relu"):
                return arguments | {"nonlinearity": inner}
            return arguments | {"activations": (inner,)}
        gate = self._function(name, config.get("recurrent_activation", "sigmoid"))
        if (gate, inner) != ("sigmoid", "tanh"):
            arguments["activations"] = (gate, inner, inner) if KINDS[kind] == "LSTM" else (gate, inner)
        return arguments

    def _function(self, name: str, activation: Any) -> Any:
        if activation == "hard_sigmoid" and self.is_old:
            return OLD_HARD_SIGMOID
        if not isinstance(activation, str) or activation not in FUNCTIONS:
            raise ValueError(
                f"{shown(name)}: expected an activation {', '.join(FUNCTIONS)}, got {str(activation)[:100]}"
            )
        return FUNCTIONS[activation]

    def _dense(self, name: str, config: Mapping[str, Any], arrays: list[Tensor]) -> list[Part]:
        if "lora_rank" in config or "quantization_config" in config:
            for option in ("lora_rank", "quantization_config"):
                if config.get(option) is not None:
                    raise ValueError(f"{shown(name)}: expected no {option}, got one")
        kernel, *rest = _these(name, arrays, 1 + (config.get("use_bias", True) is not False))
        return [linear_part(name, kernel.T, rest[0] if rest else None), *self._activation(name, config, [])]

    def _embedding(self, name: str, config: Mapping[str, Any], arrays: list[Tensor]) -> list[Part]:
        if config.get("mask_zero", False) is not False:
            self.makes_masks = name
        return [embedding_part(name, *_these(name, arrays, 1))]

    def _norm(self, name: str, config: Mapping[str, Any], arrays: list[Tensor]) -> list[Part]:
        _check_last_axis(name, config)
        scale, center = (config.get(option, True) is not False for option in ("scale", "center"))
        waiting = iter(_these(name, arrays, scale + center))
        if not arrays:
            raise ValueError(f"{shown(name)}: expected scale or center, got neither")
        eps = self.told.eps or config.get("epsilon", LAYER_NORM_EPS)
        weight, bias = next(waiting) if scale else None, next(waiting) if center else None
        return [norm_part(name, weight, bias, arrays[0].size, eps)]

    def _convolution(self, name: str, config: Mapping[str, Any], arrays: list[Tensor]) -> list[Part]:
        self._check_unmasked(name, "Conv1D")
        _check_format(name, config)
        size, stride, dilation = (
            _number(name, config, option) for option in ("kernel_size", "strides", "dilation_rate")
        )
        bias = config.get("use_bias", True) is not False
        kernel, *rest = _these(name, arrays, 1 + bias)
        groups = config.get("groups", 1)
        if kernel.ndim != 3 or kernel.shape[0] != size or type(groups) is not int:
            raise ValueError(f"{shown(name)}: expected a kernel ({size}, in, out), got {kernel.shape}")
        padding = config.get("padding", "valid")
        arguments = {
            "in_channels": kernel.shape[1] * groups,
            "out_channels": kernel.shape[2],
            "kernel_size": size,
            "stride": stride,
            "padding": 0 if padding == "valid" else padding,
            "dilation": dilation,
            "groups": groups,
            "bias": bias,
        }
        arrays_of_ours = {"weight": kernel.transpose(2, 1, 0)} | ({"bias": rest[0]} if bias else {})
        return [part(name, "Conv1d", arguments, arrays_of_ours), *self._activation(name, config, [])]

    def _batch_norm(self, name: str, config: Mapping[str, Any], arrays: list[Tensor]) -> list[Part]:
        _check_last_axis(name, config)
        scale, center = (config.get(option, True) is not False for option in ("scale", "center"))
        *rest, mean, variance = _these(name, arrays, 2 + scale + center)
        waiting = iter(rest)
        ours = {
            "weight": next(waiting) if scale else np.ones_like(mean),
            "bias": next(waiting) if center else np.zeros_like(mean),
            "running_mean": mean,
            "running_var": variance,
        }
        momentum = config.get("momentum", 0.99)
        if not isinstance(momentum, float):
            raise ValueError(f"{shown(name)}: expected a float momentum, got {type(momentum).__name__}")
        arguments = {"num_features": mean.size, "eps": config.get("epsilon", 1e-3), "momentum": 1 - momentum}
        return [part(name, "BatchNorm1d", arguments, ours)]

    def _pool(self, name: str, kind: str, config: Mapping[str, Any]) -> list[Part]:
        self._check_unmasked(name, kind)
        _check_format(name, config)
        if config.get("padding", "valid") != "valid":
            raise ValueError(f"{shown(name)}: expected padding='valid', got {str(config['padding'])[:100]!r}")
        size = _number(name, config, "pool_size", 2)
        arguments = {"kernel_size": size, "stride": _number(name, config, "strides", size)}
        return [Part(name, POOLS[kind], arguments, {})]

    def _check_unmasked(self, name: str, kind: str) -> None:
        if self.makes_masks:
            raise ValueError(f"{shown(name)}: expected no masks before {kind}, got some")

    def _dropout(self, name: str, config: Mapping[str, Any], arrays: list[Tensor]) -> list[Part]:
        return [Part(name, "Dropout", {"p": config.get("rate")}, {})]

    def _activation(self, name: str, config: Mapping[str, Any], arrays: list[Tensor]) -> list[Part]:
        activation = config.get("activation")
        if activation in (None, "linear"):
            return []
        if activation not in ACTIVATION_LAYERS:
            expected = f"an activation linear, {', '.join(ACTIVATION_LAYERS)}"
            raise ValueError(f"{shown(name)}: expected {expected}, got {str(activation)[:100]}")
        return [Part(name, *ACTIVATION_LAYERS[activation], {})]

    def _relu(self, name: str, config: Mapping[str, Any], arrays: list[Tensor]) -> list[Part]:
        if any(config.get(option) for option in ("max_value", "negative_slope", "threshold")):
            raise ValueError(f"{shown(name)}: expected a plain ReLU, got one with bounds or slopes")
        return [Part(name, "ReLU", {}, {})]

    def _leaky(self, name: str, config: Mapping[str, Any], arrays: list[Tensor]) -> list[Part]:
        slope = config.get("negative_slope", config.get("alpha", 0.3))  # Keras 2 said alpha
        return [Part(name, "LeakyReLU", {"negative_slope": slope}, {})]

    def _elu(self, name: str, config: Mapping[str, Any], arrays: list[Tensor]) -> list[Part]:
        return [Part(name, "ELU", {"alpha": config.get("alpha", 1.0)}, {})]

    def _softmax(self, name: str, config: Mapping[str, Any], arrays: list[Tensor]) -> list[Part]:
        if config.get("axis", -1) != -1:
            raise ValueError(f"{shown(name)}: expected axis=-1, got {str(config.get('axis'))[:100]}")
        return [Part(name, "Softmax", {}, {})]


def _check_last_axis(name: str, config: Mapping[str, Any]) -> None:
    if config.get("axis", -1) not in (-1, [-1], 2, [2]):
        raise ValueError(f"{shown(name)}: expected axis=-1, got {str(config.get('axis'))[:100]}")


def _check_format(name: str, config: Mapping[str, Any]) -> None:
    if config.get("data_format") not in (None, "channels_last"):
        raise ValueError(f"{shown(name)}: expected data_format='channels_last', got another")


def _number(name: str, config: Mapping[str, Any], option: str, default: int = 1) -> int:
    """Return a size of a layer over time: Keras has them as lists of one, too."""
    match config.get(option, default):
        case int(size) | [int(size)]:
            return size
        case other:
            raise ValueError(f"{shown(name)}: expected one number {option}, got {str(other)[:100]}")


def _count(layer: Any, depth: int = 0) -> int:
    """Return how many arrays a layer has."""
    if depth > DEEPEST:
        raise ValueError("layers: expected models less deep in each other, got more")
    kind, config = class_of(layer), config_of(layer)
    if kind in MODELS:
        return sum(_count(inner, depth + 1) for inner in layers_of(layer))
    if kind in ("Bidirectional", "TimeDistributed"):
        return (1 + (kind == "Bidirectional")) * _count(config.get("layer"), depth + 1)
    if kind == "RNN":
        return _count(config.get("cell"), depth + 1)
    if kind == "StackedRNNCells":
        cells = config.get("cells")
        return sum(_count(cell, depth + 1) for cell in cells) if isinstance(cells, list) else 0
    bias = config.get("use_bias", True) is not False
    if kind in KINDS:
        return 2 + bias
    if kind in ("LayerNormalization", "BatchNormalization"):
        gains = sum(config.get(option, True) is not False for option in ("scale", "center"))
        return gains + (2 if kind == "BatchNormalization" else 0)
    return {"Dense": 1 + bias, "Conv1D": 1 + bias, "Embedding": 1}.get(kind, 0)


def _these(name: str, arrays: Sequence[Tensor], count: int) -> Sequence[Tensor]:
    """Return arrays; ValueError unless there are that many."""
    if len(arrays) != count:
        raise ValueError(f"{shown(name)}: expected {count} arrays, got {len(arrays)}")
    return arrays


# Weights


def recurrent(
    name: str, kind: str, directions: Sequence[Sequence[Tensor]], arguments: Mapping[str, Any]
) -> Part:
    """Return a recurrent layer from Keras's kernel, recurrent kernel and bias of each direction."""
    ours: dict[str, Tensor] = {}
    for arrays, suffix in zip(directions, ("", "_reverse"), strict=False):
        if len(arrays) not in (2, 3) or any(array.ndim != 2 for array in arrays[:2]):
            expected = "a kernel, a recurrent kernel and a bias"
            raise ValueError(f"{shown(name)}: expected {expected}, got {len(arrays)} arrays")
        kernel, state, *rest = arrays
        rows, units = ROWS[kind], state.shape[0]
        if kernel.shape[1] != rows * units or state.shape[1] != rows * units:
            expected = f"(..., {rows * units}) and ({units}, {rows * units})"
            raise ValueError(f"{shown(name)}: expected {expected}, got {kernel.shape} and {state.shape}")
        biases: list[Tensor] = []
        if rest:
            bias = rest[0].ravel()
            if bias.size == 2 * rows * units:
                if rest[0].ndim == 1:  # cuDNN's layout, in which each gate's weights are transposed
                    kernel = np.hstack([_of_cudnn(gate) for gate in np.hsplit(kernel, rows)])
                    state = np.hstack([gate.T for gate in np.hsplit(state, rows)])
                biases = [bias[: bias.size // 2], bias[bias.size // 2 :]]
            elif bias.size == rows * units:
                biases = [bias, np.zeros_like(bias)]
            else:
                raise ValueError(f"{shown(name)}: expected a bias of {rows * units} numbers, got {bias.size}")
            if kind == "GRU" and bias.size == 2 * rows * units:
                arguments = {"reset_after": True} | dict(arguments)
        ours[f"weight_ih_l0{suffix}"] = _our_gates(kind, kernel.T)
        ours[f"weight_hh_l0{suffix}"] = _our_gates(kind, state.T)
        for which, bias in zip(("ih", "hh"), biases, strict=False):
            ours[f"bias_{which}_l0{suffix}"] = _our_gates(kind, bias)
    return recurrent_part(name, kind, ours, arguments)


def _of_cudnn(gate: Tensor) -> Tensor:
    """Return a gate's kernel (I, H), whose numbers lie in memory as those of (H, I)."""
    return gate.reshape(gate.shape[::-1]).T


def _our_gates(kind: str, rows: Tensor) -> Tensor:
    """Return rows of weights in our order of gates: a GRU's are z, r, n in Keras."""
    if kind != "GRU":
        return rows
    z, r, n = np.split(rows, 3)
    return np.concatenate([r, z, n])


def parts_without(by_place: Mapping[str, Sequence[Tensor]], told: Told, prefix: str) -> list[Part]:
    """Return the layers of arrays that no configuration explains, by their places and shapes.

    Activations, directions and the like are Keras's defaults then, or what was told.
    """
    wanted = {place: arrays for place, arrays in by_place.items() if under(place, prefix)}
    if not wanted:
        there = ", ".join(list(by_place)[:12]) or "none"
        raise ValueError(f"prefix: expected the place of a layer, got {prefix!r}; there is {there}")
    return [_without(place, arrays, told) for place, arrays in wanted.items()]


def _without(place: str, arrays: Sequence[Tensor], told: Told) -> Part:
    dims = [array.ndim for array in arrays]
    if dims == [2]:
        return _matrix(place, arrays[0], told)
    if dims == [2, 1]:
        return linear_part(place, arrays[0].T, arrays[1])
    if dims == [1, 1]:
        return norm_part(place, arrays[0], arrays[1], arrays[0].size, told.eps or LAYER_NORM_EPS)
    if len(arrays) in (2, 3, 4, 6) and dims[:2] == [2, 2]:
        half = len(arrays) // 2
        directions = [arrays[:half], arrays[half:]] if len(arrays) in (4, 6) else [arrays]
        return _recurrent_without(place, directions, told)
    shapes = ", ".join(str(array.shape) for array in arrays)
    raise ValueError(f"{shown(place)}: expected a layer that fastlstm has, got arrays {shapes[:200]}")


def _matrix(place: str, matrix: Tensor, told: Told) -> Part:
    last = place.rpartition("/")[2]
    by_name = {"embedding": "Embedding", "dense": "Linear"}.get(last.rstrip("_0123456789"))
    kind = told.linear_or_embedding(place) or by_name
    if kind is None:
        raise ValueError(
            f"{shown(place)}: expected to tell an Embedding from a Dense without bias, got {matrix.shape} "
            f"that may be either: load it with kinds={{{place!r}: 'Embedding'}} or 'Linear'"
        )
    return embedding_part(place, matrix) if kind == "Embedding" else linear_part(place, matrix.T, None)


def _recurrent_without(place: str, directions: Sequence[Sequence[Tensor]], told: Told) -> Part:
    state = directions[0][1]
    kinds = {ROWS[kind]: kind for kind in RECURRENT}
    kind = kinds.get(state.shape[1] // state.shape[0]) if state.shape[0] else None
    if kind is None:
        expected = "4, 3 or 1 columns a unit (LSTM, GRU, SimpleRNN)"
        raise ValueError(f"{shown(place)}: expected {expected}, got {state.shape}")
    arguments = {"batch_first": True} | dict(told.recurrent)
    if kind == "RNN":
        arguments = dict(with_nonlinearity(place, arguments))
    else:
        arguments.pop("nonlinearity", None)
    if kind == "GRU" and "reset_after" not in arguments:
        bias = directions[0][2] if len(directions[0]) == 3 else None
        if bias is None:
            raise ValueError(
                f"{shown(place)}: expected to know where a GRU resets, got one without bias: "
                "load it with reset_after=True or False"
            )
        arguments["reset_after"] = bias.size == 2 * state.shape[1]
    return recurrent(place, kind, directions, arguments)
