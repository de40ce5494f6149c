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


@dataclass(frozen=True)
class Drawing:
    """Faults that are drawn at once, numbered from ``first`` on.

    Attributes:
        first: number of the first.
        seed: by which they are drawn.
        alone: of those that count, how many are alone.
        pairs: how many are pairs.
        drawn_alone: how many are drawn, of which the first that count are taken.
        drawn_pairs: the same of pairs.
        halves: of which tasks, in turn.
        later: whether kinds are among them that were added after the first drawing.
    """

    first: int
    seed: int
    alone: int
    pairs: int
    drawn_alone: int
    drawn_pairs: int
    halves: tuple[Half, ...]
    later: bool = True

    def is_pair(self, number: int) -> bool:
        """Whether a number of this drawing is of a pair."""
        return number >= self.first + self.drawn_alone


DRAWINGS = (
    Drawing(0, 2_026, 160, 40, 240, 60, ("tune", "held"), later=False),
    Drawing(1_000, 2_027, 76, 20, 132, 36, ("second",)),
    Drawing(2_000, 2_028, 40, 8, 66, 14, ("third",)),
)


def drawing_of(number: int) -> Drawing:
    """In which a number stands."""
    return max((each for each in DRAWINGS if each.first <= number), key=lambda each: each.first)


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
            random = np.random.default_rng([drawing_of(self.number).seed, self.number, index])
            trial = FAULTS[name].plant(trial, severity, random)
        if any(FAULTS[name].row == "leak" or name == ELSEWHERE for name, _ in self.faults):
            return trial.with_(judged="report")
        return trial


ELSEWHERE = "test drawn from elsewhere"


def planted() -> Iterator[Planted]:
    """All that are drawn: of each drawing those alone, then the pairs."""
    for drawing in DRAWINGS:
        yield from _alone(drawing)
        yield from _pairs(drawing)


def _kinds(drawing: Drawing) -> list[Fault]:
    return [fault for fault in FAULTS.values() if drawing.later or not fault.later]


def _alone(drawing: Drawing) -> Iterator[Planted]:
    """Every kind in turn, in tasks of the halves in turn."""
    random = np.random.default_rng(drawing.seed)
    kinds = _kinds(drawing)
    for at in range(drawing.drawn_alone):
        kind = kinds[at % len(kinds)]
        task = _drawn(drawing, kind, at // len(kinds), random)
        severity = round(float(random.random()), 3)
        yield Planted(drawing.first + at, task.name, ((kind.name, severity),))


def _pairs(drawing: Drawing) -> Iterator[Planted]:
    random = np.random.default_rng(drawing.seed + 1)
    kinds = [each for each in _kinds(drawing) if each.row != "leak" and each.name != ELSEWHERE]
    at = drawing.drawn_alone
    while at < drawing.drawn_alone + drawing.drawn_pairs:
        first, second = (kinds[each] for each in random.choice(len(kinds), size=2, replace=False))
        task = _drawn(drawing, first, at, random)
        severities = random.random(2)
        if first.row == second.row or not second.fits(task):
            continue
        pair = Planted(
            drawing.first + at,
            task.name,
            tuple(
                (kind.name, round(float(severity), 3))
                for kind, severity in zip((first, second), severities, strict=True)
            ),
        )
        if _changed(pair, 0) & _changed(pair, 1):
            continue
        yield pair
        at += 1


def _drawn(drawing: Drawing, kind: Fault, number: int, random: np.random.Generator) -> Task:
    halves = drawing.halves
    fitting = [task for task in TASKS.values() if half(task.name) in halves and kind.fits(task)]
    wanted = halves[number % len(halves)]
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
