"""What the machine can do at most: its sgemm rate, and the bandwidth of its caches."""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import torch

from gradus import kernels

TRIALS = 7
SECONDS = 0.1
"""Of a trial of bandwidth."""

CACHES = Path("/sys/devices/system/cpu/cpu0/cache")


def sgemm(threads: int, size: int = 2048, trials: int = TRIALS) -> float:
    """Floating-point operations a second of ``torch.mm`` on large matrices, the best of several."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    a, b, out = (torch.rand(size, size) for _ in range(3))
    torch.mm(a, b, out=out)
    least = float("inf")
    for _ in range(trials):
        began = time.perf_counter()
        torch.mm(a, b, out=out)
        least = min(least, time.perf_counter() - began)
    torch.set_num_threads(before)
    return 2 * size**3 / least


def stream(size: int, threads: int) -> float:
    """Bytes a second of a kernel that reads two arrays and writes a third, the best of several.

    The kernel is that of the native core where there is one, which knows no overhead; else
    ``torch.add``, whose calls cost about a microsecond.

    Args:
        size: bytes of the three arrays together.
        threads: that share the arrays.
    """
    if (core := kernels.core()) is not None:
        return max(float(core.stream(kernels.variant(), size, threads)) for _ in range(TRIALS))
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    a, b, c = (torch.rand(size // 12) for _ in range(3))
    best = 0.0
    for _ in range(TRIALS):
        began, times, taken = time.perf_counter(), 0, 0.0
        while taken < SECONDS:
            for _ in range(16):
                torch.add(b, c, alpha=0.5, out=a)
            times, taken = times + 16, time.perf_counter() - began
        best = max(best, 12 * len(a) * times / taken)
    torch.set_num_threads(before)
    return best


def cache_sizes() -> dict[str, int]:
    """Bytes of the core's own L2 and of the last level, typical ones where it is not told."""
    sizes = {"L2": 2**20, "last level": 2**25}
    highest = 2
    for index in sorted(CACHES.glob("index*")):
        level = int((index / "level").read_text())
        size = int((index / "size").read_text().strip().removesuffix("K")) * 1024
        if level == 2:
            sizes["L2"] = size
        if level > highest:
            highest, sizes["last level"] = level, size
    return sizes


def working_sets(threads: int) -> dict[str, int]:
    """By where it lies, how many bytes are streamed: half of every L2, a quarter of the last."""
    sizes = cache_sizes()
    return {
        "L2": sizes["L2"] // 2 * threads,
        "last level": sizes["last level"] // 4,
        "memory": 4 * sizes["last level"],
    }


def main() -> None:
    """``python -m benchmarks.limits RESULT``: the sgemm rate of all threads, as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("result", type=Path)
    given = parser.parse_args()
    rate = sgemm(torch.get_num_threads())
    given.result.write_text(json.dumps({"sgemm": rate}), encoding="utf-8")


if __name__ == "__main__":
    main()
