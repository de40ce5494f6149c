"""Who trains the runs of a sweep, as its scheduler sees them: given items, heard of, replaced."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import final

from gradus.sweep.backlog import WorkItem
from gradus.sweep.messages import Heartbeat, WorkerMessage
from gradus.sweep.split_cache import CachedSplit


@dataclass(eq=False, kw_only=True)
class Worker(ABC):
    """One that trains runs one after another, and what was sent to it.

    Attributes:
        items: sent to it, whose results have not arrived, in this order.
        heartbeat: the last one.
        ready: whether it has started.
        heard: when it was last heard of, on the clock of the scheduler.
        missed: whether it was said that it is silent.
    """

    items: deque[WorkItem] = field(default_factory=deque)
    heartbeat: Heartbeat | None = None
    ready: bool = False
    heard: float = 0.0
    missed: bool = False

    @abstractmethod
    def send(
        self, items: Sequence[WorkItem], splits: Sequence[CachedSplit], among: Sequence[int]
    ) -> None:
        """Send an item, or several as one batch, to be trained after those sent before.

        Args:
            items: what is to be trained.
            splits: the data of each.
            among: of how many best each has to be one, for its record to be kept.

        Raises:
            OSError: it has ended.
        """

    @abstractmethod
    def stop(self) -> None:
        """Ask it for the results that it holds, and to end."""

    @abstractmethod
    def silent(self, seconds: float) -> str:
        """What the user is told when nothing was heard of it for so long."""


@dataclass(frozen=True)
class Ended:
    """How a worker ended.

    Attributes:
        how: in words, after "a worker".
        of_its_run: whether what it trained may be the cause.
    """

    how: str
    of_its_run: bool = True


class Crew(ABC):
    """The workers of one sweep."""

    @property
    @abstractmethod
    def workers(self) -> Sequence[Worker]:
        """Those that were started and have not ended."""

    @abstractmethod
    def start(self) -> Worker:
        """Start one more."""

    @abstractmethod
    def hear(self, timeout: float) -> list[tuple[Worker, WorkerMessage | Ended]]:
        """The messages that arrive within a time, with the last of those that have ended."""

    @abstractmethod
    def dismiss(self, worker: Worker) -> Ended:
        """Let go of one to which nothing can be sent; how it ended."""

    @abstractmethod
    def close(self) -> None:
        """End them all."""


@final
class Clock:
    """Seconds for which the scheduler itself was listening.

    Where all processes were stopped together, as by Ctrl-Z, or where the scheduler was busy, the
    workers had no chance to be heard: such a gap counts for little.
    """

    def __init__(self) -> None:
        self.now = 0.0
        self._read = time.monotonic()

    def read(self) -> float:
        """The time now; to be called about once a second."""
        before, self._read = self._read, time.monotonic()
        self.now += min(self._read - before, LONGEST_GAP_SECONDS)
        return self.now


LONGEST_GAP_SECONDS = 1.0
"""So much of a gap between two looks at the clock counts."""
