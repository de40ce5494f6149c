"""Tables larger than the memory: the peak of an epoch, its pace and its waiting, beside peers.

A script writes a table of normal numbers, six places each, and two classes of a noisy sum of them,
as CSV and as Parquet; 20,000,000 rows of 30 columns are 5 GB of text. Each job is a whole process,
`gradus train TABLE --stream --epochs 1`: logistic regression (`--model linear`) and a net of
64-64, on rows that it prepares and on those that another run has.

Peaks are of memory that belongs to processes: `ru_maxrss` of the process, and the proportional set
size (Pss of /proc/PID/smaps_rollup) of its tree, looked at every quarter of a second. Pages of
files that the system keeps for those who read and write are none of either: files are read and
written by system calls, not mapped.

Peers take turns with the jobs: `pyarrow.csv.open_csv`, which alone reads the text and drops it, and
scikit-learn's `SGDClassifier` over chunks of `pandas.read_csv` or row groups of Parquet, each
scaled by what was seen so far, so that it reads the file once. A peer takes no part of the rows
out, and tests nothing.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from benchmarks.environments import TABLES
from benchmarks.markdown import describe_machine, markdown
from benchmarks.processes import Cost, run

COLUMNS = 30
KINDS = ("csv", "parquet")
MODELS = {"linear": ["--model", "linear"], "64-64": ["--hidden", "64,64"]}
LOOKS = 0.25
"""Seconds between two looks at the memory of the tree."""

WRITE = """
import sys
import numpy as np
import pyarrow as pa
import pyarrow.csv, pyarrow.parquet

rows, columns, folder = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
weights = 2 * np.random.default_rng(1).normal(size=columns) / columns**0.5
random = np.random.default_rng(0)
names = [f"x{at}" for at in range(columns)]
schema = pa.schema([*((name, pa.float64()) for name in names), ("y", pa.string())])
plain = pa.csv.WriteOptions(quoting_style="none", quoting_header="none")
with (
    pa.csv.CSVWriter(folder + "/table.csv", schema, write_options=plain) as text,
    pa.parquet.ParquetWriter(folder + "/table.parquet", schema) as packed,
):
    for begin in range(0, rows, 250_000):
        x = random.normal(size=(min(250_000, rows - begin), columns)).round(6)
        score = x @ weights + random.logistic(size=len(x))
        table = pa.table([*x.T, np.where(score > 0, "yes", "no")], schema=schema)
        text.write_table(table)
        packed.write_table(table)
"""
"""So many rows, a piece at a time: the first of a long table are those of a short one."""

PYARROW = """
import sys
import pyarrow.csv

print(sum(len(batch) for batch in pyarrow.csv.open_csv(sys.argv[1])))
"""

CHUNKS = """
import sys
import pandas
import pyarrow.parquet
from sklearn.linear_model import SGDClassifier
from sklearn.preprocessing import StandardScaler

path = sys.argv[1]
if path.endswith(".csv"):
    chunks = pandas.read_csv(path, chunksize=100_000)
else:
    packed = pyarrow.parquet.ParquetFile(path).iter_batches(100_000)
    chunks = (batch.to_pandas() for batch in packed)
scaler, model = StandardScaler(), SGDClassifier("log_loss")
for chunk in chunks:
    y = chunk.pop("y").to_numpy()
    x = chunk.to_numpy()
    model.partial_fit(scaler.partial_fit(x).transform(x), y, classes=["no", "yes"])
print(model.coef_)
"""
"""The least that a person writes for the same: one pass."""


@dataclass(frozen=True)
class Told:
    """What a job cost, and what its record says.

    Attributes:
        cost: of the process.
        tree: the most memory that its processes had together, in MB; 0 where none is told.
        waiting: of the time in which it trained, the share in which it waited for rows.
        trained: seconds in which it trained.
    """

    cost: Cost
    tree: float
    waiting: float
    trained: float


def train(path: Path, model: str, folder: Path, cache: list[str]) -> Told:
    """An epoch on a table, in a process of its own."""
    command = ["-m", "gradus", "train", str(path), "--target", "y", "--stream", *MODELS[model]]
    out = folder / "run"
    command += ["--epochs", "1", "--quiet", "--overwrite", "--out", str(out), *cache]
    with _peak_of_tree() as peaks:
        cost = run(command)
    timings = json.loads((out / "run.json").read_text(encoding="utf-8"))["timings"]
    trained = timings["train_seconds"]
    return Told(cost, max(peaks, default=0.0), timings["waiting_seconds"] / trained, trained)


def jobs(folder: Path, rows: int) -> list[list[str]]:
    """A line for each: peaks, times a row, and the share of waiting."""
    cache = ["--cache", str(folder / "cache")]
    found = []
    for kind in KINDS:
        path = folder / f"table.{kind}"
        for model, where in (("linear", kind), ("64-64", "rows prepared before")):
            if kind == "parquet" and model == "64-64":
                continue  # the rows are the same, whatever they were prepared from
            told = train(path, model, folder, cache)
            cost = told.cost
            found.append(
                [
                    f"{rows:,}",
                    where,
                    model,
                    f"{cost.peak:,.0f}",
                    f"{told.tree:,.0f}",
                    f"{1e6 * cost.wall / rows:.2f}",
                    f"{1e6 * cost.processor / rows:.2f}",
                    f"{told.trained:.1f}",
                    f"{100 * told.waiting:.1f} %",
                ]
            )
            _tell(" ".join(found[-1]))
    for kept in (folder / "cache").iterdir():
        kept.unlink()
    return found


def peers(folder: Path, kind: str, repeats: int) -> list[list[str]]:
    """Ours first and again, and the peers, in turn: medians, and ratios within a turn."""
    path = folder / f"table.{kind}"
    cache = ["--cache", str(folder / "cache")]
    turns: list[dict[str, Cost]] = []
    for turn in range(repeats):
        costs = {
            "gradus": train(path, "linear", folder, cache).cost,
            "gradus, rows prepared before": train(path, "linear", folder, cache).cost,
            "SGDClassifier over chunks": run(["-c", CHUNKS, str(path)], python=TABLES.python()),
        }
        if kind == "csv":
            costs["pyarrow alone"] = run(["-c", PYARROW, str(path)])
        for kept in (folder / "cache").iterdir():
            kept.unlink()
        turns.append(costs)
        told = ", ".join(f"{name} {cost.processor:.1f} s" for name, cost in costs.items())
        _tell(f"{kind}, turn {turn + 1}: {told}")
    lines = []
    for name in turns[0]:
        line = [kind, name]
        for what in ("wall", "processor"):
            own = [getattr(turn[name], what) for turn in turns]
            ratios = [
                getattr(turn["gradus"], what) / of for turn, of in zip(turns, own, strict=True)
            ]
            spread = f"{median(ratios):.2f} ({min(ratios):.2f}–{max(ratios):.2f})"
            line += [f"{median(own):.1f}", spread]
        lines.append([*line, f"{max(turn[name].peak for turn in turns):,.0f}"])
    return lines


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--rows",
        type=int,
        nargs="+",
        default=[500_000, 2_000_000],
        help="of the tables whose peaks are held against each other [default: 500,000 2,000,000]",
    )
    parser.add_argument("--beside", type=int, default=500_000, help="rows for the peers")
    parser.add_argument("--repeats", type=int, default=3, help="turns with the peers [default: 3]")
    parser.add_argument(
        "--folder", type=Path, help="where tables are kept for other runs, 11 GB of 20,000,000 rows"
    )
    given = parser.parse_args()
    print(describe_machine() + "\n")
    heads = ["rows", "from", "model", "peak MB", "tree MB", "µs a row", "processor µs a row"]
    found = [[*heads, "training, s", "waiting"]]
    for rows in given.rows:
        with _table(given.folder, rows) as folder:
            found += jobs(folder, rows)
    print(markdown(found), flush=True)
    if given.repeats:
        heads = ["file", "", "seconds", "gradus to it", "processor seconds", "gradus to it"]
        beside = [[*heads, "peak MB"]]
        with _table(given.folder, given.beside) as folder:
            for kind in KINDS:
                beside += peers(folder, kind, given.repeats)
        print(f"\n{given.beside:,} rows:\n\n{markdown(beside)}")


@contextmanager
def _table(place: Path | None, rows: int) -> Iterator[Path]:
    """A folder with both files; it is gone behind the body unless there is a place to keep it."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) if place is None else place / str(rows)
        if not (folder / "written").exists():
            _tell(f"writing {rows:,} rows")
            folder.mkdir(parents=True, exist_ok=True)
            run(["-c", WRITE, str(rows), str(COLUMNS), str(folder)])
            (folder / "written").touch()
        yield folder


@contextmanager
def _peak_of_tree() -> Iterator[list[float]]:
    """Meanwhile, the memory of all processes below this one is looked at, in MB."""
    found: list[float] = []
    over = threading.Event()

    def look() -> None:
        while not over.wait(LOOKS):
            found.append(sum(map(_proportional, _below(Path("/proc/self")))) / 1e3)

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    try:
        yield found
    finally:
        over.set()
        thread.join()


def _below(process: Path) -> Iterator[Path]:
    for task in process.glob("task/*/children"):
        try:
            children = task.read_text().split()
        except OSError:
            continue
        for child in children:
            yield Path("/proc", child)
            yield from _below(Path("/proc", child))


def _proportional(process: Path) -> float:
    """Kilobytes: pages that several share count by their shares. 0 of a process that is over."""
    try:
        lines = (process / "smaps_rollup").read_text().splitlines()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) * 1.024 for line in lines if line.startswith("Pss:")), 0.0)


def _tell(message: str) -> None:
    print(message, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
