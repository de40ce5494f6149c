"""How a worker trains a run, from a split in shared memory to its result."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
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
from gradus.runs.job import prepare, resolved
from gradus.runs.status import LineToBeat, line_to_beat
from gradus.sweep.messages import CheckpointDamaged, Heartbeat, ShareSplit, Task, WorkerMessage
from gradus.sweep.result import Result, Status, result_of
from gradus.sweep.shared_memory import attach


@final
class Trainer:
    """Trains the runs of a sweep one after another.

    Args:
        checkpoints: the folder in which every run has one of its own.
        send: sends a message to the scheduler.
        heartbeat: called at every step with a function that makes the heartbeat.
    """

    def __init__(
        self,
        checkpoints: Path,
        send: Callable[[WorkerMessage], None],
        heartbeat: Callable[[Callable[[], Heartbeat]], None],
    ) -> None:
        self.checkpoints, self.send, self.heartbeat = checkpoints, send, heartbeat
        self._splits: dict[int, Split] = {}
        self._variant = None if kernels.core() is None else kernels.variant()

    def attach(self, shared: ShareSplit, descriptor: int) -> None:
        """Map a split, which tasks refer to by its number."""
        self._splits[shared.number] = attach(descriptor, shared.size, shared.split)

    def release(self, number: int) -> None:
        """Unmap a split."""
        del self._splits[number]

    def train(self, task: Task) -> Result:
        """Train a run or a part of it, from its checkpoint where it has one.

        Raises:
            InputError: the run cannot be trained.
            OSError: its checkpoint cannot be written.
        """
        split, folder = self._splits[task.split], self.checkpoints / task.run
        with torch.random.fork_rng(devices=[]):
            job = prepare(task.spec, split)
            line = line_to_beat(job)
            engine, _ = choose.chosen(task.spec.engine, job)
            since = self._since(folder, engine) if folder.exists() else None

            def keep(snapshot: Snapshot) -> None:
                checkpoint.write(folder, snapshot)

            course = Course(since, task.until, keep)
            try:
                outcome = choose.execute(engine, job, self._report(task), course)
            except NotPositiveDefiniteError as error:
                outcome = Outcome(status="stopped", stopped=str(error))
            except InputError as error:
                raise InputError(f"--method {task.spec.method}: {error}") from None
        return self._result(task, job, outcome, line, engine)

    def train_batch(self, tasks: Sequence[Task]) -> list[Result]:
        """Train runs stacked, as many at once as the memory of their device holds."""
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
            self._result(task, job, outcome, line, "stacked")
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
        self, task: Task, job: Job, outcome: Outcome, line: LineToBeat, engine: str
    ) -> Result:
        status: Status = "stopped" if outcome.status == "interrupted" else outcome.status
        if line.failure(job, outcome):
            status = "failed"
        constant = line.constant.get("train")
        score, tested = job.selection.score, outcome.tested
        measured = None
        if score is not None and tested is not None:
            measured = score(tested.outputs, job.test.targets())
        return result_of(
            task.run,
            task.spec,
            outcome,
            status=status,
            loss=resolved(task.spec, self._splits[task.split]).loss,
            engine=engine,
            kernels=self._variant if engine == "native" else None,
            constant_train_loss=None if constant is None else constant.loss,
            selection=job.selection,
            test_measured=measured,
        )

    def _since(self, folder: Path, engine: str) -> Snapshot | None:
        found = checkpoint.read(folder, lambda message: self.send(CheckpointDamaged(message)))
        return None if found is None or found.engine != engine else found


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
