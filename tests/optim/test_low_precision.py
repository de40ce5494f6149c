"""Steps in float16 and bfloat16: no hyper-parameter may vanish in the type of the state.

What a step should be is said by torch's own optimizers in float32, from the same numbers.
"""

import pytest
import torch

import gradus
from gradus.risk.tensors import Tensors

FORMS = {
    "for-loop": {"foreach": False},
    "foreach": {"foreach": True},
    "fused": {"fused": True},
    "differentiable": {"differentiable": True},
}
LOW = (torch.float16, torch.bfloat16)
QUOTIENTS = ("Adam", "AdamW", "RMSprop", "Adagrad")
RICH = {
    "Adam": [{}, {"amsgrad": True}],
    "AdamW": [{}, {"amsgrad": True}],
    "RMSprop": [{}, {"momentum": 0.9, "centered": True}],
    "Adagrad": [{}, {"lr_decay": 0.1}],
    "SGD": [{"lr": 0.1}, {"lr": 0.1, "momentum": 0.9, "nesterov": True}],
    "Polyak": [{"lr": 0.1, "beta": 0.9}],
    "Nesterov": [{"lr": 0.1, "beta": 0.9}],
}
OPTIONS = [(name, options) for name, every in RICH.items() for options in every]
OF_QUOTIENTS = [case for case in OPTIONS if case[0] in QUOTIENTS]
# From the smallest that is not 0 in float16 to almost the largest; v is 0 in float16 for the first.
# Of each so many that a vector register is full: there torch's kernels have code of their own.
SIZES = 7 * (6e-8, 1e-6, 1e-4, 0.01, 1.0, 300.0, 6e4)


def label(value):
    if isinstance(value, dict):
        return ",".join(value) or "plain"
    return str(value).removeprefix("torch.")


over_forms = pytest.mark.parametrize("form", FORMS)
over_low = pytest.mark.parametrize("dtype", LOW, ids=label)


def begin(dtype, size=49):
    return torch.linspace(-1.0, 1.0, size).to(dtype)


def stepped(library, name, options, form, w, gradients):
    """The parameter after a step on each of the gradients."""
    p = w.clone().requires_grad_()
    if form.get("differentiable"):
        p = p.clone()  # a leaf must not be written into while automatic differentiation looks on
    optimizer = getattr(library, name)([p], **options, **form)
    for g in gradients:
        p.grad = g
        optimizer.step()
    assert all(v.dtype == w.dtype for v in optimizer.state[p].values() if v.dim())
    return p.detach()


@pytest.mark.parametrize(("name", "options"), OPTIONS, ids=label)
@over_forms
@over_low
def test_an_entry_without_a_gradient_stays(name, options, form, dtype):
    """A masked row, an embedding that is not used; its neighbours move."""
    w, g = begin(dtype), torch.zeros(len(SIZES), dtype=dtype)
    g[::2] = 0.5
    decay = {"weight_decay": 0.0} if name == "AdamW" else {}
    end = stepped(gradus.optim, name, {**options, "lr": 0.1, **decay}, FORMS[form], w, [g] * 3)
    assert torch.equal(end[1::2], w[1::2])
    assert (end[::2] != w[::2]).all()
    assert end.isfinite().all()


@pytest.mark.parametrize(("name", "options"), OF_QUOTIENTS, ids=label)
@over_forms
def test_a_first_step_in_float16_is_that_in_float32_rounded(name, options, form):
    w, g = begin(torch.float16), torch.tensor(SIZES, dtype=torch.float16)
    expected = stepped(torch.optim, name, options, {"foreach": False}, w.float(), [g.float()])
    end = stepped(gradus.optim, name, options, FORMS[form], w, [g])
    # One rounding of either, to neighbouring numbers at most.
    torch.testing.assert_close(end.float(), expected, rtol=2**-10, atol=2**-24)


@pytest.mark.parametrize(("name", "options"), OF_QUOTIENTS, ids=label)
@pytest.mark.parametrize("way", ["vector", "rows", "list"])
def test_the_equations_step_as_the_optimizers_do(name, options, way):
    w, g = begin(torch.float16), torch.tensor(SIZES, dtype=torch.float16)
    method = getattr(gradus.methods, name)(**options)
    expected = stepped(gradus.optim, name, options, FORMS["for-loop"], w, [g])
    make = {
        "vector": lambda v: v,
        "rows": lambda v: v.expand(3, -1).clone(),
        "list": lambda v: Tensors([v[:2], v[2:]]),
    }[way]
    after, state = method.update(make(w), make(g), method.init(make(w)))
    vectors = [after, *(v for field, v in vars(state).items() if field != "step" and v is not None)]
    flat = [v.flat() if isinstance(v, Tensors) else v for v in vectors]
    assert {v.dtype for v in flat} == {torch.float16}
    for row in flat[0].view(-1, len(w)):
        assert torch.equal(row, expected)


@pytest.mark.parametrize("name", QUOTIENTS)
@pytest.mark.parametrize("form", ["for-loop", "foreach"])
@pytest.mark.parametrize(
    ("dtype", "eps"), [(torch.float16, 1e-4), (torch.bfloat16, 1e-8)], ids=label
)
def test_where_eps_is_a_number_steps_are_torchs_to_the_bit(name, form, dtype, eps):
    random = torch.Generator().manual_seed(0)
    gradients = [torch.randn(len(SIZES), generator=random).to(dtype) for _ in range(5)]
    end = stepped(gradus.optim, name, {"eps": eps}, FORMS[form], begin(dtype), gradients)
    # Those of torch themselves differ in a last digit, where its multi-tensor kernels fuse a sum.
    theirs = [
        stepped(torch.optim, name, {"eps": eps}, FORMS[own], begin(dtype), gradients)
        for own in ("for-loop", "foreach")
    ]
    assert any(torch.equal(end, each) for each in theirs)


@pytest.mark.parametrize("name", ["SGD", "Polyak", "Nesterov"])
@pytest.mark.parametrize("form", ["for-loop", "foreach", "fused"])
def test_a_learning_rate_below_all_of_float16_still_moves(name, form):
    """1e-8 times 30,000 is 3e-4, beside which w is small."""
    w, g = torch.full((9,), 1e-3).half(), torch.full((9,), 3e4).half()
    beta = {} if name == "SGD" else {"beta": 0.0}
    end = stepped(gradus.optim, name, {"lr": 1e-8, **beta}, FORMS[form], w, [g])
    expected = w.double() - 1e-8 * g.double()
    torch.testing.assert_close(end.double(), expected, rtol=2**-9, atol=0.0)


@pytest.mark.parametrize("is_list", [False, True], ids=["vector", "list"])
def test_an_equation_loses_neither_a_small_learning_rate_nor_a_small_decay(is_list):
    w, g = torch.full((9,), 1e-3).half(), torch.full((9,), 3e4).half()
    w, g = (Tensors([v]) if is_list else v for v in (w, g))
    for method, at, slope, expected in (
        (gradus.methods.SGD(lr=1e-8), w, g, 1e-3 - 3e-4),
        (gradus.methods.SGD(lr=1.0, momentum=0.9, weight_decay=1e-8), g, g * 0.0, 3e-4),
    ):
        after, state = method.update(at, slope, method.init(at))
        found = after if state.buffer is None else state.buffer  # the decay alone: 1e-8 w
        entries = found.flat() if is_list else found
        truth = torch.full((9,), expected)
        torch.testing.assert_close(entries.float(), truth, rtol=2**-9, atol=0.0)


NARROW = {
    "Adam": ("betas", lambda beta: (0.9, beta)),
    "AdamW": ("betas", lambda beta: (beta, 0.99)),
    "RMSprop": ("alpha", lambda beta: beta),
    "Polyak": ("beta", lambda beta: beta),
    "Nesterov": ("beta", lambda beta: beta),
}


@pytest.mark.parametrize("name", NARROW)
@over_low
def test_a_factor_is_refused_in_a_type_in_which_it_may_be_1(name, dtype):
    option, made = NARROW[name]
    with pytest.raises(TypeError, match=r"must be a number or a tensor of float32 or float64"):
        getattr(gradus.methods, name)(0.1, **{option: made(torch.tensor(0.999, dtype=dtype))})


@pytest.mark.parametrize("name", ["Adam", "AdamW", "RMSprop"])
@over_low
def test_rows_take_factors_of_float32(name, dtype):
    """Each row of [K, d] in a low type goes where it goes alone, by its own beta of float32."""
    option, made = NARROW[name]
    kind = getattr(gradus.methods, name)
    w = torch.stack([begin(dtype, 7), begin(dtype, 7).flip(0)])
    column = torch.tensor([[0.99], [0.999]])
    together = kind(0.1, **{option: made(column)})
    point, state = w, together.init(w)
    alone = [kind(0.1, **{option: made(beta)}) for beta in (0.99, 0.999)]
    ends = [(row, method.init(row)) for row, method in zip(w, alone, strict=True)]
    for _ in range(3):
        point, state = together.update(point, point, state)
        ends = [m.update(p, p, s) for m, (p, s) in zip(alone, ends, strict=True)]
    assert point.dtype == dtype
    for row, (end, _) in zip(point, ends, strict=True):
        eps = torch.finfo(dtype).eps
        torch.testing.assert_close(row, end, rtol=eps, atol=eps)


@pytest.mark.parametrize("library", [torch.optim, gradus.optim], ids=["torch", "ours"])
@pytest.mark.parametrize(
    ("dtype", "part", "is_seen"),
    [
        (torch.bfloat16, 0.001, False),
        (torch.bfloat16, 0.01, True),
        (torch.float16, 0.0001, False),
        (torch.float16, 0.001, True),
    ],
    ids=label,
)
class TestWhatTheStateCannotHold:
    """Said in docs/methods.md: 1 - part times a number is that number, here as in torch.

    So it is where the part is below a quarter of the eps of the type, and not above a half of it.
    """

    def path(self, optimizer, key, p, dtype):
        """What is kept after a step on the gradient 100, and after 20 on 0."""
        for steps, slope in ((1, 100.0), (20, 0.0)):
            for _ in range(steps):
                p.grad = torch.full_like(p, slope)
                optimizer.step()
            yield optimizer.state[p][key][0].item()

    @pytest.mark.parametrize("name", ["RMSprop", "SGD"])
    def test_an_average_falls(self, name, library, dtype, part, is_seen):
        p = torch.nn.Parameter(torch.ones(9, dtype=dtype))
        options, key = (
            ({"alpha": 1 - part, "eps": 1e-3}, "square_avg")
            if name == "RMSprop"
            else ({"lr": 1e-3, "momentum": 1 - part}, "momentum_buffer")
        )
        before, after = self.path(getattr(library, name)([p], **options), key, p, dtype)
        assert (after < before) is is_seen

    def test_a_weight_decays(self, library, dtype, part, is_seen):
        p = torch.nn.Parameter(torch.ones(9, dtype=dtype))
        optimizer = library.AdamW([p], lr=0.1, weight_decay=10 * part, eps=1e-3)
        for _ in range(20):
            p.grad = torch.zeros_like(p)
            optimizer.step()
        assert bool((p < 1).all()) is is_seen
