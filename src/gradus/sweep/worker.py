"""A worker of a sweep: a process that trains one run after another on one thread."""

from __future__ import annotations

import importlib
import os
import queue
import signal
import socket
import threading
import time
import traceback
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, final

from gradus import kernels
from gradus.importing import own_process, without_collection
from gradus.sweep.messages import (
    Alive,
    Command,
    Heartbeat,
    Ready,
    ReleaseSplit,
    ShareSplit,
    Stop,
    Task,
    TaskBatch,
    TaskError,
    TasksEnded,
    WorkerMessage,
)
from gradus.sweep.result import Result

if TYPE_CHECKING:
    from gradus.data.dataset import Split

SEND_SECONDS = 0.1
"""At least so long between two messages with results, while there is more to train."""

HEARTBEAT_SECONDS = 0.5
"""At least so long between two heartbeats."""

ALIVE_SECONDS = 10.0
"""A worker to which nothing is said for so long says that it is there, even within a long step."""


def main(descriptor: int, folder: str) -> None:
    """Train the tasks that arrive on a socket, until it is closed.

    Args:
        descriptor: of the socket.
        folder: of the sweep.
    """
    # Ctrl-C reaches every process of a terminal; the scheduler decides what it means.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    mailbox = SocketMailbox(descriptor)
    # Importing is most of the start: commands arrive meanwhile.
    own_process()
    with without_collection():
        prepare()
    serve(mailbox, Path(folder))


def serve(
    mailbox: Mailbox,
    folder: Path,
    *,
    threads: int = 1,
    carry: Callable[[WorkerMessage], None] | None = None,
) -> None:
    """Train the tasks that a mailbox has, for ever.

    Args:
        mailbox: of the worker.
        folder: in which checkpoints and records of runs are kept.
        threads: on how many threads a run is trained.
        carry: who is given these files, where that is not the folder of the sweep.
    """
    import torch

    from gradus.sweep.training import Trainer

    torch.set_num_threads(threads)
    trainer = Trainer(folder, mailbox.send, mailbox.heartbeat, carry)
    mailbox.send(Ready())
    while True:
        command = mailbox.next()
        if isinstance(command, ReleaseSplit):
            trainer.release(command.number)
        elif isinstance(command, Arrived):
            trainer.hold(command.number, command.split())
        else:
            tasks = command.tasks if isinstance(command, TaskBatch) else (command,)
            try:
                if isinstance(command, TaskBatch):
                    results = trainer.train_batch(command.tasks)
                else:
                    results = [trainer.train(command)]
            except (Exception, SystemExit) as error:
                mailbox.flush()
                mailbox.send(_error_of(tasks[0], error))
            else:
                mailbox.keep(results)


def prepare() -> None:
    """Import what trains a run; no thread is started and no device touched, so that it may fork."""
    importlib.import_module("torch")
    importlib.import_module("gradus.sweep.training")
    importlib.import_module("gradus.engine.native")
    kernels.core()


def _error_of(task: Task, error: BaseException) -> TaskError:
    from gradus.errors import InputError
    from gradus.models.own import is_own, told

    run = task.run
    if isinstance(error, InputError):
        return TaskError(run, str(error), wrong=True)
    if isinstance(error, OSError):
        where = f"{error.filename}: " if error.filename else ""
        return TaskError(run, f"{where}{error.strerror or error}", wrong=True)
    if is_own(task.spec.model):
        said = f"--model {task.spec.model}: failed in training: {told(error)}"
        return TaskError(run, said, wrong=True)
    return TaskError(run, "".join(traceback.format_exception(error)), wrong=False)


@dataclass(frozen=True)
class Arrived:
    """A split by its number, and what maps it in this process."""

    number: int
    split: Callable[[], Split]


Queued = Task | TaskBatch | ReleaseSplit | Arrived


class Mailbox(ABC):
    """Commands in, from a thread of their own; messages out, from either thread.

    Args:
        beat_seconds: at least so long between two heartbeats.
    """

    def __init__(self, beat_seconds: float = HEARTBEAT_SECONDS) -> None:
        self._beat_seconds = beat_seconds
        self._commands: queue.SimpleQueue[Queued] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._ended: list[Result] = []
        self._sent = self._beat = 0.0

    @abstractmethod
    def _send(self, message: WorkerMessage) -> None:
        """Have a message on its way; the lock is held."""

    def put(self, command: Queued) -> None:
        """Queue a command."""
        self._commands.put(command)

    def next(self) -> Queued:
        """The next command; results are sent before waiting for one."""
        try:
            return self._commands.get_nowait()
        except queue.Empty:
            self.flush()
            return self._commands.get()

    def keep(self, results: list[Result]) -> None:
        """Queue results, which are sent together with others."""
        with self._lock:
            self._ended += results
        if time.monotonic() - self._sent > SEND_SECONDS:
            self.flush()

    def flush(self) -> None:
        """Send the queued results."""
        with self._lock:
            if self._ended:
                self._send(TasksEnded(tuple(self._ended)))
                self._ended = []
                self._sent = time.monotonic()

    def send(self, message: WorkerMessage) -> None:
        """Send a message now."""
        with self._lock:
            self._send(message)

    def heartbeat(self, make: Callable[[], Heartbeat]) -> None:
        """Send a heartbeat if the last one is old enough; called at every step."""
        now = time.monotonic()
        if now - self._beat > self._beat_seconds:
            self._beat = now
            self.flush()
            self.send(make())


@final
class SocketMailbox(Mailbox):
    """That of a process, whose reading thread notices at once that the scheduler has ended.

    It then ends this process.
    """

    def __init__(self, descriptor: int) -> None:
        super().__init__()
        self._connection: Connection[WorkerMessage, Command] = Connection(descriptor)
        self._socket = socket.socket(fileno=os.dup(descriptor))
        threading.Thread(target=self._read, daemon=True).start()

    def _send(self, message: WorkerMessage) -> None:
        try:
            self._connection.send(message)
        except OSError:
            os._exit(1)

    def _read(self) -> None:
        try:
            while True:
                while not self._connection.poll(ALIVE_SECONDS):
                    self.send(Alive())
                command = self._connection.recv()
                if isinstance(command, Stop):
                    self.flush()
                    os._exit(0)
                if isinstance(command, ShareSplit):
                    _, (descriptor,), _, _ = socket.recv_fds(self._socket, 1, 1)
                    self.put(Arrived(command.number, partial(_mapped, descriptor, command)))
                else:
                    self.put(command)
        except (EOFError, OSError):
            os._exit(1)


def _mapped(descriptor: int, shared: ShareSplit) -> Split:
    from gradus.sweep.shared_memory import attach

    return attach(descriptor, shared.size, shared.split)
