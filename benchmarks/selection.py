"""How much better than true is a figure by which a run was chosen: on validation, and on the test.

A part of the digits is held back that nothing sees. The rest is swept, 72 configurations a time,
and of each sweep two runs are taken: the best by its validation accuracy, and the best by its test
accuracy. Of both the test accuracy that the sweep reports is held against the accuracy on the
examples held back, which is what it promises. Many times over, with other parts held back.
"""

from __future__ import annotations

import argparse
import math
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

import gradus
from benchmarks.markdown import describe_machine, markdown
from benchmarks.reference import positive
from gradus.data.loading import load

HELD_BACK, LEFT = 600, 600
"""Digits that nothing sees, and those that are trained on, chosen on and tested on."""

VARIED = {
    "lr": "0.5,0.2,0.1,0.05,0.02,0.01",
    "momentum": "0,0.5,0.9",
    "batch_size": "8,16,32,64",
}
RULES = {"validation": "validation_accuracy", "test": "test_accuracy"}


@dataclass(frozen=True)
class Chosen:
    """What a sweep says of the run that was chosen, and what it is worth, as shares from 0 to 1."""

    reported: float
    fresh: float


def chosen_of(replication: int, folder: Path) -> dict[str, Chosen]:
    """One sweep, and of the run that each rule chooses the accuracy reported and the true one."""
    data = load("digits", test_fraction=0.01)
    x = torch.cat([data.train.x, data.test.x]).double().div(data.train.scale)
    y = torch.cat([data.train.y, data.test.y])
    order = torch.from_numpy(np.random.default_rng(replication).permutation(len(y)))
    fresh, rest = order[:HELD_BACK], order[HELD_BACK : HELD_BACK + LEFT]
    table = folder / f"{replication}.npz"
    np.savez(table, x=x[rest].numpy(), y=y[rest].numpy())
    spec = gradus.SweepSpec(
        base={"data": str(table), "hidden": (16,), "epochs": 8, "split_seed": replication},
        vary=VARIED,
    )
    sweep = gradus.train_sweep(spec, name=f"selection-{replication}", out=folder)
    rows = [row for row in sweep.runs.to_pylist() if row["status"] == "finished"]
    found = {}
    for rule, measure in RULES.items():
        best = max(rows, key=lambda row: row[measure])
        run = gradus.train(gradus.RunSpec.model_validate_json(best["spec"]))
        shape, dtype = run.summary["data"]["input_shape"], getattr(torch, run.spec.dtype)
        with torch.no_grad():
            outputs = run.model(x[fresh].reshape(-1, *shape).to(dtype))
        accuracy = float((outputs.argmax(dim=1) == y[fresh]).double().mean())
        found[rule] = Chosen(best["test_accuracy"], accuracy)
    return found


def main() -> None:
    """``python -m benchmarks.selection``."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.selection", description=__doc__)
    parser.add_argument("--replications", type=positive, default=20)
    given = parser.parse_args()
    per_rule: dict[str, list[Chosen]] = {rule: [] for rule in RULES}
    with tempfile.TemporaryDirectory() as folder:
        for replication in range(given.replications):
            for rule, chosen in chosen_of(replication, Path(folder)).items():
                per_rule[rule].append(chosen)
            print(f"{replication + 1} of {given.replications}", file=sys.stderr)
    rows = [["chosen by accuracy on", "test accuracy", "on fresh digits", "too good by, in points"]]
    for rule, all_chosen in per_rule.items():
        optimism = np.array([100 * (each.reported - each.fresh) for each in all_chosen])
        error = optimism.std(ddof=1) / math.sqrt(len(optimism)) if len(optimism) > 1 else math.nan
        reported, fresh = (
            100 * np.mean([getattr(each, name) for each in all_chosen])
            for name in ("reported", "fresh")
        )
        rows.append(
            [rule, f"{reported:.2f} %", f"{fresh:.2f} %", f"{optimism.mean():+.2f} ± {error:.2f}"]
        )
    print(describe_machine())
    print(f"{given.replications} sweeps of 72 runs, {LEFT} digits each, {HELD_BACK} held back\n")
    print(markdown(rows))


if __name__ == "__main__":
    main()
