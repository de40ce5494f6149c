"""The nets of an estimator as jobs of PyTorch, where the kernels do not run them."""

from __future__ import annotations

from contextlib import nullcontext

import numpy as np
import torch
from torch import Tensor, nn

from gradus.data.dataset import Dataset
from gradus.engine import choose
from gradus.engine.job import Job, Outcome, Report
from gradus.engine.plain import Parameters
from gradus.engine.snapshot import Course
from gradus.models.networks import mlp
from gradus.risk.losses import Loss
from gradus.risk.sparse_matrices import as_csr
from gradus.sklearn.examples import Examples
from gradus.sklearn.threads import are_taken, one_thread_each
from gradus.sklearn.training import Execute, Net


def engine_for(
    engine: choose.EngineName, net: Net, loss: Loss, report: Report
) -> tuple[choose.Chosen, Execute]:
    """The engine that trains a net, and what does it.

    Args:
        engine: that is asked for.
        net: what is to be done.
        loss: that it minimises.
        report: told how it goes.

    Raises:
        InputError: the engine that is asked for does not run it.
    """
    job = _job(net, loss)
    chosen, _ = choose.chosen(engine, job)

    def execute(course: Course) -> tuple[Outcome, Parameters]:
        # Who took one thread may have done so before there was PyTorch in the process.
        with one_thread_each() if are_taken() else nullcontext():
            outcome = choose.execute(chosen, job, report, course)
        linears = _linears(job.model)
        return outcome, Parameters(
            tuple(linear.weight.detach().numpy().copy() for linear in linears),
            tuple(linear.bias.detach().numpy().copy() for linear in linears),
        )

    return chosen, execute


def _job(net: Net, loss: Loss) -> Job:
    """The same as an object of PyTorch in every part."""
    job, train = net.job, _dataset(net.train)
    widths = [len(each) for each in job.start.biases]
    with torch.device("meta"):
        model = mlp(train.input_shape, widths[-1], widths[:-1], job.activation)
    model.to_empty(device="cpu").to(dtype=train.dtype)
    _put_into(model, job.start)
    return Job(
        model=model,
        loss=loss.to(dtype=train.dtype),
        penalty=job.penalty,
        method=job.method,
        train=train,
        test=train,
        validation=None if net.held is None else _dataset(net.held),
        selection=job.selection,
        sampling=job.sampling,
        epochs=job.epochs,
        log_every=job.log_every,
        seed=job.seed,
        device=torch.device("cpu"),
        dtype=train.dtype,
        draws=False,
        measured=job.measured,
    )


def _dataset(examples: Examples) -> Dataset:
    """The same for an engine."""
    classes, weights = examples.classes, examples.weights
    is_array = isinstance(examples.x, np.ndarray)
    x: Tensor = torch.from_numpy(examples.x) if is_array else as_csr(examples.x, "X")
    return Dataset(
        x,
        torch.from_numpy(examples.y),
        classes=None if classes is None else tuple(map(str, range(classes))),
        dtype=x.dtype,
        weights=None if weights is None else torch.from_numpy(weights),
    )


def _linears(model: nn.Module) -> list[nn.Linear]:
    return [layer for layer in model.modules() if isinstance(layer, nn.Linear)]


def _put_into(model: nn.Module, start: Parameters) -> None:
    with torch.no_grad():
        for linear, *arrays in zip(_linears(model), *start, strict=True):
            for parameter, array in zip((linear.weight, linear.bias), arrays, strict=True):
                parameter.copy_(torch.from_numpy(array))
