"""Second derivatives: every product and matrix against its dense definition."""

import math
import re

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.utils.checkpoint import checkpoint

import gradus
from gradus import EmpiricalRisk, InputError
from gradus.risk import curvature, dense
from gradus.risk.curvature import require_memory
from gradus.risk.function import Function, LeastSquares
from gradus.risk.penalties import L1, L2, ElasticNet, SquaredL2
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


@every_case
def test_every_product_and_matrix_is_its_definition(make, loss, matrix):
    """Flat and as a list, in one chunk and in two, by the graph kept and without."""
    risk = risk_of(make, loss, chunk_size=3)
    w, v = somewhere(risk), somewhere(risk, seed=5)
    expected = DENSE[matrix](risk, w)
    close(product_of(risk, matrix, w, v), expected @ v)
    close(risk.curvature_at(w, matrix=matrix) @ v, expected @ v)
    close(risk.curvature_at(w, matrix=matrix).matrix(), expected)
    risk.chunk_size = 100
    product = product_of(risk, matrix, as_list(risk, w), as_list(risk, v))
    assert [p.shape for p in product.values] == [p.shape for p in as_list(risk, w).values]
    close(product.flat(), expected @ v)
    kept = risk.curvature_at(w, matrix=matrix)
    for _ in range(2):
        close(kept @ v, expected @ v)
    close(kept.matrix(), expected)
    assert not (kept @ v).requires_grad
    if matrix == "hessian":
        close(risk.hessian(as_list(risk, w)), expected)
    if matrix == "gauss-newton":
        close(risk.gauss_newton(as_list(risk, w)), expected)


@pytest.mark.parametrize("make", [Attention, weight_normalised])
def test_a_model_that_torch_cannot_differentiate_twice_is(make):
    """Torch 2.13 refuses the one and is wrong on the other: against differences of gradients."""
    risk = risk_of(make, "cross-entropy")
    w, v = somewhere(risk), somewhere(risk, seed=5)
    step = 1e-5  # central differences: rounding 1e-16 / 1e-5, truncation 1e-10 times a constant
    difference = (risk.gradient(w + step * v) - risk.gradient(w - step * v)) / (2 * step)
    for product in (risk.hvp(w, v), risk.hessian(w) @ v, risk.curvature_at(w) @ v):
        torch.testing.assert_close(product, difference, rtol=1e-6, atol=1e-8)
    differentiable = risk.hvp(w.clone().requires_grad_(), v)
    torch.testing.assert_close(differentiable, risk.hvp(w, v), **TOLERANCE)


@pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated")  # by torch.func.jvp
@every_odd_model
def test_whatever_a_model_does_with_its_parameters_is_counted(make):
    for chunk_size in (3, 100):
        risk = risk_of(make, "cross-entropy", ElasticNet(0.3), chunk_size=chunk_size)
        w, v = somewhere(risk), somewhere(risk, seed=5)
        for matrix, definition in DENSE.items():
            expected = definition(risk, w)
            close(product_of(risk, matrix, w, v), expected @ v)
            close(risk.curvature_at(w, matrix=matrix).matrix(), expected)


@pytest.mark.parametrize("within", [False, True], ids=["around", "within"])
def test_a_model_in_mixed_precision_has_the_product_of_its_arithmetic(within):
    """Autocast about the call or in the model: as a plain second backward pass in bfloat16."""

    def evaluated(model, x):
        with torch.autocast("cpu", torch.bfloat16, enabled=within):
            return model.head(model.a(x).tanh()).float()

    model, x, y = Composed(evaluated), numbers(N, FEATURES).float(), INDICES
    risk = EmpiricalRisk(model if within else mlp(), gradus.CrossEntropyLoss(), (x, y))
    w, v = risk.point, numbers(risk.dimension).float()
    with torch.autocast("cpu", torch.bfloat16, enabled=not within):
        product = risk.hvp(w, v)
        leaf = w.clone().requires_grad_()
        (g,) = torch.autograd.grad(risk.value(leaf), leaf, create_graph=True)
        (expected,) = torch.autograd.grad((g * v).sum(), leaf)
    # Both round to 8 bits in each layer, at most in another order.
    torch.testing.assert_close(product, expected, rtol=0, atol=0.05 * float(expected.norm()))


@every_matrix
@pytest.mark.parametrize(
    "penalty",
    [L1(0.3), L2(0.3), SquaredL2(0.3), ElasticNet(0.3, 0.4)],
    ids=lambda p: type(p).__name__,
)
def test_the_hessian_of_the_penalty_is_added_once(penalty, matrix):
    for chunk_size in (3, 100):
        risk = risk_of(mlp, "cross-entropy-ignore", penalty, chunk_size=chunk_size)
        w, v = somewhere(risk), somewhere(risk, seed=5)
        expected = DENSE[matrix](risk, w)
        close(product_of(risk, matrix, w, v), expected @ v)
        close(product_of(risk, matrix, as_list(risk, w), as_list(risk, v)).flat(), expected @ v)
        close(risk.curvature_at(w, matrix=matrix).matrix(), expected)
        smooth = risk.smooth.curvature_at(w, matrix=matrix).matrix()
        eye, norm = torch.eye(len(w), dtype=w.dtype), w.norm()
        added = {
            "L1": 0 * eye,
            "L2": 0.3 * (eye / norm - torch.outer(w, w) / norm**3),
            "SquaredL2": 0.3 * eye,
            "ElasticNet": 0.3 * 0.6 * eye,
        }
        close(expected - smooth, added[type(penalty).__name__])


@every_matrix
def test_every_form_of_a_batch_is_the_same_examples(matrix):
    risk = risk_of(mlp, "cross-entropy", chunk_size=2)
    w, v = somewhere(risk), somewhere(risk, seed=5)
    x, y = risk.data.x, risk.data.y
    for batch, at in (
        (torch.tensor([4, 0, 4]), [4, 0, 4]),
        (slice(0, 5, 2), [0, 2, 4]),
        ((x[2:5], y[2:5]), [2, 3, 4]),
    ):
        expected = DENSE[matrix](risk, w, (x[at], y[at])) @ v
        close(product_of(risk, matrix, w, v, batch), expected)
        close(risk.curvature_at(w, batch, matrix=matrix) @ v, expected)


@pytest.mark.parametrize(
    ("theirs", "ours", "y"),
    [
        (nn.MSELoss(), gradus.MSELoss(), NUMBERS),
        (nn.MSELoss(reduction="sum"), gradus.MSELoss(reduction="sum"), NUMBERS),
        (nn.L1Loss(), gradus.L1Loss(), NUMBERS),
        (nn.CrossEntropyLoss(), gradus.CrossEntropyLoss(), INDICES),
        (
            nn.CrossEntropyLoss(ignore_index=1),
            gradus.CrossEntropyLoss(ignore_index=1),
            INDICES,
        ),
        (nn.NLLLoss(), gradus.NLLLoss(), INDICES),
        (
            nn.KLDivLoss(reduction="batchmean", log_target=True),
            gradus.KLDivLoss(reduction="batchmean", log_target=True),
            PROBABILITIES.log(),
        ),
    ],
)
@every_matrix
def test_the_losses_of_torch_have_the_matrices_of_ours(theirs, ours, y, matrix):
    risk = risk_of(mlp, "mse")
    w, v = somewhere(risk), somewhere(risk, seed=5)
    one, other = (EmpiricalRisk(risk.model, loss, (risk.data.x, y)) for loss in (theirs, ours))
    close(product_of(one, matrix, w, v), product_of(other, matrix, w, v))


@pytest.mark.parametrize(
    "loss", ["mse", "mse-sum", "cross-entropy", "cross-entropy-ignore", "cross-entropy-ignore-1"]
)
@every_model
def test_fisher_is_gauss_newton_for_cross_entropy_and_mse(make, loss):
    risk = risk_of(make, loss, SquaredL2(0.1), chunk_size=3)
    w = somewhere(risk)
    close(risk.curvature_at(w, matrix="fisher").matrix(), risk.gauss_newton(w))


def test_gauss_newton_is_the_hessian_of_a_linear_model():
    for loss in ("mse", "cross-entropy", "cross-entropy-weight", "callable"):
        risk = risk_of(linear, loss, L2(0.2))
        w = somewhere(risk)
        close(risk.gauss_newton(w), risk.hessian(w))


@pytest.mark.parametrize("matrix", ["gauss-newton", "fisher", "empirical-fisher"])
def test_outputs_of_more_dimensions_have_their_matrices(matrix):
    """Outputs [N, C, 2]: two independent positions an example, each with the head of the other."""
    model = nn.Sequential(nn.Linear(FEATURES, 2 * CLASSES), nn.Unflatten(1, (CLASSES, 2))).double()
    y = torch.stack([INDICES, WITH_HOLES], dim=1)
    loss = gradus.CrossEntropyLoss(ignore_index=-1)
    risk = EmpiricalRisk(model, loss, (numbers(N, FEATURES), y), chunk_size=3)
    w = somewhere(risk)
    got = risk.curvature_at(w, matrix=matrix).matrix()
    close(got, DENSE["gauss-newton" if matrix == "fisher" else matrix](risk, w))


def test_an_output_of_one_number_for_each_example_has_its_matrices():
    model = nn.Sequential(nn.Linear(FEATURES, 1), nn.Flatten(0)).double()
    risk = EmpiricalRisk(model, gradus.MSELoss(), (numbers(N, FEATURES), numbers(N)))
    w = somewhere(risk)
    for matrix in ("hessian", "gauss-newton", "empirical-fisher"):
        close(risk.curvature_at(w, matrix=matrix).matrix(), DENSE[matrix](risk, w))
    close(risk.curvature_at(w, matrix="fisher").matrix(), risk.gauss_newton(w))


def test_batch_normalisation_in_training_couples_the_examples_of_a_chunk():
    risk = risk_of(normalised, "cross-entropy")
    risk.model.train()
    w = somewhere(risk)
    close(risk.hessian(w), dense.hessian(risk, w))
    close(risk.gauss_newton(w), dense.gauss_newton(risk, w))


@every_matrix
@pytest.mark.parametrize("update_buffers", [False, True])
def test_nothing_of_the_model_is_changed(matrix, update_buffers):
    """Not even where gradients move the buffers: a product is no step."""
    risk = risk_of(normalised, "cross-entropy", update_buffers=update_buffers, chunk_size=3)
    risk.model.train()
    for p in risk.model.parameters():
        p.grad = torch.full_like(p, 0.25)
    before = {name: value.clone() for name, value in risk.model.state_dict().items()}
    with torch.no_grad():
        for w in (risk.point, risk.parameters):
            product = product_of(risk, matrix, w, w)
            at = risk.curvature_at(w, slice(0, 3), matrix=matrix)
            at.matrix()
            assert not product.requires_grad
            assert not (at @ w).requires_grad
    torch.testing.assert_close(dict(risk.model.state_dict()), before, rtol=0, atol=0)
    assert all((p.grad == 0.25).all() and p.requires_grad for p in risk.model.parameters())


@pytest.mark.parametrize("matrix", ["hessian", "gauss-newton", "fisher"])
@pytest.mark.parametrize("penalty", [None, L2(0.3)])
@pytest.mark.parametrize("chunk_size", [3, 100])
def test_products_and_matrices_are_differentiable(matrix, penalty, chunk_size):
    risk = risk_of(mlp, "cross-entropy", penalty, chunk_size=chunk_size)
    w, v = somewhere(risk).requires_grad_(), somewhere(risk, seed=5).requires_grad_()
    u = somewhere(risk, seed=6)
    got = torch.autograd.grad(product_of(risk, matrix, w, v) @ u, (w, v))
    step = 1e-5  # central differences: rounding 1e-16 / 1e-5, truncation 1e-10 times a constant
    difference = [
        product_of(risk, matrix, w.detach() + sign * step * u, v.detach()) for sign in (1, -1)
    ]
    # d/dw of u^T A(w) v, along u, and its derivative in v, which is A u.
    torch.testing.assert_close(
        got[0] @ u, (difference[0] - difference[1]) @ u / (2 * step), rtol=1e-6, atol=1e-8
    )
    close(got[1], product_of(risk, matrix, w.detach(), u))
    A = risk.curvature_at(w, matrix=matrix).matrix()
    close(torch.autograd.grad(u @ A @ v.detach(), w)[0], got[0])
    with torch.no_grad():
        assert not risk.curvature_at(w, matrix=matrix).matrix().requires_grad
    assert not risk.curvature_at(w.detach(), matrix=matrix).matrix().requires_grad


vectors = st.lists(st.floats(-10, 10), min_size=27, max_size=27).map(
    lambda entries: torch.tensor(entries, dtype=torch.float64)
)


@given(vectors, vectors, st.floats(-3, 3))
@settings(max_examples=15, deadline=None)
@pytest.mark.parametrize("penalty", [None, L2(0.3)])
def test_a_product_is_linear_and_symmetric(penalty, u, v, a):
    risk = risk_of(mlp, "cross-entropy", penalty, chunk_size=3)
    w = somewhere(risk)
    of_u, of_v = risk.hvp(w, u), risk.hvp(w, v)
    tolerance = {"rtol": 1e-10, "atol": 1e-10}  # entries up to 10, and sums of 27 products of them
    torch.testing.assert_close(risk.hvp(w, u + a * v), of_u + a * of_v, **tolerance)
    torch.testing.assert_close(v @ of_u, u @ of_v, rtol=1e-10, atol=1e-8)
    torch.testing.assert_close(of_u, risk.hessian(w) @ u, **tolerance)


@pytest.mark.parametrize("chunk_size", [3, 100])
def test_a_checkpoint_is_evaluated_at_w_wherever_the_model_stands(chunk_size):
    risk = risk_of(checkpointed, "cross-entropy", chunk_size=chunk_size)
    same = Composed(lambda model, x: model.head(model.a(x.sin()).tanh())).double()
    other = EmpiricalRisk(same, risk.loss, risk.data)
    w, v = somewhere(risk), somewhere(risk, seed=5)
    close(risk.gradient(w), other.gradient(w))
    kept = risk.curvature_at(w)
    risk.assign(torch.zeros_like(w))
    for product in (risk.hvp(w, v), kept @ v, kept @ v, dense.hessian(risk, w) @ v):
        close(product, other.hvp(w, v))


@pytest.mark.parametrize("make", [Attention, weight_normalised])
def test_every_way_to_differentiate_twice_is_right_where_that_of_torch_is_not(make):
    risk = risk_of(make, "mse")
    w, v = somewhere(risk), somewhere(risk, seed=5)
    # The residuals of the mean square, so that f is the risk.
    y = NUMBERS

    def residuals(u):
        named = dict(zip(dict(risk.model.named_parameters()), as_list(risk, u).values, strict=True))
        return (torch.func.functional_call(risk.model, named, (risk.data.x,)) - y).flatten()

    of_value, squares = Function(risk.value), LeastSquares(residuals)
    expected = risk.hvp(w, v)
    for f in (of_value, squares, risk.value):
        close(curvature.hvp(f, w, v), expected)
        close(curvature.hessian(f, w) @ v, expected)
    close(squares.gauss_newton(w), dense.gauss_newton(risk, w))
    close(dense.hessian(risk, w) @ v, expected)
    for f in (risk, of_value, squares):
        leaf = w.clone().requires_grad_()
        close(torch.autograd.grad(f.gradient(leaf) @ v, leaf)[0], expected)


@pytest.mark.parametrize("chunk_size", [3, 100])
def test_all_products_are_with_one_matrix_though_units_are_dropped(chunk_size):
    def dropping():
        return nn.Sequential(nn.Linear(FEATURES, 9), nn.Dropout(0.5), nn.Linear(9, CLASSES))

    risk = risk_of(dropping, "cross-entropy", chunk_size=chunk_size)
    w, u, v = somewhere(risk), somewhere(risk, seed=5), somewhere(risk, seed=6)
    torch.manual_seed(3)
    risk.gradient(w)
    after_one_evaluation = torch.get_rng_state()
    torch.manual_seed(3)
    at = risk.curvature_at(w)
    of_u, of_v = at @ u, at @ v
    assert torch.equal(of_u, at @ u)
    close(u @ of_v, v @ of_u)
    close(at.matrix() @ u, of_u)
    assert torch.equal(torch.get_rng_state(), after_one_evaluation)
    assert not torch.equal(risk.curvature_at(w) @ u, of_u)


def test_a_function_that_does_not_depend_on_w_bends_nowhere():
    w, zeros = numbers(3), torch.zeros(3, 3, dtype=torch.float64)
    elsewhere = numbers(3).requires_grad_()
    for f in (
        lambda w: torch.ones((), dtype=w.dtype),
        lambda w: (elsewhere**2).sum(),
        lambda w: w.sum(),
    ):
        close(curvature.hessian(f, w), zeros)
        close(curvature.hvp(f, w, w), zeros[0])
    constant = LeastSquares(lambda w: torch.ones(2, dtype=w.dtype))
    close(constant.gauss_newton(w), zeros)


class Doubled(torch.autograd.Function):
    """2 x, whose derivative looks at the numbers: on a stack of them, torch refuses."""

    @staticmethod
    def forward(ctx, x):
        return 2 * x

    @staticmethod
    def backward(ctx, g):
        return 2 * g if float(g.abs().sum()) > 0 else torch.zeros_like(g)


class Squared(torch.autograd.Function):
    """x^2."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x * x

    @staticmethod
    def backward(ctx, g):
        return g * Doubled.apply(ctx.saved_tensors[0])


def test_a_model_that_cannot_be_stacked_is_taken_row_by_row():
    w = numbers(4)
    leaf = w.clone().requires_grad_()
    eye = torch.eye(4, dtype=w.dtype)
    with pytest.raises(RuntimeError):
        torch.autograd.grad(Doubled.apply(leaf), leaf, eye, is_grads_batched=True)
    others = w.prod() / torch.outer(w, w) * (1 - eye)
    close(curvature.hessian(lambda w: Squared.apply(w).sum() + w.prod(), w), others + 2 * eye)


# What is refused.


def test_a_matrix_beyond_the_limit_is_refused_before_it_exists():
    model = nn.Sequential(nn.Linear(784, 512), nn.ReLU(), nn.Linear(512, 512), nn.ReLU())
    model.append(nn.Linear(512, 10))
    risk = EmpiricalRisk(
        model, gradus.CrossEntropyLoss(), (torch.rand(2, 784), torch.tensor([3, 4]))
    )
    said = (
        "^a Hessian of 669,706 x 669,706 float32 numbers would take 1.8 TB; the limit is 4 GB "
        r"\(limit=4000000000\): use hvp, which never forms it$"
    )
    with pytest.raises(InputError, match=said):
        risk.hessian(risk.parameters)
    with pytest.raises(InputError, match=said):
        curvature.hessian(risk, risk.point)
    for refused in (risk.gauss_newton, risk.curvature_at(risk.point).matrix):
        with pytest.raises(ValueError, match=r"would take 1\.8 TB"):
            refused(risk.point) if refused == risk.gauss_newton else refused()
    with pytest.raises(ValueError, match=r"3 x 3 float64 .* 72 B; the limit is 71 B \(limit=71\)"):
        curvature.hessian(lambda w: (w**2).sum(), numbers(3), limit=71)
    assert curvature.hessian(lambda w: (w**2).sum(), numbers(3), limit=72).shape == (3, 3)


@pytest.mark.parametrize(
    ("dimension", "dtype", "matrices", "said"),
    [
        (669_706, torch.float32, 2, "3.6 TB"),
        (100_000, torch.float32, 1, "40 GB"),
        (99_999, torch.float64, 1, "80 GB"),
        (10**6, torch.bfloat16, 1, "2 TB"),
        (10**9, torch.float64, 1, "8,000 PB"),
        (31_623, torch.float32, 1, "4 GB"),
    ],
)
def test_memory_is_told_in_decimal_units(dimension, dtype, matrices, said):
    with pytest.raises(InputError, match=rf" would take {re.escape(said)}; the limit is 4 GB: "):
        require_memory(dimension, dtype, matrices)
    require_memory(dimension, dtype, matrices, limit=math.inf)


def test_what_the_memory_is_for_and_what_to_do_instead_can_be_told():
    what, remedy = "a Hessian and its factor", "take L-BFGS"
    for limit, said in ((None, "4 GB"), (4e9, r"4 GB \(limit=4000000000\)")):
        with pytest.raises(InputError, match=f"^{what} of .*; the limit is {said}: {remedy}$"):
            require_memory(10**6, torch.float32, 2, limit=limit, what=what, remedy=remedy)


@pytest.mark.parametrize(
    ("loss", "said"),
    [
        (gradus.CrossEntropyLoss(WEIGHT), "with class weights, CrossEntropyLoss is no "),
        (nn.NLLLoss(WEIGHT), "with class weights, NLLLoss is no "),
        (gradus.CrossEntropyLoss(label_smoothing=0.1), "with label smoothing, CrossEntropyLoss "),
        (nn.functional.cross_entropy, "not of cross_entropy: use the Gauss-Newton matrix"),
        (nn.HuberLoss(), "not of HuberLoss: use the Gauss-Newton matrix"),
    ],
)
def test_a_loss_that_is_no_known_likelihood_has_no_fisher_matrix(loss, said):
    y = NUMBERS if isinstance(loss, nn.HuberLoss) else INDICES
    risk = EmpiricalRisk(mlp().double(), loss, (numbers(N, FEATURES), y))
    w = risk.point
    with pytest.raises(ValueError, match=said):
        risk.fisher_product(w, w)
    close(risk.gauss_newton(w) @ w, risk.gauss_newton_product(w, w))


def test_a_weighted_loss_of_torch_has_a_mean_only_in_one_chunk():
    x = numbers(N, FEATURES)
    risk = EmpiricalRisk(mlp().double(), nn.CrossEntropyLoss(WEIGHT), (x, INDICES))
    w = risk.point
    close(risk.hessian(w), dense.hessian(risk, w))
    close(risk.gauss_newton(w), dense.gauss_newton(risk, w))
    risk.chunk_size = 3
    for product in (risk.hvp, risk.gauss_newton_product):
        with pytest.raises(ValueError, match=r"cannot be averaged over chunks; give gradus\.Cross"):
            product(w, w)


def test_a_weighted_loss_of_torch_over_probabilities_is_averaged_over_chunks():
    """Its mean divides by the number of examples."""
    options = {"label_smoothing": 0.1}
    y = nn.functional.one_hot(INDICES, CLASSES).double()
    data = (numbers(N, FEATURES), y)
    theirs, ours = (
        nn.CrossEntropyLoss(WEIGHT, **options),
        gradus.CrossEntropyLoss(WEIGHT, **options),
    )
    risk, same = (
        EmpiricalRisk(mlp().double(), loss, data, chunk_size=3) for loss in (theirs, ours)
    )
    whole = EmpiricalRisk(risk.model, theirs, data)
    w = somewhere(risk)
    for evaluated in ("value", "gradient", "hessian"):
        found = getattr(risk, evaluated)(w)
        close(found, getattr(same, evaluated)(w))
        close(found, getattr(whole, evaluated)(w))


def test_the_empirical_fisher_matrix_needs_one_row_per_example():
    model = nn.Sequential(nn.Linear(FEATURES, CLASSES), nn.Flatten(0)).double()
    risk = EmpiricalRisk(model, gradus.MSELoss(), (numbers(N, FEATURES), numbers(N * CLASSES)[:N]))
    pair = (numbers(N, FEATURES), numbers(N * CLASSES))
    risk.chunk_size = 100
    with pytest.raises(ValueError, match=r"output of shape \(15,\) from 5 examples; .* one row"):
        risk.fisher_product(risk.point, risk.point, pair, empirical=True)


@pytest.mark.parametrize("change", [-1, 1])
def test_a_vector_of_the_wrong_length_is_refused(change):
    risk = risk_of(mlp, "mse")
    w = risk.point
    wrong = torch.zeros(len(w) + change, dtype=w.dtype)
    with pytest.raises(ValueError, match=rf"^v has shape \({len(wrong)},\), but must be \(27,\)$"):
        risk.hvp(w, wrong)
    with pytest.raises(ValueError, match=rf"^w has shape \({len(wrong)},\), but must be \(27,\)$"):
        risk.hvp(wrong, w)
    with pytest.raises(ValueError, match=r"^w has shape .* but must be \(27,\)$"):
        risk.hessian(Tensors([wrong]))


@pytest.mark.parametrize(
    ("refused", "said"),
    [
        (lambda w: w.to(torch.complex128), "w must be of real floating-point .* torch.complex128"),
        (lambda w: w.long(), "w must be of real floating-point numbers, not torch.int64"),
        (lambda w: w.numpy(), "w must be a tensor or Tensors, not ndarray"),
    ],
)
def test_a_point_that_is_not_of_real_numbers_is_refused(refused, said):
    risk = risk_of(mlp, "mse")
    squares = LeastSquares(torch.square)
    w = refused(risk.point)
    for curved in (risk.curvature_at, Function(torch.sum).curvature_at, squares.curvature_at):
        with pytest.raises(TypeError, match=f"^{said}$"):
            curved(w)
    with pytest.raises(TypeError, match=f"^{said}$"):
        squares.gauss_newton(w)


def test_vectors_and_points_of_another_kind_are_refused():
    risk = risk_of(mlp, "mse")
    w = risk.point
    with pytest.raises(ValueError, match=r"^v is of torch.float32, but w of torch.float64: they "):
        risk.hvp(w, w.float())
    with pytest.raises(TypeError, match=r"^v must be a tensor or Tensors, not list$"):
        risk.hvp(w, w.tolist())
    with pytest.raises(TypeError, match=r"^a plain function takes w as one tensor, not as Tensors"):
        curvature.hvp(torch.sum, risk.parameters, risk.parameters)


def test_a_matrix_that_is_unknown_or_not_defined_is_refused():
    risk = risk_of(mlp, "mse")
    with pytest.raises(ValueError, match=r"^matrix='hesse' is not one of 'hessian', 'gauss-newt"):
        risk.curvature_at(risk.point, matrix="hesse")
    for f in (Function(torch.sum), torch.sum):
        with pytest.raises(ValueError, match=r"^a plain function has no fisher matrix, only 'hess"):
            curvature.trace(f, numbers(3), matrix="fisher")
    with pytest.raises(ValueError, match=r"^a plain function has no gauss-newton matrix, only"):
        Function(torch.sum).gauss_newton(numbers(3))
    with pytest.raises(ValueError, match=r"^a sum of squares has no fisher matrix, only 'hessian'"):
        LeastSquares(torch.sin).curvature_at(numbers(3), matrix="fisher")
    with pytest.raises(ValueError, match=r"^f must return a scalar tensor, but f\(w\) is shape"):
        curvature.hessian(torch.sin, numbers(3))


# Eigenvalues and trace.

SIZES = (5, 63, 90)  # up to 64 from the matrix itself, beyond by Lanczos


def quadratic(d, seed=7):
    """1/2 w^T A w with eigenvalues of both signs, and some that are zero."""
    Q = torch.linalg.qr(numbers(d, d, seed=seed)).Q
    spectrum = torch.linspace(-3, 5, d, dtype=torch.float64)
    spectrum[d // 2 : d // 2 + 2] = 0
    A = Q @ torch.diag(spectrum) @ Q.T
    return (lambda w: 0.5 * w @ A @ w), (A + A.T) / 2


@pytest.mark.parametrize("d", SIZES)
@pytest.mark.parametrize("k", [1, 2])
@pytest.mark.parametrize("which", ["largest", "smallest", "both"])
def test_eigenvalues_are_those_of_the_matrix(d, k, which):
    f, A = quadratic(d)
    expected = torch.linalg.eigvalsh(A)
    at = {"largest": slice(d - k, d), "smallest": slice(k)}
    ends = ["smallest", "largest"] if which == "both" else [which]
    found = curvature.eigenvalues(f, numbers(d), k, which, vectors=True)
    # The tolerance asked of Lanczos, eps^(2/3), times the norm of the matrix.
    close = {"rtol": 0, "atol": 5 * 3.7e-11}
    torch.testing.assert_close(found.values, torch.cat([expected[at[e]] for e in ends]), **close)
    U = found.vectors
    torch.testing.assert_close(A @ U, U * found.values, rtol=0, atol=1e-8)
    torch.testing.assert_close(U.T @ U, torch.eye(U.shape[1], dtype=U.dtype), rtol=0, atol=1e-8)
    assert curvature.eigenvalues(f, numbers(d), k, which).vectors is None


@every_matrix
def test_eigenvalues_of_every_matrix_of_a_risk(matrix):
    model = nn.Sequential(nn.Linear(FEATURES, 9), nn.Tanh(), nn.Linear(9, CLASSES)).double()
    x = numbers(N, FEATURES, seed=3)
    risk = EmpiricalRisk(model, gradus.CrossEntropyLoss(), (x, INDICES))
    assert risk.dimension > 64
    for w in (risk.point, risk.parameters):
        for batch in (None, slice(0, 3)):
            found = curvature.eigenvalues(risk, w, 3, "both", batch=batch, matrix=matrix)
            expected = torch.linalg.eigvalsh(
                risk.curvature_at(risk.point, batch, matrix=matrix).matrix()
            )
            # Near zero to the tolerance asked, relative to a norm of order 1.
            torch.testing.assert_close(
                found.values, expected[[0, 1, 2, -3, -2, -1]], rtol=0, atol=1e-9
            )


def test_float32_eigenvalues_are_found_to_its_precision():
    A = quadratic(90)[1].float()
    found = curvature.eigenvalues(lambda w: 0.5 * w @ A @ w, numbers(90).float(), 2, "both")
    assert found.values.dtype == torch.float32
    expected = torch.linalg.eigvalsh(A)[[0, 1, -2, -1]]
    torch.testing.assert_close(found.values, expected, rtol=0, atol=5 * 2.5e-5)  # eps^(2/3)


def test_eigenvalues_of_nothing_and_of_everything():
    close(
        curvature.eigenvalues(lambda w: w.sum(), numbers(70), 2, "both").values,
        torch.zeros(4, dtype=torch.float64),
    )
    one = curvature.eigenvalues(lambda w: (w**2).sum(), numbers(1))
    close(one.values, torch.tensor([2.0], dtype=torch.float64))
    f, A = quadratic(70)
    close(curvature.eigenvalues(f, numbers(70), 70).values, torch.linalg.eigvalsh(A))


def test_the_same_seed_gives_the_same_eigenvalues_and_trace():
    f, _ = quadratic(90)
    one, same = (curvature.eigenvalues(f, numbers(90), seed=3, vectors=True) for _ in range(2))
    assert torch.equal(one.vectors, same.vectors)
    assert one.products == same.products > 5
    assert curvature.trace(f, numbers(90), seed=3) == curvature.trace(f, numbers(90), seed=3)
    assert curvature.trace(f, numbers(90), seed=3) != curvature.trace(f, numbers(90), seed=4)


def test_what_lanczos_cannot_give_is_said():
    f, _ = quadratic(90)
    said = r"^\d of the 2 largest eigenvalues were found to a tolerance of 1.0e-14 in 1 iterations:"
    with pytest.raises(RuntimeError, match=said):
        curvature.eigenvalues(f, numbers(90), 2, iterations=1, tolerance=1e-14)
    for k, which in ((91, "smallest"), (46, "both")):
        with pytest.raises(ValueError, match=rf"^k={k} {which} eigenvalues: .* has only 90$"):
            curvature.eigenvalues(f, numbers(90), k, which)
    with pytest.raises(ValueError, match=r"^which='most' is not one of 'largest', 'smallest', 'b"):
        curvature.eigenvalues(f, numbers(90), which="most")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"k": 0}, "k=0 must be a whole number of at least 1"),
        ({"k": 1.5}, "k=1.5 must be a whole number of at least 1"),
        ({"k": True}, "k=True must be a whole number of at least 1"),
        ({"seed": -1}, "seed=-1 must be a whole number of at least 0"),
        ({"iterations": 0}, "iterations=0 must be a whole number of at least 1"),
        ({"tolerance": 0}, "tolerance=0 must be a positive number"),
        ({"tolerance": -1e-3}, "tolerance=-0.001 must be a positive number"),
    ],
)
@pytest.mark.parametrize("d", [5, 90])
def test_what_eigenvalues_are_asked_for_is_checked(d, options, said):
    with pytest.raises(ValueError, match=f"^{re.escape(said)}$"):
        curvature.eigenvalues(quadratic(d)[0], numbers(d), **options)
    if "seed" in options:
        with pytest.raises(ValueError, match=f"^{re.escape(said)}$"):
            curvature.trace(quadratic(d)[0], numbers(d), **options)


@pytest.mark.parametrize("d", [5, 90])
def test_a_matrix_without_eigenvalues_that_can_be_told_is_refused(d):
    nowhere = torch.full((d,), math.nan, dtype=torch.float64)
    with pytest.raises(ValueError, match=r"^the hessian matrix is not finite at w: it has no eig"):
        curvature.eigenvalues(lambda w: (w**3).sum(), nowhere)
    for dtype in (torch.bfloat16, torch.float16):
        with pytest.raises(ValueError, match=rf"^eigenvalues are not found in {dtype}: give w "):
            curvature.eigenvalues(lambda w: (w**3).sum(), numbers(d).to(dtype))


def test_the_smallest_eigenvalues_of_a_singular_risk_are_found():
    """Adding to all classes changes nothing: zeros, and many eigenvalues next to them."""
    model = nn.Linear(29, CLASSES).double()
    x = numbers(40, 29, seed=3) * torch.linspace(0, 1, 29, dtype=torch.float64) ** 8
    risk = EmpiricalRisk(model, gradus.CrossEntropyLoss(), (x, INDICES.repeat(8)))
    found = curvature.eigenvalues(risk, risk.point, 3, "smallest", vectors=True)
    expected = torch.linalg.eigvalsh(risk.hessian(risk.point))[:3]
    torch.testing.assert_close(found.values, expected, rtol=0, atol=1e-10)
    U = found.vectors
    torch.testing.assert_close(U.T @ U, torch.eye(3, dtype=U.dtype), rtol=0, atol=1e-10)
    assert found.products < 1000


@pytest.mark.parametrize("which", ["smallest", "largest"])
def test_where_the_matrix_is_too_large_more_vectors_are_kept(which):
    a = torch.linspace(-1, 1, 2100, dtype=torch.float64)
    found = curvature.eigenvalues(lambda w: 0.5 * (a * w * w).sum(), a, 1, which, tolerance=1e-5)
    expected = a[:1] if which == "smallest" else a[-1:]
    torch.testing.assert_close(found.values, expected, rtol=0, atol=5e-5)
    assert 200 < found.products < 2000


@pytest.mark.parametrize("seed", range(5))
def test_the_trace_is_within_four_standard_errors(seed):
    f, A = quadratic(20)
    found = curvature.trace(f, numbers(20), samples=400, seed=seed)
    assert abs(found.value - A.trace().item()) < 4 * found.standard_error
    variance = 2 * (A.square().sum() - A.diag().square().sum())
    # The standard deviation itself is estimated, from 400 samples: to some 4 %, here 5 times that.
    assert found.standard_error == pytest.approx(math.sqrt(variance / 400), rel=0.2)


@pytest.mark.parametrize("samples", [2, 10])
def test_the_trace_of_a_diagonal_matrix_is_exact(samples):
    a = numbers(30)
    found = curvature.trace(lambda w: 0.5 * (a * w * w).sum(), numbers(30, seed=1), samples)
    assert found.value == pytest.approx(a.sum().item(), rel=1e-12)
    assert found.standard_error == pytest.approx(0, abs=1e-12)
    assert found.samples == samples


def test_the_trace_of_every_matrix_of_a_risk():
    risk = risk_of(mlp, "cross-entropy", SquaredL2(0.1))
    for matrix in ALL:
        exact = risk.curvature_at(risk.point, matrix=matrix).matrix().trace().item()
        found, same = (
            curvature.trace(risk, w, 50, matrix=matrix) for w in (risk.point, risk.parameters)
        )
        assert abs(found.value - exact) < 4 * found.standard_error
        assert same.value == pytest.approx(found.value, rel=1e-10)


def test_a_trace_is_told_with_its_error():
    assert str(curvature.Trace(12.34567891, 0.4567, 100)) == "12.3457 ± 0.46 (100 samples)"
    with pytest.raises(ValueError, match=r"^samples=1 have no standard error; give at least 2$"):
        curvature.trace(torch.sum, numbers(3), 1)


def test_a_graph_that_is_kept_is_that_of_its_own_point():
    """The model may move meanwhile: the matrix stays the one at w."""
    risk = risk_of(mlp, "cross-entropy")
    w, v = somewhere(risk), somewhere(risk, seed=5)
    at = risk.curvature_at(w)
    before = at @ v
    risk.assign(torch.zeros_like(w))
    assert torch.equal(at @ v, before)


def test_at_its_kink_a_penalty_adds_nothing():
    risk = risk_of(linear, "mse", L2(0.3))
    w = torch.zeros(risk.dimension, dtype=torch.float64)
    close(risk.hessian(w), risk.smooth.hessian(w))
    close(risk.hvp(w, w + 1), risk.smooth.hvp(w, w + 1))
