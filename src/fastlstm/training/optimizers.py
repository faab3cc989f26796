"""Optimisers: from gradients to new weights.

All are those of `torch.optim`, with its names and defaults. A parameter and its running means are updated in
pieces that stay in the cache.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .._core import adam
from ..model.attributes import Fixed, Setting
from ..model.checks import (
    Array,
    as_boolean,
    as_count,
    as_floats,
    as_integers,
    as_mapping,
    as_nonnegative,
    as_positive,
    as_share,
    check_nonnegative,
)
from ..model.parameters import Parameterised, frozen
from ..model.precision import check_trains

NamedGradients = Mapping[str, Array]

SQUARES = ("square", "sum")
"""Which remembered arrays are sums of squares: their roots are taken."""

PIECE = 1 << 15
"""How many numbers are worked on at a time."""


@dataclass
class Memory:
    """What an optimiser remembers of one parameter."""

    steps: int = 0
    arrays: dict[str, Array] = field(default_factory=dict)


def _as_betas(value: tuple[float, float], name: str) -> tuple[float, float]:
    """Return `value` as Adam's decays; TypeError or ValueError otherwise."""
    if not isinstance(value, (tuple, list)) or len(value) != 2:
        raise ValueError(f"{name}: expected two numbers in [0, 1), got {value!r}")
    return as_share(value[0], name), as_share(value[1], name)


class Optimizer(Fixed):
    """Base of the optimisers. A subclass names what it remembers, and makes a change of a gradient."""

    lr = Setting(as_nonnegative)
    weight_decay = Setting(as_nonnegative)
    _fixed = frozenset({"models"})

    def __init__(self, models: Sequence[Parameterised], lr: float, weight_decay: float) -> None:
        self.lr = as_positive(lr, "lr")
        self.weight_decay = weight_decay
        self._models = _as_models(models)
        self._memories = [
            {name: Memory(0, self._initial(array)) for name, array in model.parameters.items()}
            for model in self._models
        ]

    def __repr__(self) -> str:
        taken = inspect.signature(type(self).__init__).parameters
        known = {name: getattr(self, name) for name in taken if name != "models" and hasattr(self, name)}
        settings = "".join(f", {name}={value!r}" for name, value in known.items())
        return f"{type(self).__name__}({self._models!r}{settings})"

    @property
    def models(self) -> tuple[Parameterised, ...]:
        """What it moves."""
        return tuple(self._models)

    @property
    def _remembered(self) -> tuple[str, ...]:
        """What is remembered of a parameter, by name."""
        return ()

    def _initial(self, parameter: Array) -> dict[str, Array]:
        """Return what is remembered of a parameter at first."""
        return {name: np.zeros_like(parameter) for name in self._remembered}

    def _change(self, gradient: Array, scratch: Array, memory: Mapping[str, Array], steps: int) -> None:
        """Turn a piece of a gradient into what to subtract from the parameter in its `steps`-th step.

        Updates the piece of its memory, too; `scratch` is there to be used.
        """
        raise NotImplementedError

    def step(self, gradients: Sequence[NamedGradients]) -> None:
        """Move every model's parameters by one step.

        Parameters
        ----------
        gradients : sequence of mapping of str to array
            For each model, in the order of `models`; parameters without a gradient stay.

        Raises
        ------
        ValueError, TypeError
            If there are not as many mappings as models, or nothing in them, or one has a name or a shape that
            its model has not, or no array of floats; nothing has changed then.
        """
        checked = self._checked(gradients)
        for model, named, memories in zip(self._models, checked, self._memories, strict=True):
            parameters = model.parameters
            # Not `update`, which checks every number: that would be one more pass over the weights.
            model._replace(
                {
                    name: frozen(self._moved(parameters[name], gradient, memories[name]))
                    for name, gradient in named.items()
                }
            )

    def _checked(self, gradients: Sequence[NamedGradients]) -> list[dict[str, Array]]:
        expected = f"a list of a mapping for each of {len(self._models)} models"
        if not isinstance(gradients, (list, tuple)):
            raise TypeError(
                f"gradients: expected {expected}, got {type(gradients).__name__}{_in_a_list(gradients)}"
            )
        if len(gradients) != len(self._models):
            raise ValueError(f"gradients: expected {expected}, got {len(gradients)}")
        checked = [
            _named_gradients(model, named) for model, named in zip(self._models, gradients, strict=True)
        ]
        if not any(checked):
            raise ValueError("gradients: expected that of at least one parameter, got none")
        return checked

    def _moved(self, parameter: Array, gradient: Array, memory: Memory) -> Array:
        """Return the parameter after a step."""
        memory.steps += 1
        for name in self._remembered:
            if name not in memory.arrays:  # momentum was set after the first step
                memory.arrays[name] = np.zeros_like(parameter)
        moved = np.empty_like(parameter)
        old, new, slope = parameter.reshape(-1), moved.reshape(-1), gradient.reshape(-1)
        flat = {name: array.reshape(-1) for name, array in memory.arrays.items()}
        size = min(PIECE, parameter.size)
        change, scratch = np.empty(size, parameter.dtype), np.empty(size, parameter.dtype)
        for first in range(0, parameter.size, PIECE):
            piece = slice(first, first + PIECE)
            size = len(old[piece])
            change[:size] = slope[piece]
            remembered = {name: array[piece] for name, array in flat.items()}
            self._move(old[piece], new[piece], change[:size], scratch[:size], remembered, memory.steps)
        return moved

    def _move(
        self,
        old: Array,
        new: Array,
        gradient: Array,
        scratch: Array,
        memory: Mapping[str, Array],
        steps: int,
    ) -> None:
        """Write a piece of a parameter after a step."""
        if self.weight_decay:
            gradient += np.multiply(old, self.weight_decay, out=scratch)
        self._change(gradient, scratch, memory, steps)
        np.subtract(old, gradient, out=new)

    def state_dict(self) -> dict[str, NDArray[Any]]:
        """Return copies of all that changes in training: "lr", and for each parameter what is remembered.

        Names are those of the models' places and parameters: "0.weight.steps", "0.weight.mean".
        """
        state: dict[str, NDArray[Any]] = {"lr": np.array(self.lr)}
        for name, memory in self._named_memories():
            state[f"{name}.steps"] = np.array(memory.steps)
            state |= {f"{name}.{part}": array.copy() for part, array in memory.arrays.items()}
        return state

    def load_state_dict(self, mapping: Mapping[str, ArrayLike]) -> None:
        """Go on as the optimiser would have whose `state_dict` this is.

        Raises
        ------
        ValueError, TypeError
            If a name is missing or surplus, or a value not of its shape; nothing has changed then.
        """
        current = self.state_dict()
        as_mapping(mapping, "mapping", "names to arrays")
        missing, surplus = current.keys() - mapping.keys(), mapping.keys() - current.keys()
        if missing or surplus:
            raise ValueError(
                f"mapping: expected this optimiser's names, missing {sorted(missing)}, "
                f"surplus {sorted(surplus)}"
            )
        fresh: dict[str, NDArray[Any]] = {}
        for name, array in current.items():
            if array.dtype.kind == "i":
                fresh[name] = as_integers(mapping[name], name, array.shape)
                as_count(int(fresh[name]), name)
            else:
                fresh[name] = as_floats(mapping[name], name, array.dtype, array.shape).copy()
            if name.rpartition(".")[2] in SQUARES:
                check_nonnegative(fresh[name], name)
        self.lr = float(fresh["lr"])
        for name, memory in self._named_memories():
            memory.steps = int(fresh[f"{name}.steps"])
            memory.arrays = {part: fresh[f"{name}.{part}"] for part in memory.arrays}

    def _named_memories(self) -> Iterator[tuple[str, Memory]]:
        for place, memories in enumerate(self._memories):
            for name, memory in memories.items():
                yield f"{place}.{name}", memory


class SGD(Optimizer):
    """Gradient descent, with momentum if wanted; as `torch.optim.SGD`.

    Parameters
    ----------
    models : sequence of layers or models
    lr : float, default 1e-3
        Learning rate; may be set anew between steps.
    momentum : float, default 0.0
        Share of the previous change that is added to the next one, in [0, 1).
    weight_decay : float, default 0.0
        This many times the weights is added to their gradient.
    nesterov : bool, default False
        Whether the momentum is Nesterov's, which looks one step ahead.

    Raises
    ------
    ValueError, TypeError
        If an argument is not as above.

    References
    ----------
    .. [1] I. Sutskever, J. Martens, G. Dahl and G. Hinton, "On the Importance of Initialization and Momentum
       in Deep Learning", ICML 2013.

    Examples
    --------
    >>> import fastlstm
    >>> from fastlstm.training import SGD
    >>> linear = fastlstm.Linear(1, 1, rng=0)
    >>> sgd = SGD([linear], lr=0.1, momentum=0.9)
    >>> y, tape = linear.forward([[1.0]])
    >>> sgd.step([tape.backward(y).parameters])        # of y**2 / 2
    >>> abs(linear([[1.0]])).item() < abs(y).item()
    True
    """

    momentum = Setting(as_share)
    nesterov = Setting(as_boolean)

    def __init__(
        self,
        models: Sequence[Parameterised],
        lr: float = 1e-3,
        momentum: float = 0.0,
        weight_decay: float = 0.0,
        nesterov: bool = False,
    ) -> None:
        self.momentum = momentum
        self.nesterov = nesterov
        if self.nesterov and not self.momentum:
            raise ValueError("nesterov: expected a momentum above 0 with it, got momentum=0")
        super().__init__(models, lr, weight_decay)

    @property
    def _remembered(self) -> tuple[str, ...]:
        return ("velocity",) if self.momentum else ()

    def _change(self, gradient: Array, scratch: Array, memory: Mapping[str, Array], steps: int) -> None:
        if self.momentum:
            velocity = memory["velocity"]
            velocity *= self.momentum
            velocity += gradient
            if self.nesterov:
                gradient += np.multiply(velocity, self.momentum, out=scratch)
            else:
                gradient[...] = velocity
        gradient *= self.lr


class Adam(Optimizer):
    """Adam, as `torch.optim.Adam`.

    Parameters
    ----------
    models : sequence of layers or models
    lr : float, default 1e-3
        Learning rate; may be set anew between steps.
    betas : pair of float, default (0.9, 0.999)
        Decay of the running means of the gradient and of its square, each in [0, 1).
    eps : float, default 1e-8
    weight_decay : float, default 0.0
        This many times the weights is added to their gradient.

    Raises
    ------
    ValueError, TypeError
        If an argument is not as above.

    References
    ----------
    .. [1] D. P. Kingma and J. Ba, "Adam: A Method for Stochastic Optimization", ICLR 2015.

    Examples
    --------
    >>> import fastlstm
    >>> from fastlstm.training import Adam
    >>> linear = fastlstm.Linear(1, 1, rng=0)
    >>> adam = Adam([linear], lr=0.1)
    >>> y, tape = linear.forward([[1.0]])
    >>> adam.step([tape.backward(y).parameters])        # of y**2 / 2
    >>> abs(linear([[1.0]])).item() < abs(y).item()
    True
    """

    _remembered = ("mean", "square")
    betas = Setting(_as_betas)
    eps = Setting(as_positive)

    def __init__(
        self,
        models: Sequence[Parameterised],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ) -> None:
        self.betas = betas
        self.eps = eps
        super().__init__(models, lr, weight_decay)

    def _decays(self) -> tuple[float, float]:
        """Return what of the weights is added to their gradient, and what of them stays."""
        return self.weight_decay, 1.0

    def _moved(self, parameter: Array, gradient: Array, memory: Memory) -> Array:
        memory.steps += 1
        beta_1, beta_2 = self.betas
        moved = np.empty_like(parameter)
        slope = np.ascontiguousarray(gradient, parameter.dtype)
        adam(
            parameter.reshape(-1),
            slope.reshape(-1),
            memory.arrays["mean"].reshape(-1),
            memory.arrays["square"].reshape(-1),
            moved.reshape(-1),
            1 - beta_1,
            1 - beta_2,
            1 / (1 - beta_2**memory.steps),
            self.lr / (1 - beta_1**memory.steps),
            self.eps,
            *self._decays(),
        )
        return moved


class AdamW(Adam):
    """Adam whose weight decay stays out of the running means, as `torch.optim.AdamW`.

    Parameters
    ----------
    models, lr, betas, eps
        As for `Adam`.
    weight_decay : float, default 1e-2
        Each step also takes `lr` times this share from the weights.

    Raises
    ------
    ValueError, TypeError
        If an argument is not as above.

    References
    ----------
    .. [1] I. Loshchilov and F. Hutter, "Decoupled Weight Decay Regularization", ICLR 2019.

    Examples
    --------
    >>> import fastlstm
    >>> from fastlstm.training import AdamW
    >>> linear = fastlstm.Linear(1, 1, rng=0)
    >>> adam = AdamW([linear], lr=0.1)
    >>> y, tape = linear.forward([[1.0]])
    >>> adam.step([tape.backward(y).parameters])
    >>> abs(linear([[1.0]])).item() < abs(y).item()
    True
    """

    def __init__(
        self,
        models: Sequence[Parameterised],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
    ) -> None:
        super().__init__(models, lr, betas, eps, weight_decay)

    def _decays(self) -> tuple[float, float]:
        return 0.0, 1 - self.lr * self.weight_decay


class RMSprop(Optimizer):
    """Gradients divided by the root of their running mean square, as `torch.optim.RMSprop`.

    Parameters
    ----------
    models : sequence of layers or models
    lr : float, default 1e-2
        Learning rate; may be set anew between steps.
    alpha : float, default 0.99
        Decay of the running means, in [0, 1).
    eps : float, default 1e-8
    weight_decay : float, default 0.0
        This many times the weights is added to their gradient.
    momentum : float, default 0.0
        Share of the previous change that is added to the next one, in [0, 1).
    centered : bool, default False
        Whether to divide by the standard deviation instead.

    Raises
    ------
    ValueError, TypeError
        If an argument is not as above.

    References
    ----------
    .. [1] T. Tieleman and G. Hinton, "Lecture 6.5: RMSprop", Neural Networks for Machine Learning, 2012.
    .. [2] A. Graves, "Generating Sequences With Recurrent Neural Networks", arXiv:1308.0850, 2013: centred.

    Examples
    --------
    >>> import fastlstm
    >>> from fastlstm.training import RMSprop
    >>> linear = fastlstm.Linear(1, 1, rng=0)
    >>> rmsprop = RMSprop([linear])
    >>> y, tape = linear.forward([[1.0]])
    >>> rmsprop.step([tape.backward(y).parameters])
    >>> abs(linear([[1.0]])).item() < abs(y).item()
    True
    """

    alpha = Setting(as_share)
    eps = Setting(as_positive)
    momentum = Setting(as_share)
    centered = Setting(as_boolean)

    def __init__(
        self,
        models: Sequence[Parameterised],
        lr: float = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        momentum: float = 0.0,
        centered: bool = False,
    ) -> None:
        self.alpha = alpha
        self.eps = eps
        self.momentum = momentum
        self.centered = centered
        super().__init__(models, lr, weight_decay)

    @property
    def _remembered(self) -> tuple[str, ...]:
        return (
            "square",
            *(("mean",) if self.centered else ()),
            *(("velocity",) if self.momentum else ()),
        )

    def _change(self, gradient: Array, scratch: Array, memory: Mapping[str, Array], steps: int) -> None:
        square = memory["square"]
        _decay_towards_square(square, gradient, self.alpha, scratch)
        if self.centered:
            mean = memory["mean"]
            np.subtract(gradient, mean, out=scratch)
            scratch *= 1 - self.alpha
            mean += scratch
            np.multiply(mean, mean, out=scratch)
            np.subtract(square, scratch, out=scratch)
            np.maximum(scratch, 0, out=scratch)  # below by rounding alone
            np.sqrt(scratch, out=scratch)
        else:
            np.sqrt(square, out=scratch)
        scratch += self.eps
        gradient /= scratch
        if self.momentum:
            velocity = memory["velocity"]
            velocity *= self.momentum
            velocity += gradient
            gradient[...] = velocity
        gradient *= self.lr


class Adagrad(Optimizer):
    """Gradients divided by the root of the sum of all their squares, as `torch.optim.Adagrad`.

    Parameters
    ----------
    models : sequence of layers or models
    lr : float, default 1e-2
        Learning rate; may be set anew between steps.
    lr_decay : float, default 0.0
        The n-th step divides `lr` by 1 + (n - 1)·lr_decay.
    weight_decay : float, default 0.0
        This many times the weights is added to their gradient.
    initial_accumulator_value : float, default 0.0
        The sum at first.
    eps : float, default 1e-10

    Raises
    ------
    ValueError, TypeError
        If an argument is not as above.

    References
    ----------
    .. [1] J. Duchi, E. Hazan and Y. Singer, "Adaptive Subgradient Methods for Online Learning and Stochastic
       Optimization", JMLR 12, 2011.

    Examples
    --------
    >>> import fastlstm
    >>> from fastlstm.training import Adagrad
    >>> linear = fastlstm.Linear(1, 1, rng=0)
    >>> adagrad = Adagrad([linear])
    >>> y, tape = linear.forward([[1.0]])
    >>> adagrad.step([tape.backward(y).parameters])
    >>> abs(linear([[1.0]])).item() < abs(y).item()
    True
    """

    _remembered = ("sum",)
    lr_decay = Setting(as_nonnegative)
    eps = Setting(as_positive)
    _fixed = Optimizer._fixed | {"initial_accumulator_value"}

    def __init__(
        self,
        models: Sequence[Parameterised],
        lr: float = 1e-2,
        lr_decay: float = 0.0,
        weight_decay: float = 0.0,
        initial_accumulator_value: float = 0.0,
        eps: float = 1e-10,
    ) -> None:
        self.lr_decay = lr_decay
        self.initial_accumulator_value = as_nonnegative(
            initial_accumulator_value, "initial_accumulator_value"
        )
        self.eps = eps
        super().__init__(models, lr, weight_decay)

    def _initial(self, parameter: Array) -> dict[str, Array]:
        return {"sum": np.full_like(parameter, self.initial_accumulator_value)}

    def _change(self, gradient: Array, scratch: Array, memory: Mapping[str, Array], steps: int) -> None:
        total = memory["sum"]
        total += np.multiply(gradient, gradient, out=scratch)
        np.sqrt(total, out=scratch)
        scratch += self.eps
        gradient /= scratch
        gradient *= self.lr / (1 + (steps - 1) * self.lr_decay)


def _as_models(models: Any) -> list[Parameterised]:
    """Return the models that an optimiser is to move; ValueError or TypeError if they are none."""
    if isinstance(models, Mapping):
        raise TypeError("models: expected a list of models, got their parameters: write Adam([model])")
    if not isinstance(models, (list, tuple)):
        raise TypeError(f"models: expected a list of models, got {type(models).__name__}{_in_a_list(models)}")
    for place, model in enumerate(models):
        if not isinstance(model, Parameterised):
            raise TypeError(f"models: expected layers or models, got {type(model).__name__} at {place}")
        check_trains(model, "models")
    if not any(model.parameters for model in models):
        raise ValueError(f"models: expected at least one with parameters, got {list(models)}")
    return list(models)


def _in_a_list(value: object) -> str:
    """Return the end of a sentence on something that should stand in a list."""
    return ": write [it]" if isinstance(value, (Mapping, Parameterised)) else ""


def _named_gradients(model: Parameterised, gradients: Any) -> dict[str, Array]:
    """Return the checked gradients of a model's parameters."""
    named, parameters = as_mapping(gradients, "gradients", "names to arrays for each model"), model.parameters
    surplus = [name for name in named if name not in parameters]
    if surplus:
        raise ValueError(f"gradients: expected names of {model!r}'s parameters, got {surplus[0]!r}")
    return {name: as_floats(gradient, name, shape=parameters[name].shape) for name, gradient in named.items()}


def _decay_towards_square(square: Array, gradient: Array, decay: float, scratch: Array) -> None:
    """Update the running mean of a gradient's square, in place."""
    np.multiply(gradient, gradient, out=scratch)
    scratch *= 1 - decay
    square *= decay
    square += scratch
