"""Processes that one starts beside itself, on its own machine: they end with it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from typing import IO, final

import torch

from gradus.errors import InputError, reason
from gradus.runs.processes.group import CHILD, Processes, distributed, joined

START = (
    "import sys; sys.path[:] = {path!r}; from gradus.runs.processes.child import main; main({fd})"
)
END_SECONDS = 10.0
"""So long a child may take to end after the run."""


def start_child(content: int, said: int, variables: Mapping[str, str]) -> subprocess.Popen[bytes]:
    """Start a process that trains with this one.

    Args:
        content: the descriptor of the file that holds what it is given.
        said: the descriptor of the file that takes what it says.
        variables: of its environment, beside those of this process.
    """
    path = [entry or os.getcwd() for entry in sys.path]
    return subprocess.Popen(
        [sys.executable, "-c", START.format(path=path, fd=content)],
        pass_fds=[content],
        # Never written to: it ends where this process does.
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=said,
        env={**os.environ, **variables},
        # A terminal sends Ctrl-C to the group in front: this process ends them.
        process_group=0,
    )


@final
class Children:
    """The other processes of a run, started by this one, which is the first.

    Args:
        size: how many there are with this one.
        port: where they meet.
        content: what each of them is given.
        threads: that each computes with.
    """

    def __init__(self, size: int, port: int, content: bytes, threads: int) -> None:
        self.size = size
        self._processes: list[subprocess.Popen[bytes]] = []
        self._said: list[IO[bytes]] = []
        # An unnamed file, which is gone with the last of them.
        with tempfile.TemporaryFile() as file:
            file.write(content)
            file.flush()
            for rank in range(1, size):
                said = tempfile.TemporaryFile()  # noqa: SIM115
                self._said.append(said)
                variables = _variables(rank, size, port, threads)
                self._processes.append(start_child(file.fileno(), said.fileno(), variables))

    def ended(self) -> str | None:
        """Which of them has ended before the run, and how; None where all are there."""
        for rank, process in enumerate(self._processes, start=1):
            if (code := process.poll()) is not None:
                return f"process {rank} of {self.size} {self._how(code, rank)}"
        return None

    def _how(self, code: int, rank: int) -> str:
        if code < 0:
            return f"was ended by signal {-code} ({signal.Signals(-code).name})"
        said = self._said[rank - 1]
        said.seek(0)
        lines = said.read().decode(errors="replace").strip().splitlines()
        return f"has ended with code {code}" + (f": {lines[-1]}" if lines else "")

    def close(self, *, at_once: bool) -> None:
        """Wait for them, or end them."""
        for process in self._processes:
            assert process.stdin is not None
            try:
                process.wait(0 if at_once else END_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            process.stdin.close()
        for file in self._said:
            file.close()


@contextmanager
def started(size: int, content: bytes) -> Iterator[Processes]:
    """So many processes, of which this one is the first; the others are given this content.

    Raises:
        InputError: they cannot be started.
    """
    dist = distributed()
    try:
        store = dist.TCPStore(
            "127.0.0.1", 0, size, True, timedelta(seconds=60), wait_for_workers=False
        )
    except (RuntimeError, OSError) as error:
        raise InputError(
            f"--processes {size}: no port is free for them to meet at: {reason(error)}"
        ) from None
    threads = torch.get_num_threads()
    each = max(1, len(os.sched_getaffinity(0)) // size) if threads > 1 else 1
    children = Children(size, store.port, content, each)
    ends_well = False
    try:
        torch.set_num_threads(each)
        prefixed = dist.PrefixStore("gradus", store)
        with joined(lambda: Processes(prefixed, 0, size, children)) as processes:
            yield processes
        ends_well = True
    finally:
        torch.set_num_threads(threads)
        children.close(at_once=not ends_well)


def _variables(rank: int, size: int, port: int, threads: int) -> dict[str, str]:
    return {
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
        "WORLD_SIZE": str(size),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "OMP_NUM_THREADS": str(threads),
        "MKL_NUM_THREADS": str(threads),
        "TORCHELASTIC_USE_AGENT_STORE": "False",
        CHILD: "1",
    }
