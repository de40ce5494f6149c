"""In which order causes are tried, within which time, and what comes of it.

Every cause that something speaks for is tried alone. What helps is confirmed, the most helpful one
first. Then the others are tried once more on top of it: a cause that no longer helps explained the
same harm, and was none; one that still does is a second cause. The run with the first one undone is
looked at anew: what was hidden behind it may come to light.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from gradus.diagnosis.case import Case
from gradus.diagnosis.cause import Cause, Suspicion
from gradus.diagnosis.causes import all_causes
from gradus.diagnosis.clock import now
from gradus.diagnosis.evidence import Evidence
from gradus.diagnosis.findings import Diagnosis, Experiment, Finding
from gradus.diagnosis.fork import (
    Change,
    Laboratory,
    OutOfTime,
    Trial,
    experiment,
    trained,
    with_options,
)
from gradus.diagnosis.replay import replay

PAIRS = (3, 6, 12)
"""Pairs of trials by which a change is judged: more where fewer leave it open."""

TRIALS = 30
"""Trials that are to fit into the time; they are shortened until they do."""

SHORTEST = 50
"""Steps of a trial, at least."""

LEAST_SECONDS = 10.0
"""An examination may always take so long."""

OF_A_LOST_RUN = 3.0
"""Times as long it may take at least where the run is lost, or has learned next to nothing: who
asks why would rather wait than be told what is possible."""

OF_THE_RUN = 2.0
"""Times as long as the run took an examination may take."""

ALIKE = 0.8
"""A cause of which undoing gains this share of what another gains explains the run alike."""

WORSE = 0.05
"""A change that is worse by so much than a milder one goes the wrong way."""

FACTS = 7
"""Causes up to this rank are facts of the data, which no change of the run makes others."""

BAD = 0.5
"""A run that ends above, in losses of the best constant prediction, has not learned enough to be
left without a finding while two causes may hide each other."""


@dataclass(frozen=True, eq=False)
class Tried:
    """A suspicion that was put to the test.

    Attributes:
        cause: that is suspected.
        suspicion: of it.
        change: the best of its changes.
        found: what it takes off the loss; None where there was no time.
        on: what was done otherwise in both of the pair.
    """

    cause: Cause
    suspicion: Suspicion
    change: Change
    found: Experiment | None
    on: tuple[Change, ...] = ()

    @property
    def confirmed(self) -> bool:
        """Whether undoing the cause helps, by more than its noise and by enough."""
        found = self.found
        if self.suspicion.certain:
            return self.suspicion.certain is True
        if found is None or found.difference < self.cause.least_gain:
            return False
        return found.exceeds_noise and self.cause.shows(found)

    @property
    def open(self) -> bool:
        """Whether more pairs may show it."""
        found = self.found
        if self.suspicion.certain:
            return self.suspicion.certain == "possible"
        if found is None or self.confirmed:
            return found is None
        return self.suspicion.told or self._is_enough(found)

    @property
    def undecided(self) -> bool:
        """Whether more pairs may confirm it: a gain within one standard error of enough may be."""
        found = self.found
        if self.open or self.confirmed or found is None or self.suspicion.certain:
            return self.open
        if not math.isfinite(found.standard_error):
            return False
        more = replace(found, difference=found.difference + found.standard_error)
        return self._is_enough(more)

    def _is_enough(self, found: Experiment) -> bool:
        return found.difference >= self.cause.least_gain and self.cause.shows(found)


def time_for(case: Case, took: float | None = None) -> float:
    """Seconds that an examination of a case may take where nothing is said.

    Args:
        case: that is examined.
        took: seconds that the run took; None for those of its record.
    """
    if case.run is None:
        return OF_A_LOST_RUN * LEAST_SECONDS
    summary = case.run.summary
    if took is None:
        parts = ("load", "train", "test")
        took = sum(float(summary["timings"][f"{what}_seconds"]) for what in parts)
    final, constant = summary["final"], summary["constant"]
    is_lost = case.run.status != "finished" or (
        final is not None and constant and final["train_loss"] > BAD * constant["train_loss"]
    )
    return max(LEAST_SECONDS * (OF_A_LOST_RUN if is_lost else 1.0), OF_THE_RUN * took)


def examine(
    case: Case,
    budget: float | None = None,
    tell: Callable[[str], None] = lambda message: None,
) -> Diagnosis:
    """Examine a case.

    Args:
        case: a run, or what would be one.
        budget: seconds; None for twice the time of the run, and at least 10, or 30
            where it is lost.
        tell: told, in a line each, what is done.
    """
    began = now()
    budget = time_for(case) if budget is None else budget
    tell("repeating the run")
    seen = replay(case, began + budget / 3)
    # What is measured is of less use than what is tried.
    evidence = Evidence(case, seen, budget / 8)
    causes = all_causes()
    suspected = [
        (cause, suspicion) for cause in causes if (suspicion := cause.suspect(evidence)) is not None
    ]
    suspected.sort(key=lambda pair: -pair[1].strength)
    examination = _Examination(evidence, _laboratory(case, began + budget), tell)
    findings = examination.findings(suspected)
    evidence.allowed = math.inf  # a page may ask for more
    return Diagnosis(
        *(case.name, evidence.status, tuple(findings), tuple(cause.name for cause in causes)),
        tuple(_notes(evidence, examination)),
        now() - began,
        evidence,
    )


def _laboratory(case: Case, until: float) -> Laboratory:
    """With trials as long as the time allows."""
    job = case.trial(0)
    tried = min(SHORTEST, job.steps)
    if hasattr(job.method, "lr"):
        # Standing still it does not diverge, and a step takes as long.
        job = with_options(job, lr=0.0)
    started = now()
    _, taken = trained(job, tried, case.engine(job))
    a_step = (now() - started) / max(1, taken)
    steps = (until - now()) / TRIALS / a_step
    part = max(steps, SHORTEST) / job.steps
    # A little less than the whole is worth no other comparison.
    return Laboratory(case, 1.0 if part > 0.8 else part, until)


def _notes(evidence: Evidence, examination: _Examination) -> list[str]:
    notes = []
    seen = evidence.replay
    if not seen.is_the_run:
        notes.append(
            f"the run was repeated, and its losses differ from the record by {seen.deviation:.2g} "
            "of them: the machine, the data or the version are others"
        )
    if not seen.is_whole:
        notes.append(
            f"the time allowed for {seen.steps:,} steps of the run alone; a budget gives more"
        )
    if examination.untried:
        notes.append(
            f"the time did not allow to try: {', '.join(examination.untried)}; give it more by "
            "budget"
        )
    return notes


class _Examination:
    """An examination under way."""

    def __init__(
        self, evidence: Evidence, laboratory: Laboratory, tell: Callable[[str], None]
    ) -> None:
        self.evidence, self.laboratory, self.tell = evidence, laboratory, tell
        self.untried: list[str] = []

    def findings(self, suspected: Sequence[tuple[Cause, Suspicion]]) -> list[Finding]:
        """What comes of these suspicions."""
        alone = [self.tried(cause, suspicion) for cause, suspicion in suspected if not cause.last]
        confirmed = self._confirmed(alone)
        if not confirmed and self._is_bad:
            confirmed = self._together(alone)
        if not confirmed:
            lasts = [self.tried(cause, suspicion) for cause, suspicion in suspected if cause.last]
            confirmed = [each for each in lasts if each.confirmed]
            alone += lasts
        # What helps by itself is told by that; what the first had hidden, by what it adds.
        by_itself = {each.cause: each for each in alone if each.confirmed}
        states = _in_order([by_itself.get(each.cause, each) for each in confirmed])
        meant = [each for each in alone if each.suspicion.certain == "possible"]
        # Of a run that did well, what there was no time to try is not worth a finding.
        open_ones = [
            each
            for each in alone
            if each.open
            and not confirmed
            and each not in meant
            and (each.found is not None or self._is_bad)
        ]
        self.untried = [
            each.cause.name for each in alone if each.found is None and not each.suspicion.certain
        ]
        is_last = any(each.cause.last for each in confirmed)
        told = [(each, True) for each in states]
        told = (
            [*((each, False) for each in meant), *told]
            if is_last
            else [*told, *((each, False) for each in meant)]
        )
        told += [(each, False) for each in open_ones]
        return [self._finding(each, confirmed=state) for each, state in told]

    def _confirmed(self, alone: Sequence[Tried]) -> list[Tried]:
        """What helps: the most helpful first, then what helps on top of it."""
        confirmed: list[Tried] = []
        left = list(alone)
        while helpful := [each for each in left if each.confirmed]:
            first = _first_of(helpful)
            confirmed.append(first)
            on = [each.change for each in confirmed if not each.suspicion.certain]
            left = [each for each in left if each is not first]
            if len(on) == 1 and not first.suspicion.certain:
                left += self._hidden(on, {each.cause for each in alone})
            known = {each.cause.opposite for each in confirmed}
            left = [
                self.tried(each.cause, each.suspicion, on)
                for each in left
                if each.cause.name not in known
            ]
        return confirmed

    def _hidden(self, on: Sequence[Change], known: set[Cause]) -> list[Tried]:
        """What speaks for other causes in the run with the first one undone."""
        left = self.laboratory.until - now()
        if left < 3 * self.evidence.replay.seconds:
            return []
        self.tell(f"looking at the run with {on[0].said}")
        case = self.evidence.case.mended(on)
        try:
            seen = replay(case, now() + left / 3)
        except (RuntimeError, ValueError):  # as a batch of one for a batch norm
            return []
        evidence = self.evidence.of_mended(case, seen, left / 8)
        return [
            Tried(cause, suspicion, suspicion.changes[0], None)
            for cause in all_causes()
            if cause.rank > FACTS
            and cause not in known
            and not cause.last
            and (suspicion := cause.suspect(evidence)) is not None
            and not suspicion.certain
            and suspicion.shown is None
        ]

    @property
    def _is_bad(self) -> bool:
        return self.evidence.status != "finished" or self.evidence.end > BAD

    def _together(self, alone: Sequence[Tried]) -> list[Tried]:
        """Two causes, each enough to spoil the run: undoing one helps where the other is undone."""
        alone = [each for each in alone if not each.suspicion.certain]
        for first in alone:
            for other in alone:
                if other is first or other.cause.rank < first.cause.rank:
                    continue
                second = self.tried(other.cause, other.suspicion, [first.change])
                if not second.confirmed:
                    continue
                needed = self.tried(first.cause, first.suspicion, [second.change])
                if needed.confirmed:
                    return [needed, second]
        return []

    def tried(self, cause: Cause, suspicion: Suspicion, on: Sequence[Change] = ()) -> Tried:
        """Put a suspicion to the test: choose among its changes by one pair, judge by others."""
        self.tell(f"trying: {cause.name}")
        tried = Tried(cause, suspicion, suspicion.changes[0], None, tuple(on))
        if suspicion.certain:
            return tried
        if suspicion.shown is not None:
            # Of the run as it is: what it would show on top of other changes is not known.
            return tried if on else replace(tried, found=suspicion.shown)
        try:
            if len(suspicion.changes) == 1:
                return self._judged(tried, 0)
            # By the pair that chose among them a change would look better than it is.
            best = self._best(cause, suspicion, on)
            tried = self._judged(replace(tried, change=best), 1)
            at = suspicion.changes.index(best)
            if tried.open and tried.found is not None and at + 1 < len(suspicion.changes):
                # It helps in some pairs, and is not enough in others.
                stronger = replace(tried, change=suspicion.changes[at + 1], found=None)
                stronger = self._judged(stronger, 1)
                tried = stronger if stronger.confirmed else tried
        except OutOfTime:
            pass
        return tried

    def _judged(self, tried: Tried, first: int) -> Tried:
        """A change judged by pairs from this number on, by more where fewer leave it open."""
        for pairs in PAIRS:
            try:
                found = self._compared(tried, range(first, first + pairs))
            except OutOfTime:
                break
            tried = replace(tried, found=found)
            if not tried.undecided:
                break
        return tried

    def _best(self, cause: Cause, suspicion: Suspicion, on: Sequence[Change]) -> Change:
        """The change that helps most in one pair, from the mildest on while it gets better."""
        measure = suspicion.measure or cause.measure
        best, least = suspicion.changes[0], self._base(cause, 0, on).share(measure)
        if not on:
            least = max(least, self.evidence.end)
        for change in suspicion.changes:
            share = self.laboratory.trial(0, (*on, change)).share(measure)
            if share < least:
                best, least = change, share
            elif share > least + WORSE:
                break
        return best

    def _compared(self, tried: Tried, pairs: range) -> Experiment:
        """The paired difference; no more pairs are taken where two show no gain."""
        cause, change, on = tried.cause, tried.change, tried.on
        measure = tried.suspicion.measure or cause.measure
        both: list[tuple[Trial, Trial]] = []
        for pair in pairs:
            try:
                base = self._base(cause, pair, on)
                both.append((base, self.laboratory.trial(pair, (*on, change))))
            except OutOfTime:
                if not both:
                    raise
                break
            gains = [one.share(measure) - other.share(measure) for one, other in both]
            if len(both) > 1 and sum(gains) / len(gains) < cause.least_gain / 2:
                break
        beside = "the end of the whole run" if self._by_end(cause, on) else "the same without"
        if on:
            beside += f", both with {' and '.join(change.said for change in on)}"
        return experiment(change, measure, both, beside)

    def _base(self, cause: Cause, pair: int, on: Sequence[Change]) -> Trial:
        """What a change is held against: the same trial without it, or the end of the run."""
        if self._by_end(cause, on):
            return self.evidence.as_trial
        return self.laboratory.trial(pair, on)

    def _by_end(self, cause: Cause, on: Sequence[Change]) -> bool:
        """Whether a short trial is held against the whole run."""
        return cause.whole and self.laboratory.part < 1 and not on

    def _finding(self, tried: Tried, *, confirmed: bool) -> Finding:
        return Finding(
            cause=tried.cause.name,
            state="confirmed" if confirmed else "possible",
            sentence=tried.suspicion.sentence,
            figures=tried.suspicion.figures,
            experiment=tried.found,
            remedy=self.evidence.case.remedy((*tried.on, tried.change)),
            page=tried.cause.page,
        )


def _first_of(helpful: Sequence[Tried]) -> Tried:
    """The most helpful; of those that help about as much, the one furthest up the stream."""
    most = max(helpful, key=_gain)
    error = 0.0 if most.found is None else 2 * most.found.standard_error
    enough = min(ALIKE * _gain(most), _gain(most) - error)
    alike = [each for each in helpful if _gain(each) >= enough]
    return min(alike, key=lambda each: (each.cause.rank, -_gain(each)))


def _in_order(confirmed: Sequence[Tried]) -> list[Tried]:
    """Facts of the data first, which what rests on them is told by; then the most helpful first."""
    facts = [each for each in confirmed if each.suspicion.certain]
    left = [each for each in confirmed if not each.suspicion.certain]
    found = sorted(facts, key=lambda each: each.cause.rank)
    while left:
        found.append(_first_of(left))
        left.remove(found[-1])
    return found


def _gain(tried: Tried) -> float:
    return 0.0 if tried.found is None else tried.found.difference
