"""Two seasonal series, forecast several steps ahead with intervals, against baselines hard to beat."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from tqdm import tqdm

from ..layers import Dropout, Linear
from ..model.checks import Array
from ..model.lstm import LSTM
from ..model.sequential import Sequential
from ..training import Adam, CosineSchedule, fit, predict, quantile_loss
from ..training.losses.elementwise import flat_quantile_loss
from .baselines import LONGEST, autoregression, seasonal_errors, seasonal_naive, smoothing
from .options import above_zero, add_precision, positive, share, to_learn, to_use
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
    precision: str | None = None


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
    add_precision(parser)


def lstm(series: Series, settings: Settings, trained: Callable[[], object] = lambda: None) -> Forecasts:
    """Forecast by the mean of several LSTMs: at each step each says the quantiles of the steps to follow.

    `trained` is called after each.
    """
    models = [to_use(model, settings.precision) for model in members(series, settings, trained)]
    return forecasts_of(models, series)


def members(
    series: Series, settings: Settings, trained: Callable[[], object] = lambda: None
) -> list[Sequential]:
    """Return the LSTMs that learned a series' known values; `trained` is called after each."""
    view, H = View(series), series.period
    values, last = standardised(view)[0], view.known - H
    y = np.stack([values[ahead : ahead + last] for ahead in range(1, H + 1)], axis=1)
    models = []
    for member in range(settings.members):
        model = to_learn(forecaster(H, settings, settings.seed + member), settings.precision)
        fit(
            model,
            (values[None, :last, None], y[None]),
            partial(flat_quantile_loss, quantiles=QUANTILES),
            optimizer=Adam([model], lr=settings.lr),
            schedule=CosineSchedule,
            epochs=settings.epochs,
            progress=False,
        ).or_interrupt()
        models.append(model)
        trained()
    return models


def standardised(view: View) -> tuple[Array, float, float]:
    """Return all values, the known ones with mean 0 and deviation 1, and what both were."""
    known = view.values[: view.known]
    mean, deviation = float(known.mean()), float(known.std())
    return ((view.values - mean) / deviation).astype(np.float32), mean, deviation


def forecasts_of(models: Sequence[Sequential], series: Series) -> Forecasts:
    """Return the mean of what models forecast that learned the series."""
    view = View(series)
    values, mean, deviation = standardised(view)
    total = np.zeros((len(values), series.period, len(QUANTILES)))
    for model in models:
        total += predict(model, values[None, :, None])[0].reshape(total.shape)
    # Quantiles that were learned side by side may cross.
    forecasts = np.sort(total[view.origins] / len(models), axis=-1)
    return view.restored(forecasts * deviation + mean)


def with_autoregression(series: Series, settings: Settings, *, calibrated: bool) -> Forecasts:
    """Forecast by an `LSTMForecaster`, of what the autoregression reads: its LSTM learns what that leaves.

    All but the lengths is as it is by default.
    """
    from ..estimators import LSTMForecaster

    view, H = View(series), series.period
    learning = LSTMForecaster(horizon=H, window=LONGEST * H, random_state=settings.seed)
    if not calibrated:
        learning.set_params(calibration_fraction=0.0)
    learning.fit(view.values[: view.known])
    return view.restored(learning.quantiles_at(view.values, view.origins + 1, QUANTILES)[:, :, 0])


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
    """Return the forecasts of each method, by its name; all learn anew every two periods.

    On a terminal a bar shows how many of the models have learned.
    """
    in_precision = f", {settings.precision}" if settings.precision else ""
    blocks = series.blocks()
    with tqdm(
        total=len(blocks) * (settings.members + 5), desc=series.name, unit="model", disable=None, leave=False
    ) as bar:

        def counted(method: Callable[[Series], Forecasts]) -> Callable[[Series], Forecasts]:
            def forecasts(block: Series) -> Forecasts:
                found = method(block)
                bar.update()
                return found

            return forecasts

        methods: dict[str, Callable[[Series], Forecasts]] = {
            "seasonal naive": counted(seasonal_naive),
            "exponential smoothing": counted(smoothing),
            "autoregression": counted(autoregression),
            f"LSTM{in_precision}": partial(lstm, settings=settings, trained=bar.update),
            "LSTM + AR": counted(partial(with_autoregression, settings=settings, calibrated=False)),
            "LSTM + AR, calibrated": counted(
                partial(with_autoregression, settings=settings, calibrated=True)
            ),
        }
        return {name: np.concatenate([method(block) for block in blocks]) for name, method in methods.items()}


def run(settings: Settings) -> None:
    """Forecast two seasonal series and print how good the forecasts and their intervals were.

    Raises
    ------
    ImportError
        If statsmodels or scikit-learn is not there.
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
