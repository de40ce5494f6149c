"""How often an importance is named where there is only noise, and found where one was planted.

    python -m benchmarks.importance [--sweeps 200] [--peers]

Simulated sweeps of every kind of ``tests/sweep/simulated.py``. With ``--peers`` the same sweeps are
given to a one-level-per-value eta squared and to Optuna's PED-ANOVA and fANOVA, which give every
option a number: theirs counts as named above 0.1.
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradus.sweep.effects import Factor, effects, scores
from tests.sweep.simulated import KINDS, simulated

Numbers = NDArray[np.float64]
Judge = Callable[[list[Factor], Numbers], dict[str, float]]
"""From options and mean places to the importance of each option; 0 where there is none."""

NAMED = 0.1
"""Above this, a number is one that looks like an importance."""


def of_gradus(factors: list[Factor], places: Numbers) -> dict[str, float]:
    """Omega squared, 0 where the option cannot be told from noise."""
    return {effect.name: effect.share or 0.0 for effect in effects(factors, places)}


def of_levels(factors: list[Factor], places: Numbers) -> dict[str, float]:
    """Eta squared with a level for every value."""
    y = np.nanmean(places, axis=1)
    found = {}
    for factor in factors:
        codes = np.unique(factor.values, return_inverse=True)[1]
        means = np.bincount(codes, y) / np.bincount(codes)
        found[factor.name] = float(np.var(means[codes]) / np.var(y))
    return found


def of_optuna(evaluator: str) -> Judge:
    """An evaluator of Optuna."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)

    def judge(factors: list[Factor], places: Numbers) -> dict[str, float]:
        distributions: dict[str, Any] = {
            f.name: optuna.distributions.FloatDistribution(
                float(np.nanmin(f.values)), float(np.nanmax(f.values))
            )
            for f in factors
        }
        study = optuna.create_study()
        for at, value in enumerate(np.nanmean(places, axis=1)):
            given = {  # an option that is not taken stands at its least value
                f.name: float(np.nan_to_num(f.values[at], nan=distributions[f.name].low))
                for f in factors
            }
            study.add_trial(
                optuna.trial.create_trial(
                    params=given, distributions=distributions, value=float(value)
                )
            )
        kind = getattr(optuna.importance, evaluator)()
        return dict(optuna.importance.get_param_importances(study, evaluator=kind))

    return judge


def shares(kind: str, judge: Judge, sweeps: int) -> tuple[float, float, float]:
    """Of noise: named. Of planted effects: the right option first; named and first."""
    random = np.random.default_rng(0)
    noise = first = named = 0
    for planted in (False, True):
        for _ in range(sweeps):
            options, seed, configuration, worth = simulated(kind, random, planted=planted)
            names = ["first", "second", "method" if kind == "two methods" else "third"]
            factors = [
                Factor(name, values, ordered=name != "method")
                for name, values in zip(names, options, strict=False)
            ]
            found = judge(factors, scores(seed, configuration, worth))
            best = max(found, key=lambda name: found[name])
            if not planted:
                noise += found[best] > NAMED
            else:
                first += best == "first"
                named += best == "first" and found[best] > NAMED
    return noise / sweeps, first / sweeps, named / sweeps


def main() -> None:
    """Print a row for each kind of sweep and judge."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sweeps", type=int, default=200)
    parser.add_argument("--peers", action="store_true")
    given = parser.parse_args()
    judges: dict[str, Judge] = {"gradus": of_gradus}
    if given.peers:
        judges["eta squared"] = of_levels
        judges["PED-ANOVA"] = of_optuna("PedAnovaImportanceEvaluator")
        judges["fANOVA"] = of_optuna("FanovaImportanceEvaluator")
    print("| sweep | judge | noise named | planted first | named and first |")
    print("|---|---|---|---|---|")
    for kind in KINDS:
        for name, judge in judges.items():
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                noise, first, named = shares(kind, judge, given.sweeps)
            print(f"| {kind} | {name} | {noise:.1%} | {first:.1%} | {named:.1%} |", flush=True)


if __name__ == "__main__":
    main()
