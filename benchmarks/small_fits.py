"""Where the time of fitting a small net goes, beside what the processor multiplies at best.

One thread. The steps are timed by the core itself, phase by phase, in fits that are repeated; the
least of each counts, since others on the machine take time and give none. `least` is what the
multiplications of a phase take at the highest rate that `torch.mm` reaches on square matrices, of
as many columns as there are: not of those that fill up a vector.
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from threadpoolctl import threadpool_limits

from benchmarks.estimators import Case, by_gradus, by_scikit_learn
from benchmarks.markdown import describe_machine, markdown
from benchmarks.reference import positive
from gradus.engine import plain

PHASES = ("load", "forward", "loss", "input_gradient", "update")


def cases(n: int) -> list[Case]:
    """Nets whose steps are short; of the table so many rows."""
    random = np.random.default_rng(0)
    digits, labels = load_digits(return_X_y=True)
    digits = (digits / 16).astype(np.float32)
    table = random.normal(size=(n, 30)).astype(np.float32)
    sides = (table @ random.normal(size=30) > 0).astype(int)
    return [
        Case("digits", digits, labels, (32,), "adam", 0.001, 200, 20),
        Case("digits", digits, labels, (100,), "adam", 0.001, 200, 20),
        Case("table", table, sides, (100,), "adam", 0.001, 200, 2),
    ]


def least(call: Callable[[], Any], times: int) -> float:
    """Processor seconds, the least of several calls."""
    found = np.inf
    for _ in range(times):
        started = time.process_time()
        call()
        found = min(found, time.process_time() - started)
    return found


def rate() -> float:
    """Multiplications a second at best."""
    n = 512
    a, b, c = (torch.rand(n, n) for _ in range(3))
    return float(n**3 / least(lambda: torch.mm(a, b, out=c), 100))


def multiplications(case: Case) -> dict[str, int]:
    """Of all steps, by phase."""
    widths = (case.X.shape[1], *case.hidden, int(case.y.max()) + 1)
    layers = [before * after for before, after in pairwise(widths)]
    examples = case.epochs * len(case.y)
    return {
        "forward": examples * sum(layers),
        "input_gradient": examples * sum(layers[1:]),
        "update": examples * sum(layers),
    }


def steps_of(case: Case, repeats: int) -> tuple[float, dict[str, float]]:
    """Processor seconds of a fit, and what the core tells of its steps, the least of each."""
    networks: list[Any] = []
    begin = plain._Execution.begin

    def begun(self: Any, network: Any) -> None:
        networks.append(network)
        begin(self, network)

    plain._Execution.begin = begun  # type: ignore[method-assign]
    try:
        whole = least(lambda: by_gradus(case).fit(case.X, case.y), repeats)
    finally:
        plain._Execution.begin = begin  # type: ignore[method-assign]
    told = [network.timings() for network in networks]
    return whole, {phase: min(each[phase] for each in told) for phase in PHASES}


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.small_fits",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--repeats", type=positive, default=20, metavar="R", help="fits")
    parser.add_argument(
        "--rows", type=positive, default=20_000, metavar="N", help="of the table  [%(default)s]"
    )
    given = parser.parse_args()
    repeats = given.repeats
    warnings.simplefilter("ignore", ConvergenceWarning)
    torch.set_num_threads(1)
    rows = [["data", "rows", "widths", "fit, ms", "scikit-learn", *PHASES, "the rest"]]
    with threadpool_limits(1):
        by_second = rate()
        for case in cases(given.rows):
            whole, seconds = steps_of(case, repeats)
            theirs = least(partial(by_scikit_learn(case).fit, case.X, case.y), max(3, repeats // 4))
            of_phases = multiplications(case)
            cells = []
            for phase in PHASES:
                cell = f"{1e3 * seconds[phase]:.2f}"
                if phase in of_phases:
                    cell += f" ({1e3 * of_phases[phase] / by_second:.2f})"
                cells.append(cell)
            widths = "-".join(map(str, (case.X.shape[1], *case.hidden)))
            rest = whole - sum(seconds.values())
            name = [
                case.name,
                f"{len(case.y):,}",
                widths,
                f"{1e3 * whole:.1f}",
                f"{theirs / whole:.1f}×",
            ]
            rows.append([*name, *cells, f"{1e3 * rest:.2f}"])
    print(f"{describe_machine()}; {by_second / 1e9:.1f}e9 multiplications a second at best")
    print(f"\n{markdown(rows)}")


if __name__ == "__main__":
    main()
