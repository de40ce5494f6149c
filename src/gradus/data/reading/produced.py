"""A stream whose bytes are produced piece by piece."""

from __future__ import annotations

import io
from abc import abstractmethod
from typing import Any


class Produced(io.RawIOBase):
    """Bytes to read, of which there is never more in memory than a piece."""

    def __init__(self) -> None:
        self._ready = memoryview(b"")

    @abstractmethod
    def produce(self) -> bytes:
        """The next piece; none at the end."""

    def readable(self) -> bool:
        """It is."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill the beginning of a buffer; how many bytes of it, 0 at the end."""
        if not self._ready:
            self._ready = memoryview(self.produce())
        size = min(len(buffer), len(self._ready))
        buffer[:size] = self._ready[:size]
        self._ready = self._ready[size:]
        return size
