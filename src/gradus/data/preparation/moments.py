"""How dates and times of day become features: how long ago, and where in each cycle."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import AfterValidator, FiniteFloat

from gradus.data.columns import Column
from gradus.data.preparation.encoder import Encoder, Features, Scale

DAY = 86_400.0

Cycle = Literal["month", "day of week", "hour"]
LENGTHS: dict[str, float] = {"month": 12, "day of week": 7, "hour": 24}


def cycle(moments: NDArray[Any], name: str) -> NDArray[np.float64]:
    """Where dates stand in a cycle, from 0 to its length: months and days whole, hours not.

    Example:
        >>> moments = np.array(["2024-03-01T06:30"], dtype="datetime64[us]")  # a Friday
        >>> [cycle(moments, name).tolist() for name in LENGTHS]
        [[2.0], [4.0], [6.5]]
    """
    if name == "month":
        return (moments.astype("datetime64[M]").astype(np.int64) % 12).astype(np.float64)
    days = moments.astype("datetime64[D]")
    if name == "day of week":
        return ((days.astype(np.int64) + 3) % 7).astype(np.float64)  # 1970 began on a Thursday
    return np.asarray((moments - days) / np.timedelta64(1, "h"), dtype=np.float64)


def year(moments: NDArray[Any]) -> NDArray[np.float64]:
    """The year of dates."""
    return moments.astype("datetime64[Y]").astype(np.float64) + 1970


def days_since(first: str, moments: NDArray[Any]) -> NDArray[np.float64]:
    """Days from a moment on, as written in ISO 8601."""
    since = moments - np.datetime64(first, "us")
    return np.asarray(since / np.timedelta64(1, "us"), dtype=np.float64) / (DAY * 1e6)


def _around(at: NDArray[np.float64], length: float) -> tuple[Features, Features]:
    """A place in a cycle as a point on the unit circle."""
    angle = 2 * np.pi * at / length
    return np.sin(angle), np.cos(angle)


def _moment(written: str) -> str:
    if np.isnat(np.datetime64(written, "us")):
        raise ValueError("is no date")
    return written


class Dates(Encoder):
    r"""Days since the first, the year, and each cycle as $\sin$ and $\cos$ of $2 \pi t / T$.

    A missing date is the middle of those of the training rows, and in the middle of each circle.

    Attributes:
        kind: of the encoder.
        first: the earliest of the training rows, ISO 8601.
        centre: mean of the days since then over the training rows.
        scale: their deviation.
        year_centre: mean of the year.
        year_scale: its deviation; None where all rows are of one year.
        cycles: those in which the rows do not all stand at the same place.

    Example:
        >>> from gradus.data.columns import Form
        >>> when = Dates(name="sold", form=Form("date"), first="2024-01-01", centre=1, scale=2,
        ...              cycles=("day of week",))
        >>> dates = np.array(["2024-01-01", "2024-01-04"], dtype="datetime64[us]")
        >>> when.features
        ('sold', 'sold.day of week sin', 'sold.day of week cos')
        >>> when.encode(Column("sold", when.form, dates)).round(3).tolist()
        [[-0.5, 0.0, 1.0], [1.0, 0.434, -0.901]]
    """

    held: ClassVar[str] = "date"
    kind: Literal["date"] = "date"
    first: Annotated[str, AfterValidator(_moment)]
    centre: FiniteFloat
    scale: Scale
    year_centre: FiniteFloat = 0.0
    year_scale: Scale | None = None
    cycles: tuple[Cycle, ...] = ()

    @property
    def values(self) -> tuple[str, ...]:
        """How long ago, the year, the cycles."""
        years = () if self.year_scale is None else (f"{self.name}.year",)
        circles = (f"{self.name}.{name} {f}" for name in self.cycles for f in ("sin", "cos"))
        return (self.name, *years, *circles)

    @property
    def done(self) -> str:
        """Which parts became features."""
        years = () if self.year_scale is None else ("year",)
        return ", ".join((f"days since {self.first[:10]}", *years, *self.cycles))

    def encode_values(self, column: Column) -> Features:
        """How long ago, the year, the cycles; 0 where the date is missing."""
        moments = column.values
        found = [(days_since(self.first, moments) - self.centre) / self.scale]
        if self.year_scale is not None:
            found.append((year(moments) - self.year_centre) / self.year_scale)
        for name in self.cycles:
            found += _around(cycle(moments, name), LENGTHS[name])
        features = np.column_stack(found)
        features[column.missing] = 0
        return features


class Times(Encoder):
    """A time of day as a point on a circle; its middle where the time is missing.

    Attributes:
        kind: of the encoder.

    Example:
        >>> from gradus.data.columns import Form
        >>> at = Times(name="at", form=Form("time"))
        >>> at.encode(Column("at", at.form, np.array([3 * 3600.0, np.nan]))).round(3).tolist()
        [[0.707, 0.707], [0.0, 0.0]]
    """

    held: ClassVar[str] = "time"
    kind: Literal["time"] = "time"

    @property
    def values(self) -> tuple[str, ...]:
        """The two coordinates."""
        return (f"{self.name} sin", f"{self.name} cos")

    @property
    def done(self) -> str:
        """What became of it."""
        return "time of day, as sin and cos"

    def encode_values(self, column: Column) -> Features:
        """The two coordinates, 0 where the time is missing."""
        features = np.column_stack(_around(column.values, DAY))
        features[column.missing] = 0
        return features
