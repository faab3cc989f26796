from typing import Any

import numpy as np
from numpy.typing import NDArray

_Array = NDArray[np.floating[Any]]

def available_isas() -> list[str]: ...
def use_isa(name: str | None) -> None: ...
def current_isa() -> str: ...
def set_num_threads(count: int) -> None: ...
def get_num_threads() -> int: ...
def caches() -> tuple[int, int, bool]: ...
def threads_started() -> int: ...
def threads_supported() -> bool: ...
def empty(shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any]: ...
def zeros(shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any]: ...
def sigmoid(x: _Array, out: _Array) -> None: ...
def tanh(x: _Array, out: _Array) -> None: ...
def adam(
    old: _Array,
    gradient: _Array,
    mean: _Array,
    square: _Array,
    out: _Array,
    mean_share: float,
    square_share: float,
    square_scale: float,
    rate: float,
    eps: float,
    weight_decay: float,
    kept: float,
) -> None: ...

class RaggedBatch:
    T: int
    B: int
    rows: int
    def __init__(self, lengths: NDArray[np.int64] | None = None, T: int = 0, B: int = 0) -> None: ...

class Layer:
    cell: str
    reverse: bool
    input_size: int
    hidden_size: int
    output_size: int
    gates_size: int
    def __init__(
        self,
        cell: str,
        weight_ih: _Array,
        weight_hh: _Array,
        bias: _Array,
        weight_hr: _Array | None,
        reverse: bool,
    ) -> None: ...
    def backward(
        self,
        batch: RaggedBatch,
        x: _Array,
        h_0: _Array,
        c_0: _Array | None,
        y: _Array,
        gates: _Array,
        cells: _Array | None,
        dy: _Array | None,
        dh: _Array,
        dc: _Array | None,
        dx: _Array | None,
        add_dx: bool,
        dweight_ih: _Array,
        dweight_hh: _Array,
        dbias: _Array,
        dweight_hr: _Array | None,
        workspace: NDArray[np.uint8] | None = None,
    ) -> None: ...
    def workspace_bytes(self, batch: RaggedBatch) -> int: ...

class Product:
    def __init__(self, weight: _Array, bias: _Array) -> None: ...
    def forward(self, x: _Array, y: _Array) -> None: ...
    def backward(self, x: _Array, dy: _Array, dx: _Array, dweight: _Array, dbias: _Array) -> None: ...

def run(
    layers: list[Layer],
    batch: RaggedBatch,
    x: _Array,
    outputs: list[_Array],
    start: list[_Array],
    final: list[_Array],
    gates: list[_Array | None] | None = None,
    cells: list[_Array | None] | None = None,
    first: int = 0,
    last: int = -1,
) -> None: ...

class Stepper:
    batch_size: int
    input_size: int
    output_size: int
    itemsize: int
    def __init__(
        self,
        layers: list[Layer],
        B: int,
        h: list[_Array],
        c: list[_Array] | None,
        between: list[_Array],
    ) -> None: ...
    def step(self, x: object, out: object) -> bool: ...
