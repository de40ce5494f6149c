"""Figures of classes against scikit-learn; their influences against differences by weights."""

import numpy as np
import pytest
import sklearn.metrics as sk
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from gradus.metrics import figures_of_classes, reliability, wilson_interval
from gradus.metrics.decisions import balanced_accuracy, f1_of_one, macro_f1
from gradus.metrics.figure import Linearised
from gradus.metrics.ranking import average_precision, one_against_rest, roc_auc


def predictions(n, classes, seed, ties=False, shares=None):
    """Probabilities that know something of the labels; each class occurs."""
    random = np.random.default_rng(seed)
    labels = random.choice(classes, n, p=shares)
    labels[:classes] = np.arange(classes)
    logits = random.normal(size=(n, classes)) + 1.2 * np.eye(classes)[labels]
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    if ties:
        p = np.round(p, 1) + 1e-3
        p /= p.sum(axis=1, keepdims=True)
    return p, labels


def by_scikit_learn(p, labels):
    several = p.shape[1] > 2
    predicted, one_hot = p.argmax(axis=1), np.eye(p.shape[1])[labels]
    return {
        "accuracy": sk.accuracy_score(labels, predicted),
        "balanced_accuracy": sk.balanced_accuracy_score(labels, predicted),
        "f1": sk.f1_score(labels, predicted, average="macro"),
        "log_loss": sk.log_loss(labels, p, labels=range(p.shape[1])),
        "auc": sk.roc_auc_score(labels, p if several else p[:, 1], multi_class="ovr"),
        "average_precision": sk.average_precision_score(one_hot, p, average="macro"),
    }


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("classes", [2, 3, 7])
@pytest.mark.parametrize("n", [8, 50, 1_000])
def test_the_figures_are_those_of_scikit_learn(n, classes, ties):
    p, labels = predictions(n, classes, seed=n + classes, ties=ties)
    uneven = np.r_[0.1 / classes, np.full(classes - 1, (1 - 0.1 / classes) / (classes - 1))]
    found = figures_of_classes(p, labels, shares=uneven)
    expected = by_scikit_learn(p, labels)
    if classes == 2:  # of the rarer class alone, which is the first
        expected["average_precision"] = sk.average_precision_score(labels == 0, p[:, 0])
        expected["f1_of_rarer"] = sk.f1_score(labels, p.argmax(axis=1), pos_label=0)
    values = {name: each.value for name, each in found.items() if name != "calibration_error"}
    assert values == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("classes", [2, 4])
def test_beside_each_stands_that_of_the_shares_of_the_classes(classes):
    p, labels = predictions(200, classes, seed=1)
    shares = np.r_[0.1 / classes, np.full(classes - 1, (1 - 0.1 / classes) / (classes - 1))]
    expected = by_scikit_learn(np.tile(shares, (200, 1)), labels)
    if classes == 2:
        expected["average_precision"] = (labels == 0).mean()
        expected["f1_of_rarer"] = 0.0
    expected["calibration_error"] = abs(shares.max() - (labels == shares.argmax()).mean())
    found = figures_of_classes(p, labels, shares=shares)
    assert {name: each.constant for name, each in found.items()} == pytest.approx(expected)


def test_average_precision_is_for_classes_of_which_one_is_rare():
    p, labels = predictions(100, 4, seed=2)
    even = figures_of_classes(p, labels, shares=[0.13, 0.29, 0.29, 0.29])
    uneven = figures_of_classes(p, labels, shares=[0.12, 0.29, 0.29, 0.30])
    assert ("average_precision" in even, "average_precision" in uneven) == (False, True)


FIGURES = {
    "area": lambda p, labels: roc_auc(p[:, 1], labels == 1),
    "mean area": lambda p, labels: one_against_rest(
        [roc_auc(p[:, k], labels == k) for k in range(3)]
    ),
    "average precision": lambda p, labels: average_precision(p[:, 1], labels == 1),
}


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("figure", FIGURES.values(), ids=FIGURES)
def test_the_influence_of_an_example_is_the_derivative_by_its_weight(figure, ties):
    """An example counted twice among many copies of all moves the figure by its influence."""
    p, labels = predictions(20, 3, seed=3, ties=ties)
    copies = 1_000
    base, n = figure(p, labels), len(labels)
    assert base.influence.sum() == pytest.approx(0, abs=1e-9)
    weights = np.full(n, copies)
    for at in range(n):
        more, less = weights.copy(), weights.copy()
        more[at] += 1
        less[at] -= 1
        up, down = (
            figure(np.repeat(p, each, axis=0), np.repeat(labels, each)).value
            for each in (more, less)
        )
        assert (up - down) / 2 * n * copies == pytest.approx(base.influence[at], abs=2e-3)


def test_the_standard_error_of_an_area_is_that_of_delong():
    """By every pair of an example of the class and one of the rest, as the source defines it."""
    p, labels = predictions(60, 2, seed=4, ties=True)
    scores, positive = p[:, 1], labels == 1
    wins = np.sign(scores[positive][:, None] - scores[~positive][None]) / 2 + 0.5
    m, rest = wins.shape
    variance = wins.mean(axis=1).var() / m + wins.mean(axis=0).var() / rest
    found = roc_auc(scores, positive)
    assert found.standard_error**2 == pytest.approx(variance * 60 / 59, rel=1e-12)


def test_intervals_are_as_long_as_the_bootstrap_says():
    shares = [0.1, 0.3, 0.6]
    p, labels = predictions(600, 3, seed=5, shares=shares)
    found = figures_of_classes(p, labels, shares=shares)
    random = np.random.default_rng(0)
    drawn = [
        figures_of_classes(p[at], labels[at], shares=shares)
        for at in random.integers(0, 600, (400, 600))
    ]
    for name in ("balanced_accuracy", "f1", "auc", "average_precision"):
        low, high = np.quantile([each[name].value for each in drawn], [0.025, 0.975])
        # 400 draws know the length of the interval to about 5 %.
        assert found[name].high - found[name].low == pytest.approx(high - low, rel=0.2)
        assert found[name].low <= found[name].value <= found[name].high


CELLS = {
    "two even": [[0.46, 0.04], [0.04, 0.46]],
    "one rare": [[0.95, 0.02], [0.02, 0.01]],
    "one rare and hardly known": [[0.965, 0.005], [0.028, 0.002]],
    "three": [[0.50, 0.05, 0.05], [0.05, 0.20, 0.05], [0.02, 0.03, 0.05]],
    "ten": 0.095 * np.eye(10) + 0.05 / 90 * (1 - np.eye(10)),
}


@pytest.mark.parametrize("n", [100, 1_000])
@pytest.mark.parametrize("cells", CELLS.values(), ids=CELLS)
def test_intervals_of_decisions_hold_the_true_figures(cells, n):
    """Of 400 samples from a known confusion, at least 92 %: 3 deviations below 95 %."""
    cells = np.array(cells)
    truth = {
        balanced_accuracy: (cells.diagonal() / cells.sum(axis=1)).mean(),
        macro_f1: (2 * cells.diagonal() / (cells.sum(axis=0) + cells.sum(axis=1))).mean(),
        lambda matrix: f1_of_one(matrix, 0): 2 * cells[0, 0] / (cells[0].sum() + cells[:, 0].sum()),
    }
    random = np.random.default_rng(0)
    drawn = random.multinomial(n, cells.ravel(), size=400).reshape(-1, *cells.shape)
    drawn = [matrix for matrix in drawn if matrix.sum(axis=1).all()]
    for figure, value in truth.items():
        held = [(found := figure(matrix)).low <= value <= found.high for matrix in drawn]
        assert np.mean(held) >= 0.92


def test_the_accuracy_has_wilsons_interval():
    p, labels = predictions(80, 2, seed=6)
    correct = int((p.argmax(axis=1) == labels).sum())
    found = figures_of_classes(p, labels)["accuracy"]
    assert (found.low, found.high) == wilson_interval(correct, 80)


@pytest.mark.parametrize("size", [5, 50])
def test_all_right_is_no_certainty(size):
    """Of two even classes all found, the intervals are about those of as many examples."""
    labels = np.repeat([0, 1], size)
    found = figures_of_classes(np.eye(2)[labels] * 0.98 + 0.01, labels)
    low, _ = wilson_interval(2 * size, 2 * size)
    assert found["auc"].low == pytest.approx(low)
    for name in ("balanced_accuracy", "f1"):
        assert 1 - found[name].low == pytest.approx(1 - low, rel=0.5)
        assert found[name].high == 1


@pytest.mark.parametrize("right", [0, 97])
def test_a_class_of_few_examples_is_what_is_not_known(right):
    """None of three found, and as good as all of the others: the whole interval is theirs."""
    matrix = np.array([[right, 97 - right], [3, 0]])
    low, high = (end / 2 for end in wilson_interval(0, 3))
    found = balanced_accuracy(matrix)
    assert (found.low, found.high) == pytest.approx(
        (found.value - low, found.value + high), abs=0.02
    )


def test_a_class_with_one_example_has_no_area_with_an_interval():
    p, labels = predictions(30, 2, seed=11)
    labels = np.r_[1, np.zeros(29, int)]
    found = figures_of_classes(p, labels)["auc"]
    assert (found.low, found.reason) == (None, "a class with one example has no spread")
    assert found.value == pytest.approx(sk.roc_auc_score(labels, p[:, 1]))


def test_a_model_that_only_knows_the_commonest_class_looks_like_it():
    labels = np.r_[np.zeros(97, int), np.ones(3, int)]
    p = np.tile([0.9, 0.1], (100, 1))
    found = figures_of_classes(p, labels, shares=[0.97, 0.03])
    assert found["accuracy"].value == 0.97
    for name in ("accuracy", "balanced_accuracy", "f1", "f1_of_rarer", "auc", "average_precision"):
        assert found[name].value == pytest.approx(found[name].constant)
    assert (found["f1_of_rarer"].value, found["balanced_accuracy"].value) == (0.0, 0.5)


@pytest.mark.parametrize(
    ("labels", "missing"),
    [
        ([0, 1, 0, 1], {"auc": "no example of c", "average_precision": "no example of c"}),
        ([1, 1, 1, 1], {"balanced_accuracy": "all are of one class, b", "auc": "no example of a"}),
    ],
)
def test_what_cannot_be_computed_is_missing_and_says_why(labels, missing):
    p, _ = predictions(4, 3, seed=7)
    found = figures_of_classes(
        p, np.array(labels), shares=[0.45, 0.45, 0.1], classes=("a", "b", "c")
    )
    for name, reason in missing.items():
        assert (found[name].value, found[name].low, found[name].constant) == (None, None, None)
        assert reason in found[name].reason


@pytest.mark.parametrize("n", [1, 2])
def test_so_few_examples_have_no_interval_but_of_decisions(n):
    found = figures_of_classes(np.array([[0.9, 0.1], [0.4, 0.6]])[:n], np.array([0, 1])[:n])
    assert found["accuracy"].low is not None
    for name in ("auc", "log_loss", "calibration_error"):
        assert found[name].low is None
        assert found[name].reason


@settings(max_examples=60, deadline=None)
@given(st.integers(2, 4), st.integers(1, 12), st.data())
def test_no_figure_is_no_number(classes, n, data):
    logits = data.draw(arrays(float, (n, classes), elements=st.sampled_from([-800, -1, 0, 2, 800])))
    labels = data.draw(arrays(np.int64, n, elements=st.integers(0, classes - 1)))
    p = np.exp(logits - logits.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    shares = np.r_[0.0, np.full(classes - 1, 1 / (classes - 1))]
    for figure in figures_of_classes(p, labels, shares=shares).values():
        numbers = (figure.value, figure.low, figure.high, figure.constant)
        assert all(each is None or np.isfinite(each) for each in numbers)
        assert (figure.low is None) == (figure.high is None)
        assert figure.low is not None or figure.reason
        if figure.low is not None:
            assert figure.low <= figure.high


def test_wrong_shapes_are_refused():
    for p, labels in ((np.ones((3, 2)), np.zeros(2)), (np.ones(3), np.zeros(3)), ([], [])):
        with pytest.raises(ValueError, match="with an example at least"):
            figures_of_classes(p, labels)


def test_the_calibration_error_is_that_of_its_definition():
    p, labels = predictions(300, 4, seed=8)
    confidence, right = p.max(axis=1), p.argmax(axis=1) == labels
    expected = 0.0
    for low in range(15):
        inside = (confidence > low / 15) & (confidence <= (low + 1) / 15)
        if inside.any():
            gap = abs(right[inside].mean() - confidence[inside].mean())
            expected += inside.mean() * gap
    assert reliability(confidence, right).error == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(
    ("apart", "n"), [(0.0, 100), (0.0, 2_000), (0.03, 1_000), (0.08, 300), (0.2, 1_000)]
)
def test_the_interval_of_the_calibration_error_holds_the_true_one(apart, n):
    """Of a model that is off by so much wherever it is; 500 times, 90 % of them at least."""
    random = np.random.default_rng(9)
    held = 0
    for _ in range(500):
        confidence = random.uniform(0.5, 1, n)
        right = random.random(n) < np.clip(confidence - apart, 0, 1)
        p = np.stack([confidence, 1 - confidence], axis=1)
        found = figures_of_classes(p, np.where(right, 0, 1))["calibration_error"]
        held += found.low <= apart <= found.high
    assert held >= 450


def test_a_linearised_figure_of_one_example_has_no_error():
    assert np.isnan(Linearised(1.0, np.zeros(1)).standard_error)
