"""How a run is trained: from its spec to its record."""

from __future__ import annotations

import os
import platform
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from torch import nn

from gradus import kernels
from gradus._version import __version__
from gradus.data.dataset import Split
from gradus.data.load import load
from gradus.data.sampling import Sampling
from gradus.engine import choose
from gradus.engine.job import Divergence, Job, Outcome, Progress, Report
from gradus.engine.snapshot import WHOLE_RUN, Course, Snapshot
from gradus.errors import InputError, quoted
from gradus.models.networks import build
from gradus.models.own import check_named, is_own
from gradus.runs import checkpoint
from gradus.runs.interrupt import OneInterrupt
from gradus.runs.lock import locked
from gradus.runs.record import EVALUATION, HISTORY, Run, in_the_way, open_run, table
from gradus.runs.selection import figures, selection_of
from gradus.runs.spec import RunSpec

ADVICE = {
    "give damping": "give --damping",
    "saddle_free=True": "--saddle-free",
    "take NewtonCG": "take --method newton-cg",
    "take ProximalGradient": "take --method proximal-gradient",
}
"""What methods advise, and the options that say it."""

CHECKPOINT = "checkpoint"
"""In the folder of a run, what it goes on from."""

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
    then; ``status`` says so. While it lasts, checkpoints stand in ``out``, from which ``resume``
    goes on.

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
    folder = None if out is None else Path(out)
    if folder is None:
        return _train(spec, None, data_dir, observe)
    if folder.is_file():
        raise InputError(f"--out {folder}: cannot be written: it is a file, not a folder")
    if not overwrite and (name := in_the_way(folder)):
        held = "a run" if name == "run.json" else name
        raise InputError(f"--out {folder}: holds {held} already; give another or add --overwrite")
    if not overwrite and checkpoint.begun(folder / CHECKPOINT) is not None:
        raise InputError(
            f"--out {folder}: holds a run that was broken off; go on with --resume {folder}, give "
            "another --out, or add --overwrite"
        )
    with _made(folder), locked(folder, f"{CHECKPOINT}/lock"):
        return _train(spec, folder, data_dir, observe)


def resume(
    folder: str | os.PathLike[str],
    *,
    model: str | None = None,
    trust: bool = False,
    data_dir: str | os.PathLike[str] | None = None,
    observe: Observer | None = None,
    tell: Callable[[str], None] = lambda message: None,
) -> Run:
    """Go on with a run that was broken off, as if it had not been: its record is the same.

    It goes on from its last checkpoint. A run that has ended is opened.

    Args:
        folder: the one that it was given as ``out``.
        model: that of the run, where it is ``package.module:factory``: it is imported only if it
            is named here, or trusted.
        trust: whether the model may be imported whatever it is.
        data_dir: where data sets that are not embedded are looked for first.
        observe: as for ``train``.
        tell: told, in one line each, of checkpoints that are damaged.

    Returns:
        The run.

    Raises:
        InputError: there is no such run, another process is training it, its data have changed, or
            it was written by a newer version of Gradus; or its model is code that was not named.

    Example:
        >>> import gradus, tempfile
        >>> folder = tempfile.TemporaryDirectory()
        >>> run = gradus.train(gradus.RunSpec(model="linear", epochs=1), out=folder.name)
        >>> gradus.resume(folder.name).status
        'finished'
        >>> folder.cleanup()
    """
    folder = Path(folder)
    if not (spec := _broken_off(folder)):
        return open_run(folder, model=model, trust=trust)
    check_named([spec.model], folder, named=[str(model)], trust=trust)
    with locked(folder, f"{CHECKPOINT}/lock"):
        if not _broken_off(folder):  # another process has ended it meanwhile
            checkpoint.remove(folder / CHECKPOINT)
            return open_run(folder, model=model, trust=trust)
        return _train(spec, folder, data_dir, observe, goes_on=True, tell=tell)


def _broken_off(folder: Path) -> RunSpec | None:
    """The spec of a run that has not ended; None where it has.

    Raises:
        InputError: there is no run in the folder.
    """
    spec = checkpoint.begun(folder / CHECKPOINT)
    if (folder / "run.json").exists():
        run = open_run(folder)
        # A record that is to be overwritten stays until the new one is complete.
        if spec is None or spec == run.spec:
            return run.spec if run.status == "interrupted" else None
    elif spec is None:
        held = ", ".join(sorted(path.name for path in folder.glob("*"))[:5])
        there = f"holds {held}" if held else "is empty" if folder.is_dir() else "does not exist"
        raise InputError(f"--resume {folder}: no run to go on with: the folder {there}")
    return spec


def _train(
    spec: RunSpec,
    folder: Path | None,
    data_dir: str | os.PathLike[str] | None,
    observe: Observer | None,
    *,
    goes_on: bool = False,
    tell: Callable[[str], None] = lambda message: None,
) -> Run:
    """Train a run, or the rest of it, and keep its record in a folder that is locked."""
    began, started = time.perf_counter(), datetime.now(UTC)
    split = load_for(spec, data_dir)
    kept = None if folder is None else folder / CHECKPOINT
    with torch.random.fork_rng():
        job = prepare(spec, split)
        spec = with_loss(spec, split)
        variant = None if kernels.core() is None else kernels.variant()
        engine, why = choose.chosen(spec.engine, job)
        course = WHOLE_RUN
        if kept is not None:
            since = None
            if goes_on and checkpoint.begun(kept) is not None:
                checkpoint.check_data(kept, split)
                since = _since(kept, engine, why, tell)
            else:
                checkpoint.begin(kept, spec, split)
            course = Course(since, keep=lambda snapshot: checkpoint.write(kept, snapshot))
        report = observe(job, split) if observe is not None else lambda progress: None
        loaded = time.perf_counter()
        with OneInterrupt() as interrupts:
            outcome = _execute(spec, engine, job, report, course)
            interrupts.close()
            executed = {"engine": engine, "not_native": why, "kernels": variant}
            run = _record(spec, split, job, outcome, executed, folder, loaded - began, started)
            if folder is not None and kept is not None:
                run.save(folder)
                if run.status != "interrupted":
                    checkpoint.remove(kept)
    return run


def _since(
    kept: Path, engine: str, why: str | None, tell: Callable[[str], None]
) -> Snapshot | None:
    since = checkpoint.read(kept, tell)
    if since is not None and since.engine != engine:
        reason = f": {why}" if why else ""
        raise InputError(
            f"{kept.parent}: was begun on the {since.engine} engine, and would go on on the "
            f"{engine} one{reason}; train it again with --overwrite"
        )
    return since


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


def load_for(spec: RunSpec, data_dir: str | os.PathLike[str] | None) -> Split:
    """The data of a run.

    Raises:
        InputError: they cannot be had as the spec says.
    """
    return load(
        spec.data,
        target=spec.target,
        loss=spec.loss,
        missing=spec.missing,
        standardize=spec.standardize,
        validation_fraction=spec.validation_fraction,
        test_fraction=spec.test_fraction,
        split=spec.split,
        split_seed=spec.split_seed,
        group=spec.group,
        categorical=spec.categorical,
        drop=spec.drop,
        data_dir=None if data_dir is None else Path(data_dir),
    )


def with_loss(spec: RunSpec, split: Split) -> RunSpec:
    """The same spec with its loss, which may follow from the data."""
    usual = {"classification": "cross-entropy", "regression": "mse"}[split.task]
    return spec if spec.loss is not None else spec.model_copy(update={"loss": usual})


def prepare(spec: RunSpec, split: Split) -> Job:
    """The job of a run on these data, its model as the seed draws it.

    The global random state is that of the seed afterwards.

    Raises:
        InputError: the model cannot be built, or does not take the data.
    """
    torch.manual_seed(spec.seed)
    return _job(with_loss(spec, split), split)


def _execute(
    spec: RunSpec, engine: choose.Chosen, job: Job, report: Report, course: Course
) -> Outcome:
    try:
        return choose.execute(engine, job, report, course)
    except InputError as error:
        raise InputError(f"--method {spec.method}: {_as_options(str(error))}") from None
    except OSError as error:
        if error.filename is None or f"/{CHECKPOINT}/" not in str(error.filename):
            raise
        raise InputError(
            f"{error.filename}: the checkpoint cannot be written: {error.strerror}; go on with "
            f"--resume {Path(error.filename).parent.parent} once it can"
        ) from None
    except (Exception, SystemExit) as error:
        if not is_own(spec.model):
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
        "log_every": job.log_every,
        "steps": outcome.step,
        "samples": outcome.samples,
        **figures(job, outcome),
        "stopped": outcome.stopped and _as_options(outcome.stopped),
        "divergence": outcome.divergence and _divergence(spec, split, outcome.divergence),
        "data": {
            "description": split.description,
            "task": split.task,
            "train": len(split.train),
            "validation": 0 if split.validation is None else len(split.validation),
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
    steps = spec.epochs * sampling.steps
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
        method=spec.build_method(steps=steps),
        train=split.train,
        test=split.test,
        validation=split.validation,
        selection=selection_of(spec, split),
        sampling=sampling,
        epochs=spec.epochs,
        log_every=spec.batches_between_rows(spec.data, steps),
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
    except (Exception, SystemExit) as error:
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


def _told(error: BaseException) -> str:
    return quoted(str(error).splitlines()[0]) if str(error) else type(error).__name__


def _device_name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"
