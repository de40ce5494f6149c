"""Linear models on sparse inputs: the path of the same job on the same inputs made dense."""

import copy
import dataclasses

import numpy as np
import pytest
import torch
from torch import nn

import gradus
from gradus import kernels, methods
from gradus.data.dataset import Dataset
from gradus.data.sampling import Sampling
from gradus.engine import eager, native, stepping
from gradus.engine.clipping import Clip
from gradus.risk.penalties import L1, L2, ElasticNet, SquaredL2
from gradus.risk.sparse import csr_of
from tests.engine.jobs import close, where
from tests.engine.jobs import job as a_job
from tests.engine.test_snapshot import every_step, goes_on_from_everywhere, record  # noqa: F401

pytestmark = pytest.mark.skipif(kernels.core() is None, reason=str(kernels.absence()))

N, FEATURES, CLASSES = 20, 9, 3


def inputs(n=N, seed=0):
    """Each feature in other examples: one in most of them, one in a single one, one in none."""
    random = torch.Generator().manual_seed(seed)
    x = torch.randn(n, FEATURES, generator=random, dtype=torch.float64)
    share = torch.linspace(0.8, 0.0, FEATURES)
    x[torch.rand(n, FEATURES, generator=random) > share] = 0.0
    return x


def data(n=N, seed=0, outputs=None, weights=None):
    """Classes, or so many numbers."""
    x, random = inputs(n, seed), torch.Generator().manual_seed(seed + 100)
    if outputs is None:
        y, classes = torch.randint(CLASSES, (n,), generator=random), ("a", "b", "c")
    else:
        y, classes = torch.randn(n, outputs, generator=random, dtype=torch.float64), None
    return Dataset(csr_of(x), y, classes, dtype=torch.float64, weights=weights)


def job(size=3, outputs=None, bias=True, sampling="shuffle", weights=None, **changes):
    with torch.random.fork_rng():
        torch.manual_seed(3)
        model = nn.Linear(FEATURES, outputs or CLASSES, bias=bias).double()
    given = {
        "model": model,
        "train": data(outputs=outputs, weights=weights),
        "test": data(7, 1, outputs),
        "sampling": Sampling(sampling, n=N, batch_size=size, seed=7),
    }
    return a_job(**(given | changes))


def made_dense(given):
    def dense(part):
        return dataclasses.replace(part, x=part.x.to_dense())

    return dataclasses.replace(
        given,
        model=copy.deepcopy(given.model),
        train=dense(given.train),
        test=dense(given.test),
    )


def it_walks_as_if_dense(given):
    assert native.obstacle(given) is None
    equal = made_dense(given)
    before = where(given.model)
    true, found = eager.execute(equal), native.execute(given)
    assert found.status == true.status == "finished"
    assert not torch.allclose(before, where(given.model))
    close(where(given.model), where(equal.model))
    close([row.loss for row in found.history], [row.loss for row in true.history])
    for ours, theirs in zip(found.evaluation, true.evaluation, strict=True):
        close(ours.train_loss, theirs.train_loss)
        close(ours.running_train_loss, theirs.running_train_loss)
    close(found.tested.outputs, true.tested.outputs)


METHODS = {
    "descent": methods.GradientDescent(0.1),
    "decay": methods.SGD(0.1, weight_decay=0.3),
    "climb": methods.SGD(0.02, weight_decay=0.3, maximize=True),
    "polyak": methods.Polyak(0.1, 0.8),
    "nesterov": methods.Nesterov(0.1, 0.8),
    "momentum": methods.SGD(0.1, 0.9, dampening=0.2, weight_decay=0.05),
    "sgd-nesterov": methods.SGD(0.1, momentum=0.5, nesterov=True),
    "adam": methods.Adam(0.02),
    "adamw": methods.AdamW(0.02, weight_decay=0.05, amsgrad=True),
    "adagrad": methods.Adagrad(0.1, lr_decay=0.1, initial_accumulator_value=0.01),
    "adagrad-decay": methods.Adagrad(0.1, weight_decay=0.1),
    "rmsprop": methods.RMSprop(0.01, momentum=0.5, centered=True),
    "lion": methods.Lion(0.01, weight_decay=0.1),
    "adadelta": methods.Adadelta(0.1, eps=1e-3),
    "nadam": methods.NAdam(0.01, eps=1e-3),
    "adopt": methods.ADOPT(0.01, eps=1e-3),
    "ftrl": methods.FTRL(0.3, l1=0.1, l2=0.2),
    "ftrl-plain": methods.FTRL(0.3),
}
PENALTIES = {
    "none": None,
    "l1": L1(0.03),
    "squared-l2": SquaredL2(0.2),
    "elastic-net": ElasticNet(0.1, 0.4),
}
SIZES = (1, 3)
PROXIMAL = {
    "ista": methods.ProximalGradient(0.1),
    "fista": methods.ProximalGradient(0.1, accelerated=True),
    **{name: methods.Proximal(method) for name, method in METHODS.items()},
}


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("penalty", PENALTIES)
@pytest.mark.parametrize("method", METHODS)
def test_it_takes_the_steps_of_a_method(method, penalty, size):
    it_walks_as_if_dense(job(size, method=METHODS[method], penalty=PENALTIES[penalty]))


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("penalty", [name for name in PENALTIES if name != "none"])
@pytest.mark.parametrize("method", PROXIMAL)
def test_it_takes_proximal_steps(method, penalty, size):
    it_walks_as_if_dense(job(size, method=PROXIMAL[method], penalty=PENALTIES[penalty]))


@dataclasses.dataclass(frozen=True)
class Given(methods.Schedule):
    """The learning rate of step t."""

    of: object

    def __call__(self, t):
        return self.of(t)


SCHEDULES = {
    "inverse-time": methods.InverseTime(0.2, 0.5),
    "cosine": methods.Warmup(methods.Cosine(0.2, 60), steps=4),
    "none-at-first": Given(lambda t: 0.0 if t < 30 else 0.1),
    "shrinks-to-nothing": Given(lambda t: 0.1 if t % 5 else 2.5),
}
SCHEDULED = {
    "decay": lambda lr: methods.SGD(lr, weight_decay=0.4),
    "momentum": lambda lr: methods.SGD(lr, 0.9, weight_decay=0.05),
    "nesterov": lambda lr: methods.Nesterov(lr, 0.5),
    "ista": methods.ProximalGradient,
    "adagrad": lambda lr: methods.Proximal(methods.Adagrad(lr)),
}


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("method", SCHEDULED)
def test_it_follows_a_schedule(method, schedule):
    """Also one that takes weights to 0, or changes their signs, by decay alone."""
    made = SCHEDULED[method](SCHEDULES[schedule])
    is_proximal = isinstance(made, methods.Proximal | methods.ProximalGradient)
    it_walks_as_if_dense(job(1, method=made, penalty=L1(0.02) if is_proximal else None))


OF_CLASSES = {
    "cross-entropy": gradus.CrossEntropyLoss(weight=torch.tensor([1.0, 2.0, 0.5]).double()),
    "smoothed": gradus.CrossEntropyLoss(label_smoothing=0.1, ignore_index=2),
    "hinge": gradus.HingeLoss(),
    "modified-huber": gradus.ModifiedHuberLoss(reduction="sum"),
}
OF_NUMBERS = {
    "mse": gradus.MSELoss(),
    "l1": gradus.L1Loss(),
    "huber": gradus.HuberLoss(delta=0.5),
    "pinball": gradus.PinballLoss(0.3),
}


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("loss", OF_CLASSES)
def test_it_takes_losses_of_classes(loss, weighted, size):
    weights = torch.linspace(0.2, 1.8, N).double() if weighted else None
    it_walks_as_if_dense(job(size, loss=OF_CLASSES[loss], weights=weights))


@pytest.mark.parametrize("outputs", [1, 2, 20])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("loss", OF_NUMBERS)
def test_it_takes_losses_of_numbers(loss, bias, outputs):
    it_walks_as_if_dense(job(3, outputs, bias, loss=OF_NUMBERS[loss]))


def test_a_log_softmax_may_follow():
    given = job(loss=gradus.NLLLoss())
    it_walks_as_if_dense(
        dataclasses.replace(given, model=nn.Sequential(given.model, nn.LogSoftmax(dim=1)))
    )


@pytest.mark.parametrize("sampling", ["sequential", "replacement", "full"])
@pytest.mark.parametrize("method", ["decay", "momentum", "adagrad"])
def test_it_takes_batches_of_every_sampling(method, sampling):
    it_walks_as_if_dense(job(method=METHODS[method], sampling=sampling))


@pytest.mark.parametrize("penalty", [None, SquaredL2(0.1)])
@pytest.mark.parametrize("clip", [Clip(norm=0.1), Clip(value=0.05)])
@pytest.mark.parametrize("method", ["descent", "momentum"])
def test_it_clips(method, clip, penalty):
    it_walks_as_if_dense(job(method=METHODS[method], clip=clip, penalty=penalty))


def test_in_float32_it_stays_close():
    given = job(1, dtype=torch.float32, method=METHODS["momentum"], epochs=5)
    equal = made_dense(given)
    eager.execute(equal)
    native.execute(given)
    torch.testing.assert_close(where(given.model), where(equal.model), rtol=1e-5, atol=1e-5)


def test_a_scale_that_has_become_small_is_taken_into_the_weights():
    """By 0.3 a step it is below any number after 700 of them; and a feature waits for long."""
    method = methods.SGD(0.1, weight_decay=7.0)
    it_walks_as_if_dense(job(1, method=method, epochs=60, log_every=20))


@pytest.mark.parametrize("variant", kernels.runnable())
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_every_variant_gives_the_same(monkeypatch, variant, size, dtype):
    monkeypatch.setenv(kernels.VARIABLE, variant)
    given = job(size, dtype=dtype, method=PROXIMAL["ista"], penalty=ElasticNet(0.1))
    equal = made_dense(given)
    eager.execute(equal)
    native.execute(given)
    tolerance = 1e-10 if dtype == torch.float64 else 1e-5
    torch.testing.assert_close(
        where(given.model), where(equal.model), rtol=tolerance, atol=tolerance
    )


LEFT = {
    "frozen": lambda: {"model": frozen()},
    "two layers": lambda: {"model": nn.Sequential(nn.Linear(FEATURES, 4), nn.Linear(4, CLASSES))},
    "an activation": lambda: {"model": nn.Sequential(nn.Linear(FEATURES, CLASSES), nn.Tanh())},
    "the norm": lambda: {"penalty": L2(0.1)},
}


def frozen():
    model = nn.Linear(FEATURES, CLASSES)
    model.bias.requires_grad_(False)
    return model


@pytest.mark.parametrize("name", LEFT)
def test_the_rest_is_left_to_the_eager_engine(name):
    given = job(**LEFT[name]())
    assert "sparse inputs" in native.obstacle(given)


STOPPED = {name: METHODS[name] for name in ("decay", "momentum", "nesterov", "adagrad")}
STOPPED["ista"] = PROXIMAL["ista"]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("method", STOPPED)
def test_a_run_goes_on_from_any_step(every_step, method, size):  # noqa: F811
    penalty = L1(0.02) if method == "ista" else None

    def made():
        return job(size * 3, method=STOPPED[method], penalty=penalty)

    goes_on_from_everywhere(native.execute, made)


def test_how_many_steps_a_call_takes_changes_nothing(monkeypatch):
    def run():
        given = job(1, method=METHODS["momentum"])
        return record(given, native.execute(given))

    at_once = run()
    monkeypatch.setattr(stepping, "CALL_SECONDS", 0.0)
    assert run() == at_once


def test_it_ends_at_the_first_loss_that_is_not_finite():
    given = job(1, method=methods.SGD(1e200, weight_decay=1.0), loss=gradus.MSELoss(), outputs=2)
    equal = made_dense(given)
    true, found = eager.execute(equal), native.execute(given)
    assert found.status == true.status == "diverged"
    assert found.divergence.step == true.divergence.step > 0


def test_rows_of_zeros_move_the_bias_alone():
    given = job(1, method=methods.GradientDescent(0.1))
    empty = csr_of(torch.zeros(N, FEATURES, dtype=torch.float64))
    given = dataclasses.replace(given, train=dataclasses.replace(given.train, x=empty))
    before = given.model.weight.clone()
    it_walks_as_if_dense(given)
    assert torch.equal(given.model.weight, before)


def test_what_would_read_elsewhere_is_refused():
    core = kernels.core()
    starts, values = np.array([0, 2]), np.ones(2)
    for columns in ([0, 9], [-1, 2], [2, 2], [2, 1]):
        with pytest.raises(ValueError, match="ascend"):
            core.SparseData64(FEATURES, starts, np.array(columns, np.int32), values)
