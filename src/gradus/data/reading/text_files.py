"""A file of text as UTF-8, whatever its encoding and compression, as often as it is asked for."""

from __future__ import annotations

import codecs
import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from gradus.data.reading.contents import check_contents
from gradus.data.reading.encoding import NAMES, AsUtf8, Utf8Check, encoding_of
from gradus.data.reading.packing import PIECE, open_unpacked
from gradus.data.reading.quotes import QuoteCheck
from gradus.errors import InputError

if TYPE_CHECKING:
    from typing import BinaryIO

    import pyarrow as pa

BLOCK = 2**20
"""Bytes that pyarrow parses at once."""


@dataclass(frozen=True)
class TextFile:
    """A file of text.

    Attributes:
        path: the file.
        encoding: its encoding, of ``gradus.data.reading.encoding``.
        skipped: bytes of a mark before the text, where it is UTF-8.
        size: bytes of the text as UTF-8, about, once all of them were looked at.
    """

    path: Path
    encoding: str
    skipped: int = 0
    size: int = 0

    @classmethod
    def at(cls, path: Path, *own: bytes) -> TextFile:
        """The file in the encoding that its first bytes speak for.

        Args:
            path: the file.
            own: what files of its kind begin with, where that speaks of another kind otherwise.

        Raises:
            InputError: it cannot be read, or is something else than text.
        """
        with open_unpacked(path) as stream:
            head = stream.read(1000)
        check_contents(path, head, *own)
        marked = head.startswith(codecs.BOM_UTF8)
        return cls(path, encoding_of(head), len(codecs.BOM_UTF8) if marked else 0)

    @property
    def notes(self) -> tuple[str, ...]:
        """What was guessed of the encoding."""
        return () if self.encoding == "utf-8" else (f"read as {NAMES[self.encoding]}",)

    def open(self, start: int = 0) -> BinaryIO:
        """The text as bytes of UTF-8, from one of them on."""
        stream = open_unpacked(self.path)
        if self.encoding != "utf-8":
            stream = io.BufferedReader(AsUtf8(self.path, stream, self.encoding), PIECE)
        left = start + self.skipped
        if stream.seekable():
            stream.seek(left)
        else:
            stream.read(left)
        return stream

    def pieces(self, start: int = 0) -> Iterator[bytes]:
        """The text as bytes of UTF-8, a piece after another."""
        with self.open(start) as stream:
            while piece := stream.read(PIECE):
                yield piece

    def beginning(self, size: int) -> tuple[str, bool]:
        """So many bytes of text, and whether it is all. What is no UTF-8 is replaced."""
        content = b""
        for piece in self.pieces():
            content += piece
            if len(content) > size:
                break
        return content[:size].decode(errors="replace"), len(content) <= size

    def checked(self, quotes: QuoteCheck | None = None) -> TextFile:
        """The file in the encoding that all of its bytes speak for.

        Args:
            quotes: what is to look at the quotation marks in passing.

        Raises:
            InputError: it is no text, or is damaged.
        """
        check = Utf8Check()
        at = 0
        for piece in self.pieces():
            if (zero := piece.find(0)) >= 0:
                raise InputError(
                    f"{self.path}, line {self.line_at(at + zero)}: byte 0x00, which no text holds; "
                    "the file is damaged or no text"
                )
            check.feed(piece)
            if quotes is not None:
                quotes.feed(piece)
            at += len(piece)
        check.end()
        if quotes is not None:
            quotes.end()
        if check.encoding is None:
            assert check.first is not None
            at, byte = check.first
            raise InputError(
                f"{self.path}, line {self.line_at(at)}: byte 0x{byte:02x} is not UTF-8; save the "
                "file as UTF-8"
            )
        # The check sees UTF-8 where the encoding was known before.
        encoding = self.encoding if check.encoding == "utf-8" else check.encoding
        return replace(self, encoding=encoding, size=at)

    def line_at(self, at: int) -> int:
        """The line, from 1, in which a byte of the text stands."""
        lines, before = 1, b""
        for piece in self.pieces():
            piece = piece[:at]
            at -= len(piece)
            lines += line_ends(before + piece) - line_ends(before)
            before = piece[-1:]
            if not at:
                break
        return lines


def line_ends(content: bytes) -> int:
    """How many lines end in some text."""
    if b"\r" not in content:  # as nearly always: three times as fast
        return content.count(b"\n")
    return content.count(b"\n") + content.count(b"\r") - content.count(b"\r\n")


def in_blocks(parse: Callable[[int], pa.Table], size: int) -> pa.Table:
    """What pyarrow makes of a text that it parses in blocks, which are larger where a row is.

    Args:
        parse: reads the text in blocks of so many bytes.
        size: bytes of the text.
    """
    import pyarrow as pa

    most = min(size + 1, 2**31 - 1)
    block = min(BLOCK, most)
    while True:
        try:
            return parse(block)
        except pa.ArrowInvalid as error:
            if "straddl" not in str(error) or block == most:
                raise
        block = min(32 * block, most)
