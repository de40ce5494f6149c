"""Losses of what is huge, masked, ignored or empty."""

import pytest
import torch

from gradus.risk.losses import (
    CrossEntropyLoss,
    HuberLoss,
    KLDivLoss,
    L1Loss,
    MSELoss,
    NLLLoss,
)
from tests.risk.loss_cases import (
    CLASS_WEIGHT,
    REDUCTIONS,
    TOLERANCE,
    C,
    class_index,
    index_shape,
    normal,
    theirs,
    value_and_gradients,
)


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
