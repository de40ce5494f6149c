"""Classes of which some are so rare that they are not learned."""

from __future__ import annotations

import torch

from gradus.diagnosis.cause import Cause, Suspicion
from gradus.diagnosis.evidence import Evidence
from gradus.diagnosis.findings import Figure
from gradus.diagnosis.fork import Change
from gradus.engine.evaluate import outputs_on

RARE = 0.2
"""Of the share that all classes would have alike, below which one is rare."""

MISSED = 0.05
"""By so much the mean recall of the classes may be below the accuracy."""


def _unbalanced(evidence: Evidence) -> Suspicion | None:
    """Rare classes are missed, where the others are not."""
    data = evidence.job.train
    if data.classes is None or data.y.is_floating_point() or evidence.replay.status == "diverged":
        return None
    shares = torch.bincount(data.y, minlength=len(data.classes)).double() / len(data)
    rare = shares < RARE / len(data.classes)
    if not bool(rare.any()) or evidence.case.spec.class_weight:
        return None
    sight = evidence.sights[-1]
    held = evidence.case.sample(evidence.job.test, evidence.job.dtype)
    said = outputs_on(sight.model(evidence.job), held.to(device="cpu"))
    if said.ndim != 2 or said.shape[1] != len(data.classes):
        return None
    right = (said.argmax(dim=1) == held.y).double()
    recalls = torch.stack([right[held.y == label].mean() for label in held.y.unique(sorted=True)])
    accuracy, balanced = float(right.mean()), float(recalls.mean())
    if accuracy - balanced < MISSED:
        return None
    figures = (
        Figure("share of the rarest class", float(shares.min()), f"{1 / len(shares):.2g} if alike"),
        Figure("mean recall of the classes", balanced, f"the accuracy is {accuracy:.2g}"),
    )
    sentence = (
        "Some classes are so rare that the run hardly learns them, and the accuracy does not show "
        "it: whether they matter as much as the others, only you can say."
    )
    change = Change("each class counts alike", {"class_weight": "balanced"})
    return Suspicion(sentence, figures, [change], 0.8, certain="possible")


CAUSE = Cause("unbalanced classes", 10, "docs/ideas/losses.md", _unbalanced)
