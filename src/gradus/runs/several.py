"""Several nets of one run, which differ in their seed and are averaged."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from torch import nn

from gradus.data.dataset import Dataset, Split
from gradus.engine import evaluate
from gradus.engine.job import Evaluation, Job, Judged, Outcome, Progress, Report, Tested
from gradus.models.average import Average
from gradus.runs.job import prepare
from gradus.runs.objects.given import NO_OBJECTS, Objects
from gradus.runs.seeds import seed_of
from gradus.runs.spec import RunSpec
from gradus.runs.start import Start


def train_others(
    spec: RunSpec,
    split: Split,
    first: Job,
    outcome: Outcome,
    execute: Callable[[Job, int, Report], Outcome],
    report: Report,
    start: Start | None,
    objects: Objects = NO_OBJECTS,
) -> tuple[nn.Module, Outcome]:
    """Train the other nets of a run, and average all.

    Args:
        spec: of the run.
        split: its data.
        first: the job of the first net, which has been trained.
        outcome: of it.
        execute: trains the job of a net of this number.
        report: told how it goes.
        start: what the nets begin with, where they go on from others.
        objects: of which the spec says only what identifies them.

    Returns:
        The average, and the outcome of the first net with the steps, samples, work and seconds of
        all, and the figures of the average. Where a net does not come to its end, that net and its
        outcome; where the user interrupts, the first net.
    """
    nets, outcomes = [first.model], [outcome]
    for net in range(1, spec.models):
        seeded = spec.model_copy(update={"seed": seed_of(spec.seed, net)})
        job = prepare(seeded, split, start, net, objects=objects)

        before = sum(each.samples for each in outcomes)

        def told(progress: Progress, net: int = net, before: int = before) -> object:
            step, samples = progress.step + net * first.steps, progress.samples + before
            return report(progress._replace(step=step, samples=samples, since=0, row=None))

        found = execute(job, net, told)
        if found.status == "interrupted":
            return first.model, replace(outcome, status="interrupted")
        if found.status != "finished":
            return job.model, replace(found, net=net + 1)
        nets.append(job.model)
        outcomes.append(found)
        if found.ended_by_observer:
            break
    average = Average((net.cpu() for net in nets), classes=first.train.classes is not None)
    averaged, tested = _judged(average.to(first.device), first, outcome)
    return average, replace(
        outcome,
        ended_by_observer=outcomes[-1].ended_by_observer,
        step=sum(each.step for each in outcomes),
        samples=sum(each.samples for each in outcomes),
        work=sum(each.work for each in outcomes),
        train_seconds=sum(each.train_seconds for each in outcomes),
        test_seconds=sum(each.test_seconds for each in outcomes),
        averaged=averaged,
        tested=tested,
        kept_epochs=tuple(each.kept_epoch for each in outcomes),
    )


def _judged(average: nn.Module, job: Job, outcome: Outcome) -> tuple[Evaluation, Tested]:
    """What the average is worth on each part."""
    outputs = evaluate.outputs_of(average)

    def judged(data: Dataset, part: str) -> Judged:
        given = data.to(device=job.device, dtype=job.dtype)
        return evaluate.judge(outputs, job.placed_loss, given, job.selection.score_on(part))

    tested = evaluate.test(
        outputs, job.placed_loss, job.test.to(device=job.device, dtype=job.dtype)
    )
    kept = next(row for row in outcome.evaluation if row.epoch == outcome.kept_epoch)
    train, test = judged(job.train.fixed_sample, "train"), judged(job.test, "test")
    measured = [train.measured, test.measured]
    final = kept._replace(
        train_loss=train.loss, test_loss=tested.loss, test_accuracy=tested.accuracy
    )
    if job.validation is not None:
        validation = judged(job.validation, "validation")
        measured.append(validation.measured)
        final = final._replace(
            validation_loss=validation.loss, validation_accuracy=validation.accuracy
        )
    final = final._replace(measured=next((each for each in measured if each is not None), None))
    return final, tested
