"""How a fit is executed: the nets of an estimator as jobs of an engine."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from threading import Event, Lock
from typing import Literal, NamedTuple

import numpy as np
import torch
from torch import nn

from gradus.data.dataset import Dataset
from gradus.data.partition import Parts, check_turns, in_turn, training_parts
from gradus.data.sampling import Sampling
from gradus.engine import choose
from gradus.engine.job import Evaluation, Job, Outcome, Progress
from gradus.engine.selection import NOTHING_SELECTED, Selection
from gradus.engine.snapshot import Course, Snapshot
from gradus.errors import InputError
from gradus.methods.schedules import learning_rate
from gradus.models.networks import mlp
from gradus.risk.losses import Loss
from gradus.risk.sparse_matrices import as_csr
from gradus.runs.seeds import seed_of
from gradus.runs.spec import RunSpec
from gradus.sklearn.examples import Examples
from gradus.sklearn.memory import Memory
from gradus.sklearn.network import Network


class Trained(NamedTuple):
    """A net after training."""

    network: Network
    evaluation: list[Evaluation]
    kept_epoch: int
    engine: str
    obstacle: str | None
    """Why it is not the native engine, where that was free."""
    memory: Memory | None
    """From where a training that is to go on does so."""


def train(
    spec: RunSpec,
    examples: Examples,
    activation: str,
    loss: Loss,
    *,
    validation_fraction: float = 0.0,
    since: Sequence[Network] = (),
    memories: Sequence[Memory | None] = (),
    keeps_memory: bool = False,
    threads: int = 1,
    tell: Callable[[str], object] | None = None,
) -> list[Trained]:
    """Train the nets of an estimator.

    Args:
        spec: their widths, method, epochs and number.
        examples: that are fitted to.
        activation: between the layers.
        loss: what is minimised.
        validation_fraction: share of the examples held, on which the epoch to keep is chosen.
        since: nets to begin with.
        memories: of each, what its method remembers from before, where it does.
        keeps_memory: whether the trainings are to go on later.
        threads: how many nets are trained at once.
        tell: given a line after every epoch.

    Raises:
        InputError: the training cannot be had as the spec says, or diverges.
    """
    train, held, labels = _dataset(examples), None, None
    if validation_fraction:
        labels = None if examples.classes is None else train.y
        rows = training_parts(
            len(train), Parts(validation=validation_fraction, seed=spec.seed), labels=labels
        )
        train, held = (train.subset(part) for part in rows)
        check_turns(len(train), len(held), spec.models)
        labels = None if labels is None else train.y
    selection = NOTHING_SELECTED
    if held is not None:
        selection = Selection("validation_loss", "best", spec.patience)
    sampling = Sampling(spec.sampling, len(train), min(spec.batch_size or 1, len(train)), spec.seed)
    states = [None if memory is None else memory.of(spec) for memory in memories]
    epochs = spec.epochs + max((state.epoch - 1 for state in states if state), default=0)
    first = Job(
        model=nn.Identity(),
        loss=loss.to(dtype=train.dtype),
        penalty=spec.build_penalty(),
        method=spec.build_method(steps=epochs * sampling.steps),
        train=train,
        test=train,
        validation=held,
        selection=selection,
        sampling=sampling,
        epochs=epochs,
        log_every=sampling.steps,
        seed=spec.seed,
        device=torch.device("cpu"),
        dtype=train.dtype,
        nets=spec.models,
        draws=False,
        measured=False,
    )

    jobs = []
    for net in range(spec.models):
        seed = seed_of(spec.seed, net)
        with torch.device("meta"):
            model = mlp(train.input_shape, examples.outputs, spec.hidden or (), activation)
        _draw(model.to_empty(device="cpu"), torch.Generator().manual_seed(seed))
        model.to(dtype=train.dtype)
        if since:
            _put_into(model, since[net])
        job = replace(first, model=model, seed=seed, sampling=replace(sampling, seed=seed))
        if held is not None and net > 0:
            learned, chosen_on = in_turn(train, held, net, spec.seed, labels)
            size = min(sampling.batch_size, len(learned))
            drawn = replace(job.sampling, n=len(learned), batch_size=size)
            job = replace(
                job,
                method=spec.build_method(steps=epochs * drawn.steps),
                train=learned,
                test=learned,
                validation=chosen_on,
                sampling=drawn,
                log_every=drawn.steps,
            )
        jobs.append(job)

    stop = Event()

    def executed(net: int) -> Trained:
        state = states[net] if states else None
        ended = stop if threads > 1 else None
        return _executed(spec, jobs[net], state, activation, keeps_memory, tell, ended)

    if threads == 1:
        return [executed(net) for net in range(spec.models)]
    with one_thread_each(), ThreadPoolExecutor(threads) as pool:
        try:
            return list(pool.map(executed, range(spec.models)))
        except BaseException:
            stop.set()  # an interruption reaches the main thread alone
            raise


def _dataset(examples: Examples) -> Dataset:
    """The same for an engine."""
    classes, weights = examples.classes, examples.weights
    is_array = isinstance(examples.x, np.ndarray)
    x = torch.from_numpy(examples.x) if is_array else as_csr(examples.x, "X")
    return Dataset(
        x,
        torch.from_numpy(examples.y),
        classes=None if classes is None else tuple(map(str, range(classes))),
        dtype=x.dtype,
        weights=None if weights is None else torch.from_numpy(weights),
    )


def _executed(
    spec: RunSpec,
    job: Job,
    state: Snapshot | None,
    activation: str,
    keeps_memory: bool,
    tell: Callable[[str], object] | None,
    stop: Event | None,
) -> Trained:
    engine, obstacle = choose.chosen(spec.engine, job)
    kept: list[Snapshot] = []
    if state is not None and state.engine != engine:
        state = None  # what one engine remembers the other does not read

    def observe(progress: Progress) -> Literal["stop"] | None:
        return "stop" if stop is not None and stop.is_set() else None

    course = Course(
        since=state,
        end=kept.append if keeps_memory else None,
        observe=None if stop is None else observe,
    )

    def report(progress: Progress) -> None:
        if tell is not None and progress.evaluation is not None:
            tell(_line(progress.evaluation, job.epochs))

    outcome = choose.execute(engine, job, report, course)
    network = _network(job.model, activation)
    _check(outcome, network, job)
    assert outcome.kept_epoch is not None
    after = None
    if kept:
        after = Memory.after(spec, replace(kept[0], outcome=Outcome(step=outcome.step)))
    return Trained(network, outcome.evaluation, outcome.kept_epoch, engine, obstacle, after)


def _line(row: Evaluation, epochs: int) -> str:
    told = f"epoch {row.epoch}/{epochs}: loss {row.running_train_loss:.4g}"
    if row.validation_loss is not None:
        told += f", validation loss {row.validation_loss:.4g}"
    return told


def _check(outcome: Outcome, network: Network, job: Job) -> None:
    """Refuse what is no fit.

    Raises:
        InputError: the training diverged, or its method could not go on.
        KeyboardInterrupt: it was interrupted.
    """
    if outcome.status == "interrupted":
        raise KeyboardInterrupt
    if outcome.status == "stopped":
        raise InputError(f"the method stopped at step {outcome.step:,}: {outcome.stopped}")
    if outcome.status == "diverged" or not network.is_finite:
        raise InputError(
            f"the training diverged at step {outcome.step:,}: its loss is not finite; give a "
            f"smaller lr, here {float(learning_rate(job.method.lr, outcome.step)):g}, or a scaling"
        )


def _network(model: nn.Module, activation: str) -> Network:
    """The parameters of a model as arrays of their own."""
    linears = _linears(model)
    return Network(
        tuple(linear.weight.detach().numpy().copy() for linear in linears),
        tuple(linear.bias.detach().numpy().copy() for linear in linears),
        activation,
    )


def _draw(model: nn.Module, generator: torch.Generator) -> None:
    """Draw parameters as ``nn.Linear`` does, from a generator that no other thread draws from."""
    for linear in _linears(model):
        nn.init.kaiming_uniform_(linear.weight, a=math.sqrt(5), generator=generator)
        bound = 1 / math.sqrt(linear.in_features)
        nn.init.uniform_(linear.bias, -bound, bound, generator=generator)


def _linears(model: nn.Module) -> list[nn.Linear]:
    return [layer for layer in model.modules() if isinstance(layer, nn.Linear)]


def _put_into(model: nn.Module, network: Network) -> None:
    with torch.no_grad():
        for linear, *arrays in zip(_linears(model), network.weights, network.biases, strict=True):
            for parameter, array in zip((linear.weight, linear.bias), arrays, strict=True):
                parameter.copy_(torch.from_numpy(array))


class _Holders:
    """Who takes one thread now, and how many torch took before the first of them came."""

    def __init__(self) -> None:
        self.lock, self.number, self.before = Lock(), 0, 1


_HOLDERS = _Holders()


@contextmanager
def one_thread_each() -> Iterator[None]:
    """Within, an engine takes one thread: nets side by side are faster than threads of each.

    Torch has one number for the process, which threads that begin take over, and one in each
    thread: this one's comes back at once, that of the process with the last who holds it.
    """
    with _HOLDERS.lock:
        own = torch.get_num_threads()
        if _HOLDERS.number == 0:
            _HOLDERS.before = own
        _HOLDERS.number += 1
        torch.set_num_threads(1)
    try:
        yield
    finally:
        with _HOLDERS.lock:
            _HOLDERS.number -= 1
            torch.set_num_threads(own if _HOLDERS.number else _HOLDERS.before)
