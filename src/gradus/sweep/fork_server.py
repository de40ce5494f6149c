"""Workers as forks of one process that has imported what they need, and holds it once for all.

A worker that is started by itself imports PyTorch for seconds, and holds all of it once more. A
fork has it at once, and shares the memory: it comes to hold what it writes to. The process that is
forked has one thread and touches no device, whatever the caller is in the middle of: that is why
it is a process of its own, and not the caller. (`multiprocessing` has such a server too, one for
all of a program, which runs the main module of the program once more in every fork.)
"""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import subprocess
import sys
from collections import deque
from typing import final

POSSIBLE = sys.platform == "linux"
"""Elsewhere the libraries of the system do not survive a fork, or nothing can wait for it."""

START = "import sys; sys.path[:] = {path!r}; from gradus.sweep.fork_server import main; main()"

ENVIRONMENT = {
    # Threads of several processes that wait for each other are slow; none survives a fork.
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "JE_ARROW_MALLOC_CONF": "background_thread:false",
}

LARGEST = 1 << 20
"""Bytes of a request."""


@final
class ForkServer:
    """The process that is forked; it ends with this one, or when it is closed."""

    def __init__(self) -> None:
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._process = subprocess.Popen(
            [sys.executable, "-c", START.format(path=_path())],
            stdin=theirs.fileno(),
            env={**os.environ, **ENVIRONMENT},
            # A terminal sends Ctrl-C to the group in front: workers end when they are told to.
            process_group=0,
        )
        theirs.close()
        self._forks: deque[Fork] = deque()

    @property
    def pid(self) -> int:
        """Its process id."""
        return int(self._process.pid)

    def fork(self, folder: str, *descriptors: int) -> Fork:
        """A worker for the sweep in a folder, on the first of the descriptors; it holds them all.

        Nobody waits for it: the server may be importing still.

        Raises:
            OSError: the server was killed.
        """
        asked = [folder, _path(), os.getcwd(), {**os.environ, **ENVIRONMENT}]
        socket.send_fds(self._socket, [json.dumps(asked).encode()], descriptors)
        fork = Fork(self)
        self._forks.append(fork)
        return fork

    def answer(self) -> int | None:
        """The next answer of the server; None where it was killed."""
        try:
            return int(self._socket.recv(64))
        except (OSError, ValueError):
            return None

    def settle(self) -> None:
        """Read the process ids of the workers that were asked for."""
        while self._forks:
            self._forks.popleft().begun(self.answer())

    def code_of(self, pid: int) -> int | None:
        """How a worker ended, as `subprocess` says it; None where the server was killed."""
        self.settle()
        try:
            self._socket.send(json.dumps(pid).encode())
        except OSError:
            return None
        return self.answer()

    def close(self) -> None:
        """End it; workers that still run go on."""
        self._socket.close()
        self._process.wait()


@final
class Fork:
    """A forked worker: what `subprocess.Popen` is to a child of one's own."""

    def __init__(self, server: ForkServer) -> None:
        self._server = server
        self._pid: int | None = None
        self._end: int | None = None
        self._code: int | None = None

    def begun(self, pid: int | None) -> None:
        """Note its process id; None where the server was killed before."""
        self._pid = pid
        self._end = None if pid is None else os.pidfd_open(pid)

    @property
    def pid(self) -> int | None:
        """Its process id; waits until it has one."""
        self._server.settle()
        return self._pid

    def wait(self, timeout: float | None = None) -> int | None:
        """How it ended, below 0 by which signal; None where nobody knows, the server being gone.

        Raises:
            subprocess.TimeoutExpired: it has not ended within that time.
        """
        pid = self.pid
        if self._end is not None and pid is not None:
            if not select.select([self._end], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired("worker", timeout or 0.0)
            os.close(self._end)
            self._end = None
            self._code = self._server.code_of(pid)
        return self._code

    def kill(self) -> None:
        """End it at once."""
        if self.pid is not None and self._end is not None:
            signal.pidfd_send_signal(self._end, signal.SIGKILL)


def main() -> None:
    """Fork a worker for every request on standard input, and tell how those have ended."""
    from gradus.importing import own_process, without_collection

    own_process()
    with without_collection():
        from gradus.sweep import worker

        worker.prepare()
    requests = socket.socket(fileno=os.dup(0))
    while True:
        message, descriptors, _, _ = socket.recv_fds(requests, LARGEST, 8)
        if not message:
            os._exit(0)
        asked = json.loads(message)
        if isinstance(asked, int):
            _, status = os.waitpid(asked, 0)
            requests.send(b"%d" % os.waitstatus_to_exitcode(status))
            continue
        pid = os.fork()
        if pid == 0:
            requests.close()
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            folder, sys.path[:], here, environment = asked
            os.setpgid(0, 0)
            os.chdir(here)
            os.environ.clear()
            os.environ.update(environment)
            worker.main(descriptors[0], folder)
            os._exit(0)
        for descriptor in descriptors:
            os.close(descriptor)
        requests.send(b"%d" % pid)


def _path() -> list[str]:
    return [entry or os.getcwd() for entry in sys.path]
