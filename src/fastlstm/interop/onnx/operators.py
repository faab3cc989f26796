"""ONNX's recurrent operators: each holds a model, whose weights are packed once, and runs it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...files.description import CLASSES
from ...model.checks import as_choice, as_floats, as_positive, as_size, check_finite, check_shape
from ...model.parameters import stored_parameters
from ...model.precision import INT8, LARGEST, row_scales, scale_name, whole_numbers, widened
from ...model.recurrent import Recurrent
from ...model.variants import Function
from . import functions
from .weights import FROM_ONNX, Weights, from_onnx

Array = NDArray[Any]

DIRECTIONS = {"forward": 1, "reverse": 1, "bidirectional": 2}


class Operator:
    """Base of `LSTM`, `GRU` and `RNN`: what the operators of these names have in common.

    Parameters
    ----------
    W, R, B, P : array, optional
        Weights that stay as they are. Without W and R, a call has to bring its weights.
    **attributes
        Those of the operator, under ONNX's names. `hidden_size` may be left out, as R says it.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as ONNX has it, or asks for what this package doesn't have: an alpha of zero or
        less, or a gate other than a sigmoid together with `input_forget`.
    """

    KIND = ""
    INPUTS: tuple[str, ...] = ("X", "W", "R", "B", "sequence_lens", "initial_h")
    """The operator's inputs in the order of a node's, as `__call__` names them."""
    FUNCTIONS: tuple[str, ...] = ()
    """The functions of a direction where a node has no `activations`."""
    _flags: tuple[str, ...] = ()
    """Attributes of the operator that are 0 or 1, beside `layout`."""

    def __init__(
        self,
        W: ArrayLike | None = None,
        R: ArrayLike | None = None,
        B: ArrayLike | None = None,
        P: ArrayLike | None = None,
        **attributes: Any,
    ) -> None:
        given = dict(attributes)
        self.direction = as_choice(*DIRECTIONS)(given.pop("direction", "forward"), "direction")
        size = given.pop("hidden_size", None)
        self.hidden_size = None if size is None else as_size(size, "hidden_size")
        clip = given.pop("clip", None)
        self.clip = None if clip is None or clip == 0 else as_positive(clip, "clip")
        self.layout = _flag(given, "layout")
        self._told = {name: _flag(given, name) for name in self._flags}
        given.pop("output_sequence", None)  # of the first version of the operators: Y is there either way
        self.functions = self._functions(given)
        if given:
            raise ValueError(f"{', '.join(given)}: expected attributes of {self.KIND}, got unknown names")
        self._models: list[Recurrent[Any]] = []
        self._key: tuple[Any, ...] = ()
        self.is_constant = W is not None and R is not None
        """Whether it has weights of its own."""
        if W is not None and R is not None:
            self._hold(self._checked(W, R, B, P))

    @property
    def units(self) -> int | None:
        """How many units it has; None where only a call will tell."""
        return self._models[0].hidden_size if self._models else self.hidden_size

    def _functions(self, given: dict[str, Any]) -> list[tuple[Function, ...]]:
        """Return the functions of each direction."""
        each, count = len(self.FUNCTIONS), DIRECTIONS[self.direction]
        names = given.pop("activations", None) or self.FUNCTIONS * count
        alphas, betas = (given.pop(f"activation_{greek}", None) or () for greek in ("alpha", "beta"))
        if len(names) != each * count:
            raise ValueError(f"activations: expected {each * count} functions, got {len(names)}")
        found = functions.from_onnx(names, alphas, betas)
        return [tuple(found[k : k + each]) for k in range(0, len(found), each)]

    # Weights

    def _checked(self, W: ArrayLike, R: ArrayLike, B: ArrayLike | None, P: ArrayLike | None) -> Weights:
        """Return weights as floats that a model may have; ValueError or TypeError if they don't fit."""
        w = self._matrix(W, "W", None)
        if w.ndim != 3 or len(w) != DIRECTIONS[self.direction]:
            raise ValueError(
                f"W: expected shape (D, G*H, I) with D={DIRECTIONS[self.direction]}, got {w.shape}"
            )
        D, rows, _ = w.shape
        gates = len(FROM_ONNX[self.KIND])
        H = self.hidden_size or rows // gates
        r = self._matrix(R, "R", w.dtype)
        if H < 1 or rows != gates * H:
            raise ValueError(f"W: expected {gates} rows for each of {max(H, 1)} units, got {rows} rows")
        if r.shape[:2] == (D, rows) and r.shape[2:] < (H,):
            expected = f"shape {(D, rows, H)}, as ONNX has no projection of h"
            raise ValueError(f"R: expected {expected}, got {r.shape}")
        check_shape(r, "R", (D, rows, H))
        b, p, dtype = None, None, dtype_of(w)
        if B is not None:
            b = as_reals(B, "B", dtype)
            check_shape(b, "B", (D, 2 * rows))
        if P is not None:
            p = as_reals(P, "P", dtype)
            check_shape(p, "P", (D, 3 * H))
        return Weights(w, r, b, p)

    def _matrix(self, value: ArrayLike, name: str, dtype: Any) -> Array:
        """Return W or R as models have them; of the dtype, if it is not None."""
        return as_reals(value, name, dtype)

    def _hold(self, weights: Weights) -> None:
        """Make the models of these weights."""
        self._models = [self._model(weights, part) for part in self._parts()]

    def _parts(self) -> list[slice]:
        """Return the directions that each model has: one model both, if both have the same functions."""
        if len(self.functions) == 2 and self.functions[0] != self.functions[1]:
            return [slice(0, 1), slice(1, 2)]
        return [slice(0, len(self.functions))]

    def _model(self, weights: Weights, part: slice) -> Recurrent[Any]:
        bidirectional = part.stop - part.start == 2
        options = self._options(weights) | {
            "bidirectional": bidirectional,
            "reverse": not bidirectional and (self.direction == "reverse" or part.start == 1),
            "batch_first": bool(self.layout),
            "bias": weights.B is not None,
            "clip": self.clip,
            "empty_state": "zero",
            "dtype": dtype_of(weights.W).name,
        }
        usual = tuple((name.lower(), 0.0, 0.0) for name in self.FUNCTIONS)
        if self.functions[part.start] != usual:
            options["activations"] = self.functions[part.start]
        _, _, H = weights.R.shape
        with stored_parameters(self._named(weights, part)):
            model: Recurrent[Any] = CLASSES[self.KIND](weights.W.shape[2], H, **options)
        return model

    def _options(self, weights: Weights) -> dict[str, Any]:
        """Return the options of a model that only this operator has."""
        return {}

    def _named(self, weights: Weights, part: slice) -> dict[str, Array]:
        """Return the parameters of the model of some directions."""
        return self._by_name(weights, part)

    def _by_name(self, weights: Weights, part: slice) -> dict[str, Array]:
        """Return what weights are by the names that parameters of a model have."""
        of_directions = from_onnx(self.KIND, weights, bool(self._told.get("input_forget")))[part]
        return {
            name + suffix: array
            for named, suffix in zip(of_directions, ("", "_reverse"), strict=False)
            for name, array in named.items()
        }

    # Running

    def __call__(
        self,
        X: ArrayLike,
        sequence_lens: ArrayLike | None = None,
        initial_h: ArrayLike | None = None,
        initial_c: ArrayLike | None = None,
        *,
        W: ArrayLike | None = None,
        R: ArrayLike | None = None,
        B: ArrayLike | None = None,
        P: ArrayLike | None = None,
    ) -> tuple[Array, ...]:
        """Return Y, Y_h and, of an LSTM, Y_c.

        Parameters
        ----------
        X : array (T, B, I), or (B, T, I) with ``layout=1``
            Floats of any size. What it is calculated in is the weights' size, but no less than float32.
        sequence_lens : integer array (B,), optional
            Steps past a sequence's end are zero in Y. Of a sequence without steps, all results are zero.
        initial_h, initial_c : array (D, B, H), or (B, D, H) with ``layout=1``, optional
        W, R, B, P : array, optional
            Weights of this call, if there are none that stay.

        Returns
        -------
        Y : array (T, D, B, H), or (B, T, D, H) with ``layout=1``
        Y_h, Y_c : array, as `initial_h`
            All of the dtype of X.

        Raises
        ------
        TypeError, ValueError
            If an argument is not as above.
        """
        lent = self._lent(W, R, B, P)
        given = np.asarray(X)
        x = as_reals(given, "X", self._models[0].dtype)
        if x.ndim != 3:
            axes = "(B, T, I)" if self.layout else "(T, B, I)"
            raise ValueError(f"X: expected shape {axes}, got {x.shape}")
        starts = [self._start(initial_h, "initial_h", x), self._start(initial_c, "initial_c", x)]
        if len(self._models) == 1:
            weights = lent[0] if lent else None
            y, state = self._models[0].run(x, self._state(starts), lengths=sequence_lens, weights=weights)
            states: Sequence[Array] = state if isinstance(state, tuple) else (state,)
        else:
            y, states = self._apart(x, starts, sequence_lens, lent)
        results = (self._as_Y(y), *map(self._laid_out, states))
        if given.dtype == x.dtype:
            return results
        return tuple(array.astype(given.dtype) for array in results)

    def _apart(
        self,
        x: Array,
        starts: Sequence[Array | None],
        lengths: ArrayLike | None,
        lent: Sequence[Mapping[str, Array]],
    ) -> tuple[Array, Sequence[Array]]:
        """Return y and the final states of two models, each a direction, side by side."""
        outputs, finals = [], []
        for k, (model, part) in enumerate(zip(self._models, self._parts(), strict=True)):
            begin = [None if start is None else start[part] for start in starts]
            weights = lent[k] if lent else None
            y, state = model.run(x, self._state(begin), lengths=lengths, weights=weights)
            outputs.append(y)
            finals.append(state if isinstance(state, tuple) else (state,))
        joined = [np.concatenate(same) for same in zip(*finals, strict=True)]
        return np.concatenate(outputs, axis=2), joined

    def _lent(
        self, W: ArrayLike | None, R: ArrayLike | None, B: ArrayLike | None, P: ArrayLike | None
    ) -> list[dict[str, Array]]:
        """Return the weights that a call brings, for each model; none where they stay."""
        if self.is_constant:
            if not (W is R is B is P is None):
                raise ValueError("W: expected no weights where the operator has its own, got some")
            return []
        if W is None or R is None:
            raise ValueError("W: expected W and R where the operator has no weights of its own, got none")
        weights = self._checked(W, R, B, P)
        key = (weights.W.dtype, weights.W.shape, B is None, P is None)
        if key != self._key:
            self._hold(weights)
            self._key = key
        return [self._named(weights, part) for part in self._parts()]

    def _start(self, value: ArrayLike | None, name: str, x: Array) -> Array | None:
        """Return an initial state as (D, B, H)."""
        if value is None:
            return None
        state, model = as_reals(value, name, x.dtype), self._models[0]
        D, B, H = len(self.functions), x.shape[0 if self.layout else 1], model.hidden_size
        check_shape(state, name, (B, D, H) if self.layout else (D, B, H))
        return state.swapaxes(0, 1) if self.layout else state

    def _state(self, begin: Sequence[Array | None]) -> Any:
        """Return a model's initial state."""
        return begin[0]

    def _as_Y(self, whole: Array) -> Array:
        """Return Y of y, (T, B, D·H) or (B, T, D·H)."""
        y = whole.reshape(*whole.shape[:2], len(self.functions), self._models[0].hidden_size)
        return y if self.layout else y.swapaxes(1, 2)

    def _laid_out(self, state: Array) -> Array:
        """Return a final state, (D, B, H), as the layout has it."""
        return state.swapaxes(0, 1) if self.layout else state


class LSTM(Operator):
    """ONNX's operator LSTM.

    Parameters
    ----------
    W, R, B, P : array, optional
        (D, 4·H, I), (D, 4·H, H), (D, 8·H) and (D, 3·H): gates in the order i, o, f, c, peepholes i, o, f.
        Without W and R, a call has to bring its weights.
    **attributes
        `direction`, `hidden_size`, `activations`, `activation_alpha`, `activation_beta`, `clip`,
        `input_forget` and `layout`, as ONNX has them.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as ONNX has it, or asks for what this package doesn't have: an alpha of zero or
        less, or a gate other than a sigmoid together with `input_forget`.

    Examples
    --------
    >>> import numpy as np
    >>> from fastlstm.interop.onnx import LSTM
    >>> lstm = LSTM(np.ones((1, 20, 3), "f"), np.ones((1, 20, 5), "f"), direction="reverse")
    >>> Y, Y_h, Y_c = lstm(np.ones((7, 2, 3), "f"), sequence_lens=[7, 4])
    >>> Y.shape, Y_h.shape, Y_c.shape
    ((7, 1, 2, 5), (1, 2, 5), (1, 2, 5))
    """

    KIND = "LSTM"
    INPUTS = (*Operator.INPUTS, "initial_c", "P")
    FUNCTIONS = ("Sigmoid", "Tanh", "Tanh")
    _flags = ("input_forget",)

    def _options(self, weights: Weights) -> dict[str, Any]:
        return {"input_forget": self._told["input_forget"], "peepholes": weights.P is not None}

    def _state(self, begin: Sequence[Array | None]) -> Any:
        return None if begin[0] is None and begin[1] is None else tuple(begin)


class GRU(Operator):
    """ONNX's operator GRU, as `LSTM`; gates in the order z, r, h, and `linear_before_reset`.

    Examples
    --------
    >>> import numpy as np
    >>> from fastlstm.interop.onnx import GRU
    >>> gru = GRU(np.ones((1, 15, 3), "f"), np.ones((1, 15, 5), "f"), linear_before_reset=1)
    >>> Y, Y_h = gru(np.ones((7, 2, 3), "f"))
    >>> Y.shape, Y_h.shape
    ((7, 1, 2, 5), (1, 2, 5))
    """

    KIND = "GRU"
    FUNCTIONS = ("Sigmoid", "Tanh")
    _flags = ("linear_before_reset",)

    def _options(self, weights: Weights) -> dict[str, Any]:
        return {"reset_after": self._told["linear_before_reset"]}


class RNN(Operator):
    """ONNX's operator RNN, as `LSTM`, with one gate.

    Examples
    --------
    >>> import numpy as np
    >>> from fastlstm.interop.onnx import RNN
    >>> rnn = RNN(np.ones((1, 5, 3), "f"), np.ones((1, 5, 5), "f"), activations=["Relu"])
    >>> Y, Y_h = rnn(np.ones((7, 2, 3), "f"))
    >>> Y.shape, Y_h.shape
    ((7, 1, 2, 5), (1, 2, 5))
    """

    KIND = "RNN"
    FUNCTIONS = ("Tanh",)


class DynamicQuantizeLSTM(LSTM):
    """ONNX Runtime's operator com.microsoft.DynamicQuantizeLSTM, as a model of int8.

    Its weights are whole numbers of 8 bits, less a zero point, times a scale. Where a row's lie from -127 to
    127, which all do that were made with a zero point in the middle, they are kept as they are; other rows
    are rounded anew, each with a scale of its own.

    Parameters
    ----------
    W, R : array of int8 or uint8, (D, I, 4·H) and (D, H, 4·H)
        They have to be there: a call can't bring them.
    B, P : array, optional
        Floats, as those of `LSTM`.
    W_scale, R_scale : array (D,) or (D, 4·H)
        One for the whole matrix, or for each row of W of `LSTM`.
    W_zero_point, R_zero_point : array of the same shapes, optional
    **attributes
        As for `LSTM`; no `layout`.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as above.

    Notes
    -----
    x and h become 8 bits at each step, too. ONNX Runtime does it with one range over a whole product, of
    unsigned numbers: over x of all steps and sequences of a batch, and over h of all sequences. Here each
    vector has a range of its own, so a sequence's results do not depend on what else is in the batch; from
    those of ONNX Runtime they differ by both roundings.

    Examples
    --------
    >>> import numpy as np
    >>> from fastlstm.interop.onnx import DynamicQuantizeLSTM
    >>> W, R = np.ones((1, 3, 20), np.int8), np.ones((1, 5, 20), np.int8)
    >>> lstm = DynamicQuantizeLSTM(W, R, W_scale=np.full(1, 0.1, "f"), R_scale=np.full(1, 0.1, "f"))
    >>> Y, Y_h, Y_c = lstm(np.ones((7, 2, 3), "f"))
    >>> Y.shape
    (7, 1, 2, 5)
    """

    INPUTS = (*LSTM.INPUTS, "W_scale", "W_zero_point", "R_scale", "R_zero_point")

    def __init__(
        self,
        W: ArrayLike | None = None,
        R: ArrayLike | None = None,
        B: ArrayLike | None = None,
        P: ArrayLike | None = None,
        *,
        W_scale: ArrayLike | None = None,
        R_scale: ArrayLike | None = None,
        W_zero_point: ArrayLike | None = None,
        R_zero_point: ArrayLike | None = None,
        **attributes: Any,
    ) -> None:
        if W is None or R is None or W_scale is None or R_scale is None:
            raise ValueError("W: expected weights and scales that are constant, got others")
        w, w_scale = of_int8(W, W_scale, W_zero_point, "W")
        r, r_scale = of_int8(R, R_scale, R_zero_point, "R")
        self._scales = Weights(w_scale[..., None], r_scale[..., None])
        super().__init__(w, r, B, P, **attributes)

    def _matrix(self, value: ArrayLike, name: str, dtype: Any) -> Array:
        return np.asarray(value)

    def _options(self, weights: Weights) -> dict[str, Any]:
        return super()._options(weights) | {"precision": "int8"}

    def _named(self, weights: Weights, part: slice) -> dict[str, Array]:
        scales = self._by_name(self._scales, part)
        return self._by_name(weights, part) | {
            scale_name(name): np.ascontiguousarray(scale[:, 0]) for name, scale in scales.items()
        }


OPERATORS: Mapping[tuple[str, str], type[Operator]] = {
    ("", "LSTM"): LSTM,
    ("", "GRU"): GRU,
    ("", "RNN"): RNN,
    ("com.microsoft", "DynamicQuantizeLSTM"): DynamicQuantizeLSTM,
}
"""The operators by the domain and type of their nodes."""


def of_int8(
    array: ArrayLike, scale: ArrayLike, zero_point: ArrayLike | None, name: str
) -> tuple[NDArray[np.int8], Array]:
    """Return weights (D, rows, columns), from -127 to 127, and their scales (D, rows).

    They are given as (D, columns, rows), with scales and zero points for each direction or row.
    """
    whole, scales = np.asarray(array), as_floats(scale, f"{name}_scale", np.dtype("f"))
    check_finite(scales, f"{name}_scale")
    if whole.dtype not in (np.int8, np.uint8) or whole.ndim != 3:
        expected = "an array of int8 or uint8 with three axes"
        raise ValueError(f"{name}: expected {expected}, got {whole.dtype} of {whole.shape}")
    D, _, rows = whole.shape
    if scales.shape not in ((D, rows), (D,), (D, 1)):
        expected = f"{D} numbers, or {rows} for each of them"
        raise ValueError(f"{name}_scale: expected {expected}, got shape {scales.shape}")
    zeros = np.zeros_like(scales, whole.dtype) if zero_point is None else np.asarray(zero_point)
    check_shape(zeros, f"{name}_zero_point", scales.shape)
    if zeros.dtype != whole.dtype:
        raise ValueError(f"{name}_zero_point: expected {whole.dtype}, got {zeros.dtype}")
    numbers = (whole.astype(np.int16) - zeros.astype(np.int16).reshape(D, 1, -1)).swapaxes(1, 2)
    scales = np.broadcast_to(scales.reshape(D, -1), (D, rows)).astype(np.float32)
    fits = (np.abs(numbers).max(axis=2, initial=0) <= LARGEST) & (scales > 0)
    floats = widened(numbers, scales)
    own = np.where(fits, scales, row_scales(floats))
    return np.where(fits[..., None], numbers, whole_numbers(floats, own)).astype(np.int8), own


def dtype_of(weights: Array) -> np.dtype[Any]:
    """Return the dtype of a model with such weights."""
    return np.dtype(np.float32) if weights.dtype == INT8 else weights.dtype


def _flag(attributes: dict[str, Any], name: str) -> bool:
    """Take an attribute that is 0, as it is where it is missing, or 1."""
    value = attributes.pop(name, 0)
    if value not in (0, 1):
        raise ValueError(f"{name}: expected 0 or 1, got {value!r}")
    return bool(value)


def as_reals(value: ArrayLike, name: str, dtype: Any = None) -> Array:
    """Return an array of a dtype that models have: float64 as it is, all others as float32."""
    array = np.asarray(value)
    if array.dtype == dtype and array.flags.aligned:  # most calls, and the name of a dtype takes microseconds
        return array
    if array.dtype.name == "bfloat16":
        array = array.astype(np.float32)
    floats = as_floats(array, name)
    return floats.astype(dtype or (np.float64 if floats.dtype == np.float64 else np.float32), copy=False)
