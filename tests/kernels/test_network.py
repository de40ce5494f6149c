"""A network in training, in every variant and with several threads, against the pure equations.

Small enough for kernels that check every address, and of all kinds: every rule with every penalty,
every activation, every loss; widths and batches that are no multiples of a panel, batches of more
than one block and of more than one segment.
"""

import copy
import dataclasses
import itertools

import pytest
import torch
from torch import nn

import gradus
from gradus import kernels, methods
from gradus.data.dataset import Dataset
from gradus.data.sampling import Sampling
from gradus.engine import eager, native
from gradus.engine.clipping import Clip
from gradus.engine.iteration import PureIteration
from gradus.engine.job import Job
from gradus.risk.penalties import L1, L2, ElasticNet, SquaredL2

pytestmark = pytest.mark.skipif(kernels.core() is None, reason=str(kernels.absence()))

# Widths, batch size, examples, and the threads that the kernels find worth their while.
SIZES = {
    "small": ((5, 3), 3, 8, 1),
    "ragged": ((19, 33, 17, 5), 37, 101, 1),
    "one wide layer": ((150, 140), 51, 120, 3),
    "members share layers": ((100, 190, 150, 7), 21, 50, 3),
    "members take blocks": ((19, 33, 47, 5), 300, 700, 2),
    "segments": ((19, 33, 17, 5), 1100, 1100, 3),
}
RULES = {
    "gradient-descent": methods.GradientDescent,
    "polyak": lambda lr: methods.Polyak(lr, 0.8),
    "nesterov": lambda lr: methods.Nesterov(lr, 0.8),
    "sgd": lambda lr: methods.SGD(lr, 0.8, dampening=0.1, weight_decay=0.1),
    "sgd-nesterov": lambda lr: methods.SGD(lr, 0.8, nesterov=True, weight_decay=0.1),
    "adam": lambda lr: methods.Adam(lr, eps=1e-3, weight_decay=0.1),
    "amsgrad": lambda lr: methods.AdamW(lr, eps=1e-3, weight_decay=0.1, amsgrad=True),
}
DIVIDING = {
    "adagrad": ("ragged", None, lambda lr: methods.Adagrad(lr, 0.1, 0.1, eps=1e-3)),
    "rmsprop": ("members share layers", None, lambda lr: methods.RMSprop(lr, 0.9, 1e-2)),
    "rmsprop-momentum": ("small", L2(0.05), lambda lr: methods.RMSprop(lr, 0.9, 1e-2, 0.1, 0.8)),
    "rmsprop-centered": (
        "small",
        L1(0.02),
        lambda lr: methods.RMSprop(lr, 0.9, 1e-2, centered=True),
    ),
    "rmsprop-centered-momentum": (
        "ragged",
        ElasticNet(0.1, 0.3),
        lambda lr: methods.RMSprop(lr, 0.9, 1e-2, 0.1, 0.8, centered=True),
    ),
}
APART = {
    "lion": ("members share layers", lambda lr: methods.Lion(lr, weight_decay=0.1)),
    "adamax": ("ragged", lambda lr: methods.Adamax(lr, (0.8, 0.9), 1e-3, 0.1)),
    "adadelta": ("members take blocks", lambda lr: methods.Adadelta(lr, 0.8, 1e-3, 0.1)),
    "nadam": ("one wide layer", lambda lr: methods.NAdam(lr, (0.5, 0.9), 1e-2, 0.1, 0.1)),
    "nadam-decoupled": (
        "small",
        lambda lr: methods.NAdam(lr, (0.5, 0.9), 1e-2, 0.1, decoupled_weight_decay=True),
    ),
    "radam": ("members share layers", lambda lr: methods.RAdam(lr, (0.8, 0.9), 1e-2, 0.1)),
    "ftrl": ("ragged", lambda lr: methods.FTRL(10 * lr, 0.5, 0.02, 0.1)),
    "adopt": ("segments", lambda lr: methods.ADOPT(lr, (0.8, 0.9), 1e-2, 0.1)),
}
"""The rules by which weights move that do not move in the tile."""
PENALTIES = {"none": None, "l1": L1(0.02), "l2": L2(0.05), "elastic-net": ElasticNet(0.1, 0.3)}
LAYERS = {"by its value": nn.ReLU, "by its argument": nn.GELU}
"""The two ways in which a slope comes about."""
CURVES = {
    "tanh": ("members share layers", nn.Tanh),
    "sigmoid": ("ragged", nn.Sigmoid),
    "gelu-tanh": ("small", lambda: nn.GELU("tanh")),
    "silu": ("ragged", nn.SiLU),
    "mish": ("small", nn.Mish),
    "softsign": ("ragged", nn.Softsign),
    "tanhshrink": ("small", nn.Tanhshrink),
    "softplus": ("ragged", lambda: nn.Softplus(2.0, 1.0)),
    "exponential": ("members take blocks", nn.ELU),
    "pieces": ("ragged", nn.LeakyReLU),
}


@pytest.fixture(autouse=True)
def _pure(monkeypatch):
    """The eager engine by the pure equations, whose updates are not those of the kernels."""
    monkeypatch.setattr(eager, "iteration_of", PureIteration)


@pytest.fixture(params=kernels.runnable())
def _variant(request, monkeypatch):
    monkeypatch.setenv("GRADUS_KERNELS", request.param)


OF_CLASSES = (
    gradus.CrossEntropyLoss,
    gradus.NLLLoss,
    gradus.HingeLoss,
    gradus.ModifiedHuberLoss,
)


def job(size, method, penalty=None, loss=None, hidden=nn.ReLU, last=None, dtype=torch.float64):
    widths, batch_size, n, _ = SIZES[size]
    random = torch.Generator().manual_seed(0)
    layers = []
    with torch.random.fork_rng():
        torch.manual_seed(0)
        for index, (before, after) in enumerate(itertools.pairwise(widths)):
            layers += [nn.Linear(before, after, bias=index != 1, dtype=torch.float64), hidden()]
    layers[-1:] = [] if last is None else [last()]
    x = torch.randint(256, (n, widths[0]), generator=random).byte()
    y = torch.randint(widths[-1], (n,), generator=random)
    loss = gradus.CrossEntropyLoss() if loss is None else loss
    if not isinstance(loss, OF_CLASSES):
        y = torch.randn(n, widths[-1], generator=random, dtype=torch.float64).softmax(1)
    data = Dataset(x, y, scale=255.0, mean=torch.tensor(0.5), dtype=torch.float64)
    return Job(
        model=nn.Sequential(*layers),
        loss=loss,
        penalty=penalty,
        method=method,
        train=data,
        test=data.subset(slice(0, 5)),
        sampling=Sampling("shuffle", n, batch_size, seed=1),
        epochs=3,
        log_every=1,
        seed=0,
        device=torch.device("cpu"),
        dtype=dtype,
    )


def where(model):
    return torch.cat([p.detach().flatten() for p in model.parameters()]).double()


TOLERANCES = {torch.float64: 1e-11, torch.float32: 2e-5}


def it_agrees(given, threads, monkeypatch):
    """With the eager engine, in every variant and precision.

    And any number of threads gives the same, to the bit.
    """
    exact = dataclasses.replace(given, model=copy.deepcopy(given.model))
    expected = eager.execute(exact)
    losses, w = torch.tensor([row.loss for row in expected.history]), where(exact.model)
    for name, (dtype, tolerance) in itertools.product(kernels.runnable(), TOLERANCES.items()):
        monkeypatch.setenv("GRADUS_KERNELS", name)
        ends = []
        for members in range(1, threads + 1):
            monkeypatch.setattr(torch, "get_num_threads", lambda members=members: members)
            again = dataclasses.replace(given, model=copy.deepcopy(given.model), dtype=dtype)
            execution = native._Execution(again, lambda progress: None)
            assert execution.network.threads == members
            outcome = execution.run()
            ends.append((outcome.history, outcome.evaluation, where(again.model).tolist()))
            if members == 1:
                says = f"by the kernels for {name} in {dtype}: {{}}".format
                got = torch.tensor([row.loss for row in outcome.history])
                torch.testing.assert_close(got, losses, rtol=tolerance, atol=tolerance, msg=says)
                bound = tolerance * float(w.abs().max())
                torch.testing.assert_close(where(again.model), w, rtol=0, atol=bound, msg=says)
        assert all(end == ends[0] for end in ends), (name, dtype)


@pytest.mark.parametrize(
    ("penalty", "proximal"),
    [(name, False) for name in PENALTIES] + [(name, True) for name in PENALTIES if name != "none"],
)
@pytest.mark.parametrize("rule", RULES)
def test_every_rule_with_every_penalty(rule, penalty, proximal, monkeypatch):
    method = RULES[rule](0.01)
    # Every rule meets every size with one of its penalties.
    index = list(RULES).index(rule) + 2 * list(PENALTIES).index(penalty) + proximal
    size = list(SIZES)[index % len(SIZES)]
    given = job(size, methods.Proximal(method) if proximal else method, PENALTIES[penalty])
    it_agrees(given, SIZES[size][3], monkeypatch)


@pytest.mark.parametrize("rule", DIVIDING)
def test_the_rules_that_divide_by_past_gradients(rule, monkeypatch):
    size, penalty, method = DIVIDING[rule]
    it_agrees(job(size, method(0.01), penalty), SIZES[size][3], monkeypatch)
    if penalty is not None:
        it_agrees(job(size, methods.Proximal(method(0.01)), penalty), 1, monkeypatch)


@pytest.mark.parametrize("penalty", ["none", "elastic-net", "proximal"])
@pytest.mark.parametrize("rule", APART)
def test_rules_whose_gradient_is_there_before_weights_move(rule, penalty, monkeypatch):
    size, method = APART[rule]
    proximal = penalty == "proximal"
    given = PENALTIES["elastic-net" if proximal else penalty]
    made = method(0.01) if not proximal else methods.Proximal(method(0.01))
    it_agrees(job(size, made, given), SIZES[size][3], monkeypatch)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("hidden", LAYERS)
def test_slopes_at_every_size(hidden, size, monkeypatch):
    method = methods.Nesterov(0.01, 0.5)
    given = job(size, method, SquaredL2(0.1), hidden=LAYERS[hidden])
    it_agrees(given, SIZES[size][3], monkeypatch)


CLIPS = [
    ("one wide layer", Clip(0.05), methods.Adam(0.01, eps=1e-3, weight_decay=0.1), None),
    ("members share layers", Clip(value=0.01), methods.SGD(0.01, maximize=True), L1(0.02)),
    ("members take blocks", Clip(0.02, 0.01), methods.Nesterov(0.01, 0.5), L2(0.05)),
    ("segments", Clip(0.05), methods.Proximal(methods.SGD(0.01, 0.8)), ElasticNet(0.1, 0.3)),
    ("ragged", Clip(1e9, 1e9), methods.Polyak(0.01, 0.8), None),
]


@pytest.mark.parametrize(("size", "clip", "method", "penalty"), CLIPS)
def test_gradients_that_are_too_long_or_have_too_large_entries(
    size, clip, method, penalty, monkeypatch
):
    given = job(size, method, penalty)
    given.model[-1].weight.requires_grad_(False)
    it_agrees(dataclasses.replace(given, clip=clip), SIZES[size][3], monkeypatch)


@pytest.mark.usefixtures("_variant")
@pytest.mark.parametrize("clip", [Clip(0.05), Clip(value=0.01)])
def test_an_infinite_slope_of_a_finite_loss_is_clipped_as_torch_clips_it(clip):
    """A length that is infinite leaves no number; an entry is cut."""
    x = torch.tensor([[1e200, 1.0]], dtype=torch.float64)
    model = nn.Linear(2, 1, bias=False, dtype=torch.float64)
    with torch.no_grad():
        model.weight.copy_(torch.tensor([[1e-60, 0.0]], dtype=torch.float64))
    given = job("small", methods.SGD(0.1), loss=gradus.MSELoss())
    data = Dataset(x, torch.zeros(1, 1, dtype=torch.float64), dtype=torch.float64)
    only = {"train": data, "test": data, "sampling": Sampling("full", 1), "epochs": 1}
    ends = []
    for engine in (eager, native):
        again = copy.deepcopy(model)
        engine.execute(dataclasses.replace(given, model=again, clip=clip, **only))
        ends.append(where(again))
    torch.testing.assert_close(*ends, equal_nan=True)
    assert torch.isfinite(ends[0]).tolist() == [clip.norm is None, True]


@pytest.mark.parametrize("curve", CURVES)
def test_the_other_curves(curve, monkeypatch):
    size, layer = CURVES[curve]
    given = job(size, methods.Nesterov(0.01, 0.5), SquaredL2(0.1), hidden=layer, last=layer)
    given = dataclasses.replace(given, loss=gradus.CrossEntropyLoss())
    it_agrees(given, SIZES[size][3], monkeypatch)


LOSSES = {
    "cross-entropy": (gradus.CrossEntropyLoss(label_smoothing=0.1, ignore_index=1), None),
    "nll": (gradus.NLLLoss(reduction="sum"), lambda: nn.LogSoftmax(dim=1)),
    "mse": (gradus.MSELoss(), nn.Tanh),
    "l1": (gradus.L1Loss(), nn.GELU),
    "kl": (gradus.KLDivLoss(reduction="batchmean"), lambda: nn.LogSoftmax(dim=1)),
    "kl-log": (gradus.KLDivLoss(log_target=True), lambda: nn.LogSoftmax(dim=1)),
    "huber": (gradus.HuberLoss(delta=0.3), None),
    "pinball": (gradus.PinballLoss(0.8), None),
    "hinge": (gradus.HingeLoss(ignore_index=1), None),
    "modified huber": (gradus.ModifiedHuberLoss(), None),
}


@pytest.mark.parametrize("size", ["ragged", "members share layers", "members take blocks"])
@pytest.mark.parametrize("loss", LOSSES)
def test_every_loss(loss, size, monkeypatch):
    loss, last = LOSSES[loss]
    given = job(size, methods.SGD(1e-4, 0.5), loss=loss, last=last)
    it_agrees(given, SIZES[size][3], monkeypatch)


WEIGHTED = {
    "mean": gradus.CrossEntropyLoss(),
    "of classes": gradus.CrossEntropyLoss(torch.tensor([0.5, 2.0, 1.0, 3.0, 1.0]).double()),
    "ignored": gradus.CrossEntropyLoss(ignore_index=1, label_smoothing=0.1),
    "sum": gradus.CrossEntropyLoss(reduction="sum"),
    "elements": gradus.MSELoss(),
    "margin": gradus.HingeLoss(torch.tensor([0.5, 2.0, 1.0, 3.0, 1.0]).double()),
    "squared margin": gradus.ModifiedHuberLoss(
        torch.tensor([0.5, 2.0, 1.0, 3.0, 1.0]).double(), ignore_index=2
    ),
}


@pytest.mark.parametrize("loss", WEIGHTED)
def test_examples_that_count_more_than_others(loss, monkeypatch):
    given = job("ragged", methods.SGD(1e-3, 0.5), loss=WEIGHTED[loss])
    weights = torch.arange(len(given.train), dtype=torch.float64) % 4  # of some, 0
    data = dataclasses.replace(given.train, weights=weights)
    it_agrees(dataclasses.replace(given, train=data), 1, monkeypatch)


@pytest.mark.usefixtures("_variant")
def test_a_batch_whose_examples_count_nothing_moves_nothing():
    given = job("small", methods.SGD(0.1))
    data = dataclasses.replace(given.train, weights=torch.zeros(len(given.train)))
    given = dataclasses.replace(given, train=data)
    start = where(given.model)
    assert {row.loss for row in native.execute(given).history} == {0.0}
    assert torch.equal(where(given.model), start)


@pytest.mark.usefixtures("_variant")
def test_a_target_that_is_impossible_counts_nothing():
    """The logarithm of a probability of 0 is -inf, and 0 times it is 0."""
    given = job("small", methods.SGD(0.1), last=lambda: nn.LogSoftmax(dim=1))
    y = torch.tensor([[0.5, 0.5, 0.0]]).double().expand(len(given.train), -1)
    for target, log_target in ((y, False), (y.log(), True)):
        data = dataclasses.replace(given.train, y=target)
        kl = dataclasses.replace(
            given,
            model=copy.deepcopy(given.model),
            train=data,
            test=data,
            loss=gradus.KLDivLoss(reduction="batchmean", log_target=log_target),
        )
        exact = dataclasses.replace(kl, model=copy.deepcopy(kl.model))
        assert eager.execute(exact).status == native.execute(kl).status == "finished"
        torch.testing.assert_close(where(kl.model), where(exact.model))


@pytest.mark.usefixtures("_variant")
def test_a_batch_whose_targets_are_all_ignored_moves_nothing():
    given = job("small", methods.SGD(0.1), loss=gradus.CrossEntropyLoss(ignore_index=7))
    data = dataclasses.replace(given.train, y=torch.full_like(given.train.y, 7))
    given = dataclasses.replace(given, train=data, test=data)
    start = where(given.model)
    outcome = native.execute(given)
    assert outcome.status == "finished"
    assert {row.loss for row in outcome.history} == {0.0}
    assert torch.equal(where(given.model), start)


@pytest.mark.usefixtures("_variant")
@pytest.mark.parametrize(
    ("method", "kept"),
    [(methods.SGD(0.1, 0.9), 0.0), (methods.Adam(0.1), 0.0), (methods.Adam(0.1, eps=1e-30), 1e-40)],
    ids=["sgd", "adam", "adam whose eps is hardly larger"],
)
def test_numbers_too_small_for_a_whole_mantissa_become_0_while_the_kernels_run(method, kept):
    given = job("small", method, loss=gradus.MSELoss(), dtype=torch.float32)
    target = torch.ones(len(given.train), 3)
    data = dataclasses.replace(given.train, y=target, x=torch.zeros_like(given.train.x), mean=None)
    linear = given.model.float()[0]
    with torch.no_grad():
        linear.weight.fill_(1e-40)  # without a gradient, since all inputs are 0
        linear.bias.fill_(0.5)
    assert native.execute(dataclasses.replace(given, train=data, test=data)).status == "finished"
    assert torch.equal(linear.weight, torch.full((3, 5), kept))
    assert (torch.tensor([1e-40]) * 1).item() > 0, "the arithmetic of the caller is what it was"
