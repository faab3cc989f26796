"""The index of a series, from which the next entries follow; and the same as plain data, for a file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ._plain import entry

NUMBERS = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float32", "float64")
UNITS = ("s", "ms", "us", "ns")

REFUSALS = (LookupError, NotImplementedError, OSError, OverflowError)
"""What pandas raises, beside ValueError, for time zones that there are not and for numbers too large."""


def pandas(purpose: str) -> Any:
    """Return the module; ImportError says what it is needed for."""
    try:
        import pandas
    except ImportError as error:
        raise ImportError(f"{purpose} needs pandas: pip install pandas") from error
    return pandas


def step_of(index: Any) -> Any:
    """Return what leads from each entry of an index to the next: a frequency, or a difference."""
    pd = pandas("an index")
    step = None
    if isinstance(index, (pd.DatetimeIndex, pd.PeriodIndex)):
        step = index.freq or (type(index)(index, freq="infer").freq if len(index) > 2 else None)
    elif index.dtype.kind in "iufm" and len(index) > 1:
        difference = index[1] - index[0]
        if np.allclose(np.diff(index) / difference, 1):
            step = difference
    if step is None:
        expected = "an index that tells how it goes on: dates with a frequency, periods, even numbers"
        raise ValueError(f"series: expected {expected}, got {type(index).__name__} that ends in {index[-1]}")
    return step


def following(last: Any, step: Any, count: int) -> Any:
    """Return an index of `count` entries after `last`, an index of one."""
    pd = pandas("an index")
    if isinstance(last, pd.DatetimeIndex):
        return pd.date_range(last[0], periods=count + 1, freq=step, name=last.name)[1:]
    if isinstance(last, pd.PeriodIndex):
        return pd.period_range(last[0], periods=count + 1, name=last.name)[1:]
    return pd.Index(last[0] + step * np.arange(1, count + 1), name=last.name)


def described_index(last: Any, step: Any) -> dict[str, Any]:
    """Return plain data of which `stored_index` makes the same; TypeError if it can't."""
    try:
        description = _described(last, step)
        same = following(*stored_index(description), 2).identical(following(last, step, 2))
    except (AttributeError, TypeError, ValueError):
        same = False
    if not same:
        expected = "an index that a file can hold: dates, periods, durations or numbers, with simple names"
        raise TypeError(f"series: expected {expected}, got {type(last).__name__} with steps of {step!r}")
    return description


def _described(last: Any, step: Any) -> dict[str, Any]:
    pd = pandas("an index")
    if isinstance(last, pd.DatetimeIndex):
        zone = None if last.tz is None else str(last.tz)
        own = {"kind": "dates", "last": int(last.asi8[0]), "unit": last.unit, "zone": zone}
        own["step"] = step.freqstr
    elif isinstance(last, pd.PeriodIndex):
        own = {"kind": "periods", "last": last[0].ordinal, "step": last.freqstr}
    elif isinstance(last, pd.TimedeltaIndex):
        own = {"kind": "durations", "last": int(last.asi8[0]), "unit": last.unit}
        own["step"] = int(step.to_timedelta64().astype(f"m8[{last.unit}]").astype(np.int64))
    else:
        own = {"kind": "numbers", "last": last.to_numpy().item(), "dtype": last.dtype.name}
        own["step"] = np.asarray(step).item()
    return own | {"name": last.name}


def stored_index(description: Mapping[str, Any]) -> tuple[Any, Any]:
    """Return what an index ends with, and what takes it on; ValueError if that is not what is described."""
    kind = description.get("kind")
    if kind not in ("dates", "periods", "durations", "numbers"):
        raise ValueError(f"index: expected dates, periods, durations or numbers, got {kind!r}")
    try:
        last, step = {"dates": _dates, "periods": _periods}.get(kind, _numbers)(description)
        following(last, step, 1)
    except REFUSALS as error:
        raise ValueError(f"index: expected {kind}, got {dict(description)} ({error!r})") from error
    return last.rename(entry(description, "name", str, int, type(None))), step


def _dates(description: Mapping[str, Any]) -> tuple[Any, Any]:
    pd = pandas("an index")
    unit, zone = _unit(description), entry(description, "zone", str, type(None))
    last = pd.DatetimeIndex(np.array([entry(description, "last", int)], f"M8[{unit}]"))
    if zone is not None:
        if zone.startswith("dateutil/"):  # the rest is the path of a file
            raise ValueError(f"zone: expected the name of a time zone, got {zone!r}")
        last = last.tz_localize("UTC").tz_convert(zone)
    return last, pd.tseries.frequencies.to_offset(entry(description, "step", str))


def _periods(description: Mapping[str, Any]) -> tuple[Any, Any]:
    pd = pandas("an index")
    last = pd.Period(ordinal=entry(description, "last", int), freq=entry(description, "step", str))
    return pd.PeriodIndex([last]), last.freq


def _numbers(description: Mapping[str, Any]) -> tuple[Any, Any]:
    """Return numbers, or durations as numbers of a unit."""
    pd = pandas("an index")
    if description["kind"] == "durations":
        unit = _unit(description)
        both = np.array([entry(description, name, int) for name in ("last", "step")], f"m8[{unit}]")
        return pd.TimedeltaIndex(both[:1]), pd.Timedelta(both[1])
    dtype = entry(description, "dtype", str)
    if dtype not in NUMBERS:
        raise ValueError(f"dtype of index: expected one of {', '.join(NUMBERS)}, got {dtype!r}")
    kinds = (float,) if dtype.startswith("float") else (int,)
    last = np.array([entry(description, "last", *kinds)], dtype)
    return pd.Index(last), entry(description, "step", *kinds)


def _unit(description: Mapping[str, Any]) -> str:
    unit: str = entry(description, "unit", str)
    if unit not in UNITS:
        raise ValueError(f"unit: expected one of {', '.join(UNITS)}, got {unit!r}")
    return unit
