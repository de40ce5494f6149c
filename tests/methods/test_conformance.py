"""What holds for every method: purity, shapes, dtypes, rewinding, differentiability."""

import copy
import dataclasses
import inspect

import pytest
import torch
from torch.autograd import gradcheck

from gradus import methods, minimize
from gradus.methods import (
    LBFGS,
    SGD,
    Adagrad,
    Adam,
    AdamW,
    Cosine,
    FirstOrder,
    GaussNewton,
    GradientDescent,
    InverseTime,
    LevenbergMarquardt,
    Method,
    Nesterov,
    Newton,
    NewtonCG,
    Polyak,
    Proximal,
    ProximalGradient,
    RMSprop,
    StepDecay,
    Warmup,
)
from gradus.risk.penalties import SquaredL2
from gradus.risk.tensors import Tensors

# A class, and its hyper-parameters in K = 3 settings; one number stands for all of them.
K = 3
STACKS = {
    "gradient-descent": (GradientDescent, {"lr": (0.1, 0.02, 0.0)}),
    "polyak": (Polyak, {"lr": (0.1, 0.02, 0.05), "beta": (0.9, 0.0, 0.5)}),
    "nesterov": (Nesterov, {"lr": (0.1, 0.02, 0.05), "beta": (0.9, 0.0, 0.5)}),
    "sgd": (SGD, {"lr": (0.1, 0.02, 0.05)}),
    "sgd-momentum": (SGD, {"lr": (0.1, 0.02, 0.05), "momentum": (0.9, 0.1, 0.5)}),
    "sgd-all": (
        SGD,
        {
            "lr": (0.1, 0.02, 0.05),
            "momentum": (0.9, 0.1, 0.5),
            "dampening": (0.3, 0.0, -0.1),
            "weight_decay": (0.0, 0.3, 0.1),
            "maximize": True,
        },
    ),
    "sgd-nesterov": (
        SGD,
        {
            "lr": (0.1, 0.02, 0.05),
            "momentum": (0.9, 0.1, 0.5),
            "weight_decay": (0.0, 0.3, 0.1),
            "nesterov": True,
        },
    ),
    "adam": (Adam, {"lr": (0.1, 0.02, 0.05), "betas": ((0.9, 0.0, 0.5), (0.999, 0.5, 0.9))}),
    "adam-amsgrad": (
        Adam,
        {
            "lr": (0.1, 0.02, 0.05),
            "betas": ((0.9, 0.0, 0.5), (0.999, 0.5, 0.9)),
            "eps": (1e-2, 1e-3, 1e-1),
            "weight_decay": (0.0, 0.3, 0.1),
            "amsgrad": True,
            "maximize": True,
        },
    ),
    "adamw": (
        AdamW,
        {
            "lr": (0.1, 0.02, 0.05),
            "betas": ((0.9, 0.0, 0.5), (0.999, 0.5, 0.9)),
            "weight_decay": (0.1, 0.0, 0.3),
        },
    ),
    "rmsprop": (RMSprop, {"lr": (0.1, 0.02, 0.05), "alpha": (0.9, 0.0, 0.5)}),
    "rmsprop-all": (
        RMSprop,
        {
            "lr": (0.1, 0.02, 0.05),
            "alpha": (0.9, 0.3, 0.5),
            "eps": (1e-2, 1e-3, 1e-1),
            "weight_decay": (0.0, 0.3, 0.1),
            "momentum": (0.9, 0.1, 0.5),
            "centered": True,
            "maximize": True,
        },
    ),
    "adagrad": (Adagrad, {"lr": (0.1, 0.02, 0.05)}),
    "adagrad-all": (
        Adagrad,
        {
            "lr": (0.1, 0.02, 0.05),
            "lr_decay": (0.3, 0.0, 0.1),
            "weight_decay": (0.0, 0.3, 0.1),
            "initial_accumulator_value": (0.5, 0.1, 0.0),
            "eps": (1e-2, 1e-3, 1e-1),
            "maximize": True,
        },
    ),
    "proximal-nesterov": (
        lambda **given: Proximal(Nesterov(**given)),
        {"lr": (0.1, 0.02, 0.05), "beta": (0.9, 0.0, 0.5)},
    ),
    "proximal-gradient": (ProximalGradient, {"lr": (0.1, 0.02, 0.05)}),
    "proximal-gradient-accelerated": (
        ProximalGradient,
        {"lr": (0.1, 0.02, 0.05), "accelerated": True},
    ),
}


def chosen(values, k):
    """The hyper-parameters of run k."""

    def one(value):
        if isinstance(value, tuple):
            return tuple(map(one, value)) if isinstance(value[0], tuple) else value[k]
        return value

    return {name: one(value) for name, value in values.items()}


def stacked(values):
    """The hyper-parameters of all K runs, each a column [K, 1]."""

    def column(value):
        if isinstance(value, tuple):
            if isinstance(value[0], tuple):
                return tuple(map(column, value))
            return torch.tensor(value, dtype=torch.float64).unsqueeze(1)
        return value

    return {name: column(value) for name, value in values.items()}


METHODS = {name: cls(**chosen(values, 0)) for name, (cls, values) in STACKS.items()}
METHODS |= {
    "gradient-descent-scheduled": GradientDescent(InverseTime(0.1, gamma=0.3)),
    "nesterov-scheduled": Nesterov(StepDecay(0.1, decay_every=2), 0.9),
    "adam-scheduled": Adam(Warmup(Cosine(0.1, steps=9), steps=3)),
    "proximal-scheduled": Proximal(Adam(Warmup(Cosine(0.1, steps=9), steps=3))),
    "newton": Newton(0.5, damping=1.0),
    "newton-saddle-free": Newton(0.5, saddle_free=True),
    "newton-cg": NewtonCG(),
    "gauss-newton": GaussNewton(0.5),
    "levenberg-marquardt": LevenbergMarquardt(),
    "lbfgs": LBFGS(),
}
every_method = pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)
FIRST_ORDER = {name: each for name, each in METHODS.items() if isinstance(each, FirstOrder)}

# The same sums of a few products, in another order or fused with one another.
TOLERANCE = {"rtol": 1e-12, "atol": 1e-12}


PENALTY = SquaredL2(0.2)


class Bowl:
    """f(w) = 1/2 sum a_i w_i^2 + sum cos(w_i) + penalty, for [d] and, row by row, [K, d].

    The i-th tensor of a list takes the i-th piece of a: the same f in all three forms.
    """

    def __init__(self, dtype=torch.float64, device="cpu", penalty=PENALTY):
        self.a = torch.linspace(0.3, 2.8, 6, dtype=dtype, device=device)
        self.penalty = penalty

    @property
    def smooth(self):
        return Bowl(self.a.dtype, self.a.device, penalty=None)

    def value(self, w, batch=None):
        flat = w.flat() if isinstance(w, Tensors) else w
        value = (0.5 * self.a * flat**2 + flat.cos()).sum(-1)
        return value if self.penalty is None else value + self.penalty.value(w)

    def gradient(self, w, batch=None):
        g = piecewise(lambda a, w: a * w - w.sin(), self.a, w)
        return g if self.penalty is None else g + self.penalty.gradient(w)

    def value_and_gradient(self, w, batch=None):
        return self.value(w, batch), self.gradient(w, batch)

    def hvp(self, w, v, batch=None):
        product = piecewise(lambda a, w, v: (a - w.cos()) * v, self.a, w, v)
        return product if self.penalty is None else product + self.penalty.gradient(v)

    def hessian(self, w, batch=None):
        flat, unit = (w.flat() if isinstance(w, Tensors) else w), torch.ones_like(self.a)
        return torch.diag(self.hvp(flat, unit))

    def gauss_newton(self, w, batch=None):
        """Of the squares alone, as if the cosines were straight lines."""
        return torch.diag(self.a + (0 if self.penalty is None else self.penalty.strength))


def piecewise(function, a, *points):
    """The function of a and of the points, piece by piece if they are lists."""
    if not isinstance(points[0], Tensors):
        return function(a, *points)
    shapes = [value.shape for value in points[0].values]
    pieces = a.split([shape.numel() for shape in shapes])
    values = (point.values for point in points)
    rows = zip(shapes, pieces, *values, strict=True)
    return Tensors([function(piece.view(shape), *row) for shape, piece, *row in rows])


def start(dtype=torch.float64):
    return torch.tensor([1.0, -2.0, 0.5, 3.0, -0.25, 0.0], dtype=dtype)


def as_list(w):
    return Tensors([w[:3].clone().view(3, 1), w[3].clone(), w[4:].clone()])


def walk(method, f, w, steps, state=None):
    """The points of a method, and its last state."""
    state = method.init(w) if state is None else state
    points = [w]
    for _ in range(steps):
        w, state = method.step(f, w, state)
        points.append(w)
    return points, state


def tensors_in(value):
    """Every tensor in a point or a state."""
    if isinstance(value, torch.Tensor):
        return [value]
    if isinstance(value, Tensors):
        return list(value.values)
    if dataclasses.is_dataclass(value):
        fields = dataclasses.fields(value)
        return [found for field in fields for found in tensors_in(getattr(value, field.name))]
    return []


def test_every_method_that_gradus_exports_is_in_the_table():
    exported = {
        each
        for each in map(methods.__getattr__, methods.__all__)
        if inspect.isclass(each) and issubclass(each, Method) and not inspect.isabstract(each)
    }
    assert exported == {type(method) for method in METHODS.values()}


@every_method
@pytest.mark.parametrize("form", [torch.clone, as_list], ids=["flat", "list"])
def test_a_step_changes_nothing(method, form):
    f, w = Bowl(), form(start())
    state = method.init(w)
    for _ in range(4):
        before = [tensor.clone() for tensor in tensors_in(w) + tensors_in(state)]
        step = state.step
        after, next_state = method.step(f, w, state)
        kept = tensors_in(w) + tensors_in(state)
        assert all(map(torch.equal, before, kept))
        assert (state.step, next_state.step) == (step, step + 1)
        w, state = after, next_state


@pytest.mark.parametrize("method", FIRST_ORDER.values(), ids=FIRST_ORDER)
@pytest.mark.parametrize("form", [torch.clone, as_list], ids=["flat", "list"])
def test_an_update_does_not_change_the_gradient_it_is_given(method, form):
    w, g = form(start()), form(torch.arange(6, dtype=torch.float64) - 2.5)
    before = [tensor.clone() for tensor in tensors_in(g)]
    state = method.init(w)
    for _ in range(3):
        w, state = method.update(w, g, state)
        assert all(map(torch.equal, before, tensors_in(g)))


@every_method
def test_methods_are_values(method):
    twin = copy.copy(method)
    assert twin == method
    assert twin is not method
    with pytest.raises(dataclasses.FrozenInstanceError):
        method.lr = 0.5


@pytest.mark.parametrize(("cls", "values"), STACKS.values(), ids=STACKS)
def test_rows_are_separate_runs(cls, values):
    f = Bowl()
    w0 = torch.stack([start(), start().flip(0), 2 * start()])
    together, _ = walk(cls(**stacked(values)), f, w0, steps=10)
    for k in range(K):
        alone, _ = walk(cls(**chosen(values, k)), f, w0[k], steps=10)
        assert not torch.equal(alone[-1], w0[k]) or values["lr"][k] == 0
        torch.testing.assert_close(torch.stack(together)[:, k], torch.stack(alone), **TOLERANCE)


@every_method
def test_a_list_of_tensors_moves_as_the_flat_vector(method):
    f = Bowl()
    flat, _ = walk(method, f, start(), steps=10)
    listed, _ = walk(method, f, as_list(start()), steps=10)
    torch.testing.assert_close(
        torch.stack([point.flat() for point in listed]), torch.stack(flat), **TOLERANCE
    )
    assert [value.shape for value in listed[-1].values] == [(3, 1), (), (2,)]


@every_method
@pytest.mark.parametrize("form", [torch.clone, as_list], ids=["flat", "list"])
def test_a_run_continues_from_any_kept_point_and_state(method, form):
    f = Bowl()
    whole, _ = walk(method, f, form(start()), steps=8)
    first, state = walk(method, f, form(start()), steps=3)
    detour, _ = walk(method, f, first[-1], steps=2, state=state)
    again, _ = walk(method, f, first[-1], steps=5, state=state)
    rewound = first[:-1] + again
    for one, other in zip(rewound, whole, strict=True):
        assert all(map(torch.equal, tensors_in(one), tensors_in(other)))
    assert all(map(torch.equal, tensors_in(detour[2]), tensors_in(whole[5])))


@pytest.mark.parametrize(("cls", "values"), STACKS.values(), ids=STACKS)
@pytest.mark.parametrize("form", [torch.clone, as_list], ids=["flat", "list"])
def test_the_step_may_be_counted_by_a_tensor(cls, values, form):
    f, method = Bowl(), cls(**chosen(values, 0))
    counted, _ = walk(method, f, form(start()), steps=5)
    state = method.init(form(start()))
    state = dataclasses.replace(state, step=torch.tensor(0.0, dtype=torch.float64))
    points, state = walk(method, f, form(start()), steps=5, state=state)
    assert torch.equal(state.step, torch.tensor(5.0, dtype=torch.float64))
    for one, other in zip(points, counted, strict=True):
        for mine, expected in zip(tensors_in(one), tensors_in(other), strict=True):
            torch.testing.assert_close(mine, expected, **TOLERANCE)


@pytest.mark.parametrize(("cls", "values"), STACKS.values(), ids=STACKS)
@pytest.mark.parametrize("form", [torch.clone, as_list], ids=["flat", "list"])
def test_no_step_asks_a_tensor_for_its_number(cls, values, form):
    """A captured CUDA graph allows none to; a tensor on the meta device has none."""
    f, method, w = Bowl(device="meta"), cls(**chosen(values, 0)), form(start().to("meta"))
    state = dataclasses.replace(method.init(w), step=torch.tensor(0.0, device="meta"))
    points, _ = walk(method, f, w, steps=3, state=state)
    assert {tensor.device.type for tensor in tensors_in(points[-1])} == {"meta"}


@every_method
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("form", [torch.clone, as_list], ids=["flat", "list"])
def test_points_and_states_keep_the_dtype(method, dtype, form):
    points, state = walk(method, Bowl(dtype=dtype), form(start(dtype)), steps=3)
    assert {tensor.dtype for tensor in tensors_in(points[-1]) + tensors_in(state)} == {dtype}


@pytest.mark.parametrize(("cls", "values"), STACKS.values(), ids=STACKS)
def test_three_steps_are_differentiable_in_the_start_and_the_hyper_parameters(cls, values):
    """Against central differences.

    Away from eps = 0 and from g = 0, where the root of v has no slope.
    """
    scaling = cls in (Adagrad, Adam, AdamW, RMSprop)
    named = ({"eps": 0.05} if scaling else {}) | chosen(values, 0)
    betas = named.pop("betas", ())
    numbers = [name for name, value in named.items() if not isinstance(value, bool)]

    def last_point(w0, *given):
        options = named | dict(zip(numbers, given, strict=False))
        if betas:
            options["betas"] = given[len(numbers) :]
        f, method = Bowl(), cls(**options)
        return minimize(f.smooth.value, w0, method, steps=3, penalty=f.penalty).points[-1]

    given = [*(named[name] for name in numbers), *betas]
    inputs = [start() + 0.1, *(torch.tensor(value, dtype=torch.float64) for value in given)]
    assert gradcheck(last_point, [tensor.requires_grad_() for tensor in inputs])
