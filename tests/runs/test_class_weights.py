"""What classes count: by scikit-learn's weights, and in a run from the file to the record."""

import math
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.utils.class_weight import compute_class_weight

import gradus
from gradus.data.dataset import Dataset
from gradus.runs.class_weights import weights_of
from gradus.runs.spec import RunSpec

NAMES = ("ash", "elm", "oak")
LABELS = torch.tensor([0, 2, 2, 0, 2, 1, 2])
DATA = Dataset(torch.zeros(7, 1), LABELS, classes=NAMES)


@pytest.mark.parametrize(
    ("given", "theirs"),
    [("balanced", "balanced"), ("oak=3,ash=0", {0: 0, 2: 3}), ("elm=0.25", {1: 0.25})],
)
def test_weights_are_those_of_scikit_learn(given, theirs):
    expected = compute_class_weight(theirs, classes=np.arange(3), y=LABELS.numpy())
    found = weights_of(RunSpec(class_weight=given).class_weight, DATA)
    assert found.tolist() == pytest.approx(expected.tolist())


def test_probabilities_count_as_the_examples_that_they_stand_for():
    rows = Dataset(torch.zeros(7, 1), torch.nn.functional.one_hot(LABELS).double(), classes=NAMES)
    assert torch.equal(weights_of(("balanced",), rows), weights_of(("balanced",), DATA))


def test_examples_with_weights_are_counted_by_them():
    weights = torch.tensor([2, 1, 3, 1, 1, 4, 0])
    given = replace(DATA, weights=weights.double())
    repeated = DATA.subset(torch.arange(7).repeat_interleave(weights))
    assert torch.equal(weights_of(("balanced",), given), weights_of(("balanced",), repeated))


def test_a_class_without_training_examples_counts_as_one_that_is_not_named():
    data = Dataset(torch.zeros(3, 1), torch.tensor([0, 0, 2]), classes=NAMES)
    assert weights_of(("balanced",), data).tolist() == [0.75, 1, 1.5]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("oak=2,yew=3", "--class-weight yew: no such class; there are ash, elm, oak"),
        ("ash=0,elm=0,oak=0", "--class-weight: every class with training examples counts 0"),
    ],
)
def test_weights_that_no_class_can_have_are_refused(given, said):
    with pytest.raises(gradus.InputError, match=said):
        weights_of(RunSpec(class_weight=given).class_weight, DATA)


@pytest.fixture(scope="module")
def trees(tmp_path_factory):
    """A table of 9 elms to each ash, their heights apart by less than their deviation."""
    generator = np.random.default_rng(0)
    names = np.repeat(["elm", "ash"], [270, 30])
    heights = generator.normal(np.where(names == "elm", 0.0, 1.0), 1.0)
    path = tmp_path_factory.mktemp("data") / "trees.csv"
    rows = (f"{height!r},{name}" for height, name in zip(heights.tolist(), names, strict=True))
    path.write_text("height,tree\n" + "\n".join(rows) + "\n")
    return path


def trained(trees, **options):
    spec = RunSpec(data=str(trees), target="tree", model="linear", epochs=20, lr=0.05, **options)
    return gradus.train(spec)


@pytest.mark.parametrize("engine", ["native", "eager"])
def test_a_run_minimises_the_weighted_loss(trees, engine):
    options = {"class_weight": "ash=4", "label_smoothing": 0.1}
    run = trained(trees, engine=engine, loss="cross-entropy", **options)
    said = run.on_test
    logits = torch.from_numpy(said.probabilities).log()  # less a number that the loss does not see
    weight = torch.tensor([4.0, 1.0], dtype=torch.float64)
    expected = torch.nn.functional.cross_entropy(
        logits, torch.from_numpy(said.labels), weight, label_smoothing=0.1
    )
    assert run.summary["test"]["loss"] == pytest.approx(expected.item(), rel=1e-5)


def test_balanced_classes_are_named_as_often_as_they_would_be_alike(trees):
    """Bayes' rule with equal shares, where without weights nearly all are taken for elms."""
    plain, balanced = trained(trees), trained(trees, class_weight="balanced")
    assert balanced.summary["constant"]["train_loss"] == pytest.approx(math.log(2), rel=1e-6)
    ashes = [
        Counter(run.on_test.decisions.tolist())[run.on_test.classes.index("ash")]
        for run in (plain, balanced)
    ]
    examples = len(plain.on_test.labels)
    assert ashes[0] < 0.1 * examples < 0.25 * examples < ashes[1] < 0.6 * examples


def test_the_record_says_what_a_loss_that_followed_from_the_data_was_given(trees):
    spec = trained(trees, label_smoothing=0.1).spec
    assert (spec.loss, spec.label_smoothing, spec.class_weight) == ("cross-entropy", 0.1, ())


def test_numbers_have_no_classes_to_weigh(trees):
    with pytest.raises(gradus.InputError, match=r"^class_weight: is for classes, .* numbers"):
        gradus.train(RunSpec(data=str(trees), target="height", class_weight="balanced"))
    spec = gradus.train(RunSpec(data=str(trees), target="height", model="linear", epochs=1)).spec
    assert (spec.loss, spec.label_smoothing, spec.class_weight) == ("mse", None, None)
    assert RunSpec.model_validate(spec.model_dump()) == spec
