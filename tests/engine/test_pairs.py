"""The native engine against the eager one, over every pair of choices that a job is made of.

Float64 kernels and the pure equation are two forms of one computation, which differ by rounding:
1e-10 of the scale after all steps, at rates at which the path itself does not amplify differences.
At a kink (of ReLU, of an absolute value) the two would part if one stood left of it and the other
right; random numbers come that close, 1e-14, about once in 1e14 times, and what is exactly 0 (a
weight after a proximal step, a unit without inputs) is so in both.
"""

import copy
import dataclasses
import itertools
import random

import pytest
import torch
from torch import nn

import gradus
from gradus import kernels, methods
from gradus.data.dataset import Dataset
from gradus.data.sampling import Sampling
from gradus.engine import dense, eager, native
from gradus.engine.clipping import Clip
from gradus.engine.iteration import PureIteration
from gradus.engine.job import Job
from gradus.risk.penalties import L1, L2, ElasticNet, SquaredL2

pytestmark = pytest.mark.skipif(kernels.core() is None, reason=str(kernels.absence()))

STEPS = (12, pytest.param(200, marks=pytest.mark.long))
"""As many as a schedule needs to pass through all that it does."""


@pytest.fixture(autouse=True)
def _pure(monkeypatch):
    """The eager engine by the pure equations, whose updates are not those of the kernels."""
    monkeypatch.setattr(eager, "iteration_of", PureIteration)


ACTIVATIONS = {
    "identity": nn.Identity,
    "relu": nn.ReLU,
    "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
    "gelu": nn.GELU,
    "gelu-tanh": lambda: nn.GELU("tanh"),
    "silu": nn.SiLU,
    "elu": nn.ELU,
    "softplus": nn.Softplus,
    "leaky-relu": nn.LeakyReLU,
}
PENALTIES = {
    "none": None,
    "l1": L1(0.01),
    "l2": L2(0.02),
    "squared-l2": SquaredL2(0.05),
    "elastic-net": ElasticNet(0.02, 0.4),
}
BETA = 0.8
METHODS = {
    "gradient-descent": methods.GradientDescent,
    "polyak": lambda lr: methods.Polyak(lr, BETA),
    "nesterov": lambda lr: methods.Nesterov(lr, BETA),
    "sgd": methods.SGD,
    "sgd-decay-maximize": lambda lr: methods.SGD(lr, weight_decay=0.1, maximize=True),
    "sgd-momentum": lambda lr: methods.SGD(lr, BETA, weight_decay=0.1),
    "sgd-dampening-maximize": lambda lr: methods.SGD(lr, BETA, dampening=0.3, maximize=True),
    "sgd-nesterov": lambda lr: methods.SGD(lr, BETA, weight_decay=0.1, nesterov=True),
    # Adam divides by how large gradients are: eps bounds by how much it amplifies small ones.
    "adam": lambda lr: methods.Adam(lr, eps=1e-4),
    "adam-decay": lambda lr: methods.Adam(lr, (0.8, 0.9), 1e-4, weight_decay=0.1, maximize=True),
    "adam-amsgrad": lambda lr: methods.Adam(lr, (0.8, 0.9), 1e-4, 0.1, amsgrad=True),
    "adamw": lambda lr: methods.AdamW(lr, eps=1e-4, weight_decay=0.5),
    "adamw-amsgrad": lambda lr: methods.AdamW(lr, (0.5, 0.9), 1e-4, 0.5, True, maximize=True),
    "adagrad": lambda lr: methods.Adagrad(lr, 0.1, 0.1, 0.01, eps=1e-4),
    "rmsprop": lambda lr: methods.RMSprop(lr, 0.9, 1e-2, maximize=True),
    "rmsprop-all": lambda lr: methods.RMSprop(lr, 0.9, 1e-1, 0.1, BETA, centered=True),
    "lion": lambda lr: methods.Lion(lr, weight_decay=0.5, maximize=True),
    "adamax": lambda lr: methods.Adamax(lr, (0.8, 0.9), 1e-4, 0.1, maximize=True),
    "adadelta": lambda lr: methods.Adadelta(lr, 0.8, 1e-3, 0.1),
    "nadam": lambda lr: methods.NAdam(lr, (0.8, 0.9), 1e-2, 0.1, 1.0),
    "radam": lambda lr: methods.RAdam(lr, (0.8, 0.9), 1e-2, 0.1, decoupled_weight_decay=True),
    "adopt": lambda lr: methods.ADOPT(lr, (0.8, 0.9), 1e-2, 0.5, maximize=True),
    "ista": methods.ProximalGradient,
    "fista": lambda lr: methods.ProximalGradient(lr, accelerated=True),
}
SCHEDULES = {
    "constant": lambda lr: lr,
    "step": lambda lr: methods.StepDecay(lr, 4, 0.5),
    "inverse-time": lambda lr: methods.InverseTime(lr, 0.01),
    "inverse-sqrt": lambda lr: methods.InverseSqrt(lr, 0.1),
    "warm cosine": lambda lr: methods.Warmup(methods.Cosine(lr, 10), 2),
}
CLASSES = {  # losses whose targets are classes
    "cross-entropy": lambda w, r: gradus.CrossEntropyLoss(reduction=r),
    "cross-entropy-weights": lambda w, r: gradus.CrossEntropyLoss(w, reduction=r),
    "cross-entropy-smooth": lambda w, r: gradus.CrossEntropyLoss(reduction=r, label_smoothing=0.2),
    "cross-entropy-ignored": lambda w, r: gradus.CrossEntropyLoss(ignore_index=1, reduction=r),
    "cross-entropy-all": lambda w, r: gradus.CrossEntropyLoss(
        w, ignore_index=-100, reduction=r, label_smoothing=0.1
    ),
    "nll": lambda w, r: gradus.NLLLoss(reduction=r),
    "nll-all": lambda w, r: gradus.NLLLoss(w, ignore_index=0, reduction=r),
    "hinge": lambda w, r: gradus.HingeLoss(reduction=r),
    "modified-huber": lambda w, r: gradus.ModifiedHuberLoss(w, ignore_index=1, reduction=r),
}
PROBABILITIES = {
    "cross-entropy-shares": lambda w, r: gradus.CrossEntropyLoss(reduction=r),
    "cross-entropy-shares-all": lambda w, r: gradus.CrossEntropyLoss(
        w, reduction=r, label_smoothing=0.3
    ),
    "kl": lambda w, r: gradus.KLDivLoss(reduction=r),
    "kl-log": lambda w, r: gradus.KLDivLoss(reduction=r, log_target=True),
}
NUMBERS = {
    "mse": lambda w, r: gradus.MSELoss(reduction=r),
    "l1": lambda w, r: gradus.L1Loss(reduction=r),
    "huber": lambda w, r: gradus.HuberLoss(r, 0.5),
    "pinball": lambda w, r: gradus.PinballLoss(0.7, r),
}
CLIPS = {
    "none": lambda steepness: None,
    "norm": lambda steepness: Clip(0.3 * steepness),
    "value": lambda steepness: Clip(value=0.05 * steepness),
    "both": lambda steepness: Clip(0.3 * steepness, 0.1 * steepness),
}
LOSSES = CLASSES | PROBABILITIES | NUMBERS

FACTORS = {
    "loss": list(LOSSES),
    "method": list(METHODS),
    "hidden": [(), (5,), (1,), (16,), (33, 7), (20, 3, 18), (17, 16, 15)],
    "activation": list(ACTIVATIONS),
    "last": ["identity", "activation", "log-softmax"],
    "bias": ["all", "none", "hidden"],
    "inputs": [3, 16, 19],
    "outputs": [1, 2, 3, 16, 17],
    "bytes": [False, True],
    "reduction": ["mean", "sum", "batchmean"],
    "penalty": list(PENALTIES),
    "proximal": [False, True],
    "schedule": list(SCHEDULES),
    "sampling": ["shuffle", "sequential", "replacement", "full"],
    "batch_size": [1, 3, 16, 17, 64, 100, 700],
    "threads": [1, 2, 3],
    "clip": list(CLIPS),
}


def possible(case):
    """Whether there is a job with these choices, others being free."""
    loss, outputs, method = case.get("loss"), case.get("outputs"), case.get("method")
    last, reduction, penalty = case.get("last"), case.get("reduction"), case.get("penalty")
    if loss is not None and reduction == "batchmean" and not loss.startswith("kl"):
        return False
    # What NLL and KL take is a logarithm: of anything else they can fall for ever.
    likelihood = reduction == "batchmean" or (loss or "").startswith(("nll", "kl"))
    if likelihood and last not in (None, "log-softmax"):
        return False
    # One class leaves nothing to learn: the gradient is what rounding leaves of 0.
    classes = likelihood or last == "log-softmax" or loss not in (None, *NUMBERS)
    if classes and outputs == 1:
        return False
    if method in ("ista", "fista") and case.get("proximal") is False:
        return False
    return penalty != "none" or not (case.get("proximal") or method in ("ista", "fista"))


def cover(factors, seed=0):
    """Cases that have every possible pair of choices, each begun with one not covered yet."""
    chance = random.Random(seed)
    missing = {}
    for (a, first), (b, second) in itertools.combinations(factors.items(), 2):
        for pair in itertools.product(first, second):
            case = dict(zip((a, b), pair, strict=True))
            if possible(case):
                missing[frozenset(case.items())] = case
    cases = []
    while missing:
        case = dict(next(iter(missing.values())))
        rest = [name for name in factors if name not in case]
        for name in chance.sample(rest, len(rest)):
            allowed = [value for value in factors[name] if possible(case | {name: value})]
            gains = {
                value: sum(frozenset([old, (name, value)]) in missing for old in case.items())
                for value in allowed
            }
            most = max(gains.values())
            case[name] = chance.choice([value for value in allowed if gains[value] == most])
        for pair in itertools.combinations(case.items(), 2):
            missing.pop(frozenset(pair), None)
        cases.append({name: case[name] for name in factors})
    return cases


CASES = cover(FACTORS)


def test_the_cases_have_every_possible_pair():
    covered = {
        frozenset(pair) for case in CASES for pair in itertools.combinations(case.items(), 2)
    }
    for (a, first), (b, second) in itertools.combinations(FACTORS.items(), 2):
        for pair in itertools.product(first, second):
            case = dict(zip((a, b), pair, strict=True))
            assert not possible(case) or frozenset(case.items()) in covered
    assert all(map(possible, CASES))


def network(case, seed):
    """A model with these layers; its parameters are small enough for nothing to saturate."""
    widths = [case["inputs"], *case["hidden"], case["outputs"]]
    layers = []
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        for index, (before, after) in enumerate(itertools.pairwise(widths), start=2):
            hidden = index < len(widths)
            bias = case["bias"] == "all" or (case["bias"] == "hidden" and hidden)
            layers.append(nn.Linear(before, after, bias=bias, dtype=torch.float64))
            if hidden or case["last"] == "activation":
                layers.append(ACTIVATIONS[case["activation"]]())
    if case["last"] == "log-softmax":
        layers.append(nn.LogSoftmax(dim=1))
    return nn.Sequential(*layers)


def examples(case, n, seed):
    drawn = torch.Generator().manual_seed(seed)
    features, outputs, loss = case["inputs"], case["outputs"], case["loss"]
    x = torch.randn(n, features, generator=drawn, dtype=torch.float64)
    options = {}
    if case["bytes"]:
        x = torch.randint(256, (n, features), generator=drawn).byte()
        options = {"scale": 255.0, "mean": torch.tensor(0.4), "std": torch.full((features,), 0.3)}
    if loss in CLASSES:
        y = torch.randint(outputs, (n,), generator=drawn)
        if loss == "cross-entropy-all":
            y[::3] = -100
    else:
        y = torch.randn(n, outputs, generator=drawn, dtype=torch.float64)
        if loss in PROBABILITIES:
            y = y.log_softmax(dim=1) if loss == "kl-log" else y.softmax(dim=1)
    names = tuple(map(str, range(outputs))) if loss in CLASSES else None
    return Dataset(x, y, classes=names, dtype=torch.float64, **options)


def job_of(case, steps, dtype=torch.float64, seed=0):
    batch_size = case["batch_size"]
    n = {1: 20, 3: 35, 700: 731}.get(batch_size, 131)
    sampling = Sampling(case["sampling"], n, batch_size, seed=3)
    weight = torch.linspace(0.5, 2.0, case["outputs"], dtype=torch.float64)
    loss = LOSSES[case["loss"]](weight, case["reduction"])
    adapts = case["method"].startswith("adam")
    lr = 0.001 if adapts or "maximize" in case["method"] else 0.01
    steepness = 1
    if case["reduction"] == "sum":
        # Sums are as many times steeper than means as they have terms.
        steepness = n if case["sampling"] == "full" else batch_size
        steepness *= 1 if case["loss"] in CLASSES else case["outputs"]
    method = METHODS[case["method"]](SCHEDULES[case["schedule"]](lr / (1 if adapts else steepness)))
    if case["proximal"] and not isinstance(method, methods.ProximalGradient):
        method = methods.Proximal(method)
    return Job(
        model=network(case, seed),
        loss=loss.to(dtype),
        penalty=PENALTIES[case["penalty"]],
        method=method,
        train=examples(case, n, seed),
        test=examples(case, 23, seed + 1),
        sampling=sampling,
        epochs=-(-steps // sampling.steps),
        log_every=3,
        seed=0,
        device=torch.device("cpu"),
        dtype=dtype,
        clip=CLIPS[case["clip"]](steepness),
    )


def parameters(model):
    return torch.cat([p.detach().flatten() for p in model.parameters()]).double()


def record(outcome, model):
    """All that a run leaves behind, as tensors by name."""
    history = {(row.step, row.samples, row.epoch, row.lr): row.loss for row in outcome.history}
    tests = {(row.epoch, row.samples): row[2:4] for row in outcome.evaluation}
    numbers = {"history": list(history.values()), "evaluation": list(tests.values())}
    kept = {name: torch.tensor(values).double() for name, values in numbers.items()}
    return (list(history), list(tests)), {**kept, "parameters": parameters(model)}


def told(case):
    return "-".join(str(value).replace(" ", "") for value in case.values())


def executed(case, given, monkeypatch):
    """The variants of the kernels that run here, and the job as the native engine runs it by each.

    With the threads of the case for the kernels alone: torch's would wait for each other, spinning.
    """
    monkeypatch.setattr(torch, "get_num_threads", lambda: case["threads"])
    for variant in kernels.runnable():
        monkeypatch.setenv("GRADUS_KERNELS", variant)
        ours = dataclasses.replace(given, model=copy.deepcopy(given.model))
        yield variant, native.execute(ours), ours.model


def it_agrees(variant, found, expected, tolerance):
    for name, values in found.items():
        torch.testing.assert_close(
            values,
            expected[name],
            rtol=0,
            atol=tolerance * float(expected[name].abs().max()),
            msg=lambda why, name=name: f"{name} by the kernels for {variant}: {why}",
        )


@pytest.mark.parametrize("steps", STEPS)
@pytest.mark.parametrize("case", CASES, ids=told)
def test_float64_kernels_agree_with_the_eager_engine(case, steps, monkeypatch):
    given = job_of(case, steps)
    theirs = dataclasses.replace(given, model=copy.deepcopy(given.model))
    start = parameters(given.model)
    expected_rows, expected = record(eager.execute(theirs), theirs.model)
    for variant, outcome, model in executed(case, given, monkeypatch):
        assert outcome.status == "finished"
        assert outcome.step == given.steps >= steps
        rows, found = record(outcome, model)
        assert rows == expected_rows
        it_agrees(variant, found, expected, 1e-10)
        assert not torch.allclose(found["parameters"], start, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("case", CASES, ids=told)
def test_float32_kernels_agree_with_float64_to_rounding(case, monkeypatch):
    steps = 5
    exact = job_of(case, steps)
    expected_rows, expected = record(eager.execute(exact), exact.model)
    given = job_of(case, steps, torch.float32)
    for variant, outcome, model in executed(case, given, monkeypatch):
        rows, found = record(outcome, model)
        assert rows == expected_rows
        it_agrees(variant, found, expected, 1e-5)


def test_the_kernels_run_every_case():
    for case in CASES:
        dense.check(job_of(case, 1))
