"""Several nets of one run, which differ in their seed and are averaged."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from torch import nn

from gradus.data.dataset import Dataset, Split
from gradus.data.partition import check_turns, in_turn
from gradus.engine import evaluate
from gradus.engine.job import Evaluation, Job, Judged, Outcome, Part, Progress, Report, Tested
from gradus.models.average import Average
from gradus.runs.job import prepare
from gradus.runs.judging import labels_of
from gradus.runs.objects.given import NO_OBJECTS, Objects
from gradus.runs.seeds import seed_of
from gradus.runs.spec import RunSpec
from gradus.runs.start import Start
from gradus.runs.status import training_loss
from gradus.runs.table_defaults import is_table


def train_others(
    spec: RunSpec,
    split: Split,
    first: Job,
    outcome: Outcome,
    execute: Callable[[Job, int, Report], Outcome],
    report: Report,
    start: Start | None,
    objects: Objects = NO_OBJECTS,
    *,
    watched: bool = False,
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
        watched: whether somebody is shown the figures of every net after every epoch. The record
            has those of the first: of the others no more is measured than they are chosen by.

    Returns:
        The average, and the outcome of the first net with the steps, samples, work and seconds of
        all, and the figures of the average. Where a net does not come to its end, that net and its
        outcome; where the user interrupts, the first net.
    """
    nets, outcomes = [first.model], [outcome]
    for net in range(1, spec.models):
        job = prepare(_seeded(spec, net), split_of(spec, split, net), start, net, objects=objects)
        chosen_by = job.selection.measure or ""
        job = replace(job, measured=watched or not chosen_by.startswith("validation"))

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
    apart = takes_turns(spec, split)
    averaged, tested = _judged(average.to(first.device), first, outcomes, apart=apart)
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


def loss_at_the_beginning(
    spec: RunSpec,
    split: Split,
    first: Job,
    nets: int,
    start: Start | None,
    objects: Objects = NO_OBJECTS,
) -> float:
    """The training loss of the average of so many nets before their first steps.

    It is measured on the rows on which the average is judged at the end: those of the first net.
    """
    with torch.random.fork_rng():
        begun = [
            prepare(_seeded(spec, net), split, start, net, objects=objects).model
            for net in range(nets)
        ]
    return training_loss(first, Average(begun, classes=first.train.classes is not None))


def _seeded(spec: RunSpec, net: int) -> RunSpec:
    return spec.model_copy(update={"seed": seed_of(spec.seed, net)})


def takes_turns(spec: RunSpec, split: Split) -> bool:
    """Whether each net of a run holds other rows for validation.

    Not where which they are has a meaning: the last ones, or those of some groups; nor where the
    nets are not chosen by them.
    """
    measure = spec.measure or "validation-loss"
    return (
        is_table(spec.data)
        and split.validation is not None
        and "validation" not in split.apart
        and (spec.split, spec.group) == ("random", None)
        and measure.startswith("validation")
    )


def check_rows(spec: RunSpec, split: Split) -> None:
    """Refuse data of which not every net can learn and hold a part.

    Raises:
        InputError: they hold too few rows.
    """
    if takes_turns(spec, split) and split.validation is not None:
        check_turns(len(split.train), len(split.validation), spec.models)


def split_of(spec: RunSpec, split: Split, net: int) -> Split:
    """What a net learns from and is chosen on; all are tested on the same rows.

    Args:
        spec: of the run.
        split: the data of its first net.
        net: its number.
    """
    if net == 0 or not takes_turns(spec, split):
        return split
    train, validation = split.train, split.validation
    assert validation is not None
    labels = None if train.classes is None else labels_of(train.y)
    learned, chosen_on = in_turn(train, validation, net, spec.split_seed, labels)
    return replace(split, train=learned, validation=chosen_on)


def _judged(
    average: nn.Module, job: Job, outcomes: Sequence[Outcome], *, apart: bool
) -> tuple[Evaluation, Tested]:
    """What the average is worth on each part.

    Args:
        average: of the nets.
        job: of the first net.
        outcomes: of all nets.
        apart: whether each net has a validation part of its own, of which others have seen rows:
            then the figures of that part are means of what each net is worth there.
    """
    outputs = evaluate.outputs_of(average)

    def judged(data: Dataset, part: Part) -> Judged:
        given = data.to(device=job.device, dtype=job.dtype)
        how = job.selection.score_on(part), job.metrics_on(part)
        return evaluate.judge(outputs, job.placed_loss, given, *how)

    tested = evaluate.test(
        outputs, job.placed_loss, job.test.to(device=job.device, dtype=job.dtype), job.metrics
    )
    rows = [
        next(row for row in outcome.evaluation if row.epoch == outcome.kept_epoch)
        for outcome in outcomes
    ]
    train, test = judged(job.train.fixed_sample, "train"), judged(job.test, "test")
    measured = [train.measured, test.measured]
    metrics = {f"test_{name}": value for name, value in tested.metrics.items()}
    final = rows[0]._replace(
        train_loss=train.loss, test_loss=tested.loss, test_accuracy=tested.accuracy
    )
    if job.validation is not None:
        validation = _means(rows) if apart else judged(job.validation, "validation")
        measured.append(validation.measured)
        metrics |= {f"validation_{name}": value for name, value in validation.metrics.items()}
        final = final._replace(
            validation_loss=validation.loss, validation_accuracy=validation.accuracy
        )
    first = next((each for each in measured if each is not None), None)
    return final._replace(measured=first, metrics=metrics), tested


def _means(rows: Sequence[Evaluation]) -> Judged:
    """What is said of the validation part, as means over the rows of several nets."""

    def mean(found: list[float | None]) -> float | None:
        known = [each for each in found if each is not None]
        return sum(known) / len(known) if len(known) == len(found) else None

    loss = mean([row.validation_loss for row in rows])
    assert loss is not None
    part = "validation_"
    metrics = {
        name.removeprefix(part): mean([row.metrics[name] for row in rows])
        for name in rows[0].metrics
        if name.startswith(part)
    }
    accuracy = mean([row.validation_accuracy for row in rows])
    return Judged(loss, accuracy, mean([row.measured for row in rows]), metrics)
