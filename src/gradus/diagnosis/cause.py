"""What a cause is: when it is suspected, and which intervention undoes it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from gradus.diagnosis.evidence import Evidence
from gradus.diagnosis.findings import Experiment, Figure
from gradus.diagnosis.fork import Change, Measure

LEAST_GAIN = 0.03
"""What undoing a cause has to take off the loss, in losses of the best constant prediction: what is
less may be real and is not what is wrong."""


@dataclass(frozen=True, eq=False)
class Suspicion:
    """A cause that may be at work.

    Attributes:
        sentence: what it would mean, for a beginner.
        figures: what raised it.
        changes: any of which undoes it, from the mildest to the strongest; the best is taken.
        strength: from 0 to 1: in which order causes are tried.
        measure: what undoing it has to lower, where that is not the measure of the cause.
        told: whether it is told as possible even where undoing it gains nothing: it is there, and
            does no harm that is seen.
        certain: whether it is a fact of the data, which no training has to show; or, as
            ``"possible"``, one of which no training can tell whether it is meant to be so. The
            first change says what to do then, and is not tried.
        shown: what the run itself has shown, where it has been with and without the cause: no
            trial is needed then.
    """

    sentence: str
    figures: tuple[Figure, ...]
    changes: Sequence[Change]
    strength: float
    measure: Measure | None = None
    told: bool = False
    certain: bool | Literal["possible"] = False
    shown: Experiment | None = None


@dataclass(frozen=True)
class Cause:
    """A cause that is looked for.

    Attributes:
        name: as the user reads it.
        rank: where two causes explain a run alike, the one of the lower rank is named: the further
            up the stream, the lower. 10: data; 20: loss and outputs; 30: model and its parameters;
            40: the method; 50: its learning rate.
        page: of the documentation that explains it.
        suspect: a cheap test; None where nothing speaks for it.
        measure: the loss that undoing it has to lower.
        least_gain: by how much.
        whole: whether only a training of all steps shows it: a shorter one is then held against the
            end of the run.
        opposite: the name of a cause that is none where this one is.
        shows: what an experiment has to show beside, for the cause to be confirmed.
        last: whether it is told only where nothing else explains the run.
    """

    name: str
    rank: int
    page: str
    suspect: Callable[[Evidence], Suspicion | None]
    measure: Measure = "training loss"
    least_gain: float = LEAST_GAIN
    whole: bool = False
    opposite: str = ""
    shows: Callable[[Experiment], bool] = lambda found: True
    last: bool = False
