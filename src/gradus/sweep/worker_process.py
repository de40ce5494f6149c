"""Workers that are processes of this machine."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, Pipe, wait
from pathlib import Path
from typing import final

from gradus.sweep.backlog import WorkItem
from gradus.sweep.fork_server import ENVIRONMENT, POSSIBLE, Fork, ForkServer
from gradus.sweep.messages import (
    Command,
    ReleaseSplit,
    ShareSplit,
    Stop,
    Task,
    TaskBatch,
    WorkerMessage,
)
from gradus.sweep.split_cache import CAPACITY, CachedSplit
from gradus.sweep.workers import Crew, Ended, Worker

START = (
    "import sys; sys.path[:] = {path!r}; from gradus.sweep.worker import main; main({fd}, {to!r})"
)


@final
@dataclass(eq=False)
class WorkerProcess(Worker):
    """A worker process, with a socket to it.

    Attributes:
        splits: the numbers of the splits that it has mapped, the oldest first.
    """

    process: subprocess.Popen[bytes] | Fork
    connection: Connection[Command, WorkerMessage]
    splits: deque[int] = field(default_factory=deque)

    def send(  # noqa: D102
        self, items: Sequence[WorkItem], splits: Sequence[CachedSplit], among: Sequence[int]
    ) -> None:
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

    def stop(self) -> None:  # noqa: D102
        try:
            self.connection.send(Stop())
        except OSError:
            return  # it has ended

    def silent(self, seconds: float) -> str:  # noqa: D102
        process = self.process.pid
        return (
            f"a worker (process {process}) is silent for {seconds:.0f} s, and the "
            f"sweep waits for it: kill -CONT {process} wakes it if it was stopped, kill -9 "
            f"{process} gives its runs to another"
        )


@final
class LocalCrew(Crew):
    """Processes of this machine, on one thread each.

    Where there are several they are forks of one process, which shares its memory with them.

    Args:
        folder: of the sweep.
        workers: how many are wanted.
        lock: the descriptor of the lock of the folder, which is given back with the last of them.
    """

    def __init__(self, folder: Path, workers: int, lock: int | None = None) -> None:
        self.folder, self.lock = folder, lock
        self._workers: list[WorkerProcess] = []
        self._server = fork_server(workers)

    @property
    def workers(self) -> Sequence[WorkerProcess]:  # noqa: D102
        return self._workers

    def start(self) -> WorkerProcess:  # noqa: D102
        try:
            worker = start_worker(self.folder, self._server, self.lock)
        except ConnectionError:
            assert self._server is not None
            self._server.close()
            self._server = ForkServer()
            worker = start_worker(self.folder, self._server, self.lock)
        self._workers.append(worker)
        return worker

    def hear(self, timeout: float) -> list[tuple[Worker, WorkerMessage | Ended]]:  # noqa: D102
        by_connection = {worker.connection: worker for worker in self._workers}
        heard: list[tuple[Worker, WorkerMessage | Ended]] = []
        for connection in wait(list(by_connection), timeout):
            worker = by_connection[connection]  # type: ignore[index]
            try:
                heard.append((worker, worker.connection.recv()))
                while worker.connection.poll():
                    heard.append((worker, worker.connection.recv()))
            except (EOFError, OSError):
                heard.append((worker, self.dismiss(worker)))
        return heard

    def dismiss(self, worker: Worker) -> Ended:  # noqa: D102
        assert isinstance(worker, WorkerProcess)
        self._workers.remove(worker)
        worker.connection.close()
        code = worker.process.wait()
        if code is None:
            return Ended("has ended")
        return Ended(f"was ended by signal {-code}" if code < 0 else f"ended with code {code}")

    def close(self) -> None:  # noqa: D102
        for worker in self._workers:
            worker.connection.close()
        for worker in self._workers:
            try:
                worker.process.wait(timeout=1)
            except subprocess.TimeoutExpired:
                worker.process.kill()
                worker.process.wait()
        if self._server is not None:
            self._server.close()


def fork_server(workers: int) -> ForkServer | None:
    """The process that is forked for so many workers; None: each is started by itself."""
    return ForkServer() if POSSIBLE and workers > 1 else None


def start_worker(
    folder: Path, server: ForkServer | None = None, lock: int | None = None
) -> WorkerProcess:
    """Start a worker for the sweep in a folder, by a server that forks it or by itself."""
    ours, theirs = Pipe()
    to = str(folder.resolve())
    held = [theirs.fileno(), *([] if lock is None else [lock])]
    process: subprocess.Popen[bytes] | Fork
    try:
        if server is not None:
            process = server.fork(to, *held)
        else:
            path = [p or os.getcwd() for p in sys.path]
            process = subprocess.Popen(
                [sys.executable, "-c", START.format(path=path, fd=theirs.fileno(), to=to)],
                pass_fds=held,
                stdin=subprocess.DEVNULL,
                env={**os.environ, **ENVIRONMENT},
                # A terminal sends Ctrl-C to the group in front: workers end when they are told to.
                process_group=0,
            )
    finally:
        theirs.close()
    return WorkerProcess(process, ours)
