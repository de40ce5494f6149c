"""How a run is trained: from its spec to its record."""

from __future__ import annotations

import os
import platform
import tempfile
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import torch
from torch import nn

from gradus import kernels
from gradus._version import __version__
from gradus.data.dataset import Split
from gradus.data.load import load
from gradus.data.sampling import Sampling
from gradus.engine import choose
from gradus.engine.job import Divergence, Job, Outcome, Progress, Report
from gradus.errors import InputError
from gradus.models.networks import build
from gradus.runs.interrupt import OneInterrupt
from gradus.runs.record import EVALUATION, HISTORY, Run, in_the_way, table
from gradus.runs.spec import RunSpec

ADVICE = {
    "give damping": "give --damping",
    "saddle_free=True": "--saddle-free",
    "take NewtonCG": "take --method newton-cg",
    "take ProximalGradient": "take --method proximal-gradient",
}
"""What methods advise, and the options that say it."""

Observer = Callable[[Job, Split], Callable[[Progress], None]]


def train(
    spec: RunSpec,
    *,
    out: str | os.PathLike[str] | None = None,
    overwrite: bool = False,
    data_dir: str | os.PathLike[str] | None = None,
    observe: Observer | None = None,
) -> Run:
    """Train what the spec says and keep its record.

    The global random state is left as it was. A run that diverges, whose method cannot take its
    next step, or that is interrupted from the keyboard, is returned with what was recorded until
    then; ``status`` says so.

    Args:
        spec: what determines the run.
        out: the folder of the record; None keeps it in memory only.
        overwrite: replace the record that the folder holds.
        data_dir: where data sets that are not embedded are looked for first.
        observe: called once with the job and the data, before the first step; what it returns is
            called after every step.

    Returns:
        The run: ``.history``, ``.evaluation``, ``.summary``, ``.model``, ``.plot()``.

    Raises:
        InputError: the data, the model or the folder cannot be had as the spec says, or the method
            cannot take its first step.
        TypeError: the spec is not a RunSpec.

    Example:
        >>> import gradus
        >>> run = gradus.train(gradus.RunSpec(data="digits", method="adam", epochs=2))
        >>> run.summary["final"]["test_accuracy"] > 0.8
        True
    """
    if not isinstance(spec, RunSpec):
        raise TypeError(f"spec must be a RunSpec, as RunSpec(data='digits'), not {spec!r}")
    began, started = time.perf_counter(), datetime.now(UTC)
    folder = None if out is None else Path(out)
    if folder is not None and not overwrite and (name := in_the_way(folder)):
        held = "a run" if name == "run.json" else name
        raise InputError(f"--out {folder}: holds {held} already; give another or add --overwrite")
    split = load(
        spec.data,
        target=spec.target,
        loss=spec.loss,
        missing=spec.missing,
        standardize=spec.standardize,
        test_fraction=spec.test_fraction,
        categorical=spec.categorical,
        drop=spec.drop,
        seed=spec.seed,
        data_dir=None if data_dir is None else Path(data_dir),
    )
    if spec.loss is None:
        usual = {"classification": "cross-entropy", "regression": "mse"}[split.task]
        spec = spec.model_copy(update={"loss": usual})
    with torch.random.fork_rng():
        torch.manual_seed(spec.seed)
        job = _job(spec, split)
        variant = None if kernels.core() is None else kernels.variant()
        engine, why = choose.chosen(spec.engine, job)
        if folder is not None:
            _check_writable(folder)
        report = observe(job, split) if observe is not None else lambda progress: None
        loaded = time.perf_counter()
        with OneInterrupt() as interrupts:
            outcome = _execute(spec, engine, job, report)
            interrupts.close()
            executed = {"engine": engine, "not_native": why, "kernels": variant}
            run = _record(spec, split, job, outcome, executed, folder, loaded - began, started)
            if folder is not None:
                run.save(folder)
    return run


def _execute(
    spec: RunSpec, engine: Literal["eager", "native"], job: Job, report: Report
) -> Outcome:
    try:
        return choose.execute(engine, job, report)
    except InputError as error:
        raise InputError(f"--method {spec.method}: {_as_options(str(error))}") from None
    except Exception as error:
        if ":" not in spec.model:
            raise
        raise InputError(f"--model {spec.model}: failed in training: {_told(error)}") from error


def _record(
    spec: RunSpec,
    split: Split,
    job: Job,
    outcome: Outcome,
    executed: Mapping[str, str | None],
    folder: Path | None,
    load_seconds: float,
    started: datetime,
) -> Run:
    summary = {
        "status": outcome.status,
        **executed,
        "device": _device_name(job.device),
        "steps": outcome.step,
        "samples": outcome.samples,
        "final": outcome.evaluation[-1]._asdict() if outcome.evaluation else None,
        "stopped": outcome.stopped and _as_options(outcome.stopped),
        "divergence": outcome.divergence and _divergence(spec, split, outcome.divergence),
        "data": {
            "description": split.description,
            "task": split.task,
            "train": len(split.train),
            "test": len(split.test),
            "input_shape": split.train.input_shape,
            "outputs": split.train.outputs,
            "classes": split.train.classes,
            "features": split.features,
        },
        "parameters": sum(p.numel() for p in job.model.parameters()),
        "zeros": sum(int((p == 0).sum()) for p in job.model.parameters()),
        "timings": _timings(outcome, load_seconds=load_seconds),
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
    return Run(
        spec,
        summary,
        table(outcome.history, HISTORY),
        table(outcome.evaluation, EVALUATION),
        folder,
        job.model.cpu().eval(),
    )


def _job(spec: RunSpec, split: Split) -> Job:
    sampling = Sampling(spec.sampling, len(split.train), spec.batch_size or 1, spec.seed)
    if spec.device == "cuda" and not torch.cuda.is_available():
        raise InputError("--device cuda: no CUDA device is available here; use --device cpu")
    device = spec.device
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        model = build(
            spec.model,
            split.train.input_shape,
            split.train.outputs,
            hidden=spec.hidden or (),
            log_probabilities=spec.takes_log_probabilities,
        ).to(dtype=getattr(torch, spec.dtype))
    except RuntimeError as error:
        raise InputError(f"--model {spec.model}: cannot be built: {_told(error)}") from error
    _check_outputs(spec, model, split)
    return Job(
        model=model,
        loss=spec.build_loss(),
        penalty=spec.build_penalty(),
        method=spec.build_method(steps=spec.epochs * sampling.steps),
        train=split.train,
        test=split.test,
        sampling=sampling,
        epochs=spec.epochs,
        log_every=spec.log_every,
        seed=spec.seed,
        device=torch.device(device),
        dtype=getattr(torch, spec.dtype),
    )


def _check_outputs(spec: RunSpec, model: nn.Module, split: Split) -> None:
    """The user's own model has to take the data, and to give what the loss expects."""
    if not any(parameter.requires_grad for parameter in model.parameters()):
        raise InputError(
            f"--model {spec.model}: has no parameter with requires_grad=True: nothing to train"
        )
    x, _ = split.train.subset(slice(0, 2)).to(dtype=getattr(torch, spec.dtype)).batch()
    model.eval()
    try:
        with torch.random.fork_rng(), torch.no_grad():
            output = model(x)
    except Exception as error:
        raise InputError(
            f"--model {spec.model}: fails on a batch of shape {tuple(x.shape)}: {_told(error)}"
        ) from error
    model.train()
    expected = (len(x), split.train.outputs)
    given = tuple(output.shape) if isinstance(output, torch.Tensor) else type(output).__name__
    if given != expected:
        wanted = "class" if split.task == "classification" else "number to predict"
        raise InputError(
            f"--model {spec.model}: gives {given} for a batch of shape {tuple(x.shape)}, "
            f"but must give {expected}: one output for each {wanted}"
        )


def _check_writable(folder: Path) -> None:
    if folder.is_file():
        raise InputError(f"--out {folder}: cannot be written: it is a file, not a folder")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise InputError(f"--out {folder}: cannot be written: {error.strerror}") from None


def _divergence(spec: RunSpec, split: Split, found: Divergence) -> Mapping[str, Any]:
    """Where the run diverged, and what to try."""
    assert spec.lr is not None
    hint = f"try --lr {spec.lr / 10:g}"
    if split.task == "regression" and not spec.standardize:
        hint += ", or --standardize: inputs of large or unequal scale make the risk steep"
    spread = split.train.y.std().item() if split.task == "regression" else 0.0
    if spread > 100:
        hint += f", or bring the target, whose deviation is {spread:.3g}, to a scale near 1"
    return {**found._asdict(), "hint": hint}


def _timings(outcome: Outcome, *, load_seconds: float) -> Mapping[str, float]:
    return {
        "load_seconds": load_seconds,
        "train_seconds": outcome.train_seconds,
        "test_seconds": outcome.test_seconds,
        "samples_per_second": outcome.samples_per_second,
    }


def _as_options(advice: str) -> str:
    """What a method advises, in the words of the command line."""
    for said, option in ADVICE.items():
        advice = advice.replace(said, option)
    return advice


def _told(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__


def _device_name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"
