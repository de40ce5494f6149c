"""The batch is too large for the number of epochs, or too small for the noise of the gradient."""

from __future__ import annotations

from dataclasses import replace

from gradus.diagnosis.cause import LEAST_GAIN, Cause, Suspicion
from gradus.diagnosis.evidence import Evidence
from gradus.diagnosis.findings import Figure
from gradus.diagnosis.fork import Change
from gradus.engine.job import Job
from gradus.runs.spec import RunSpec

FEW_STEPS = 300
"""A run of more steps has not too few of them for its batches."""

SMALL = 8
"""Batches that may be too small."""

NOISIER = 8.0
"""So many times as large as the batch the noise scale has to be for that."""

LITTLE_LEARNED = 0.3


def _large(evidence: Evidence) -> Suspicion | None:
    spec, steps = evidence.case.spec, evidence.job.steps
    size = _size(spec)
    if evidence.end < LITTLE_LEARNED or size is None or steps > FEW_STEPS or size < 64:
        return None
    if evidence.status == "diverged":
        return None
    changes = [
        _change(spec, size, max(1, size // times)) for times in (4, 16, 64) if size // times >= 8
    ]
    if not changes:
        return None
    figure = Figure("steps of the run", steps, f"from {size:,} examples each")
    sentence = (
        "The batch is too large: so few steps are taken in the epochs that are given that they do "
        "not arrive."
    )
    return Suspicion(sentence, (figure,), changes, 0.45)


def _small(evidence: Evidence) -> Suspicion | None:
    spec = evidence.case.spec
    size = _size(spec)
    if evidence.end < LEAST_GAIN or size is None or size > SMALL:
        return None
    scale = evidence.noise
    if scale is None or scale < NOISIER * size:
        return None
    n = len(evidence.job.train)
    changes = [_change(spec, size, size * times) for times in (4, 16) if size * times <= n // 4]
    if not changes:
        return None
    figure = Figure("noise scale of the gradient, in examples", scale, f"a batch has {size}")
    sentence = (
        "The batch is too small for the learning rate: the gradient of so few examples is mostly "
        "noise, and the steps wander."
    )
    return Suspicion(sentence, (figure,), changes, 0.45)


def _size(spec: RunSpec) -> int | None:
    """Examples of a step, however many of them are taken at once."""
    return None if spec.batch_size is None else spec.batch_size * spec.accumulate


def _change(spec: RunSpec, size: int, new: int) -> Change:
    def apply(job: Job) -> Job:
        return replace(job, sampling=replace(job.sampling, batch_size=min(new, job.sampling.n)))

    options = {"batch_size": new} | ({"accumulate": 1} if spec.accumulate > 1 else {})
    return Change(f"batches of {new} in place of {size}", options, apply)


CAUSES = (
    Cause("batch too large", 45, "docs/ideas/variance.md", _large),
    Cause("batch too small", 45, "docs/ideas/variance.md", _small),
)
