"""A risk over examples with weights is that over examples that stand there so many times."""

import pytest
import torch
from torch import nn

import gradus
from gradus.data.dataset import Dataset
from gradus.engine import evaluate

N, FEATURES, CLASSES = 9, 3, 4
WEIGHTS = torch.tensor([2, 0, 1, 3, 1, 0, 1, 2, 1])
GENERATOR = torch.Generator().manual_seed(0)
X = torch.randn(N, FEATURES, generator=GENERATOR, dtype=torch.float64)
LABELS = torch.randint(CLASSES, (N,), generator=GENERATOR)
NUMBERS = torch.randn(N, CLASSES, generator=GENERATOR, dtype=torch.float64)
CLASS_WEIGHT = torch.tensor([0.5, 2.0, 1.0, 1.5], dtype=torch.float64)

LOSSES = {
    "mse": (gradus.MSELoss(), NUMBERS),
    "cross-entropy": (gradus.CrossEntropyLoss(label_smoothing=0.1), LABELS),
    "weighted classes": (gradus.CrossEntropyLoss(CLASS_WEIGHT), LABELS),
    "kl": (gradus.KLDivLoss(reduction="batchmean"), NUMBERS.softmax(1)),
}


def model():
    with torch.random.fork_rng():
        torch.manual_seed(1)
        return nn.Sequential(nn.Linear(FEATURES, 5), nn.Tanh(), nn.Linear(5, CLASSES)).double()


def both(y):
    """The examples with weights, and each as often as it counts."""
    data = Dataset(X, y, dtype=torch.float64, weights=WEIGHTS.double())
    times = torch.arange(N).repeat_interleave(WEIGHTS)
    return data, Dataset(X[times], y[times], dtype=torch.float64)


@pytest.mark.parametrize("chunk_size", [2, 100])
@pytest.mark.parametrize("loss", LOSSES)
def test_values_derivatives_and_matrices_are_the_same(loss, chunk_size):
    function, y = LOSSES[loss]
    risks = [
        gradus.EmpiricalRisk(model(), function, data, chunk_size=chunk_size) for data in both(y)
    ]
    w = risks[0].point
    v = torch.randn(len(w), generator=torch.Generator().manual_seed(2), dtype=w.dtype)
    for of in (
        lambda risk: risk.value(w),
        lambda risk: risk.gradient(w),
        lambda risk: risk.hvp(w, v),
        lambda risk: risk.gauss_newton(w),
    ):
        torch.testing.assert_close(of(risks[0]), of(risks[1]), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("size", [1, 3])
def test_batches_are_unbiased_estimates_of_the_whole(size):
    data, _ = both(NUMBERS)
    risk = gradus.EmpiricalRisk(model(), gradus.MSELoss(), data)
    batches = torch.randperm(N, generator=torch.Generator().manual_seed(0)).split(size)
    for of in (risk.value, risk.gradient):
        each = torch.stack([of(risk.point, batch) for batch in batches])
        torch.testing.assert_close(each.mean(0), of(risk.point))


def test_what_needs_each_example_to_count_alike_is_refused():
    data, _ = both(LABELS)
    risk = gradus.EmpiricalRisk(model(), gradus.CrossEntropyLoss(), data)
    with pytest.raises(ValueError, match="Fisher matrix of examples with weights is not known"):
        risk.fisher_product(risk.point, risk.point)
    theirs = gradus.EmpiricalRisk(model(), nn.CrossEntropyLoss(), data)
    with pytest.raises(ValueError, match="need a loss of this package, not CrossEntropyLoss"):
        theirs.value(theirs.point)


@pytest.mark.parametrize("loss", LOSSES)
def test_a_part_is_judged_by_the_weights_of_its_examples(loss):
    function, y = LOSSES[loss]
    data, repeated = both(y)
    outputs = evaluate.outputs_of(model())
    assert evaluate.judge(outputs, function, data).loss == pytest.approx(
        evaluate.judge(outputs, function, repeated).loss
    )
    one, other = (evaluate.test(outputs, function, each) for each in (data, repeated))
    assert one.loss == pytest.approx(other.loss)
    assert float(one.losses.sum() / one.masses.sum()) == pytest.approx(one.loss)
    assert one.masses.sum() == pytest.approx(float(other.masses.sum()))


def test_weights_go_with_their_examples():
    data, _ = both(LABELS)
    for part in (data.subset(slice(2, 5)), data.subset(torch.tensor([2, 3, 4]))):
        assert part.weights.tolist() == WEIGHTS[2:5].tolist()
    assert data.to(dtype=torch.float32).weights.dtype == torch.float32
    with pytest.raises(gradus.InputError, match=r"weights have shape \[8\] for 9 examples"):
        Dataset(X, LABELS, weights=torch.ones(8))
