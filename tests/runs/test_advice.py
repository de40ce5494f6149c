"""Advice names a cause that was measured, is right about it, and ends."""

import math
import re

import numpy as np
import pytest
import torch

import gradus
from gradus.data.dataset import Dataset, Split
from gradus.runs.advice import advice, largest_curvature, rounded_down, stability_limit
from gradus.runs.job import prepare
from gradus.runs.spec import RunSpec


def table(*, target=1.0, inputs=1.0, offset=0.0, n=40):
    generator = torch.Generator().manual_seed(0)
    x = offset + inputs * torch.randn(n, 3, generator=generator)
    y = target * torch.randn(n, 1, generator=generator)
    data = Dataset(x, y)
    return Split(data.subset(slice(0, 30)), data.subset(slice(30, n)), "table", "regression")


def told(split, *, fell=False, end=math.inf, **options):
    spec = RunSpec(
        **{"model": "linear", "data": "table.npz", "batch_size": 8, "auto": ()} | options
    )
    return advice(spec, split, prepare(spec, split), beginning=1.0, end=0.5 if fell else end)


@pytest.mark.parametrize(
    "options",
    [
        {"method": "gradient-descent"},
        {"method": "sgd", "momentum": 0.0},
        {"method": "sgd", "momentum": 0.9},
        {"method": "sgd", "momentum": 0.5, "dampening": 0.5},
        {"method": "sgd", "momentum": 0.9, "nesterov": True},
        {"method": "polyak", "beta": 0.7},
        {"method": "nesterov", "beta": 0.7},
    ],
    ids=lambda options: "-".join(map(str, options.values())),
)
def test_the_limit_is_where_a_parabola_is_no_longer_descended(options):
    limit, _ = stability_limit(RunSpec(**options))

    def end(lr):
        method = RunSpec(**options, lr=lr).build_method(steps=1)
        start = torch.tensor([1.0], dtype=torch.float64)
        path = gradus.minimize(lambda w: 0.5 * (w**2).sum(), start, method, steps=800)
        return path.points[-1].abs().item()

    assert end(0.97 * limit) < 1e-3
    assert end(1.03 * limit) > 1e3


def test_the_curvature_of_least_squares_is_that_of_the_matrix_of_its_inputs():
    split = table()
    spec = RunSpec(model="linear", data="table.npz", auto=(), dtype="float64")
    x, _ = split.train.to(dtype=torch.float64).batch()
    design = np.hstack([x.numpy(), np.ones((len(x), 1))])
    expected = 2 * np.linalg.eigvalsh(design.T @ design / len(x))[-1]
    assert largest_curvature(prepare(spec, split)) == pytest.approx(expected, rel=0.02)


@pytest.mark.parametrize(
    ("split", "options", "said"),
    [
        ({"target": 1e6}, {}, "the target has a deviation of"),
        ({"inputs": 1e4}, {}, "try --standardize"),
        ({"offset": 2000.0}, {}, "a root mean square of up to 2e+03: try --standardize"),
        ({}, {"lr": 100.0}, "momentum of 0.5 is stable below 3: try --lr 0."),
        ({}, {"lr": 1e-9}, "the learning rate is not the cause"),
        ({}, {"lr": 1e-9, "end": 1.0}, "3: the steps are far too small; try --lr 0."),
        ({}, {"lr": 1e-9, "end": 1.0 - 1e-6}, "3: the steps are far too small; try --lr 0."),
        ({}, {"lr": 1e-9, "fell": True}, "3: the steps are small; try --lr 0."),
        ({}, {"lr": 0.0}, "a learning rate of 0 moves nothing"),
        ({}, {"lr": 100.0, "dampening": 1.0}, "try --dampening 0"),
        ({}, {"lr": 0.1, "momentum": 0.0, "weight_decay": 1e6}, "lr · λ_max is 1e+05 at the start"),
        ({}, {"method": "adam", "lr": 10.0}, "moves every parameter by about lr = 10"),
        ({}, {"method": "adam", "lr": 0.01}, "look for extreme values in the data"),
        ({}, {"method": "adam", "lr": 0.01, "fell": True}, "try more --epochs, unless"),
        (
            {},
            {"lr": 0.3, "penalty": "l1", "strength": 5.0, "fell": True},
            "try more --epochs or a --strength below 5, unless the inputs say nothing",
        ),
        ({}, {"method": "lbfgs"}, "another start by --seed"),
        ({}, {"method": "newton"}, "try --damping"),
    ],
)
def test_the_cause_is_named_by_what_is_measured(split, options, said):
    assert said in told(table(**split), **options)


def test_where_the_curvature_is_not_finite_none_is_named():
    split = table()
    spec = RunSpec(model="mlp", hidden=(4,), data="table.npz", auto=(), lr=0.25)
    job = prepare(spec, split)
    with torch.no_grad():
        next(job.model.parameters()).fill_(torch.nan)
    assert largest_curvature(job) is None
    unmoved = advice(spec, split, job, beginning=1.0, end=1.0)
    assert unmoved == "the loss did not move: try --method adam"
    assert advice(spec, split, job, beginning=1.0, end=2.0) == "try --lr 0.02, or --method adam"


def test_no_record_waits_for_the_curvature_of_a_large_model(monkeypatch):
    split, spec = (
        table(),
        RunSpec(model="mlp", hidden=(1000, 1100), data="table.npz", auto=(), lr=0.25),
    )
    monkeypatch.setattr("gradus.risk.curvature.largest.eigenvalues", None)  # not to be called
    assert largest_curvature(prepare(spec, split)) is None
    assert told(split, model="mlp", hidden=(1000, 1100), lr=0.25) == (
        "try --lr 0.02, or --method adam"
    )


@pytest.mark.parametrize(
    ("lr", "end", "last"),
    [
        (1e9, math.inf, "not the cause"),
        (1e-9, 0.5, "the loss fell: try more --epochs"),
        (1e-9, 1.0, "not the cause"),
    ],
    ids=["far too large", "far too small", "so small that nothing moves"],
)
def test_whoever_follows_the_advice_comes_to_its_end(lr, end, last):
    split, heard = table(), []
    while found := re.search(r"--lr ([\d.e+-]+)", line := told(split, lr=lr, end=end)):
        assert line not in heard
        heard.append(line)
        assert (float(found[1]) < lr) is (end > 1)
        lr = float(found[1])
    assert last in line
    assert len(heard) <= 4


@pytest.mark.parametrize(
    ("number", "shown"),
    [(0.0371, "0.03"), (0.3, "0.3"), (2.0, "2"), (950.0, "900"), (1e-7, "1e-07")],
)
def test_rounding_down(number, shown):
    assert rounded_down(number) == shown
