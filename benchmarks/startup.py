"""What it costs to start: commands and fits of few epochs, beside ``import torch`` alone."""

from __future__ import annotations

import argparse
import re
import subprocess
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median

from benchmarks.markdown import describe_machine, markdown
from benchmarks.processes import THIS, Cost, run

TORCH = "import torch"
DATA = "from sklearn.datasets import load_digits; X, y = load_digits(return_X_y=True); "
FIT = (
    DATA + "from gradus.sklearn import GradusClassifier; "
    "GradusClassifier(models=1, epochs=5, random_state=0).fit(X, y)"
)
OF_SCIKIT_LEARN = (
    DATA + "from sklearn.neural_network import MLPClassifier; "
    "MLPClassifier((256,), max_iter=5, random_state=0).fit(X, y)"
)
ONE_THREAD = {"OMP_NUM_THREADS": "1"}
SELF_TIME = re.compile(r"import time:\s+(\d+) \|\s+\d+ \|\s+([\w]+)")


def commands(out: Path) -> dict[str, Sequence[str]]:
    """What is measured, by name; the record goes to a folder."""
    digits = ["-m", "gradus", "train", "digits", "--epochs", "1", "--overwrite", "--out", str(out)]
    return {
        TORCH: ["-c", TORCH],
        "gradus train digits --epochs 1": digits,
        "gradus train --help": ["-m", "gradus", "train", "--help"],
        "gradus --help": ["-m", "gradus", "--help"],
        "GradusClassifier.fit, 5 epochs of digits": ["-c", FIT],
        "the same after import torch": ["-c", f"{TORCH}; {FIT}"],
        "MLPClassifier.fit, likewise": ["-W", "ignore", "-c", OF_SCIKIT_LEARN],
    }


def turns(measured: Mapping[str, Sequence[str]], repeats: int) -> list[dict[str, Cost]]:
    """All of them, one after another, so many times; a first time fills the caches of files."""
    everything = []
    for turn in range(repeats + 1):
        costs = {name: run(arguments, variables=ONE_THREAD) for name, arguments in measured.items()}
        if turn:
            everything.append(costs)
    return everything


def rows(everything: Sequence[Mapping[str, Cost]]) -> list[list[str]]:
    """A table: seconds, their ratio to ``import torch`` within a turn (its range), and memory."""
    ratio = "× import torch"
    table = [["command", "user + system, s", ratio, "wall, s", ratio, "peak, MB"]]
    for name in everything[0]:
        row = [name]
        for kind in ("processor", "wall"):
            seconds = [getattr(costs[name], kind) for costs in everything]
            ratios = [getattr(c[name], kind) / getattr(c[TORCH], kind) for c in everything]
            row += [
                f"{median(seconds):.2f}",
                f"{median(ratios):.2f} ({min(ratios):.2f}–{max(ratios):.2f})",
            ]
        table.append([*row, f"{median(costs[name].peak for costs in everything):.0f}"])
    return table


def imported(arguments: Sequence[str], most: int = 15) -> list[list[str]]:
    """A table of the packages whose own modules took longest to import, by ``-X importtime``."""
    told = subprocess.run(
        [THIS, "-X", "importtime", *arguments], capture_output=True, text=True, check=True
    ).stderr
    seconds: Counter[str] = Counter()
    for microseconds, package in SELF_TIME.findall(told):
        seconds[package] += int(microseconds)
    longest = [[package, f"{spent / 1e3:.0f}"] for package, spent in seconds.most_common(most)]
    return [["package", "ms in its own modules"], *longest]


def main() -> None:
    """Print the table; with ``--imports``, what the run of one epoch imports too."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=5, help="turns that count [default: 5]")
    parser.add_argument("--imports", action="store_true", help="say which packages take longest")
    given = parser.parse_args()
    print(describe_machine() + "\n")
    with tempfile.TemporaryDirectory() as folder:
        measured = commands(Path(folder) / "run")
        print(markdown(rows(turns(measured, given.repeats))))
        if given.imports:
            print("\n" + markdown(imported(measured["gradus train digits --epochs 1"])))


if __name__ == "__main__":
    main()
