"""What a process costs, seen from outside: seconds from its start, and its peak memory."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


class ProcessFailedError(Exception):
    """A process ended with an error; the message is the last line that it wrote."""


@dataclass(frozen=True)
class Cost:
    """What one process cost.

    Attributes:
        started: when the process was started, in seconds since the epoch.
        wall: seconds from then to its end.
        peak: the most memory it held, in MB (10^6 bytes).
        others: the share of all processors that others took meanwhile, other machines on the same
            hardware included; None where the system keeps no such account.
    """

    started: float
    wall: float
    peak: float
    others: float | None


def run(arguments: Sequence[str]) -> Cost:
    """Run this Python with these arguments, by itself, and wait for it.

    The peak is ``ru_maxrss`` of this one child, from the system's accounts. It counts what the
    child shared with its parent before it became a program of its own: keep the parent small.

    Raises:
        ProcessFailedError: it ended with another code than 0.
    """
    with tempfile.TemporaryFile() as told:
        busy, started = _busy_seconds(), time.time()
        process = subprocess.Popen(
            [sys.executable, *arguments], stdout=subprocess.DEVNULL, stderr=told
        )
        try:
            _, status, usage = os.wait4(process.pid, 0)
        except BaseException:
            process.kill()
            process.wait()
            raise
        wall = time.time() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            told.seek(0)
            lines = told.read().decode(errors="replace").strip().splitlines()
            raise ProcessFailedError(lines[-1] if lines else f"exit code {process.returncode}")
    others = None
    if busy is not None and (after := _busy_seconds()) is not None:
        taken = after - busy - usage.ru_utime - usage.ru_stime
        others = max(0.0, taken / (wall * (os.cpu_count() or 1)))
    unit = 1 if sys.platform == "darwin" else 1024
    return Cost(started, wall, usage.ru_maxrss * unit / 1e6, others)


def share_taken_by_others(seconds: float = 1.0) -> float:
    """The share of all processors in use while this process sleeps; 0 where it is unknown."""
    busy, started = _busy_seconds(), time.time()
    time.sleep(seconds)
    after = _busy_seconds()
    if busy is None or after is None:
        return 0.0
    return (after - busy) / ((time.time() - started) * (os.cpu_count() or 1))


def _busy_seconds() -> float | None:
    """Seconds for which processors were not idle since the machine started, added up over all."""
    try:
        first = Path("/proc/stat").read_text(encoding="utf-8").splitlines()[0]
    except OSError:
        return None
    user, nice, system, _idle, _waiting, interrupts, soft, stolen = map(int, first.split()[1:9])
    busy = user + nice + system + interrupts + soft + stolen
    return busy / os.sysconf("SC_CLK_TCK")
