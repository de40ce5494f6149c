"""A run leaves what it was at its best epoch, and ends when it should, in every engine."""

import copy
import math

import pytest
import torch

import gradus
from gradus import kernels, methods
from gradus.data.dataset import Dataset
from gradus.engine import eager, evaluate, native, stacked
from gradus.engine.selection import Selection
from tests.engine.jobs import FEATURES, N, data, fresh, job, where

without_kernels = pytest.mark.skipif(kernels.core() is None, reason=str(kernels.absence()))
ENGINES = [
    pytest.param(eager.execute, id="eager"),
    pytest.param(native.execute, id="native", marks=without_kernels),
    pytest.param(lambda given: stacked.execute([given])[0], id="stacked"),
]
EPOCHS = 12
MEASURES = ("validation_loss", "validation_accuracy", "test_loss", "test_accuracy", "train_loss")

# Two forms of one float64 computation over some dozen steps of a smooth problem.
TOLERANCE = {"rel": 1e-9, "abs": 1e-9}


def made(selection=Selection("validation_loss"), *, epochs=EPOCHS, lr=0.3, **changes):  # noqa: B008
    """A job that overfits: labels are random, so that validation is best early on."""
    given = {"validation": data(n=9, seed=5), "method": methods.Polyak(lr, 0.8)}
    return job(selection=selection, epochs=epochs, **(given | changes))


def worths(rows, measure):
    sign = -1 if measure.endswith("accuracy") else 1
    return [sign * getattr(row, measure) for row in rows]


@pytest.mark.parametrize("execute", ENGINES)
@pytest.mark.parametrize("measure", MEASURES)
def test_the_parameters_that_remain_are_those_of_the_best_epoch(execute, measure):
    given = made(Selection(measure, "best"))
    outcome = execute(given)
    found = worths(outcome.evaluation, measure)
    best = found.index(min(found)) + 1
    assert outcome.kept_epoch == best
    if measure == "validation_loss":
        assert 1 < best < EPOCHS
    # The same run, ended there.
    shorter = made(Selection(measure), epochs=best)
    alone = execute(shorter)
    assert torch.equal(where(given.model), where(shorter.model))
    assert alone.kept_epoch == best
    row = outcome.evaluation[best - 1]
    for part in ("train", "validation", "test"):
        judged = evaluate.evaluate(given.model, given.loss, getattr(given, part))
        assert getattr(row, f"{part}_loss") == pytest.approx(judged.loss, **TOLERANCE)
        if part != "train":
            assert getattr(row, f"{part}_accuracy") == judged.accuracy


def scored(measure, keep="best", patience=None):
    """By a figure that only all examples together have: how far the outputs are spread, less y."""
    return Selection(
        measure, keep, patience, lambda outputs, y: float(outputs.std() - y.double().mean())
    )


@pytest.mark.parametrize("execute", ENGINES)
@pytest.mark.parametrize("measure", ["validation_f1", "validation_mae", "test_f1"])
def test_a_figure_of_all_outputs_may_choose(execute, measure):
    """The spread grows as the network overfits: the more the better, or the less."""
    given = made(scored(measure))
    outcome = execute(given)
    figures = [row.measured for row in outcome.evaluation]
    best = figures.index((max if measure.endswith("f1") else min)(figures)) + 1
    assert outcome.kept_epoch == best
    part = getattr(given, measure.partition("_")[0])
    outputs = evaluate.outputs_of(given.model)(part, slice(None))
    expected = given.selection.score(outputs, part.targets())
    assert figures[best - 1] == pytest.approx(expected, **TOLERANCE)
    alone = eager.execute(made(scored(measure)))
    assert figures == pytest.approx([row.measured for row in alone.evaluation], **TOLERANCE)


@pytest.mark.parametrize("execute", ENGINES)
def test_a_run_may_wait_for_a_better_figure(execute):
    outcome = execute(made(scored("validation_mae", patience=2)))
    figures = [row.measured for row in outcome.evaluation]
    assert len(figures) - figures.index(min(figures)) - 1 == 2
    assert len(figures) < EPOCHS


@pytest.mark.parametrize("execute", ENGINES)
@pytest.mark.parametrize("patience", [1, 2, 4])
@pytest.mark.parametrize("keep", ["best", "last"])
def test_a_run_ends_after_so_many_epochs_without_a_better_one(execute, patience, keep):
    whole = worths(eager.execute(made()).evaluation, "validation_loss")
    end = next(
        (at for at in range(1, EPOCHS + 1) if at - whole.index(min(whole[:at])) - 1 >= patience),
        EPOCHS,
    )
    given = made(Selection("validation_loss", keep, patience))
    outcome = execute(given)
    assert outcome.status == "finished"
    assert len(outcome.evaluation) == end < EPOCHS
    assert outcome.step == end * given.sampling.steps
    assert worths(outcome.evaluation, "validation_loss") == pytest.approx(whole[:end], **TOLERANCE)
    assert outcome.kept_epoch == (whole.index(min(whole[:end])) + 1 if keep == "best" else end)


@pytest.mark.parametrize("execute", ENGINES)
@pytest.mark.parametrize("keep", ["best", "last"])
def test_the_test_part_is_looked_at_once_for_what_is_kept(execute, keep):
    given = made(Selection("validation_loss", keep))
    outcome = execute(given)
    looked_at = [row.epoch for row in outcome.evaluation if row.test_loss is not None]
    assert looked_at == [outcome.kept_epoch]
    row = outcome.evaluation[outcome.kept_epoch - 1]
    assert (row.test_loss, row.test_accuracy) == outcome.tested[:2]
    expected = evaluate.test(evaluate.outputs_of(given.model), given.loss, given.test)
    assert outcome.tested.loss == pytest.approx(expected.loss, **TOLERANCE)
    assert outcome.tested.losses.tolist() == pytest.approx(expected.losses.tolist(), **TOLERANCE)


@pytest.mark.parametrize("execute", ENGINES)
def test_without_a_validation_part_it_is_looked_at_after_every_epoch(execute):
    outcome = execute(made(Selection(), validation=None, epochs=3))
    assert all(row.test_loss is not None for row in outcome.evaluation)
    assert all(row.validation_loss is None for row in outcome.evaluation)
    assert outcome.tested.loss == outcome.evaluation[-1].test_loss
    assert outcome.kept_epoch == 3


@pytest.mark.parametrize("execute", ENGINES)
def test_the_loss_at_the_end_of_an_epoch_stands_beside_the_running_mean(execute):
    given = made(Selection("validation_loss"), epochs=2)
    outcome = execute(given)
    last = outcome.evaluation[-1]
    assert last.train_loss == pytest.approx(
        evaluate.evaluate(given.model, given.loss, given.train).loss, **TOLERANCE
    )
    losses = [row.loss for row in outcome.history if row.epoch == 2]
    sizes = given.sampling.sizes
    running = sum(size * loss for size, loss in zip(sizes, losses, strict=True)) / sum(sizes)
    assert last.running_train_loss == pytest.approx(running, **TOLERANCE)
    assert last.running_train_loss != pytest.approx(last.train_loss, rel=1e-3)


def test_runs_of_one_block_end_each_by_its_own_patience():
    selections = [
        Selection("validation_loss", "best", 1),
        Selection("validation_loss"),
        Selection("validation_accuracy", "best", 3),
        Selection("train_loss", "last", 2),
        scored("validation_mae", patience=2),
        scored("validation_f1"),
    ]
    lrs = (0.3, 0.1, 0.2, 0.5, 0.3, 0.2)
    jobs = [made(each, lr=lr) for each, lr in zip(selections, lrs, strict=True)]
    assert len(stacked.blocks(jobs)) == 1
    alone = copy.deepcopy(jobs)
    for given, one, found in zip(alone, jobs, stacked.execute(jobs), strict=True):
        expected = eager.execute(given)
        assert (found.step, found.kept_epoch) == (expected.step, expected.kept_epoch)
        measured = [[row.measured or 0.0 for row in each.evaluation] for each in (found, expected)]
        assert measured[0] == pytest.approx(measured[1], **TOLERANCE)
        torch.testing.assert_close(where(one.model), where(given.model), rtol=1e-9, atol=1e-9)
        assert found.tested.loss == pytest.approx(expected.tested.loss, **TOLERANCE)
    assert len({found.epochs for found in jobs}) == 1


@pytest.mark.parametrize("execute", ENGINES)
def test_a_run_that_diverges_leaves_its_best_epoch_where_that_is_kept(execute):
    def numbers(n, seed):
        random = torch.Generator().manual_seed(seed)
        x = torch.randn(n, FEATURES, generator=random, dtype=torch.float64)
        return Dataset(x, x.sum(1, keepdim=True), dtype=torch.float64)

    outcomes = {}
    for keep in ("best", "last"):
        given = made(
            Selection("validation_loss", keep),
            train=numbers(N, 0),
            validation=numbers(9, 1),
            test=numbers(7, 2),
            loss=gradus.MSELoss(),
            model=fresh(lambda: torch.nn.Linear(FEATURES, 1)),
            method=methods.GradientDescent(1e12),  # the loss grows by some 1e24 a step
        )
        outcomes[keep] = execute(given)
        assert outcomes[keep].status == "diverged"
        assert len(outcomes[keep].evaluation) > 1
    assert (outcomes["last"].kept_epoch, outcomes["last"].tested) == (None, None)
    assert outcomes["best"].kept_epoch == 1
    assert outcomes["best"].tested.loss == outcomes["best"].evaluation[0].test_loss


@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("weight", [None, torch.tensor([1.0, 2.0, 0.5]).double()])
def test_the_losses_of_examples_are_what_the_mean_is_made_of(reduction, weight):
    given = made()
    loss = gradus.CrossEntropyLoss(weight=weight, reduction=reduction)
    found = evaluate.test(evaluate.outputs_of(given.model), loss, given.test)
    x, y = given.test.batch()
    expected = torch.nn.functional.cross_entropy(given.model(x), y, weight, reduction="none")
    assert found.losses.tolist() == pytest.approx(expected.tolist(), rel=1e-12)
    total = found.losses.sum() / (1 if reduction == "sum" else found.masses.sum())
    assert found.loss == pytest.approx(total.item(), rel=1e-12)


def test_what_stands_for_a_long_training_part_is_a_fixed_draw_of_it():
    x = torch.arange(30_000.0)[:, None]
    long = Dataset(x, torch.zeros(30_000, dtype=torch.int64))
    one, other = long.fixed_sample, Dataset(x + 0, long.y).fixed_sample
    assert len(one) == len(set(one.x.flatten().tolist())) == 10_000
    assert torch.equal(one.x, other.x)
    # Uniform over the rows: the mean of 10,000 draws without replacement of 30,000.
    deviation = 30_000 / math.sqrt(12 * 10_000) * math.sqrt(2 / 3)
    assert abs(one.x.mean().item() - 15_000) < 4 * deviation
