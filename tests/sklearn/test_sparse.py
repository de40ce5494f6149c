"""Sparse X in the estimators: a fit is that on the array, and what scikit-learn makes goes in."""

import pickle

import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.base import clone
from sklearn.feature_extraction.text import HashingVectorizer, TfidfVectorizer
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from gradus.sklearn import (
    GradusClassifier,
    GradusLinearClassifier,
    GradusLinearRegressor,
    GradusRegressor,
    SweepCV,
)
from gradus.sklearn.linear import _greatest

RANDOM = np.random.default_rng(0)
X = sp.random_array((120, 15), density=0.2, rng=0, format="csr")
Y = (X @ RANDOM.normal(size=15) > 0).astype(int)
NUMBERS = X @ RANDOM.normal(size=15)
WEIGHTS = RANDOM.integers(0, 3, 120).astype(float)
QUICK = {"random_state": 0, "epochs": 4, "batch_size": 32, "scaling": None}
NETS = {**QUICK, "hidden": (5,), "models": 1, "pieces": 0}
TEXTS = ["good film", "bad film", "very good", "awful, bad"] * 6


@pytest.mark.parametrize(
    ("estimator", "y"),
    [
        (GradusLinearClassifier(**QUICK), Y),
        (GradusLinearClassifier("l1", strength=0.01, early_stopping=True, **QUICK), Y),
        (GradusLinearClassifier(loss="hinge", class_weight={0: 1, 1: 3}, **QUICK), Y),
        (GradusLinearRegressor("elastic-net", strength=0.01, **QUICK), NUMBERS),
        (GradusLinearRegressor(**QUICK), np.column_stack([NUMBERS, -NUMBERS])),
        (GradusClassifier(**NETS), Y),
        (GradusRegressor(**NETS), NUMBERS),
    ],
    ids=lambda given: type(given).__name__,
)
def test_a_fit_is_that_on_the_array(estimator, y):
    gives = "decision_function" if hasattr(estimator, "decision_function") else "predict"

    def same(one, other):
        forms = [X, X.tocsc(), X.tocoo(), sp.csr_matrix(X), X.toarray()]
        said = [getattr(each, gives)(form) for each in (one, other) for form in forms]
        for each in said[1:]:
            np.testing.assert_allclose(each, said[0], rtol=0, atol=1e-10)
        if hasattr(one, "coef_"):
            np.testing.assert_allclose(one.coef_, other.coef_, rtol=0, atol=1e-10)

    for weights in (None, WEIGHTS):
        same(*(clone(estimator).fit(x, y, weights) for x in (X, X.toarray())))
    one, other = clone(estimator), clone(estimator)
    classes = {"classes": [0, 1]} if y is Y else {}
    for at in (slice(0, 60), slice(60, 120)):
        one.partial_fit(X[at], y[at], **classes)
        other.partial_fit(X[at].toarray(), y[at], **classes)
    same(pickle.loads(pickle.dumps(one)), other)


def test_columns_are_divided_by_their_largest_value():
    largest = abs(X).max(axis=0).toarray()
    scaled = GradusLinearClassifier(**{**QUICK, "scaling": "standard"}).fit(X, Y)
    by_hand = GradusLinearClassifier(**QUICK).fit(X.toarray() / largest, Y)
    np.testing.assert_allclose(scaled.coef_ * largest, by_hand.coef_, rtol=0, atol=1e-10)
    np.testing.assert_allclose(
        X @ scaled.coef_[0] + scaled.intercept_, scaled.decision_function(X), rtol=0, atol=1e-12
    )


def test_what_was_fitted_to_an_array_predicts_sparse_rows():
    net = GradusClassifier(**{**NETS, "scaling": "robust", "pieces": 8}).fit(X.toarray(), Y)
    assert np.array_equal(net.predict_proba(X), net.predict_proba(X.toarray()))


def test_indices_of_any_order_and_width_are_taken_and_left_as_they_are():
    starts, halves = X.indptr.astype(np.int64) * 2, np.repeat(X.data / 2, 2)
    twice = sp.csr_array((halves, np.repeat(X.indices.astype(np.int64), 2), starts), X.shape)
    before = twice.indices.copy()
    given, plain = (GradusLinearClassifier(**QUICK).fit(x, Y).coef_ for x in (twice, X))
    np.testing.assert_allclose(given, plain, rtol=0, atol=1e-10)
    assert np.array_equal(twice.indices, before)


@pytest.mark.parametrize(
    "first", [HashingVectorizer(n_features=2**10), TfidfVectorizer(), OneHotEncoder()], ids=repr
)
@pytest.mark.parametrize(
    "estimator",
    [
        GradusLinearClassifier(epochs=40, random_state=0),
        GradusClassifier(**{**NETS, "epochs": 40, "lr": 0.05, "batch_size": 8}),
    ],
)
def test_a_pipeline_of_text_learns(first, estimator):
    texts = np.array(TEXTS)[:, None] if isinstance(first, OneHotEncoder) else TEXTS
    reviews = make_pipeline(first, clone(estimator)).fit(texts, ["yes", "no"] * 12)
    assert reviews.score(texts, ["yes", "no"] * 12) == 1


def test_searches_and_scores_take_it():
    linear = GradusLinearClassifier(**QUICK)
    search = SweepCV(linear, {"strength": [0.01, 0.1], "penalty": ["l1"]}, cv=2).fit(X, Y)
    assert search.predict(X).shape == (120,)
    assert cross_val_score(linear, X, Y, cv=2).shape == (2,)


def test_the_greatest_eigenvalue_of_a_large_sparse_matrix_is_that_of_the_array():
    x = sp.random_array((400, 3000), density=0.01, rng=0, format="csr")
    shares = np.full(400, 1 / 400)
    assert _greatest(x, shares) == pytest.approx(_greatest(x.toarray(), shares), rel=1e-10)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (sp.csr_array((X.data * np.nan, X.indices, X.indptr), X.shape), "contains NaN"),
        (X.astype(complex), "Complex data not supported"),
        (X[:3], "inconsistent numbers of samples"),
        (X[:, :0], "0 feature"),
    ],
)
def test_what_is_no_x_is_refused(given, said):
    with pytest.raises(ValueError, match=said):
        GradusLinearClassifier(**QUICK).fit(given, Y)
    with pytest.raises(ValueError, match="14 features, but GradusLinearClassifier is expecting 15"):
        GradusLinearClassifier(**QUICK).fit(X, Y).predict(X[:, :14])
