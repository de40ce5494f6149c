import threading

import numpy as np
import pytest
import torch
from scipy.stats import loguniform
from sklearn.datasets import load_iris
from sklearn.model_selection import GridSearchCV, RandomizedSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from gradus import InputError
from gradus.sklearn import GradusClassifier, GradusRegressor, SweepCV, inputs, sharing
from gradus.sklearn.threads import one_thread_each

X, LABELS = load_iris(return_X_y=True)
NUMBERS = X @ [1.0, -2.0, 0.5, 3.0]
SMALL = {"hidden": (8,), "models": 1, "epochs": 2, "random_state": 0}
GRID = {"lr": [0.0, 0.02], "pieces": [0, 4]}


def of_classes():
    return GradusClassifier(**SMALL), LABELS


def of_numbers():
    return GradusRegressor(**SMALL), NUMBERS


def in_a_pipeline():
    return make_pipeline(StandardScaler(), GradusClassifier(**SMALL)), LABELS


def scores(search):
    return {name: kept for name, kept in search.cv_results_.items() if "time" not in name}


def assert_same(ours, theirs):
    assert ours.cv_results_.keys() == theirs.cv_results_.keys()
    for name, kept in scores(theirs).items():
        np.testing.assert_array_equal(scores(ours)[name], kept, err_msg=name)
    assert (ours.best_params_, ours.best_score_) == (theirs.best_params_, theirs.best_score_)
    np.testing.assert_array_equal(ours.predict(X), theirs.predict(X))


@pytest.mark.parametrize(
    ("make", "n_jobs"), [(of_classes, None), (of_numbers, 3), (in_a_pipeline, 3)]
)
def test_scores_are_those_of_scikit_learn(make, n_jobs):
    estimator, y = make()
    name = "gradusclassifier__" if make is in_a_pipeline else ""
    grid = {name + option: values for option, values in GRID.items()}
    given = {"cv": 2, "return_train_score": True}
    weights = {f"{name}sample_weight": np.arange(len(X)) % 4} if make is of_numbers else {}
    theirs = GridSearchCV(estimator, grid, **given).fit(X, y, **weights)
    assert_same(SweepCV(estimator, grid, n_jobs=n_jobs, **given).fit(X, y, **weights), theirs)


def test_candidates_are_drawn_as_scikit_learn_draws_them():
    space, given = {"lr": loguniform(1e-3, 1e-1), "pieces": [0, 4]}, {"n_iter": 3, "cv": 2}
    ours = SweepCV(of_classes()[0], space, random_state=5, **given).fit(X, LABELS)
    theirs = RandomizedSearchCV(of_classes()[0], space, random_state=5, **given).fit(X, LABELS)
    assert_same(ours, theirs)


def test_several_scores_and_spaces():
    given = {"scoring": ["accuracy", "neg_log_loss"], "refit": "neg_log_loss", "cv": 2}
    spaces = [{"lr": [0.01]}, {"pieces": [0], "lr": [0.02, 0.03]}]
    ours = SweepCV(of_classes()[0], spaces, **given).fit(X, LABELS)
    assert_same(ours, GridSearchCV(of_classes()[0], spaces, **given).fit(X, LABELS))


def test_columns_are_fitted_once_for_all_that_want_them_so(monkeypatch):
    fitted = []
    fit = inputs._fit

    def counted(X, weights, scaling, pieces, *given):
        fitted.append((len(X), scaling, pieces))
        return fit(X, weights, scaling, pieces, *given)

    monkeypatch.setattr(inputs, "_fit", counted)
    SweepCV(of_classes()[0], GRID, cv=2, refit=False).fit(X, LABELS)
    assert sorted(fitted) == [(75, "robust", 0)] * 2 + [(75, "robust", 4)] * 2
    SweepCV(of_classes()[0], GRID, cv=2, refit=False).fit(X, LABELS)
    assert len(fitted) == 8  # nothing is kept when a search has ended


def test_what_was_asked_for_longest_ago_goes_first(monkeypatch):
    monkeypatch.setattr(sharing, "BYTES", 100)
    with sharing.shared():
        made = [sharing.once((key,), object, lambda _: 40) for key in "aab" + "aca"]
        assert made[0] is made[1] is made[3] is made[5]
        assert sharing.once(("b",), object, lambda _: 40) is not made[2]
        large = [sharing.once(("d",), object, lambda _: 101) for _ in range(2)]
        assert large[0] is not large[1]
    assert sharing.once(("a",), object, lambda _: 40) is not made[0]


def test_threads_draw_no_parameters_of_each_other():
    expected = GradusClassifier(**SMALL).fit(X, LABELS).predict_proba(X)
    found = [None] * 6

    def fit(at):
        found[at] = GradusClassifier(**SMALL).fit(X, LABELS).predict_proba(X)

    threads = [threading.Thread(target=fit, args=(at,)) for at in range(len(found))]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    for each in found:
        np.testing.assert_array_equal(each, expected)


def test_threads_that_overlap_leave_torch_its_number():
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    entered, left, found = threading.Event(), threading.Event(), []

    def second():
        with one_thread_each():
            entered.set()
            left.wait()
        found.append(torch.get_num_threads())

    thread = threading.Thread(target=second)
    with one_thread_each():
        thread.start()
        entered.wait()
    found.append(torch.get_num_threads())
    left.set()
    thread.join()
    new = threading.Thread(target=lambda: found.append(torch.get_num_threads()))
    new.start()
    new.join()
    torch.set_num_threads(before)
    assert found == [3, 3, 3]


def test_a_distribution_needs_a_number():
    search = SweepCV(of_classes()[0], [{"pieces": [0]}, {"lr": loguniform(1e-3, 1e-1)}])
    with pytest.raises(InputError, match=r"^space lr: is a distribution; say by n_iter how many"):
        search.fit(X, LABELS)


def test_a_fit_that_fails_is_told():
    with pytest.raises(InputError, match="method adm: choose ada"):
        SweepCV(of_classes()[0], {"method": ["adm"]}, error_score="raise").fit(X, LABELS)
