"""What a spec stands for, as objects: its data, and the job that an engine is given."""

from __future__ import annotations

import copy
import math
import os
from collections.abc import Callable, Collection
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from gradus.data.dataset import Split
from gradus.data.loader import LoaderOrder
from gradus.data.loading import load
from gradus.data.reading import Notation
from gradus.data.sampling import Sampling
from gradus.data.streaming import SHARE_OF_MEMORY, USUAL_CACHE, Cache, exceeds_memory
from gradus.data.streaming.order import StreamOrder
from gradus.engine import bfloat16, compiled
from gradus.engine.clipping import Clip
from gradus.engine.job import Job
from gradus.errors import InputError, reason
from gradus.models.networks import build
from gradus.models.own import is_object
from gradus.risk.losses import Loss, OwnLoss
from gradus.risk.sparse import is_csr
from gradus.runs.choices import ON_ALL_DATA, OPTIONS, flag
from gradus.runs.class_weights import weights_of
from gradus.runs.metrics import scores_of
from gradus.runs.objects.given import NO_OBJECTS, Objects
from gradus.runs.parts.method import AUTO
from gradus.runs.parts.objective import BY_TARGET
from gradus.runs.selection import selection_of
from gradus.runs.spec import RunSpec
from gradus.runs.table_defaults import by_size
from gradus.runs.thresholds import check_threshold

if TYPE_CHECKING:
    from gradus.data.preparation import AnyPreparation
    from gradus.data.streaming.passes import Watch
    from gradus.runs.start import Start


def load_for(
    spec: RunSpec,
    data_dir: str | os.PathLike[str] | None,
    preparation: AnyPreparation | None = None,
    objects: Objects = NO_OBJECTS,
    *,
    cache: Cache | None = None,
    watch: Watch = lambda what, done, of: None,
) -> Split:
    """The data of a run, prepared as others before were, where that is given.

    Args:
        spec: of the run.
        data_dir: where data sets that are not embedded are looked for first.
        preparation: how rows become x, where that is known.
        objects: of which the spec says only what identifies them.
        cache: where the prepared rows of a table that is streamed lie; None: none is.
        watch: told how far the passes over such a table are.

    Raises:
        InputError: they cannot be had as the spec says.
    """
    objects.check(spec)
    if objects.data is not None:
        if spec.stream or spec.shuffle_buffer is not None:
            option = "--stream" if spec.stream else f"--shuffle-buffer {spec.shuffle_buffer}"
            raise InputError(f"{option}: is for the file or the folder of a table; give its path")
        return objects.load(spec, preparation)
    if spec.stream and cache is None:
        raise InputError(
            "--stream: is for gradus train; this needs all rows in memory: give it a part of them, "
            "or --no-stream"
        )
    return load(
        spec.data,
        target=spec.target,
        loss=None if is_object(spec.loss) else spec.loss,
        missing=spec.missing,
        standardize=spec.standardize,
        scaling=spec.scaling,
        pieces=None if "pieces" in spec.auto else spec.pieces,
        standardize_target=spec.standardize_target,
        dtype=spec.dtype,
        validation_fraction=spec.validation_fraction,
        test_fraction=spec.test_fraction,
        split=spec.split,
        split_seed=spec.split_seed,
        group=spec.group,
        weights=spec.weights,
        validation=spec.validation,
        test=spec.test,
        categorical=spec.categorical,
        drop=spec.drop,
        image_size=spec.size_of_images,
        indices_from=spec.indices_from,
        notation=Notation(spec.separator, spec.decimal, spec.missing_values),
        data_dir=None if data_dir is None else Path(data_dir),
        preparation=preparation,
        stream=bool(spec.stream),
        shuffle_buffer=spec.shuffle_buffer,
        cache=cache or USUAL_CACHE,
        watch=watch,
    )


def streamed_if_long(spec: RunSpec, objects: Objects, tell: Callable[[str], None]) -> RunSpec:
    """The same spec, streaming a table that would take much of the memory, where nothing is said.

    What needs all rows at once stays as it is.
    """
    needs_all = (
        objects.data is not None
        or spec.group is not None
        or spec.weights is not None
        or spec.split != "random"
        or spec.sampling != "shuffle"
        or (spec.models > 1 and "models" not in spec.auto)
    )
    if spec.stream is not None or needs_all or not exceeds_memory(Path(spec.data)):
        return spec
    tell(
        f"{spec.data}: its numbers need more than {SHARE_OF_MEMORY:.0%} of the memory: rows are "
        "streamed (--no-stream reads all of them at once)"
    )
    return spec.model_copy(update={"stream": True})


def resolved(spec: RunSpec, split: Split) -> RunSpec:
    """The same spec with what was left to follow from the data.

    Raises:
        InputError: an option is given that the loss which follows does not take.
    """
    found: dict[str, Any] = {}
    if spec.loss is None:
        loss = {"classification": "cross-entropy", "regression": "mse"}[split.task]
        found["loss"] = loss
        for option, usual in OPTIONS["loss"][BY_TARGET].items():
            if option in OPTIONS["loss"][loss]:
                continue
            if getattr(spec, option) != usual:
                raise InputError(f"{flag(option)}: is for classes, {split.name} holds numbers")
            found[option] = None
    if spec.auto:
        prepared = split.preparation
        if prepared is not None and prepared.kind == "table":
            numbers = sum(encoder.kind == "number" for encoder in prepared.encoders)
            sized = by_size(split.trains, numbers)
        else:
            x = split.train.x
            inputs = x._nnz() // len(x) if is_csr(x) else math.prod(split.train.input_shape)
            sized = by_size(len(split.train), 0, inputs)
        found |= {name: value for name, value in sized.items() if name in spec.auto}
        if isinstance(split.order, StreamOrder) and "models" in spec.auto:
            found["models"] = 1  # several hold other rows in turn, which have to lie in memory
        found["auto"] = ()
        if split.validation is None and "patience" in spec.auto:
            found["patience"] = None
        if "standardize_target" in spec.auto and split.task == "classification":
            found["standardize_target"] = False
    if _exceeds(spec, split):
        found.setdefault("batch_size", split.trains)
    return spec.model_copy(update=found) if found else spec


def _exceeds(spec: RunSpec, split: Split) -> bool:
    """Whether the usual size of a batch is more than the examples that train."""
    usual = OPTIONS["sampling"].get(str(spec.sampling), {}).get("batch_size")
    return usual is not None and spec.batch_size == usual > split.trains


def check_batch(
    spec: RunSpec, split: Split, given: Collection[str], tell: Callable[[str], None]
) -> None:
    """Refuse a batch that is larger than the training data; say that the usual one is.

    Args:
        spec: of the run, before what follows from the data.
        split: its data.
        given: options that were given, as far as it is known.
        tell: told that batches are smaller than usual.

    Raises:
        InputError: it was given so.
    """
    if not _exceeds(spec, split) or "batch_size" in spec.auto:
        return
    # Where some options follow from the data, those that do not were given.
    if "batch_size" in given or spec.auto:
        raise InputError(
            f"--batch-size {spec.batch_size}: larger than the training data; give at most "
            f"{split.trains}"
        )
    tell(
        f"--batch-size {split.trains}: of all examples that train, which are fewer than the usual "
        f"{spec.batch_size}"
    )


def prepare(
    spec: RunSpec,
    split: Split,
    start: Start | None = None,
    net: int = 0,
    objects: Objects = NO_OBJECTS,
) -> Job:
    """The job of a run on these data, its model as the seed draws it, or as another run left it.

    The global random state is that of the seed afterwards.

    Raises:
        InputError: the model cannot be built, or does not take the data.
    """
    objects.check(spec)
    if spec.lr == AUTO:
        raise InputError("--lr auto: is found for a run by itself, by gradus train; give a number")
    torch.manual_seed(spec.seed)
    job = _job(resolved(spec, split), split, objects)
    if start is not None:
        start.put_into(job.model, net)
    return replace(job, method=objects.method_for(job.method, job.model))


def _job(spec: RunSpec, split: Split, objects: Objects) -> Job:
    sampling = _sampling(spec, split)
    if spec.device == "cuda" and not torch.cuda.is_available():
        raise InputError("--device cuda: no CUDA device is available here; use --device cpu")
    steps, dtype = spec.epochs * sampling.steps, getattr(torch, spec.dtype)
    device = spec.device
    if device == "auto":
        on_gpu = torch.cuda.is_available() and not split.train.is_sparse
        device = "cuda" if on_gpu else "cpu"
    if split.train.is_sparse:
        _check_sparse(spec, device)
    try:
        taken = split.train.input_shape, split.train.outputs
        if objects.model is not None:
            model = objects.model(*taken)
        else:
            model = build(
                spec.model,
                *taken,
                hidden=spec.hidden or (),
                dropout=spec.dropout or 0.0,
                log_probabilities=spec.takes_log_probabilities,
            )
        model = model.to(dtype=dtype)
    except RuntimeError as error:
        raise InputError(f"--model {spec.model}: cannot be built: {reason(error)}") from error
    loss = objects.loss
    if loss is None:
        loss = spec.build_loss(weights_of(spec.class_weight or (), split.train))
    loss = copy.deepcopy(loss).to(dtype=dtype)
    weight = getattr(loss, "weight", None)
    outputs = (split.train.outputs,)
    if isinstance(weight, torch.Tensor) and split.train.y.ndim == 1 and weight.shape != outputs:
        raise InputError(
            f"--loss {type(loss).__name__}: weight has shape {list(weight.shape)}, and there are "
            f"{split.train.outputs} classes; give one number for each"
        )
    is_of_batches = isinstance(loss, OwnLoss) and not loss.is_of_examples
    if is_of_batches and split.train.weights is not None:
        raise InputError(
            f"--weights {spec.weights}: a loss of one's own does not say what each example adds to "
            'it; give one of gradus or torch.nn, or a module with reduction="none"'
        )
    _check_precision(spec, torch.device(device))
    _check_compiled(spec, torch.device(device))
    _check_outputs(spec, model, split, loss)
    check_threshold(spec, split)
    metrics = scores_of(spec, split, objects.metrics)
    return Job(
        model=model,
        loss=loss,
        penalty=spec.build_penalty(),
        method=spec.build_method(steps, objects.method),
        train=split.train,
        test=split.test,
        validation=split.validation,
        selection=selection_of(spec, split, objects.metrics, metrics),
        metrics=metrics,
        sampling=sampling,
        epochs=spec.epochs,
        log_every=spec.batches_between_rows(spec.data, steps),
        seed=spec.seed,
        device=torch.device(device),
        dtype=dtype,
        nets=spec.models,
        precision=spec.precision,
        ema=spec.ema,
        compiled=spec.compile,
        average_every=spec.average_every,
        **_gradients(spec),
    )


def _sampling(spec: RunSpec, split: Split) -> Sampling:
    """The batches of the steps: mini-batches, or as many of them as one step takes."""
    times = spec.accumulate
    if times > 1 and spec.sampling == "full":
        raise InputError(f"--accumulate {times}: needs mini-batches; give --batch-size")
    if isinstance(split.order, LoaderOrder):
        return replace(split.order, times=times)
    size, n = times * (spec.batch_size or 1), split.trains
    if times > 1 and size > n:
        raise InputError(
            f"--accumulate {times}: so many mini-batches of {spec.batch_size} are more than the "
            f"{n} training examples"
        )
    if size > n and spec.sampling != "full":
        raise InputError(
            f"--batch-size {spec.batch_size}: larger than the training data; give at most {n}"
        )
    if split.order is not None:
        return _streamed(spec, split.order, size)
    return Sampling(spec.sampling, n, size, spec.seed)


def _streamed(spec: RunSpec, order: StreamOrder, size: int) -> StreamOrder:
    """The order of rows that are read as they train."""
    if spec.sampling != "shuffle":
        of = f"of {spec.method} " if spec.method in ON_ALL_DATA else ""
        raise InputError(
            f"--sampling {spec.sampling}: {of}needs all rows at once, and they are streamed; give "
            "--sampling shuffle with a first-order method, or --no-stream"
        )
    if spec.models > 1:
        raise InputError(
            f"--models {spec.models}: each holds other rows, which have to lie in memory, and they "
            "are streamed; give --models 1"
        )
    return replace(order, batch_size=size, seed=spec.seed)


def _gradients(spec: RunSpec) -> dict[str, Any]:
    """How the gradient of a step is taken, and what becomes of it."""
    found: dict[str, Any] = {}
    if spec.accumulate > 1 and spec.batch_size is not None:
        found["chunk_size"] = spec.batch_size
    if spec.clip_norm is not None or spec.clip_value is not None:
        option = "--clip-norm" if spec.clip_norm is not None else "--clip-value"
        if spec.method in ON_ALL_DATA:
            raise InputError(
                f"{option}: is for first-order methods, which {spec.method} is not: it would step "
                "along another direction than it computes"
            )
        found["clip"] = Clip(spec.clip_norm, spec.clip_value)
    return found


def _check_precision(spec: RunSpec, device: torch.device) -> None:
    """Products in bfloat16 need a processor that has them, and a method that takes gradients."""
    if spec.precision == "float32":
        return
    asked = f"--precision {spec.precision}"
    if spec.dtype != "float32":
        raise InputError(f"{asked}: is for runs in float32; leave out --dtype {spec.dtype}")
    if spec.method in ON_ALL_DATA:
        raise InputError(
            f"{asked}: is for first-order methods, which {spec.method} is not: curvature would be "
            "lost in the rounding"
        )
    if missing := bfloat16.absence(device):
        raise InputError(f"{asked}: {missing}; leave it out")


def _check_compiled(spec: RunSpec, device: torch.device) -> None:
    """Compiling needs a compiler, and what it makes is differentiated once."""
    if not spec.compile:
        return
    if spec.method in ON_ALL_DATA:
        raise InputError(
            f"--compile: is for first-order methods, which {spec.method} is not: what is compiled "
            "is differentiated once"
        )
    if missing := compiled.absence(device):
        raise InputError(f"--compile: {missing}; leave it out")


def _check_sparse(spec: RunSpec, device: str) -> None:
    """What is done with sparse inputs is done on a CPU, in float32 or float64."""
    for asked, is_given in (
        ("--device cuda", device == "cuda"),
        (f"--precision {spec.precision}", spec.precision != "float32"),
        ("--compile", spec.compile),
    ):
        if is_given:
            raise InputError(f"{asked}: is not for sparse inputs; leave it out, or give an array")


def _check_outputs(spec: RunSpec, model: nn.Module, split: Split, loss: Loss) -> None:
    """The user's own model has to take the data, and to give what the loss expects.

    What a loss of the user's takes, only it can tell.
    """
    if not any(parameter.requires_grad for parameter in model.parameters()):
        raise InputError(
            f"--model {spec.model}: has no parameter with requires_grad=True: nothing to train"
        )
    x, y = split.train.subset(slice(0, 2)).to(dtype=getattr(torch, spec.dtype)).batch()
    try:
        with torch.random.fork_rng(), torch.no_grad():
            drops = any(isinstance(each, nn.Dropout) for each in model.modules())
            if is_csr(x) and drops:  # what is sparse passes where nothing is dropped
                copy.deepcopy(model).train()(x)
            output = model.eval()(x)
    except (Exception, SystemExit) as error:
        hint = ": the inputs are sparse, which only a linear layer takes" if is_csr(x) else ""
        raise InputError(
            f"--model {spec.model}: fails on a batch of shape {tuple(x.shape)}{hint}: "
            f"{reason(error)}"
        ) from error
    model.train()
    expected = (len(x), split.train.outputs)
    given = tuple(output.shape) if isinstance(output, torch.Tensor) else type(output).__name__
    if isinstance(loss, OwnLoss) and not isinstance(given, str) and given[:1] == expected[:1]:
        _check_loss(loss, output, y)
        return
    if given != expected:
        wanted = "class" if split.task == "classification" else "number to predict"
        raise InputError(
            f"--model {spec.model}: gives {given} for a batch of shape {tuple(x.shape)}, "
            f"but must give {expected}: one output for each {wanted}"
        )


def _check_loss(loss: OwnLoss, output: torch.Tensor, y: torch.Tensor) -> None:
    """A loss of the user's own has to give one number that can be differentiated."""
    output = output.detach().requires_grad_()
    with torch.random.fork_rng():
        value = loss(output, y)
    if not value.requires_grad:
        raise InputError(
            f"--loss {loss.name}: what it gives does not depend on the output so that it could be "
            "differentiated; compute it by torch, without .item(), .detach() or no_grad()"
        )
