"""The eager engine against the pure equation on a flat vector, and what it records on the way."""

import copy
import dataclasses
import math

import pytest
import torch
from torch import nn

from gradus.engine import eager
from gradus.engine.job import Outcome, Row
from gradus.errors import NotPositiveDefiniteError
from gradus.methods import (
    LBFGS,
    SGD,
    GradientAtIterate,
    GradientDescent,
    InverseTime,
    LevenbergMarquardt,
    Method,
    Nesterov,
    Newton,
    NewtonCG,
)
from tests.engine.jobs import (
    CLASSES,
    FEATURES,
    batches_of,
    close,
    data,
    fresh,
    ground_truth,
    job,
    size_of,
    where,
)


@pytest.mark.parametrize(
    ("method", "layer"),
    [
        (SGD(0.1, momentum=0.9), nn.Dropout),
        (Nesterov(0.1, 0.9), lambda: nn.BatchNorm1d(5)),
        (Nesterov(0.1, 0.9), nn.Dropout),
    ],
)
def test_how_often_rows_are_logged_does_not_change_the_run(method, layer):
    def run(log_every):
        model = fresh(lambda: nn.Linear(FEATURES, 5), layer, lambda: nn.Linear(5, CLASSES))
        given = job(model=model, method=method, log_every=log_every)
        outcome = eager.execute(given)
        return {row.step: row for row in outcome.history}, outcome.evaluation, where(model)

    often, seldom = run(1), run(3)
    assert torch.equal(often[2], seldom[2])
    assert often[1] == seldom[1]
    assert seldom[0].items() <= often[0].items()
    assert len(seldom[0]) < len(often[0])


def test_the_report_is_told_every_step_and_every_test_pass():
    told = []
    given = job()
    outcome = eager.execute(given, told.append)
    steps = [progress for progress in told if progress.evaluation is None]
    assert [progress.step for progress in steps] == list(range(1, given.steps + 1))
    assert [progress.loss for progress in steps] == [row.loss for row in outcome.history]
    assert [progress.samples for progress in steps] == [row.samples for row in outcome.history]
    passes = [progress for progress in told if progress.evaluation is not None]
    assert [progress.evaluation for progress in passes] == outcome.evaluation
    assert [progress.epoch for progress in passes] == [1, 2, 3]
    assert outcome.samples_per_second == outcome.samples / outcome.train_seconds
    assert math.isnan(Outcome().samples_per_second)


def test_frozen_parameters_stay_where_they_are():
    model = fresh()
    model[0].weight.requires_grad_(False)
    before = [p.detach().clone() for p in model.parameters()]
    eager.execute(job(model=model, method=SGD(0.1, weight_decay=0.1)))
    moved = [not torch.equal(p, q) for p, q in zip(model.parameters(), before, strict=True)]
    assert moved == [False, True, True, True]
    assert [p.requires_grad for p in model.parameters()] == [False, True, True, True]
    assert all(p.grad is None for p in model.parameters())


# What is random, and what has a memory


def test_batch_normalisation_learns_its_statistics_in_training_and_not_in_the_test_pass():
    model = fresh(lambda: nn.BatchNorm1d(FEATURES, momentum=0.25), lambda: nn.Linear(FEATURES, 3))
    given = job(model=model, sampling="sequential", test=data(n=7, seed=1, scale=100.0))
    x = given.train.x
    mean, variance = torch.zeros(FEATURES).double(), torch.ones(FEATURES).double()
    for batch in batches_of(given):
        mean = 0.75 * mean + 0.25 * x[batch].mean(0)
        variance = 0.75 * variance + 0.25 * x[batch].var(0)
    for method in (SGD(0.1), Nesterov(0.1, 0.9)):  # Nesterov's rows need a second evaluation
        again = dataclasses.replace(given, model=copy.deepcopy(model), method=method)
        eager.execute(again)
        close(again.model[0].running_mean, mean)
        close(again.model[0].running_var, variance)
        assert again.model[0].num_batches_tracked == given.steps


def test_the_test_pass_is_in_eval_mode_and_training_in_train_mode():
    modes = []

    class Watch(nn.Identity):
        def forward(self, x):
            modes.append((self.training, len(x)))
            return x

    model = fresh(Watch, lambda: nn.Linear(FEATURES, CLASSES))
    model.eval()
    eager.execute(job(model=model, sampling="sequential", epochs=2))
    an_epoch = [(True, 6), (True, 6), (True, 6), (True, 2), (False, 20), (False, 7)]
    assert modes == [*an_epoch, *an_epoch, (False, 7)]


SECOND_ORDER = [
    NewtonCG(max_iterations=3),
    NewtonCG(lr=1000.0, max_iterations=3),
    LBFGS(),
    LevenbergMarquardt(),
    Newton(saddle_free=True, damping=1.0, line_search="backtracking"),
]


@pytest.mark.parametrize("method", SECOND_ORDER, ids=lambda method: type(method).__name__)
def test_what_a_line_search_tries_does_not_move_running_statistics(method):
    model = fresh(lambda: nn.Linear(FEATURES, 3), lambda: nn.BatchNorm1d(3))
    outcome = eager.execute(job(model=model, method=method, sampling="full", epochs=4))
    assert outcome.step == 4
    assert model[1].num_batches_tracked == 4


@pytest.mark.parametrize("method", SECOND_ORDER, ids=lambda method: type(method).__name__)
def test_all_evaluations_of_a_step_drop_the_same_units(method):
    """With other units in every evaluation, f would seem to rise along directions of descent."""
    model = fresh(lambda: nn.Linear(FEATURES, 8), lambda: nn.Dropout(0.5), lambda: nn.Linear(8, 3))
    watched = job(model=model, method=method, sampling="full", epochs=1)
    run = eager._Execution(watched, lambda progress: None)
    model.train()
    f, w = run.oracle, run.iteration.w
    f.first.point = None
    value, g = f.value_and_gradient(w)
    values, gradients = [f.value(w), f.value_and_gradient(w)[0]], [f.gradient(w)]
    assert all(torch.equal(again, value) for again in values)
    assert all(torch.equal(again.flat(), g.flat()) for again in gradients)
    products = f.hvp(w, g).flat(), (f.curvature_at(w) @ g).flat(), f.hessian(w) @ g.flat()
    close(torch.stack(products), products[0].expand(3, -1))
    f.first.point, f.first.step = None, 1
    assert not torch.equal(f.value_and_gradient(w)[0], value)


def test_a_method_that_cannot_go_on_keeps_what_it_has_done():
    class Stopping(GradientAtIterate):
        lr = 0.1

        def init(self, w):
            return 0

        def update(self, w, g, state):
            if state == 2:
                raise NotPositiveDefiniteError("step 2: no further")
            return w - self.lr * g, state + 1

    stopping = job(method=Stopping(), sampling="full", epochs=5, log_every=1)
    outcome = eager.execute(stopping)
    assert (outcome.status, outcome.stopped) == ("stopped", "step 2: no further")
    assert (outcome.step, len(outcome.history), len(outcome.evaluation)) == (2, 2, 2)
    two_steps = job(method=GradientDescent(0.1), sampling="full", epochs=2)
    eager.execute(two_steps)
    close(where(stopping.model), where(two_steps.model))


def test_a_method_that_cannot_begin_is_refused():
    with pytest.raises(NotPositiveDefiniteError, match=r"^step 0: the Hessian is"):
        eager.execute(job(method=Newton(), sampling="full"))


def dropout_losses(seed, epochs, sampling="full", before=0):
    """With lr 0 the losses vary with the masks (and the batches) alone."""
    model = fresh(nn.Dropout, lambda: nn.Linear(FEATURES, CLASSES))
    torch.manual_seed(before)
    given = job(
        model=model, method=GradientDescent(0.0), seed=seed, epochs=epochs, sampling=sampling
    )
    return [row.loss for row in eager.execute(given).history]


@pytest.mark.parametrize("sampling", ["full", "shuffle"])
def test_dropout_depends_on_seed_and_epoch_and_on_nothing_before(sampling):
    losses = dropout_losses(0, 3, sampling)
    assert losses == dropout_losses(0, 3, sampling, before=99)
    assert losses[: len(losses) // 3] == dropout_losses(0, 1, sampling)
    assert len(set(losses)) == len(losses)
    assert set(losses).isdisjoint(dropout_losses(1, 3, sampling))


# How runs end early


class Exploding(nn.Module):
    """A linear model whose output is not finite from some pass on (the test pass not counted)."""

    def __init__(self, after, value=math.nan):
        super().__init__()
        self.linear = nn.Linear(FEATURES, CLASSES, dtype=torch.float64)
        self.passes, self.after, self.value = 0, after, value

    def forward(self, x):
        if self.training:
            self.passes += 1
            if self.passes > self.after:
                return self.linear(x) + self.value
        return self.linear(x)


@pytest.mark.parametrize("value", [math.nan, math.inf])
@pytest.mark.parametrize("after", [0, 1, 3, 4, 6])
@pytest.mark.parametrize("log_every", [1, 3])
def test_a_loss_that_is_not_finite_ends_the_run_before_its_step(after, value, log_every):
    """The parameters are those at which the loss was not finite: no step is taken from there."""
    torch.manual_seed(0)
    model = Exploding(after, value)
    method = SGD(InverseTime(0.1, 1.0), momentum=0.5)
    given = job(model=model, method=method, log_every=log_every)
    calm = dataclasses.replace(given, model=copy.deepcopy(model))
    calm.model.after = 10**9
    risk, path = ground_truth(calm)
    batches = batches_of(given)

    outcome = eager.execute(given)

    assert outcome.status == "diverged"
    assert (outcome.step, outcome.samples) == (after, sum(map(size_of, batches[:after])))
    found = outcome.divergence
    assert (found.step, found.epoch) == (after, after // 4 + 1)
    assert not math.isfinite(found.loss)
    assert found.lr == 0.1 / (1 + after)
    if after:
        close(found.last_finite_loss, risk.mean_loss(path.points[after - 1], batches[after - 1]))
    else:
        assert found.last_finite_loss is None
    close(where(model), path.points[after])
    assert [row.step for row in outcome.history] == [
        t for t in range(after) if t % 4 % log_every == 0
    ]
    assert all(math.isfinite(row.loss) for row in outcome.history)
    assert len(outcome.evaluation) == after // 4


@pytest.mark.parametrize("late", [False, True], ids=["every step", "logged rows"])
@pytest.mark.parametrize("log_every", [1, 3])
@pytest.mark.parametrize("after", [0, 2, 5])
def test_on_a_device_that_is_asked_seldom_divergence_is_dated_back(after, log_every, late):
    """As on an accelerator: found at the next row or at the end of the epoch, dated to its step."""
    torch.manual_seed(0)
    execution = eager._Execution(job(model=Exploding(after), log_every=log_every), lambda _: None)
    execution.looks_at_every_step = not late
    outcome = execution.run()
    assert outcome.status == "diverged"
    assert outcome.divergence.step == after
    assert (outcome.divergence.last_finite_loss is None) == (after == 0)
    assert [row.step for row in outcome.history] == [
        t for t in range(after) if t % 4 % log_every == 0
    ]


@pytest.mark.parametrize("log_every", [1, 3, 100])
def test_a_device_that_is_asked_seldom_gives_the_same_record(log_every):
    def run(every_step):
        execution = eager._Execution(job(log_every=log_every), lambda _: None)
        execution.looks_at_every_step = every_step
        outcome = execution.run()
        return outcome.history, outcome.evaluation, where(execution.model).tolist()

    assert run(True) == run(False)


def test_the_engine_takes_any_method():
    """Also one that is not first-order, through value and gradient of the risk."""

    @dataclasses.dataclass(frozen=True)
    class Halving(Method):
        """Takes the gradient step if it lowers f on the batch, else half of it."""

        lr: float

        def init(self, w):
            return 0

        def step(self, f, w, state, batch=None):
            g = f.gradient(w, batch)
            after = w - self.lr * g
            if f.value(after, batch) > f.value(w, batch):
                after = w - self.lr / 2 * g
            return after, state + 1

    given = job(method=Halving(1.0))
    _, path = ground_truth(given)
    outcome = eager.execute(given)
    close(where(given.model), path.points[-1])
    assert isinstance(outcome.history[0], Row)
