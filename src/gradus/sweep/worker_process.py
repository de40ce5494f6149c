"""A worker process as the scheduler sees it: started, given tasks, heard of."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, Pipe
from pathlib import Path
from typing import final

from gradus.sweep.backlog import WorkItem
from gradus.sweep.messages import (
    Command,
    Heartbeat,
    ReleaseSplit,
    ShareSplit,
    Task,
    TaskBatch,
    WorkerMessage,
)
from gradus.sweep.split_cache import CAPACITY, CachedSplit

START = (
    "import sys; sys.path[:] = {path!r}; from gradus.sweep.worker import main; main({fd}, {to!r})"
)


@dataclass(eq=False)
class WorkerProcess:
    """A worker process, and what was sent to it.

    Attributes:
        items: sent to it, whose results have not arrived, in this order.
        splits: the numbers of the splits that it has mapped, the oldest first.
        heartbeat: the last one.
        ready: whether it has started.
        heard: when it was last heard of, on the clock of the scheduler.
        missed: whether it was said that it is silent.
    """

    process: subprocess.Popen[bytes]
    connection: Connection[Command, WorkerMessage]
    items: deque[WorkItem] = field(default_factory=deque)
    splits: deque[int] = field(default_factory=deque)
    heartbeat: Heartbeat | None = None
    ready: bool = False
    heard: float = 0.0
    missed: bool = False

    def send(
        self, items: Sequence[WorkItem], splits: Sequence[CachedSplit], among: Sequence[int]
    ) -> None:
        """Send an item, or several as one batch, to be trained after those sent before.

        Args:
            items: what is to be trained.
            splits: the data of each.
            among: of how many best each has to be one, for its record to be kept.
        """
        for each in splits:
            if each.number in self.splits:
                continue
            shared = each.shared
            self.connection.send(ShareSplit(each.number, shared.size, shared.split))
            with socket.socket(fileno=os.dup(self.connection.fileno())) as end:
                socket.send_fds(end, [b"."], [shared.descriptor])
            self.splits.append(each.number)
        tasks = [
            Task(item.run, item.spec, each.number, item.until, most)
            for item, each, most in zip(items, splits, among, strict=True)
        ]
        self.connection.send(tasks[0] if len(tasks) == 1 else TaskBatch(tuple(tasks)))
        while len(self.splits) > CAPACITY:
            # Commands are executed in their order: tasks sent before still have their splits.
            self.connection.send(ReleaseSplit(self.splits.popleft()))
        self.items.extend(items)


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


def start_worker(folder: Path) -> WorkerProcess:
    """Start a worker for the sweep in a folder."""
    ours, theirs = Pipe()
    to = str(folder.resolve())
    code = START.format(path=[p or os.getcwd() for p in sys.path], fd=theirs.fileno(), to=to)
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        pass_fds=[theirs.fileno()],
        stdin=subprocess.DEVNULL,
        # Threads of several processes that wait for each other are slow.
        env={**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"},
        # A terminal sends Ctrl-C to the group in front: workers end when they are told to.
        process_group=0,
    )
    theirs.close()
    return WorkerProcess(process, ours)
