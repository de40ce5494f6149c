"""What the doctor measures is what the definitions say, and a replay is the run."""

import itertools
import time

import pytest
import torch

import gradus
from gradus import methods
from gradus.diagnosis import layers
from gradus.diagnosis.case import as_written, case_of, in_full
from gradus.diagnosis.causes import batch
from gradus.diagnosis.evidence import Evidence
from gradus.diagnosis.fork import WORST, Change, Laboratory
from gradus.diagnosis.replay import replay
from gradus.methods.stability import stability_limit
from gradus.risk.noise import noise_scale
from tests.diagnosis.planted import net, numbers, trained

OF_GRADIENTS = (
    methods.GradientDescent(1.0),
    methods.SGD(1.0, momentum=0.9),
    methods.SGD(1.0, momentum=0.6, dampening=0.5),
    methods.SGD(1.0, momentum=0.9, nesterov=True),
    methods.Polyak(1.0, 0.7),
    methods.Nesterov(1.0, 0.9),
)


@pytest.mark.parametrize("method", OF_GRADIENTS)
def test_on_a_quadratic_the_limit_is_where_convergence_ends(method):
    """Along one direction of curvature 1."""
    limit = stability_limit(method).value
    for share, converges in ((0.97, True), (1.03, False)):
        moved = gradus.minimize(
            lambda w: (w**2).sum() / 2,
            torch.tensor([1.0], dtype=torch.float64),
            type(method)(**{**vars(method), "lr": share * limit}),
            steps=400,
        )
        assert (abs(float(moved.points[-1])) < 1) is converges


@pytest.mark.parametrize("method", [methods.SGD, methods.Adam, methods.RMSprop, methods.Adagrad])
def test_what_climbs_has_no_limit(method):
    assert stability_limit(method(0.1)) is not None
    assert stability_limit(method(0.1, maximize=True)) is None


@pytest.mark.parametrize(
    ("module", "ends"),
    [(torch.nn.Sigmoid(), (0, 1)), (torch.nn.Tanh(), (-1, 1)), (torch.nn.Hardtanh(2, 6), (2, 6))],
)
def test_a_unit_is_silent_that_stands_at_a_flat_end(module, ends):
    """Of three units one at each end, and one between."""
    low, high = ends
    given = torch.tensor([[low, high, (low + high) / 2]]).repeat(20, 1)
    assert layers._silent(module, given) == pytest.approx(2 / 3)


def seen(**options):
    case = case_of(trained(**options))
    return Evidence(case, replay(case, time.monotonic() + 60))


@pytest.mark.parametrize("engine", ["native", "eager"])
def test_a_replay_is_the_run_to_the_bit(engine):
    evidence = seen(engine=engine, log_every=1, epochs=3)
    assert evidence.replay.deviation == 0
    assert evidence.sights[-1].step == 27 == len(evidence.losses)
    for one, other in itertools.pairwise(evidence.sights):
        assert one.step < other.step


@pytest.mark.parametrize("engine", ["native", "eager"])
@pytest.mark.parametrize(
    "method",
    [
        methods.Adam(0.01),
        methods.AdamW(0.01, amsgrad=True),
        methods.RMSprop(0.01, centered=True),
        methods.Adagrad(0.01, lr_decay=0.1),
    ],
)
def test_a_step_is_the_gradient_over_the_preconditioner(method, engine):
    """The first step of each moves w by - lr P^-1 g, but for Adam's first moment (1 - beta1) g."""
    options = {"method": method, "engine": engine, "dtype": "float64", "epochs": 1}
    evidence = seen(model=net(2, 3, 3), log_every=1, batch_size=180, **options)
    first, second = evidence.sights[:2]
    train = evidence.job.train.to(dtype=torch.float64)
    risk = gradus.EmpiricalRisk(evidence.job.model, evidence.job.loss, train)
    g = risk.gradient(first.w)
    m = (1 - method.betas[0]) * g if hasattr(method, "betas") else g
    decayed = first.w * (1 - 0.01 * method.weight_decay)
    torch.testing.assert_close(second.w, decayed - 0.01 * m / second.preconditioner)


def test_sharpness_is_the_largest_eigenvalue():
    """Of a linear model under the squared loss: 2 / N X^T X, of columns with one of ones."""
    evidence = seen(data=numbers(), model="linear", method=methods.SGD(0.1), dtype="float64")
    x = evidence.job.train.x.double()
    x = torch.cat([x, torch.ones(len(x), 1)], dim=1)
    largest = float(torch.linalg.eigvalsh(2 / len(x) * x.T @ x)[-1])
    figure = evidence.stability_at(evidence.sights[0])
    assert figure.value == pytest.approx(0.1 * largest, rel=1e-6)


def test_the_noise_scale_is_that_of_all_examples():
    evidence = seen(dtype="float64", model=net(2, 4, 3))
    sight, data = evidence.sights[0], evidence.job.train.to(dtype=torch.float64)
    risk = gradus.EmpiricalRisk(evidence.job.model, evidence.job.loss, data)
    each = torch.stack([risk.gradient(sight.w, slice(i, i + 1)) for i in range(len(data))])
    mean = each.mean(dim=0)
    trace = (each - mean).square().sum() / (len(each) - 1)
    expected = float(trace / mean.square().sum())
    found = noise_scale([sight.model(evidence.job)], evidence.job.loss, data, len(data))
    assert found == pytest.approx(expected, rel=1e-6)


def test_a_change_of_nothing_makes_no_difference():
    case = case_of(trained(epochs=2))
    laboratory = Laboratory(case, 1.0, time.monotonic() + 60)
    nothing = Change("nothing", apply=lambda job: job)
    one, other = laboratory.trial(1), laboratory.trial(1, (nothing,))
    assert (one.training == other.training).all()
    assert one.share("training loss") != laboratory.trial(2).share("training loss")


def test_a_change_that_makes_no_run_is_the_worst_of_trials():
    """A batch norm takes no batch of one; what is held leaves none."""

    def normed():
        layers = torch.nn.Linear(2, 5), torch.nn.BatchNorm1d(5), torch.nn.Linear(5, 3)
        return torch.nn.Sequential(*layers)

    case = case_of(trained(model=normed, epochs=1, batch_size=152))
    assert (len(case.split.train), len(case.parts.train)) == (180, 152)
    laboratory = Laboratory(case, 1.0, time.monotonic() + 60)
    whole, failed = laboratory.trial(0), laboratory.trial(0, (Change("", {"batch_size": 151}),))
    assert (whole.status, failed.status) == ("finished", "failed")
    for measure in ("training loss", "validation loss", "log loss of what is predicted"):
        assert whole.share(measure) < failed.share(measure) == WORST
        assert whole.examples(measure).shape == failed.examples(measure).shape


def test_a_batch_is_what_a_step_takes_and_the_remedy_what_was_tried():
    """Sixteen times as many as are taken at once: a quarter of all of them."""
    evidence = seen(method=methods.SGD(1e-6), epochs=3, batch_size=8, accumulate=16)
    change = batch._large(evidence).changes[0]
    assert change.said == "batches of 32 in place of 128"
    assert change.options == {"batch_size": 32, "accumulate": 1}
    tried = evidence.case.trial(0, (change,)).sampling
    asked = evidence.case.trial(0, (Change("", change.options),)).sampling
    assert tried == asked


def test_a_command_says_what_is_not_usual():
    spec = gradus.RunSpec(method="adam", hidden=(64,), betas=(0.8, 0.9), standardize=True)
    options = in_full(spec)
    assert gradus.RunSpec(**options) == spec
    assert set(options) == {"data", "method", "hidden", "betas", "standardize"}
    assert as_written(("out", "a b")) == "--out 'a b'"


def test_a_replay_ends_where_its_time_does():
    case = case_of(trained(epochs=20))
    found = replay(case, time.monotonic() - 1)
    assert found.status == "paused"
    assert not found.is_whole
    assert 0 < found.steps < 20
    assert found.sights[-1].step == found.steps
    assert Evidence(case, found).end == pytest.approx(
        case.run.summary["final"]["train_loss"] / case.run.summary["constant"]["train_loss"]
    )
