"""What a store of many runs costs: bytes a run, seconds to open, to compare and to report.

    python -m benchmarks.many_runs --runs 100000

makes up that many runs (a random search over five options with ten seeds each, losses that follow
from the options and noise, of which some diverge), keeps them through the store of a sweep in parts
as a long sweep does, and then runs `gradus compare` and `gradus report` on it, each as a process.
"""

from __future__ import annotations

import argparse
import multiprocessing
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np

from benchmarks.markdown import describe_machine, markdown
from benchmarks.processes import run
from gradus.engine.job import Divergence
from gradus.runs.files import write_whole
from gradus.runs.spec import RunSpec, run_id
from gradus.sweep.result import Result
from gradus.sweep.space import runs_of
from gradus.sweep.specification import SweepSpec
from gradus.sweep.store import Store
from gradus.sweep.toml_file import to_toml

COMMIT = 5_000
"""Runs that are kept at once."""

EPOCHS, ROWS = 3, 50
"""Of every run: rows of its evaluation, and of its history."""


def spec_of(runs: int, seeds: int = 10) -> SweepSpec:
    """A random search with so many runs."""
    return SweepSpec(
        base={"epochs": EPOCHS, "penalty": "squared-l2"},
        vary={
            "lr": "log:1e-4:10",
            "momentum": "lin:0:0.95",
            "batch_size": "16,32,64,128",
            "strength": "log:1e-6:1e-2",
            "hidden": "32;64",
        },
        search="random",
        trials=runs // seeds,
        seeds=seeds,
    )


def made_up(spec: RunSpec, random: np.random.Generator) -> Result:
    """What may have become of a run: the loss follows from its options, its seed and noise."""
    lr, momentum, examples = float(spec.lr or 0), float(spec.momentum or 0), 1200
    rate = lr / (1 - momentum)
    x = np.linspace(1, EPOCHS * examples, ROWS).astype(np.int64)
    floor = 0.1 + 0.02 * (np.log10(rate) + 1) ** 2 + 0.01 * random.standard_normal()
    loss = floor + 2.2 * np.exp(-x * min(rate, 1.0) / 1500) * (1 + 0.1 * random.random(ROWS))
    diverged = rate > 8
    ends = np.searchsorted(x, examples * np.arange(1, EPOCHS + 1), side="right") - 1
    figures = loss[ends]
    nothing = np.full(EPOCHS, np.nan)
    evaluation = {
        "epoch": np.arange(1, EPOCHS + 1, dtype=np.int32), "samples": x[ends],
        "running_train_loss": figures, "train_loss": figures, "validation_loss": figures + 0.01,
        "validation_accuracy": np.exp(-figures), "test_loss": nothing, "test_accuracy": nothing,
    }  # fmt: skip
    history = {
        "step": x // 16, "samples": x, "epoch": (1 + x // (examples + 1)).astype(np.int32),
        "loss": loss, "lr": np.full(ROWS, lr), "work": x,
    }  # fmt: skip
    if diverged:
        evaluation = {name: column[:0] for name, column in evaluation.items()}
    return Result(
        run=run_id(spec),
        spec=spec,
        resolved=spec.model_copy(update={"loss": "cross-entropy"}),
        status="diverged" if diverged else "finished",
        engine="native",
        kernels="avx2",
        steps=225,
        samples=int(x[-1]),
        work=int(x[-1]),
        train_seconds=0.01 + 0.001 * float(random.random()),
        history=history,
        evaluation=evaluation,
        constant_train_loss=2.3,
        kept_epoch=None if diverged else EPOCHS,
        test=None
        if diverged
        else {"loss": figures[-1], "accuracy": np.exp(-figures[-1]), "standard_error": 0.01,
              "examples": 360},
        divergence=Divergence(3, 48, 1, float("inf"), 1e30, lr) if diverged else None,
    )  # fmt: skip


def store_of(folder: Path, runs: int) -> float:
    """A store with so many runs; seconds that the last commit of one run took."""
    spec = spec_of(runs)
    write_whole(folder / "sweep.toml", to_toml(spec).encode())
    store, random = Store(folder), np.random.default_rng(0)
    specs = runs_of(spec)
    for first in range(0, runs - 1, COMMIT):
        some = specs[first : min(first + COMMIT, runs - 1)]
        store.add([made_up(each, random) for each in some])
    last = made_up(specs[-1], random)
    began = time.perf_counter()
    store.add([last])
    return time.perf_counter() - began


def size_of(folder: Path) -> int:
    """Bytes of all files in a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def main() -> None:
    """Make the store up and measure what reads it."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--runs", type=int, default=100_000)
    parser.add_argument("--folder", type=Path, help="where the store is kept; it may be there")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as passing:
        folder = (given.folder or Path(passing)) / f"runs-{given.runs}"
        rows = [["what", "figure"]]
        if not (folder / "runs.parquet").exists():
            folder.mkdir(parents=True)
            # Of its own: a large parent would count as the peak of what it starts.
            with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as other:
                seconds = other.submit(store_of, folder, given.runs).result()
            rows.append(["a commit of one run more", f"{seconds:.2f} s"])
        kinds = {kind: size_of(folder / kind) for kind in ("history", "evaluation")}
        kinds["runs.parquet"] = (folder / "runs.parquet").stat().st_size
        told = ", ".join(f"{kind} {size / given.runs:,.0f}" for kind, size in kinds.items())
        rows.append(["bytes a run", f"{sum(kinds.values()) / given.runs:,.0f} ({told})"])
        commands = {
            "nothing (`import gradus.sweep.sweep`)": ["-c", "import gradus.sweep.sweep"],
            "`open_sweep`, its rows alone": [
                "-c", "import sys, gradus; gradus.open_sweep(sys.argv[1]).runs", str(folder)],
            "`gradus sweep --resume`, which reads all": [
                "-c", "import sys; from pathlib import Path; from gradus.sweep.store import Store; "
                "Store(Path(sys.argv[1]))", str(folder)],
            "`gradus compare`": ["-m", "gradus", "compare", str(folder)],
            "`gradus report`": [
                "-m", "gradus", "report", str(folder), "--out", str(Path(passing) / "report.html")],
        }  # fmt: skip
        for what, command in commands.items():
            cost = run(command)
            spent = f"{cost.wall:.1f} s, {cost.processor:.1f} s of a processor"
            rows.append([what, f"{spent}; peak {cost.peak:,.0f} MB"])
        report = (Path(passing) / "report.html").stat().st_size
        rows.append(["the report", f"{report / 1e6:.1f} MB"])
    print(f"{given.runs:,} runs of {ROWS} rows; {describe_machine()}\n\n{markdown(rows)}")


if __name__ == "__main__":
    main()
