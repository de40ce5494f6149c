"""A million rows through one epoch of a linear model, beside scikit-learn's behind pandas.

Each is a whole process that reads the file, holds 30 % of its rows back, brings columns to scale,
takes one pass of stochastic gradients over the others, and says how often it is right about rows
that were held back: `gradus train FILE --target y --model linear --epochs 1`, and `SGDClassifier`
of scikit-learn behind `StandardScaler` and `pandas.read_csv` or `read_parquet`, in the environment
of the benchmark of tables. They run in turn; medians are printed, and of ratios within a turn.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median

from benchmarks.environments import TABLES
from benchmarks.markdown import describe_machine, markdown
from benchmarks.processes import Cost, run

KINDS = ("csv", "parquet")
OURS, THEIRS = "gradus", "scikit-learn"
COLUMNS = 30

WRITE = """
import sys
import numpy as np
import pyarrow as pa
import pyarrow.csv, pyarrow.parquet

rows, columns, folder = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
random = np.random.default_rng(0)
x = random.normal(size=(rows, columns)).round(6)
score = x @ random.normal(size=columns) / columns**0.5 + 0.5 * random.normal(size=rows)
named = np.array(["low", "middle", "high"])[np.digitize(score, (-0.5, 0.5))]
table = pa.table({**{f"x{at}": x[:, at] for at in range(columns)}, "y": named})
plain = pyarrow.csv.WriteOptions(quoting_style="none", quoting_header="none")
pyarrow.csv.write_csv(table, folder + "/table.csv", plain)
pyarrow.parquet.write_table(table, folder + "/table.parquet")
"""
"""Numbers of six places, and three classes of a noisy sum of them."""

PEER = """
import sys
import pandas
from sklearn.linear_model import SGDClassifier
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

path = sys.argv[1]
frame = pandas.read_csv(path) if path.endswith(".csv") else pandas.read_parquet(path)
y = frame.pop("y")
x, held, y, told = train_test_split(frame, y, test_size=0.3, random_state=0)
del frame
model = make_pipeline(StandardScaler(), SGDClassifier("log_loss", max_iter=1, tol=None))
model.fit(x, y)
print(f"accuracy {model.score(held, told):.4f}")
"""
"""The least that a person writes for the same."""


def ours(path: Path, out: Path) -> list[str]:
    """The command, less the interpreter."""
    command = ["-m", "gradus", "train", str(path), "--target", "y", "--model", "linear"]
    return [*command, "--epochs", "1", "--quiet", "--overwrite", "--out", str(out)]


def turns(folder: Path, kind: str, repeats: int) -> list[dict[str, Cost]]:
    """Both, one after the other, so many times; a first time fills the caches of files."""
    path = folder / f"table.{kind}"
    everything = []
    for turn in range(repeats + 1):
        costs = {
            OURS: run(ours(path, folder / "run")),
            THEIRS: run(["-c", PEER, str(path)], python=TABLES.python()),
        }
        if turn:
            everything.append(costs)
            told = ", ".join(f"{name} {cost.wall:.1f} s" for name, cost in costs.items())
            _tell(f"{kind}, turn {turn}: {told}")
    return everything


def rows(everything: Mapping[str, Sequence[Mapping[str, Cost]]]) -> list[list[str]]:
    """A table: of each kind of file, what both take, and the ratio within a turn."""
    table = [["file", "", *(f"{name}" for name in (OURS, THEIRS)), "ratio"]]
    for kind, costs in everything.items():
        for what, label, form in (
            ("wall", "seconds", "{:.1f}"),
            ("processor", "processor seconds", "{:.1f}"),
            ("peak", "peak MB", "{:,.0f}"),
        ):
            both = [[getattr(turn[name], what) for turn in costs] for name in (OURS, THEIRS)]
            ratios = [mine / other for mine, other in zip(*both, strict=True)]
            spread = f"{median(ratios):.2f} ({min(ratios):.2f}–{max(ratios):.2f})"
            table.append([kind, label, *(form.format(median(each)) for each in both), spread])
    return table


def main() -> None:
    """Print the table, and how right both are."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000, help="[default: 1,000,000]")
    parser.add_argument("--repeats", type=int, default=5, help="turns that count [default: 5]")
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=KINDS, help="of files")
    given = parser.parse_args()
    print(describe_machine() + "\n")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        run(["-c", WRITE, str(given.rows), str(COLUMNS), name])  # this process stays small
        everything = {kind: turns(folder, kind, given.repeats) for kind in given.kinds}
        record = json.loads((folder / "run" / "run.json").read_text(encoding="utf-8"))
    print(markdown(rows(everything)))
    print(f"\ntest accuracy of {OURS}: {record['final']['test_accuracy']:.4f}")


def _tell(message: str) -> None:
    print(message, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
