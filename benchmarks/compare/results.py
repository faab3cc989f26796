"""What was measured, and the figures that come from it."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import groupby
from operator import attrgetter
from typing import Any

from .cells import Cell
from .libraries import LIBRARIES, OURS


@dataclass(frozen=True)
class Result:
    """A library's seconds for one call: best of all rounds and median of the rounds, in its fastest way."""

    best: float
    median: float
    way: str
    rounds: Sequence[Mapping[str, Any]]


def summary(rounds: Sequence[Mapping[str, Any]]) -> Result:
    """Return the result of rounds, each of which has the figures of every way."""
    results = (
        Result(
            min(figures[way]["best"] for figures in rounds),
            statistics.median(figures[way]["median"] for figures in rounds),
            way,
            rounds,
        )
        for way in rounds[0]
    )
    return min(results, key=attrgetter("best"))


@dataclass(frozen=True)
class Row:
    """One cell with a number of threads: each library's result, and the least time possible if known."""

    cell: Cell
    threads: int
    results: Mapping[str, Result]
    limit: float | None

    def _ratio(self, seconds: Callable[[Result], float]) -> float | None:
        peers = [name for name in self.results if name != OURS and LIBRARIES[name].counts]
        if not peers or OURS not in self.results:
            return None
        return min(seconds(self.results[name]) for name in peers) / seconds(self.results[OURS])

    @property
    def ratio(self) -> float | None:
        """The best peer's best time over ours."""
        return self._ratio(attrgetter("best"))

    @property
    def ratio_of_medians(self) -> float | None:
        return self._ratio(attrgetter("median"))

    @property
    def share(self) -> float | None:
        """The least time possible over our best."""
        return self.limit / self.results[OURS].best if self.limit and OURS in self.results else None

    def as_data(self) -> dict[str, Any]:
        return {
            "name": self.cell.name,
            **asdict(self),
            "ratio": self.ratio,
            "ratio_of_medians": self.ratio_of_medians,
            "share": self.share,
        }


@dataclass(frozen=True)
class Scaling:
    """One cell with a number of threads: each library's share of a linear speed-up over the fewest."""

    cell: Cell
    threads: int
    shares: Mapping[str, float]


def scalings(rows: Iterable[Row]) -> list[Scaling]:
    """Return how the libraries' best times shrink with more threads, cell by cell."""
    by_cell: dict[Cell, list[Row]] = {}
    for row in rows:
        by_cell.setdefault(row.cell, []).append(row)
    found = []
    for cell, members in by_cell.items():
        first, *more = sorted(members, key=attrgetter("threads"))
        work = {name: result.best * first.threads for name, result in first.results.items()}
        for row in more:
            shares = {name: work[name] / (row.results[name].best * row.threads) for name in row.results}
            found.append(Scaling(cell, row.threads, shares))
    return found


def geometric_mean(ratios: Iterable[float | None]) -> float | None:
    """Return the mean of the ratios that are there, or None if none is."""
    known = [ratio for ratio in ratios if ratio is not None]
    return statistics.geometric_mean(known) if known else None


def means(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Return the geometric means of each group and number of threads, for rows in that order."""
    found = []
    for (group, threads), members in groupby(rows, lambda row: (row.cell.group, row.threads)):
        section = list(members)
        found.append(
            {
                "group": group,
                "threads": threads,
                "ratio": geometric_mean(row.ratio for row in section),
                "ratio_of_medians": geometric_mean(row.ratio_of_medians for row in section),
            }
        )
    return found
