"""What the kernels do is done without PyTorch, and is what is done with it."""

import pickle
import subprocess
import sys

import numpy as np
import pytest
from scipy.sparse import csr_array
from sklearn.datasets import load_digits, load_iris

from gradus.engine import dense, native, plain
from gradus.models.networks import ACTIVATIONS
from gradus.sklearn import (
    GradusClassifier,
    GradusLinearClassifier,
    GradusLinearRegressor,
    GradusRegressor,
)
from gradus.sklearn import dense as dense_estimators

X, LABELS = load_iris(return_X_y=True)
DIGITS, KINDS = (each[:400] for each in load_digits(return_X_y=True))
WEIGHTS = np.random.default_rng(0).random(len(X)) + 0.1
NUMBERS = np.column_stack([X[:, 0] + X[:, 3], X[:, 1]])


def imports_torch(script, *arguments):
    """Whether a process that runs these lines does."""
    script = f"import pickle, sys\nfrom gradus.sklearn import *\n{script}\n"
    script += "print('torch' in sys.modules)"
    found = subprocess.run(
        [sys.executable, "-c", script, *arguments], capture_output=True, text=True, check=False
    )
    assert found.stdout.strip() in ("True", "False"), found.stderr
    return found.stdout.strip() == "True"


FITS = {
    "dense": "GradusClassifier(epochs=2, models=2, early_stopping=True, penalty='l1', strength=0.1)"
    ".fit(X, y)",
    "threads": "GradusRegressor(epochs=2, models=2, n_jobs=2, method='radam').fit(X, X[:, 0])",
    "on": "GradusClassifier().partial_fit(X, y, classes=[0, 1, 2]).partial_fit(X, y)",
    "linear": "GradusLinearClassifier('l1', strength=0.1).fit(X, y)",
    "hinge": "GradusLinearClassifier(loss='hinge').fit(X, y)",
    "numbers": "GradusLinearRegressor().fit(X, X[:, :2])",
    "sparse": "GradusLinearClassifier(early_stopping=True).fit(csr_array(X), y)",
    "search": "SweepCV(GradusLinearClassifier('l1', epochs=2), {'strength': [0.1, 1.0]}, n_jobs=2)"
    ".fit(X, y)",
}


@pytest.mark.parametrize("fit", FITS)
def test_a_fit_imports_no_torch(fit):
    assert not imports_torch(
        "from scipy.sparse import csr_array\n"
        "from sklearn.datasets import load_iris\n"
        "X, y = load_iris(return_X_y=True)\n"
        f"fitted = {FITS[fit]}\n"
        "pickle.loads(pickle.dumps(fitted)).predict(X)"
    )


def test_neither_importing_nor_predicting_imports_torch(tmp_path):
    path = tmp_path / "fitted.pickle"
    fitted = GradusClassifier(pieces=4).partial_fit(X, LABELS, classes=np.unique(LABELS))
    path.write_bytes(pickle.dumps(fitted))
    assert not imports_torch(
        "fitted = pickle.load(open(sys.argv[1], 'rb')); fitted.predict([[5, 3, 1, 0]])", path
    )


def of_every_kind():
    """Estimators and what they are fitted to."""
    dense_nets = {"hidden": (8,), "epochs": 3, "random_state": 3}
    for activation in dense_estimators.ACTIVATIONS:
        yield activation, GradusClassifier(**dense_nets, activation=activation), LABELS, {}
    for method in ("sgd", "adam", "rmsprop", "adagrad", "polyak", "nesterov", "lion", "radam"):
        options = {"beta": 0.5} if method in ("polyak", "nesterov") else None
        given = {"method": method, "lr": 0.01, "options": options, "models": 2}
        yield method, GradusClassifier(**dense_nets, **given), LABELS, {}
    for penalty in ("l1", "l2", "squared-l2", "elastic-net"):
        given = {"penalty": penalty, "strength": 0.01, "proximal": True}
        yield f"{penalty}", GradusClassifier(**dense_nets, **given), LABELS, {}
    for loss in ("mse", "l1", "huber", "pinball"):
        yield loss, GradusRegressor(**dense_nets, loss=loss, dtype="float32"), NUMBERS, {}
    weighted = {"sample_weight": WEIGHTS}
    yield "weights", GradusClassifier(**dense_nets, label_smoothing=0.1), LABELS, weighted
    for loss in ("cross-entropy", "hinge", "modified-huber"):
        given = {"loss": loss, "penalty": "l1", "strength": 0.01, "random_state": 0, "epochs": 20}
        linear = GradusLinearClassifier(**given, early_stopping=True)
        yield f"linear-{loss}", linear, LABELS, weighted
    yield "linear-numbers", GradusLinearRegressor(random_state=0, epochs=20), NUMBERS, {}


@pytest.mark.parametrize(
    ("estimator", "y", "given"),
    [pytest.param(*each, id=name) for name, *each in of_every_kind()],
)
def test_arrays_and_a_model_of_torch_take_the_same_steps(estimator, y, given, monkeypatch):
    """To the bit; losses on the rows held are added up in another order."""
    same_as_by_torch(lambda: estimator.fit(X, y, **given), monkeypatch)


@pytest.mark.parametrize("penalty", [None, "l1", "squared-l2"])
@pytest.mark.parametrize("method", ["nesterov", "adam"])
def test_so_they_do_on_sparse_inputs(method, penalty, monkeypatch):
    linear = GradusLinearClassifier(
        penalty, strength=0.01 if penalty else None, method=method, random_state=0,
        early_stopping=True, epochs=4, batch_size=16,
    )  # fmt: skip
    same_as_by_torch(lambda: linear.fit(csr_array(DIGITS), KINDS), monkeypatch)


def same_as_by_torch(fit, monkeypatch):
    """Whether a fit is the same where the engine is given a model of PyTorch."""
    given, execute = [], native.execute
    monkeypatch.setattr(native, "execute", lambda *a: given.append(a[0]) or execute(*a))
    arrays = vars(pickle.loads(pickle.dumps(fit())))
    assert not given
    monkeypatch.setattr(plain, "runs", lambda job: False)
    torch = vars(fit())
    assert given
    assert (arrays["engine_"], torch["engine_"]) == ("native", "native")
    assert (arrays["loss_curve_"], arrays["n_iter_"]) == (torch["loss_curve_"], torch["n_iter_"])
    for one, other in zip(arrays["networks_"], torch["networks_"], strict=True):
        for ours, theirs in zip(
            (*one.weights, *one.biases), (*other.weights, *other.biases), strict=True
        ):
            assert ours.dtype == theirs.dtype
            np.testing.assert_array_equal(ours, theirs)
    curves = [each["validation_curve_"] for each in (arrays, torch)]
    assert (curves[0] is None) == (curves[1] is None)
    if curves[0] is not None:
        np.testing.assert_allclose(*curves, rtol=1e-5)


def test_the_words_of_a_loss_are_those_of_its_object(monkeypatch):
    """Which an estimator says by itself, and the engine reads from the object."""
    said, loss_of = [], dense.loss_of
    monkeypatch.setattr(plain, "runs", lambda job: said.append(job.loss))
    monkeypatch.setattr(dense, "loss_of", lambda *a: said.append(loss_of(*a)) or said[-1])
    for _, estimator, y, given in of_every_kind():
        said.clear()
        estimator.fit(X, y, **given)
        assert len(said) > 1
        assert len(set(said)) == 1


def test_a_memory_goes_on_from_arrays_and_from_tensors(monkeypatch):
    """An estimator that an earlier version pickled remembers tensors."""

    def fitted(by_torch):
        net = GradusClassifier((8,), random_state=0, models=2)
        with monkeypatch.context() as patch:
            if by_torch:
                patch.setattr(plain, "runs", lambda job: False)
            net.partial_fit(X, LABELS, classes=[0, 1, 2])
        net = pickle.loads(pickle.dumps(net)).partial_fit(X, LABELS)
        return [*net.networks_[1].weights, *net.networks_[1].biases]

    for ours, theirs in zip(fitted(False), fitted(True), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_the_activations_are_those_of_the_models():
    assert set(dense_estimators.ACTIVATIONS) == set(ACTIVATIONS)
