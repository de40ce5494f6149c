import numpy as np
import pytest
from scipy.special import softmax
from sklearn.datasets import load_diabetes, load_iris, make_classification
from sklearn.feature_selection import SelectFromModel
from sklearn.linear_model import ElasticNet, SGDClassifier
from sklearn.svm import LinearSVC

from gradus import InputError
from gradus.sklearn import GradusLinearClassifier, GradusLinearRegressor

X, LABELS = load_iris(return_X_y=True)
Z = (X - X.mean(axis=0)) / X.std(axis=0)
V, NUMBERS = load_diabetes(return_X_y=True)
V = V / V.std(axis=0)
STANDARD = (NUMBERS - NUMBERS.mean()) / NUMBERS.std()


def test_no_other_coefficients_are_better():
    """The conditions of Karush, Kuhn and Tucker for the L1 penalty."""
    few = GradusLinearClassifier("l1", strength=0.05, scaling=None, random_state=0)
    (network,) = few.fit(Z, LABELS).networks_
    w = np.column_stack([network.weights[0], network.biases[0]])
    z = np.column_stack([Z, np.ones(len(Z))])
    gradient = (softmax(z @ w.T, axis=1) - np.eye(3)[LABELS]).T @ z / len(z)
    assert 0 < (w == 0).sum() < w.size
    np.testing.assert_allclose(gradient[w != 0], -0.05 * np.sign(w[w != 0]), atol=1e-3)
    assert (abs(gradient[w == 0]) <= 0.05 + 1e-6).all()


@pytest.mark.parametrize("l1_ratio", [0.0, 0.5, 1.0])
def test_elastic_net_is_that_of_scikit_learn(l1_ratio):
    ours = GradusLinearRegressor(
        "elastic-net", strength=0.2, l1_ratio=l1_ratio, scaling=None, random_state=0
    ).fit(V, STANDARD)
    theirs = ElasticNet(alpha=0.1, l1_ratio=l1_ratio, tol=1e-12).fit(V, STANDARD)
    np.testing.assert_allclose(ours.coef_, theirs.coef_, atol=1e-6)
    np.testing.assert_array_equal(ours.coef_ == 0, theirs.coef_ == 0)


@pytest.mark.parametrize("classes", [2, 3])
def test_hinge_is_the_support_vector_machine_of_scikit_learn(classes):
    """Which penalises the intercept too, tells each class from the rest, and solves the dual."""
    z, y = Z[classes > LABELS], LABELS[classes > LABELS]
    theirs = LinearSVC(loss="hinge", C=1 / (0.05 * len(z)), tol=1e-8, max_iter=200_000).fit(z, y)
    ours = GradusLinearClassifier(
        "squared-l2", strength=0.05, loss="hinge", scaling=None, random_state=0, epochs=1_000
    ).fit(z, y)
    assert ours.engine_ == "native"
    np.testing.assert_allclose(ours.coef_, theirs.coef_, atol=1e-2)
    np.testing.assert_allclose(ours.intercept_, theirs.intercept_, atol=1e-2)
    np.testing.assert_allclose(
        ours.decision_function(z), z @ ours.coef_.T.squeeze() + ours.intercept_, rtol=1e-9
    )
    np.testing.assert_array_equal(ours.predict(z), theirs.predict(z))
    assert not hasattr(ours, "predict_proba")


@pytest.mark.parametrize("classes", [2, 3])
def test_modified_huber_has_the_probabilities_of_scikit_learn(classes):
    x, y = Z[classes > LABELS], LABELS[classes > LABELS]
    ours = GradusLinearClassifier(
        "squared-l2", strength=0.01, loss="modified-huber", scaling=None, random_state=0
    ).fit(x, y)
    theirs = SGDClassifier(loss="modified_huber").fit(x, y)
    theirs.coef_, theirs.intercept_ = ours.coef_, ours.intercept_  # two of which, opposite
    np.testing.assert_allclose(ours.predict_proba(x), theirs.predict_proba(x), atol=1e-3)
    far = ours.predict_proba(1e6 * x)
    np.testing.assert_allclose(far.sum(axis=1), 1)
    with np.errstate(divide="ignore"):
        np.testing.assert_array_equal(ours.predict_log_proba(x), np.log(ours.predict_proba(x)))


def test_with_huber_the_residuals_that_are_cut_are_at_right_angles_to_the_columns():
    y = STANDARD.copy()
    y[::20] += 20
    x = V[:, 1:4]
    fitted = GradusLinearRegressor(
        loss="huber", delta=1.5, scaling=None, standardize_target=False, random_state=0, epochs=200
    ).fit(x, y)
    cut = np.clip(fitted.predict(x) - y, -1.5, 1.5)
    np.testing.assert_allclose([cut.mean(), *(cut @ x / len(x))], 0, atol=1e-3)


@pytest.mark.parametrize("scaling", ["standard", None])
@pytest.mark.parametrize("classes", [2, 3])
def test_scores_are_those_of_the_coefficients(classes, scaling):
    x, y = X[classes > LABELS], LABELS[classes > LABELS]
    fitted = GradusLinearClassifier(scaling=scaling, epochs=20, random_state=0).fit(x, y)
    expected = x @ fitted.coef_.T + fitted.intercept_
    if classes == 2:
        assert fitted.coef_.shape == (1, 4)
        np.testing.assert_allclose(fitted.decision_function(x), expected[:, 0], rtol=1e-9)
    np.testing.assert_allclose(
        fitted.predict_proba(x),
        softmax(np.column_stack([0 * expected, expected]) if classes == 2 else expected, axis=1),
        rtol=1e-9,
    )


@pytest.mark.parametrize("y", [NUMBERS, np.column_stack([NUMBERS, 1e4 + V[:, 0]])], ids=["1", "2"])
def test_predictions_are_those_of_the_coefficients(y):
    fitted = GradusLinearRegressor(epochs=20, random_state=0).fit(V, y)
    expected = V @ fitted.coef_.T + fitted.intercept_
    np.testing.assert_allclose(fitted.predict(V), expected, rtol=1e-9)


def test_the_rate_is_one_over_how_much_the_risk_bends():
    """A step of it lands in the minimum of a parabola; one of more than twice as much diverges."""
    x, y = np.full((8, 1), 3.0), np.arange(8.0)
    options = {"scaling": None, "standardize_target": False, "random_state": 0, "epochs": 1}
    once = GradusLinearRegressor(
        method="gradient-descent", schedule="constant", **options
    ).fit(x, y)  # fmt: skip
    assert once.predict(x) == pytest.approx(np.full(8, 3.5))


def test_mini_batches_of_much_data_come_near():
    x, y = make_classification(6_000, 20, random_state=0)
    fitted = GradusLinearClassifier(random_state=0).fit(x, y)
    assert fitted.n_iter_ == 21
    whole = GradusLinearClassifier(random_state=0, batch_size=6_000, epochs=300).fit(x, y)
    assert fitted.score(x, y) == pytest.approx(whole.score(x, y), abs=0.005)
    np.testing.assert_allclose(fitted.coef_, whole.coef_, atol=0.1)


def test_coefficients_select_columns():
    few = GradusLinearRegressor("l1", strength=0.5, random_state=0)
    assert SelectFromModel(few).fit(V, NUMBERS).transform(V).shape[1] < 10


def test_bit_by_bit_is_learned_too():
    parts = GradusLinearClassifier(random_state=0)
    for _ in range(30):
        parts.partial_fit(X, LABELS, classes=[0, 1, 2])
    assert parts.score(X, LABELS) > 0.9


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"scaling": "robust"}, "scaling robust: give standard or None"),
        ({"penalty": "l1"}, "penalty l1 needs strength"),
        ({"strength": 1.0}, "strength needs penalty: l1 | l2 | squared-l2 | elastic-net"),
        ({"loss": "log_loss"}, "loss log_loss: is called cross-entropy here"),
        ({"loss": "modified_huber"}, "loss modified_huber: is called modified-huber here"),
        ({"loss": "hing"}, "loss hing: choose cross-entropy | hinge | modified-huber"),
        ({"batch_size": 0}, "batch_size 0: must be greater than or equal to 1"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(changes, message):
    with pytest.raises(InputError) as refusal:
        GradusLinearClassifier(**changes).fit(X, LABELS)
    assert str(refusal.value) == message
