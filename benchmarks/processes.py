"""What a process costs, seen from outside: seconds from its start, and its peak memory."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

THIS = sys.executable


class ProcessFailedError(Exception):
    """A process ended with an error; the message is the last line that it wrote."""


@dataclass(frozen=True)
class Cost:
    """What one process cost.

    Attributes:
        started: when the process was started, in seconds since the epoch.
        wall: seconds from then to its end.
        processor: seconds of user and system time, of its children too that it waited for.
        peak: the most memory it held, in MB (10^6 bytes).
        others: the share of all processors that others took meanwhile, other machines on the same
            hardware included; None where the system keeps no such account.
    """

    started: float
    wall: float
    processor: float
    peak: float
    others: float | None


def run(
    arguments: Sequence[str],
    *,
    python: str = THIS,
    variables: Mapping[str, str] | None = None,
) -> Cost:
    """Run Python with these arguments, by itself, and wait for it.

    Args:
        arguments: of the interpreter.
        python: the interpreter, this one by default.
        variables: of the environment, beside those of this process.

    Raises:
        ProcessFailedError: it ended with another code than 0.
    """
    return run_together([arguments], python=python, variables=variables)[0]


def run_together(
    commands: Sequence[Sequence[str]],
    *,
    python: str = THIS,
    variables: Mapping[str, str] | None = None,
) -> list[Cost]:
    """Run several at once, as ``run`` does one, and wait for all; none of them is another's other.

    A peak is ``ru_maxrss`` of that one child, from the system's accounts. It counts what the
    child shared with its parent before it became a program of its own: keep the parent small.

    Raises:
        ProcessFailedError: one ended with another code than 0.
    """
    with contextlib.ExitStack() as stack:
        told = [stack.enter_context(tempfile.TemporaryFile()) for _ in commands]
        busy, began = _busy_seconds(), time.time()
        started: list[float] = []
        processes: list[subprocess.Popen[bytes]] = []
        ended: dict[int, tuple[float, int, Any]] = {}
        try:
            for arguments, file in zip(commands, told, strict=True):
                started.append(time.time())
                processes.append(
                    subprocess.Popen(
                        [python, *arguments],
                        stdout=subprocess.DEVNULL,
                        stderr=file,
                        env={**os.environ, **(variables or {})},
                    )
                )
            while len(ended) < len(processes):
                identity, status, usage = os.wait4(-1, 0)
                ended[identity] = time.time(), status, usage
        except BaseException:
            for process in processes:
                if process.pid not in ended:
                    process.kill()
                    process.wait()
            raise
        whole, after = time.time() - began, _busy_seconds()
        for process, file in zip(processes, told, strict=True):
            process.returncode = os.waitstatus_to_exitcode(ended[process.pid][1])
            if process.returncode:
                file.seek(0)
                lines = file.read().decode(errors="replace").strip().splitlines()
                raise ProcessFailedError(lines[-1] if lines else f"exit code {process.returncode}")
    others = None
    if busy is not None and after is not None:
        own = sum(usage.ru_utime + usage.ru_stime for _, _, usage in ended.values())
        others = max(0.0, (after - busy - own) / (whole * (os.cpu_count() or 1)))
    unit = 1 if sys.platform == "darwin" else 1024
    costs = []
    for process, since in zip(processes, started, strict=True):
        until, _, usage = ended[process.pid]
        processor = usage.ru_utime + usage.ru_stime
        costs.append(Cost(since, until - since, processor, usage.ru_maxrss * unit / 1e6, others))
    return costs


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
