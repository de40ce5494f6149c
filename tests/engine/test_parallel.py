"""Several processes train the run of one, but for the rounding of sums."""

import copy
import dataclasses

import pytest
import torch
from torch import nn

import gradus
from gradus.data.dataset import Dataset
from gradus.data.sampling import Sampling
from gradus.engine import eager, parallel
from gradus.engine.clipping import Clip
from gradus.engine.selection import Selection
from gradus.errors import InputError
from gradus.methods import (
    SGD,
    Adagrad,
    Adam,
    AdamW,
    Cosine,
    GradientDescent,
    Nesterov,
    Newton,
    Polyak,
    Proximal,
    ProximalGradient,
    Warmup,
)
from gradus.optim.as_method import OptimizerMethod
from gradus.risk.losses import OwnLoss
from gradus.risk.penalties import L1, L2, ElasticNet, SquaredL2
from tests.engine.jobs import CLASSES, FEATURES, N, data, fresh, job, where
from tests.engine.processes import together

A_STEP = 1e-12


def run_by(size, given, **changes):
    """The model and the outcome on each of so many processes."""

    def call(process):
        own = copy.deepcopy(given.model)
        mine = dataclasses.replace(given, model=own, together=process, **changes)
        return own, eager.execute(mine)

    return together(size, call)


def alone(given):
    model = copy.deepcopy(given.model)
    return model, eager.execute(dataclasses.replace(given, model=model))


def rows(outcome):
    """All that is recorded of a run but for the time that it took."""
    found = [tuple(row) for row in outcome.history]
    for row in outcome.evaluation:
        numbers = [*row[:-1], *row.metrics.values()]
        found.append(tuple(value for value in numbers if value is not None))
    return found


def assert_the_same_run(given, size):
    model, outcome = alone(given)
    found = run_by(size, given)
    bound = A_STEP * max(outcome.step, 1)
    for other, recorded in found:
        assert recorded.status == outcome.status
        assert (recorded.step, recorded.samples, recorded.work, recorded.kept_epoch) == (
            *(outcome.step, outcome.samples, outcome.work, outcome.kept_epoch),
        )
        torch.testing.assert_close(where(other), where(model), rtol=bound, atol=bound)
        for got, expected in zip(rows(recorded), rows(outcome), strict=True):
            assert got == pytest.approx(expected, rel=bound, abs=bound, nan_ok=True)
        if outcome.tested is not None:
            assert recorded.tested.loss == pytest.approx(outcome.tested.loss, rel=bound)
    # Processes that stood apart by a bit would part for good.
    assert all(torch.equal(where(other), where(found[0][0])) for other, _ in found)
    return outcome


def numbers(n=N, seed=0):
    x = data(n, seed).x
    return Dataset(x, torch.cat([x.sum(1, keepdim=True), x[:, :2]], 1), dtype=torch.float64)


def of_weights(given):
    weights = torch.arange(len(given), dtype=torch.float64) % 4
    return dataclasses.replace(given, weights=weights)


def own_loss(output, y):
    return (output - nn.functional.one_hot(y, CLASSES)).square().mean()


def deep(layer):
    return fresh(lambda: nn.Linear(FEATURES, 5), layer, lambda: nn.Linear(5, CLASSES))


CASES = {
    "gradient descent, all examples": {
        "method": GradientDescent(0.1),
        "sampling": Sampling("full", n=N),
    },
    "polyak, with replacement": {"method": Polyak(0.1, 0.8), "sampling": "replacement"},
    "nesterov, logged at every other step": {"method": Nesterov(0.1, 0.8), "log_every": 2},
    "sgd, everything": {"method": SGD(0.1, 0.9, dampening=0.2, weight_decay=0.05, nesterov=False)},
    "adam": {"method": Adam(0.02, amsgrad=True), "sampling": "sequential"},
    "adamw, averaged": {"method": AdamW(0.02), "ema": 0.9},
    "adagrad": {"method": Adagrad(0.02, lr_decay=0.1)},
    "scheduled": {"method": Nesterov(Warmup(Cosine(0.2, steps=10), steps=4), 0.8)},
    "torch's own": {
        "method": OptimizerMethod(torch.optim.RMSprop, {"lr": 0.01}),
        "penalty": L2(0.1),
    },
    "proximal": {"method": Proximal(SGD(0.1, momentum=0.5)), "penalty": L1(0.05)},
    "proximal gradient": {"method": ProximalGradient(0.1), "penalty": ElasticNet(0.05, 0.5)},
    "penalty": {"penalty": SquaredL2(0.1)},
    "clipped": {"clip": Clip(norm=0.1, value=0.2)},
    "accumulated": {"chunk_size": 2},
    "dropout": {"model": deep(lambda: nn.Dropout(0.4)), "method": Nesterov(0.1, 0.8)},
    "dropout, accumulated": {"model": deep(lambda: nn.Dropout(0.4)), "chunk_size": 2},
    "one example a step": {"sampling": Sampling("shuffle", n=N, batch_size=1), "epochs": 1},
    "class weights": {
        "loss": gradus.CrossEntropyLoss(weight=torch.tensor([0.0, 1.0, 5.0], dtype=torch.float64))
    },
    "ignored targets": {"loss": gradus.CrossEntropyLoss(ignore_index=1)},
    "a sum": {"loss": gradus.CrossEntropyLoss(reduction="sum"), "method": SGD(0.01)},
    "elements": {"loss": gradus.MSELoss(), "train": numbers(), "test": numbers(7, 1)},
    "weighted examples": {"train": of_weights(data())},
    "a loss of one's own": {"loss": OwnLoss(own_loss, "own")},
    "early stopping": {
        "method": SGD(0.5, momentum=0.9),
        "validation": data(9, seed=3),
        "selection": Selection("validation_loss", keep="best", patience=1),
        "epochs": 12,
    },
    "metrics": {
        "validation": data(9, seed=3),
        "metrics": {"spread": lambda output, y: float(output.std() + y.sum())},
    },
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
@pytest.mark.parametrize("size", [2, 3])
def test_processes_give_the_run_of_one(case, size):
    """Of 20 examples in batches of 6 the last is of 2: fewer than 3 processes."""
    assert_the_same_run(job(**case), size)


def test_a_run_that_diverges_ends_at_the_same_step_on_all():
    outcome = assert_the_same_run(
        job(
            loss=gradus.MSELoss(),
            train=numbers(),
            test=numbers(7, 1),
            method=SGD(1e12),
            model=fresh(lambda: nn.Linear(FEATURES, CLASSES)),
            epochs=20,
        ),
        2,
    )
    assert outcome.status == "diverged"


def test_means_within_a_batch_are_those_of_a_share_and_all_keep_those_of_the_first():
    given = job(model=deep(lambda: nn.BatchNorm1d(5)), sampling=Sampling("sequential", N, 10))
    (first, _), (second, _) = run_by(2, given)
    assert torch.equal(first[1].running_mean, second[1].running_mean)
    assert "share" in parallel.remark(dataclasses.replace(given, together=object()))
    assert parallel.remark(given) is None
    assert parallel.remark(job(together=object())) is None


def by_hand(given, size, every):
    """Local SGD as its equation says, on copies of the model."""
    models = [copy.deepcopy(given.model) for _ in range(size)]
    losses = []
    for epoch in range(given.epochs):
        batches = list(given.sampling.epoch(epoch))
        for index, batch in enumerate(batches):
            of_step = 0.0
            for rank, model in enumerate(models):
                mine = batch[len(batch) * rank // size : len(batch) * (rank + 1) // size]
                if not len(mine):
                    continue
                loss = nn.functional.cross_entropy(model(given.train.x[mine]), given.train.y[mine])
                of_step += loss.item() * len(mine) / len(batch)
                grads = torch.autograd.grad(loss, list(model.parameters()))
                with torch.no_grad():
                    for p, g in zip(model.parameters(), grads, strict=True):
                        p -= given.method.lr * g
            losses.append(of_step)
            if (index + 1) % every == 0 or index + 1 == len(batches):
                mean = sum(where(model) for model in models) / size
                for model in models:
                    nn.utils.vector_to_parameters(mean.clone(), model.parameters())
    return where(models[0]), losses


@pytest.mark.parametrize(("size", "every", "log_every"), [(2, 3, 1), (3, 2, 3)])
def test_local_sgd_is_its_equation(size, every, log_every):
    given = job(method=GradientDescent(0.1), log_every=log_every)
    expected, losses = by_hand(given, size, every)
    for model, outcome in run_by(size, given, average_every=every):
        torch.testing.assert_close(where(model), expected, rtol=1e-12, atol=1e-12)
        assert [row.loss for row in outcome.history] == pytest.approx(
            [losses[row.step] for row in outcome.history]
        )


@pytest.mark.parametrize(
    "method", [Adam(0.02), Proximal(Polyak(0.1, 0.5)), OptimizerMethod(torch.optim.Adam, {})]
)
def test_what_a_method_remembers_is_averaged_too(method):
    given = job(method=method, ema=0.9, penalty=L1(0.01))
    (first, _), (second, _) = run_by(2, given, average_every=2)
    assert torch.equal(where(first), where(second))
    assert not torch.equal(where(first), where(alone(given)[0]))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"method": Newton(1.0), "together": True}, "--processes 2: is for first-order methods"),
        ({"average_every": 4}, "--average-every 4: is for several processes"),
    ],
)
def test_what_several_processes_do_not_train_is_refused(changes, said):
    if "together" in changes:
        changes["together"] = dataclasses.make_dataclass("Two", ["size"])(2)
    with pytest.raises(InputError, match=said):
        parallel.check(job(**changes))
