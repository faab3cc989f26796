"""ONNX's interface of backends: `prepare`, `run_model`, `run_node`, `supports_device`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import ModelProto, NodeProto
from onnx.backend.base import Backend as Base
from onnx.backend.base import BackendRep

from .protos import WRONG, inlined
from .session import Session
from .writer import IR_VERSION, OPSET, typed


class Prepared(BackendRep):  # type: ignore[misc, unused-ignore]
    """A model that was prepared."""

    def __init__(self, session: Session) -> None:
        self.session = session

    def run(self, inputs: Any, **kwargs: Any) -> tuple[Any, ...]:
        """Return all outputs, from the inputs in the graph's order, or by name."""
        if not isinstance(inputs, Mapping):
            values = inputs if isinstance(inputs, (list, tuple)) else [inputs]
            names = [value.name for value in self.session.get_inputs()]
            if len(values) != len(names):
                raise ValueError(f"inputs: expected {', '.join(names)}, got {len(values)} values")
            inputs = dict(zip(names, values, strict=True))
        return tuple(self.session.run(None, inputs))


class Backend(Base):  # type: ignore[misc, unused-ignore]
    """fastlstm as a backend of ONNX, which runs models as `accelerate` does: small ones, too.

    Examples
    --------
    >>> import numpy as np, fastlstm
    >>> from fastlstm.interop import onnx
    >>> prepared = onnx.Backend.prepare(onnx.export(fastlstm.GRU(3, 5)))
    >>> y, h_n = prepared.run([np.zeros((7, 2, 3), np.float32)])
    >>> y.shape
    (7, 2, 5)
    """

    @classmethod
    def prepare(cls, model: ModelProto, device: str = "CPU", **kwargs: Any) -> Prepared:
        """Return what runs a model.

        Parameters
        ----------
        model : onnx.ModelProto
        device : str, default "CPU"

        Raises
        ------
        ValueError
            If the model is damaged or the device is not the CPU.

        Examples
        --------
        >>> import numpy as np, fastlstm
        >>> from fastlstm.interop import onnx
        >>> y, h_n = onnx.prepare(onnx.export(fastlstm.RNN(3, 5))).run([np.zeros((7, 2, 3), np.float32)])
        >>> h_n.shape
        (1, 2, 5)
        """
        if not cls.supports_device(device):
            raise ValueError(f"device: expected 'CPU', got {device!r}")
        try:
            onnx.checker.check_model(model)
        except WRONG as error:
            raise ValueError(f"model: expected an ONNX model, got ({error})") from error
        return Prepared(Session(inlined(model), least_work=0))

    @classmethod
    def run_node(
        cls, node: NodeProto, inputs: Any, device: str = "CPU", outputs_info: Any = None, **kwargs: Any
    ) -> tuple[Any, ...]:
        """Return what one node gives, from its inputs but for the empty ones.

        Examples
        --------
        >>> import numpy as np, onnx.helper
        >>> from fastlstm.interop.onnx import run_node
        >>> node = onnx.helper.make_node("RNN", ["X", "W", "R"], ["", "Y_h"], hidden_size=5)
        >>> X, W, R = (np.ones(shape, np.float32) for shape in ((7, 2, 3), (1, 5, 3), (1, 5, 5)))
        >>> run_node(node, [X, W, R])[0].shape
        (1, 2, 5)
        """
        values: Sequence[Any] = [np.asarray(value) for value in inputs]
        names = [name for name in node.input if name]
        infos = [typed(name, array.dtype, array.shape) for name, array in zip(names, values, strict=True)]
        outputs = [onnx.ValueInfoProto(name=name) for name in node.output if name]
        graph = onnx.helper.make_graph([node], "node", infos, outputs)
        opsets = [onnx.helper.make_opsetid(node.domain, kwargs.get("opset_version", OPSET))]
        model = onnx.helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION)
        return Prepared(Session(model, least_work=0)).run(list(values))

    @classmethod
    def supports_device(cls, device: str) -> bool:
        """Return whether it is the CPU.

        Examples
        --------
        >>> from fastlstm.interop.onnx import supports_device
        >>> supports_device("CPU"), supports_device("CUDA:0")
        (True, False)
        """
        return device.partition(":")[0] == "CPU"


def run_model(model: ModelProto, inputs: Any, device: str = "CPU", **kwargs: Any) -> tuple[Any, ...]:
    """Return all outputs of a model, from the inputs in the graph's order, or by name.

    Examples
    --------
    >>> import numpy as np, fastlstm
    >>> from fastlstm.interop import onnx
    >>> y, h_n = onnx.run_model(onnx.export(fastlstm.RNN(3, 5)), {"x": np.zeros((7, 2, 3), np.float32)})
    >>> y.shape
    (7, 2, 5)
    """
    results: tuple[Any, ...] = Backend.run_model(model, inputs, device, **kwargs)
    return results


prepare = Backend.prepare
run_node = Backend.run_node
supports_device = Backend.supports_device
