"""What `gradus tune` and `--lr auto` find, beside a grid, other searches, and methods without rate.

For each task of benchmarks/tune_tasks.py,

    ratio = validation loss of what was found / the best of a grid of 30 learning rates,

from 1e-5 to 10 in equal steps of the logarithm. The searches draw from the same range, which they
are given and `gradus tune` is not, and may train ten times; random search and Optuna's TPE do so
from three seeds. The lr-finder is the usual rule (Smith 2017, as libraries have it): a hundred
steps from 1e-8 to 1, smoothed, the steepest descent. D-Adaptation (Defazio, Mishchenko 2023) and
Prodigy (Mishchenko, Defazio 2024) train once, with their published defaults: the former in its form
of SGD or Adam, whichever is nearer to the method of the task. Rules and numbers of `gradus tune`
were chosen on the tasks of one half; the other half was looked at after.

The best of 30 noisy numbers is lucky, and two more figures say how much of a ratio that is.
`valley` knows the answer: the best of eight trainings at 1.1, 1.2, 1.3 and 1.5 times the best rate
of the grid and at as many parts of it. `again` is free of luck: the rate that was found and that of
the grid are trained under five seeds that chose neither, on the same parts of the data, and

    again = mean loss of the rate that was found / mean loss of the best rate of the grid,

where a run that is lost counts as the loss of the best constant prediction.

    pip install -r benchmarks/tune-requirements.txt
    python -m benchmarks.tune                 the held half, all contenders
    python -m benchmarks.tune --half build    the other one
"""

from __future__ import annotations

import argparse
import copy
import importlib
import json
import math
import random
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any, Literal

import numpy as np
import torch

import gradus
from benchmarks.markdown import describe_machine, markdown
from benchmarks.tune_tasks import TASKS
from gradus.engine import choose
from gradus.engine.job import Progress
from gradus.engine.selection import NOTHING_SELECTED
from gradus.engine.snapshot import Course
from gradus.errors import InputError
from gradus.runs.job import load_for, prepare
from gradus.runs.learning_rate.range_test import Growing
from gradus.runs.spec import RunSpec
from gradus.tuning.alternatives import UNSCALED
from gradus.tuning.tune import tune

LOWEST, HIGHEST, GRID = 1e-5, 10.0, 30
BUDGET = 10
SEEDS = (0, 1, 2)
AROUND = (1.1, 1.2, 1.3, 1.5)
"""Times the best rate of the grid, and parts of it: what `valley` trains."""

AGAIN = (1, 2, 3, 4, 5)
"""Seeds of the run under which rates are held against each other once they are chosen."""

CLOSE = 1.02
"""A ratio up to which what was found is as good as the best of the grid."""

FINDER = {"lowest": 1e-8, "highest": 1.0, "steps": 100, "smoothing": 0.98, "first": 10, "last": 1}
"""The usual rule, in the numbers of the libraries that have it."""

KINDS = {"prodigyopt": "Prodigy"}
"""The optimizer of a package that has one."""


def loss_with(spec: RunSpec, lr: float) -> float:
    """The validation loss that a run leaves; infinite where it diverged or learned nothing."""
    run = gradus.train(spec.model_copy(update={"lr": lr}))
    final = run.summary["final"]
    if run.status != "finished" or final is None:
        return math.inf
    return float(final["validation_loss"])


def grid(spec: RunSpec) -> dict[str, Any]:
    """The best of the grid, and how many of it are as good."""
    rates = np.geomspace(LOWEST, HIGHEST, GRID)
    losses = [loss_with(spec, float(lr)) for lr in rates]
    best = min(losses)
    return {"lr": float(rates[losses.index(best)]), "loss": best, "trainings": GRID,
            "alike": sum(loss <= CLOSE * best for loss in losses)}  # fmt: skip


def valley(spec: RunSpec, best: float) -> dict[str, Any]:
    """The best of eight trainings next to the best of the grid."""
    rates = [lr for factor in AROUND for lr in (best * factor, best / factor)]
    losses = {lr: loss_with(spec, lr) for lr in rates}
    lr = min(losses, key=losses.__getitem__)
    return {"lr": lr, "loss": losses[lr], "trainings": len(rates)}


def under_other_seeds(spec: RunSpec, lr: float) -> float:
    """The mean loss that a learning rate leaves under seeds by which it was not chosen."""
    losses = []
    for seed in AGAIN:
        run = gradus.train(spec.model_copy(update={"lr": lr, "seed": seed}))
        final, constant = run.summary["final"], run.summary["constant"]
        line = float(constant["validation_loss"])
        ended_well = run.status == "finished" and final is not None
        loss = float(final["validation_loss"]) if ended_well else math.inf
        losses.append(loss if math.isfinite(loss) else line)
    return sum(losses) / len(losses)


def drawn(spec: RunSpec, seed: int) -> dict[str, Any]:
    """Random search."""
    generator = random.Random(seed)
    low, high = math.log(LOWEST), math.log(HIGHEST)
    rates = [math.exp(generator.uniform(low, high)) for _ in range(BUDGET)]
    losses = {lr: loss_with(spec, lr) for lr in rates}
    lr = min(losses, key=losses.__getitem__)
    return {"lr": lr, "loss": losses[lr], "trainings": BUDGET}


def proposed(spec: RunSpec, seed: int) -> dict[str, Any]:
    """Optuna's TPE."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=seed))

    def objective(trial: optuna.Trial) -> float:
        return loss_with(spec, trial.suggest_float("lr", LOWEST, HIGHEST, log=True))

    study.optimize(objective, n_trials=BUDGET)
    return {"lr": study.best_params["lr"], "loss": study.best_value, "trainings": BUDGET}


def suggested(spec: RunSpec) -> dict[str, Any]:
    """What the usual lr-finder suggests, trained once."""
    split = load_for(spec, None)
    steps = int(FINDER["steps"])
    growing = Growing(FINDER["lowest"], (FINDER["highest"] / FINDER["lowest"]) ** (1 / (steps - 1)))
    with torch.random.fork_rng():
        job = prepare(spec, split)
    sampling = job.sampling
    run = replace(
        job,
        model=copy.deepcopy(job.model),
        method=spec.build_equation(growing),
        epochs=math.ceil(steps / sampling.steps),
        log_every=1,
        validation=None,
        selection=NOTHING_SELECTED,
        measured=False,
    )

    def observe(progress: Progress) -> Literal["stop"] | None:
        return "stop" if progress.step >= steps else None

    engine, _ = choose.chosen("auto", run)
    outcome = choose.execute(engine, run, lambda progress: None, Course(observe=observe))
    smooth, least, losses, rates = 0.0, math.inf, [], []
    for step, row in enumerate(outcome.history):
        smooth = FINDER["smoothing"] * smooth + (1 - FINDER["smoothing"]) * row.loss
        corrected = smooth / (1 - FINDER["smoothing"] ** (step + 1))
        if step and corrected > 4 * least:
            break
        least = min(least, corrected)
        losses.append(corrected)
        rates.append(row.lr)
    slopes = np.gradient(np.array(losses[int(FINDER["first"]) : -int(FINDER["last"])]))
    lr = rates[int(FINDER["first"]) + int(slopes.argmin())] if len(slopes) else rates[0]
    return {"lr": lr, "loss": loss_with(spec, lr), "trainings": 1 + outcome.step / job.steps}


def automatic(spec: RunSpec) -> dict[str, Any]:
    """`--lr auto`."""
    run = gradus.train(RunSpec.read({**spec.model_dump(exclude_none=True), "lr": "auto"}))
    found, final = run.summary["learning_rate"], run.summary["final"]
    ended_well = run.status == "finished" and final is not None
    return {
        "lr": run.spec.lr,
        "loss": float(final["validation_loss"]) if ended_well else math.inf,
        "trainings": 1 + found["steps"] / run.summary["steps"],
    }


def adapted(spec: RunSpec, given: dict[str, Any], package: str) -> dict[str, Any]:
    """An optimizer that finds its learning rate as it goes, trained once."""
    kind = "DAdaptSGD" if spec.method in UNSCALED else "DAdaptAdam"
    optimizer = getattr(importlib.import_module(package), KINDS.get(package, kind))
    options = {name: value for name, value in given.items() if name not in ("method", "momentum")}
    run = gradus.train(options.pop("data"), method=optimizer, **options)
    final = run.summary["final"]
    ended_well = run.status == "finished" and final is not None
    return {"lr": math.nan, "trainings": 1,
            "loss": float(final["validation_loss"]) if ended_well else math.inf}  # fmt: skip


def tuned(spec: RunSpec, given: dict[str, Any]) -> dict[str, Any]:
    """`gradus tune`."""
    found = tune(given.pop("data"), budget=BUDGET, **given)
    value, plateau = found.best.value, found.plateau
    assert value is not None
    return {"lr": found.lr, "loss": value, "trainings": found.spent,
            "plateau": plateau and [plateau.low, plateau.high],
            "edge": found.test.edge, "limit": found.limit and found.limit.lr}  # fmt: skip


def contenders(
    spec: RunSpec, given: dict[str, Any], rows: dict[str, Any]
) -> dict[str, Callable[[], dict[str, Any]]]:
    """Who is asked, by name; ``rows`` comes to hold what those before found."""
    found: dict[str, Callable[[], dict[str, Any]]] = {
        "grid": lambda: grid(spec),
        "valley": lambda: valley(spec, rows["grid"]["lr"]),
        "tune": lambda: tuned(spec, dict(given)),
        "lr auto": lambda: automatic(spec),
        "lr-finder": lambda: suggested(spec),
        "D-Adaptation": lambda: adapted(spec, given, "dadaptation"),
        "Prodigy": lambda: adapted(spec, given, "prodigyopt"),
    }
    for seed in SEEDS:
        found[f"random {seed}"] = lambda seed=seed: drawn(spec, seed)  # type: ignore[misc]
        found[f"TPE {seed}"] = lambda seed=seed: proposed(spec, seed)  # type: ignore[misc]
    return found


def measured(half: str, store: Path) -> dict[str, dict[str, Any]]:
    """What every contender found on every task; what the store has is not trained again."""
    kept: dict[str, dict[str, Any]] = json.loads(store.read_text()) if store.exists() else {}
    with tempfile.TemporaryDirectory() as folder:
        for name, task in TASKS.items():
            if task.half != half:
                continue
            spec = task.spec(name, Path(folder))
            rows = kept.setdefault(name, {})
            for who, ask in contenders(spec, task.given(name, Path(folder)), rows).items():
                if who in rows:
                    continue
                began = time.perf_counter()
                try:
                    rows[who] = ask()
                except InputError as error:
                    rows[who] = {"lr": math.nan, "loss": math.inf, "said": str(error)}
                rows[who]["seconds"] = time.perf_counter() - began
                if math.isfinite(rows[who]["lr"]):
                    rows[who]["again"] = under_other_seeds(spec, rows[who]["lr"])
                store.write_text(json.dumps(kept, indent=1))
            print(name, *(f"{who} {_ratio(rows, who):.3f}" for who in rows), flush=True)
    return kept


def _ratio(rows: dict[str, Any], who: str, figure: str = "loss") -> float:
    return float(rows[who].get(figure, math.nan) / rows["grid"][figure])


def table(kept: dict[str, dict[str, Any]]) -> list[Sequence[str]]:
    """A row a task: what each found, as a ratio to the best of the grid."""
    groups = {"valley": ["valley"], "tune": ["tune"], "lr auto": ["lr auto"],
              "lr-finder": ["lr-finder"],
              "D-Adaptation": ["D-Adaptation"], "Prodigy": ["Prodigy"],
              "TPE": [f"TPE {seed}" for seed in SEEDS],
              "random": [f"random {seed}" for seed in SEEDS]}  # fmt: skip
    head = ("task", "grid: loss", "alike", "lr", "lr of tune", "plateau", *groups)
    rows: list[Sequence[str]] = [head]
    for name, found in kept.items():
        best, ours = found["grid"], found["tune"]
        plateau = ours.get("plateau")
        rows.append((
            name, f"{best['loss']:.4f}", f"{best['alike']}", f"{best['lr']:.2g}",
            f"{ours['lr']:.2g}", f"{plateau[0]:.2g}–{plateau[1]:.2g}" if plateau else "",
            *(" ".join(f"{_ratio(found, who):.3f}" for who in members)
              for members in groups.values()),
        ))  # fmt: skip
    told: list[str] = []
    for members in groups.values():
        ratios = [_ratio(found, who) for found in kept.values() for who in members]
        close = sum(ratio <= CLOSE for ratio in ratios)
        lost = sum(math.isinf(ratio) for ratio in ratios)
        told.append(f"{close}/{len(ratios)} within 2 %, median {median(ratios):.3f}, {lost} lost")
    rows.append(("all", "", "", "", "", "", *told))
    spent = [
        median(found[who].get("trainings", math.nan) for found in kept.values() for who in members)
        for members in groups.values()
    ]
    trainings = [f"{number:.1f}" for number in spent]
    again = [
        [_ratio(found, who, "again") for found in kept.values() for who in members]
        for members in groups.values()
    ]
    rows.append(("again", "", "", "", "", "", *map(_told_again, again)))
    rows.append(("trainings, median", f"{GRID}", "", "", "", "", *trainings))
    return rows


def _told_again(ratios: Sequence[float]) -> str:
    """What rates are worth under other seeds; of methods that have no rate, nothing."""
    there = [ratio for ratio in ratios if not math.isnan(ratio)]
    if not there:
        return ""
    close = sum(ratio <= CLOSE for ratio in there)
    return f"{close}/{len(there)} within 2 %, median {median(there):.3f}"


def main() -> None:
    """``python -m benchmarks.tune [--half build] [--store FILE]``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--half", choices=("held", "build"), default="held")
    parser.add_argument("--store", type=Path, help="JSON that keeps what was measured")
    given = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        kept = measured(given.half, given.store or Path(folder) / "tune.json")
    print(f"\n{describe_machine()}\n\n{markdown(table(kept))}")


if __name__ == "__main__":
    main()
