"""Optimisers: from gradients to new weights."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from .._arrays import Array, check_shape
from ..parameters import Parameterised

NamedGradients = Mapping[str, Array]


def clip_gradient_norm(gradients: Iterable[NamedGradients], max_norm: float) -> float:
    """Scale gradients in place so that their norm, taken together, is at most `max_norm`.

    As `torch.nn.utils.clip_grad_norm_`.

    Parameters
    ----------
    gradients : iterable of mapping of str to array
    max_norm : float
        Above 0.

    Returns
    -------
    float
        The norm before.

    Raises
    ------
    ValueError
        If `max_norm` is not above 0.

    Examples
    --------
    >>> import numpy as np
    >>> from fastlstm.training import clip_gradient_norm
    >>> gradients = [{"weight": np.array([3.0, 4.0])}]
    >>> clip_gradient_norm(gradients, 1.0)
    5.0
    >>> gradients[0]["weight"].round(3).tolist()
    [0.6, 0.8]
    """
    if not max_norm > 0:
        raise ValueError(f"max_norm: expected a number above 0, got {max_norm!r}")
    arrays = [array for named in gradients for array in named.values()]
    norm = float(np.sqrt(sum(float(np.vdot(array, array)) for array in arrays)))
    scale = max_norm / (norm + 1e-6)
    if scale < 1:
        for array in arrays:
            array *= scale
    return norm


class Adam:
    """Adam (Kingma & Ba, 2015), as `torch.optim.Adam`.

    Parameters
    ----------
    models : sequence of Parameterised
    lr : float, default 1e-3
        Learning rate; may be set anew between steps.
    betas : pair of float, default (0.9, 0.999)
        Decay of the running means of the gradient and of its square, each in [0, 1).
    eps : float, default 1e-8

    Raises
    ------
    ValueError
        If an argument is not as above.

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

    def __init__(
        self,
        models: Sequence[Parameterised],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
    ) -> None:
        if not lr > 0:
            raise ValueError(f"lr: expected a number above 0, got {lr!r}")
        if not all(0 <= beta < 1 for beta in betas):
            raise ValueError(f"betas: expected numbers in [0, 1), got {betas!r}")
        if not eps > 0:
            raise ValueError(f"eps: expected a number above 0, got {eps!r}")
        self.lr, self.betas, self.eps = lr, betas, eps
        self._models = list(models)
        self._steps = 0
        self._means = [
            {name: (np.zeros_like(array), np.zeros_like(array)) for name, array in model.parameters.items()}
            for model in self._models
        ]

    def step(self, gradients: Sequence[NamedGradients]) -> None:
        """Move every model's parameters by one step.

        Parameters
        ----------
        gradients : sequence of mapping of str to array
            For each model, in the order of `models`; parameters without a gradient stay.

        Raises
        ------
        ValueError
            If there are not as many mappings as models, or one has a name or a shape that its model has
            not; nothing has changed then.
        """
        if len(gradients) != len(self._models):
            raise ValueError(
                f"gradients: expected a mapping for each of {len(self._models)} models, got {len(gradients)}"
            )
        for model, named in zip(self._models, gradients, strict=True):
            for name, gradient in named.items():
                if name not in model.parameters:
                    raise ValueError(f"gradients: expected names of {model!r}'s parameters, got {name!r}")
                check_shape(gradient, name, model.parameters[name].shape)
        self._steps += 1
        for model, named, means in zip(self._models, gradients, self._means, strict=True):
            model.update(
                {
                    name: self._moved(model.parameters[name], gradient, *means[name])
                    for name, gradient in named.items()
                }
            )

    def _moved(self, parameter: Array, gradient: Array, mean: Array, square: Array) -> Array:
        """Return the parameter after the step; updates both running means in place."""
        beta_1, beta_2 = self.betas
        mean += (1 - beta_1) * (gradient - mean)
        square *= beta_2
        square += (1 - beta_2) * gradient * gradient
        scale = self.lr / (1 - beta_1**self._steps)
        step: Array = np.sqrt(square / (1 - beta_2**self._steps))
        step += self.eps
        np.divide(mean, step, out=step)
        step *= -scale
        step += parameter
        return step
