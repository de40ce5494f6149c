"""A worker of a sweep: a process that trains one run after another on one thread."""

from __future__ import annotations

import os
import queue
import signal
import socket
import threading
import time
import traceback
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from gradus.sweep.messages import (
    Data,
    Ended,
    Forget,
    Order,
    Ready,
    Refused,
    Stop,
    Task,
    Together,
    Word,
)
from gradus.sweep.result import Result

SEND_SECONDS = 0.1
"""Between two messages with results, while there is more to train."""

TELL_SECONDS = 0.5
"""Between two words on the run under way."""


def main(descriptor: int, folder: str) -> None:
    """Train what is asked for through a socket, until it is closed.

    Args:
        descriptor: of the socket.
        folder: of the sweep.
    """
    # Ctrl-C reaches every process of a terminal; the one that gives the orders decides.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    mail = _Mail(descriptor)
    # Importing is most of the start: orders arrive meanwhile.
    import torch

    from gradus.sweep.training import Trainer

    torch.set_num_threads(1)
    trainer = Trainer(Path(folder) / "checkpoints", mail.tell, mail.under_way)
    mail.send(Ready())
    while True:
        order = mail.next()
        if isinstance(order, Forget):
            trainer.forget(order.number)
        elif isinstance(order, _Arrived):
            trainer.attach(order.data, order.descriptor)
        else:
            tasks = order.tasks if isinstance(order, Together) else (order,)
            try:
                if isinstance(order, Together):
                    results = trainer.train_together(order.tasks)
                else:
                    results = [trainer.train(order)]
            except Exception as error:
                mail.flush()
                mail.send(_refusal(tasks[0].run, error))
            else:
                mail.keep(results)


def _refusal(run: str, error: Exception) -> Refused:
    from gradus.errors import InputError

    if isinstance(error, InputError):
        return Refused(run, str(error), wrong=True)
    if isinstance(error, OSError):
        where = f"{error.filename}: " if error.filename else ""
        return Refused(run, f"{where}{error.strerror or error}", wrong=True)
    return Refused(run, "".join(traceback.format_exception(error)), wrong=False)


@dataclass(frozen=True)
class _Arrived:
    """Data, and the descriptor of their file in this process."""

    data: Data
    descriptor: int


class _Mail:
    """The orders, read in a thread of their own; and the words, which leave from either thread.

    The thread sees at once where the process that gives the orders has ended, and ends this one.
    """

    def __init__(self, descriptor: int) -> None:
        self._connection: Connection[Word, Order] = Connection(descriptor)
        self._socket = socket.socket(fileno=os.dup(descriptor))
        self._orders: queue.SimpleQueue[Task | Together | Forget | _Arrived] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._ended: list[Result] = []
        self._sent = self._told = 0.0
        threading.Thread(target=self._read, daemon=True).start()

    def next(self) -> Task | Together | Forget | _Arrived:
        """The next order; before waiting for one, everything is sent."""
        try:
            return self._orders.get_nowait()
        except queue.Empty:
            self.flush()
            return self._orders.get()

    def keep(self, results: list[Result]) -> None:
        """Runs have ended: they are sent with others, soon."""
        with self._lock:
            self._ended += results
        if time.monotonic() - self._sent > SEND_SECONDS:
            self.flush()

    def flush(self) -> None:
        """Send what has ended."""
        with self._lock:
            if self._ended:
                self._send(Ended(tuple(self._ended)))
                self._ended = []
                self._sent = time.monotonic()

    def send(self, word: Word) -> None:
        with self._lock:
            self._send(word)

    tell = send

    def under_way(self, under: Any) -> None:
        """Called at every step with a function that makes the word: hardly ever is it wanted."""
        now = time.monotonic()
        if now - self._told > TELL_SECONDS:
            self._told = now
            self.flush()
            self.send(under())

    def _send(self, word: Word) -> None:
        try:
            self._connection.send(word)
        except OSError:
            os._exit(1)

    def _read(self) -> None:
        try:
            while True:
                order = self._connection.recv()
                if isinstance(order, Stop):
                    self.flush()
                    os._exit(0)
                if isinstance(order, Data):
                    _, (descriptor,), _, _ = socket.recv_fds(self._socket, 1, 1)
                    self._orders.put(_Arrived(order, descriptor))
                else:
                    self._orders.put(order)
        except (EOFError, OSError):
            os._exit(1)
