"""How people write numbers: with units, groups of digits, a decimal comma, in parentheses."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Literal, cast

import numpy as np
from numpy.typing import NDArray

from gradus.data.columns.clock import lengths_of_time
from gradus.data.columns.column import Form
from gradus.data.columns.guess import Guess

if TYPE_CHECKING:
    import pyarrow as pa

    from gradus.data.columns.words import Words

LARGEST_WHOLE = 2**53
"""Beyond this, two whole numbers may be one in float64: they are kept as names."""

_CODES = (
    "AED|ARS|AUD|BGN|BRL|CAD|CHF|CLP|CNY|COP|CZK|DKK|EGP|EUR|GBP|HKD|HUF|IDR|ILS|INR|ISK|"
    "JPY|KES|KRW|MXN|MYR|NGN|NOK|NZD|PEN|PHP|PKR|PLN|RON|RUB|SAR|SEK|SGD|THB|TRY|TWD|UAH|USD|VND|ZAR"
)
_MONEY = rf"(?:[A-Z]{{0,3}}[$€£¥₹₽₩₺₪₫฿₴₱]|{_CODES}|Rs\.?|kr\.?|zł|Kč|Ft|лв)"
_FIGURES = (
    r"(?:(?:[0-9][0-9.,' ]*|[.,][0-9]+)(?:[eE][-+]?[0-9]+)?"
    r"|[0-9]*[.,][0-9]*[dD][-+]?[0-9]+)"  # Fortran, which always writes the point
)
_BEHIND = rf"(?:{_MONEY}|[^\W\d_]{{1,3}}/[^\W\d_]{{1,6}}|[^\W\d_]{{1,12}}|°[CF]?|[%‰])"
_NUMBER = re.compile(
    rf"\(?[-+]? ?(?P<before>{_MONEY})? ?[-+]?{_FIGURES} ?(?P<behind>{_BEHIND})?[-)]?"
)
_LOOKED_AT = 300  # words in which a unit is looked for; all of them are then held to it

_GROUPED = (",", ".")
_CONVENTIONS = (
    (".", ""),
    (".", ","),
    (",", ""),
    _GROUPED,
    (".", " "),
    (",", " "),
    (".", "'"),
    (",", "'"),
)
"""Mark before the fraction and mark between thousands; the first that fits all is taken."""


_DOUBTS = {"": "may be thousands", ",": "may be a decimal comma", ".": "may be a decimal point"}


def guess_numbers(words: Words, decimal: Literal[",", "."] | None = None) -> Guess | None:
    r"""How the numbers of a column are written, where most of its rows hold numbers.

    The convention is one for the whole column. Where the words leave it open whether ``1,200`` is
    a thousand or one and a fraction, groups of exactly three digits are thousands, and that is
    said. A point is a decimal point, unless it stands in sums of money, or some words have it
    before three digits that end in 0 and others have none: no fraction is written so.

    Args:
        words: of the column.
        decimal: what stands before the fraction, where that is known.

    Returns:
        None where the words are no numbers; or where they are figures but no quantities: with
        leading zeros (postal codes), or whole and beyond 2^53.

    Example:
        >>> import pyarrow as pa
        >>> from gradus.data.columns.words import words_of
        >>> guess = guess_numbers(words_of(pa.chunked_array([["$ 3,000", "$1,200.50", "-$5"]])))
        >>> guess.values.tolist(), guess.form.told
        ([3000.0, 1200.5, -5.0], "number, ',' between thousands, in $")
    """
    unit = _unit(tidied(words.some(_LOOKED_AT)))
    if unit is None:
        return None
    tidy = tidied(words.distinct)
    bare = _without_unit(tidy, unit)
    conventions = list(_conventions(bare, unit, decimal))
    read = [int(words.counts[_follow(bare, *each)].sum()) for each in conventions]
    if not any(read) or _are_names(tidy, bare):
        return None
    mark, thousands = conventions[read.index(max(read))]
    # What is not a unit to everyone is one only where it stands at every number.
    if max(read) < words.present and unit and not (_is_money(unit) or unit in "%‰"):
        return None
    form = Form("number", mark, thousands, unit)
    doubtful = read.count(words.present) > 1
    return Guess(form, _values(bare, form), _DOUBTS[thousands] if doubtful else "")


def read_numbers(text: pa.StringArray, form: Form) -> NDArray[np.float64]:
    """The numbers that words mean by a form; NaN where one cannot be read by it.

    Example:
        >>> import pyarrow as pa
        >>> read_numbers(pa.array(["1.200,5", "7", "1,200.5"]), Form("number", ",", ".")).tolist()
        [1200.5, 7.0, nan]
    """
    if form.pattern:
        return lengths_of_time(tidied(text))
    return _values(_without_unit(tidied(text), form.unit), form)


def tidied(text: pa.StringArray) -> pa.StringArray:
    """Words without spaces around them, with plain signs, spaces and apostrophes inside."""
    import pyarrow.compute as pc

    tidy: Any = pc.utf8_trim_whitespace(text)
    if not pc.all(pc.string_is_ascii(tidy)).as_py():
        for strange, plain in (("[\u00a0\u2007\u2009\u202f]", " "), ("−", "-"), ("[’ʼ]", "'")):
            tidy = pc.replace_substring_regex(tidy, strange, plain)
    return cast("pa.StringArray", tidy)


def _unit(some: pa.StringArray) -> str | None:
    """What stands at most of the numbers, "" where nothing does; None where none is a number."""
    parts = (_NUMBER.fullmatch(str(word)) for word in some)
    units = Counter(part["before"] or part["behind"] or "" for part in parts if part)
    ordered = [unit for unit, _ in units.most_common()]
    # Money is often named at some of the sums only.
    return next(filter(_is_money, ordered), ordered[0]) if ordered else None


def _is_money(unit: str) -> bool:
    return re.fullmatch(_MONEY, unit) is not None


def _without_unit(tidy: pa.StringArray, unit: str) -> pa.StringArray:
    """The figures alone, "-" before them where they are negative; null where there is more."""
    import pyarrow as pa
    import pyarrow.compute as pc

    figures = _FIGURES
    if unit:
        mark = re.escape(unit)
        marked = rf"{mark} ?[-+]? ?{_FIGURES}|{_FIGURES} ?{mark}"
        # Where 12 % are meant, a number alone may be 0.12; of money it is the same sum.
        alone = f"|{_FIGURES}" if _is_money(unit) else ""
        figures = f"(?:{marked}{alone})"
    # What is owed stands in parentheses, or before its sign.
    shape = rf"^(?:[-+]? ?{figures}|\([-+]? ?{figures}\)|{figures} ?-)$"
    fits = pc.match_substring_regex(tidy, shape)
    bare: Any = pc.if_else(fits, tidy, pa.scalar(None, pa.string()))
    if unit:
        bare = pc.replace_substring(bare, unit, "", max_replacements=1)
    negative = pc.match_substring_regex(bare, r"^[^0-9.,]*[-(]|-$")
    bare = pc.utf8_trim(bare, characters="()+- ")
    if pc.any(negative).as_py():
        bare = pc.if_else(negative, pc.binary_join_element_wise("-", bare, ""), bare)
    return cast("pa.StringArray", bare)


def _conventions(bare: pa.StringArray, unit: str, decimal: str | None) -> Iterator[tuple[str, str]]:
    """Decimal mark and mark of thousands that may have been used, the likelier ones first."""
    import pyarrow.compute as pc

    used = {mark for mark in ",. '" if pc.any(pc.match_substring(bare, mark)).as_py()}
    if decimal is not None:
        known = (each for each in _CONVENTIONS if each[0] == decimal)
        yield from (each for each in known if not each[1] or each[1] in used)
        return
    grouped = _is_money(unit) or _point_groups(bare)  # no money has three decimals
    for mark, thousands in (_GROUPED, *_CONVENTIONS) if grouped else _CONVENTIONS:
        # Where the point groups thousands, no fraction need stand behind a comma.
        needed = {thousands} if thousands == "." else {mark, thousands} - {"."}
        if needed - {""} <= used:
            yield mark, thousands


def _point_groups(bare: pa.StringArray) -> bool:
    """Whether some figures are such as 1.200 and the others such as 850."""
    import pyarrow.compute as pc

    alike = pc.match_substring_regex(bare, r"^-?(?:0|[1-9][0-9]{0,2}(?:\.[0-9]{3})?)$")
    if not pc.all(alike).as_py():
        return False
    ends_in_zero = pc.any(pc.match_substring_regex(bare, r"\.[0-9]{2}0$"))
    return bool(ends_in_zero.as_py()) and not pc.all(pc.match_substring(bare, ".")).as_py()


def may_be_grouped(values: NDArray[np.float64]) -> bool:
    """Whether real numbers may be whole ones, the point in which stands between thousands.

    Example:
        >>> may_be_grouped(np.array([1.2, 850.0])), may_be_grouped(np.array([1.2, 0.5]))
        (True, False)
    """
    for part in (values[:_LOOKED_AT], values):
        size = np.minimum(np.abs(part), 1e6) * 1000  # of which more would not be finite
        whole = (np.abs(size - np.rint(size)) < 1e-6) & (size >= 1000) & (size < 1e6) | (size == 0)
        if not (whole | np.isnan(part)).all():
            return False
    return bool((values != np.rint(values))[~np.isnan(values)].any())


def _follow(bare: pa.StringArray, decimal: str, thousands: str) -> NDArray[np.bool_]:
    """Which figures follow a convention."""
    import pyarrow.compute as pc

    mark, group = re.escape(decimal), re.escape(thousands)
    whole = "[0-9]+"
    if thousands:
        whole += rf"|[1-9][0-9]{{0,2}}(?:{group}[0-9]{{3}})+"
    if thousands == ",":  # as in India: 12,34,567
        whole += "|[1-9][0-9]?(?:,[0-9]{2})*,[0-9]{3}"
    shape = rf"^-?(?:(?:{whole})(?:{mark}[0-9]*)?|{mark}[0-9]+)(?:[eEdD][-+]?[0-9]+)?$"
    fits = pc.match_substring_regex(bare, shape).fill_null(False)
    return np.asarray(fits.to_numpy(zero_copy_only=False), dtype=bool)


def _values(bare: pa.StringArray, form: Form) -> NDArray[np.float64]:
    """The numbers that figures mean; NaN where they do not follow the convention."""
    import pyarrow as pa
    import pyarrow.compute as pc

    fits = _follow(bare, form.decimal, form.thousands)
    plain: Any = pc.if_else(pa.array(fits), bare, pa.scalar(None, pa.string()))
    if form.thousands:
        plain = pc.replace_substring(plain, form.thousands, "")
    if form.decimal != ".":
        plain = pc.replace_substring(plain, form.decimal, ".")
    if pc.any(pc.match_substring_regex(plain, "[dD]")).as_py():
        plain = pc.replace_substring_regex(plain, "[dD]", "e")
    values = np.asarray(plain.cast(pa.float64()).to_numpy(zero_copy_only=False), dtype=np.float64)
    return np.where(np.isinf(values), np.nan, values)  # beyond the largest, as 1e999


def _are_names(tidy: pa.StringArray, bare: pa.StringArray) -> bool:
    """Whether these are figures that do not say how much: postal codes, identifiers, (1) (2)."""
    import pyarrow as pa
    import pyarrow.compute as pc

    def every(words: pa.StringArray, shape: str) -> bool:
        return bool(pc.all(pc.match_substring_regex(words, shape)).as_py())

    if every(tidy, r"^\("):
        return True
    if pc.any(pc.match_substring_regex(tidy, "^[-+]?0[0-9]+$")).as_py():
        return True
    if not every(bare, "^-?[0-9]+$"):
        return False
    size = pc.max(pc.abs(pc.cast(bare, pa.float64()))).as_py()
    return size is not None and size >= LARGEST_WHOLE
