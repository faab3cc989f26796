"""Two seasonal series, forecast several steps ahead with intervals, against baselines hard to beat."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np

from .._arrays import Array
from ..layers import Dropout, Linear
from ..recurrent import LSTM
from ..sequential import Sequential
from ..training import Adam, CosineSchedule, fit, predict, quantile_loss
from ..training.losses.elementwise import flat_quantile_loss
from .baselines import autoregression, seasonal_errors, seasonal_naive, smoothing
from .options import above_zero, positive, share
from .series import QUANTILES, Forecasts, Series, View, carbon_dioxide, sunspots


@dataclass(frozen=True)
class Settings:
    """What is trained, and how; the defaults did best on what comes before the held-out values."""

    members: int = 5
    epochs: int = 100
    hidden: int = 64
    dropout: float = 0.2
    lr: float = 1e-2
    seed: int = 0


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add what the command takes."""
    parser.add_argument(
        "--members", type=positive, help="LSTMs whose forecasts are averaged (default: %(default)s)"
    )
    parser.add_argument("--epochs", type=positive, help="training steps of each (default: %(default)s)")
    parser.add_argument("--hidden", type=positive, help="units of each (default: %(default)s)")
    parser.add_argument("--dropout", type=share, help="share of dropout (default: %(default)s)")
    parser.add_argument("--lr", type=above_zero, help="highest learning rate (default: %(default)s)")
    parser.add_argument("--seed", type=int, help="for weights and dropout (default: %(default)s)")


def lstm(series: Series, settings: Settings) -> Forecasts:
    """Forecast by the mean of several LSTMs: at each step each says the quantiles of the steps to follow."""
    view, H = View(series), series.period
    known = view.values[: view.known]
    mean, deviation = known.mean(), known.std()
    values = ((view.values - mean) / deviation).astype(np.float32)
    x = values[:, None]
    last = view.known - H
    y = np.stack([values[ahead : ahead + last] for ahead in range(1, H + 1)], axis=1)

    total = np.zeros((len(values), H, len(QUANTILES)))
    for member in range(settings.members):
        model = forecaster(H, settings, settings.seed + member)
        fit(
            model,
            (x[None, :last], y[None]),
            partial(flat_quantile_loss, quantiles=QUANTILES),
            optimizer=Adam([model], lr=settings.lr),
            schedule=CosineSchedule,
            epochs=settings.epochs,
            progress=False,
        )
        total += predict(model, x[None])[0].reshape(total.shape)
    # Quantiles that were learned side by side may cross.
    forecasts = np.sort(total[view.origins] / settings.members, axis=-1)
    return view.restored(forecasts * deviation + mean)


def forecaster(steps: int, settings: Settings, seed: int) -> Sequential:
    """Return a model as it begins: from a number at each step to the quantiles of those to follow."""
    rng = np.random.default_rng(seed)
    return Sequential(
        LSTM(1, settings.hidden, rng=rng),
        *([Dropout(settings.dropout, rng=rng)] if settings.dropout else []),
        Linear(settings.hidden, steps * len(QUANTILES), rng=rng),
    )


@dataclass(frozen=True)
class Scores:
    """How good forecasts were.

    Attributes
    ----------
    mae : array (steps ahead,)
        The mean absolute error of the median.
    mase : float
        Its mean over all steps ahead, in those of the seasonal naive forecast among the known values [1]_.
    coverage : float
        The share of values inside their interval.
    width : float
        The mean width of the intervals.
    loss : float
        The mean quantile loss, least for the true quantiles: narrow and covering.

    References
    ----------
    .. [1] R. J. Hyndman and A. B. Koehler, "Another Look at Measures of Forecast Accuracy", International
       Journal of Forecasting 22(4), 2006.
    """

    mae: Array
    mase: float
    coverage: float
    width: float
    loss: float


def scores(series: Series, forecasts: Forecasts) -> Scores:
    """Return how good forecasts from all origins were."""
    truth = series.truth
    low, median, high = np.moveaxis(forecasts, -1, 0)
    mae = np.abs(median - truth).mean(axis=0)
    return Scores(
        mae,
        float(mae.mean() / np.abs(seasonal_errors(series)).mean()),
        float(((low <= truth) & (truth <= high)).mean()),
        float((high - low).mean()),
        quantile_loss(forecasts, truth, quantiles=QUANTILES)[0],
    )


def results(series: Series, settings: Settings) -> dict[str, Forecasts]:
    """Return the forecasts of each method, by its name; all learn anew every two periods."""
    methods: dict[str, Callable[[Series], Forecasts]] = {
        "seasonal naive": seasonal_naive,
        "exponential smoothing": smoothing,
        "autoregression": autoregression,
        "LSTM": partial(lstm, settings=settings),
    }
    return {
        name: np.concatenate([method(block) for block in series.blocks()]) for name, method in methods.items()
    }


def run(settings: Settings) -> None:
    """Forecast two seasonal series and print how good the forecasts and their intervals were.

    Raises
    ------
    ImportError
        If statsmodels is not there.
    """
    for series in (sunspots(), carbon_dioxide()):
        first, last = series.times[series.known], series.times[-1]
        print(
            f"{series.name}: {series.known} values to learn from, "
            f"then {len(series.origins)} forecasts of the next {series.period}, {first:.0f} to {last:.0f}"
        )
        print(table(series, results(series, settings)), end="\n\n")


def table(series: Series, forecasts: dict[str, Forecasts]) -> str:
    """Return how good forecasts were as lines of text."""
    heads = ("step 1", f"step {series.period}", "all", "MASE", "inside, %", "width", "loss")
    lines = [
        f"{'':21}{'mean absolute error':^27}{'':9}{'80 % intervals':^19}{'quantile':>9}",
        f"{'':21}" + "".join(f"{head:>{10 if head == 'inside, %' else 9}}" for head in heads),
    ]
    for name, paths in forecasts.items():
        of = scores(series, paths)
        lines.append(
            f"{name:21}{of.mae[0]:9.3f}{of.mae[-1]:9.3f}{of.mae.mean():9.3f}{of.mase:9.3f}"
            f"{100 * of.coverage:10.1f}{of.width:9.2f}{of.loss:9.3f}"
        )
    return "\n".join(lines)
