"""What the losses refuse, and what they say of it."""

import pytest
import torch

from gradus.risk.losses import (
    CrossEntropyLoss,
    HuberLoss,
    KLDivLoss,
    L1Loss,
    MSELoss,
    NLLLoss,
    PinballLoss,
)
from tests.risk.loss_cases import FINAL, C, class_index, normal


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
