"""The user's module is left as it was, whatever it shares, whatever is asked, and when it fails."""

import copy

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations

import gradus
from gradus.engine import eager
from gradus.engine.evaluate import evaluate
from gradus.figures.landscape import surface
from gradus.figures.landscape.plane import principal_plane
from gradus.methods import LBFGS, SGD, Nesterov, NewtonCG
from gradus.risk import curvature, dense
from tests.engine.jobs import job as job_of

N, FEATURES, CLASSES = 8, 4, 3


class FailError(Exception):
    """What a forward pass raises on the way."""


class Model(nn.Module):
    """A model that fails in the middle of its forward pass where it is told to."""

    fails = False

    def finished(self, output):
        if self.fails:
            raise FailError
        return output


class TwoNames(Model):
    """One submodule under two names, in which one is nested once more."""

    def __init__(self):
        super().__init__()
        self.a = nn.Sequential(nn.Linear(FEATURES, FEATURES), nn.Tanh())
        self.b = self.a
        self.c = self.a[0]
        self.head = nn.Linear(FEATURES, CLASSES)

    def forward(self, x):
        return self.head(self.finished(self.c(self.b(self.a(x)))))


class TiedWeights(Model):
    """One matrix in two layers, and one bias that is registered as a buffer too."""

    def __init__(self):
        super().__init__()
        self.encoder = nn.Linear(FEATURES, FEATURES)
        self.decoder = nn.Linear(FEATURES, FEATURES)
        self.decoder.weight = self.encoder.weight
        self.head = nn.Linear(FEATURES, CLASSES)
        self.register_buffer("offset", self.head.bias)

    def forward(self, x):
        return self.head(self.finished(self.decoder(self.encoder(x).tanh()))) + self.offset


class SharedBuffers(Model):
    """A buffer in two submodules, and two that are views of one memory; all are written."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(FEATURES, CLASSES)
        self.linear.register_buffer("count", torch.zeros(2))
        self.register_buffer("count", self.linear.count)
        self.register_buffer("all", torch.zeros(CLASSES, 2))
        self.register_buffer("first", self.all[:, 0])

    def forward(self, x):
        self.count += 1
        assert torch.equal(self.linear.count, self.count)
        self.first += 1
        assert torch.equal(self.all[:, 0], self.first)
        return self.finished(self.linear(x)) + self.first


class ReplacedBuffers(Model):
    """Buffers and plain tensors that the forward pass assigns anew, or makes on the way."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(FEATURES, CLASSES)
        self.register_buffer("mean", torch.zeros(CLASSES))
        self.seen = torch.zeros(CLASSES)

    def forward(self, x):
        output = self.linear(x)
        self.mean = 0.9 * self.mean + output.detach().mean(0)
        self.seen = output.mean(0)
        self.register_buffer("made", self.seen)
        return self.finished(output)


class Recurrent(Model):
    """Torch's LSTM, which keeps its parameters in a list of its own a second time."""

    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(2, CLASSES, batch_first=True)

    def forward(self, x):
        return self.finished(self.lstm(x.unflatten(1, (2, 2)))[0][:, -1])


class Normalised(Model):
    """Batch normalisation, reached by two names, and a frozen layer."""

    def __init__(self):
        super().__init__()
        self.frozen = nn.Linear(FEATURES, FEATURES).requires_grad_(False)
        self.norm = nn.BatchNorm1d(FEATURES)
        self.again = self.norm
        self.head = nn.Linear(FEATURES, CLASSES)

    def forward(self, x):
        return self.head(self.finished(self.again(self.norm(self.frozen(x)).relu())))


class Parametrized(Model):
    """Weights that are functions of the parameters, by torch's parametrizations."""

    def __init__(self):
        super().__init__()
        self.inner = parametrizations.weight_norm(nn.Linear(FEATURES, FEATURES))
        self.again = self.inner
        self.head = parametrizations.spectral_norm(nn.Linear(FEATURES, CLASSES))

    def forward(self, x):
        return self.head(self.finished(self.again(self.inner(x).tanh())))


class Renormed(Model):
    """Embeddings that shorten their rows in place as they are looked up, one of them frozen."""

    def __init__(self):
        super().__init__()
        self.frozen = nn.Embedding(5, FEATURES, max_norm=0.5).requires_grad_(False)
        self.moving = nn.Embedding(5, FEATURES, max_norm=0.5)
        self.head = nn.Linear(FEATURES, CLASSES)

    def forward(self, x):
        index = x[:, 0].abs().long().clamp(max=4)
        return self.head(self.finished(self.frozen(index) + self.moving(index)))


MODELS = [
    TwoNames,
    TiedWeights,
    SharedBuffers,
    ReplacedBuffers,
    Recurrent,
    Normalised,
    Parametrized,
    Renormed,
]


def build(kind):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = kind().double()
        for module in model.modules():  # .double() cuts buffers loose from what they share
            if isinstance(module, SharedBuffers):
                module.linear.count = module.count
                module.first = module.all[:, 0]
            if isinstance(module, TiedWeights):
                module.offset = module.head.bias
    return model


def risk_of(model, **options):
    random = torch.Generator().manual_seed(1)
    x = torch.randn(N, FEATURES, generator=random, dtype=torch.float64)
    y = torch.randint(CLASSES, (N,), generator=random)
    return gradus.EmpiricalRisk(model, gradus.CrossEntropyLoss(), (x, y), **options)


def elsewhere(risk):
    return risk.point + 0.1


def state(model):
    """Every object of a module under every name, with what it says of itself and what it holds."""
    found = {}
    for prefix, module in model.named_modules(remove_duplicate=False):
        found[prefix] = id(module), module.training
        for table in (module._parameters, module._buffers, vars(module)):
            for name, entry in table.items():
                tensors = entry if isinstance(entry, list) else [entry]
                for at, tensor in enumerate(tensors):
                    if isinstance(tensor, torch.Tensor):
                        found[f"{prefix}.{name}.{at}"] = (
                            id(tensor),
                            type(tensor),
                            tensor.is_leaf,
                            tensor.requires_grad,
                            tensor.grad is None,
                            tensor.tolist(),
                        )
    return found


ASKED = {
    "value": lambda f, w: f.value(w),
    "gradient": lambda f, w: f.gradient(w),
    "gradient of a list": lambda f, w: f.gradient(f.parameters),
    "differentiable gradient": lambda f, w: f.gradient(w.requires_grad_()),
    "hvp": lambda f, w: f.hvp(w, w),
    "hessian": lambda f, w: f.hessian(w),
    "gauss-newton": lambda f, w: f.gauss_newton_product(w, w),
    "fisher": lambda f, w: f.fisher_product(w, w),
    "empirical fisher": lambda f, w: f.fisher_product(w, w, empirical=True),
    "curvature": lambda f, w: f.curvature_at(w) @ w,
    "eigenvalues": lambda f, w: curvature.eigenvalues(f, w),
    "trace": lambda f, w: curvature.trace(f, w, samples=2),
    "dense": lambda f, w: dense.gauss_newton(f, w),
    "minimize": lambda f, w: gradus.minimize(f, w, NewtonCG(), steps=1),
}


@pytest.mark.parametrize("fails", [False, True])
@pytest.mark.parametrize("kind", MODELS)
def test_the_module_is_left_as_it_was(kind, fails):
    model = build(kind)
    model.fails = fails
    before = state(model)
    for chunk_size in (3, N):
        risk = risk_of(model, chunk_size=chunk_size)
        for name, ask in ASKED.items():
            w = elsewhere(risk)
            if fails:
                with pytest.raises(FailError):
                    ask(risk, w)
            else:
                ask(risk, w)
            assert state(model) == before, name
            assert torch.equal(w, elsewhere(risk)), name


@pytest.mark.parametrize("kind", MODELS)
def test_the_gradient_is_that_of_a_copy_that_stands_at_w(kind):
    """And the module's own backward pass still reaches its own parameters."""
    model = build(kind)
    there = copy.deepcopy(model)
    risk = risk_of(model)
    w, x, y = elsewhere(risk), risk.data.x, risk.data.y
    moving = [p for p in there.parameters() if p.requires_grad]
    nn.utils.vector_to_parameters(w, moving)
    nn.functional.cross_entropy(there(x), y).backward()
    expected = torch.cat([p.grad.flatten() for p in moving])
    torch.testing.assert_close(risk.gradient(w), expected, rtol=1e-10, atol=1e-12)
    risk.assign(w)
    nn.functional.cross_entropy(model(x), y).backward()
    own = torch.cat([p.grad.flatten() for p in model.parameters() if p.requires_grad])
    torch.testing.assert_close(own, expected, rtol=1e-10, atol=1e-12)


def objects(model):
    """What stays of a module whose values are trained: every object under every name."""
    return {
        f"{prefix}.{name}": (id(module), id(tensor), type(tensor), tensor.requires_grad)
        for prefix, module in model.named_modules(remove_duplicate=False)
        for name, tensor in module._parameters.items()
        if tensor is not None
    }


@pytest.mark.parametrize(
    "method", [SGD(0.1), Nesterov(0.1, 0.5), LBFGS()], ids=["sgd", "nesterov", "lbfgs"]
)
@pytest.mark.parametrize("fails", [False, True])
@pytest.mark.parametrize("kind", MODELS)
def test_an_engine_trains_the_parameters_and_exchanges_none(kind, fails, method):
    model = build(kind)
    before, start = objects(model), risk_of(model).point
    calls = 0

    def count(*_):
        nonlocal calls
        calls += 1
        model.fails = fails and calls == 5

    handle = model.register_forward_pre_hook(count)
    job = job_of(model=model, method=method, epochs=1)
    if fails:
        with pytest.raises(FailError):
            eager.execute(job)
    else:
        eager.execute(job)
        assert not torch.equal(risk_of(model).point, start)
    handle.remove()
    assert objects(model) == before
    assert all(p.is_leaf for p in model.parameters())
    model.fails = False
    model(torch.ones(2, FEATURES, dtype=torch.float64)).sum().backward()
    assert all(p.grad is not None for p in model.parameters() if p.requires_grad)


@pytest.mark.parametrize("fails", [False, True])
@pytest.mark.parametrize("kind", MODELS)
def test_evaluating_a_model_leaves_it_in_the_mode_of_every_submodule(kind, fails):
    model = build(kind)
    next(model.children()).eval()
    job, before = job_of(), [module.training for module in model.modules()]
    model.fails = fails
    if fails:
        with pytest.raises(FailError):
            evaluate(model, job.loss, job.test)
    else:
        evaluate(model, job.loss, job.test)
    assert [module.training for module in model.modules()] == before


@pytest.mark.parametrize("fails", [False, True])
@pytest.mark.parametrize("kind", MODELS)
def test_the_risk_over_a_plane_leaves_the_module_as_it_was(kind, fails):
    model = build(kind).eval()
    model.fails = fails
    before, risk = state(model), risk_of(model)
    points = torch.stack([risk.point, risk.point + 1, risk.point * 2])
    at, job = np.array([0.0, 1.0]), job_of(model=model)
    plane = principal_plane(points, points[-1])
    if fails:
        with pytest.raises(FailError):
            surface.risks(job, job.train, plane, at, at, lambda done, of: None)
    else:
        surface.risks(job, job.train, plane, at, at, lambda done, of: None)
    assert state(model) == before
