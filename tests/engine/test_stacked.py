"""Runs that move together end where each ends alone: the eager engine is the truth."""

import copy
import dataclasses
import itertools
import math

import pytest
import torch
from torch import nn

import gradus
from gradus import methods
from gradus.data.dataset import Dataset
from gradus.data.sampling import Sampling
from gradus.engine import eager, stacked
from gradus.engine.activations import activation_of
from gradus.engine.clipping import Clip
from gradus.engine.selection import Selection
from gradus.engine.stacked_activations import CURVES, curve_of
from gradus.risk.penalties import L1, L2, ElasticNet, SquaredL2
from tests.engine.jobs import BATCH, CLASSES, FEATURES, N, data, fresh, job, where

# Two forms of one float64 computation over a dozen steps of a smooth problem.
TOLERANCE = {"rel": 1e-10, "abs": 1e-10}

# Methods of one structure, each with three sets of hyper-parameters.
METHODS = {
    "gradient-descent": [methods.GradientDescent(lr) for lr in (0.1, 0.02, 0.5)],
    "polyak": [methods.Polyak(lr, beta) for lr, beta in ((0.1, 0.8), (0.05, 0.0), (0.1, 0.5))],
    "nesterov": [methods.Nesterov(lr, beta) for lr, beta in ((0.1, 0.8), (0.05, 0.0), (0.1, 0.5))],
    "sgd": [
        methods.SGD(0.1, 0.8, dampening=0.1, weight_decay=0.1),
        methods.SGD(0.05, 0.0),
        methods.SGD(0.2, 0.5, weight_decay=0.01),
    ],
    "sgd-nesterov": [
        methods.SGD(lr, mu, nesterov=True) for lr, mu in ((0.1, 0.8), (0.02, 0.5), (0.1, 0.9))
    ],
    "maximize": [methods.SGD(lr, 0.5, maximize=True) for lr in (0.01, 0.02, 0.001)],
    "adam": [
        methods.Adam(0.1, (0.9, 0.99), weight_decay=0.1),
        methods.Adam(0.01, (0.5, 0.999), eps=1e-3),
        methods.Adam(0.05),
    ],
    "adamw-amsgrad": [methods.AdamW(lr, amsgrad=True) for lr in (0.1, 0.01, 0.05)],
    "rmsprop": [methods.RMSprop(lr, momentum=mu, centered=True)
                for lr, mu in ((0.01, 0.5), (0.02, 0.0), (0.001, 0.9))],
    "adagrad": [methods.Adagrad(lr, lr_decay=decay)
                for lr, decay in ((0.1, 0.1), (0.2, 0), (0.05, 0))],
    "lars": [methods.LARS(lr, momentum=mu, trust=0.1)
             for lr, mu in ((0.5, 0.5), (1.0, 0), (0.2, 0))],
    "lamb": [methods.LAMB(lr, weight_decay=0.1) for lr in (0.01, 0.03, 0.1)],
    "muon": [methods.Muon(lr) for lr in (0.01, 0.03, 0.1)],
    "proximal-gradient": [methods.ProximalGradient(lr) for lr in (0.1, 0.05, 0.2)],
    "accelerated": [methods.ProximalGradient(lr, accelerated=True) for lr in (0.1, 0.05, 0.2)],
    "scheduled": [
        methods.SGD(methods.InverseTime(0.1, 0.5), 0.5),
        methods.SGD(0.05, 0.8),
        methods.SGD(methods.Warmup(methods.Cosine(0.2, 12), 3), 0.5),
    ],
    "adam, scheduled": [
        methods.Adam(methods.StepDecay(0.1, 2)),
        methods.Adam(0.1),
        methods.Adam(0.01),
    ],
}  # fmt: skip
PENALTIES = {
    "none": [None] * 3,
    "l1": [L1(strength) for strength in (0.01, 0.02, 0.0)],
    "l2": [L2(strength) for strength in (0.01, 0.02, 0.1)],
    "squared-l2": [SquaredL2(strength) for strength in (0.01, 0.02, 0.1)],
    "elastic-net": [ElasticNet(*given) for given in ((0.01, 0.5), (0.1, 0.2), (0.02, 1.0))],
}
LOSSES = {
    "cross-entropy": gradus.CrossEntropyLoss(label_smoothing=0.1),
    "weighted": gradus.CrossEntropyLoss(weight=torch.tensor([1.0, 2.0, 0.5]).double()),
    "sum": gradus.CrossEntropyLoss(reduction="sum"),
    "nll": gradus.NLLLoss(),
    "mse": gradus.MSELoss(),
    "l1": gradus.L1Loss(),
    "kl": gradus.KLDivLoss(reduction="batchmean"),
}


def same(got, alone, models):
    """The records of two outcomes, and where their models stand."""
    assert (got.status, got.step, got.samples) == (alone.status, alone.step, alone.samples)
    for rows in ("history", "evaluation"):
        assert len(getattr(got, rows)) == len(getattr(alone, rows))
        for one, other in zip(getattr(got, rows), getattr(alone, rows), strict=True):
            assert known(one) == pytest.approx(known(other), **TOLERANCE)
    if alone.divergence is not None:
        assert got.divergence[:3] == alone.divergence[:3]
        assert got.divergence.lr == alone.divergence.lr
        last = [each.divergence.last_finite_loss for each in (got, alone)]
        assert known(last[:1]) == pytest.approx(known(last[1:]), **TOLERANCE)
    torch.testing.assert_close(*map(where, models), rtol=1e-10, atol=1e-10)


def known(row):
    """A regression has no accuracy, and no figures were asked for."""
    return [value for value in row if value is not None and value != {}]


def compared(make):
    """Stacked and alone, on jobs that are made twice."""
    jobs, alone = make(), make()
    assert stacked.obstacle(jobs) is None
    outcomes = stacked.execute(jobs)
    for got, one, other in zip(outcomes, jobs, alone, strict=True):
        same(got, eager.execute(other), (one.model, other.model))
    return jobs, outcomes


def sampled(name="shuffle", batch_size=BATCH, seed=7):
    return Sampling(name, n=N, batch_size=batch_size, seed=seed)


@pytest.mark.parametrize(
    ("name", "sampling"),
    [(name, "shuffle") for name in METHODS]
    + [
        (name, sampling)
        for name in ("nesterov", "adam, scheduled")
        for sampling in ("replacement", "sequential", "full")
    ],
)
def test_every_method_moves_each_run_as_alone(name, sampling):
    jobs, _ = compared(
        lambda: [
            job(
                model=fresh(seed=seed),
                method=method,
                sampling=sampled(sampling, seed=seed),
                penalty=L1(0.01) if isinstance(method, methods.ProximalGradient) else None,
            )
            for seed, method in enumerate(METHODS[name])
        ]
    )
    assert len(stacked.blocks(jobs)) == 1


@pytest.mark.parametrize("penalty", PENALTIES)
@pytest.mark.parametrize("name", ["sgd", "nesterov", "adam", "proximal-gradient", "proximal"])
def test_every_penalty_pulls_each_run_as_alone(name, penalty):
    chosen = METHODS.get(name) or [methods.Proximal(each) for each in METHODS["nesterov"]]
    if name in ("proximal", "proximal-gradient") and penalty == "none":
        pytest.skip("nothing to take a proximal step of")
    compared(
        lambda: [
            job(model=fresh(seed=seed), method=method, penalty=own)
            for seed, (method, own) in enumerate(zip(chosen, PENALTIES[penalty], strict=True))
        ]
    )


def data_for(loss, n=N, seed=0):
    examples = data(n, seed)
    if isinstance(loss, gradus.CrossEntropyLoss | gradus.NLLLoss):
        return examples
    random = torch.Generator().manual_seed(seed)
    y = torch.randn(n, CLASSES, generator=random, dtype=torch.float64).softmax(1)
    return Dataset(examples.x, y, dtype=torch.float64)


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("hidden", [nn.ReLU, nn.Tanh, nn.Sigmoid, nn.GELU, lambda: nn.GELU("tanh")])
def test_every_loss_and_activation(name, hidden):
    loss = LOSSES[name]
    ends = [lambda: nn.LogSoftmax(dim=1)] if name in ("nll", "kl") else []
    layers = [lambda: nn.Linear(FEATURES, 5), hidden, lambda: nn.Linear(5, CLASSES, bias=False)]
    train, test = data_for(loss), data_for(loss, 7, 1)
    compared(
        lambda: [
            job(
                model=fresh(*layers, *ends, seed=seed), loss=loss, train=train, test=test,
                method=methods.SGD(0.1 / (1 + seed), 0.5),
            )
            for seed in range(3)
        ]
    )  # fmt: skip


BENT = [
    nn.SiLU, nn.Mish, nn.Softsign, nn.Tanhshrink, lambda: nn.Softplus(2.0, 1.0), nn.LogSigmoid,
    nn.ELU, lambda: nn.CELU(0.5), nn.SELU, nn.LeakyReLU, lambda: nn.Threshold(0.1, 0.2),
    lambda: nn.Hardtanh(-0.3, 0.4), nn.ReLU6, nn.Hardsigmoid, nn.Hardswish, nn.Softshrink,
    nn.Hardshrink,
]  # fmt: skip


def test_the_other_activations():
    """All that the kernels know; each has a block of its own.

    The slope of torch's Hardsigmoid is 1/6 in float32, in float64 too.
    """
    bent = [layer for layer in BENT if layer is not nn.Hardsigmoid]

    def make():
        return [
            job(model=fresh(lambda: nn.Linear(FEATURES, 5), layer, lambda: nn.Linear(5, CLASSES)))
            for layer in bent
        ]

    jobs, _ = compared(make)
    assert len(stacked.blocks(jobs)) == len(bent)
    known_to_kernels = {activation_of(job.model[1]).curve for job in jobs}
    assert known_to_kernels | {"identity", "relu", "tanh", "sigmoid", "gelu", "gelu-tanh"} == set(
        CURVES
    )


@pytest.mark.parametrize("layer", BENT)
def test_activations_where_they_bend_and_far_out(layer):
    activation = layer()
    z = torch.tensor([-1e3, -3, -0.5, -0.3, -0.0, 0.1, 0.4, 0.5, 3, 6, 1e3], dtype=torch.float64)
    z.requires_grad_()
    expected = activation(z)
    (slope,) = torch.autograd.grad(expected.sum(), z)
    curve = curve_of(activation_of(activation))
    h = curve.value(z.detach())
    torch.testing.assert_close(h, expected.detach())
    torch.testing.assert_close(curve.back(torch.ones_like(z), z.detach(), h), slope)


def test_runs_of_different_batch_sizes_are_on_one_clock():
    taken = []

    def make():
        return [
            job(model=fresh(seed=size), sampling=sampled(batch_size=size)) for size in (2, 5, 20)
        ]

    jobs, _ = compared(make)
    assert len(stacked.blocks(jobs)) == 3
    reports = [lambda progress, k=k: taken.append((progress.samples, k)) for k in range(3)]
    stacked.execute(make(), reports)
    samples = [count for count, _ in taken]
    # Nobody is ahead of another by more than the largest step, 20 samples.
    assert all(late >= early - 20 for early, late in itertools.pairwise(samples))


def test_data_of_their_own_and_shared_data_stand_in_one_block():
    shared, other = data(), data(seed=5)

    def make():
        return [
            job(model=fresh(seed=seed), train=train, sampling=sampled(seed=seed))
            for seed, train in enumerate((shared, other, shared, data(seed=9)))
        ]

    jobs, _ = compared(make)
    assert len(stacked.blocks(jobs)) == 1


@pytest.mark.parametrize("log_every", [1, 3, 100])
def test_runs_that_diverge_leave_the_others_alone(log_every):
    """At different steps, some of them between two looks at the losses."""

    def make():
        poisoned = []
        for at in (1, 7, 15):
            train = data()
            train.x[at] = math.inf
            poisoned.append(train)
        # Without a bound between the input and the loss, infinity reaches it.
        model = fresh(lambda: nn.Linear(FEATURES, CLASSES))
        return [
            job(
                model=copy.deepcopy(model), train=train, log_every=log_every,
                sampling=sampled("sequential"), method=methods.SGD(lr, 0.5),
            )
            for lr in (0.1, 0.2)
            for train in (*poisoned, data())
        ]  # fmt: skip

    jobs, outcomes = compared(make)
    assert len(stacked.blocks(jobs)) == 1
    assert [each.status for each in outcomes] == [
        "diverged",
        "diverged",
        "diverged",
        "finished",
    ] * 2
    assert [each.step for each in outcomes[:4]] == [0, 1, 2, 12]


def test_runs_of_different_length_leave_when_they_are_through():
    compared(lambda: [job(model=fresh(seed=epochs), epochs=epochs) for epochs in (1, 3, 2)])


def test_an_interruption_keeps_what_every_run_has_recorded():
    jobs = [job(model=fresh(seed=seed)) for seed in range(3)]
    alone = [job(model=fresh(seed=seed)) for seed in range(3)]

    seen = []

    def report(progress):
        if progress.step == 6 and not seen:
            seen.append(progress)
            raise KeyboardInterrupt

    outcomes = stacked.execute(jobs, [lambda _: None, report, lambda _: None])
    for outcome, one, other in zip(outcomes, jobs, alone, strict=True):
        assert (outcome.status, outcome.step) == ("interrupted", 6)
        whole = eager.execute(other)
        for got, true in zip(outcome.history, whole.history, strict=False):
            assert known(got) == pytest.approx(known(true), **TOLERANCE)
        assert not torch.equal(where(one.model), where(other.model))


CLIPS = {
    "norms": [Clip(0.05), Clip(0.1), Clip(10.0)],
    "values": [Clip(value=each) for each in (0.01, 0.02, 1.0)],
    "one of both": [Clip(0.05, 0.01)] * 3,
}


@pytest.mark.parametrize("clip", CLIPS)
@pytest.mark.parametrize("name", ["sgd", "proximal"])
def test_the_gradient_of_each_run_is_shortened_by_itself(name, clip):
    chosen = METHODS.get(name) or [methods.Proximal(each) for each in METHODS["nesterov"]]
    jobs, _ = compared(
        lambda: [
            job(model=fresh(seed=seed), method=method, penalty=SquaredL2(0.02), clip=limits)
            for seed, (method, limits) in enumerate(zip(chosen, CLIPS[clip], strict=True))
        ]
    )
    assert len(stacked.blocks(jobs)) == 1


@pytest.mark.parametrize("frozen", ["0", "2", "0.weight", "2.bias"])
def test_what_is_frozen_stays_in_each_run(frozen):
    def make():
        jobs = []
        for seed, method in enumerate(METHODS["adam"]):
            epochs = 1 + seed  # they leave one by one
            kept = Selection("validation_loss", "best")
            held = {"validation": data(n=9, seed=5), "selection": kept}
            each = job(
                model=fresh(seed=seed), method=method, penalty=L2(0.1), epochs=epochs, **held
            )
            for name, parameter in each.model.named_parameters():
                parameter.requires_grad_(not name.startswith(frozen))
            jobs.append(each)
        return jobs

    starts = [fresh(seed=seed) for seed in range(3)]
    jobs, outcomes = compared(make)
    assert len(stacked.blocks(jobs)) == 1
    for each, start, outcome in zip(jobs, starts, outcomes, strict=True):
        assert outcome.tested is not None
        for name, parameter in each.model.named_parameters():
            assert torch.equal(parameter, start.get_parameter(name)) == name.startswith(frozen)


@pytest.mark.parametrize("loss", ["cross-entropy", "weighted", "mse"])
def test_examples_count_what_they_weigh_in_each_run(loss):
    def weighing(n, seed):
        drawn = torch.Generator().manual_seed(seed)
        weights = torch.rand(n, generator=drawn, dtype=torch.float64)
        return dataclasses.replace(data_for(LOSSES[loss], n, seed), weights=weights)

    shared = weighing(N, 0), weighing(7, 1)

    def make():
        own = weighing(N, 2), weighing(7, 3)
        return [
            job(
                model=fresh(seed=seed), loss=LOSSES[loss], train=train, test=test, validation=test,
                selection=Selection("validation_loss", "best"),
            )
            for seed, (train, test) in enumerate((shared, shared, own))
        ]  # fmt: skip

    jobs, outcomes = compared(make)
    assert len(stacked.blocks(jobs)) == 1
    alone = [eager.execute(each).tested for each in make()]
    for outcome, other in zip(outcomes, alone, strict=True):
        torch.testing.assert_close(outcome.tested.losses, other.losses, rtol=1e-10, atol=1e-10)
        torch.testing.assert_close(outcome.tested.masses, other.masses, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (lambda: job(model=fresh(lambda: nn.Linear(FEATURES, CLASSES), nn.Dropout)), "Dropout"),
        (lambda: job(method=methods.Newton(1.0)), "the method Newton"),
        (lambda: job(method=methods.LBFGS()), "the method LBFGS"),
    ],
)
def test_what_stands_in_the_way_is_named(made, said):
    assert said in stacked.obstacle([job(), made()])


def test_two_jobs_with_one_model_are_refused():
    model = fresh()
    assert "share a model" in stacked.obstacle([job(model=model), job(model=model)])
