"""A list of tensors has the arithmetic of one flat tensor, and the fused forms round as torch's."""

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from gradus.risk.tensors import Tensors, zeros_like

SHAPES = ((2, 3), (), (4,), (1, 2, 1))
SIZES = [torch.Size(shape).numel() for shape in SHAPES]


def split(flat):
    pieces = flat.split(SIZES)
    return Tensors([p.clone().view(shape) for p, shape in zip(pieces, SHAPES, strict=True)])


def vectors(seed, count, dtype=torch.float64):
    """Values between -2 and 2."""
    random = torch.Generator().manual_seed(seed)
    return [4 * torch.rand(sum(SIZES), generator=random, dtype=dtype) - 2 for _ in range(count)]


# What can be done with one or two vectors and a number: the same text for both forms.
OPERATIONS = {
    "a + b": lambda a, b, c: a + b,
    "a - b": lambda a, b, c: a - b,
    "a * b": lambda a, b, c: a * b,
    "a / (|b| + 1)": lambda a, b, c: a / (b.abs() + 1.0),
    "c * a": lambda a, b, c: c * a,
    "a * c": lambda a, b, c: a * c,
    "a / (|c| + 1)": lambda a, b, c: a / (abs(c) + 1),
    "a + c": lambda a, b, c: a + c,
    "c + a": lambda a, b, c: c + a,
    "a - c": lambda a, b, c: a - c,
    "-a": lambda a, b, c: -a,
    "a - c * b": lambda a, b, c: a - c * b,
    "a + c * b * b": lambda a, b, c: a + c * b * b,
    "a - c * b / (|a| + 1)": lambda a, b, c: a - c * b / (a.abs() + 1.0),
    "a^2": lambda a, b, c: a.square(),
    "sqrt(|a| + 1)": lambda a, b, c: (a.abs() + 1.0).sqrt(),
    "|a|": lambda a, b, c: a.abs(),
    "max(a, b)": lambda a, b, c: a.maximum(b),
    "max(a, c)": lambda a, b, c: a.clamp(min=c),
    "lerp": lambda a, b, c: a.lerp(b, c / 2),
    "a * 0-d": lambda a, b, c: a * torch.tensor(c, dtype=torch.float64),
    "a / 0-d": lambda a, b, c: a / torch.tensor(abs(c) + 1, dtype=torch.float64),
}

LENGTH, BOUND = 6, 8.0
# A rounding of 2^-53 * BOUND can grow by 2 * BOUND in each of the operations after it.
PROGRAM_TOLERANCE = {"rtol": 0.0, "atol": LENGTH * 2.0**-53 * BOUND * (2 * BOUND) ** LENGTH}
assert PROGRAM_TOLERANCE["atol"] < 1e-7

place = st.integers(0, LENGTH + 2)
instruction = st.tuples(
    st.sampled_from(sorted(OPERATIONS)),
    place,
    place,
    st.sampled_from([1.0, -1.0, 2.0]) | st.floats(-2, 2),
)


def execute(program, vectors):
    """Every instruction takes two of the vectors made so far, put off or not, and adds one."""
    known = list(vectors)
    for name, i, j, c in program:
        known.append(OPERATIONS[name](known[i % len(known)], known[j % len(known)], c))
    return known


@given(st.lists(instruction, min_size=1, max_size=LENGTH), st.integers(0, 2**31))
@settings(max_examples=150, deadline=None)
def test_any_program_gives_what_it_gives_on_the_flat_vector(program, seed):
    flats = vectors(seed, 3)
    expected = execute(program, flats)
    assume(all(flat.abs().max() <= BOUND for flat in expected))
    lists = [split(flat) for flat in flats]
    pointers = [[value.data_ptr() for value in each.values] for each in lists]
    got = execute(program, lists)
    for mine, flat in zip(got, expected, strict=True):
        assert [value.shape for value in mine.values] == list(map(torch.Size, SHAPES))
        torch.testing.assert_close(mine.flat(), flat, **PROGRAM_TOLERANCE)
        torch.testing.assert_close(mine.sum(), flat.sum(), **PROGRAM_TOLERANCE)
    # Nothing happened in place: the operands hold the same memory, and the same numbers in it.
    for each, flat, before in zip(lists, flats, pointers, strict=True):
        assert [value.data_ptr() for value in each.values] == before
        assert torch.equal(each.flat(), flat)


@pytest.mark.parametrize("name", sorted(OPERATIONS))
@pytest.mark.parametrize("c", [0.0, 1.0, -1.0, 0.3])
def test_every_operation_takes_terms_that_are_put_off(name, c):
    """As first and as second operand, and again after they have been carried out."""
    a, b, x = vectors(0, 3)
    terms = {
        "factor": lambda a, b: 0.5 * a,
        "negative": lambda a, b: -a,
        "product": lambda a, b: a * b,
        "scaled product": lambda a, b: -0.5 * a * b,
        "quotient": lambda a, b: a / (b * b + 1.0),
        "scaled quotient": lambda a, b: 0.5 * a / (b.abs() + 1.0),
        "factor of a quotient": lambda a, b: a / (b.abs() + 1.0) * 0.5,
    }
    for term in terms.values():
        put_off, flat = term(split(a), split(b)), term(a, b)
        for _ in range(2):
            for got, expected in (
                (OPERATIONS[name](put_off, split(x), c), OPERATIONS[name](flat, x, c)),
                (OPERATIONS[name](split(x), put_off, c), OPERATIONS[name](x, flat, c)),
                (OPERATIONS[name](put_off, put_off, c), OPERATIONS[name](flat, flat, c)),
            ):
                torch.testing.assert_close(got.flat(), expected, rtol=1e-13, atol=1e-13)
            assert len(put_off.values) == len(SHAPES)  # carried out, for the second turn


def test_the_sign_is_that_of_every_entry():
    flat = torch.tensor([-2.0, 0.0, 3.0, -0.0, 1e-300, -1e-300, *vectors(0, 1)[0][:7]])
    flat = flat.to(torch.float64)
    assert torch.equal(split(flat).sign().flat(), flat.sign())
    assert torch.equal((-1.0 * split(flat)).sign().flat(), -flat.sign())


# Float32, where one rounding more is seen at once: 4,096 entries leave no room for luck.

LONG = ((61, 67), (9,))


def long(count):
    random = torch.Generator().manual_seed(1)
    return [[torch.randn(shape, generator=random) for shape in LONG] for _ in range(count)]


def exact(got, expected):
    return all(torch.equal(a, b) for a, b in zip(got.values, expected, strict=True))


def test_a_scaled_sum_rounds_as_add_with_alpha():
    w, g = long(2)
    expected = [a.add(b, alpha=-0.1) for a, b in zip(w, g, strict=True)]
    assert exact(Tensors(w) - 0.1 * Tensors(g), expected)
    assert exact(Tensors(w) + -0.1 * Tensors(g), expected)
    assert exact(-0.1 * Tensors(g) + Tensors(w), [-0.1 * b + a for a, b in zip(w, g, strict=True)])


def test_a_scaled_product_rounds_as_addcmul():
    v, g, h = long(3)
    rows = list(zip(v, g, h, strict=True))
    expected = [a.addcmul(b, c, value=0.001) for a, b, c in rows]
    assert exact(Tensors(v) + 0.001 * Tensors(g) * Tensors(h), expected)
    assert exact(Tensors(v) + 0.001 * (Tensors(g) * Tensors(h)), expected)
    expected = [(0.999 * a).addcmul(b, b, value=0.001) for a, b, _ in rows]
    assert exact(0.999 * Tensors(v) + 0.001 * Tensors(g).square(), expected)


def test_a_scaled_quotient_rounds_as_addcdiv():
    w, m, d = long(3)
    d = [value.abs() + 0.1 for value in d]
    expected = [a.addcdiv(b, c, value=-0.003) for a, b, c in zip(w, m, d, strict=True)]
    assert exact(Tensors(w) - 0.003 * Tensors(m) / Tensors(d), expected)
    assert exact(Tensors(w) - 0.003 * (Tensors(m) / Tensors(d)), expected)


def test_lerp_rounds_as_lerp():
    m, g = long(2)
    expected = [a.lerp(b, 0.1) for a, b in zip(m, g, strict=True)]
    assert exact(Tensors(m).lerp(Tensors(g), 0.1), expected)


DIFFERENTIABLE = {
    "sum": lambda w, a, b, s: w - 0.3 * a,
    "product": lambda w, a, b, s: w + 0.3 * a * b,
    "quotient": lambda w, a, b, s: w - 0.3 * a / b,
    "factor": lambda w, a, b, s: w - s * a,
    "divisor": lambda w, a, b, s: w - a / s,
    "lerp": lambda w, a, b, s: w.lerp(a, 0.3) * b,
}


@pytest.mark.parametrize("form", DIFFERENTIABLE.values(), ids=DIFFERENTIABLE)
def test_terms_are_differentiable_in_all_their_operands(form):
    """Tensors without dimensions and factors that are tensors among them."""
    flats = [(flat.abs() + 0.5).requires_grad_() for flat in vectors(3, 3)]
    factor = torch.tensor(0.7, dtype=torch.float64, requires_grad=True)

    def slopes(wrap):
        result = form(*map(wrap, flats), factor)
        assert result.requires_grad
        return torch.autograd.grad(
            (result * result).sum(), [*flats, factor], allow_unused=True, materialize_grads=True
        )

    def pieces(flat):
        rows = zip(flat.split(SIZES), SHAPES, strict=True)
        return Tensors([piece.view(shape) for piece, shape in rows])

    for got, expected in zip(slopes(pieces), slopes(lambda flat: flat), strict=True):
        torch.testing.assert_close(got, expected, rtol=1e-12, atol=1e-12)


def test_detaching_and_asking_for_gradients():
    flat = vectors(0, 1)[0]
    w = split(flat)
    assert not w.requires_grad
    leaf = Tensors([*w.values[1:], w.values[0].clone().requires_grad_()])
    assert leaf.requires_grad
    assert (w.values[0].numel() * 0.5 * leaf).requires_grad
    assert not leaf.detach().requires_grad
    one = Tensors([torch.ones(2)])
    other = Tensors([torch.ones(2, requires_grad=True)])
    for put_off in (one * other, one / other, other * one, 0.5 * other):
        assert put_off.requires_grad


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_zero_is_the_zero_of_the_same_space(dtype):
    (flat,) = vectors(0, 1, dtype)
    zero = zeros_like(split(flat))
    assert [value.shape for value in zero.values] == list(map(torch.Size, SHAPES))
    assert {value.dtype for value in zero.values} == {dtype}
    assert torch.equal(zero.flat(), torch.zeros_like(flat))
    assert torch.equal(zeros_like(flat), torch.zeros_like(flat))
    assert torch.equal((split(flat) + zero).flat(), flat)


def test_a_flat_copy_shares_nothing():
    w = Tensors([torch.ones(3)])
    w.flat().add_(1)
    assert torch.equal(w.values[0], torch.ones(3))


def test_it_shows_its_shapes():
    assert repr(split(vectors(0, 1)[0])) == "Tensors([(2, 3), (), (4,), (1, 2, 1)])"


def test_functions_of_torch_take_a_list_of_tensors_as_they_take_a_tensor():
    flat = torch.tensor([4.0, -9.0, 0.25], dtype=torch.float64)
    listed = Tensors([flat[:2].clone(), flat[2:].clone()])
    for function in (torch.zeros_like, torch.abs, torch.sign, torch.square):
        assert torch.equal(function(listed).flat(), function(flat))
    assert torch.equal(torch.maximum(listed, -1.0 * listed).flat(), flat.abs())
    torch.testing.assert_close(listed.norm(), flat.norm())
    with pytest.raises(TypeError, match=r"torch\.exp does not take Tensors"):
        torch.exp(listed)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_a_wider_number_changes_no_dtype(dtype):
    """As the norm of a list is float32 at least; a part of the list may be one number too."""
    w, norm = Tensors([torch.ones(3, dtype=dtype), torch.ones((), dtype=dtype)]), torch.tensor(2.0)
    for made, expected in ((w * norm, 2.0), (w / norm, 0.5), (w + norm, 3.0)):
        assert {part.dtype for part in made.values} == {dtype}
        assert (made.flat() == expected).all()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_another_type_rounds_as_a_tensor_does(dtype):
    (flat,) = vectors(3, 1)
    assert torch.equal(split(flat).to(dtype).flat(), flat.to(dtype))
    assert split(flat).to(dtype).dtypes == {dtype}


def test_a_factor_below_all_of_float16_counts():
    """2^-25 times 2^15 is 2^-10; as alpha of torch.add it is 0 on a CPU."""
    w = Tensors([torch.zeros(3, dtype=torch.float16)])
    steep = Tensors([torch.full((3,), 2.0**15, dtype=torch.float16)])
    for made in (w + 2.0**-25 * steep, w - -(2.0**-25) * steep):
        assert (made.flat() == 2.0**-10).all()
