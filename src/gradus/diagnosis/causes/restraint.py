"""The parameters are held back: by a weight decay or penalty that is too strong, or all frozen."""

from __future__ import annotations

from gradus.diagnosis.cause import LEAST_GAIN, Cause, Suspicion
from gradus.diagnosis.evidence import Evidence
from gradus.diagnosis.findings import Figure
from gradus.diagnosis.fork import Change, with_options
from gradus.engine.job import Job

WEAKER = 0.01
"""The factor by which a penalty is weakened first; then it is left out."""


def _decay(evidence: Evidence) -> Suspicion | None:
    decay = float(getattr(evidence.job.method, "weight_decay", 0.0) or 0.0)
    if evidence.end < LEAST_GAIN or decay == 0:
        return None
    changes = [_lower(evidence, decay * factor, decay) for factor in (WEAKER, 0.0)]
    figures = (Figure("weight decay", decay), *_shrinking(evidence))
    return Suspicion(_said("weight decay"), figures, changes, 0.5)


def _lower(evidence: Evidence, new: float, was: float) -> Change:
    said = f"weight decay {new:g} in place of {was:g}"
    if evidence.case.objects.method is None:
        return Change(said, {"weight_decay": new})

    def apply(job: Job) -> Job:
        return with_options(job, weight_decay=new)

    return Change(said, apply=apply, otherwise=f"give the method weight_decay={new:g}")


def _penalty(evidence: Evidence) -> Suspicion | None:
    spec = evidence.case.spec
    if evidence.end < LEAST_GAIN or not spec.strength:
        return None
    strength = float(spec.strength)
    changes = [
        Change(f"strength {new:g} in place of {strength:g}", {"strength": new})
        for new in (WEAKER * strength, 0.0)
    ]
    figures = (Figure("strength of the penalty", strength), *_shrinking(evidence))
    return Suspicion(_said("penalty"), figures, changes, 0.5)


def _shrinking(evidence: Evidence) -> tuple[Figure, ...]:
    """How long w is at the end, beside the beginning."""
    first, last = (float(evidence.sights[at].w.double().norm()) for at in (0, -1))
    if first == 0:
        return ()
    step = evidence.sights[-1].step
    return (Figure("length of w over that at the beginning", last / first, "", step),)


def _said(what: str) -> str:
    return (
        f"The {what} is too strong: it pulls the parameters towards 0 harder than the examples "
        "pull them away."
    )


def _frozen(evidence: Evidence) -> Suspicion | None:
    parameters = list(evidence.job.model.parameters())
    frozen = sum(p.numel() for p in parameters if not p.requires_grad)
    if evidence.end < LEAST_GAIN or not frozen:
        return None
    share = frozen / sum(p.numel() for p in parameters)
    change = Change(
        "all parameters free to move", apply=_free,
        otherwise="set requires_grad_(True) on the parameters of the model",
    )  # fmt: skip
    sentence = (
        "Parameters are frozen that have something to learn: requires_grad is False for them, and "
        "they stay as they began."
    )
    return Suspicion(
        sentence, (Figure("share of parameters that are frozen", share),), [change], 0.7
    )


def _free(job: Job) -> Job:
    job.model.requires_grad_(True)
    return job


CAUSES = (
    Cause("weight decay too strong", 40, "docs/ideas/regularization.md", _decay, "validation loss"),
    Cause("penalty too strong", 40, "docs/ideas/regularization.md", _penalty, "validation loss"),
    Cause("parameters frozen", 30, "docs/ideas/training.md", _frozen, "validation loss"),
)
