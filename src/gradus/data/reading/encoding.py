"""In which encoding a text file stands, and how it is read as UTF-8 whatever that is."""

from __future__ import annotations

import codecs
import re
from pathlib import Path
from typing import TYPE_CHECKING

from gradus.data.reading.produced import Produced
from gradus.errors import InputError, quoted

if TYPE_CHECKING:
    from typing import BinaryIO

NAMES = {
    "utf-8": "UTF-8",
    "utf-16-le": "UTF-16",
    "utf-16-be": "UTF-16",
    "cp1252": "Latin-1 (Windows-1252)",
}
"""The encodings that are read, as they are called."""

_ESCAPED = re.compile(r"[\udc80-\udcff]")
_UNDEFINED = re.compile(r"[\udc81\udc8d\udc8f\udc90\udc9d]")


def encoding_of(head: bytes) -> str:
    r"""The encoding of a file after its first bytes: UTF-8 where nothing speaks for UTF-16.

    Example:
        >>> encoding_of("a,b\n1,2\n".encode("utf-16")), encoding_of("a,b\n".encode("utf-16-be"))
        ('utf-16-le', 'utf-16-be')
    """
    for name, mark in (("utf-16-le", codecs.BOM_UTF16_LE), ("utf-16-be", codecs.BOM_UTF16_BE)):
        if head.startswith(mark):
            return name
    # Of two bytes of UTF-16 one is 0 wherever a comma, a digit or a line end stands.
    even, odd = head[:1000:2].count(0), head[1:1000:2].count(0)
    if 4 * max(even, odd) > len(head[:1000]) and min(even, odd) == 0:
        return "utf-16-be" if even else "utf-16-le"
    return "utf-8"


class Utf8Check:
    """Whether bytes that come in pieces are UTF-8, and if not, what else they may be."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("surrogateescape")
        self._clean = True
        self._characters = 0
        self._at = 0
        self._undefined = False
        self.wrong = 0
        """How many bytes are not UTF-8."""
        self.first: tuple[int, int] | None = None
        """About where the first of them stands, and which it is."""

    def feed(self, piece: bytes) -> None:
        """Look at the next piece."""
        if self._clean and piece.isascii():
            self._at += len(piece)
        else:
            self._look(piece, last=False)

    def end(self) -> None:
        """No piece is left."""
        self._look(b"", last=True)

    def _look(self, piece: bytes, last: bool) -> None:
        text = self._decoder.decode(piece, last)
        self._clean = not self._decoder.getstate()[0]
        if not text.isascii():
            # A byte that is wrong is one character here and one byte again there.
            self._characters += len(text.encode("utf-8", "surrogateescape")) - len(text)
            wrong = _ESCAPED.findall(text)
            if wrong and self.first is None:
                before = text[: text.index(wrong[0])].encode()
                self.first = self._at + len(before), ord(wrong[0]) - 0xDC00
            self.wrong += len(wrong)
            self._undefined = self._undefined or _UNDEFINED.search(text) is not None
        self._at += len(piece)

    @property
    def encoding(self) -> str | None:
        """The encoding of all that was looked at; None where it is none that is known.

        Bytes that are not UTF-8 in a file that has characters of several bytes are damage; without
        those the file is older, and its bytes are the characters of Windows-1252.
        """
        if not self.wrong:
            return "utf-8"
        return None if self._undefined or self._characters > self.wrong else "cp1252"


class AsUtf8(Produced):
    """A file in another encoding as UTF-8, without the mark before it.

    ``read`` raises InputError where its bytes are no text.
    """

    def __init__(self, path: Path, stream: BinaryIO, encoding: str) -> None:
        super().__init__()
        self._path = path
        self._stream = stream
        self._encoding = encoding
        self._decoder = codecs.getincrementaldecoder(encoding)()
        self._begun = False

    def produce(self) -> bytes:
        """The next bytes of UTF-8."""
        text = ""
        while not text:
            piece = self._stream.read(2**16)
            try:
                text = self._decoder.decode(piece, final=not piece)
            except UnicodeDecodeError as error:
                raise InputError(
                    f"{self._path}: is no {NAMES[self._encoding]} ({quoted(error.reason)}), though "
                    "it begins as such; it is damaged, or save it as UTF-8"
                ) from error
            if not self._begun:
                text = text.removeprefix(codecs.BOM_UTF8.decode())
                self._begun = bool(piece)
            if not piece:
                break
        return text.encode()

    def close(self) -> None:
        """Close the file."""
        self._stream.close()
        super().close()
