"""What Ctrl-C does while a run is under way: it ends the run once, and never its record."""

from __future__ import annotations

import signal
import threading
import time
from types import FrameType, TracebackType

AGAIN_SECONDS = 2.0
"""A run that still takes steps so long after Ctrl-C has not heard it."""


class OneInterrupt:
    """Let one Ctrl-C through, and none once the record is being written.

    The first raises KeyboardInterrupt, which ends the run; the impatient second is not to cost its
    record. The exception is lost where it is raised in what cannot raise (a finalizer, a callback
    of the garbage collector): a later Ctrl-C then raises it again. Where someone else handles the
    signal, or outside the main thread, nothing is changed.
    """

    def __init__(self) -> None:
        self._closed = False
        self._installed = False
        self._raised = -float("inf")

    def __enter__(self) -> OneInterrupt:
        if (
            threading.current_thread() is threading.main_thread()
            and signal.getsignal(signal.SIGINT) is signal.default_int_handler
        ):
            signal.signal(signal.SIGINT, self._interrupt)
            self._installed = True
        return self

    def close(self) -> None:
        """From here on the record is written, which is not interrupted."""
        self._closed = True

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._installed:
            signal.signal(signal.SIGINT, signal.default_int_handler)

    def _interrupt(self, number: int, frame: FrameType | None) -> None:
        now = time.monotonic()
        if not self._closed and now - self._raised > AGAIN_SECONDS:
            self._raised = now
            raise KeyboardInterrupt
