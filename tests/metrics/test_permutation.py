"""What is lost with a column, against its closed form and scikit-learn."""

import numpy as np
import pytest
from sklearn.inspection import permutation_importance as of_scikit_learn
from sklearn.linear_model import LinearRegression

from gradus.metrics.permutation import permutation_importance

WEIGHTS = np.array([3.0, -1.0, 0.0])


def examples(n, seed=0):
    random = np.random.default_rng(seed)
    x = random.normal(size=(n, 3)) * [1.0, 2.0, 5.0]
    return x, x @ WEIGHTS + random.normal(size=n)


def of_squares(x, y):
    return lambda inputs, at: (inputs @ WEIGHTS - y[at]) ** 2 / y.var()


COLUMNS = [(name, slice(at, at + 1)) for at, name in enumerate("abc")]


@pytest.mark.parametrize("most", [10**6, 3_000])
def test_a_linear_model_loses_twice_the_variance_of_its_term(most):
    """Of x and an independent copy the mean of (w x - w x')² is 2 w² var x."""
    x, y = examples(2_000)
    found = {e.column: e for e in permutation_importance(x, COLUMNS, of_squares(x, y), most=most)}
    for at, name in enumerate("abc"):
        expected = 2 * WEIGHTS[at] ** 2 * x[:, at].var() / y.var()
        assert found[name].low <= expected <= found[name].high
    # Its weight is 0, and the sums that it stands in are rounded otherwise.
    assert (found["c"].low, found["c"].high) == pytest.approx((0, 0), abs=1e-15)


def test_it_is_that_of_scikit_learn_but_for_the_draw():
    x, y = examples(1_000)
    model = LinearRegression(fit_intercept=False).fit(np.eye(3), WEIGHTS)
    expected = of_scikit_learn(model, x, y, n_repeats=20, random_state=0)
    found = {e.column: e for e in permutation_importance(x, COLUMNS, of_squares(x, y), most=10**6)}
    for at, name in enumerate("abc"):
        # 5 permutations beside 20: a few of the deviations between permutations.
        allowed = 4 * expected.importances_std[at]
        assert found[name].lost == pytest.approx(expected.importances_mean[at], abs=allowed + 1e-9)


def test_the_features_of_a_column_go_together():
    """A name as three features, one hot: permuted apart they would be no name any more."""
    random = np.random.default_rng(1)
    x = np.eye(3)[random.integers(0, 3, 200)]

    def losses(inputs, at):
        assert (inputs.sum(axis=1) == 1).all()
        return (inputs.argmax(axis=1) != x[at].argmax(axis=1)).astype(float)

    (found,) = permutation_importance(x, [("colour", slice(0, 3))], losses, most=10**5)
    assert found.low < 2 / 3 < found.high


@pytest.mark.parametrize(("n", "most"), [(500, 100), (7, 10**6), (10_000, 30_000)])
def test_so_many_rows_go_through_the_model_and_no_more(n, most):
    x, y = examples(n)
    rows = []

    def losses(inputs, at):
        rows.append(len(inputs))
        return of_squares(x, y)(inputs, at)

    permutation_importance(x, COLUMNS, losses, most=most)
    assert sum(rows[1:]) <= most
    assert len(rows) == 4


def test_two_examples_have_no_interval():
    x, y = examples(2)
    for each in permutation_importance(x, COLUMNS, of_squares(x, y), most=100):
        assert (each.low, each.high) == (None, None)
