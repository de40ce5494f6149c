"""Pruning of configurations: the runs of all their seeds go on together, or end together."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from typing import final

from gradus.runs.spec import RunSpec, run_id
from gradus.sweep.halving import Asha, Cut, Decision, GoesOn, Halving, Pruning
from gradus.sweep.specification import SweepSpec

SEEDS = ("seed", "split_seed")
"""Options by which the runs of one configuration differ."""


def configuration_of(run: RunSpec) -> str:
    """The id of a configuration: equal for runs that differ in nothing but the seed.

    Example:
        >>> one, other = RunSpec(lr=0.1, seed=0), RunSpec(lr=0.1, seed=1)
        >>> configuration_of(one) == configuration_of(other), run_id(one) == run_id(other)
        (True, False)
    """
    return run_id(
        run.model_copy(update={name: 0 for name in SEEDS if name in RunSpec.model_fields})
    )


@final
class ConfigurationPruning:
    """Successive halving among configurations, told run by run.

    A configuration comes to a rung once the runs of all its seeds have; it is compared by their
    mean. Where one of them is lost (it has diverged, or was stopped), the configuration is worse
    than any that lost none, and the others are cut at that rung. So never a single seed is
    chosen, which would be the luckiest.

    Args:
        pruning: decides, of configurations by their id.
        seeds: how many runs the configuration of a run has.
        configuration: the id of the configuration of a run.

    Example:
        >>> pruning = ConfigurationPruning(Halving(runs=2, epochs=4, eta=2), lambda run: 2)
        >>> for lr in (1.0, 0.1):
        ...     for seed in (0, 1):
        ...         _ = pruning.start(f"{lr}, {seed}", RunSpec(lr=lr, seed=seed))
        >>> pruning.tell("1.0, 0", 1, 0.1), pruning.tell("1.0, 1", 1, 0.9)
        ([], [])
        >>> pruning.tell("0.1, 0", 1, 0.3)
        []
        >>> [type(decision).__name__ for decision in pruning.tell("0.1, 1", 1, 0.3)]
        ['Cut', 'Cut', 'GoesOn', 'GoesOn']
    """

    def __init__(
        self,
        pruning: Pruning,
        seeds: Callable[[RunSpec], int],
        configuration: Callable[[RunSpec], str] = configuration_of,
    ) -> None:
        self._pruning, self._seeds, self._configuration = pruning, seeds, configuration
        self._of: dict[str, str] = {}
        self._runs: dict[str, list[str]] = {}
        self._size: dict[str, int] = {}
        self._until: dict[str, int] = {}
        self._told: dict[str, dict[str, float | None]] = {}
        self._ended: dict[str, float | None] = {}

    def start(self, run: str, spec: RunSpec) -> GoesOn:
        """Let a run begin; says until when."""
        configuration = self._configuration(spec)
        if configuration not in self._until:
            self._until[configuration] = self._pruning.start(configuration).until
            self._size[configuration] = self._seeds(spec)
            self._runs[configuration], self._told[configuration] = [], {}
        self._of[run] = configuration
        self._runs[configuration].append(run)
        return GoesOn(run, 0, self._until[configuration])

    def tell(
        self, run: str, epoch: int, worth: float | None, *, ended: bool = False
    ) -> list[Decision]:
        """What follows from the figure of a run at the end of an epoch.

        Args:
            run: which.
            epoch: that has ended.
            worth: its measure there, less being better; None, or not finite: the run is lost.
            ended: whether the run does not go on; its figure stands for later epochs.
        """
        configuration = self._of[run]
        worth = worth if worth is not None and math.isfinite(worth) else None
        if ended or worth is None:
            self._ended[run] = worth
        elif epoch < self._until[configuration]:
            return []
        self._told[configuration][run] = worth
        return self._decide(configuration)

    def close(self) -> list[Decision]:
        """What follows from it that no more configurations will be started."""
        return self._expanded(self._pruning.close())

    def _decide(self, configuration: str) -> list[Decision]:
        """Tell the mean over seeds, once all of them are there."""
        told = self._told[configuration]
        if len(told) < self._size[configuration]:
            return []
        until, worths = self._until[configuration], list(told.values())
        kept = [worth for worth in worths if worth is not None]
        if len(kept) == len(worths):
            return self._expanded(self._pruning.tell(configuration, until, sum(kept) / len(kept)))
        others = self._pruning.tell(configuration, until, None)
        return [Cut(run, until) for run in self._going(configuration)] + self._expanded(others)

    def _expanded(self, decisions: Sequence[Decision]) -> list[Decision]:
        """What decisions on configurations mean for their runs."""
        found: list[Decision] = []
        for decision in decisions:
            configuration = decision.run
            going = self._going(configuration)
            if isinstance(decision, Cut):
                found += [Cut(run, decision.epoch) for run in going]
                continue
            self._until[configuration] = decision.until
            self._told[configuration] = {
                run: self._ended[run] for run in self._runs[configuration] if run in self._ended
            }
            found += [GoesOn(run, decision.epoch, decision.until) for run in going]
            found += self._decide(configuration)
        return found

    def _going(self, configuration: str) -> list[str]:
        return [run for run in self._runs[configuration] if run not in self._ended]


def pruning_of(
    spec: SweepSpec, listed: Sequence[RunSpec] | None, epochs: int
) -> ConfigurationPruning:
    """What prunes a sweep that asks for it.

    Args:
        spec: of the sweep.
        listed: its runs, where they are known beforehand.
        epochs: of each of them.
    """
    assert spec.prune is not None
    kind = {"halving": Halving, "asha": Asha}[spec.prune]
    if listed is not None:
        sizes = Counter(map(configuration_of, listed))
        pruning = kind(len(sizes), epochs, eta=spec.eta, first_rung=spec.first_rung)
        return ConfigurationPruning(pruning, lambda run: sizes[configuration_of(run)])
    pruning = kind(spec.trials or 0, epochs, eta=spec.eta, first_rung=spec.first_rung)
    # Where the seed itself is searched, every draw of it is a configuration.
    identity = configuration_of if spec.seeds > 1 else run_id
    return ConfigurationPruning(pruning, lambda run: spec.seeds, identity)
