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
from gradus.runs.learning_rate import automatic, left_open
from gradus.runs.learning_rate.automatic import SHARES, two_digits
from gradus.runs.learning_rate.limit import limit_at_start
from gradus.runs.learning_rate.range_test import RangeTest, range_test
from gradus.runs.spec import RunSpec
from gradus.runs.words import as_call


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


EXAMPLES = torch.randn(60, 3, generator=torch.Generator().manual_seed(0))
DATA = (EXAMPLES, EXAMPLES.sum(1))


def net():
    torch.manual_seed(0)
    return torch.nn.Linear(3, 1)


def given_none(**options):
    return gradus.train(DATA, **{"model": net(), "loss": "mse", "epochs": 2} | options)


@pytest.fixture
def _no_search(monkeypatch):
    """Within, none is searched for."""

    def refused(*given, **named):
        raise AssertionError("a learning rate was searched for")

    for module in (automatic, left_open):
        monkeypatch.setattr(module, "found_for", refused)


@pytest.mark.parametrize("method", ["sgd", "gradient-descent", "polyak", gradus.methods.Nesterov])
def test_for_a_model_of_ones_own_a_rate_that_nobody_gave_is_found(method, tmp_path):
    told = []
    given = {"model": net(), "loss": "mse", "epochs": 2, "method": method}
    run = gradus.train(DATA, tell=told.append, out=tmp_path / "run", **given)
    found = run.summary["learning_rate"]
    assert run.spec.lr == found["lr"]
    assert [line for line in told if line.startswith("lr=")] == [as_call(left_open.told_of(found))]
    asked = gradus.train(DATA, lr="auto", tell=told.append, **given)
    assert asked.evaluation.equals(run.evaluation)
    assert gradus.train(DATA, lr=found["lr"], **given).history.equals(run.history)


def gradus_says(*arguments):
    with pytest.raises(SystemExit, match=r"^[03]$"):  # done, or learned nothing in so few steps
        main([*arguments])


def test_a_run_whose_rate_was_found_goes_on_and_repeats_without_a_search(
    tmp_path, monkeypatch, request, capsys
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "ownlinear.py").write_text(
        "import torch\n"
        "def make(input_shape, outputs):\n"
        "    return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, outputs))\n"
    )
    arguments = ["--model", "ownlinear:make", "--epochs", "1"]
    gradus_says(*["train", *arguments, "--out", "run"])
    assert ": was not given, and found by" in capsys.readouterr().err
    run = gradus.open_run("run", model="ownlinear:make")
    assert run.summary["learning_rate"]["lr"] == run.spec.lr != 0.001
    (tmp_path / "open.toml").write_text('model = "ownlinear:make"\nepochs = 1\n')
    gradus_says(*["train", "--spec", "open.toml", "--trust", "--out", "open"])
    assert gradus.open_run("open").spec == run.spec
    request.getfixturevalue("_no_search")
    (tmp_path / "said.toml").write_text('model = "ownlinear:make"\nepochs = 1\nlr = 0.1\n')
    gradus_says(*["train", "--spec", "said.toml", "--trust", "--out", "said"])
    gradus_says(*["train", "--spec", "run", "--trust", "--out", "again"])
    assert gradus.open_run("again").evaluation.equals(run.evaluation)
    gradus_says(*["train", "--resume", "run", "--trust", "--epochs", "2"])
    assert gradus.open_run("run").spec.lr == run.spec.lr
    capsys.readouterr()
    gradus_says(*["train", "--spec", "run", "--trust", "--method", "adam", "--out", "other"])
    assert gradus.open_run("other").spec.lr == 0.001
    assert "found for sgd" in capsys.readouterr().err


@pytest.mark.usefixtures("_no_search")
@pytest.mark.parametrize(
    "options",
    [
        {"lr": 0.01},
        {"model": "linear"},
        {"method": "adam"},
        {"method": "lbfgs"},
        {"method": "ftrl"},
        {"method": gradus.methods.SGD(0.01)},
        {"method": torch.optim.SGD},
        {"weight_decay": 0.1, "decay": "weights"},
        {"callbacks": [gradus.Scheduler(lambda optimizer: constant(optimizer))]},
    ],
    ids=lambda options: " and ".join(options),
)
def test_where_something_else_decides_none_is_searched_for(options):
    assert given_none(**options).summary["learning_rate"] is None


def constant(optimizer):
    return torch.optim.lr_scheduler.ConstantLR(optimizer)


@pytest.mark.usefixtures("_no_search")
def test_of_a_loader_none_is_searched_for():
    loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(*DATA), batch_size=20)
    run = gradus.train(loader, model=net(), loss="mse", test=DATA, epochs=1)
    assert run.summary["learning_rate"] is None


class Nothing(torch.nn.Linear):
    def forward(self, x):
        return super().forward(x) * math.nan


def test_where_every_rate_diverges_the_run_has_the_default_and_says_so():
    told = []
    run = gradus.train(DATA, model=Nothing(3, 1), loss="mse", tell=told.append, epochs=1)
    assert (run.status, run.spec.lr) == ("diverged", 0.001)
    assert told[0].startswith("lr=0.001: the default of sgd, as none was given and every one that")


class Tired(torch.nn.Linear):
    steps = 0

    def forward(self, x):
        self.steps += self.training
        if self.steps > 2:
            raise RuntimeError("tired")
        return super().forward(x)


@pytest.mark.parametrize("options", [{}, {"lr": "auto"}, {"lr": 0.1}])
def test_a_model_that_fails_in_the_search_is_one_line(options):
    with pytest.raises(gradus.InputError, match=r"^model=.*Tired: failed in training: Runtime"):
        gradus.train(DATA, model=Tired(3, 1), loss="mse", epochs=3, **options)


def test_a_batch_of_all_where_they_are_few_is_said():
    told = []
    few = EXAMPLES[:12], EXAMPLES[:12].sum(1)
    run = gradus.train(few, model="linear", epochs=1, tell=told.append)
    assert run.spec.batch_size == run.summary["data"]["train"] < 12
    assert told[0].startswith(f"batch_size={run.spec.batch_size}: of all examples that train")
    kept = {"batch_size": 4, "tell": told.append}
    assert gradus.train(few, model="linear", epochs=1, **kept).spec.batch_size == 4
