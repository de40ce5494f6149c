"""Optimizers as methods, schedulers, and what is called while a run is under way."""

from functools import partial

import numpy as np
import pytest
import torch
from torch import nn
from torch.optim.lr_scheduler import (
    CosineAnnealingLR,
    ExponentialLR,
    LinearLR,
    OneCycleLR,
    ReduceLROnPlateau,
    StepLR,
)

import gradus
from gradus import InputError, Scheduler, train

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(120, 4)).astype(np.float32)
Y = (X[:, 0] + X[:, 1] > 0).astype(np.int64)
QUICK = {"epochs": 2, "validation_fraction": 0}


def net():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 2))


def same(one, other):
    return one.history.equals(other.history) and all(
        map(torch.equal, one.model.parameters(), other.model.parameters())
    )


@pytest.mark.parametrize(
    ("optimizer", "method"),
    [
        (partial(torch.optim.SGD, lr=0.1, momentum=0.9), gradus.methods.SGD(0.1, momentum=0.9)),
        (torch.optim.Adam, gradus.methods.Adam(0.001)),
        (partial(torch.optim.AdamW, lr=0.01), gradus.methods.AdamW(0.01)),
        (partial(gradus.optim.Nesterov, lr=0.1, beta=0.5), gradus.methods.Nesterov(0.1, 0.5)),
    ],
)
def test_an_optimizer_takes_the_steps_of_its_equation(optimizer, method):
    run = train((X, Y), model=net(), method=optimizer, keep="last", **QUICK)
    equation = train((X, Y), model=net(), method=method, engine="eager", keep="last", **QUICK)
    assert run.history["lr"].equals(equation.history["lr"])
    loss, expected = (each.history["loss"].to_numpy() for each in (run, equation))
    # Nesterov's optimizer stands at its query, where the run records the loss too.
    if isinstance(method, gradus.methods.Nesterov):
        assert loss[0] == expected[0]
    else:
        np.testing.assert_array_equal(loss, expected)


def test_an_optimizer_may_evaluate_within_a_step():
    lbfgs = partial(torch.optim.LBFGS, line_search_fn="strong_wolfe")
    run = train((X, Y), model=net(), method=lbfgs, sampling="full", epochs=6)
    assert run.history["loss"][-1].as_py() < 0.1 * run.history["loss"][0].as_py()
    assert run.summary["work"] > run.summary["samples"]


def test_a_run_by_an_optimizer_goes_on_to_the_bit(tmp_path):
    objects = {"model": net(), "method": partial(torch.optim.Adam, lr=0.01)}
    train((X, Y), out=tmp_path / "r", **objects, **QUICK)
    resumed = gradus.resume(tmp_path / "r", data=(X, Y), **objects, epochs=4)
    assert same(resumed, train((X, Y), **objects, **{**QUICK, "epochs": 4}))


def rates(run):
    """The learning rate of each epoch."""
    found = dict(zip(run.history["epoch"].to_pylist(), run.history["lr"].to_pylist(), strict=True))
    return list(found.values())


@pytest.mark.parametrize(
    ("method", "engine"),
    [("sgd", "native"), ("sgd", "eager"), ("lbfgs", "eager"), (torch.optim.SGD, "eager")],
)
def test_a_scheduler_moves_the_learning_rate_of_any_method(method, engine):
    method = partial(method, lr=0.001) if callable(method) else method
    given = {"model": net(), "method": method, "engine": engine, "epochs": 3, "keep": "last"}
    if isinstance(method, str):
        given["lr"] = 0.001
    halved = train((X, Y), callbacks=[Scheduler(lambda o: ExponentialLR(o, 0.5))], **given)
    assert rates(halved) == [0.001, 0.0005, 0.00025]
    assert halved.summary["engine"] == engine
    assert halved.spec.schedule.startswith("object:")


def test_a_scheduler_of_steps_is_that_of_a_plain_loop():
    make = partial(LinearLR, start_factor=0.5, total_iters=4)
    schedule = Scheduler(make, every="step")
    run = train((X, Y), model=net(), lr=0.1, callbacks=[schedule], epochs=1)
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.1)
    scheduler, expected = make(optimizer), []
    for _ in range(run.summary["steps"]):
        expected.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    assert run.history["lr"].to_pylist() == expected
    assert "scheduler" in run.summary["not_native"]
    cycle = Scheduler(partial(OneCycleLR, max_lr=0.1, total_steps=50), every="step")
    sgd = partial(torch.optim.SGD, lr=0.1, momentum=0.9)
    assert train((X, Y), model=net(), method=sgd, callbacks=[cycle], epochs=1).spec.lr is None


@pytest.mark.parametrize("method", ["sgd", partial(torch.optim.SGD, lr=0.1)])
def test_schedulers_multiply(method):
    both = [Scheduler(lambda o: ExponentialLR(o, 0.5)), Scheduler(lambda o: StepLR(o, 1, 0.1))]
    rate = {"lr": 0.1} if method == "sgd" else {}
    run = train((X, Y), model=net(), method=method, epochs=3, callbacks=both, **rate)
    assert rates(run) == pytest.approx([0.1, 0.005, 0.00025])


def test_a_plateau_is_looked_for_in_evaluations():
    never_better = partial(ReduceLROnPlateau, patience=0, threshold=0.99, factor=0.5)
    run = train((X, Y), model=net(), lr=0.1, epochs=4, callbacks=[Scheduler(never_better)])
    assert rates(run) == [0.1, 0.1, 0.05, 0.025]


@pytest.mark.parametrize("engine", ["native", "eager"])
def test_callbacks_see_the_run_and_may_stop_it(engine):
    seen = []

    class Watcher:
        def on_start(self, run):
            seen.append(("start", run.step, run.epochs, run.lr, run.history))

        def on_epoch(self, run):
            loss = nn.functional.cross_entropy(run.model(x), y).item()
            seen.append(("epoch", run.epoch, run.evaluation.train_loss == pytest.approx(loss)))
            run.model[0].weight.zero_()  # a copy
            return "stop" if run.epoch == 2 else None

        def on_end(self, run):
            seen.append(("end", run.status))

    split = gradus.data.Dataset(torch.from_numpy(X), torch.from_numpy(Y))
    x, y = split.batch()
    rows = []

    def each(run):
        rows.append((run.row, run.evaluation))

    given = {"model": net(), "test": split, "engine": engine, "epochs": 5, "lr": 0.1}
    run = train(split, validation_fraction=0, callbacks=[Watcher(), each], **given)
    assert seen == [
        ("start", 0, 5, 0.1, ()), ("epoch", 1, True), ("epoch", 2, True), ("end", "finished"),
    ]  # fmt: skip
    assert run.summary["ended_by_observer"]
    losses = [row.loss for row, _ in rows if row is not None]
    assert losses == run.history["loss"].to_pylist()
    assert sum(evaluation is not None for _, evaluation in rows) == 2
    plain = train(split, validation_fraction=0, **{**given, "epochs": 2})
    assert same(run, plain)


def test_a_function_may_stop_between_two_rows_and_its_errors_are_its_own():
    def stop(run):
        if run.step == 3:
            run.stop()

    assert train((X, Y), model=net(), callbacks=[stop], **QUICK).summary["steps"] == 3
    with pytest.raises(ZeroDivisionError):
        train((X, Y), model=net(), callbacks=[lambda run: 1 / 0], **QUICK)


def test_a_run_whose_rate_a_scheduler_moved_does_not_go_on(tmp_path):
    callbacks = [Scheduler(lambda o: CosineAnnealingLR(o, 4))]
    train((X, Y), model=net(), callbacks=callbacks, out=tmp_path / "r", **QUICK)
    with pytest.raises(InputError, match=r"its learning rate was moved by .* train it again"):
        gradus.resume(tmp_path / "r", data=(X, Y), model=net(), epochs=4)


TOO_SHORT = partial(OneCycleLR, max_lr=1, total_steps=2, cycle_momentum=False)
STEPS = Scheduler(lambda o: LinearLR(o), every="step")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"method": torch.optim.SGD([torch.zeros(1)])}, "method SGD: is an optimizer of"),
        ({"method": partial(torch.optim.SGD, lr=-1)}, "method=torch.optim.SGD: cannot be made"),
        ({"method": partial(torch.optim.SGD, momentumm=1)}, "method=torch.optim.SGD: cannot"),
        ({"method": torch.optim.SGD, "schedule": "cosine"}, "schedule=cosine: the method is an op"),
        ({"method": torch.optim.SGD, "engine": "native"}, "engine=native: the native engine"),
        ({"callbacks": print}, "callbacks: a builtin_function_or_method; give a list of them"),
        ({"callbacks": LinearLR(torch.optim.SGD([torch.zeros(1)]))},
         "callbacks LinearLR: is a scheduler of torch; give gradus.Scheduler(lambda optimizer: Li"),
        ({"callbacks": [object()]}, "callbacks: a object; give a function of the run under way, o"),
        ({"callbacks": [Scheduler]}, "callbacks Scheduler: is a class; give an object"),
        ({"callbacks": [LinearLR]}, "callbacks LinearLR: is a scheduler of torch; give gradus.Sch"),
        ({"callbacks": [Scheduler(partial(OneCycleLR, max_lr=1, total_steps=90), every="step")]},
         "Scheduler: OneCycleLR moves the momentum too, which that of an optimizer alone can be; "),
        ({"callbacks": [Scheduler(lambda: 3)]}, "Scheduler: cannot be made: "),
        ({"method": torch.optim.SGD, "lr": 1}, "lr is not an option of method torch.optim.SGD, wh"),
        ({"callbacks": [Scheduler(TOO_SHORT, every="step")]},
         "Scheduler: OneCycleLR fails: Tried to step"),
        ({"start": "runs/x"}, "start runs/x: give a run, as gradus.open_run(..) opens one"),
        ({"callbacks": [STEPS], "engine": "native"}, "engine=native: the scheduler moves"),
        ({"callbacks": [STEPS], "schedule": "cosine"}, "schedule=cosine: an object says that alr"),
        ({"callbacks": [STEPS], "method": "ftrl"}, "callbacks: the learning rate of FTRL cannot"),
        ({"callbacks": [Scheduler(lambda o: 3)]}, "Scheduler: made a int, not a scheduler"),
        ({"callbacks": [Scheduler(ReduceLROnPlateau, measure="f1")]}, "measure=f1: no measure of"),
        ({"callbacks": [Scheduler(ReduceLROnPlateau, every="step")]}, "Scheduler: Reduce"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_in_one_line(options, message):
    with pytest.raises(InputError) as caught:
        train((X, Y), model=net(), **QUICK, **options)
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


def test_a_scheduler_is_made_by_the_run():
    with pytest.raises(InputError, match=r"give what makes the scheduler"):
        Scheduler(LinearLR(torch.optim.SGD([torch.zeros(1)], lr=0.1)))
    with pytest.raises(InputError, match=r"every=batch: choose epoch \| step"):
        Scheduler(LinearLR, every="batch")
    for make in (StepLR, partial(StepLR, gamma=0.5)):
        with pytest.raises(InputError, match=r"give functools.partial\(StepLR, step_size=\.\.\)"):
            Scheduler(make)
