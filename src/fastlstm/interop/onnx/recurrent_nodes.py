"""Recurrent layers as nodes: as ONNX's operators where these do what the layer does, else as a Scan."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import GraphProto, ValueInfoProto

from ...model.precision import scale_name
from ...model.recurrent import Recurrent
from ...model.tape import Place
from ...model.variants import usual_functions
from . import functions
from .sequence_writer import SequenceWriter, Value
from .steps import Steps
from .weights import to_onnx
from .writer import typed

Array = NDArray[Any]
Arrays = Mapping[str, Array]

MICROSOFT = "com.microsoft"


class RecurrentNodes:
    """The nodes of a recurrent model.

    Parameters
    ----------
    writer : SequenceWriter
    model : LSTM, GRU, RNN or SLSTM
    arrays : mapping of str to array
        Its parameters as floats.
    prefix : str
        What stands before the names of its states and tensors.

    Attributes
    ----------
    inputs : list of ValueInfoProto
        Initial states that the graph has as inputs.
    """

    def __init__(self, writer: SequenceWriter, model: Recurrent[Any], arrays: Arrays, prefix: str) -> None:
        self.w = writer
        self.model = model
        self.arrays = arrays
        self.prefix = prefix
        self.inputs: list[ValueInfoProto] = []
        self._states = dict(zip(model._cell.states, model._state_sizes, strict=True))

    def written(self, value: Value, takes_state: bool) -> tuple[Value, list[str]]:
        """Write all layers; return what they give, and the final states.

        Parameters
        ----------
        value : Value
            What the model reads.
        takes_state : bool
            Whether initial states are inputs of the graph.
        """
        w, model = self.w, self.model
        x = value._replace(name=w.turned(value.name))
        starts = self._starts(x.name, takes_state)
        finals: list[list[str]] = [[] for _ in self._states]
        for layer in range(model.num_layers):
            begin = [parts[layer] if parts else "" for parts in starts]
            write = self._node if has_operator(model) else self._scans
            name, ends = write(x, layer, begin)
            x = x._replace(name=name, is_zeroed=True)
            for final, end, start in zip(finals, ends, begin, strict=True):
                final.append(self._of_empty(end, start, value))
        whole = [parts[0] if len(parts) == 1 else w.add("Concat", *parts, axis=0) for parts in finals]
        return x._replace(name=w.turned(x.name), size=model._gives), whole

    def outputs(self, finals: Sequence[str]) -> list[ValueInfoProto]:
        """Make outputs of the graph of the final states."""
        described = []
        for name, final in zip(self._states, finals, strict=True):
            self.w.named(final, f"{self.prefix}{name}_n")
            described.append(self._typed(f"{name}_n", name))
        return described

    def _typed(self, name: str, state: str) -> ValueInfoProto:
        count = self.model.num_layers * self.model.directions
        return typed(self.prefix + name, self.model.dtype, [count, "batch", self._states[state]])

    # States

    def _starts(self, x: str, takes_state: bool) -> list[list[str]]:
        """Return each initial state by layer, (D, B, size); none where it is zeros."""
        w, model = self.w, self.model
        starts: list[list[str]] = []
        for name, size in self._states.items():
            if takes_state:
                self.inputs.append(self._typed(f"{name}_0", name))
                whole = f"{self.prefix}{name}_0"
            elif model.learn_state:
                own = self.arrays[f"{name}_0"]
                shape = w.add("Concat", w.whole(len(own)), w.size(x, 1), w.whole(size), axis=0)
                whole = w.add("Expand", w.constant(own[:, None], f"{self.prefix}{name}_0"), shape)
            else:
                starts.append([])
                continue
            starts.append(w.split(whole, model.num_layers, axis=0))
        return starts

    def _of_empty(self, final: str, start: str, value: Value) -> str:
        """Return the final state with that of sequences without steps as the model has it."""
        if value.ends is None or (self.model.empty_state != "zero" and not start):
            return final
        if self.model.empty_state == "zero":
            return self.w.where_some(final, value)
        return self.w.add("Where", value.ends.some, final, start)

    # As one of ONNX's operators

    def _node(self, x: Value, layer: int, starts: Sequence[str]) -> tuple[str, list[str]]:
        """Write a layer as one node; return its output and its final states."""
        w, model = self.w, self.model
        kind, weights = model._kind, to_onnx(model, layer, self.arrays)
        extra: list[str] = []
        attributes = attributes_of(model)
        if is_quantised(model):
            kind, attributes["domain"] = "DynamicQuantizeLSTM", MICROSOFT
            weights, scales = self._whole_numbers(layer)
            for name, scale in zip("WR", scales, strict=True):
                zeros = w.constant(np.zeros(scale.shape, np.int8), f"{self.prefix}{name}_zero_point_l{layer}")
                extra += [w.constant(scale, f"{self.prefix}{name}_scale_l{layer}"), zeros]
        named = [
            "" if array is None else w.constant(array, f"{self.prefix}{name}_l{layer}")
            for name, array in zip(weights._fields, weights, strict=True)
        ]
        inputs = [x.name, *named[:3], self._lengths(x), starts[0]]
        if model._kind == "LSTM":
            inputs += [starts[1], named[3], *extra]
        y, *finals = w.several(kind, inputs, 1 + len(starts), **attributes)
        return self._merged(y), finals

    def _lengths(self, x: Value) -> str:
        """Return the lengths as the operators read them."""
        return "" if x.ends is None else self.w.add("Cast", x.ends.lengths, to=6)

    def _whole_numbers(self, layer: int) -> tuple[Any, tuple[Array, Array]]:
        """Return the weights of a layer of int8, (D, I, 4·H) for a node, and their scales."""
        model, own = self.model, self.model.parameters
        weights = to_onnx(model, layer, own)
        columns = dict(own)
        for name in own:
            if scale_name(name) in own:
                columns[name] = own[scale_name(name)][:, None]
        scales = to_onnx(model, layer, columns)
        turned = weights._replace(W=weights.W.swapaxes(1, 2), R=weights.R.swapaxes(1, 2))
        return turned, (scales.W[..., 0], scales.R[..., 0])

    def _merged(self, y: str) -> str:
        """Return the output (T, B, n) of one (T, D, B, H)."""
        w, model = self.w, self.model
        if model.directions == 1:
            return w.squeeze(y, 1)
        if model.merge == "concat":
            y = w.add("Transpose", y, perm=[0, 2, 1, 3])
            return w.add("Reshape", y, w.whole(0, 0, 2 * model.hidden_size))
        if model.merge == "sum":
            return w.total(y, 1)
        return w.add({"mean": "ReduceMean", "mul": "ReduceProd"}[model.merge], y, axes=[1], keepdims=0)

    # As a Scan for each direction

    def _scans(self, x: Value, layer: int, starts: Sequence[str]) -> tuple[str, list[str]]:
        """Write a layer; return its output and its final states."""
        w, model, D = self.w, self.model, self.model.directions
        outputs, finals = [], []
        by_direction = [
            [w.squeeze(part, 0) for part in w.split(start, D, axis=0)] if start else [] for start in starts
        ]
        for d in range(D):
            begin = [
                parts[d] if parts else self._zeros(x.name, size)
                for parts, size in zip(by_direction, self._states.values(), strict=True)
            ]
            y, *ends = self._scan(x, Place(layer, d), begin)
            outputs.append(y)
            finals.append([w.unsqueeze(end, 0) for end in ends])
        joined = [same[0] if D == 1 else w.add("Concat", *same, axis=0) for same in zip(*finals, strict=True)]
        if D == 1:
            return outputs[0], joined
        if model.merge == "concat":
            return w.add("Concat", *outputs, axis=2), joined
        both = w.add("Mul" if model.merge == "mul" else "Add", *outputs)
        return w.add("Mul", both, w.number(0.5, model.dtype)) if model.merge == "mean" else both, joined

    def _zeros(self, x: str, size: int) -> str:
        shape = self.w.add("Concat", self.w.size(x, 1), self.w.whole(size), axis=0)
        return self.w.add("Expand", self.w.number(0, self.model.dtype), shape)

    def _scan(self, x: Value, place: Place, starts: Sequence[str]) -> list[str]:
        """Write one direction; return its output and its final states."""
        w, model = self.w, self.model
        own = self._of(place)
        scanned = [self._of_x(x.name, own)]
        if x.ends is not None:
            scanned.append(w.unsqueeze(x.ends.real, 2))
        backward = int(model._runs_backward(place))
        *finals, y = w.several(
            "Scan",
            [*starts, *scanned],
            len(starts) + 1,
            body=self._body(own, len(starts), x.ends is not None),
            num_scan_inputs=len(scanned),
            scan_input_directions=[backward] * len(scanned),
            scan_output_directions=[backward],
        )
        return [y, *finals]

    def _of(self, place: Place) -> dict[str, Array]:
        """Return a direction's parameters by their short names."""
        names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh", "weight_ch", "weight_hr")
        norms = ("gain_ih", "gain_hh", "gain_c", "bias_c")
        return {
            name: self.arrays[place.name(name)]
            for name in (*names, *norms)
            if place.name(name) in self.arrays
        }

    def _of_x(self, x: str, own: Arrays) -> str:
        """Write what x gives to all steps, with the biases that stand outside of what h gives."""
        w, model = self.w, self.model
        of_x = w.add("MatMul", x, w.constant(own["weight_ih"].T, f"{self.prefix}weight_ih"))
        if model.layer_norm:
            gain = w.constant(own["gain_ih"], f"{self.prefix}gain_ih")
            of_x = w.add("LayerNormalization", of_x, gain, axis=-1)
        if not model.bias:
            return of_x
        bias = own["bias_ih"] if model._kind == "GRU" else own["bias_ih"] + own["bias_hh"]
        return w.add("Add", of_x, w.constant(bias, f"{self.prefix}bias"))

    def _body(self, own: Arrays, count: int, has_ends: bool) -> GraphProto:
        """Return the graph of a step."""
        w, dtype = self.w.body(), self.model.dtype
        before = [w.name("state") for _ in range(count)]
        of_x, real = w.name("of_x"), w.name("real")
        after = Steps(w, self.model, own).run(of_x, before)
        y = after[0]
        kinds = [typed(name, dtype) for name in (*before, of_x)]
        if has_ends:
            after = [w.add("Where", real, new, old) for new, old in zip(after, before, strict=True)]
            y = w.add("Where", real, y, w.constant(0, "number", dtype))
            kinds.append(typed(real, np.bool_))
        else:
            y = w.add("Identity", y)
        return w.graph("step", kinds, [typed(name, dtype) for name in (*after, y)])


def has_operator(model: Recurrent[Any]) -> bool:
    """Return whether ONNX's operator of that name does all that the model does, and ONNX Runtime has it."""
    beyond = model.proj_size or model.layer_norm or model.cell_clip or any(model.zoneout)
    return model._kind in ("LSTM", "GRU", "RNN") and model.dtype == np.float32 and not beyond


def is_quantised(model: Recurrent[Any]) -> bool:
    """Return whether ONNX Runtime's operator for LSTMs of int8 has the model's weights as they are."""
    return model.precision == "int8" and model._kind == "LSTM" and model.heads == 1 and has_operator(model)


def attributes_of(model: Recurrent[Any]) -> dict[str, Any]:
    """Return the attributes of the node of a layer."""
    direction = "bidirectional" if model.bidirectional else "reverse" if model.reverse else "forward"
    told: dict[str, Any] = {"hidden_size": model.hidden_size, "direction": direction}
    if model.clip:
        told["clip"] = model.clip
    if model._kind == "GRU":
        told["linear_before_reset"] = int(model.reset_after)
    if model.input_forget:
        told["input_forget"] = 1
    if model.activations or model._kind == "RNN":
        chosen = model.activations or usual_functions(model)
        lists = functions.to_onnx([*chosen] * model.directions)
        told |= {name: values for name, values in lists.items() if values}
    return told
