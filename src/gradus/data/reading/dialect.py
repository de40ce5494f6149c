"""How a text file is laid out: what separates its fields, and where the names of columns stand."""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from gradus.data.reading.missing import MISSING
from gradus.errors import quoted

SEPARATORS = {"\t": "tabs", ";": "';'", "|": "'|'", ",": "commas"}
"""What may separate fields, as it is called. Where several would do, the first is meant: a decimal
comma stands in a file of semicolons, but no semicolon in each field of a file of commas."""

MOST_RECORDS = 200
"""Of the beginning of a file that are looked at."""

MOST_TITLES = 10
"""Lines before the names that are taken for a title."""

_NUMBER = re.compile(r"\s*[-+]?(\d+[.,]?\d*|[.,]\d+)([eE][-+]?\d+)?\s*")


@dataclass(frozen=True)
class Dialect:
    """How a text file is laid out.

    Attributes:
        separator: of fields, one character.
        names: of the columns, without stray spaces.
        start: bytes of UTF-8 before the first row.
        line: the line, from 1, in which the first row stands.
        names_line: the line in which the names stand.
        spaced: whether spaces stand between a separator and a quotation mark, so that the mark
            does not begin the field.
        trailing: whether a separator ends each row, and not the line of names.
        notes: what was guessed, to be said.
    """

    separator: str
    names: tuple[str, ...]
    start: int
    line: int
    names_line: int
    spaced: bool = False
    trailing: bool = False
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Record:
    """Fields that belong together, the line in which they begin, and what stands behind them."""

    fields: list[str]
    line: int
    next_line: int
    end: int

    @property
    def comment(self) -> bool:
        return bool(self.fields) and self.fields[0].lstrip().startswith("#")


@dataclass(frozen=True)
class _Layout:
    """What a file is, read with one separator: how well it fits and what follows from it."""

    fit: float
    dialect: Dialect


def dialect_of(text: str, whole: bool, separator: str | None = None) -> Dialect:
    r"""How a file is laid out, after the text at its beginning.

    Args:
        text: at least the line of names; better a hundred rows.
        whole: whether this is the whole file, so that its last record is complete.
        separator: of the fields, where it is known.

    Example:
        >>> found = dialect_of("# 2024\nlength;width\n1,5;2\n1,25;3\n", True)
        >>> found.separator, found.names, found.line, found.notes
        (';', ('length', 'width'), 3, ("fields separated by ';'", 'line 1 is a comment'))
    """
    layouts = [_layout(text, each, whole) for each in ([separator] if separator else SEPARATORS)]
    found = [layout for layout in layouts if len(layout.dialect.names) > 1]
    return max(found or layouts[-1:], key=lambda layout: layout.fit).dialect


def is_number(text: str) -> bool:
    """Whether a name is a number, so that it is none."""
    return _NUMBER.fullmatch(text) is not None


def records(text: str, separator: str, spaced: bool) -> Iterator[_Record]:
    """The records of a text one by one; blank lines are records without fields."""
    end = 0

    def counted() -> Iterator[str]:
        nonlocal end
        for line in io.StringIO(text, newline=""):
            end += len(line)
            yield line

    reader = csv.reader(counted(), delimiter=separator, skipinitialspace=spaced)
    line = 1
    try:
        for fields in reader:
            yield _Record(fields, line, reader.line_num + 1, end)
            line = reader.line_num + 1
    except csv.Error:  # a field longer than the module takes: what stands before it has to do
        return


def _layout(text: str, separator: str, whole: bool) -> _Layout:
    spaced = re.search(rf'(^|{re.escape(separator)}) +"', text, re.MULTILINE) is not None
    # "x,<tab>y": the tab is space, and separates nothing that the comma does not.
    looked_at = re.sub(r"([,;|])\t", r"\1 ", text) if separator == "\t" else text
    found = []
    for record in records(looked_at, separator, spaced):
        found.append(record)
        if len(found) > MOST_RECORDS:
            break
    else:
        if not whole and len(found) > 1:
            found.pop()
    full = [record for record in found if record.fields]
    if not full:
        return _Layout(0, Dialect(separator, (), 0, 1, 1))
    comments = 0
    while comments < len(full) - 1 and full[comments].comment:
        comments += 1
    at = comments + title_rows([record.fields for record in full[comments:]])
    names = [name.strip() for name in full[at].fields]
    if comments and _names_in_comment(full[comments - 1], full[comments]):
        at = comments - 1
        first = full[at].fields[0].strip().lstrip("#").strip()
        names = [first or "#", *(name.strip() for name in full[at].fields[1:])]
    header, rows = full[at], full[at + 1 :]
    counts = Counter(len(row.fields) for row in rows)
    trailing = (
        bool(rows)
        and counts[len(names) + 1] == len(rows)
        and not any(row.fields[-1].strip() for row in rows)
    )
    if trailing:
        names.append("")
    notes = []
    if separator != ",":
        notes.append(f"fields separated by {SEPARATORS.get(separator, repr(separator))}")
    notes += _said_before(full[:at], comments)
    dialect = Dialect(
        separator,
        tuple(names),
        len(text[: header.end].encode()),
        header.next_line,
        header.line,
        spaced,
        trailing,
        tuple(notes),
    )
    return _Layout(counts[len(names)] / len(rows) if rows else 1.0, dialect)


def title_rows(rows: list[list[str]]) -> int:
    """How many rows at the beginning of a table, before its names, are a title.

    They are where each holds its first field alone, the names behind them are as many as the fields
    of the rows, and a column of the rows is numbers throughout: a first row of names that is merely
    too short stays what it is.
    """
    count = 0
    while count < min(MOST_TITLES, len(rows) - 2) and _is_title(rows[count]):
        count += 1
    if not count:
        return 0
    names, rows = rows[count], rows[count + 1 :]
    if (
        len(names) < 2
        or not all(map(str.strip, names[:-1]))
        or any(map(is_number, names))
        or any(len(row) != len(names) for row in rows)
        or not any(_is_of_numbers(column) for column in zip(*rows, strict=True))
    ):
        return 0
    return count


def _is_title(fields: list[str]) -> bool:
    """Whether only the first field holds anything."""
    return bool(fields[0].strip()) and not any(map(str.strip, fields[1:]))


def _is_of_numbers(column: tuple[str, ...]) -> bool:
    """Whether a column is numbers, as far as it has values."""
    values = [field for field in column if field.strip() not in MISSING]
    return bool(values) and all(map(is_number, values))


def _names_in_comment(comment: _Record, first: _Record) -> bool:
    """Whether the names stand in the comment, as numpy.savetxt writes them."""
    return (
        len(comment.fields) == len(first.fields) > 1
        and any(map(is_number, first.fields))
        and not any(map(is_number, comment.fields))
    )


def _said_before(before: list[_Record], comments: int) -> list[str]:
    comment, title = before[:comments], before[comments:]
    notes = [f"{_lines(comment)} a comment"] if comment else []
    if title:
        notes.append(f"{_lines(title)} a title: {quoted(title[0].fields[0], 40)}")
    return notes


def _lines(some: list[_Record]) -> str:
    return f"line {some[0].line} is" if len(some) == 1 else f"{len(some)} lines are"
