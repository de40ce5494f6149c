"""A worker on a node of a Ray cluster: as one of this machine, but for how it is spoken to."""

from __future__ import annotations

import os
import socket
import tempfile
import threading
import warnings
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, final

from gradus.sweep.messages import Alive, FilesKept, ReleaseSplit, Task, TaskBatch, WorkerMessage
from gradus.sweep.worker import ALIVE_SECONDS, Arrived, Mailbox, prepare, serve


class Place(NamedTuple):
    """Where a worker runs, and what it runs.

    Attributes:
        node: the id of its node.
        host: its name.
        process: the process id.
        versions: of what decides how a run ends.
    """

    node: str
    host: str
    process: int
    versions: dict[str, str]


def versions() -> dict[str, str]:
    """The versions in this process of what decides how a run ends."""
    import torch

    from gradus._version import __version__

    return {"gradus": __version__, "torch": str(torch.__version__)}


@final
class PolledMailbox(Mailbox):
    """One whose messages are asked for."""

    def __init__(self, beat_seconds: float) -> None:
        super().__init__(beat_seconds)
        self._outgoing: list[WorkerMessage] = []
        self._there = threading.Condition(self._lock)

    def _send(self, message: WorkerMessage) -> None:
        self._outgoing.append(message)
        self._there.notify()

    def take(self) -> list[WorkerMessage]:
        """The messages, once there are some; after a while that this process is alive."""
        with self._there:
            self._there.wait_for(lambda: self._outgoing, ALIVE_SECONDS)
            taken, self._outgoing = self._outgoing, []
        return taken or [Alive()]


@final
class RunActor:
    """An actor that trains runs; its three methods run beside each other, on a thread each.

    Args:
        threads: on how many threads a run is trained.
        beat_seconds: at least so long between two heartbeats.
        is_private: whether data are copied, since code of the user's may write to them.
    """

    def __init__(self, threads: int, beat_seconds: float, is_private: bool) -> None:
        prepare()
        # It goes with this process; what a killed one leaves is in the system's own folder.
        self._folder = tempfile.TemporaryDirectory(prefix="gradus-")
        self._is_private = is_private
        self._mailbox = PolledMailbox(beat_seconds)
        threading.Thread(
            target=serve,
            args=(self._mailbox, Path(self._folder.name)),
            kwargs={"threads": threads, "carry": self._mailbox.send},
            daemon=True,
        ).start()

    def place(self) -> Place:
        """Where it runs."""
        import ray

        node = ray.get_runtime_context().get_node_id()
        return Place(node, socket.gethostname(), os.getpid(), versions())

    def receive(
        self,
        command: Task | TaskBatch,
        begun: Sequence[FilesKept],
        numbers: Sequence[int],
        released: Sequence[int],
        *splits: Any,
    ) -> None:
        """Queue tasks.

        Args:
            command: the tasks.
            begun: the checkpoints of those that go on.
            numbers: of the splits that are new here.
            released: those of splits that later tasks do not need.
            *splits: the new ones: the content of the file, and the split that lies in it.
        """
        for files in begun:
            files.write(Path(self._folder.name))
        for number, shared in zip(numbers, splits, strict=True):
            self._mailbox.put(Arrived(number, partial(self._split, *shared)))
        self._mailbox.put(command)
        for number in released:
            self._mailbox.put(ReleaseSplit(number))

    def messages(self) -> list[WorkerMessage]:
        """What there is to say since the last time; waits for it."""
        return self._mailbox.take()

    def stop(self) -> list[WorkerMessage]:
        """The results of tasks that have ended, and what else there is to say."""
        self._mailbox.flush()
        self._mailbox.send(Alive())  # neither this nor who waits for messages waits for more
        said = self._mailbox.take()
        self._mailbox.send(Alive())
        return said

    def _split(self, memory: Any, described: Any) -> Any:
        from gradus.sweep.shared_memory import placed_in

        with warnings.catch_warnings():
            # Nothing of ours writes to data; what may is given a copy.
            warnings.filterwarnings("ignore", "The given NumPy array is not writable")
            return placed_in(memory.copy() if self._is_private else memory, described)
