"""How a fit is executed: the nets of an estimator as jobs of an engine.

Where the native engine runs them they are arrays from the first to the last, and nothing imports
PyTorch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from threading import Event
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
from scipy.sparse import issparse

from gradus.data.partition import Parts, check_turns, held_in_turn, trained_and_held
from gradus.data.sampling import Sampling
from gradus.engine import plain
from gradus.engine.job import Evaluation, Outcome, Progress
from gradus.engine.plain import Parameters, PlainJob
from gradus.engine.selection import NOTHING_SELECTED, Selection
from gradus.engine.snapshot import Course, Snapshot
from gradus.engine.words import Loss
from gradus.errors import InputError
from gradus.importing import without_collection
from gradus.methods.schedules import learning_rate
from gradus.models.drawn import drawn
from gradus.risk.csr_arrays import csr_arrays
from gradus.runs.seeds import seed_of
from gradus.runs.spec import RunSpec
from gradus.sklearn.examples import Examples
from gradus.sklearn.memory import Memory
from gradus.sklearn.network import Network
from gradus.sklearn.threads import of_a_fit, one_thread_each

if TYPE_CHECKING:
    from gradus.risk import losses

Execute = Callable[[Course], tuple[Outcome, Parameters]]


class Minimised(NamedTuple):
    """The loss of a fit."""

    words: Loss
    """For the kernels."""
    build: Callable[[], losses.Loss]
    """Makes that of PyTorch."""


class Net(NamedTuple):
    """One net of an estimator."""

    job: PlainJob
    train: Examples
    held: Examples | None
    """On which the epoch to keep is chosen."""


class Trained(NamedTuple):
    """A net after training."""

    network: Network
    evaluation: list[Evaluation]
    kept_epoch: int
    engine: str
    memory: Memory | None
    """From where a training that is to go on does so."""


def train(
    spec: RunSpec,
    examples: Examples,
    activation: str,
    loss: Minimised,
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
    states = [None if memory is None else memory.of(spec) for memory in memories]
    epochs = spec.epochs + max((state.epoch - 1 for state in states if state), default=0)
    held = validation_fraction, spec.seed
    nets = list(_nets(spec, examples, activation, loss, held, since, epochs))
    stop = Event()

    def executed(net: int) -> Trained:
        state = states[net] if states else None
        ended = stop if threads > 1 else None
        return _executed(spec, nets[net], loss, state, keeps_memory, tell, ended)

    if threads == 1:
        return [executed(net) for net in range(spec.models)]
    with one_thread_each(), ThreadPoolExecutor(threads) as pool:
        try:
            return list(pool.map(executed, range(spec.models)))
        except BaseException:
            stop.set()  # an interruption reaches the main thread alone
            raise


def _nets(
    spec: RunSpec,
    examples: Examples,
    activation: str,
    loss: Minimised,
    held: tuple[float, int],
    since: Sequence[Network],
    epochs: int,
) -> Iterator[Net]:
    """What each net is, and what it learns from."""
    fraction, seed = held
    of_class = None if examples.classes is None else examples.y
    train, validation, selection = examples, None, NOTHING_SELECTED
    if fraction:
        parts = Parts(validation=fraction, seed=seed)
        rows, rows_held = trained_and_held(examples.rows, parts, of_class)
        train, validation = examples.at(rows), examples.at(rows_held)
        check_turns(len(rows), len(rows_held), spec.models)
        of_class = None if of_class is None else train.y
        selection = Selection("validation_loss", "best", spec.patience)
    widths = [int(examples.x.shape[1]), *(spec.hidden or ()), examples.outputs]
    size = min(spec.batch_size or 1, train.rows)
    for net in range(spec.models):
        learned, chosen_on = train, validation
        if validation is not None and net > 0:
            now = held_in_turn(train.rows, validation.rows, net - 1, seed, of_class)
            chosen_on = train.at(np.flatnonzero(now))
            kept = np.concatenate([rows[~now], rows_held])
            learned = examples.at(kept)
        own = seed_of(seed, net)
        batch = min(size, learned.rows)
        sampling = Sampling(spec.sampling, learned.rows, batch, own)
        start = Parameters(since[net].weights, since[net].biases) if since else None
        job = PlainJob(
            start=start or _drawn(widths, own, examples.dtype),
            activation=activation,
            loss=loss.words,
            penalty=spec.build_penalty(),
            method=spec.build_method(steps=epochs * sampling.steps),
            train=_as_the_kernels_take_them(learned),
            validation=None if chosen_on is None else _as_the_kernels_take_them(chosen_on),
            selection=selection,
            sampling=sampling,
            epochs=epochs,
            log_every=sampling.steps,
            seed=own,
        )
        yield Net(job, learned, chosen_on)


def _drawn(widths: Sequence[int], seed: int, dtype: np.dtype[Any]) -> Parameters:
    weights, biases = zip(*drawn(widths, seed), strict=True)
    return Parameters(*(tuple(each.astype(dtype) for each in kind) for kind in (weights, biases)))


def _as_the_kernels_take_them(examples: Examples) -> plain.Examples:
    given: dict[str, Any] = {}
    if issparse(examples.x):
        given |= {"features": examples.x.shape[1], **csr_arrays(examples.x, "X")._asdict()}
    else:
        given["x"] = np.ascontiguousarray(examples.x)
    if examples.classes is None:
        given["numbers"] = np.ascontiguousarray(examples.y, examples.dtype)
    else:
        given["classes"] = np.ascontiguousarray(examples.y, np.int64)
    if examples.weights is not None:
        given["weights"] = np.ascontiguousarray(examples.weights, examples.dtype)
    return given


def _executed(
    spec: RunSpec,
    net: Net,
    loss: Minimised,
    state: Snapshot | None,
    keeps_memory: bool,
    tell: Callable[[str], object] | None,
    stop: Event | None,
) -> Trained:
    job, kept = net.job, list[Snapshot]()

    def observe(progress: Progress) -> Literal["stop"] | None:
        return "stop" if stop is not None and stop.is_set() else None

    def report(progress: Progress) -> None:
        if tell is not None and progress.evaluation is not None:
            tell(_line(progress.evaluation, job.epochs))

    if spec.engine in ("auto", "native") and plain.runs(job):
        engine: str = "native"
        execute: Execute = partial(plain.execute, job, report, threads=of_a_fit())
    else:
        with without_collection():
            from gradus.sklearn import by_torch
        engine, execute = by_torch.engine_for(spec.engine, net, loss.build(), report)
    if state is not None and state.engine != engine:
        state = None  # what one engine remembers the other does not read
    course = Course(
        since=state,
        end=kept.append if keeps_memory else None,
        observe=None if stop is None else observe,
    )
    outcome, parameters = execute(course)
    network = Network(*parameters, job.activation)
    _check(outcome, network, job)
    assert outcome.kept_epoch is not None
    after = None
    if kept:
        after = Memory.after(spec, replace(kept[0], outcome=Outcome(step=outcome.step)))
    return Trained(network, outcome.evaluation, outcome.kept_epoch, engine, after)


def _line(row: Evaluation, epochs: int) -> str:
    told = f"epoch {row.epoch}/{epochs}: loss {row.running_train_loss:.4g}"
    if row.validation_loss is not None:
        told += f", validation loss {row.validation_loss:.4g}"
    return told


def _check(outcome: Outcome, network: Network, job: PlainJob) -> None:
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
