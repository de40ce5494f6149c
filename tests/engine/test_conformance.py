"""What every engine does: the same record, for the same job, as the pure equation gives."""

import copy
import dataclasses
import gc
import itertools
import math
import os
import signal
import threading
import time

import pytest
import torch
from torch import nn

import gradus
from gradus import kernels
from gradus.data.dataset import Dataset
from gradus.data.sampling import Sampling
from gradus.engine import eager, native, stepping
from gradus.engine.job import Divergence
from gradus.methods import (
    SGD,
    Adagrad,
    Adam,
    AdamW,
    Cosine,
    GradientDescent,
    InverseTime,
    Nesterov,
    Polyak,
    Proximal,
    ProximalGradient,
    Schedule,
    Warmup,
)
from gradus.risk.penalties import L1, L2, ElasticNet, SquaredL2
from tests.engine.jobs import (
    BATCH,
    CLASSES,
    EPOCHS,
    FEATURES,
    N,
    batches_of,
    close,
    data,
    fresh,
    ground_truth,
    job,
    size_of,
    where,
)

without_kernels = pytest.mark.skipif(kernels.core() is None, reason=str(kernels.absence()))
ENGINES = [
    pytest.param(eager.execute, id="eager"),
    pytest.param(native.execute, id="native", marks=without_kernels),
]


@pytest.fixture(params=ENGINES)
def execute(request):
    return request.param


@pytest.fixture
def every_step(monkeypatch):
    """Let the native engine take one step a call, as the eager engine does."""
    monkeypatch.setattr(stepping, "CALL_SECONDS", 0.0)


def numbers(n=N, seed=0):
    x = data(n, seed).x
    return Dataset(x, x.sum(1, keepdim=True), dtype=torch.float64)


METHODS = {
    "gradient-descent": GradientDescent(0.1),
    "polyak": Polyak(0.1, 0.8),
    "nesterov": Nesterov(0.1, 0.8),
    "sgd": SGD(0.1, momentum=0.5),
    "sgd-all": SGD(0.1, 0.9, dampening=0.2, weight_decay=0.05, maximize=True),
    "sgd-nesterov": SGD(0.1, momentum=0.5, nesterov=True),
    "adam": Adam(0.02),
    "adam-amsgrad": Adam(0.02, weight_decay=0.05, amsgrad=True),
    "adamw": AdamW(0.02, weight_decay=0.05, maximize=True),
    "adagrad": Adagrad(0.02, lr_decay=0.1, initial_accumulator_value=0.01),
    "scheduled": Nesterov(Warmup(Cosine(0.2, steps=10), steps=4), 0.8),
}
PENALTIES = {
    "none": None,
    "l1": L1(0.02),
    "l2": L2(0.05),
    "squared-l2": SquaredL2(0.1),
    "elastic-net": ElasticNet(0.05, 0.4),
}


# Every method with every penalty, and every method under every sampling.
WALKS = [(method, penalty, "shuffle") for method in METHODS for penalty in PENALTIES]
WALKS += [
    (method, "none", sampling)
    for method in METHODS
    for sampling in ("sequential", "replacement", "full")
]


@pytest.mark.parametrize(("method", "penalty", "sampling"), WALKS)
def test_an_engine_walks_the_path_of_the_pure_equation(execute, method, penalty, sampling):
    """And its history holds, row by row, the loss of each batch at w_t, without the penalty."""
    given = job(method=METHODS[method], penalty=PENALTIES[penalty], sampling=sampling)
    it_walks(execute, given)


@pytest.mark.parametrize("penalty", [name for name in PENALTIES if name != "none"])
@pytest.mark.parametrize(
    "method",
    [
        ProximalGradient(0.1),
        ProximalGradient(0.1, accelerated=True),
        *(Proximal(method) for method in METHODS.values()),
    ],
    ids=["ista", "fista", *METHODS],
)
def test_an_engine_takes_penalties_by_their_proximal_step(execute, method, penalty):
    it_walks(execute, job(method=method, penalty=PENALTIES[penalty]))


def it_walks(execute, given):
    risk, path = ground_truth(given)
    assert not torch.allclose(path.points[-1], path.points[0])

    outcome = execute(given)

    assert outcome.status == "finished"
    assert outcome.step == given.steps == len(path) - 1
    close(where(given.model), path.points[-1])
    batches = batches_of(given)
    for t, (row, w, batch) in enumerate(zip(outcome.history, path.points, batches, strict=False)):
        assert row.step == t
        close(row.loss, risk.mean_loss(w, batch))
    assert len(outcome.history) == len(batches)


@pytest.mark.parametrize("log_every", [1, 2, 3, 100])
@pytest.mark.parametrize("name", ["shuffle", "sequential", "replacement", "full"])
@pytest.mark.parametrize("method", [GradientDescent(0.1), Nesterov(InverseTime(0.1, 0.5), 0.9)])
def test_the_rows_of_the_history(execute, method, name, log_every):
    """One for each batch whose index within its epoch is a multiple of log_every."""
    given = job(method=method, sampling=name, log_every=log_every)
    outcome = execute(given)
    expected, step, samples = [], 0, 0
    for epoch in range(1, EPOCHS + 1):
        for index, batch in enumerate(given.sampling.epoch(epoch - 1)):
            samples += size_of(batch)
            if index % log_every == 0:
                lr = method.lr if isinstance(method.lr, float) else method.lr(step)
                expected.append((step, samples, epoch, lr))
            step += 1
    assert [(row.step, row.samples, row.epoch, row.lr) for row in outcome.history] == expected
    assert (outcome.step, outcome.samples) == (step, samples)
    # 20 = 6 + 6 + 6 + 2 without replacement; 4 whole batches of 6 with it.
    per_epoch = {"replacement": 24}.get(name, N)
    assert samples == EPOCHS * per_epoch
    assert [row.samples for row in outcome.evaluation] == [per_epoch, 2 * per_epoch, 3 * per_epoch]
    kinds = {type(number) for row in outcome.history for number in row}
    assert kinds == {int, float}


@pytest.mark.parametrize("method", [SGD(0.1, momentum=0.9), Nesterov(0.1, 0.9)])
def test_how_often_rows_are_logged_does_not_change_the_run(execute, method):
    def run(log_every):
        given = job(method=method, log_every=log_every)
        outcome = execute(given)
        return {row.step: row for row in outcome.history}, outcome.evaluation, where(given.model)

    often, seldom = run(1), run(3)
    assert torch.equal(often[2], seldom[2])
    assert often[1] == seldom[1]
    assert seldom[0].items() <= often[0].items()
    assert len(seldom[0]) < len(often[0])


def test_the_report_goes_forward_to_the_end_of_every_epoch(execute):
    told = []
    given = job()
    outcome = execute(given, told.append)
    assert all(before.step <= after.step for before, after in itertools.pairwise(told))
    steps = [progress for progress in told if progress.evaluation is None]
    rows = {row.step + 1: row for row in outcome.history}
    for progress in steps:
        row = rows[progress.step]
        assert (progress.epoch, progress.samples, progress.loss) == (
            row.epoch,
            row.samples,
            row.loss,
        )
    last = {progress.epoch: progress.step for progress in steps}
    assert last == {1: 4, 2: 8, 3: 12}
    passes = [progress for progress in told if progress.evaluation is not None]
    assert [progress.evaluation for progress in passes] == outcome.evaluation
    assert [(progress.epoch, progress.step) for progress in passes] == [(1, 4), (2, 8), (3, 12)]
    assert outcome.train_seconds > 0
    assert outcome.test_seconds > 0


def test_the_evaluation_is_the_mean_over_the_test_examples_and_of_the_losses_seen(execute):
    given = job(penalty=L2(0.1))
    risk, path = ground_truth(given)
    outcome = execute(given)
    x, y = given.test.batch()
    steps = given.sampling.steps
    for epoch, row in enumerate(outcome.evaluation, start=1):
        nn.utils.vector_to_parameters(path.points[epoch * steps], risk.model.parameters())
        logits = risk.model(x).detach()
        assert row.epoch == epoch
        close(row.test_loss, nn.functional.cross_entropy(logits, y))
        assert row.test_accuracy == sum(logits.argmax(1).eq(y).tolist()) / len(y)
        logged = [each for each in outcome.history if each.epoch == epoch]
        sizes = [size_of(batch) for batch in given.sampling.epoch(epoch - 1)]
        total = math.fsum(size * each.loss for size, each in zip(sizes, logged, strict=True))
        close(row.running_train_loss, total / sum(sizes))
        close(row.train_loss, float(risk.mean_loss(path.points[epoch * steps])))


def test_the_training_loss_of_an_epoch_is_of_what_nesterov_saw_ahead_of_the_iterate(execute):
    given = job(method=Nesterov(0.1, 0.9), epochs=1)
    risk, path = ground_truth(given)
    outcome = execute(given)
    seen, sizes, before = [], [], path.points[0]
    for w, batch in zip(path.points, batches_of(given), strict=False):
        seen.append(float(risk.mean_loss(w + 0.9 * (w - before), batch)))
        sizes.append(size_of(batch))
        before = w
    total = math.fsum(size * loss for size, loss in zip(sizes, seen, strict=True))
    close(outcome.evaluation[0].running_train_loss, total / sum(sizes))


def test_regression_has_no_accuracy(execute):
    model = fresh(lambda: nn.Linear(FEATURES, 1))
    given = job(model=model, loss=gradus.MSELoss(), train=numbers(), test=numbers())
    outcome = execute(given)
    assert [row.test_accuracy for row in outcome.evaluation] == [None] * EPOCHS
    x = given.train.x
    with torch.no_grad():
        close(outcome.evaluation[-1].test_loss, (model(x) - x.sum(1, keepdim=True)).square().mean())


def test_model_and_data_are_brought_to_the_dtype_of_the_job(execute):
    images = Dataset(
        torch.randint(256, (N, FEATURES), dtype=torch.uint8), data().y, ("a", "b", "c"), scale=255.0
    )
    for dtype in (torch.float32, torch.float64):
        given = job(model=fresh(), train=images, test=images, dtype=dtype)
        outcome = execute(given)
        assert {p.dtype for p in given.model.parameters()} == {dtype}
        x = images.x.to(dtype) / 255
        with torch.no_grad():
            expected = nn.functional.cross_entropy(given.model(x), images.y).double()
        # A mean of 20 losses of order 1, in this precision.
        assert outcome.evaluation[-1].test_loss == pytest.approx(
            expected.item(), rel=20 * torch.finfo(dtype).eps
        )


BYTES = torch.randint(256, (N, 1, 2, 2), generator=torch.Generator().manual_seed(3)).byte()
INPUTS = {
    "bytes": {"x": BYTES},
    "scaled": {"x": BYTES, "scale": 255.0},
    "standardised": {
        "x": BYTES,
        "scale": 255.0,
        "mean": torch.tensor([[[0.5, 0.25], [0.125, 0.4]]]),
        "std": torch.tensor(0.3),
    },
    "by channel": {"x": BYTES, "mean": torch.full((1, 1, 1), 100.0), "std": torch.tensor([[50.0]])},
    "by batch": {"x": BYTES, "mean": torch.full((1, 1, 1, 1), 100.0), "std": torch.full((2,), 9.0)},
    "not contiguous": {"x": BYTES.double().transpose(2, 3), "scale": 255.0},
    "every second": {"x": BYTES.repeat_interleave(2, 0)[::2], "scale": 255.0},
    "half precision": {"x": (BYTES / 255).half()},
    "table": {"x": BYTES.flatten(1).double(), "mean": torch.full((4,), 100.0), "scale": 2.0},
}


@pytest.mark.parametrize("inputs", INPUTS.values(), ids=list(INPUTS))
def test_inputs_come_as_they_were_read(execute, inputs):
    train = Dataset(**inputs, y=data().y, classes=("a", "b", "c"), dtype=torch.float64)
    model = fresh(nn.Flatten, lambda: nn.Linear(4, 5), nn.ReLU, lambda: nn.Linear(5, CLASSES))
    # Bytes that are not scaled make the risk steep.
    it_walks(execute, job(model=model, train=train, test=train, method=SGD(1e-4, momentum=0.5)))


def test_targets_need_not_be_contiguous(execute):
    wide = torch.randn(N, 2 * CLASSES, generator=torch.Generator().manual_seed(5)).double()
    train = Dataset(data().x, wide[:, ::2], dtype=torch.float64)
    it_walks(execute, job(train=train, test=train, loss=gradus.MSELoss()))


def test_the_parameters_move_where_they_are(execute):
    """The same objects in the same memory, however it lies there; nothing is left behind."""
    model = fresh()
    with torch.no_grad():
        model[0].weight.set_(torch.randn(FEATURES, 5).double().T)
        model[2].bias.set_(torch.randn(2 * CLASSES).double()[::2])
    assert not model[0].weight.is_contiguous()
    assert not model[2].bias.is_contiguous()
    before = [(p, p.data_ptr(), p.stride()) for p in model.parameters()]
    versions = [p._version for p in model.parameters()]
    it_walks(execute, job(model=model))
    for p, (same, address, stride) in zip(model.parameters(), before, strict=True):
        assert p is same
        assert (p.data_ptr(), p.stride()) == (address, stride)
        assert p.requires_grad
        assert p.grad is None
    moved = zip(model.parameters(), versions, strict=True)
    assert all(p._version > version for p, version in moved)  # autograd notices


@pytest.mark.parametrize("training", [True, False])
def test_models_are_left_in_training_mode(execute, training):
    model = fresh().train(training)
    execute(job(model=model))
    assert all(module.training for module in model.modules())


@without_kernels
def test_the_native_engine_draws_nothing():
    before = torch.get_rng_state()
    native.execute(job())
    assert torch.equal(torch.get_rng_state(), before)


# The native engine chooses how many steps it takes at once, and with how many threads


def large(**changes):
    """A job whose steps are worth several threads."""
    random = torch.Generator().manual_seed(0)
    x, y = torch.randn(150, 120, generator=random), torch.randint(10, (150,), generator=random)
    many = Dataset(x, y, classes=tuple("abcdefghij"))
    layers = [lambda: nn.Linear(120, 300), nn.GELU, lambda: nn.Linear(300, 10)]
    given = {
        "model": fresh(*layers),
        "train": many,
        "test": many,
        "sampling": Sampling("shuffle", n=150, batch_size=36, seed=1),
        "method": Nesterov(0.05, 0.9),
        "penalty": L2(0.1),
        "dtype": torch.float32,
    }
    return job(**(given | changes))


def left_behind(given):
    outcome = native.execute(given)
    assert outcome.status == "finished"
    return outcome.history, outcome.evaluation, where(given.model).tolist()


@without_kernels
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_record_is_the_same_to_the_bit_for_any_number_of_threads(dtype):
    before = torch.get_num_threads()
    records, used = [], []
    try:
        for threads in (1, 2, 3, 4):
            torch.set_num_threads(threads)
            given = large(dtype=dtype)
            used.append(native._Execution(given, lambda progress: None).network.threads)
            records.append(left_behind(large(dtype=dtype)))
    finally:
        torch.set_num_threads(before)
    assert used == [1, 2, 3, 4]
    assert all(record == records[0] for record in records)


@without_kernels
@pytest.mark.parametrize("method", [SGD(0.05, 0.9), Nesterov(0.05, 0.9), Adam(0.01)])
def test_the_record_is_the_same_to_the_bit_for_any_length_of_a_call(method, monkeypatch):
    def run(seconds, **changes):
        monkeypatch.setattr(stepping, "CALL_SECONDS", seconds)
        return left_behind(large(method=method, **changes))

    one_by_one = run(0.0)
    assert run(0.001) == run(1e9) == one_by_one
    history, evaluation, w = run(0.1, log_every=2)
    assert (evaluation, w) == one_by_one[1:]
    assert history == [row for row in one_by_one[0] if row.step % 5 % 2 == 0]


# How runs end early


@pytest.mark.parametrize("value", [math.nan, math.inf])
@pytest.mark.parametrize("hidden", [nn.ReLU, nn.Tanh, nn.Sigmoid, nn.GELU])
@pytest.mark.parametrize("at", [0, 1, 3])
@pytest.mark.parametrize("log_every", [1, 2])
def test_a_loss_that_is_not_finite_ends_the_run_before_its_step(
    execute, value, hidden, at, log_every
):
    """The parameters are those at which the loss was not finite: no step is taken from there."""
    train = data()
    train.x[BATCH * at + 1, 2] = value
    model = fresh(lambda: nn.Linear(FEATURES, 5), hidden, lambda: nn.Linear(5, CLASSES))
    with torch.no_grad():
        # Without the activations that are flat at both ends, infinity does not reach the loss.
        if math.isinf(value) and hidden in (nn.Tanh, nn.Sigmoid):
            value, train.x[BATCH * at + 1, 2] = math.nan, math.nan
        model[0].weight.abs_()
    given = job(
        model=model,
        train=train,
        sampling="sequential",
        method=SGD(InverseTime(0.1, 1.0), momentum=0.5),
        log_every=log_every,
    )
    calm = dataclasses.replace(given, model=copy.deepcopy(model), train=data())
    risk, path = ground_truth(calm)
    batches = batches_of(given)

    outcome = execute(given)

    assert outcome.status == "diverged"
    assert (outcome.step, outcome.samples) == (at, BATCH * at)
    found = outcome.divergence
    assert (found.step, found.epoch, found.samples) == (at, 1, BATCH * at)
    assert not math.isfinite(found.loss)
    assert found.lr == 0.1 / (1 + at)
    if at:
        close(found.last_finite_loss, risk.mean_loss(path.points[at - 1], batches[at - 1]))
    else:
        assert found.last_finite_loss is None
    close(where(model), path.points[at])
    assert [row.step for row in outcome.history] == [t for t in range(at) if t % log_every == 0]
    assert outcome.evaluation == []


@pytest.mark.parametrize("method", [GradientDescent, lambda lr: Nesterov(lr, 0.9), Adam])
@pytest.mark.parametrize("at", [1, 3, 4, 6, 11])
def test_a_step_too_long_ends_the_run_at_the_next(execute, method, at):
    """At a point so far away that the loss is not finite there, in any epoch."""

    class Jump(Schedule):
        def __call__(self, step):
            return 1e200 if step == at - 1 else 1e-3

    model = fresh(lambda: nn.Linear(FEATURES, 1))
    given = job(
        model=model,
        loss=gradus.MSELoss(),
        train=numbers(),
        test=Dataset(torch.zeros(1, 4), torch.zeros(1, 1)),
        method=method(Jump()),
    )
    with torch.no_grad():
        model[0].bias.zero_()
    outcome = execute(given)
    assert outcome.status == "diverged"
    assert outcome.divergence.step == outcome.step == at
    # After the last step of an epoch the test pass is first to see it.
    assert outcome.divergence.epoch == (at - 1) // 4 + 1
    assert math.isfinite(outcome.divergence.last_finite_loss)
    assert 1e190 < where(model).abs().max() < math.inf


def test_too_large_a_learning_rate_diverges_on_its_own(execute):
    """f = w^2 grows by (1 - 2 lr)^2 = 10^4 a step, from 1 past the largest float32, 3.4e38.

    The loss over the training part at the end of the tenth epoch is the first that is not finite.
    """
    ones, zeros = torch.ones(4, 1), torch.zeros(4, 1)
    model = nn.Linear(1, 1, bias=False)
    nn.init.ones_(model.weight)
    given = job(
        model=model,
        loss=gradus.MSELoss(),
        method=GradientDescent(50.5),
        train=Dataset(ones, zeros),
        test=Dataset(zeros, zeros),
        sampling=Sampling("full", n=4),
        epochs=40,
        dtype=torch.float32,
    )
    outcome = execute(given)
    assert outcome.status == "diverged"
    assert outcome.divergence == Divergence(
        10, 40, 10, math.inf, pytest.approx(1e36, rel=1e-4), 50.5
    )
    assert [row.loss for row in outcome.history] == pytest.approx(
        [1e4**t for t in range(10)], rel=1e-4
    )
    assert abs(model.weight.item()) == pytest.approx(1e20, rel=1e-4)


def test_a_test_loss_that_is_not_finite_ends_the_run_too(execute):
    given = job(
        test=dataclasses.replace(data(n=7, seed=1), x=torch.full((7, 4), math.nan).double())
    )
    outcome = execute(given)
    assert outcome.status == "diverged"
    assert (outcome.divergence.step, outcome.divergence.epoch) == (4, 1)
    assert outcome.divergence.last_finite_loss == outcome.history[-1].loss
    assert outcome.evaluation == []
    assert len(outcome.history) == 4


@pytest.mark.usefixtures("every_step")
@pytest.mark.parametrize("method", [SGD(0.1, momentum=0.5), Nesterov(0.1, 0.8)])
@pytest.mark.parametrize("at", [1, 4, 7, 12])
def test_an_interrupted_run_keeps_its_rows_and_where_it_stood(execute, at, method):
    def interrupt(progress):
        if progress.step == at and progress.evaluation is None:
            raise KeyboardInterrupt

    given = job(method=method)
    _, path = ground_truth(given)
    whole = execute(job(method=method))
    outcome = execute(given, interrupt)
    assert outcome.status == "interrupted"
    assert outcome.divergence is None
    assert outcome.step == at
    assert outcome.history == whole.history[:at]
    assert outcome.samples == whole.history[at - 1].samples
    assert outcome.evaluation == whole.evaluation[: (at - 1) // 4]
    close(where(given.model), path.points[at])


@pytest.fixture
def no_collection():
    """Hypothesis hears of every collection, and an exception that strikes there is lost."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("no_collection")
def test_ctrl_c_at_any_time_leaves_a_record_of_the_steps_taken(execute):
    """Also while the kernels compute: the parameters are those after the last step recorded."""
    method, many = Adam(1e-3), data(n=300)
    sampling = Sampling("shuffle", n=300, batch_size=3)

    def run(report=lambda progress: None):
        given = job(train=many, test=many, method=method, sampling=sampling, epochs=10**6)
        return execute(given, report), where(given.model)

    timer = threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT))
    started = []

    def begin(progress):
        """However slow the machine is, some steps come first.

        An exception raised in a finalizer is lost: it is raised again.
        """
        if progress.step > 10 and not started:
            started.append(time.monotonic())
            timer.start()
        if started and time.monotonic() - started[0] > 3:
            raise KeyboardInterrupt

    outcome, stands = run(begin)
    timer.join()
    assert outcome.status == "interrupted"
    assert outcome.step > 10
    assert len(outcome.history) == outcome.step
    assert outcome.samples == outcome.history[-1].samples == 3 * outcome.step

    def stop(progress):
        if progress.step == outcome.step:
            raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stepping, "CALL_SECONDS", 0.0)
        again, there = run(stop)
    assert again.history == outcome.history
    assert torch.equal(stands, there)


def test_an_interruption_after_a_test_pass_keeps_the_pass(execute):
    def interrupt(progress):
        if progress.evaluation is not None:
            raise KeyboardInterrupt

    outcome = execute(job(), interrupt)
    assert (outcome.status, outcome.step, len(outcome.evaluation)) == ("interrupted", 4, 1)


def test_other_errors_are_not_swallowed(execute):
    def fail(progress):
        raise RuntimeError("full disk")

    with pytest.raises(RuntimeError, match=r"^full disk$"):
        execute(job(), fail)
