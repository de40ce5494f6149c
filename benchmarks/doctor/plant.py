"""Which faults are planted in which tasks: drawn once by a seed, alone and in pairs."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from benchmarks.doctor import faults_of_data, faults_of_models, faults_of_training
from benchmarks.doctor.faults import Fault
from benchmarks.doctor.tasks import TASKS, Half, Task, half
from benchmarks.doctor.trials import Trial

SEED = 2_026

ALONE, IN_PAIRS = 160, 40
"""Of the planted faults that count, how many are alone and how many are pairs."""

DRAWN_ALONE, DRAWN_PAIRS = 240, 60
"""How many are drawn, of which the first that count are taken."""

FAULTS: dict[str, Fault] = {
    fault.name: fault
    for module in (faults_of_training, faults_of_models, faults_of_data)
    for fault in module.FAULTS
}


@dataclass(frozen=True)
class Planted:
    """A task with one fault or two.

    Attributes:
        number: by which it is drawn.
        task: its name.
        faults: names and severities, in the order in which they are planted.
    """

    number: int
    task: str
    faults: tuple[tuple[str, float], ...]

    @property
    def half(self) -> Half:
        """Of its task."""
        return half(self.task)

    @property
    def name(self) -> str:
        """For a person."""
        told = " and ".join(f"{name} ({severity:.2f})" for name, severity in self.faults)
        return f"{self.number}: {self.task}: {told}"

    @cached_property
    def trial(self) -> Trial:
        """The faulty one."""
        return self.with_only(range(len(self.faults)))

    def with_only(self, kept: range | tuple[int, ...]) -> Trial:
        """With some of its faults, judged as it is with all."""
        trial = TASKS[self.task].trial
        for index in kept:
            name, severity = self.faults[index]
            random = np.random.default_rng([SEED, self.number, index])
            trial = FAULTS[name].plant(trial, severity, random)
        if any(FAULTS[name].row == "leak" or name == ELSEWHERE for name, _ in self.faults):
            return trial.with_(judged="report")
        return trial


ELSEWHERE = "test drawn from elsewhere"


def planted() -> Iterator[Planted]:
    """All that are drawn: alone, then pairs."""
    yield from _alone()
    yield from _pairs()


def _alone() -> Iterator[Planted]:
    """Every kind in turn, in tasks of the two halves in turn."""
    random = np.random.default_rng(SEED)
    kinds = list(FAULTS.values())
    for number in range(DRAWN_ALONE):
        kind = kinds[number % len(kinds)]
        task = _drawn(kind, number // len(kinds), random)
        yield Planted(number, task.name, ((kind.name, round(float(random.random()), 3)),))


def _pairs() -> Iterator[Planted]:
    random = np.random.default_rng(SEED + 1)
    kinds = [each for each in FAULTS.values() if each.row != "leak" and each.name != ELSEWHERE]
    number = DRAWN_ALONE
    while number < DRAWN_ALONE + DRAWN_PAIRS:
        first, second = (kinds[at] for at in random.choice(len(kinds), size=2, replace=False))
        task = _drawn(first, number, random)
        severities = random.random(2)
        if first.row == second.row or not second.fits(task):
            continue
        pair = Planted(
            number,
            task.name,
            tuple(
                (kind.name, round(float(severity), 3))
                for kind, severity in zip((first, second), severities, strict=True)
            ),
        )
        if _changed(pair, 0) & _changed(pair, 1):
            continue
        yield pair
        number += 1


def _drawn(kind: Fault, number: int, random: np.random.Generator) -> Task:
    fitting = [task for task in TASKS.values() if kind.fits(task)]
    wanted = ("tune", "held")[number % 2]
    alike = [task for task in fitting if half(task.name) == wanted] or fitting
    return alike[int(random.integers(len(alike)))]


def _changed(pair: Planted, index: int) -> set[str]:
    """What one of its faults changes."""
    before, after = TASKS[pair.task].trial, pair.with_only((index,))
    changed = {
        name for name in before.options | after.options
        if before.options.get(name) != after.options.get(name)
    }  # fmt: skip
    for field in dataclasses.fields(before.network):
        if getattr(before.network, field.name) != getattr(after.network, field.name):
            changed.add(f"network.{field.name}")
    for name, array in before.arrays.items():
        other = after.arrays[name]
        if other.shape != array.shape or not np.array_equal(other, array):
            changed.add(name[:1])
    return changed
