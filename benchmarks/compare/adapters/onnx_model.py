"""A cell as an ONNX model: one node a layer, initial states as inputs and final ones as outputs."""

from __future__ import annotations

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from ..cells import Cell
from ..inputs import Array, Inputs

OPSET = 17
IR_VERSION = 8  # the one of opset 17, which every runtime of today reads
STATES = {"LSTM": "hc", "GRU": "h"}
# Where ONNX has PyTorch's gates: i, o, f, c of i, f, g, o, and z, r, h of r, z, n.
GATES = {"LSTM": (0, 3, 1, 2), "GRU": (1, 0, 2)}


def state_names(cell: Cell) -> list[tuple[str, str]]:
    """Return the names of each state's initial and final value."""
    return [(f"{s}_0_l{layer}", f"{s}_n_l{layer}") for layer in range(cell.layers) for s in STATES[cell.kind]]


def state_shape(cell: Cell) -> tuple[int, int, int]:
    return cell.directions, cell.B, cell.H


def feeds(cell: Cell, inputs: Inputs) -> dict[str, Array]:
    """Return the model's inputs by name, with initial states of zero."""
    states = {first: np.zeros(state_shape(cell), inputs.x.dtype) for first, _ in state_names(cell)}
    return {"x": inputs.x} | states


def y_shape(cell: Cell) -> tuple[int, ...]:
    """Return the shape of the output named y: with one direction it is as the last node leaves it."""
    return (cell.T, 1, cell.B, cell.H) if cell.directions == 1 else (cell.T, cell.B, 2 * cell.H)


def new_model(cell: Cell, inputs: Inputs) -> bytes:
    """Return the model in ONNX's format."""
    nodes, constants, below = [], [], "x"
    for layer in range(cell.layers):
        weights = _layer_weights(cell, inputs.parameters, layer)
        constants += [numpy_helper.from_array(array, name) for name, array in weights.items()]
        last = layer == cell.layers - 1
        joined = not last or cell.directions == 2
        out = "y" if last else f"y_l{layer}"
        count = len(STATES[cell.kind])
        states, finals = zip(*state_names(cell)[count * layer : count * (layer + 1)], strict=True)
        node_out = f"{out}_apart" if joined else out
        attributes = {
            "hidden_size": cell.H,
            "direction": "forward" if cell.directions == 1 else "bidirectional",
        }
        if cell.kind == "GRU":
            attributes["linear_before_reset"] = 1
        nodes.append(
            helper.make_node(cell.kind, [below, *weights, "", *states], [node_out, *finals], **attributes)
        )
        if joined:
            shape = f"shape_l{layer}"
            constants.append(numpy_helper.from_array(np.array([cell.T, cell.B, -1]), shape))
            nodes += _joined(node_out, shape, out, cell.directions)
        below = out
    return _model(cell, nodes, constants).SerializeToString()


def _layer_weights(cell: Cell, parameters: dict[str, Array], layer: int) -> dict[str, Array]:
    """Return W, R and B of a layer, with gates in ONNX's order."""
    places = [f"l{layer}{suffix}" for suffix in ("", "_reverse")[: cell.directions]]

    def stacked(name: str) -> Array:
        return np.stack([_gates_of_onnx(cell, parameters[f"{name}_{place}"]) for place in places])

    return {
        f"W_l{layer}": stacked("weight_ih"),
        f"R_l{layer}": stacked("weight_hh"),
        f"B_l{layer}": np.concatenate([stacked("bias_ih"), stacked("bias_hh")], axis=1),
    }


def _gates_of_onnx(cell: Cell, array: Array) -> Array:
    gates = np.split(array, len(GATES[cell.kind]))
    return np.concatenate([gates[k] for k in GATES[cell.kind]])


def _joined(apart: str, shape: str, out: str, directions: int) -> list:
    """Return the nodes that turn (T, D, B, H) into (T, B, D·H)."""
    if directions == 1:
        return [helper.make_node("Reshape", [apart, shape], [out])]
    turned = f"{apart}_turned"
    return [
        helper.make_node("Transpose", [apart], [turned], perm=[0, 2, 1, 3]),
        helper.make_node("Reshape", [turned, shape], [out]),
    ]


def _model(cell: Cell, nodes: list, constants: list):
    def value(name: str, shape: tuple[int, ...]):
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)

    firsts, finals = zip(*state_names(cell), strict=True)
    graph = helper.make_graph(
        nodes,
        cell.kind.lower(),
        [value("x", (cell.T, cell.B, cell.H)), *(value(name, state_shape(cell)) for name in firsts)],
        [value("y", y_shape(cell)), *(value(name, state_shape(cell)) for name in finals)],
        constants,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
