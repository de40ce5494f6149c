"""The test pass against plain PyTorch on all examples at once."""

import pytest
import torch
from torch import nn

import gradus
from gradus.data.dataset import Dataset
from gradus.engine import evaluate as module
from gradus.engine.evaluate import evaluate

N, FEATURES, CLASSES = 23, 4, 3
NAMES = ("a", "b", "c")
WEIGHT = torch.tensor([0.5, 2.0, 1.25], dtype=torch.float64)

# The same sums of float64, in another order.
TOLERANCE = {"rel": 1e-12}


@pytest.fixture(autouse=True, params=[1, 7, 23, 2000])
def chunk(request, monkeypatch):
    monkeypatch.setattr(module, "CHUNK", request.param)


@pytest.fixture
def model():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        layers = nn.Linear(FEATURES, 5), nn.BatchNorm1d(5), nn.Dropout(0.5), nn.Linear(5, CLASSES)
        return nn.Sequential(*layers).double()


def examples():
    random = torch.Generator().manual_seed(1)
    x = torch.randn(N, FEATURES, generator=random, dtype=torch.float64)
    return x, torch.randint(CLASSES, (N,), generator=random)


def outputs(model, x):
    training = model.training
    with torch.no_grad():
        result = model.eval()(x)
    model.train(training)
    return result


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"weight": WEIGHT},
        {"ignore_index": 1},
        {"weight": WEIGHT, "label_smoothing": 0.1, "ignore_index": 0},
        {"reduction": "sum"},
    ],
    ids=lambda options: "-".join(options) or "plain",
)
def test_loss_and_accuracy_are_exact(model, options):
    x, y = examples()
    expected = outputs(model, x)
    loss, accuracy, *_ = evaluate(
        model, gradus.CrossEntropyLoss(**options), Dataset(x, y, NAMES, dtype=torch.float64)
    )
    reference = nn.CrossEntropyLoss(**options)(expected, y)
    assert loss == pytest.approx(reference.item(), **TOLERANCE)
    assert accuracy == sum(expected.argmax(1).eq(y).tolist()) / N
    assert 0 < accuracy < 1


def test_rows_of_probabilities_count_their_largest_as_the_class(model):
    x, y = examples()
    rows = nn.functional.one_hot(y, CLASSES).double()
    expected = outputs(model, x)
    loss, accuracy, *_ = evaluate(
        model, gradus.CrossEntropyLoss(), Dataset(x, rows, NAMES, dtype=torch.float64)
    )
    assert loss == pytest.approx(nn.functional.cross_entropy(expected, y).item(), **TOLERANCE)
    assert accuracy == sum(expected.argmax(1).eq(y).tolist()) / N


def test_numbers_have_no_accuracy(model):
    x, _ = examples()
    data = Dataset(x, x[:, :CLASSES], dtype=torch.float64)
    loss, accuracy, *_ = evaluate(model, gradus.MSELoss(), data)
    expected = (outputs(model, x) - x[:, :CLASSES]).square().mean()
    assert loss == pytest.approx(expected.item(), **TOLERANCE)
    assert accuracy is None


@pytest.mark.parametrize("training", [True, False])
def test_the_model_is_left_as_it_was(model, training):
    model.train(training)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    x, y = examples()
    evaluate(model, gradus.CrossEntropyLoss(), Dataset(x, y, NAMES, dtype=torch.float64))
    assert {m.training for m in model.modules()} == {training}
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
    assert all(p.grad is None and p.requires_grad for p in model.parameters())
