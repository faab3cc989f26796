from contextlib import AbstractContextManager
from typing import Any

import numpy as np
from numpy.typing import NDArray

_Array = NDArray[np.floating[Any]]

def available_isas() -> list[str]: ...
def use_isa(name: str | None) -> None: ...
def current_isa() -> str: ...
def ways_of(name: str) -> list[str]: ...
def use_way(name: str, way: str | None) -> None: ...
def way_of(name: str) -> str: ...
def tiles_refused() -> bool: ...
def set_num_threads(count: int) -> None: ...
def get_num_threads() -> int: ...
def caches() -> tuple[int, int, bool]: ...
def borrow_threads(parallel: int, thread_num: int, max_threads: int, in_parallel: int) -> None: ...
def threads_borrowed() -> bool: ...
def threads_started() -> int: ...
def threads_lent() -> int: ...
def times_late() -> int: ...
def somebody_late() -> bool: ...
def forget_late() -> None: ...
def be_patient(patient: bool) -> None: ...
def use_product(name: str) -> None: ...
def current_product() -> str: ...
def hold_blas(context: AbstractContextManager[None] | None) -> None: ...
def blas_is_held() -> bool: ...
def functions() -> list[str]: ...
def cells() -> dict[str, dict[str, int]]: ...
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

class Dropped:
    zone_h: _Array | None
    zone_c: _Array | None
    mask: _Array | None
    fed_0: _Array | None
    fed: _Array | None
    def __init__(
        self,
        zone_h: _Array | None = None,
        zone_c: _Array | None = None,
        mask: _Array | None = None,
        fed_0: _Array | None = None,
        fed: _Array | None = None,
    ) -> None: ...

class Normalised:
    nbytes: int
    def __init__(self, normal: tuple[_Array, ...], scale: tuple[_Array, ...]) -> None: ...
    def copy(self) -> Normalised: ...

class Layer:
    cell: str
    reverse: bool
    input_size: int
    hidden_size: int
    output_size: int
    carried_size: int
    kept_size: int
    def __init__(
        self,
        cell: str,
        weight_ih: _Array,
        weight_hh: _Array,
        bias: _Array,
        weight_hr: _Array | None,
        reverse: bool,
        variant: dict[str, Any] | None = None,
        norms: dict[str, _Array] | None = None,
        format: str | None = None,
        scales: tuple[_Array, _Array, _Array | None, float | None, int] | None = None,
        trains: bool = True,
    ) -> None: ...
    def backward(
        self,
        batch: RaggedBatch,
        x: _Array,
        h_0: _Array,
        c_0: _Array | None,
        y: _Array,
        kept: _Array,
        cells: _Array | None,
        dy: _Array | None,
        dh_n: _Array,
        dc_n: _Array | None,
        dx: _Array | None,
        dx_before: _Array | None,
        workspace: NDArray[np.uint8] | None = None,
        dropped: Dropped | None = None,
        normalised: Normalised | None = None,
    ) -> Backward: ...
    def workspace_bytes(self, batch: RaggedBatch) -> int: ...

class Backward:
    dx: _Array | None
    dh_0: _Array
    dc_0: _Array | None
    dweight_ih: _Array
    dweight_hh: _Array
    dbias: _Array
    dweight_hr: _Array | None
    dpeephole: _Array | None
    dgain_ih: _Array | None
    dgain_hh: _Array | None
    dgain_c: _Array | None
    dbias_c: _Array | None
    whole: bool

class Product:
    def __init__(
        self,
        weight: _Array,
        bias: _Array,
        format: str | None = None,
        scales: tuple[_Array, float | None, int] | None = None,
        trains: bool = True,
    ) -> None: ...
    def forward(self, x: _Array) -> _Array: ...
    def slide(self, x: _Array, stride: int, before: int, after: int) -> _Array: ...
    def backward(
        self, x: _Array, dy: _Array, dweight: _Array | None = None, dbias: _Array | None = None
    ) -> tuple[_Array, _Array, _Array]: ...

def run(
    layers: list[Layer],
    batch: RaggedBatch,
    x: _Array,
    outputs: list[_Array],
    start: list[_Array],
    final: list[_Array],
    kept: list[_Array | None] | None = None,
    cells: list[_Array | None] | None = None,
    first: int = 0,
    last: int = -1,
    dropped: list[Dropped | None] | None = None,
    normalised: list[Normalised | None] | None = None,
) -> bool: ...

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
        abreast: int = 1,
    ) -> None: ...
    def step(self, x: object, out: object) -> bool: ...
