"""One axis of a map: an option of a run, and the values that it takes there."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, final, get_args

import numpy as np
from numpy.typing import NDArray

from gradus.errors import InputError, quoted
from gradus.runs.spec import RunSpec
from gradus.sweep.ranges import Range
from gradus.sweep.values import OptionError, is_whole, value_of

WIDE = 30.0
"""A range of positive values goes by equal factors where its ends are so many times apart."""


@final
@dataclass(frozen=True)
class Axis:
    """An option of a run on a lattice, whose values at twice the size hold those at the size.

    Attributes:
        option: it.
        range: the values.
        size: into how many cells it is divided.

    Example:
        >>> Axis.read("lr", "0.01:100", 4).values.tolist()
        [0.01, 0.1, 1.0, 10.0, 100.0]
        >>> Axis.read("momentum", "0:0.8", 4).values.tolist()
        [0.0, 0.2, 0.4, 0.6, 0.8]
    """

    option: str
    range: Range
    size: int

    @classmethod
    def read(cls, option: str, written: str | Sequence[float], size: int, where: str = "x") -> Axis:
        """The axis that is written LOW:HIGH, log:LOW:HIGH or lin:LOW:HIGH; or its two ends.

        Raises:
            InputError: it is none, or an end of it is no value of the option.
        """
        check_numeric(option, where)
        written = written if isinstance(written, str) else _written(written)
        try:
            if Range.is_written(written):
                found = Range.read(written)
            else:
                low, high = (float(end) for end in written.split(":"))
                scale = "log" if low > 0 and high / low >= WIDE else "lin"
                found = Range.read(f"{scale}:{low!r}:{high!r}")
            if found.count is not None:
                raise ValueError
            for end in (found.low, found.high):
                value_of(option, end)
        except OptionError as error:
            raise InputError(f"--{where}-range {quoted(written)}: {error}") from None
        except ValueError:
            raise InputError(
                f"--{where}-range {quoted(written)}: give two numbers, the lower first, as "
                "1e-3:10 or log:1e-3:10 or lin:0:0.99"
            ) from None
        return cls(option, found, size)

    @property
    def is_log(self) -> bool:
        """Whether neighbours are equal factors apart."""
        return self.range.scale == "log"

    @cached_property
    def values(self) -> NDArray[np.float64]:
        """``[size + 1]``, from the lower end to the upper."""
        whole = is_whole(self.option)
        places = [i / self.size for i in range(self.size + 1)]
        return np.array([self.range.at(place, whole=whole) for place in places])

    def value(self, i: int) -> float | int:
        """The i-th value, of the type that a run takes."""
        value = float(self.values[i])
        return int(value) if is_whole(self.option) else value


def check_numeric(option: str, where: str) -> None:
    """Refuse what is no option of a run, or one that is no number.

    Raises:
        InputError: it is.
    """
    field = RunSpec.model_fields.get(option)
    if field is None or not {int, float} & {field.annotation, *get_args(field.annotation)}:
        raise InputError(
            f"--{where} {quoted(option.replace('_', '-'))}: is no option of a run that takes "
            "numbers, as lr, momentum or batch-size; see gradus train --help"
        )


def decades_below(limit: float) -> str:
    """Four decades, of which the last holds a limit.

    Example:
        >>> decades_below(3.8), decades_below(0.004)
        ('log:0.001:10', 'log:1e-06:0.01')
    """
    last = math.floor(math.log10(limit))
    return f"log:{10.0 ** (last - 3):g}:{10.0 ** (last + 1):g}"


def _written(ends: Any) -> str:
    """Two ends as they are written; of anything else what it is."""
    if isinstance(ends, tuple | list):
        return ":".join(map(str, ends))
    return quoted(ends, 60)
