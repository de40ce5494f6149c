"""Whether every quotation mark of a CSV file closes where it should."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

CLOSE_IT = "close it where its field ends, or write it twice where it belongs to the text"
"""What is said of a quotation mark that does not close."""

_QUOTE = ord('"')


class QuoteCheck:
    r"""Follows the quoted fields of a file that comes in pieces.

    A mark opens a field where a field begins, and closes it where it does not stand twice;
    elsewhere it is a character like any other. Two things are wrong: a mark that never closes, and
    one that closes on a later line in the midst of text, since there another one was forgotten: the
    rows between are lost in one field. Nearly always every mark opens behind a separator or closes
    before one; a piece in which all do is looked at as a whole, others mark by mark.

    Args:
        separator: of fields, one character.

    Example:
        >>> check = QuoteCheck(",")
        >>> check.feed(b'a,b\n1,"x\n2,y\n')
        >>> check.end()
        >>> check.never_closed
        6
    """

    def __init__(self, separator: str) -> None:
        self._ends = np.zeros(256, bool)
        self._ends[list(f"{separator}\r\n".encode())] = True
        self._inside = False
        self._escapes = False  # the quote before closed a field, so one beside it opens it again
        self._before = ord("\n")
        self._held = b""
        self._at = 0
        self._opened = 0
        self._spans = False  # whether the open field holds a line end in pieces before
        self.multiline = False
        """Whether a quoted field holds a line end."""
        self.plain = True
        """Whether all quotation marks stand beside separators, line ends or each other."""
        self.torn: tuple[int, int] | None = None
        """Where a mark opens that closes lines later in the midst of text, and where that is."""
        self.never_closed: int | None = None
        """Where a mark opens that never closes."""

    def feed(self, piece: bytes) -> None:
        """Look at the next piece."""
        # What a mark means is seen by the byte behind it, so the last one waits for the next piece.
        content = self._held + piece
        self._look(content[:-1], content[-1:])
        self._held = content[-1:]

    def end(self) -> None:
        """No piece is left."""
        self._look(self._held, b"\n")
        if self._inside:
            self.never_closed = self._opened

    def _look(self, content: bytes, behind: bytes) -> None:
        if self.torn is not None or not content:
            return
        if b'"' in content:
            values = np.frombuffer(content + behind, np.uint8)
            marks = np.flatnonzero(values[:-1] == _QUOTE)
            before = np.where(marks == 0, self._before, values[marks - 1])
            self._marks(content, marks, before, values[marks + 1])
        if self._inside or content[-1] == _QUOTE:  # which the next piece may show to be no end
            began = self._opened - self._at
            self._spans = (began < 0 and self._spans) or _breaks(content[max(began, 0) :])
            self.multiline = self.multiline or (self._inside and self._spans)
        self._before = content[-1]
        if content[-1] == _QUOTE and not self._escapes:
            self._before = 0
        self._at += len(content)

    def _marks(
        self,
        content: bytes,
        marks: NDArray[np.int64],
        before: NDArray[np.uint8],
        behind: NDArray[np.uint8],
    ) -> None:
        first = int(self._inside)
        opens, closes = slice(first, None, 2), slice(1 - first, None, 2)
        reopens = before[opens] == _QUOTE
        if (
            not (reopens | self._ends[before[opens]]).all()
            or not (self._ends[behind[closes]] | (behind[closes] == _QUOTE)).all()
        ):
            self.plain = False
            self._one_by_one(content, marks, before, behind)
            return
        if not self.multiline:
            starts, ends = marks[opens], marks[closes]
            if self._inside:
                starts = np.append(-1, starts)
            starts = starts[: len(ends)]
            line_ends = _line_ends(content)
            self.multiline = bool(
                (np.searchsorted(line_ends, starts) != np.searchsorted(line_ends, ends)).any()
            )
        real = marks[opens][~reopens]
        if len(real):
            self._opened = self._at + int(real[-1])
        self._inside ^= bool(len(marks) % 2)
        self._escapes = not self._inside

    def _one_by_one(
        self,
        content: bytes,
        marks: NDArray[np.int64],
        before: NDArray[np.uint8],
        behind: NDArray[np.uint8],
    ) -> None:
        for mark, previous, following in zip(
            marks.tolist(), before.tolist(), behind.tolist(), strict=True
        ):
            if self._inside:
                self._inside, self._escapes = False, True
                began = self._opened - self._at
                broken = (began < 0 and self._spans) or _breaks(content[max(began, 0) : mark])
                self.multiline = self.multiline or broken
                if broken and not self._is_end(content[mark + 1 :], following):
                    self.torn = self._opened, self._at + mark
                    return
            elif self._ends[previous] or (previous == _QUOTE and self._escapes):
                self._inside = True
                if previous != _QUOTE:
                    self._opened = self._at + mark
            else:
                self._escapes = False

    def _is_end(self, content: bytes, following: int) -> bool:
        """Whether a mark before this closes its field: nothing but spaces stands behind it."""
        if chr(following) in " \t":
            following = next(iter(content.lstrip(b" \t")), ord("\n"))
        return following == _QUOTE or bool(self._ends[following])


def _breaks(content: bytes) -> bool:
    return b"\n" in content or b"\r" in content


def _line_ends(content: bytes) -> NDArray[np.int64]:
    values = np.frombuffer(content, np.uint8)
    return np.flatnonzero((values == ord("\n")) | (values == ord("\r")))
