"""What the workers of a sweep hold, and how soon they are ready: forked, and started by themselves.

    python -m benchmarks.workers --workers 2,4,8

Each worker trains on the digits 64-512-512-10 while it is measured. PSS counts what a process holds
alone, and of what is shared its share; "own" is what would be free without it.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

from benchmarks.markdown import describe_machine, markdown
from gradus.runs.spec import RunSpec, run_id
from gradus.sweep.backlog import WorkItem
from gradus.sweep.fork_server import ForkServer
from gradus.sweep.messages import Heartbeat, Ready
from gradus.sweep.split_cache import SplitCache
from gradus.sweep.worker_process import WorkerProcess, start_worker

SPEC = RunSpec(hidden=(512, 512), epochs=100_000, engine="native")


def memory(pid: int) -> tuple[float, float]:
    """PSS, and what a process holds alone, in MB (10^6 bytes)."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="utf-8").splitlines()[1:]
    told = {line.split()[0]: int(line.split()[1]) * 1024 / 1e6 for line in lines}
    return told["Pss:"], told["Private_Dirty:"] + told["Private_Clean:"]


def measured(count: int, *, forked: bool) -> list[str]:
    """A row: so many workers, what they hold and when the last was ready."""
    splits = SplitCache(None)
    split = splits.get(SPEC)
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        server = ForkServer() if forked else None
        workers = [start_worker(Path(folder), server) for _ in range(count)]
        for number, worker in enumerate(workers):
            _wait(worker, Ready)
            spec = SPEC.model_copy(update={"seed": number})
            worker.send([WorkItem(run_id(spec), spec, spec)], [split], [0])
        ready = time.perf_counter() - began
        for worker in workers:
            _wait(worker, Heartbeat)
            _wait(worker, Heartbeat)
        found = [memory(int(worker.process.pid or 0)) for worker in workers]
        pss, own = (sum(each) for each in zip(*found, strict=True))
        of_server = 0.0 if server is None else memory(server.pid)[0]
        for worker in workers:
            worker.connection.close()
            worker.process.wait()
        if server is not None:
            server.close()
    splits.close()
    return [
        str(count), "forked" if forked else "by itself", f"{pss / count:.0f}",
        f"{own / count:.0f}", f"{of_server:.0f}", f"{pss + of_server:.0f}", f"{ready:.1f} s",
    ]  # fmt: skip


def _wait(worker: WorkerProcess, kind: type) -> None:
    """Listen until a message of this kind has arrived."""
    while not isinstance(worker.connection.recv(), kind):
        pass


def main() -> None:
    """Measure each number of workers in both ways, in turn."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--workers", default="2,4,8")
    counts = [int(each) for each in parser.parse_args().workers.split(",")]
    head = ["workers", "started", "PSS of one, MB", "own, MB", "server's PSS, MB",
            "all of it, MB", "last one ready after"]  # fmt: skip
    rows = [measured(count, forked=forked) for count in counts for forked in (False, True)]
    print(f"{describe_machine()}\n\n{markdown([head, *rows])}")


if __name__ == "__main__":
    main()
