"""How people write dates and times of day, and the moments that they mean."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pyarrow as pa

ISO = "%Y-%m-%d"

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_MONTH = (
    "(?i:jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?"
    "|sept?(?:ember)?|oct(?:ober)?|nov(?:ember)?|dec(?:ember)?)"
)
_WEEKDAY = "(?i:(?:mon|tues?|wed(?:nes)?|thu(?:rs)?|fri|sat(?:ur)?|sun)(?:day)?)"
_TIME = (
    r"(?P<H>[0-9]{1,2}):(?P<M>[0-9]{2})(?::(?P<S>[0-9]{2}(?:[.,][0-9]+)?))?"
    r"(?: ?(?P<p>[AaPp])\.?[Mm]\.?)?"
)
_ZONE = r"(?: ?(?P<z>[Zz]|UTC|GMT|[-+][0-9]{2}(?::?[0-9]{2})?)(?: UTC)?(?:\[[A-Za-z_/]+\])?)?"
_LENGTH = (
    r"^(?:(?P<d>[0-9]{1,6}) days?,? )?(?P<H>[0-9]{1,6}):(?P<M>[0-9]{2})"
    r"(?::(?P<S>[0-9]{2}(?:[.,][0-9]+)?))?$"
)
_DIRECTIVES = {
    "%Y": "(?P<Y>[0-9]{4})",
    "%y": "(?P<y>[0-9]{2})",
    "%m": "(?P<m>[0-9]{1,2})",
    "%d": "(?P<d>[0-9]{1,2})",
    "%b": rf"(?P<b>{_MONTH})\.?",
    "%X": _TIME + _ZONE,
}
_SPOKEN = {"%Y": "year", "%y": "yy", "%m": "month", "%d": "day", "%b": "Jan", "%X": "time"}
_CENTURY_TURNS = 69  # POSIX: 69 is 1969, 68 is 2068


def spoken(pattern: str) -> str:
    """A pattern as a person would write it down.

    Example:
        >>> spoken("%d/%m/%Y"), spoken("%b %d, %Y")
        ('day/month/year', 'Jan day, year')
    """
    return re.sub("%.", lambda directive: _SPOKEN[directive[0]], pattern)


def likely(patterns: Iterable[str], words: Iterable[str]) -> list[str]:
    """The patterns that may read any of the words, by the order of names and numbers in them.

    Example:
        >>> likely(["%Y-%m-%d", "%d %b %Y", "%b %d %Y"], ["Sat, 3 Feb 2024 10:30", "4 Feb 2024"])
        ['%d %b %Y']
    """
    outlines = {_outline(word) for word in words}
    stamps = {"%Y": "2024", "%b": "Feb"}

    def begins(pattern: str) -> str:
        day = pattern.partition(" %X")[0]
        return _outline(re.sub("%.", lambda each: stamps.get(each[0], "10"), day))

    return [each for each in patterns if any(seen.startswith(begins(each)) for seen in outlines)]


def _outline(word: str) -> str:
    """A word with one letter for each name in it, and one for each number of that length."""
    lengths = {1: "9", 2: "9", 4: "Y", 8: "D"}
    word = re.sub(rf"^{_WEEKDAY}[.,]? +", "", " ".join(word.split()))
    word = re.sub(r"[A-Za-z]+\.?", "a", word)
    return re.sub("[0-9]+", lambda run: lengths.get(len(run[0]), "?"), word)


def moments(text: pa.StringArray, pattern: str) -> NDArray[np.datetime64]:
    """The moments that dates mean, in UTC where they name a zone; NaT where one cannot be read.

    A day of the week may stand before a date, and a time of day behind it, which may have a
    fraction, AM or PM, and a zone.

    Args:
        text: without spaces around the words.
        pattern: how the day is written: %Y, %y, %m, %d, %b (a month by its English name or the
            beginning of it); and %X, the time of day, where it stands between them.

    Example:
        >>> import pyarrow as pa
        >>> moments(pa.array(["3.2.2024", "03.02.2024 22:15 +01:00", "30.2.2024"]), "%d.%m.%Y")
        array(['2024-02-03T00:00:00.000000', '2024-02-03T21:15:00.000000',
                                      'NaT'], dtype='datetime64[us]')
    """
    return _iso(text) if pattern == ISO else _by_parts(text, pattern)


def _iso(text: pa.StringArray) -> NDArray[np.datetime64]:
    """What Arrow reads at once where every word is strictly ISO 8601, with a zone or without."""
    import pyarrow as pa

    for zone in (None, "UTC"):
        try:
            read = text.cast(pa.timestamp("us", zone))
        except pa.ArrowInvalid:
            continue
        return as_moments(read.cast(pa.int64()))
    return _by_parts(text, ISO)


def as_moments(micros: Any) -> NDArray[np.datetime64]:
    """Microseconds since 1970 in an Arrow array as moments, NaT where they are null."""
    nothing = np.iinfo(np.int64).min  # NaT
    filled: NDArray[np.int64] = micros.fill_null(nothing).to_numpy()
    return filled.view("datetime64[us]")


def _by_parts(text: pa.StringArray, pattern: str) -> NDArray[np.datetime64]:
    parts = _Parts(text, _shape(pattern))
    month = parts.month() if "%b" in pattern else parts.number("m", 1)
    if "%y" in pattern:
        short = parts.number("y", 0)
        year = short + np.where(short < _CENTURY_TURNS, 2000, 1900)
    else:
        year = parts.number("Y", 1)
    day = parts.number("d", 1)
    right = parts.fit & (month >= 1) & (month <= 12) & (year >= 1)
    months = np.where(right, 12 * (year - 1970) + month - 1, 0).astype("datetime64[M]")
    length = ((months + 1).astype("datetime64[D]") - months.astype("datetime64[D]")).astype(int)
    right &= (day >= 1) & (day <= length)
    days = months.astype("datetime64[D]") + (day - 1)
    seconds = parts.time_of_day()
    right &= ~np.isnan(seconds)
    micros = np.rint(1e6 * np.where(right, seconds, 0) - 6e7 * parts.offset())
    found = days.astype("datetime64[us]") + micros.astype("timedelta64[us]")
    return np.where(right, found, np.datetime64("NaT"))


def _shape(pattern: str) -> str:
    """The regular expression of a pattern."""
    escaped = re.escape(pattern).replace(r"\ ", " +")
    day = re.sub("%.", lambda directive: _DIRECTIVES[directive[0]], escaped)
    if not re.search("[^%A-Za-z]", pattern):  # 20240203: nothing parts the numbers
        day = day.replace("{1,2}", "{2}")
    behind = "" if "%X" in pattern else rf"(?:(?:[T:]|,? +){_TIME}{_ZONE})?"
    return f"^(?:{_WEEKDAY}[.,]? +)?{day}{behind}$"


def times_of_day(text: pa.StringArray) -> NDArray[np.float64]:
    """Seconds since midnight; NaN where a word is no time of day.

    Example:
        >>> import pyarrow as pa
        >>> times_of_day(pa.array(["10:30", "0:00:01.5", "12:10 am", "2 PM", "25:00"])).tolist()
        [37800.0, 1.5, 600.0, nan, nan]
    """
    return _Parts(text, f"^{_TIME}$").time_of_day()


def lengths_of_time(text: pa.StringArray) -> NDArray[np.float64]:
    """Lengths of time in their smallest unit; NaN where a word is none.

    Two numbers are minutes and seconds, or hours and minutes: in either case 60 to 1.

    Example:
        >>> import pyarrow as pa
        >>> words = pa.array(["45:10", "1:02:03.5", "1 days 00:00:01", "5:70"])
        >>> lengths_of_time(words).tolist()
        [2710.0, 3723.5, 86401.0, nan]
    """
    parts = _Parts(text, _LENGTH)
    most, middle, least = parts.number("H", 0), parts.number("M", 0), parts.number("S", -1)
    right = parts.fit & (middle < 60) & (least < 60)
    seconds = 86_400.0 * parts.number("d", 0) + 3600.0 * most + 60.0 * middle + least
    return np.where(right, np.where(least < 0, 60.0 * most + middle, seconds), np.nan)


class _Parts:
    """The groups of a regular expression in each word, as numbers."""

    def __init__(self, text: pa.StringArray, shape: str) -> None:
        import pyarrow.compute as pc

        self._found: Any = pc.extract_regex(text, shape)
        self._names = set(re.findall(r"\?P<(\w)>", shape))
        self.fit: NDArray[np.bool_] = self._found.is_valid().to_numpy(zero_copy_only=False)

    def text(self, name: str) -> Any:
        """One group, null where it matched nothing; None where no word has it."""
        import pyarrow as pa
        import pyarrow.compute as pc

        if name not in self._names:
            return None
        group = pc.struct_field(self._found, name)
        absent = pc.equal(group, pa.scalar(""))
        if not pc.any(absent).as_py():
            return group
        return None if pc.all(absent).as_py() else pc.if_else(absent, None, group)

    def number(self, name: str, usual: float) -> NDArray[Any]:
        """A group as a whole number, or as a real one for seconds; what is usual where absent."""
        import pyarrow as pa
        import pyarrow.compute as pc

        kind: Any = np.float64 if name == "S" else np.int64
        group = self.text(name)
        if group is None:
            return np.full(len(self.fit), usual, dtype=kind)
        if name == "S":
            group = pc.replace_substring(group, ",", ".")
        read = group.cast(pa.from_numpy_dtype(kind)).fill_null(usual)
        return np.asarray(read.to_numpy(zero_copy_only=False), dtype=kind)

    def month(self) -> NDArray[np.int64]:
        """The number of a month from its name."""
        import pyarrow as pa
        import pyarrow.compute as pc

        start = pc.utf8_slice_codeunits(pc.utf8_lower(self.text("b")), 0, 3)
        at = pc.index_in(start, value_set=pa.array(_MONTHS)).fill_null(-1)
        return np.asarray(at.to_numpy(zero_copy_only=False), dtype=np.int64) + 1

    def time_of_day(self) -> NDArray[np.float64]:
        """Seconds since midnight, NaN where there is no such time."""
        import pyarrow as pa
        import pyarrow.compute as pc

        hour, minute = self.number("H", 0), self.number("M", 0)
        second = self.number("S", 0)
        right = self.fit & (hour < 24) & (minute < 60) & (second < 61)
        if (half := self.text("p")) is not None:
            halved = half.is_valid().to_numpy(zero_copy_only=False)
            later = pc.equal(pc.utf8_lower(half), pa.scalar("p")).fill_null(False)
            right &= ~halved | ((hour >= 1) & (hour <= 12))
            after = hour % 12 + 12 * later.to_numpy(zero_copy_only=False)
            hour = np.where(halved, after, hour)
        return np.where(right, 3600.0 * hour + 60.0 * minute + second, np.nan)

    def offset(self) -> NDArray[np.float64]:
        """Minutes by which the zone is ahead of UTC."""
        import pyarrow as pa
        import pyarrow.compute as pc

        if (zone := self.text("z")) is None:
            return np.zeros(len(self.fit))
        digits = pc.replace_substring_regex(zone, "[^0-9]", "")
        padded = pc.utf8_rpad(digits, 4, padding="0").cast(pa.int64()).fill_null(0)
        clock = padded.to_numpy(zero_copy_only=False)
        west = pc.starts_with(zone, "-").fill_null(False).to_numpy(zero_copy_only=False)
        ahead = np.asarray(60.0 * (clock // 100) + clock % 100, dtype=np.float64)
        return np.where(west, -ahead, ahead)
