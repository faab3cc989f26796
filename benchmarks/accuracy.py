"""What do fewer bits cost on real data? The demos' models, as they learned, rounded, and trained in bfloat16.

`python -m benchmarks.accuracy` prints it: bits per character of held-out text, the accuracy on test
utterances over ten seeds, and the error of forecasts. It takes some minutes.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np

import fastlstm
from fastlstm.demos import classify, forecast, language
from fastlstm.demos.options import to_learn
from fastlstm.demos.series import Forecasts, Series, carbon_dioxide, sunspots

LEARNED = "trained in float32"
ROUNDED = {"rounded to int8": "int8", "rounded to int4": "int4", "rounded to bfloat16": "bfloat16"}
LEARNED_IN_FEWER = "trained in bfloat16"
FURTHER = 100
"""Steps of further learning with rounded weights."""

Models = list[fastlstm.Sequential]
Line = tuple[str, float]


def ways(learn: Callable[[str | None], Models]) -> Iterator[tuple[str, Models]]:
    """Yield what was learned in each way; `learn` takes the precision to learn in, or None."""
    models = learn(None)
    yield LEARNED, models
    for name, precision in ROUNDED.items():
        yield name, [fastlstm.quantize(model, precision) for model in models]
    yield LEARNED_IN_FEWER, learn("bfloat16")


def of_language() -> Iterator[Line]:
    """Yield the bits per held-out character of each way."""
    text = language.manual()
    cut = len(text) * 9 // 10
    vocabulary = language.Vocabulary(text[:cut])
    learned, held_out = vocabulary.encode(text[:cut]), vocabulary.encode(text[cut:])
    settings = language.Settings()

    def learn(precision: str | None) -> Models:
        model = language.character_model(len(vocabulary), settings.hidden, seed=settings.seed)
        model = to_learn(model, precision)
        language.train(model, learned, settings)
        return [model]

    models = {name: model for name, (model,) in ways(learn)}
    yield from ((name, language.bits_per_character(model, held_out)) for name, model in models.items())
    further = replace(settings, steps=FURTHER, lr=settings.lr / 8)
    for precision in ("int8", "int4"):
        model = language.character_model(len(vocabulary), settings.hidden, seed=settings.seed)
        model.load_state_dict(models[LEARNED].state_dict())
        language.train(model, learned, further, quantize=precision)
        small = fastlstm.quantize(model, precision)
        yield f"{precision}, {FURTHER} steps further", language.bits_per_character(small, held_out)


def of_classify() -> Iterator[Line]:
    """Yield the mean test accuracy of each way, in percent."""
    train, test = classify.standardised(classify.utterances("train"), classify.utterances("test"))
    settings = classify.Settings()

    def learn(precision: str | None) -> Models:
        models = [to_learn(classify.classifier(settings, seed), precision) for seed in range(settings.seeds)]
        for seed, model in enumerate(models):
            classify.learn(model, train, settings, seed)
        return models

    for name, models in ways(learn):
        yield name, 100 * float(np.mean([classify.accuracy_on(model, test) for model in models]))


def of_forecast() -> Iterator[Line]:
    """Yield the mean absolute error of each way, on both series."""
    for series in (sunspots(), carbon_dioxide()):
        taken: dict[str, list[Forecasts]] = {}
        for block in series.blocks():
            for name, forecasts in forecasts_of(block):
                taken.setdefault(name, []).append(forecasts)
        for name, blocks in taken.items():
            error = forecast.scores(series, np.concatenate(blocks)).mae.mean()
            yield f"{series.name}, {name}", float(error)


def forecasts_of(block: Series) -> Iterator[tuple[str, Forecasts]]:
    """Yield the forecasts of each way for what one block asks."""

    def learn(precision: str | None) -> Models:
        return forecast.members(block, forecast.Settings(precision=precision))

    for name, models in ways(learn):
        yield name, forecast.forecasts_of(models, block)


PARTS = {"language": of_language, "classify": of_classify, "forecast": of_forecast}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.accuracy", description=__doc__)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS), help="all by default")
    for part in parser.parse_args().parts:
        print(part)
        for name, number in PARTS[part]():
            print(f"    {name:46}{number:9.4f}", flush=True)


if __name__ == "__main__":
    main()
