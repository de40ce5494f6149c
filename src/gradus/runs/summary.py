"""What run.json says of a run beside its spec: how it ended, its figures, and where it ran."""

from __future__ import annotations

import math
import os
import platform
from collections.abc import Mapping, Sequence
from datetime import datetime
from importlib.metadata import version
from typing import Any

import torch

from gradus._version import __version__
from gradus.data.dataset import Split
from gradus.data.streaming.order import StreamOrder
from gradus.engine import choose
from gradus.engine.job import Job, Outcome
from gradus.metrics.predictions import Predictions
from gradus.runs.importance import importance_of
from gradus.runs.job import prepare
from gradus.runs.judging import judged, target_names, targets_of
from gradus.runs.metrics import figures_of_metrics
from gradus.runs.objects.given import Objects
from gradus.runs.selection import figures
from gradus.runs.spec import RunSpec
from gradus.runs.start import Start
from gradus.runs.status import LineToBeat
from gradus.runs.thresholds import as_record

IN_OPTIONS = {
    "give damping": "give --damping",
    "saddle_free=True": "--saddle-free",
    "take NewtonCG": "take --method newton-cg",
    "take ProximalGradient": "take --method proximal-gradient",
}
"""What methods advise, and the options that say it."""


def summary_of(
    spec: RunSpec,
    split: Split,
    job: Job,
    outcome: Outcome,
    line: LineToBeat,
    executed: Mapping[str, str | int | None],
    *,
    predictions: Predictions | None,
    auto: Sequence[str],
    origin: Sequence[Mapping[str, Any]],
    rate: Mapping[str, Any] | None = None,
    start: Start | None,
    objects: Objects,
    load_seconds: float,
    started: datetime,
) -> dict[str, Any]:
    """The content of run.json but for the spec.

    Args:
        spec: of the run.
        split: its data.
        job: what was run, its model as the run left it.
        outcome: what the engine recorded.
        line: what the run is held against.
        executed: the engine, why it was not the native one, the variant of the kernels, and by how
            many processes.
        predictions: on the test part, where the run left parameters that give any.
        auto: the options that were not given and follow from the data being a table.
        origin: the runs that it goes on from.
        rate: how its learning rate was found, where it was not given.
        start: what it began with, where that was another's.
        objects: of which the spec says only what identifies them.
        load_seconds: how long it took until the first step.
        started: when.
    """
    targets = targets_of(split, spec.quantile)
    judgement = judged(predictions, targets, "test")
    if own := figures_of_metrics(outcome, (judgement["figures"] or {}).get("test")):
        judgement["figures"]["test"] |= own
    failure, hint = line.failure(job, outcome), None
    if failure or outcome.divergence:
        from gradus.runs.advice import advice

        with torch.random.fork_rng():
            begun = prepare(spec, split, start, objects=objects)
            end = math.inf if failure is None else failure["train_loss"]
            hint = advice(spec, split, begun, beginning=line.beginning, end=end)
    return {
        "status": "failed" if failure else outcome.status,
        **executed,
        "times_native": choose.times_native(job) if executed["not_native"] else None,
        "device": _device_name(job.device),
        "log_every": job.log_every,
        "steps": outcome.step,
        "samples": outcome.samples,
        "work": outcome.work,
        "ended_by_observer": outcome.ended_by_observer,
        "constant": line.figures,
        **figures(job, outcome),
        **judgement,
        "threshold": as_record(getattr(predictions, "threshold", None), split.train.classes),
        "importance": [each.as_record() for each in importance_of(spec, split, job, predictions)],
        "stopped": outcome.stopped and as_options(outcome.stopped),
        "divergence": outcome.divergence and {**outcome.divergence._asdict(), "hint": hint},
        "failure": failure and {**failure, "hint": hint},
        "data": {
            "description": split.description,
            "task": split.task,
            "train": split.trains,
            "validation": 0 if split.validation is None else len(split.validation),
            "test": len(split.test),
            "input_shape": split.train.input_shape,
            "outputs": split.train.outputs,
            "classes": split.train.classes,
            "features": split.features,
            "target_names": None if split.train.classes else target_names(split),
            **targets,
            "columns": [treatment._asdict() for treatment in split.treatments],
            "notes": list(split.notes),
        },
        "auto": {name: getattr(spec, name) for name in auto},
        "objects": objects.record,
        "nets": len(outcome.kept_epochs) or 1,
        "kept_epochs": list(outcome.kept_epochs) or None,
        "history_of_net": outcome.net if spec.models > 1 else None,
        "origin": list(origin),
        "learning_rate": rate,
        "parameters": sum(p.numel() for p in job.model.parameters()),
        "zeros": sum(int((p == 0).sum()) for p in job.model.parameters()),
        "timings": _timings(job, outcome, load_seconds=load_seconds),
        "started": started.isoformat(timespec="seconds"),
        "versions": {
            "gradus": __version__,
            "python": platform.python_version(),
            "torch": torch.__version__,
            "numpy": version("numpy"),
        },
        "machine": {
            "platform": platform.platform(),
            "processors": os.cpu_count(),
            "threads": torch.get_num_threads(),
        },
    }


def as_options(advised: str) -> str:
    """What a method advises, in the words of the command line."""
    for said, option in IN_OPTIONS.items():
        advised = advised.replace(said, option)
    return advised


def _timings(job: Job, outcome: Outcome, *, load_seconds: float) -> Mapping[str, float]:
    order = job.sampling
    waiting = {"waiting_seconds": order.waiting.seconds} if isinstance(order, StreamOrder) else {}
    return {
        "load_seconds": load_seconds,
        "train_seconds": outcome.train_seconds,
        "test_seconds": outcome.test_seconds,
        "samples_per_second": outcome.samples_per_second,
        **waiting,
    }


def _device_name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"
