"""Every method of Gradus, through the suite that a user's own method goes through."""

import copy
import dataclasses
import inspect

import pytest

from gradus import methods
from gradus.methods import (
    ADOPT,
    FTRL,
    LAMB,
    LARS,
    LBFGS,
    SAM,
    SGD,
    Adadelta,
    Adagrad,
    Adam,
    Adamax,
    AdamW,
    Averaged,
    Cosine,
    GaussNewton,
    GradientDescent,
    InverseTime,
    LevenbergMarquardt,
    Lion,
    Lookahead,
    Method,
    Muon,
    NAdam,
    Nesterov,
    Newton,
    NewtonCG,
    Polyak,
    Proximal,
    ProximalGradient,
    RAdam,
    RMSprop,
    ScheduleFreeAdamW,
    ScheduleFreeSGD,
    StepDecay,
    Warmup,
)
from gradus.testing import PROBLEMS, cases, problem

CONVEX = tuple(name for name in PROBLEMS if problem(name).convex)
CLIMBS = {"descends": False}
MONOTONE = {"monotone": True}

# A method, and what is declared of it where that is not what is so of most.
METHODS = {
    "gradient-descent": (GradientDescent(0.1), MONOTONE),
    "gradient-descent-scheduled": (GradientDescent(InverseTime(0.1, gamma=0.03)), MONOTONE),
    "polyak": (Polyak(0.1, 0.9), {}),
    "nesterov": (Nesterov(0.1, 0.9), {}),
    "nesterov-scheduled": (Nesterov(StepDecay(0.1, 20, decay_factor=0.9), 0.9), {}),
    "sgd": (SGD(0.1), MONOTONE),
    "sgd-nesterov": (SGD(0.1, momentum=0.9, nesterov=True), {}),
    "sgd-all": (
        SGD(0.1, momentum=0.9, dampening=0.3, weight_decay=0.3, maximize=True),
        CLIMBS,
    ),
    "adam": (Adam(), {}),
    "adam-scheduled": (Adam(Warmup(Cosine(0.1, steps=200), steps=3)), {}),
    "adam-all": (Adam(0.1, (0.9, 0.5), 1e-2, 0.3, amsgrad=True, maximize=True), CLIMBS),
    "adamw": (AdamW(), {}),
    "rmsprop": (RMSprop(), {}),
    "rmsprop-all": (
        RMSprop(0.1, 0.9, 1e-2, 0.3, momentum=0.5, centered=True, maximize=True),
        CLIMBS,
    ),
    "adagrad": (Adagrad(), {}),
    "adagrad-all": (Adagrad(0.1, 0.3, 0.3, 0.5, 1e-2, maximize=True), CLIMBS),
    "adadelta": (Adadelta(), {}),
    "adamax": (Adamax(), {}),
    "nadam": (NAdam(), {}),
    "radam": (RAdam(), {}),
    "adopt": (ADOPT(), {}),
    "lion": (Lion(), {}),
    "ftrl": (FTRL(), {}),
    "ftrl-all": (FTRL(0.1, 0.5, l1=0.3, l2=0.2), {"descends": False}),
    "lars": (LARS(), {}),
    "lars-decay": (LARS(0.5, 0.5, weight_decay=0.1, trust=0.01), {"descends": False}),
    "lamb": (LAMB(0.01), {}),
    "muon": (Muon(), {}),
    "schedule-free-sgd": (ScheduleFreeSGD(0.1, weight_decay=0.0), {}),
    "schedule-free-adamw": (ScheduleFreeAdamW(0.1), {}),
    "averaged-lamb": (Averaged(LAMB(weight_decay=0.1), after=100), {"descends": False}),
    "proximal-nesterov": (Proximal(Nesterov(0.1, 0.9)), {}),
    "sam": (SAM(Nesterov(0.1, 0.9), rho=0.01), {}),
    "asam": (SAM(Adam(0.1), rho=0.01, adaptive=True), {}),
    "averaged": (Averaged(Nesterov(0.1, 0.9), after=100), {}),
    "lookahead": (Lookahead(SGD(0.1, momentum=0.9)), {}),
    # The penalty does not see Adam's scales, so that it comes to rest elsewhere.
    "proximal-adam": (Proximal(Adam(0.1)), {"descends": False}),
    "proximal-gradient": (ProximalGradient(0.1), MONOTONE),
    "proximal-gradient-accelerated": (ProximalGradient(0.1, accelerated=True), {}),
    "newton": (Newton(0.5), {"problems": CONVEX, **MONOTONE}),
    "newton-damped": (
        Newton(damping=0.1, line_search="backtracking"),
        {"problems": (*CONVEX, "rosenbrock"), **MONOTONE},
    ),
    "newton-saddle-free": (Newton(0.5, damping=0.01, saddle_free=True), MONOTONE),
    "newton-cg": (NewtonCG(damping=0.01), MONOTONE),
    "gauss-newton": (GaussNewton(damping=0.01, line_search="strong-wolfe"), MONOTONE),
    "levenberg-marquardt": (LevenbergMarquardt(), MONOTONE),
    "lbfgs": (LBFGS(), MONOTONE),
    "lbfgs-backtracking": (LBFGS(history=2, line_search="backtracking"), MONOTONE),
    "lbfgs-without-search": (LBFGS(0.1, line_search=None), {}),
}
CASES = {
    f"{name}-{case}": case
    for name, (method, declared) in METHODS.items()
    for case in cases(method, **declared)
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_every_method_passes(case):
    case.run()


@pytest.mark.parametrize("method", [method for method, _ in METHODS.values()], ids=METHODS)
def test_methods_are_values(method):
    twin = copy.copy(method)
    assert twin == method
    assert twin is not method
    with pytest.raises(dataclasses.FrozenInstanceError):
        method.lr = 0.5


def test_every_method_that_gradus_exports_is_in_the_table():
    exported = {
        each
        for each in map(methods.__getattr__, methods.__all__)
        if inspect.isclass(each) and issubclass(each, Method) and not inspect.isabstract(each)
    }
    assert exported == {type(method) for method, _ in METHODS.values()}
