"""How long a sweep takes: the lecture's runs beside its peers, a thousand tiny runs, a full store.

The lecture has 16 curves, of which three are the same run as another: Gradus trains 13 runs, side
by side, one on each processor. Its peers train 16, one after another on all processors, as scripts
do: ``plain`` the plain PyTorch script as often, ``jax`` in a loop in one process, the data on the
device once. Beside the whole, what the 13 distinct runs alone took them is compared. Times are of
whole processes, from their start to their end.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from benchmarks import processes
from benchmarks.environments import JAX, NotInstalledError
from benchmarks.markdown import describe_machine, markdown
from benchmarks.reference import add_data_dir, positive, refuse

LECTURE = Path("examples/lecture.toml")
FASTER_THAN = {"plain": 20.0, "jax": 2.5}
CONTENDERS = ("gradus", "jax", "plain")

TINY, TINY_SECONDS, BOOKKEEPING_MS = 1000, 10.0, 2.0
RUNS, POINTS, OPENING_SECONDS = 10_000, 500, 1.0


@dataclass(frozen=True)
class Run:
    """One of the runs of the lecture, as peers take it."""

    method: str
    batch_size: int
    lr: float
    momentum: float


@dataclass(frozen=True)
class Cost:
    """What a contender needed, seconds: for all curves, and for the distinct runs of them."""

    whole: float
    distinct: float


def curves() -> list[Run]:
    """The 16 curves of the lecture, in its order."""
    sgd, adam = Run("sgd", 16, 0.001, 0.5), Run("adam", 16, 0.001, 0.0)
    return [
        *(Run("sgd", size, sgd.lr, sgd.momentum) for size in (16, 64, 256)),
        *(Run("sgd", 16, lr, sgd.momentum) for lr in (10.0, 0.1, 0.001)),
        *(Run("sgd", 16, sgd.lr, momentum) for momentum in (0.0, 0.5, 0.9)),
        *(Run("adam", size, adam.lr, 0.0) for size in (16, 64, 256)),
        *(Run("adam", 16, lr, 0.0) for lr in (0.1, 0.01, 0.001, 0.00001)),
    ]


def by_gradus(data_dir: Path, epochs: int, scratch: Path) -> Cost:
    """One process, with its workers."""
    out = scratch / "sweeps"
    arguments = [
        "-m",
        "gradus",
        "sweep",
        str(LECTURE),
        "--quiet",
        "--name",
        f"lecture-{time.time_ns()}",
    ]
    cost = processes.run(
        [*arguments, f"--epochs={epochs}", f"--data-dir={data_dir}", f"--out={out}"]
    )
    return Cost(cost.wall, cost.wall)


def by_plain(data_dir: Path, epochs: int, scratch: Path) -> Cost:
    """A process a curve."""
    seconds: dict[Run, float] = {}
    whole = 0.0
    for run in curves():
        arguments = [str(scratch / "plain.json"), "plain", str(data_dir), run.method]
        arguments += [
            str(run.batch_size),
            str(epochs),
            f"--lr={run.lr}",
            f"--momentum={run.momentum}",
        ]
        wall = processes.run(["-m", "benchmarks.peers", *arguments]).wall
        whole += wall
        seconds[run] = wall
        _tell(f"plain  {run}  {wall:.1f} s")
    return Cost(whole, sum(seconds.values()))


def by_jax(data_dir: Path, epochs: int, scratch: Path) -> Cost:
    """A loop in one process."""
    initial, result = scratch / "initial.npz", scratch / "jax.json"
    processes.run(["-m", "benchmarks.initial", str(initial)])
    runs = [f"{run.method},{run.batch_size},{run.lr},{run.momentum}" for run in curves()]
    arguments = [
        "-m",
        "benchmarks.jax_sweep",
        str(result),
        str(initial),
        str(data_dir),
        str(epochs),
    ]
    cost = processes.run([*arguments, *runs], python=JAX.python())
    told = json.loads(result.read_text(encoding="utf-8"))
    last = {run: one["seconds"] for run, one in zip(curves(), told, strict=True)}
    again = sum(one["seconds"] for one in told) - sum(last.values())
    return Cost(cost.wall, cost.wall - again)


BY = {"gradus": by_gradus, "plain": by_plain, "jax": by_jax}


def lecture(
    contenders: Sequence[str], data_dir: Path, epochs: int, turns: int, scratch: Path
) -> list[list[str]]:
    """The lecture by every contender: medians, and ratios within a turn."""
    measured: dict[str, list[Cost]] = {name: [] for name in contenders}
    for turn in range(1, turns + 1):
        for name in contenders:
            try:
                cost = BY[name](data_dir, epochs, scratch)
            except NotInstalledError as error:
                refuse(f"jax: {error}; leave it out of --contenders")
            measured[name].append(cost)
            _tell(f"turn {turn}  {name}  {cost.whole:.1f} s")
    rows = [["", *contenders, "to reach"]]
    figures: dict[str, Callable[[Cost], float]] = {
        "16 curves, s": lambda cost: cost.whole,
        "13 distinct runs, s": lambda cost: cost.distinct,
    }
    for said, of in figures.items():
        rows.append(
            [said, *(f"{statistics.median(map(of, measured[n])):.1f}" for n in contenders), ""]
        )
        if "gradus" not in contenders:
            continue
        cells, verdicts = [f"{said.rpartition(',')[0]}, × gradus"], []
        for name in contenders:
            pairs = zip(measured[name], measured["gradus"], strict=True)
            ratios = [of(one) / of(other) for one, other in pairs]
            cells.append(f"{statistics.median(ratios):.2f}")
            if name in FASTER_THAN and said.startswith("16"):
                reached = statistics.median(ratios) >= FASTER_THAN[name]
                verdicts.append(
                    f"{name} ≥ {FASTER_THAN[name]:g} {'reached' if reached else 'MISSED'}"
                )
        rows.append([*cells, "; ".join(verdicts)])
    return rows


def tiny(turns: int, scratch: Path) -> list[list[str]]:
    """A thousand runs of a linear model on the digits, one epoch each."""

    def sweep(rates: int, seeds: int) -> tuple[float, Path]:
        name = f"tiny-{time.time_ns()}"
        arguments = ["-m", "gradus", "sweep", "--model=linear", "--epochs=1", "--quiet"]
        arguments += [f"--lr=log:1e-3:1:{rates}", f"--seeds={seeds}", f"--name={name}"]
        cost = processes.run([*arguments, f"--out={scratch}"])
        return cost.wall, scratch / name

    walls, startups, training = [], [], []
    for turn in range(1, turns + 1):
        startup, _ = sweep(2, 1)
        wall, folder = sweep(TINY // 10, 10)
        walls.append(wall)
        startups.append(startup)
        training.append(_training_seconds(folder))
        _tell(f"turn {turn}  {TINY} tiny runs  {wall:.2f} s, of two {startup:.2f} s")
    wall, startup = statistics.median(walls), statistics.median(startups)
    of_run = 1000 * (wall - startup) / TINY
    return [
        ["measured", "", "to reach"],
        [
            f"{TINY:,} tiny runs, s",
            f"{wall:.2f}",
            f"≤ {TINY_SECONDS:g} {_verdict(wall <= TINY_SECONDS)}",
        ],
        ["two of them, s: what starting takes", f"{startup:.2f}", ""],
        [
            "a further run, ms: its training and its bookkeeping",
            f"{of_run:.2f}",
            f"≤ {BOOKKEEPING_MS:g} {_verdict(of_run <= BOOKKEEPING_MS)}",
        ],
        ["its training alone, ms of a processor", f"{1000 * statistics.median(training):.2f}", ""],
    ]


def _training_seconds(folder: Path) -> float:
    """The seconds that a run was trained, on average."""
    import pyarrow.parquet as pq

    column = pq.read_table(folder / "runs.parquet", columns=["train_seconds"])["train_seconds"]
    return float(column.to_numpy().mean())


def store(scratch: Path) -> list[list[str]]:
    """Opening and comparing a store of ten thousand runs, in a process that has imported it all."""
    from gradus.sweep.compare import ranking, sensitivity
    from gradus.sweep.importance import importance
    from gradus.sweep.sweep import open_sweep

    folder = scratch / "full"
    written = _fill(folder)
    _tell(f"{RUNS:,} runs × {POINTS} points written in {written:.1f} s")
    best: dict[str, float] = {}
    for _ in range(3):
        told: dict[str, float] = {}
        began = time.perf_counter()
        sweep = open_sweep(folder)
        told["opening"] = time.perf_counter() - began
        ranking(sweep)
        importance(sweep)
        sensitivity(sweep, "lr", "momentum")
        told["ranking, importance, sensitivity"] = time.perf_counter() - began - told["opening"]
        began_reading = time.perf_counter()
        rows = sweep.history.num_rows
        assert rows == RUNS * POINTS
        told[f"reading {rows:,} rows of history"] = time.perf_counter() - began_reading
        told["all of it"] = time.perf_counter() - began
        best = {name: min(seconds, best.get(name, seconds)) for name, seconds in told.items()}
    size = sum(path.stat().st_size for path in folder.rglob("*.parquet")) / 1e6
    verdict = f"≤ {OPENING_SECONDS:g} {_verdict(best['all of it'] <= OPENING_SECONDS)}"
    return [
        [f"{RUNS:,} runs × {POINTS} points, {size:.0f} MB", "s, best of 3", "to reach"],
        *([name, f"{seconds:.3f}", ""] for name, seconds in best.items() if name != "all of it"),
        ["all of it", f"{best['all of it']:.3f}", verdict],
    ]


def _fill(folder: Path) -> float:
    """Write a store of runs that nobody has trained; the seconds that the store took for it."""
    import numpy as np

    from gradus.engine.job import Evaluation, Outcome
    from gradus.runs.spec import RunSpec, run_id
    from gradus.sweep.result import result_of
    from gradus.sweep.specification import SweepSpec
    from gradus.sweep.store import Store
    from gradus.sweep.toml_file import to_toml

    rates = [float(f"{rate:.4g}") for rate in np.geomspace(1e-4, 1, 100)]
    spec = SweepSpec(vary={"lr": rates, "momentum": "lin:0:0.9:10"}, seeds=10)
    folder.mkdir()
    (folder / "sweep.toml").write_text(to_toml(spec), encoding="utf-8")
    kept, seconds = Store(folder), 0.0
    steps = np.arange(POINTS)
    random = np.random.default_rng(0)
    of_momentum = [(rate, momentum) for rate in rates for momentum in spec.vary["momentum"]]
    for rate, momentum in of_momentum:
        results = []
        for seed in range(10):
            run = RunSpec(
                lr=rate,
                momentum=momentum,
                seed=seed,
                validation_fraction=0.15,
                measure="validation-loss",
            )
            loss = 2.3 * np.exp(-steps * rate / 100) + 0.1 * random.random(POINTS)
            samples = 16 * POINTS
            outcome = Outcome(step=POINTS, samples=samples)
            outcome.evaluation.append(
                Evaluation(1, samples, loss[-1], loss[-1], loss[-1], 0.5, loss[-1], 0.5, samples)
            )
            result = result_of(
                run_id(run), run, outcome,
                resolved=run, status="finished", engine="native", kernels=None,
            )  # fmt: skip
            history: dict[str, Any] = {
                "step": steps, "samples": 16 * (steps + 1), "epoch": np.ones(POINTS, np.int32),
                "loss": loss, "lr": np.full(POINTS, rate), "work": 16 * (steps + 1),
            }  # fmt: skip
            results.append(replace(result, history=history))
        began = time.perf_counter()
        kept.add(results)
        seconds += time.perf_counter() - began
    return seconds


def _verdict(reached: bool) -> str:
    return "reached" if reached else "MISSED"


def _tell(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def main() -> None:
    """Measure, telling the progress on stderr, and print the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--epochs", type=positive, default=1, metavar="N", help="of each run (1)")
    parser.add_argument("--contenders", default=",".join(CONTENDERS), metavar="A,B,..")
    parser.add_argument("--repeats", type=positive, default=1, metavar="R", help="turns (1)")
    parser.add_argument(
        "--parts", default="lecture,tiny,store", metavar="A,B,..", help="what is measured"
    )
    add_data_dir(parser)
    given = parser.parse_args()
    parts, contenders = given.parts.split(","), given.contenders.split(",")
    for option, names, known in (
        ("--contenders", contenders, CONTENDERS), ("--parts", parts, ("lecture", "tiny", "store")),
    ):  # fmt: skip
        if wrong := [name for name in names if name not in known]:
            refuse(f"{option} {wrong[0]}: choose of {', '.join(known)}")
    print(f"{describe_machine()}\n")
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        try:
            if "lecture" in parts:
                table = lecture(contenders, given.data_dir, given.epochs, given.repeats, scratch)
                print(f"The lecture, {given.epochs} epoch(s) a run, {given.repeats} turn(s):\n")
                print(markdown(table) + "\n")
            if "tiny" in parts:
                print(markdown(tiny(given.repeats, scratch)) + "\n")
            if "store" in parts:
                print(markdown(store(scratch)))
        except processes.ProcessFailedError as error:
            refuse(str(error))
        except KeyboardInterrupt:
            refuse("interrupted")


if __name__ == "__main__":
    main()
