"""What a map along the boundary misses of the whole lattice, and at how many of its runs.

On each problem the map of `gradus.trainability_map` is held against that in which every point was
run. The boundary of either is the set of neighbours of which one trains and one is lost, as the
middles between them; its error is the distance, in cells, from such a middle of one map to the
nearest of the other, over both. Runs of a point are the same in both, so that what differs are the
points that the map took for what their neighbours are.

    python -m benchmarks.trainability                 64 × 64, all problems
    python -m benchmarks.trainability --size 256 --map-only   without the whole lattice
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

import gradus
from benchmarks.markdown import describe_machine, markdown

PROBLEMS: dict[str, dict[str, Any]] = {
    "digits, 64-32-10, SGD: lr × momentum": {
        "hidden": "32", "x_range": "1e-3:100", "y_range": "0:0.99",
    },
    "digits, linear, Nesterov: lr × beta": {
        "model": "linear", "method": "nesterov", "y": "beta", "x_range": "1e-3:100",
        "y_range": "0:0.99", "batch_size": 64, "steps": 46,
    },
    "digits, 64-32-10, SGD: lr × batch size": {
        "hidden": "32", "y": "batch-size", "x_range": "1e-3:100", "y_range": "log:16:1024",
        "epochs": 2,
    },
}  # fmt: skip

Numbers = NDArray[np.float64]


def boundary(lost: NDArray[np.bool_]) -> Numbers:
    """``[m, 2]``: the middles between neighbours of which one trains and one is lost, in cells."""
    along, up = lost[:, :-1] != lost[:, 1:], lost[:-1] != lost[1:]
    middles = [
        np.add(np.argwhere(apart), half) for apart, half in ((along, (0, 0.5)), (up, (0.5, 0)))
    ]
    return np.concatenate(middles)


def errors(found: NDArray[np.bool_], whole: NDArray[np.bool_]) -> Numbers:
    """The distance of every place of either boundary from the other."""
    one, other = boundary(found), boundary(whole)
    return np.concatenate([cKDTree(other).query(one)[0], cKDTree(one).query(other)[0]])


def cpu_seconds() -> float:
    """Of this process and of its workers that have ended."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


def measured(name: str, size: int, kept: Path, *, map_only: bool) -> list[str]:
    """The row of a problem."""
    asked = {**PROBLEMS[name], "size": size, "out": kept / f"{len(os.listdir(kept))}"}
    before = cpu_seconds()
    found = gradus.trainability_map("digits", **asked)
    spent = cpu_seconds() - before
    row = [
        name,
        f"{found.runs:,}",
        f"{found.runs / found.lost.size:.1%}",
        f"{found.lost.mean():.1%}",
        "" if found.auc is None else f"{found.auc:.3f}",
        f"{found.seconds:.0f}",
        f"{spent:.0f}",
    ]
    if map_only:
        return row
    whole = gradus.trainability_map("digits", full=True, **asked)
    distances = errors(found.lost, whole.lost)
    return [
        *row,
        f"{(found.lost != whole.lost).mean():.2%}",
        f"{distances.mean():.2f}",
        f"{np.quantile(distances, 0.95):.2f}",
        f"{distances.max():.1f}",
    ]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--map-only", action="store_true")
    parser.add_argument("--problem", type=int, choices=range(len(PROBLEMS)))
    given = parser.parse_args()
    header = ["problem", "runs", "of the grid", "lost", "AUC", "s", "CPU s"]
    if not given.map_only:
        header += ["points wrong", "error: mean", "95 %", "largest"]
    names = list(PROBLEMS)
    names = names if given.problem is None else [names[given.problem]]
    kept = Path(tempfile.mkdtemp(prefix="gradus-maps-"))
    rows = [measured(name, given.size, kept, map_only=given.map_only) for name in names]
    shutil.rmtree(kept)
    print(describe_machine())
    print(markdown([header, *rows]))


if __name__ == "__main__":
    main()
