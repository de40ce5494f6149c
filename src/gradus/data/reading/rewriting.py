"""Rows of a text file with quotation marks as every reader wants them."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from gradus.data.reading.produced import Produced
from gradus.data.reading.quotes import CLOSE_IT, QuoteCheck
from gradus.errors import InputError, quoted

if TYPE_CHECKING:
    from typing import BinaryIO


class Rewritten(Produced):
    """Rows of a text file, written again so that all of their quotation marks are regular.

    A mark behind spaces (``x, "y"``) begins a field; to pyarrow it is a character like any other.
    The fields are the same but for spaces before them, and stand in the same lines. ``read`` raises
    InputError where a mark does not close at the end of its field.

    Args:
        path: the file.
        stream: its rows.
        separator: of fields.
        line: the line in which the first row stands.
    """

    def __init__(self, path: Path, stream: BinaryIO, separator: str, line: int) -> None:
        super().__init__()
        self._path = path
        self._line = line
        self._text = io.TextIOWrapper(stream, encoding="utf-8", newline="")
        self._separator = separator
        self._seen: list[str] = []
        self._rows = csv.reader(self._lines(), delimiter=separator, skipinitialspace=True)
        self._written = io.StringIO()
        self._writer = csv.writer(self._written, delimiter=separator, lineterminator="\n")

    def _lines(self) -> Iterator[str]:
        for line in self._text:
            self._seen.append(line)
            yield line

    def produce(self) -> bytes:
        """The next rows."""
        try:
            for row in self._rows:
                if len(self._seen) > 1:
                    self._check("".join(self._seen))
                self._line += len(self._seen)
                self._seen.clear()
                self._writer.writerow(row)
                if self._written.tell() > 2**16:
                    break
        except csv.Error as error:
            raise InputError(
                f"{self._path}, line {self._line}: a quotation mark opens a field and does not "
                f"close at its end ({quoted(error)}); {CLOSE_IT}"
            ) from error
        rows = self._written.getvalue().encode()
        self._written.seek(0)
        self._written.truncate()
        return rows

    def _check(self, record: str) -> None:
        """Refuse a row of several lines whose quotation marks do not close."""
        check = QuoteCheck(self._separator)
        check.feed(re.sub(rf'(^|{re.escape(self._separator)}) +"', r'\1"', record).encode())
        check.end()
        if check.torn is not None or check.never_closed is not None:
            raise InputError(
                f"{self._path}, line {self._line}: a quotation mark opens a field and does not "
                f"close at its end; {CLOSE_IT}"
            )

    def close(self) -> None:
        """Close the file."""
        self._text.close()
        super().close()
