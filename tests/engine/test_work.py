"""Work is the number of examples whose gradient or Hessian product was evaluated."""

import copy

import pytest
import torch

from gradus import kernels, methods
from gradus.engine import eager, native, stacked
from gradus.risk.empirical import EmpiricalRisk
from tests.engine.jobs import N, job

without_kernels = pytest.mark.skipif(kernels.core() is None, reason=str(kernels.absence()))


class Counting:
    """The risk, counting on its own what is asked of it: an independent count."""

    def __init__(self, risk):
        self.risk, self.examples = risk, 0
        self.penalty, self.smooth = risk.penalty, self

    def counted(self, products=1):
        self.examples += products * N  # every step sees all examples

    def value(self, w, batch=None):
        return self.risk.value(w, batch)

    def gradient(self, w, batch=None):
        self.counted()
        return self.risk.gradient(w, batch)

    def value_and_gradient(self, w, batch=None):
        self.counted()
        return self.risk.value_and_gradient(w, batch)

    def hvp(self, w, v, batch=None):
        self.counted()
        return self.risk.hvp(w, v, batch)

    def hessian(self, w, batch=None):
        self.counted(self.risk.dimension)
        return self.risk.hessian(w, batch)

    def gauss_newton(self, w, batch=None):
        self.counted(self.risk.dimension)
        return self.risk.gauss_newton(w, batch)


@pytest.mark.parametrize(
    "method",
    [
        methods.NewtonCG(),
        methods.LBFGS(),
        methods.Newton(damping=1.0, line_search="backtracking"),
        methods.GaussNewton(damping=0.1),
        methods.LevenbergMarquardt(),
        methods.GradientDescent(0.1),
    ],
    ids=lambda method: type(method).__name__,
)
def test_the_work_of_a_method_is_what_it_asks_of_the_risk(method):
    given = job(method=method, sampling="full", epochs=3)
    oracle = Counting(EmpiricalRisk(copy.deepcopy(given.model), given.loss, given.train))
    w = oracle.risk.point
    state, expected = method.init(w), []
    for _ in range(3):
        w, state = method.step(oracle, w, state, torch.arange(N))
        expected.append(oracle.examples)
    outcome = eager.execute(given)
    assert [row.work for row in outcome.history] == expected
    assert [row.work for row in outcome.evaluation] == expected
    assert outcome.work == expected[-1]
    assert [row.samples for row in outcome.history] == [N, 2 * N, 3 * N]


@pytest.mark.parametrize(
    "execute",
    [
        pytest.param(eager.execute, id="eager"),
        pytest.param(native.execute, id="native", marks=without_kernels),
        pytest.param(lambda job: stacked.execute([job])[0], id="stacked"),
    ],
)
@pytest.mark.parametrize(
    "method", [methods.SGD(0.1, 0.5), methods.Nesterov(0.1, 0.5)], ids=["sgd", "nesterov"]
)
def test_a_first_order_method_takes_one_gradient_an_example(execute, method):
    outcome = execute(job(method=method, log_every=2))
    assert [row.work for row in outcome.history] == [row.samples for row in outcome.history]
    assert [row.work for row in outcome.evaluation] == [row.samples for row in outcome.evaluation]
    assert outcome.work == outcome.samples
