"""The losses against torch.nn in value and gradient."""

import inspect
import itertools
import warnings

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gradus.risk.losses import (
    CrossEntropyLoss,
    HuberLoss,
    KLDivLoss,
    L1Loss,
    Loss,
    MSELoss,
    NLLLoss,
)
from tests.risk.loss_cases import (
    CLASS_SHAPES,
    CLASS_WEIGHT,
    ELEMENT_SHAPES,
    FINAL,
    REDUCTIONS,
    TOLERANCE,
    C,
    assert_same_as_torch,
    class_axis,
    class_index,
    generator,
    normal,
    theirs,
)


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    """The tensors are tiny, and waking a second thread for each would cost most of the time."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


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
