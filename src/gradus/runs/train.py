"""How a run is trained: from its spec to its record."""

from __future__ import annotations

import logging
import os
import tempfile
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, ParamSpec, TypeVar

import torch

from gradus import kernels
from gradus.data.dataset import Split
from gradus.data.streaming import USUAL_CACHE, Cache
from gradus.engine import choose, parallel
from gradus.engine.job import Job, Observe, Report
from gradus.engine.snapshot import WHOLE_RUN, Course
from gradus.errors import InputError, ProcessLostError
from gradus.models.own import is_users
from gradus.runs import checkpoint, log_probabilities
from gradus.runs.executing import execute, told_apart
from gradus.runs.further import Further
from gradus.runs.interrupt import OneInterrupt
from gradus.runs.job import check_batch, load_for, prepare, resolved, streamed_if_long
from gradus.runs.judging import predictions_on_test
from gradus.runs.lock import locked
from gradus.runs.objects.given import NO_OBJECTS, Objects
from gradus.runs.parts.method import AUTO
from gradus.runs.processes.taking_part import follows, is_restarted, taking_part
from gradus.runs.record import Run
from gradus.runs.record_files import check_apart, in_the_way
from gradus.runs.record_tables import HISTORY, evaluated, table
from gradus.runs.several import check_rows, loss_at_the_beginning, train_others
from gradus.runs.spec import RunSpec
from gradus.runs.standing import CHECKPOINT, Engine, Standing
from gradus.runs.start import Start, read_start, start_of
from gradus.runs.status import line_to_beat
from gradus.runs.summary import summary_of
from gradus.runs.words import as_call

if TYPE_CHECKING:
    from gradus.data.streaming.passes import Watch
    from gradus.runs.callbacks import Callbacks
    from gradus.runs.processes.group import Processes

Given = ParamSpec("Given")
Result = TypeVar("Result")
Observer = Callable[[Job, Split], Observe]
Shown = Callable[[Job, Split], Report]
Tell = Callable[[str], None]


def _logged(message: str) -> None:
    logging.getLogger("gradus").info(as_call(message))


def _warned(message: str) -> None:
    logging.getLogger("gradus").warning(as_call(message))


LOG: Tell = _logged
"""Where nobody else is told, lines go: who configures ``logging`` for them sees them."""

Finding = Callable[[str, int, int], None]


def as_warning(tell: Tell) -> Tell:
    """The same for what is likely wrong: where nobody else is told, it is logged as a warning."""
    return _warned if tell is LOG else tell


def train(
    spec: RunSpec,
    *,
    out: str | os.PathLike[str] | None = None,
    overwrite: bool = False,
    keep_state: bool = True,
    start: Run | None = None,
    freeze: Sequence[str] = (),
    data_dir: str | os.PathLike[str] | None = None,
    observe: Observer | None = None,
    progress: Shown | None = None,
    objects: Objects = NO_OBJECTS,
    callbacks: Callbacks | None = None,
    tell: Tell = LOG,
    finding: Finding = lambda what, done, of: None,
    cache: Cache = USUAL_CACHE,
    reading: Watch = lambda what, done, of: None,
    processes: int | None = 1,
    given: Collection[str] | None = None,
) -> Run:
    """Train what the spec says and keep its record: :func:`gradus.train`, in the words of flags.

    Its arguments are those of that, but for ``objects``, those of which the spec says only what
    identifies them; ``callbacks``, which are one; ``finding``, which is told how far the search is
    where the learning rate is ``auto``; ``reading``, which is told how far the passes over a table
    are that is streamed; and ``given``, the options that were given, where the spec was made of
    them: what stands in it beside these may follow from the model and the data. None: the spec
    says all.

    Raises:
        InputError: the data, the model or the folder cannot be had as the spec says, or the method
            cannot take its first step.
        TypeError: the spec is not a RunSpec.
    """
    if not isinstance(spec, RunSpec):
        raise TypeError(f"spec must be a RunSpec, as RunSpec(data='digits'), not {spec!r}")
    folder = None if out is None or follows(processes) else Path(out)
    objects = objects.named_by(spec)
    objects.check(spec)
    usual = None
    if given is not None and "lr" not in given and is_users(spec.model):
        from gradus.runs.learning_rate.left_open import is_left_open

        if is_left_open(spec, objects, given):
            usual, spec = spec.lr, spec.model_copy(update={"lr": AUTO})
    seen = Seen(
        *(data_dir, observe, progress, tell, callbacks, finding, cache, reading, processes),
        given=frozenset(given or ()),
        usual_rate=usual,
    )
    begins = None
    if processes != 1 and is_restarted():
        if folder is None:
            return train_in(None, None, seen, objects=objects)
        if checkpoint.begun(folder / CHECKPOINT) is not None:
            from gradus.runs.resume import resume

            return resume(
                folder,
                keep_state=keep_state,
                trust=True,  # what the run names was named by this call as well
                data_dir=data_dir,
                observe=observe,
                progress=progress,
                tell=tell,
                objects=objects,
                callbacks=callbacks,
                processes=processes,
            )
    if start is not None:
        spec, begins = start_of(start, spec, freeze)
    elif freeze:
        raise InputError(f"--freeze {','.join(freeze)}: is for a run that goes on: give --from RUN")
    if folder is None:
        return train_in(spec, None, seen, start=begins, objects=objects)
    if folder.is_file():
        raise InputError(f"--out {folder}: cannot be written: it is a file, not a folder")
    check_apart(folder, spec.data, "--out ")
    if not overwrite:
        held = in_the_way(folder)
        if held != "run.json" and checkpoint.begun(folder / CHECKPOINT) is not None:
            raise InputError(
                f"--out {folder}: holds a run that was broken off; go on with --resume {folder}, "
                "give another --out, or add --overwrite"
            )
        if held is not None:
            held = "a run" if held == "run.json" else held
            raise InputError(
                f"--out {folder}: holds {held} already; give another or add --overwrite"
            )
    with _made(folder), locked(folder, f"{CHECKPOINT}/lock"):
        return train_in(spec, folder, seen, start=begins, keep_state=keep_state, objects=objects)


class Seen(NamedTuple):
    """What a call says beside the spec; see `train` and `resume`."""

    data_dir: str | os.PathLike[str] | None
    observe: Observer | None
    progress: Shown | None
    tell: Tell
    callbacks: Callbacks | None
    finding: Finding = lambda what, done, of: None
    cache: Cache = USUAL_CACHE
    reading: Watch = lambda what, done, of: None
    processes: int | None = 1
    given: Collection[str] = ()
    usual_rate: float | None = None
    """The default in place of a learning rate that is to be found though nobody asked for it."""


def train_in(
    spec: RunSpec | None,
    folder: Path | None,
    seen: Seen,
    *,
    goes_on: bool = False,
    more: Further | None = None,
    start: Start | None = None,
    keep_state: bool = False,
    objects: Objects = NO_OBJECTS,
) -> Run:
    """Train a run, or the rest of it, and keep its record in a folder that is locked.

    Without a spec it is the run that another process trains.
    """
    moving = None if seen.callbacks is None else seen.callbacks.of_schedulers
    handed: dict[str, Any] = {"data_dir": seen.data_dir, "objects": objects, "callbacks": moving}
    try:
        with taking_part(seen.processes, handed) as together:
            if together is not None and together.rank > 0:
                return join(together, spec, **handed)
            assert spec is not None
            return _trained(
                *(spec, folder, seen, together),
                goes_on=goes_on,
                more=more,
                start=start,
                keep_state=keep_state,
                objects=objects,
            )
    except ProcessLostError as error:
        if folder is None or checkpoint.begun(folder / CHECKPOINT) is None:
            raise
        raise ProcessLostError(
            f"{error}; go on with --resume {folder}, by any number of processes"
        ) from None


def join(
    processes: Processes,
    spec: RunSpec | None = None,
    *,
    data_dir: str | os.PathLike[str] | None = None,
    objects: Objects = NO_OBJECTS,
    callbacks: Callbacks | None = None,
) -> Run:
    """Train with others the run that the first of them keeps the record of.

    Args:
        processes: they.
        spec: what this one was asked for; None: what the first was.
        data_dir: as for ``train``.
        objects: likewise.
        callbacks: those that move the run.
    """
    seen = Seen(data_dir, None, None, lambda message: None, callbacks)
    return _trained(spec, None, seen, processes, objects=objects)


def _trained(
    spec: RunSpec | None,
    folder: Path | None,
    seen: Seen,
    together: Processes | None,
    *,
    goes_on: bool = False,
    more: Further | None = None,
    start: Start | None = None,
    keep_state: bool = False,
    objects: Objects = NO_OBJECTS,
) -> Run:
    """The run of this process, alone or together with others."""
    began, started = time.perf_counter(), datetime.now(UTC)
    if folder is not None and (goes_on or more is not None):
        start = read_start(folder / CHECKPOINT if more is None else more.state)
    if together is not None:
        from gradus.runs.processes import agreement

        spec, start = agreement.on_run(together, spec, start)
    assert spec is not None
    if not goes_on and more is None:
        spec = streamed_if_long(spec, objects, seen.tell)
    preparation = None if start is None else start.preparation
    split = load_for(
        *(spec, seen.data_dir, preparation, objects), cache=seen.cache, watch=seen.reading
    )
    if together is not None:
        agreement.on_data(together, checkpoint.digest(split))
    rate: Mapping[str, Any] | None = None
    with torch.random.fork_rng():
        if spec.lr == AUTO:
            lr = None
            if together is None or together.rank == 0:
                rate, lr = _found(spec, split, start, objects, seen)
            lr = lr if together is None else agreement.on_rate(together, lr)
            spec = spec.model_copy(update={"lr": lr})
        job = prepare(spec, split, start, objects=objects)
        auto = spec.auto if more is None else more.auto
        if more is None and not goes_on:
            check_batch(spec, split, seen.given, seen.tell)
        spec = resolved(spec, split)
        check_rows(spec, split)
        variant = None if kernels.core() is None else kernels.variant()
        callbacks = seen.callbacks
        job = job if callbacks is None else callbacks.moved(job)
        if together is not None:
            from gradus.runs.processes.group import device_of

            job = replace(job, together=together, device=device_of(job.device, together))
        parallel.check(job)
        if (remark := parallel.remark(job)) is not None:
            seen.tell(remark)
        if more is None and not goes_on and (unfit := log_probabilities.remark(job)) is not None:
            as_warning(seen.tell)(unfit)
        engine, why = choose.chosen(spec.engine, job)
        if callbacks is not None:
            engine, why = callbacks.choose(spec.engine, engine, why)
        if why is not None and more is None and not goes_on:
            seen.tell(choose.costs(why, job))
        standing = None
        if folder is not None:
            kept = folder / CHECKPOINT if more is None else more.state
            if spec.engine == "auto" and engine == "native" and (goes_on or more is not None):
                # Several processes may have begun it.
                was_eager = checkpoint.engine_of(kept) == "eager"
                engine, why = (
                    ("eager", "it was begun on that engine") if was_eager else (engine, why)
                )
            standing = Standing(
                folder,
                Engine(engine, why),
                epochs=spec.epochs,
                keep_state=keep_state,
                tell=seen.tell,
                objects=objects.record,
            )
            if more is not None:
                standing.go_further(more, job, spec, split, start)
            elif goes_on:
                standing.go_on(spec, split, start)
            else:
                standing.begin(spec, split, start, rate)
        origin = () if start is None else start.origin
        origin = origin if standing is None else tuple(standing.origin)
        rate = rate if standing is None else standing.rate
        observe = (
            None
            if seen.observe is None
            else told_apart(_function("observe", seen.observe(job, split)))
        )

        def course(net: int, job: Job) -> Course:
            whole = WHOLE_RUN if standing is None else standing.course(net)
            whole = replace(whole, observe=observe)
            if callbacks is not None and callbacks.given:
                whole = callbacks.course(whole, spec, job, told_apart)
            return whole if together is None else agreement.on_course(together, whole)

        shown = seen.progress
        report: Report = lambda progress: None  # noqa: E731
        if shown is not None:
            report = _function("progress", shown(job, split))
        line = line_to_beat(job, continued=start is not None)
        loaded = time.perf_counter()
        with OneInterrupt() as interrupts:
            outcome = execute(spec, engine, job, report, course(0, job))
            if spec.models > 1 and outcome.status == "finished" and not outcome.ended_by_observer:
                model, outcome = train_others(
                    *(spec, split, job, outcome),
                    lambda other, net, told: execute(
                        *(spec, engine, replace(other, together=together, device=job.device)),
                        *(told, course(net, other)),
                    ),
                    report,
                    start,
                    objects,
                    watched=observe is not None,
                )
                if outcome.averaged is not None:
                    nets = len(outcome.kept_epochs)
                    beginning = loss_at_the_beginning(spec, split, job, nets, start, objects)
                    line = replace(line, beginning=beginning)
                job = replace(job, model=model)
            interrupts.close()
            executed = {
                "engine": engine,
                "not_native": why,
                "kernels": variant,
                "processes": 1 if together is None else together.size,
            }
            predictions = predictions_on_test(spec, split, job, outcome)
            summary = summary_of(
                *(spec, split, job, outcome, line, executed),
                predictions=predictions,
                auto=auto,
                origin=origin,
                rate=rate,
                start=start,
                objects=objects,
                load_seconds=loaded - began,
                started=started,
            )
            run = Run(
                spec,
                summary,
                table(outcome.history, HISTORY),
                table(*evaluated(outcome.evaluation, job.selection)),
                folder,
                job.model.cpu().eval(),
                on_test=predictions,
                prepared=split.preparation,
                objects=objects,
            )
            if folder is not None and standing is not None:
                run.save(folder)
                if run.status != "interrupted":
                    standing.close(ended_well=outcome.status == "finished")
    if callbacks is not None:
        callbacks.call("on_end", run)
    return run


def _found(
    spec: RunSpec, split: Split, start: Start | None, objects: Objects, seen: Seen
) -> tuple[Mapping[str, Any] | None, float]:
    """How the learning rate was found that the spec leaves open, and the rate."""
    if seen.usual_rate is None:
        from gradus.runs.learning_rate.automatic import found_for

        found = found_for(spec, split, start, objects, seen.finding)
        return found.record(), found.lr
    from gradus.runs.learning_rate.left_open import rate_for

    return rate_for(
        *(spec, split, start, objects),
        usual=seen.usual_rate,
        finding=seen.finding,
        tell=as_warning(seen.tell),
    )


def _function(name: str, given: Callable[Given, Result]) -> Callable[Given, Result]:
    """What an observer gave, which is called as the run goes on."""
    if not callable(given):
        raise InputError(
            f"{name}: gave a {type(given).__name__} for the job and the data, where a function of "
            "where the run stands is taken"
        )
    return given


@contextmanager
def _made(folder: Path) -> Iterator[None]:
    """The folder, which is removed again where nothing comes to stand in it."""
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    _check_writable(folder)
    try:
        yield
    except BaseException:
        if checkpoint.begun(folder / CHECKPOINT) is None:
            checkpoint.remove(folder / CHECKPOINT)
            for path in missing:
                with suppress(OSError):
                    path.rmdir()
        raise


def _check_writable(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise InputError(f"--out {folder}: cannot be written: {error.strerror}") from None
