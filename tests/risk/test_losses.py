"""The losses against torch.nn in value and gradient, and where they differ from it on purpose."""

import inspect
import itertools
import warnings

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import QuantileRegressor
from sklearn.metrics import mean_pinball_loss
from torch.autograd import gradcheck, gradgradcheck
from torch.autograd.functional import hessian

from gradus.risk.losses import (
    CrossEntropyLoss,
    HuberLoss,
    KLDivLoss,
    L1Loss,
    Loss,
    MSELoss,
    NLLLoss,
    PinballLoss,
    Weighted,
    mean,
)

C = 5
FINAL = (MSELoss, L1Loss, HuberLoss, NLLLoss, CrossEntropyLoss, KLDivLoss)
REDUCTIONS = ("none", "mean", "sum")
CLASS_SHAPES = ((C,), (7, C), (4, C, 3), (2, C, 1, 2, 3))
ELEMENT_SHAPES = ((), (6,), (4, 3), (2, 3, 2), (2000,))
CLASS_WEIGHT = torch.tensor([0.5, 2.0, 0.0, 1.25, 3.0], dtype=torch.float64)

# Both sides sum the same few float64 terms in another order.
TOLERANCE = {"rtol": 1e-9, "atol": 1e-9}


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    """The tensors are tiny, and waking a second thread for each would cost most of the time."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def normal(shape, seed=0, dtype=torch.float64):
    return torch.randn(shape, generator=generator(seed), dtype=dtype)


def index_shape(shape):
    return () if len(shape) == 1 else (shape[0], *shape[2:])


def class_axis(shape):
    return 0 if len(shape) == 1 else 1


def class_index(shape, seed=0):
    return torch.randint(C, index_shape(shape), generator=generator(seed))


def theirs(ours):
    return getattr(torch.nn, ours.__name__)


def value_and_gradients(loss, output, target):
    """The loss, and its gradients for a random direction of the result."""
    leaves = [output.detach().clone().requires_grad_()]
    if target.is_floating_point() or target.is_complex():
        leaves.append(target.detach().clone().requires_grad_())
        target = leaves[1]
    value = loss(leaves[0], target)
    direction = normal(value.shape, seed=99)
    return value.detach(), torch.autograd.grad(value, leaves, direction)


def assert_same_as_torch(ours, output, target, **options):
    value, gradients = value_and_gradients(ours(**options), output, target)
    expected, expected_gradients = value_and_gradients(theirs(ours)(**options), output, target)
    torch.testing.assert_close(value, expected, **TOLERANCE)
    for got, wanted in zip(gradients, expected_gradients, strict=True):
        torch.testing.assert_close(got, wanted, **TOLERANCE)


# Against torch.nn


@pytest.mark.parametrize("ours", FINAL)
def test_constructors_take_the_arguments_of_torch_in_their_order_with_their_defaults(ours):
    def arguments(cls):
        return [(p.name, p.default) for p in inspect.signature(cls).parameters.values()]

    assert arguments(ours) == arguments(theirs(ours))


@pytest.mark.parametrize("shape", ELEMENT_SHAPES)
@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("ours", [MSELoss, L1Loss, HuberLoss])
def test_elementwise_losses(ours, reduction, shape):
    output, target = normal(shape, 1), normal(shape, 2)
    if output.dim():
        target[..., 0] = output[..., 0]  # the kink of the absolute value
    assert_same_as_torch(ours, output, target, reduction=reduction)


@pytest.mark.parametrize("shape", ELEMENT_SHAPES)
@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("target_dtype", [torch.complex128, torch.float64])
def test_l1_of_complex_numbers(reduction, shape, target_dtype):
    output = normal(shape, 1, torch.complex128)
    target = normal(shape, 2, target_dtype)
    assert_same_as_torch(L1Loss, output, target, reduction=reduction)


def test_l1_of_complex_numbers_is_their_distance():
    output = torch.tensor([3 + 4j, 1j, 2 - 1j], dtype=torch.complex128)
    target = torch.tensor([0, 1j, 2 + 1j], dtype=torch.complex128)
    value = L1Loss(reduction="none")(output, target)
    torch.testing.assert_close(value, torch.tensor([5.0, 0.0, 2.0], dtype=torch.float64))


@pytest.mark.parametrize("ours", [MSELoss, L1Loss, HuberLoss])
def test_an_integer_target_is_taken_as_numbers(ours):
    output, target = normal((4, 3), 1), torch.arange(12).view(4, 3)
    expected = theirs(ours)()(output, target.double())
    torch.testing.assert_close(ours()(output, target), expected, **TOLERANCE)


CLASS_CASES = list(
    itertools.product(
        CLASS_SHAPES,
        (None, CLASS_WEIGHT),
        (-100, 1, C),  # outside and inside [0, C)
        REDUCTIONS,
    )
)


def some_ignored(shape, ignore_index):
    """Targets of which some are ignored, but never all."""
    target = class_index(shape, 3)
    ignored = torch.rand(target.shape, generator=generator(4)) < 0.3
    target = target.masked_fill(ignored, ignore_index)
    if target.dim() == 0:
        return torch.tensor(3)  # the mean over nothing is another test
    target.view(-1)[0], target.view(-1)[1] = 0, ignore_index
    return target


@pytest.mark.parametrize(("shape", "weight", "ignore_index", "reduction"), CLASS_CASES)
def test_nll(shape, weight, ignore_index, reduction):
    target = some_ignored(shape, ignore_index)
    output = normal(shape, 5).log_softmax(class_axis(shape))
    options = {"weight": weight, "ignore_index": ignore_index, "reduction": reduction}
    assert_same_as_torch(NLLLoss, output, target, **options)


@pytest.mark.parametrize("label_smoothing", [0.0, 0.3, 1.0])
@pytest.mark.parametrize(("shape", "weight", "ignore_index", "reduction"), CLASS_CASES)
def test_cross_entropy_of_class_indices(shape, weight, ignore_index, reduction, label_smoothing):
    target = some_ignored(shape, ignore_index)
    assert_same_as_torch(
        CrossEntropyLoss,
        normal(shape, 5),
        target,
        weight=weight,
        ignore_index=ignore_index,
        reduction=reduction,
        label_smoothing=label_smoothing,
    )


@pytest.mark.parametrize("label_smoothing", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("weight", [None, CLASS_WEIGHT])
@pytest.mark.parametrize("shape", CLASS_SHAPES)
def test_cross_entropy_of_class_probabilities(shape, weight, reduction, label_smoothing):
    assert_same_as_torch(
        CrossEntropyLoss,
        normal(shape, 5),
        normal(shape, 6).softmax(class_axis(shape)),
        weight=weight,
        reduction=reduction,
        label_smoothing=label_smoothing,
    )


@pytest.mark.filterwarnings("ignore:reduction. 'mean' divides:UserWarning")  # torch's advice
@pytest.mark.parametrize("log_target", [False, True])
@pytest.mark.parametrize("reduction", [*REDUCTIONS, "batchmean"])
@pytest.mark.parametrize("shape", ELEMENT_SHAPES)
def test_kl_divergence(shape, reduction, log_target):
    target = torch.rand(shape, generator=generator(7), dtype=torch.float64) + 0.01
    target = target.log() if log_target else target
    output = normal(shape, 8)
    assert_same_as_torch(KLDivLoss, output, target, reduction=reduction, log_target=log_target)


@pytest.mark.parametrize("ours", [NLLLoss, CrossEntropyLoss])
@pytest.mark.parametrize(
    "dtype",
    [torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64, torch.uint16, torch.uint32],
)
def test_class_indices_of_any_integer_dtype(ours, dtype):
    output, target = normal((7, C)), class_index((7, C))
    expected = theirs(ours)()(output, target)
    torch.testing.assert_close(ours()(output, target.to(dtype)), expected, **TOLERANCE)


@pytest.mark.parametrize("size_average", [None, True, False])
@pytest.mark.parametrize("reduce", [None, True, False])
@pytest.mark.parametrize("ours", sorted({*FINAL} - {HuberLoss}, key=str))  # it never had them
def test_legacy_flags_mean_what_they_meant_and_say_so(ours, size_average, reduce):
    flags = {"size_average": size_average, "reduce": reduce}
    if size_average is None and reduce is None:
        with warnings.catch_warnings(record=True) as seen:
            warnings.simplefilter("always")
            ours(**flags)
        assert not seen
        return
    with pytest.warns(UserWarning, match="size_average"):
        expected = theirs(ours)(**flags).reduction
    with pytest.warns(DeprecationWarning, match=f"reduction='{expected}'") as seen:
        loss = ours(**flags)
    assert loss.reduction == expected
    assert seen[0].filename == __file__


@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_cross_entropy_of_any_batch(data):
    N, K = data.draw(st.integers(1, 6)), data.draw(st.integers(1, 4))
    extra = data.draw(st.lists(st.integers(1, 3), max_size=2))
    numbers = st.floats(-50, 50)
    size = N * K * torch.Size(extra).numel()
    flat = data.draw(st.lists(numbers, min_size=size, max_size=size))
    output = torch.tensor(flat, dtype=torch.float64).view(N, K, *extra)
    ignore_index = data.draw(st.sampled_from([-100, -1, 0, K]))
    positions = size // K
    classes = st.sampled_from([*range(K), ignore_index])
    target = torch.tensor(
        data.draw(st.lists(classes, min_size=positions, max_size=positions))
    ).view(N, *extra)
    weights = st.none() | st.lists(st.floats(0.1, 10), min_size=K, max_size=K)
    weight = data.draw(weights)
    reduction = data.draw(st.sampled_from(REDUCTIONS))
    if (target == ignore_index).all() and reduction == "mean":
        return  # torch has NaN there
    assert_same_as_torch(
        CrossEntropyLoss,
        output,
        target,
        weight=None if weight is None else torch.tensor(weight, dtype=torch.float64),
        ignore_index=ignore_index,
        reduction=reduction,
        label_smoothing=data.draw(st.sampled_from([0.0, 0.1, 1.0])),
    )


# Huber and pinball


@pytest.mark.parametrize("delta", [1e-3, 0.5, 2.0, 1e3])
@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_huber_loss_of_any_delta(delta, reduction):
    output, target = normal((2000,), 1), normal((2000,), 2)
    target[:2] = output[:2] + torch.tensor([delta, -delta])  # where both cases meet
    assert_same_as_torch(HuberLoss, output, target, delta=delta, reduction=reduction)


@pytest.mark.parametrize("u", [0.0, 0.3, -0.3, 2.0])
def test_the_second_derivative_of_huber_is_1_within_delta_also_where_nothing_is_wrong(u):
    loss = HuberLoss(delta=0.5)
    second = hessian(lambda x: loss(x, torch.zeros(())), torch.tensor(u))
    assert second == (abs(u) < 0.5)


def test_huber_goes_over_into_the_losses_on_either_side_of_it():
    output, target = normal((30,), 1), normal((30,), 2)
    torch.testing.assert_close(2 * HuberLoss(delta=1e9)(output, target), MSELoss()(output, target))
    tiny = HuberLoss(delta=1e-12)(output, target) / 1e-12
    torch.testing.assert_close(tiny, L1Loss()(output, target))


@pytest.mark.parametrize("tau", [0.01, 0.5, 0.9])
@pytest.mark.parametrize("shape", ELEMENT_SHAPES[1:3])
def test_pinball_loss_is_that_of_scikit_learn(tau, shape):
    output, target = normal(shape, 1), normal(shape, 2)
    target[0] = output[0]
    expected = mean_pinball_loss(target, output, alpha=tau)
    assert PinballLoss(tau)(output, target).item() == pytest.approx(expected, rel=1e-12)
    assert PinballLoss(tau, "none")(output, target).shape == shape


def test_pinball_loss_of_one_half_is_half_of_l1_also_in_its_gradient():
    output, target = normal((4, 3), 1), normal((4, 3), 2)
    target[0] = output[0]
    value, gradients = value_and_gradients(PinballLoss(0.5), output, target)
    expected, expected_gradients = value_and_gradients(L1Loss(), output, target)
    torch.testing.assert_close(2 * value, expected, **TOLERANCE)
    for got, wanted in zip(gradients, expected_gradients, strict=True):
        torch.testing.assert_close(2 * got, wanted, **TOLERANCE)


@pytest.mark.parametrize("tau", [0.1, 0.5, 0.8])
def test_the_quantile_regression_of_scikit_learn_is_the_minimum_of_the_pinball_loss(tau):
    """It solves a linear program; no step from there, in any direction, finds less."""
    x, noise = normal((40, 2), 1), normal((40,), 2)
    y = x @ torch.tensor([1.0, -2.0], dtype=torch.float64) + noise
    theirs = QuantileRegressor(quantile=tau, alpha=0).fit(x, y)
    best = torch.tensor([*theirs.coef_, theirs.intercept_])
    design = torch.cat([x, torch.ones(40, 1, dtype=torch.float64)], dim=1)
    least = PinballLoss(tau)(design @ best, y)
    for step in normal((200, 3), 3):
        for length in (1e-6, 1e-3, 1.0):
            assert PinballLoss(tau)(design @ (best + length * step), y) >= least * (1 - 1e-12)


# What the definitions imply


LOSS_CASES = [
    (MSELoss, {}, normal((6, C), 1), normal((6, C), 2)),
    (L1Loss, {}, normal((6, C), 1), normal((6, C), 2)),
    (L1Loss, {}, normal((6, C), 1, torch.complex128), normal((6, C), 2, torch.complex128)),
    (HuberLoss, {"delta": 0.7}, normal((6, C), 1), normal((6, C), 2)),
    (PinballLoss, {"quantile": 0.8}, normal((6, C), 1), normal((6, C), 2)),
    (NLLLoss, {"weight": CLASS_WEIGHT}, normal((6, C), 1), class_index((6, C))),
    (NLLLoss, {"ignore_index": 1}, normal((6, C, 2), 1), class_index((6, C, 2))),
    (CrossEntropyLoss, {}, normal((6, C), 1), class_index((6, C))),
    (
        CrossEntropyLoss,
        {"weight": CLASS_WEIGHT, "ignore_index": 1, "label_smoothing": 0.2},
        normal((6, C, 2), 1),
        class_index((6, C, 2)),
    ),
    (
        CrossEntropyLoss,
        {"weight": CLASS_WEIGHT, "label_smoothing": 0.2},
        normal((6, C), 1),
        normal((6, C), 2).softmax(1),
    ),
    (KLDivLoss, {}, normal((6, C), 1), normal((6, C), 2).softmax(1)),
    (KLDivLoss, {"reduction": "batchmean"}, normal((6, C), 1), normal((6, C), 2).softmax(1)),
    (KLDivLoss, {"log_target": True}, normal((6, C), 1), normal((6, C), 2).log_softmax(1)),
]


@pytest.mark.parametrize("case", LOSS_CASES)
def test_first_and_second_derivatives(case):
    ours, options, output, target = case
    output = output.clone().requires_grad_()
    loss = ours(**options)
    assert gradcheck(lambda x: loss(x, target), output)
    assert gradgradcheck(lambda x: loss(x, target), output)


@pytest.mark.parametrize("case", LOSS_CASES)
def test_values_and_masses_add_up_over_chunks(case):
    ours, options, output, target = case
    loss = ours(**options)
    chunks = [loss.terms(output[i : i + 2], target[i : i + 2]) for i in range(0, 6, 2)]
    total = sum(values.sum() for values, _ in chunks)
    mass = sum(mass for _, mass in chunks)
    torch.testing.assert_close(mean(total, mass), loss(output, target), **TOLERANCE)
    none = ours(**{**options, "reduction": "none"})
    torch.testing.assert_close(loss.terms(output, target).values, none(output, target))


@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("case", LOSS_CASES)
def test_an_example_of_a_weight_is_one_that_stands_there_so_often(case, reduction):
    ours, options, output, target = case
    loss = ours(**{"reduction": reduction, **options})
    weights = torch.tensor([2, 0, 1, 3, 1, 2])
    output = output.clone().requires_grad_()
    value = Weighted(loss, weights.double())(output, target)
    repeated = loss(output.repeat_interleave(weights, 0), target.repeat_interleave(weights, 0))
    torch.testing.assert_close(value, repeated, **TOLERANCE)
    gradients = [torch.autograd.grad(each, output)[0] for each in (value, repeated)]
    torch.testing.assert_close(*gradients, **TOLERANCE)


def test_a_batch_in_which_nothing_counts_has_a_mean_of_0_and_no_gradient():
    output = normal((3, C)).requires_grad_()
    value = Weighted(CrossEntropyLoss(), torch.zeros(3))(output, class_index((3, C)))
    assert value == 0
    assert not torch.autograd.grad(value, output)[0].any()


@pytest.mark.parametrize("case", LOSS_CASES)
def test_torch_func_maps_over_examples(case):
    ours, options, output, target = case
    loss = ours(**options)

    def risk(x, y):
        return loss(x.unsqueeze(0), y.unsqueeze(0))

    mapped = torch.func.vmap(risk)(output, target)
    single = torch.stack([risk(x, y) for x, y in zip(output, target, strict=True)])
    torch.testing.assert_close(mapped, single, **TOLERANCE)
    if not output.is_complex():
        gradients = torch.func.vmap(torch.func.grad(risk))(output, target)
        for x, y, gradient in zip(output, target, gradients, strict=True):
            torch.testing.assert_close(torch.func.grad(risk)(x, y), gradient, **TOLERANCE)


@pytest.mark.parametrize("shape", CLASS_SHAPES)
def test_cross_entropy_is_log_softmax_then_nll(shape):
    output, target = normal(shape), class_index(shape)
    log_probabilities = output.log_softmax(class_axis(shape))
    torch.testing.assert_close(
        CrossEntropyLoss()(output, target), NLLLoss()(log_probabilities, target), **TOLERANCE
    )


def test_one_hot_probabilities_are_class_indices():
    output, target = normal((7, C)), class_index((7, C))
    one_hot = torch.nn.functional.one_hot(target, C).double()
    for label_smoothing in (0.0, 0.25):
        loss = CrossEntropyLoss(label_smoothing=label_smoothing)
        torch.testing.assert_close(loss(output, one_hot), loss(output, target), **TOLERANCE)


@given(st.lists(st.floats(-30, 30), min_size=C, max_size=C), st.floats(-1000, 1000))
@settings(max_examples=40, deadline=None)
def test_cross_entropy_does_not_see_a_shift_of_the_logits(logits, shift):
    output, target = torch.tensor(logits, dtype=torch.float64), torch.tensor(2)
    loss = CrossEntropyLoss()
    torch.testing.assert_close(loss(output + shift, target), loss(output, target), **TOLERANCE)


@given(st.lists(st.floats(0.01, 10), min_size=2 * C, max_size=2 * C))
@settings(max_examples=40, deadline=None)
def test_kl_divergence_is_not_negative_and_zero_only_between_equals(numbers):
    p, q = torch.tensor(numbers, dtype=torch.float64).view(2, C).log().log_softmax(1)
    loss = KLDivLoss(reduction="sum")
    assert loss(q, p.exp()) >= -1e-12
    torch.testing.assert_close(loss(p, p.exp()), torch.zeros((), dtype=torch.float64))


# Extremes


def same_in_float32(loss, output, target):
    """Float32 must agree with float64 to its own precision, relative to the largest entry."""
    value, (gradient, *_) = value_and_gradients_32(loss, output, target)
    expected, (expected_gradient, *_) = value_and_gradients(loss, output, target)
    assert value.isfinite().all()
    assert gradient.isfinite().all()
    torch.testing.assert_close(value.double(), expected, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(gradient.double(), expected_gradient, rtol=1e-6, atol=1e-6)


def value_and_gradients_32(loss, output, target):
    output = output.float().requires_grad_()
    value = loss(output, target.float() if target.is_floating_point() else target)
    direction = normal(value.shape, seed=99).float()
    return value.detach(), torch.autograd.grad(value, output, direction)


EXTREME = torch.tensor(
    [[1e4, -1e4, 0, 1, 2], [-1e4, -1e4, -1e4, -1e4, -1e4], [1e4, 1e4, 0, -1e4, 9999]],
    dtype=torch.float64,
)


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("label_smoothing", [0.0, 0.2])
@pytest.mark.parametrize("target", [torch.tensor([1, 0, 4]), torch.tensor([0, 2, 3])])
def test_extreme_logits(target, label_smoothing, reduction):
    loss = CrossEntropyLoss(label_smoothing=label_smoothing, reduction=reduction)
    same_in_float32(loss, EXTREME, target)
    same_in_float32(loss, EXTREME, torch.nn.functional.one_hot(target, C).double())


def test_extreme_logits_in_closed_form():
    loss = CrossEntropyLoss(reduction="none")
    value = loss(EXTREME.float(), torch.tensor([1, 0, 3]))
    log2 = torch.tensor(2.0).log()
    # 9999 adds exp(-1) to the two largest logits of the last row
    third = 2e4 + (2 + torch.tensor(-1.0).exp()).log()
    expected = torch.stack([torch.tensor(2e4), torch.tensor(5.0).log(), third])
    torch.testing.assert_close(value, expected)
    torch.testing.assert_close(
        loss(torch.tensor([[1e4, 1e4]]), torch.tensor([0])), log2.unsqueeze(0)
    )


@pytest.mark.parametrize("reduction", [*REDUCTIONS, "batchmean"])
def test_extreme_log_probabilities(reduction):
    target = normal(EXTREME.shape).softmax(1)
    output = EXTREME.log_softmax(1)
    same_in_float32(KLDivLoss(reduction=reduction), output, target)
    same_in_float32(KLDivLoss(reduction=reduction, log_target=True), output, EXTREME.log_softmax(1))


def test_a_masked_class_takes_no_part():
    output = torch.tensor([[0.5, -torch.inf, 1.0]], dtype=torch.float64, requires_grad=True)
    value = CrossEntropyLoss()(output, torch.tensor([2]))
    (gradient,) = torch.autograd.grad(value, output)
    expected = CrossEntropyLoss()(output[:, ::2], torch.tensor([1]))
    torch.testing.assert_close(value, expected, **TOLERANCE)
    assert gradient[0, 1] == 0


@pytest.mark.parametrize("log_target", [False, True])
@pytest.mark.parametrize("reduction", [*REDUCTIONS, "batchmean"])
def test_zero_targets_of_kl_contribute_exactly_zero(log_target, reduction):
    probability = torch.tensor([[0.0, 0.0, 0.4], [0.0, 0.6, 0.0]], dtype=torch.float64)
    output = normal((2, 3)).masked_fill(probability == 0, -torch.inf)
    output[0, 0] = -3.0
    target = probability.log() if log_target else probability
    loss = KLDivLoss(reduction=reduction, log_target=log_target)
    value, gradients = value_and_gradients(loss, output, target)
    assert value.isfinite().all()
    for gradient in gradients:
        assert (gradient[probability == 0] == 0).all()
        assert (gradient[probability != 0] != 0).all()
    present = (probability * (probability.log() - output))[probability != 0].sum()
    divisor = {"none": 1, "sum": 1, "mean": 6, "batchmean": 2}[reduction]
    torch.testing.assert_close(value.sum(), present / divisor, **TOLERANCE)


@pytest.mark.parametrize("ours", [NLLLoss, CrossEntropyLoss])
@pytest.mark.parametrize("weight", [None, CLASS_WEIGHT])
@pytest.mark.parametrize("ignore_index", [-100, 3])
@pytest.mark.parametrize("shape", [(C,), (4, C), (2, C, 3)])
def test_where_all_is_ignored_the_mean_and_its_gradient_are_zero(ours, weight, ignore_index, shape):
    target = torch.full(index_shape(shape), ignore_index)
    loss = ours(weight=weight, ignore_index=ignore_index)
    value, (gradient,) = value_and_gradients(loss, normal(shape), target)
    assert value == 0
    assert (gradient == 0).all()


@pytest.mark.parametrize("options", [{}, {"label_smoothing": 0.2}])
def test_where_the_weights_in_use_sum_to_zero_so_are_the_mean_and_its_gradient(options):
    target = torch.tensor([2, 2])  # CLASS_WEIGHT[2] is 0
    loss = CrossEntropyLoss(weight=CLASS_WEIGHT, **options)
    value, (gradient,) = value_and_gradients(loss, normal((2, C)), target)
    assert value == 0
    assert (gradient == 0).all()


@pytest.mark.parametrize("ours", [NLLLoss, CrossEntropyLoss])
@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("shape", [(0, C), (2, C, 0)])
def test_empty_batches_are_as_in_torch(ours, reduction, shape):
    output, target = normal(shape), class_index(shape)
    expected = theirs(ours)(reduction=reduction)(output, target)
    value = ours(reduction=reduction)(output, target)
    torch.testing.assert_close(value, expected, equal_nan=True)


@pytest.mark.filterwarnings("ignore:reduction. 'mean' divides:UserWarning")  # torch's advice
@pytest.mark.parametrize("ours", [MSELoss, L1Loss, HuberLoss, KLDivLoss])
@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_no_elements_are_as_in_torch(ours, reduction):
    output = normal((0, 3))
    expected = theirs(ours)(reduction=reduction)(output, output)
    value = ours(reduction=reduction)(output, output)
    torch.testing.assert_close(value, expected, equal_nan=True)


def test_ignored_targets_do_not_let_infinities_through():
    output = normal((2, C))
    output[1] = -torch.inf
    value, (gradient,) = value_and_gradients(NLLLoss(), output, torch.tensor([0, -100]))
    torch.testing.assert_close(value, -output[0, 0])
    assert (gradient[1] == 0).all()


# What is refused


@pytest.mark.parametrize("ours", [MSELoss, L1Loss, HuberLoss, PinballLoss, KLDivLoss])
@pytest.mark.parametrize(("a", "b"), [((4, 1), (4,)), ((4, 3), (3,)), ((), (1,)), ((2,), (3,))])
def test_shapes_that_are_not_equal_are_refused_by_name(ours, a, b):
    with pytest.raises(ValueError, match="shape") as refusal:
        ours()(normal(a), normal(b))
    assert str(a) in str(refusal.value)
    assert str(b) in str(refusal.value)


@pytest.mark.parametrize("ours", [NLLLoss, CrossEntropyLoss])
@pytest.mark.parametrize(
    ("output", "target"),
    [
        ((4, C), (3,)),
        ((4, C), (4, 1)),
        ((4, C), ()),
        ((C,), (1,)),
        ((2, C, 3), (2,)),
        ((4, C), (5,)),
    ],
)
def test_class_indices_of_another_shape_are_refused_by_name(ours, output, target):
    with pytest.raises(ValueError, match="does not go with") as refusal:
        ours()(normal(output), torch.zeros(target, dtype=torch.long))
    assert str(output) in str(refusal.value)
    assert str(target) in str(refusal.value)


@pytest.mark.parametrize("ours", [NLLLoss, CrossEntropyLoss])
def test_a_scalar_has_no_classes(ours):
    with pytest.raises(ValueError, match="scalar"):
        ours()(normal(()), torch.tensor(0))


def test_class_probabilities_of_another_shape_are_refused():
    with pytest.raises(ValueError, match=r"\(4, 5\).*\(1, 5\)"):
        CrossEntropyLoss()(normal((4, C)), normal((1, C)))


@pytest.mark.parametrize("ours", [NLLLoss, CrossEntropyLoss])
@pytest.mark.parametrize("ignore_index", [-100, 0])
@pytest.mark.parametrize(
    ("shape", "position", "index", "message"),
    [
        ((4, C), (2,), 12, "class index 12 at target[2] is outside [0, 5)"),
        ((4, C, 3), (3, 0), 5, "class index 5 at target[3, 0] is outside [0, 5)"),
        ((4, C), (0,), -1, "class index -1 at target[0] is outside [0, 5)"),
        ((C,), (), 7, "class index 7 at target is outside [0, 5)"),
    ],
)
def test_a_class_index_out_of_range_is_named_with_its_place(
    ours, ignore_index, shape, position, index, message
):
    target = class_index(shape)
    target[position] = index
    if target.dim():
        target[(1,) * target.dim()] = ignore_index
    with pytest.raises(IndexError) as refusal:
        ours(ignore_index=ignore_index)(normal(shape), target)
    assert str(refusal.value) == message


@pytest.mark.parametrize("ours", FINAL)
@pytest.mark.parametrize("reduction", ["average", "batchmean", "Mean", ""])
def test_unknown_reductions_are_refused(ours, reduction):
    if ours is KLDivLoss and reduction == "batchmean":
        assert ours(reduction=reduction).reduction == reduction
        return
    with pytest.raises(ValueError, match="'none', 'mean', 'sum'") as refusal:
        ours(reduction=reduction)
    assert repr(reduction) in str(refusal.value)


@pytest.mark.parametrize("ours", [NLLLoss, CrossEntropyLoss])
@pytest.mark.parametrize("length", [1, C - 1, C + 1])
def test_weights_of_another_length_are_refused(ours, length):
    with pytest.raises(ValueError, match=rf"\({length},\).*{C} classes"):
        ours(weight=torch.ones(length))(normal((4, C)), class_index((4, C)))


@pytest.mark.parametrize("label_smoothing", [-0.1, 1.1, float("nan")])
def test_label_smoothing_outside_its_range_is_refused(label_smoothing):
    with pytest.raises(ValueError, match="label_smoothing"):
        CrossEntropyLoss(label_smoothing=label_smoothing)


@pytest.mark.parametrize("delta", [0.0, -1.0, float("nan")])
def test_a_delta_that_is_not_above_zero_is_refused(delta):
    with pytest.raises(ValueError, match=f"delta={delta} is not above 0"):
        HuberLoss(delta=delta)


@pytest.mark.parametrize("quantile", [0.0, 1.0, -0.1, float("nan")])
def test_a_quantile_that_is_not_between_0_and_1_is_refused(quantile):
    with pytest.raises(ValueError, match=f"quantile={quantile} is not between 0 and 1"):
        PinballLoss(quantile)


def test_ignore_index_has_no_meaning_for_probabilities():
    target = normal((4, C)).softmax(1)
    with pytest.raises(ValueError, match="ignore_index=1"):
        CrossEntropyLoss(ignore_index=1)(normal((4, C)), target)


@pytest.mark.parametrize(
    ("loss", "output", "target", "message"),
    [
        (MSELoss(), normal(3, 1, torch.complex128), normal(3), "complex128"),
        (MSELoss(), torch.ones(3, dtype=torch.uint8), torch.ones(3, dtype=torch.uint8), "uint8"),
        (L1Loss(), torch.ones(3, dtype=torch.uint8), torch.ones(3, dtype=torch.uint8), "uint8"),
        (HuberLoss(), normal(3, 1, torch.complex128), normal(3), "HuberLoss.*complex128"),
        (PinballLoss(), torch.ones(3, dtype=torch.int8), torch.ones(3, dtype=torch.int8), "int8"),
        (NLLLoss(), normal((4, C)), torch.zeros(4), "float32"),
        (NLLLoss(), normal((4, C)), torch.zeros(4, dtype=torch.bool), "bool"),
        (NLLLoss(), torch.ones(4, C, dtype=torch.int64), class_index((4, C)), "int64"),
        (CrossEntropyLoss(), normal((4, C)), torch.zeros(4, dtype=torch.bool), "bool"),
        (CrossEntropyLoss(), torch.ones(4, C, dtype=torch.int64), class_index((4, C)), "int64"),
        (KLDivLoss(), normal(3), torch.ones(3, dtype=torch.int64), "int64"),
    ],
)
def test_tensors_of_the_wrong_dtype_are_refused_by_name(loss, output, target, message):
    with pytest.raises(TypeError, match=message):
        loss(output, target)


# As torch.nn modules


@pytest.mark.parametrize("ours", [NLLLoss, CrossEntropyLoss])
def test_the_weight_moves_and_saves_with_the_module(ours):
    loss = ours(weight=CLASS_WEIGHT)
    assert list(loss.state_dict()) == ["weight"]
    assert loss.to(torch.float32).weight.dtype == torch.float32
    assert not list(ours().state_dict())


def test_losses_are_abstract_or_final():
    with pytest.raises(TypeError, match="abstract"):
        Loss(None, None, "mean")
    for ours in FINAL:
        assert ours.__final__
        assert not [c for c in ours.__subclasses__() if c.__module__.startswith("gradus.")]
