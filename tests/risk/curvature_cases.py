"""Models, losses and matrices on which second derivatives are tested, and their definitions."""

import pytest
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

import gradus
from gradus import EmpiricalRisk
from gradus.risk import dense
from gradus.risk.tensors import Tensors

N, FEATURES, CLASSES = 5, 4, 3

# The same sums of float64 in another order, of some hundred numbers of order 1.
TOLERANCE = {"rtol": 1e-10, "atol": 1e-11}

DENSE = {
    "hessian": dense.hessian,
    "gauss-newton": dense.gauss_newton,
    "fisher": dense.fisher,
    "empirical-fisher": dense.empirical_fisher,
}


def close(got, expected):
    torch.testing.assert_close(got, expected, **TOLERANCE)


def numbers(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


# Models. Log-probabilities where the loss asks for them: a true distribution, as Fisher needs.


class Tied(nn.Module):
    """One matrix in a linear layer, and once more outside of any."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(FEATURES, FEATURES)
        self.head = nn.Linear(FEATURES, CLASSES)

    def forward(self, x):
        return self.head((self.layer(x).tanh() @ self.layer.weight).sin())


class Twice(nn.Module):
    """A layer evaluated twice, and one whose output is not used."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(FEATURES, FEATURES, bias=False)
        self.head = nn.Linear(FEATURES, CLASSES)
        self.idle = nn.Linear(FEATURES, 2)

    def forward(self, x):
        self.idle(x)
        return self.head(self.layer(self.layer(x).tanh()))


def linear():
    return nn.Sequential(nn.Linear(FEATURES, CLASSES))


def mlp():
    return nn.Sequential(nn.Linear(FEATURES, 3), nn.Tanh(), nn.Linear(3, CLASSES))


def normalised():
    model = nn.Sequential(
        nn.Linear(FEATURES, 3), nn.BatchNorm1d(3), nn.Sigmoid(), nn.Linear(3, CLASSES)
    ).eval()
    model[1].running_mean += 0.3
    model[1].running_var *= 1.7
    return model


def in_place():
    return nn.Sequential(nn.Linear(FEATURES, 4), nn.ReLU(inplace=True), nn.Linear(4, CLASSES))


def conv():
    return nn.Sequential(
        nn.Unflatten(1, (1, 2, 2)), nn.Conv2d(1, 3, 2), nn.Tanh(), nn.Flatten(), nn.Linear(3, 3)
    )


def frozen():
    model = mlp()
    model[0].weight.requires_grad_(False)
    model[2].bias.requires_grad_(False)
    return model


class Attention(nn.Module):
    """Two heads look at four positions of one number each."""

    def __init__(self):
        super().__init__()
        self.layer = nn.MultiheadAttention(2, 2, batch_first=True)
        self.head = nn.Linear(2, CLASSES)

    def forward(self, x):
        x = x.view(-1, 2, 2)
        return self.head(self.layer(x, x, x, need_weights=False)[0].mean(1))


class Composed(nn.Module):
    """Two layers, and what becomes of x between and around them."""

    def __init__(self, forward, out=FEATURES):
        super().__init__()
        self.a = nn.Linear(FEATURES, FEATURES)
        self.head = nn.Linear(out, CLASSES)
        self.composed = forward

    def forward(self, x):
        return self.composed(self, x)


def inner_gradient():
    def forward(model, x):
        x = x.clone().requires_grad_()
        value = model.a(x).tanh().sum()
        return model.head(torch.autograd.grad(value, x, create_graph=True)[0])

    return Composed(forward)


def inner_gradient_by_a_hook():
    def of_the_gradient(module, inputs, output):
        x = inputs[0].clone().requires_grad_()
        value = nn.functional.linear(x, module.weight, module.bias).tanh().sum()
        return torch.autograd.grad(value, x, create_graph=True)[0]

    model = nn.Sequential(nn.Linear(FEATURES, FEATURES), nn.Linear(FEATURES, CLASSES))
    model[0].register_forward_hook(of_the_gradient)
    return model


def inner_function_gradient():
    def forward(model, x):
        each = torch.func.grad(lambda row: model.a(row).tanh().sum())
        return model.head(torch.func.vmap(each)(x))

    return Composed(forward)


def forward_derivative():
    def forward(model, x):
        return model.head(torch.func.jvp(lambda x: model.a(x).tanh(), (x,), (x.sin(),))[1])

    return Composed(forward)


def without_gradient():
    def forward(model, x):
        with torch.no_grad():
            held = model.a(x)
        return model.head(model.a(x).tanh()) + held[:, :CLASSES]

    return Composed(forward)


def mapped():
    def forward(model, x):
        return model.head(torch.func.vmap(lambda row: model.a(row).tanh())(x))

    return Composed(forward)


def weight_of_one_dimension():
    model = Composed(
        lambda model, x: model.head(
            nn.functional.linear(model.a(x).tanh(), model.vector)[:, None].sin()
        ),
        out=1,
    )
    model.vector = nn.Parameter(torch.randn(FEATURES))
    return model


def weight_replaced_by_one_dimension():
    model = nn.Sequential(nn.Linear(FEATURES, 1), nn.Unflatten(0, (-1, 1)), nn.Linear(1, CLASSES))
    model[0].weight, model[0].bias = nn.Parameter(torch.randn(FEATURES)), None
    return model


class Recurrent(nn.Module):
    def __init__(self, kind):
        super().__init__()
        self.layer = kind(2, 2, batch_first=True)
        self.head = nn.Linear(2, CLASSES)

    def forward(self, x):
        return self.head(self.layer(x.view(-1, 2, 2))[0][:, -1])


def checkpointed():
    def forward(model, x):
        return model.head(checkpoint(lambda x: model.a(x).tanh(), x.sin(), use_reentrant=False))

    return Composed(forward)


def lstm():
    return Recurrent(nn.LSTM)


def gru():
    return Recurrent(nn.GRU)


def shared_bias():
    model = nn.Sequential(
        nn.Linear(FEATURES, 3), nn.Tanh(), nn.Linear(3, 3), nn.Tanh(), nn.Linear(3, CLASSES)
    )
    model[2].bias = model[0].bias
    return model


def weight_normalised():
    return nn.Sequential(nn.utils.parametrizations.weight_norm(nn.Linear(FEATURES, CLASSES)))


MODELS = (linear, mlp, normalised)
ODD_MODELS = (
    in_place,
    conv,
    frozen,
    Tied,
    Twice,
    inner_gradient,
    inner_gradient_by_a_hook,
    inner_function_gradient,
    forward_derivative,
    without_gradient,
    mapped,
    weight_of_one_dimension,
    weight_replaced_by_one_dimension,
    checkpointed,
    lstm,
    gru,
    shared_bias,
)

# Losses, targets, and the matrices that are defined.

INDICES = torch.tensor([0, 2, 1, 1, 2])
WITH_HOLES = torch.tensor([0, -1, 1, -1, 2])
NUMBERS = numbers(N, CLASSES, seed=1)
PROBABILITIES = NUMBERS.softmax(1)
WEIGHT = torch.tensor([0.5, 2.0, 1.25], dtype=torch.float64)
ALL = tuple(DENSE)
NO_LIKELIHOOD = ("hessian", "gauss-newton", "empirical-fisher")

LOSSES = {
    "mse": (gradus.MSELoss(), NUMBERS, ALL),
    "mse-sum": (gradus.MSELoss(reduction="sum"), NUMBERS, ALL),
    "l1": (gradus.L1Loss(), NUMBERS, ALL),
    "huber": (gradus.HuberLoss(delta=0.7), NUMBERS, ALL),
    "pinball": (gradus.PinballLoss(0.8), NUMBERS, ALL),
    "cross-entropy": (gradus.CrossEntropyLoss(), INDICES, ALL),
    "cross-entropy-ignore": (gradus.CrossEntropyLoss(ignore_index=-1), WITH_HOLES, ALL),
    "cross-entropy-ignore-1": (gradus.CrossEntropyLoss(ignore_index=1), INDICES, ALL),
    "cross-entropy-probabilities": (gradus.CrossEntropyLoss(), PROBABILITIES, ALL),
    "cross-entropy-weight": (
        gradus.CrossEntropyLoss(WEIGHT, label_smoothing=0.1),
        INDICES,
        NO_LIKELIHOOD,
    ),
    "nll": (gradus.NLLLoss(), INDICES, ALL),
    "nll-weight": (gradus.NLLLoss(WEIGHT, ignore_index=-1), WITH_HOLES, NO_LIKELIHOOD),
    "kl": (gradus.KLDivLoss(), PROBABILITIES, ALL),
    "kl-batchmean": (
        gradus.KLDivLoss(reduction="batchmean", log_target=True),
        PROBABILITIES.log(),
        ALL,
    ),
    "callable": (lambda z, y: (z - y).pow(4).mean(), NUMBERS, ("hessian", "gauss-newton")),
}
WITH_EVERY_MODEL = ("mse", "cross-entropy-ignore", "cross-entropy-weight", "kl", "callable")
CASES = [
    pytest.param(make, loss, matrix, id=f"{make.__name__}-{loss}-{matrix}")
    for loss, (_, _, matrices) in LOSSES.items()
    for matrix in matrices
    for make in (MODELS if loss in WITH_EVERY_MODEL else (mlp,))
]


def risk_of(make, loss, penalty=None, **options):
    function, y, _ = LOSSES[loss]
    with torch.random.fork_rng():
        torch.manual_seed(2)
        model = make().double()
    if loss.startswith(("nll", "kl")):
        model = nn.Sequential(model, nn.LogSoftmax(1)).train(model.training)
    x = numbers(N, FEATURES, seed=3)
    return EmpiricalRisk(model, function, (x, y), penalty, **options)


def somewhere(risk, seed=4):
    return numbers(risk.dimension, seed=seed) / 2


def as_list(risk, w):
    shapes = [p.shape for p in risk.model.parameters() if p.requires_grad]
    parts = w.split([shape.numel() for shape in shapes])
    return Tensors([part.view(shape) for part, shape in zip(parts, shapes, strict=True)])


def product_of(risk, matrix, w, v, batch=None):
    if matrix == "hessian":
        return risk.hvp(w, v, batch)
    if matrix == "gauss-newton":
        return risk.gauss_newton_product(w, v, batch)
    return risk.fisher_product(w, v, batch, empirical=matrix == "empirical-fisher")


every_model = pytest.mark.parametrize("make", MODELS, ids=lambda make: make.__name__.lower())
every_odd_model = pytest.mark.parametrize(
    "make", ODD_MODELS, ids=lambda make: make.__name__.lower()
)
every_case = pytest.mark.parametrize(("make", "loss", "matrix"), CASES)
every_matrix = pytest.mark.parametrize("matrix", ALL)
