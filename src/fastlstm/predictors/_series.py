"""The form of a series, array, Series or DataFrame, so that forecasts are returned in the same form."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

from ..model.checks import Array, as_dict
from ._index import described_index, following, pandas, step_of, stored_index
from ._plain import entries


@dataclass(frozen=True)
class Form:
    """The form of a series.

    Attributes
    ----------
    rows : bool
        Whether its steps are rows (n,) rather than numbers.
    framed : bool
        Whether it is a Series or a DataFrame rather than an array.
    names : name of a Series, or columns of a DataFrame
    last, step : what the index ends with, and what takes it on
    """

    rows: bool
    framed: bool = False
    names: Any = None
    last: Any = None
    step: Any = None

    @classmethod
    def of(cls, series: Any, rows: bool) -> Form:
        """Return a series's form; ValueError if it has an index that does not tell how it goes on."""
        if not hasattr(series, "iloc"):
            return cls(rows)
        names = series.columns if rows else series.name
        return cls(rows, True, names, series.index[-1:], step_of(series.index))

    def following(self, path: Array) -> Any:
        """Return the steps (h, n) that follow the series, as it came itself."""
        values = path if self.rows else path[:, 0]
        if not self.framed:
            return values
        pd = pandas("what follows a Series or DataFrame")
        index = following(self.last, self.step, len(path))
        if self.rows:
            return pd.DataFrame(values, index=index, columns=self.names)
        return pd.Series(values, index=index, name=self.names)

    def described(self) -> dict[str, Any]:
        """Return what a file keeps; TypeError if it can't."""
        description: dict[str, Any] = {"rows": self.rows, "framed": self.framed}
        if self.framed:
            names = list(self.names) if self.rows else [self.names]
            if not all(name is None or type(name) in (str, int) for name in names):
                raise TypeError(f"series: expected names that are strings or integers, got {names}")
            description |= {"names": names, "index": described_index(self.last, self.step)}
        return description

    @classmethod
    def stored(cls, description: Mapping[str, Any], count: int) -> Form:
        """Return what a file kept of a series of `count` variables; ValueError if it is none."""
        rows, framed = (description.get(name) is True for name in ("rows", "framed"))
        if not rows and count != 1:
            raise ValueError(f"rows: expected True for {count} variables, got False")
        if not framed or find_spec("pandas") is None:  # `following` says that it is needed
            return cls(rows, framed)
        names = entries(description.get("names"), "names", str, int, type(None))
        if len(names) != count:
            raise ValueError(f"names: expected {count}, got {len(names)}")
        last, step = stored_index(as_dict(description.get("index"), "index"))
        return cls(rows, True, names if rows else names[0], last, step)
