"""What the definitions of the losses imply: derivatives, chunks, weights, maps."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.autograd import gradcheck, gradgradcheck

from gradus.risk.losses import (
    CrossEntropyLoss,
    HuberLoss,
    KLDivLoss,
    L1Loss,
    MSELoss,
    NLLLoss,
    PinballLoss,
    Weighted,
    mean,
)
from tests.risk.loss_cases import (
    CLASS_SHAPES,
    CLASS_WEIGHT,
    TOLERANCE,
    C,
    class_axis,
    class_index,
    normal,
)

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
