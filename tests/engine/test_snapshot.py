"""A run that is broken off and goes on elsewhere ends where it would have, to the bit."""

import copy
import json
import math

import pytest
import safetensors.torch
import torch
from torch import nn

import gradus
from gradus import kernels, methods
from gradus.engine import eager, native, snapshot, stepping
from gradus.engine.job import Outcome, Row
from gradus.engine.selection import Selection
from gradus.engine.snapshot import Course, parts_of, snapshot_of
from gradus.risk.penalties import L1, L2, ElasticNet
from tests.engine.jobs import CLASSES, EPOCHS, FEATURES, N, data, fresh, job, where

without_kernels = pytest.mark.skipif(kernels.core() is None, reason=str(kernels.absence()))
ENGINES = [
    pytest.param(eager.execute, id="eager"),
    pytest.param(native.execute, id="native", marks=without_kernels),
]
FIRST_ORDER = {
    "gradient-descent": methods.GradientDescent(0.1),
    "polyak": methods.Polyak(methods.InverseTime(0.1, 0.5), 0.8),
    "nesterov": methods.Nesterov(0.1, 0.8),
    "sgd": methods.SGD(methods.Cosine(0.1, 12), 0.8, dampening=0.1, weight_decay=0.1),
    "sgd-nesterov": methods.SGD(0.1, 0.8, nesterov=True),
    "adam": methods.Adam(0.1),
    "adamw-amsgrad": methods.AdamW(0.1, amsgrad=True),
    "proximal": methods.ProximalGradient(0.1, accelerated=True),
}
OTHERS = {
    "rmsprop": methods.RMSprop(0.01, momentum=0.5, centered=True),
    "nadam": methods.NAdam(0.01),
    "muon": methods.Muon(0.01),
    "schedule-free": methods.ScheduleFreeAdamW(0.01),
    "sam": methods.SAM(methods.Polyak(0.05, 0.5)),
    "averaged": methods.Averaged(methods.Polyak(0.01, 0.9)),
    "lookahead": methods.Lookahead(methods.Adam(0.01), every=3),
    "adagrad": methods.Adagrad(0.1),
    "newton": methods.Newton(1.0, damping=0.1),
    "newton-cg": methods.NewtonCG(1.0),
    "gauss-newton": methods.GaussNewton(1.0, damping=0.1),
    "levenberg-marquardt": methods.LevenbergMarquardt(),
    "lbfgs": methods.LBFGS(history=3),
}
PENALTIES = {"proximal": ElasticNet(0.01, 0.02), "adam": L2(0.01), "polyak": L1(0.01)}


def through_files(found):
    """The same snapshot, from what would have been written of it."""
    tensors, facts = parts_of(found)
    written = safetensors.torch.save(tensors), json.dumps(facts)
    return snapshot_of(safetensors.torch.load(written[0]), json.loads(written[1]))


def record(given, outcome):
    return (
        *(outcome.status, outcome.step, outcome.samples, outcome.stopped, repr(outcome.divergence)),
        *(outcome.history, outcome.evaluation, outcome.kept_epoch),
        None if outcome.tested is None else outcome.tested.losses.tolist(),
        *(value.tolist() for value in given.model.state_dict().values()),
    )


@pytest.fixture
def every_step(monkeypatch):
    """Keep where a run stands after every step, and let the kernels take one a call."""
    monkeypatch.setattr(snapshot, "CHECKPOINT_SECONDS", 0.0)
    monkeypatch.setattr(snapshot, "CHECKPOINT_SECONDS_EPOCH", 0.0)
    monkeypatch.setattr(snapshot, "CHECKPOINT_SHARE", math.inf)
    monkeypatch.setattr(stepping, "CALL_SECONDS", 0.0)


def goes_on_from_everywhere(execute, made):
    given, kept = made(), []
    true = record(given, execute(given, lambda _: None, Course(keep=kept.append)))
    untouched = made()
    assert record(untouched, execute(untouched)) == true
    places = [(each.epoch, each.index) for each in kept]
    steps = given.sampling.steps
    first = [(1 + at // steps, at % steps) for at in range(1, given.epochs * steps)]
    assert places == first[: len(places)]
    for found in kept:
        later = made()
        with torch.random.fork_rng():
            outcome = execute(later, lambda _: None, Course(since=through_files(found)))
        assert record(later, outcome) == true, (found.epoch, found.index)
    return kept


@pytest.mark.parametrize("execute", ENGINES)
@pytest.mark.parametrize(
    ("name", "sampling"),
    # What a method remembers, and the place within a pass, know nothing of each other.
    [(name, "shuffle") for name in FIRST_ORDER]
    + [("nesterov", sampling) for sampling in ("replacement", "sequential", "full")],
)
def test_a_run_goes_on_from_any_step(every_step, execute, name, sampling):
    def made():
        return job(method=FIRST_ORDER[name], penalty=PENALTIES.get(name), sampling=sampling)

    kept = goes_on_from_everywhere(execute, made)
    assert len(kept) == EPOCHS * made().sampling.steps - 1


@pytest.mark.parametrize("name", OTHERS)
def test_what_any_method_remembers_is_kept(every_step, name):
    model = fresh(lambda: nn.Linear(FEATURES, CLASSES))
    goes_on_from_everywhere(
        eager.execute, lambda: job(model=copy.deepcopy(model), method=OTHERS[name], sampling="full")
    )


@pytest.mark.parametrize("execute", ENGINES)
@pytest.mark.parametrize("method", [methods.SGD(0.1, 0.5), methods.RMSprop(0.01)])
def test_what_is_random_in_a_model_and_what_it_measures_is_kept(every_step, execute, method):
    def made():
        layers = lambda: nn.Linear(FEATURES, 6), lambda: nn.BatchNorm1d(6), nn.Dropout, nn.ReLU
        return job(model=fresh(*layers, lambda: nn.Linear(6, CLASSES)), method=method)

    kept = goes_on_from_everywhere(execute, made)
    assert len({each.tensors["buffer.1.running_mean"].sum().item() for each in kept}) == len(kept)


def test_parameters_that_do_not_lie_row_by_row_are_kept(every_step):
    """As those of a convolution in ``channels_last`` do not."""

    def made():
        model = fresh(lambda: nn.Linear(FEATURES, CLASSES))
        by_columns = model[0].weight.detach().T.contiguous().T
        model[0].weight = nn.Parameter(by_columns)
        model[0].register_buffer("seen", by_columns.clone())
        selection = Selection("validation_loss", "best")
        return job(model=model, selection=selection, validation=data(n=9, seed=5))

    assert not made().model[0].weight.is_contiguous()
    assert goes_on_from_everywhere(eager.execute, made)


@pytest.mark.parametrize("execute", ENGINES)
@pytest.mark.parametrize("patience", [None, 1])
def test_the_best_epoch_so_far_and_the_patience_left_are_kept(every_step, execute, patience):
    def made():
        selection = Selection("validation_loss", "best", patience)
        method = methods.Polyak(0.5, 0.9)
        return job(selection=selection, validation=data(n=9, seed=5), method=method, epochs=6)

    kept = goes_on_from_everywhere(execute, made)
    best = [each for each in kept if any(name.startswith("best.") for name in each.tensors)]
    assert len(best) > made().sampling.steps
    whole = execute(made())
    assert whole.kept_epoch < whole.evaluation[-1].epoch
    assert (whole.evaluation[-1].epoch < 6) == (patience == 1)


@pytest.mark.parametrize("execute", ENGINES)
def test_where_a_run_diverges_is_the_same_after_a_pause(every_step, execute):
    def made():
        train = data()
        train.x[N - 1] = math.inf
        return job(train=train, sampling="sequential")

    kept = goes_on_from_everywhere(execute, made)
    assert len(kept) == 3


@pytest.mark.parametrize("execute", ENGINES)
def test_a_run_pauses_after_an_epoch_and_goes_on_to_its_end(execute):
    method = methods.SGD(methods.Cosine(0.1, 12), 0.8)
    given = job(method=method)
    true = record(given, execute(given))
    since = None
    for until in range(1, EPOCHS):
        part = job(method=method)
        kept = []
        outcome = execute(part, lambda _: None, Course(since, until, kept.append))
        assert outcome.status == "paused"
        assert [row.epoch for row in outcome.evaluation] == list(range(1, until + 1))
        since = through_files(kept[-1])
        # Paused, and asked for no more than that: it pauses at once.
        again = job(method=method)
        outcome = execute(again, lambda _: None, Course(since, until))
        assert outcome.status == "paused"
        assert outcome.step == since.outcome.step
        assert torch.equal(where(again.model), where(part.model))
    last = job(method=method)
    assert record(last, execute(last, lambda _: None, Course(since, EPOCHS))) == true


@pytest.mark.parametrize("execute", ENGINES)
def test_nothing_is_kept_of_a_short_run(execute):
    kept = []
    execute(job(), lambda _: None, Course(keep=kept.append))
    assert kept == []


def test_seconds_add_up(every_step):
    kept = []
    given = job()
    outcome = eager.execute(given, lambda _: None, Course(keep=kept.append))
    seconds = [each.outcome.train_seconds for each in kept]
    assert sorted(seconds) == seconds
    assert 0 < seconds[0] < seconds[-1] <= outcome.train_seconds


def test_a_regression_has_no_accuracy():
    kept = Outcome(history=[Row(0, 6, 1, 0.1, 0.3, 6)])
    kept.evaluation.append(
        gradus.engine.job.Evaluation(1, 20, 0.5, 0.4, 0.3, None, math.pi, None, 20)
    )
    found = through_files(snapshot.Snapshot("eager", 2, 0, kept, 0.1, {}, {}))
    assert found.outcome.evaluation == kept.evaluation
    assert found.outcome.history == kept.history
