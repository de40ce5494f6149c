"""The best constant prediction is the best: against closed forms, scikit-learn and every other."""

import math
from dataclasses import replace

import pytest
import torch
from sklearn.dummy import DummyClassifier, DummyRegressor

import gradus
from gradus.data.dataset import Dataset
from gradus.metrics import best_constant

NUMBERS = torch.tensor([[1.0, 5.0], [2.0, -3.0], [30.0, 0.5], [4.0, 2.0], [-7.0, 2.0]])
CLASSES = torch.tensor([0, 2, 2, 0, 2, 1, 2])


def dataset(y, classes=None):
    return Dataset(torch.zeros(len(y), 1), y, classes=classes, dtype=torch.float64)


@pytest.mark.parametrize(
    ("loss", "dummy"),
    [
        (gradus.MSELoss(), DummyRegressor()),
        (gradus.HuberLoss(delta=1e3), DummyRegressor()),
        (gradus.L1Loss(), DummyRegressor(strategy="median")),
        (gradus.PinballLoss(0.75), DummyRegressor(strategy="quantile", quantile=0.75)),
    ],
)
def test_numbers_are_predicted_as_by_a_dummy_regressor(loss, dummy):
    data = dataset(NUMBERS.double())
    dummy.fit(data.x, NUMBERS)
    expected = loss(torch.from_numpy(dummy.predict(data.x)), NUMBERS.double()).item()
    assert best_constant(data, loss).judge(data)[:2] == (pytest.approx(expected), None)


@pytest.mark.parametrize("loss", [gradus.CrossEntropyLoss(), gradus.NLLLoss()])
def test_classes_are_predicted_by_their_shares(loss):
    data = dataset(CLASSES, classes=("a", "b", "c"))
    shares = torch.bincount(CLASSES) / len(CLASSES)
    entropy = -(shares * shares.log()).sum().item()
    dummy = DummyClassifier(strategy="most_frequent").fit(data.x, CLASSES)
    found = best_constant(data, loss).judge(data)[:2]
    assert found == (pytest.approx(entropy), pytest.approx(dummy.score(data.x, CLASSES)))


def test_rows_of_probabilities_are_predicted_by_their_mean():
    y = torch.nn.functional.one_hot(CLASSES).double() * 0.7 + 0.1
    data = dataset(y, classes=("a", "b", "c"))
    loss = gradus.KLDivLoss(reduction="batchmean")
    expected = loss(y.mean(dim=0).log().expand_as(y), y).item()
    assert best_constant(data, loss).judge(data)[0] == pytest.approx(expected)


@pytest.mark.parametrize(
    ("loss", "y", "classes"),
    [
        (gradus.MSELoss(), NUMBERS.double(), None),
        (gradus.L1Loss(), NUMBERS.double(), None),
        *((gradus.PinballLoss(tau), NUMBERS.double(), None) for tau in (0.01, 0.4, 0.9, 0.99)),
        *((gradus.HuberLoss(delta=delta), NUMBERS.double(), None) for delta in (0.5, 4.0, 100.0)),
        (gradus.CrossEntropyLoss(), CLASSES, ("a", "b", "c")),
    ],
)
def test_no_other_constant_is_better(loss, y, classes):
    data = dataset(y, classes)
    constant = best_constant(data, loss)
    least = constant.judge(data)[0]
    generator = torch.Generator().manual_seed(0)
    for scale in (1e-3, 0.1, 3.0):
        other = constant.output + scale * torch.randn(
            len(constant.output), generator=generator, dtype=torch.float64
        )
        value = loss(other.expand(len(data), -1), y).item()
        assert value >= least * (1 - 1e-12)


@pytest.mark.parametrize(
    ("loss", "y", "classes"),
    [
        *(
            (loss, NUMBERS.double(), None)
            for loss in (
                gradus.MSELoss(),
                gradus.L1Loss(),
                gradus.PinballLoss(0.3),
                gradus.HuberLoss(delta=4.0),
            )
        ),
        (gradus.CrossEntropyLoss(label_smoothing=0.1), CLASSES[:5], ("a", "b", "c")),
    ],
)
def test_an_example_of_a_weight_is_as_many_examples(loss, y, classes):
    weights = torch.tensor([3, 0, 1, 2, 1])
    data = dataset(y, classes)
    weighted = replace(data, weights=weights.double())
    repeated = data.subset(torch.arange(5).repeat_interleave(weights))
    one, other = best_constant(weighted, loss), best_constant(repeated, loss)
    torch.testing.assert_close(one.output, other.output)
    assert one.judge(weighted).loss == pytest.approx(other.judge(repeated).loss)


def test_a_class_that_training_lacks_costs_much_and_is_no_error():
    train = dataset(torch.tensor([0, 0, 1]), classes=("a", "b", "c"))
    test = dataset(torch.tensor([2]), classes=("a", "b", "c"))
    judged = best_constant(train, gradus.CrossEntropyLoss()).judge(test)
    assert math.isfinite(judged.loss)
    assert (judged.loss > 100, judged.accuracy) == (True, 0.0)


def test_a_loss_that_is_not_known_has_none():
    class Own(gradus.MSELoss):
        pass

    assert best_constant(dataset(NUMBERS.double()), Own()) is None
    assert best_constant(dataset(NUMBERS.double()), torch.nn.SmoothL1Loss()) is None


WEIGHT = torch.tensor([1.0, 5.0, 0.5], dtype=torch.float64)
PROBABLE = torch.nn.functional.one_hot(CLASSES).double() * 0.7 + 0.1


@pytest.mark.parametrize("y", [CLASSES, PROBABLE], ids=["classes", "probabilities"])
@pytest.mark.parametrize("weight", [None, WEIGHT])
@pytest.mark.parametrize("smoothing", [0.0, 0.3])
def test_nothing_pulls_at_the_best_constant_of_cross_entropy(y, weight, smoothing):
    loss = gradus.CrossEntropyLoss(weight, label_smoothing=smoothing)
    output = best_constant(dataset(y, ("a", "b", "c")), loss).output.requires_grad_()
    (gradient,) = torch.autograd.grad(loss(output.expand(len(y), -1), y), output)
    assert gradient.abs().max() < 1e-15


def test_nothing_pulls_at_the_best_constant_of_weighted_log_probabilities():
    loss = gradus.NLLLoss(WEIGHT)
    output = best_constant(dataset(CLASSES, ("a", "b", "c")), loss).output.requires_grad_()
    value = loss(output.log_softmax(0).expand(len(CLASSES), -1), CLASSES)
    assert torch.autograd.grad(value, output)[0].abs().max() < 1e-15
    assert output.exp().sum().item() == pytest.approx(1)


def test_no_constant_is_called_the_best_where_targets_are_ignored():
    data = dataset(CLASSES, ("a", "b", "c"))
    assert best_constant(data, gradus.CrossEntropyLoss(ignore_index=0)) is None
    assert best_constant(data, gradus.CrossEntropyLoss()) is not None
