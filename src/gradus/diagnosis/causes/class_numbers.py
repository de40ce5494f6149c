"""Classes that are learned as numbers: the third is not thrice the first."""

from __future__ import annotations

from gradus.diagnosis.cause import Cause, Suspicion
from gradus.diagnosis.evidence import Evidence
from gradus.diagnosis.findings import Figure
from gradus.diagnosis.fork import Change
from gradus.risk.losses import HuberLoss, L1Loss, MSELoss

MOST = 30
"""Different values, more than which are no classes."""

OFTEN = 5
"""So many examples have each of them, at least."""


def _suspect(evidence: Evidence) -> Suspicion | None:
    data = evidence.job.train
    losses = (MSELoss, L1Loss, HuberLoss)
    if data.classes is not None or not isinstance(evidence.job.loss, losses) or data.outputs != 1:
        return None
    values, counts = data.y.flatten().double().unique(return_counts=True)
    whole = bool((values == values.round()).all()) and float(values.min()) in (0.0, 1.0)
    if not (whole and 2 < len(values) <= MOST and int(counts.min()) >= OFTEN):
        return None
    if float(values.max() - values.min()) + 1 != len(values):
        return None
    figure = Figure("different targets", len(values), "all of them whole numbers in a row")
    sentence = (
        "The targets look like classes, and are learned as numbers: then the model is told that "
        "the first is closer to the second than to the third. If they are classes, say so."
    )
    words = "give y as integers, with a loss and outputs for classes, as cross-entropy"
    change = Change("classes as classes", otherwise=words)
    return Suspicion(sentence, (figure,), [change], 0.9, certain="possible")


CAUSE = Cause("classes taken for numbers", 20, "docs/ideas/losses.md", _suspect)
