"""Who observes a run sees the same in every engine, and may end it in good order."""

import numpy as np
import pytest
import torch

from gradus import kernels
from gradus.engine import eager, native, stacked
from gradus.engine.snapshot import Course
from gradus.methods import SGD, Nesterov
from tests.engine.jobs import BATCH, EPOCHS, N, close, ground_truth, job, where

STEPS = -(-N // BATCH)


def execute_stacked(job, report, course):
    return stacked.execute([job], [report], [course.observe])[0]


ENGINES = [
    pytest.param(eager.execute, id="eager"),
    pytest.param(
        native.execute,
        id="native",
        marks=pytest.mark.skipif(kernels.core() is None, reason=str(kernels.absence())),
    ),
    pytest.param(execute_stacked, id="stacked"),
]


@pytest.fixture(params=ENGINES)
def observed(request):
    """Run a job, the observer answering by ``answer``; the outcome, and what it was shown."""

    def run(job, answer=lambda progress: None):
        seen = []

        def observe(progress):
            seen.append(progress)
            return answer(progress)

        return request.param(job, lambda progress: None, Course(observe=observe)), seen

    return run


@pytest.mark.parametrize("log_every", [1, 3, 100])
@pytest.mark.parametrize("method", [SGD(0.1, 0.5), Nesterov(0.1, 0.5)], ids=["sgd", "nesterov"])
def test_every_row_and_every_evaluation_is_shown_once_its_step_is_taken(
    observed, log_every, method
):
    outcome, seen = observed(job(log_every=log_every, method=method))
    assert [each.row for each in seen if each.row is not None] == outcome.history
    assert [each.evaluation for each in seen if each.evaluation] == outcome.evaluation
    assert all((each.row is None) != (each.evaluation is None) for each in seen)
    for each in seen:
        assert each.step == each.row.step + 1 if each.row else each.step % STEPS == 0
    assert [each.step for each in seen] == sorted(each.step for each in seen)


@pytest.mark.parametrize(
    ("step", "log_every"), [(1, 1), (1, 2), (3, 2), (STEPS, 1), (STEPS + 1, 2), (STEPS + 3, 2)]
)
def test_a_run_ends_where_its_observer_says_so(observed, step, log_every):
    """The step of the row is the last; the epoch ends there, and is evaluated."""
    given = job(log_every=log_every)
    risk, path = ground_truth(given)
    outcome, _ = observed(
        given, lambda progress: "stop" if progress.row and progress.step == step else None
    )
    assert (outcome.status, outcome.ended_by_observer) == ("finished", True)
    assert outcome.step == step
    close(where(given.model), path.points[step])
    epoch = (step - 1) // STEPS + 1
    last = outcome.evaluation[-1]
    assert [row.epoch for row in outcome.evaluation] == list(range(1, epoch + 1))
    assert last.samples == outcome.samples == given.sampling.samples_before(step)
    close(last.train_loss, risk.value(path.points[step]))
    first = (epoch - 1) * STEPS
    losses = [
        risk.value(path.points[t], batch).item()
        for t, batch in enumerate(list(given.sampling.epoch(epoch - 1))[: step - first], first)
    ]
    close(last.running_train_loss, np.average(losses, weights=given.sampling.sizes[: len(losses)]))
    assert outcome.tested is not None


def test_a_run_ends_after_an_epoch_where_its_observer_says_so(observed):
    given = job()
    outcome, _ = observed(
        given,
        lambda progress: "stop" if progress.evaluation and progress.epoch == 2 else None,
    )
    assert (outcome.status, outcome.ended_by_observer) == ("finished", True)
    assert (outcome.step, len(outcome.evaluation)) == (2 * STEPS, 2)
    close(where(given.model), ground_truth(job())[1].points[2 * STEPS])


def test_who_does_not_stop_changes_nothing(observed):
    alone, beside = job(), job()
    outcome, _ = observed(alone)
    other, _ = observed(beside, lambda progress: None)
    assert not outcome.ended_by_observer
    assert (outcome.history, outcome.evaluation) == (other.history, other.evaluation)
    assert outcome.step == EPOCHS * STEPS


def test_a_run_that_ends_leaves_its_block_and_the_others_go_on():
    jobs = [job(method=SGD(lr, 0.5)) for lr in (0.1, 0.05, 0.02)]
    step = STEPS + 2
    observers = [None, lambda at: "stop" if at.row and at.step == step else None, None]
    outcomes = stacked.execute(jobs, None, observers)
    assert [outcome.step for outcome in outcomes] == [EPOCHS * STEPS, step, EPOCHS * STEPS]
    for each, steps in zip(jobs, (EPOCHS * STEPS, step, EPOCHS * STEPS), strict=True):
        close(where(each.model), ground_truth(job(method=each.method))[1].points[steps])
    alone = [stacked.execute([job(method=SGD(lr, 0.5))])[0] for lr in (0.1, 0.02)]
    for together, single in zip((outcomes[0], outcomes[2]), alone, strict=True):
        close([row.loss for row in together.history], [row.loss for row in single.history])
        close(
            [row.running_train_loss for row in together.evaluation],
            [row.running_train_loss for row in single.evaluation],
        )


def test_ctrl_c_leaves_gradients_as_they_were(observed):
    """As where it comes while torch leaves a block without gradients."""

    def interrupt(progress):
        torch.set_grad_enabled(False)
        raise KeyboardInterrupt

    outcome, _ = observed(job(), interrupt)
    assert outcome.status == "interrupted"
    assert torch.is_grad_enabled()
