"""How a worker trains a run, from a split in shared memory to its result."""

from __future__ import annotations

import math
import os
from bisect import insort
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import final

import torch

from gradus import kernels
from gradus.data.dataset import Split
from gradus.engine import choose, stacked
from gradus.engine.job import Job, Outcome, Progress, Report
from gradus.engine.snapshot import Course, Snapshot
from gradus.errors import InputError, NotPositiveDefiniteError
from gradus.runs import checkpoint
from gradus.runs.files import own_folder
from gradus.runs.job import prepare, resolved
from gradus.runs.judging import predictions_on_test
from gradus.runs.objects.given import NO_OBJECTS
from gradus.runs.record import Run
from gradus.runs.record_tables import HISTORY, evaluated, table
from gradus.runs.status import LineToBeat, line_to_beat
from gradus.runs.summary import summary_of
from gradus.sweep.kept import EVERY, MODELS
from gradus.sweep.measures import COMPLETE, FINISHED
from gradus.sweep.messages import CheckpointDamaged, FilesKept, Heartbeat, Task, WorkerMessage
from gradus.sweep.result import Result, Status, result_of


@final
class Trainer:
    """Trains the runs of a sweep one after another.

    Args:
        folder: of the sweep, in which every run under way has one of its own, and every one whose
            parameters are kept.
        send: sends a message to the scheduler.
        heartbeat: called at every step with a function that makes the heartbeat.
        carry: given the files of a run, where the folder is not that of the sweep.
    """

    def __init__(
        self,
        folder: Path,
        send: Callable[[WorkerMessage], None],
        heartbeat: Callable[[Callable[[], Heartbeat]], None],
        carry: Callable[[WorkerMessage], None] | None = None,
    ) -> None:
        self.carry = carry
        self.checkpoints, self.models = folder / "checkpoints", folder / MODELS
        self.send, self.heartbeat = send, heartbeat
        self._worths: list[float] = []
        self._splits: dict[int, Split] = {}
        self._variant = None if kernels.core() is None else kernels.variant()

    def hold(self, number: int, split: Split) -> None:
        """Keep a split, which tasks refer to by its number."""
        self._splits[number] = split

    def release(self, number: int) -> None:
        """Let go of a split."""
        del self._splits[number]

    def train(self, task: Task) -> Result:
        """Train a run or a part of it, from its checkpoint where it has one.

        Raises:
            InputError: the run cannot be trained.
            OSError: its checkpoint, or its record, cannot be written.
        """
        started = datetime.now(UTC)
        split, folder = self._splits[task.split], self.checkpoints / task.run
        with torch.random.fork_rng(devices=[]):
            job = prepare(task.spec, split)
            line = line_to_beat(job)
            engine, why = choose.chosen(task.spec.engine, job)
            since = self._since(folder, engine) if folder.exists() else None

            def keep(snapshot: Snapshot) -> None:
                checkpoint.write(folder, snapshot)
                self._carry(folder)

            course = Course(since, task.until, keep)
            try:
                outcome = choose.execute(engine, job, self._report(task), course)
            except NotPositiveDefiniteError as error:
                outcome = Outcome(status="stopped", stopped=str(error))
            except InputError as error:
                raise InputError(f"--method {task.spec.method}: {error}") from None
        if self.carry is not None:
            checkpoint.remove(folder)
        return self._result(task, job, outcome, line, _Execution(engine, why, started))

    def train_batch(self, tasks: Sequence[Task]) -> list[Result]:
        """Train runs stacked, as many at once as the memory of their device holds."""
        execution = _Execution("stacked", None, datetime.now(UTC))
        jobs = []
        for task in tasks:
            with torch.random.fork_rng(devices=[]):
                jobs.append(prepare(task.spec, self._splits[task.split]))
        lines = [line_to_beat(job) for job in jobs]
        outcomes: list[Outcome] = []
        for batch in _batches(jobs):
            first = len(outcomes)
            reports = [self._report(task) for task in tasks[first : first + len(batch)]]
            outcomes += stacked.execute(batch, reports)
        return [
            self._result(task, job, outcome, line, execution)
            for task, job, outcome, line in zip(tasks, jobs, outcomes, lines, strict=True)
        ]

    def _report(self, task: Task) -> Report:
        def report(progress: Progress) -> None:
            self.heartbeat(
                lambda: Heartbeat(
                    task.run, progress.epoch, progress.step, progress.samples, progress.loss
                )
            )

        return report

    def _result(
        self, task: Task, job: Job, outcome: Outcome, line: LineToBeat, execution: _Execution
    ) -> Result:
        status: Status = "stopped" if outcome.status == "interrupted" else outcome.status
        if line.failure(job, outcome):
            status = "failed"
        constant = line.constant.get("train")
        score, tested = job.selection.score, outcome.tested
        measured = None
        if score is not None and tested is not None:
            measured = score(tested.outputs, job.test.targets())
        result = result_of(
            task.run,
            task.spec,
            outcome,
            resolved=resolved(task.spec, self._splits[task.split]),
            status=status,
            engine=execution.engine,
            kernels=self._variant if execution.engine == "native" else None,
            constant_train_loss=None if constant is None else constant.loss,
            selection=job.selection,
            test_measured=measured,
        )
        if self._is_kept(task, result):
            self._keep(task, job, outcome, line, execution)
        return result

    def _is_kept(self, task: Task, result: Result) -> bool:
        """Whether a run is one of so many best that this worker has trained, and took its time."""
        if task.among == 0 or result.status not in COMPLETE:
            return False
        if task.among == EVERY:
            return True
        worth, short = result.worth, result.train_seconds < SHORT_SECONDS
        if result.status != FINISHED or worth is None or not math.isfinite(worth) or short:
            return False
        insort(self._worths, worth)
        del self._worths[task.among :]
        return worth <= self._worths[-1]

    def _keep(
        self, task: Task, job: Job, outcome: Outcome, line: LineToBeat, execution: _Execution
    ) -> None:
        """Write the record of a run, as `gradus train` does but for its picture."""
        split = self._splits[task.split]
        spec = resolved(task.spec, split)
        predictions = predictions_on_test(spec, split, job, outcome)
        summary = summary_of(
            *(spec, split, job, outcome, line),
            {
                "engine": execution.engine,
                "not_native": execution.why,
                "kernels": self._variant if execution.engine == "native" else None,
            },
            predictions=predictions,
            auto=task.spec.auto,
            origin=(),
            start=None,
            objects=NO_OBJECTS,
            load_seconds=0.0,
            started=execution.started,
        )
        run = Run(
            spec,
            summary,
            table(outcome.history, HISTORY),
            table(*evaluated(outcome.evaluation, job.selection)),
            trained=job.model.cpu().eval(),
            on_test=predictions,
            prepared=split.preparation,
        )
        record = run.save(own_folder(self.models) / task.run, drawn=False)
        if self.carry is not None:
            self._carry(record)
            checkpoint.remove(record)

    def _carry(self, folder: Path) -> None:
        if self.carry is not None:
            self.carry(FilesKept.of(folder))

    def _since(self, folder: Path, engine: str) -> Snapshot | None:
        found = checkpoint.read(folder, lambda message: self.send(CheckpointDamaged(message)))
        return None if found is None or found.engine != engine else found


SHORT_SECONDS = 1.0
"""A run of less is trained again sooner than the record of each that comes to lead is written."""


@dataclass(frozen=True)
class _Execution:
    """What executed a run.

    Attributes:
        engine: its name.
        why: why it was not the native one.
        started: when it began.
    """

    engine: str
    why: str | None
    started: datetime


SHARE_OF_MEMORY = 0.5
"""The share of the free memory of a device that one batch may take."""


def _batches(jobs: Sequence[Job]) -> list[list[Job]]:
    """The jobs in their order, in batches that fit into the memory of their device."""
    room = SHARE_OF_MEMORY * _free_memory(jobs[0].device)
    batches: list[list[Job]] = [[]]
    taken = 0
    for job in jobs:
        needed = stacked.memory([job])
        if batches[-1] and taken + needed > room:
            batches.append([])
            taken = 0
        batches[-1].append(job)
        taken += needed
    return batches


def _free_memory(device: torch.device) -> int:
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
