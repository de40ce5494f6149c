"""Learning rates that are found: what theory allows, what a range test sees, and what is taken."""

import math

import numpy as np
import pytest
import torch

import gradus
from gradus.cli import main
from gradus.cli.run_report import rate_line
from gradus.data.dataset import Dataset, Split
from gradus.risk import dense
from gradus.runs.job import prepare
from gradus.runs.learning_rate.automatic import SHARES, two_digits
from gradus.runs.learning_rate.limit import limit_at_start
from gradus.runs.learning_rate.range_test import RangeTest, range_test
from gradus.runs.spec import RunSpec


def squares(**options):
    """Least squares: the Hessian is the same at every w."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(64, 5, generator=generator, dtype=torch.float64) * torch.arange(1.0, 6.0)
    data = Dataset(x, x @ torch.ones(5, 1, dtype=torch.float64))
    spec = RunSpec(loss="mse", model="linear", dtype="float64", **options)
    split = Split(data, data, "squares", "regression")
    return spec, prepare(spec, split)


def risk_of(job):
    return gradus.EmpiricalRisk(job.model, job.loss, job.train.to(dtype=torch.float64))


@pytest.mark.parametrize(
    ("options", "bound"),
    [
        ({"method": "gradient-descent"}, 2.0),
        ({"method": "polyak", "beta": 0.5}, 3.0),
        ({"method": "nesterov", "beta": 0.5}, 1.5),
        ({"method": "sgd", "momentum": 0.9}, 3.8),
    ],
)
def test_the_limit_is_that_of_the_largest_eigenvalue(options, bound):
    spec, job = squares(sampling="full", **options)
    found = limit_at_start(spec, job)
    curvature = torch.linalg.eigvalsh(dense.hessian(risk_of(job), risk_of(job).point))[-1].item()
    assert found.bound == pytest.approx(bound)
    assert found.curvature == pytest.approx(curvature, rel=1e-6)
    assert found.lr == pytest.approx(bound / curvature, rel=1e-6)


@pytest.mark.parametrize(
    ("options", "bound"),
    [({"method": "adam"}, 38.0), ({"method": "rmsprop", "momentum": 0.0}, 2.0)],
)
def test_the_limit_of_a_method_that_scales_its_gradient_is_that_of_the_scaled_hessian(
    options, bound
):
    spec, job = squares(batch_size=16, **options)
    found, risk = limit_at_start(spec, job), risk_of(job)
    w = risk.point
    squared = [risk.gradient(w, slice(at, at + 16)).square() for at in range(0, 64, 16)]
    root = (torch.stack(squared).mean(dim=0).sqrt() + spec.eps).rsqrt()
    scaled = root[:, None] * dense.hessian(risk, w) * root
    assert found.bound == pytest.approx(bound)
    assert found.curvature == pytest.approx(torch.linalg.eigvalsh(scaled)[-1].item(), rel=1e-6)


def test_there_is_no_limit_where_theory_has_none():
    spec, job = squares(method="lbfgs")
    assert limit_at_start(spec, job) is None


def test_the_loss_is_lost_near_the_limit_where_the_risk_is_quadratic():
    spec, job = squares(sampling="full", method="gradient-descent", epochs=400)
    before = risk_of(job).point
    limit = limit_at_start(spec, job).lr
    found = range_test(spec, job, limit)
    assert limit / 2 < found.edge < 10 * limit
    assert torch.equal(risk_of(job).point, before)


LRS = np.logspace(-6, 1, 8)


@pytest.mark.parametrize(
    ("middle", "edge"),
    [
        ([1, 1, 0.9, 0.5, 0.3, 0.4, 2, 9], 1.0),
        ([1, 1, 9.0, 0.5, 0.3, 0.4, 2, 9], 1.0),  # one spike is no edge
        ([1, 1, 0.9, 0.5, math.inf, 0.4, 2, math.inf], 1.0),
        ([1, 1, 0.9, 0.5, 0.3, 0.7, 0.7, 0.7], 0.1),  # half of what was won is given back
        ([1, 1, 0.9, 0.5, 0.3, 0.2, 0.1, 0.1], 10.0),  # never lost
    ],
)
def test_the_edge_is_where_the_loss_stays_lost(middle, edge):
    others = np.array([np.full(8, math.inf), np.zeros(8)])  # one seed lucky, one unlucky
    found = RangeTest(LRS, np.vstack([others, middle]), 1.0, None, 24)
    assert found.edge == pytest.approx(edge)


def test_a_loss_that_begins_high_is_lost_where_a_constant_does_better():
    middle = np.array([50, 50, 40, 9.0, 0.4, 2.0, 3.0, 5.0])
    losses = np.vstack([middle, middle, middle])
    assert RangeTest(LRS, losses, 50.0, 1.0, 24).edge == pytest.approx(0.1)
    assert RangeTest(LRS, losses, 50.0, None, 24).edge == pytest.approx(10.0)
    assert RangeTest(LRS, losses, 50.0, 0.1, 24).edge == pytest.approx(10.0)  # none comes below


def test_a_run_takes_the_best_of_the_learning_rates_that_it_tries(tmp_path):
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(60, 3, generator=generator)
    data = (x, x.sum(1))
    options = {"model": "linear", "epochs": 4, "validation_fraction": 0.2}
    run = gradus.train(data, lr="auto", out=tmp_path / "run", **options)
    found = run.summary["learning_rate"]
    tried = {each["lr"]: each["validation_loss"] for each in found["tried"]}
    assert run.spec.lr == min(tried, key=tried.get) == found["lr"]
    assert list(tried)[:4] == [two_digits(share * found["lost_from"]) for share in SHARES]
    assert rate_line(found).startswith(
        f"{run.spec.lr:g}, of {len(tried)} tried for 25 % of the run"
    )
    given = gradus.train(data, lr=run.spec.lr, **options)
    assert given.evaluation.equals(run.evaluation)
    assert given.summary["learning_rate"] is None
    more = gradus.resume(tmp_path / "run", data=data, epochs=5)
    assert more.summary["learning_rate"] == found


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["train", "--method", "newton", "--lr", "auto"], "is found for first-order methods"),
        (["train", "--lr", "automatic"], "--lr automatic: must be a valid number, or auto"),
        (["sweep", "--lr", "auto,0.1"], "--lr auto: is found for a run by itself"),
    ],
)
def test_auto_is_refused_where_it_has_no_meaning(arguments, said, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit, match="2"):
        main(arguments)
    assert said in capsys.readouterr().err


def test_of_groups_of_parameters_it_is_not_found():
    x = torch.arange(8.0).reshape(4, 2)
    with pytest.raises(gradus.InputError, match="lr=auto: is not found for groups of parameters"):
        gradus.train((x, x[:, 0]), model="linear", method="adamw", lr="auto", decay="weights")
