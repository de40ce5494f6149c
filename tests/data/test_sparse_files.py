"""Runs on files of sparse rows: the same as on the matrices that they hold."""

import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.datasets import dump_svmlight_file

from gradus import InputError, open_run, train
from gradus.cli import main
from gradus.data import load
from gradus.data.preparation import read_preparation

X = sp.random_array((90, 12), density=0.3, rng=0, format="csr")
Y = np.where(X @ np.random.default_rng(0).normal(size=12) > 0, 1, -1)
QUICK = {"epochs": 2, "dtype": "float64", "patience": None, "batch_size": 16}
SAME = {**QUICK, "model": "linear", "method": "adagrad", "lr": 0.1}


@pytest.fixture
def files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    dump_svmlight_file(X, Y, "news.svm", zero_based=False)
    dump_svmlight_file(X[:30], Y[:30], "new.svm", zero_based=False)
    sp.save_npz("news.npz", X.tocsc())
    np.save("y.npy", Y)
    np.savez("with_y.npz", y=Y, data=X.data, indices=X.indices, indptr=X.indptr, shape=X.shape,
             format="csr")  # fmt: skip


def gradus(*arguments):
    with pytest.raises(SystemExit) as ended:
        main(list(arguments))
    return ended.value.code


def losses(run):
    return run.history["loss"].to_numpy()


def test_a_file_trains_a_linear_model_as_its_matrix_does(files):
    runs = [
        train("news.svm", **QUICK),
        train("news.npz", target="y.npy", **QUICK),
        train("with_y.npz", **QUICK),
        train((X, Y), **SAME),
    ]
    for run in runs[1:]:
        np.testing.assert_allclose(losses(run), losses(runs[0]), rtol=0, atol=1e-12)
    spec = runs[0].spec
    assert (spec.model, spec.method, spec.lr) == ("linear", "adagrad", 0.1)
    said = [run.predict(of) for run, of in zip(runs, ["new.svm", *[X[:30]] * 3], strict=True)]
    for other in said[1:]:
        np.testing.assert_allclose(other["p(1)"], said[0]["p(1)"], rtol=0, atol=1e-12)
    scores = [
        runs[0].evaluate("news.svm"), runs[1].evaluate("news.npz", "y.npy"),
        runs[2].evaluate("with_y.npz"), runs[3].evaluate(X, Y),
    ]  # fmt: skip
    for each in scores[1:]:
        assert each["accuracy"] == scores[0]["accuracy"]


def test_the_command_line_trains_predicts_and_evaluates(files, capsys):
    assert gradus("train", "news.svm", "--epochs", "1", "--out", "run", "--test", "new.svm") == 0
    assert "76 train + 14 validation + 30 test, 12 features, 2 classes" in capsys.readouterr().err
    assert gradus("predict", "run", "new.svm") == 0
    assert "p(-1)" in capsys.readouterr().out
    assert gradus("evaluate", "run", "new.svm") == 0
    run = open_run("run")
    kept = run.preparation
    assert (kept.kind, kept.columns, kept.base) == ("sparse", 12, 1)
    assert read_preparation(kept.record(), "it") == kept


def test_indices_of_other_files_count_as_those_that_trained(files, tmp_path):
    (tmp_path / "zero.svm").write_text("1 0:1 3:2\n-1 1:1\n" * 20)
    run = train("zero.svm", **QUICK)
    assert (run.preparation.base, run.preparation.columns) == (0, 4)
    (tmp_path / "one.svm").write_text("1 1:1 3:2 9:7\n")
    assert run.predict("one.svm").num_rows == 1
    assert gradus("train", "zero.svm", "--indices-from", "1") == 2
    with pytest.raises(InputError, match="line 1: '0:1': index 0, where indices count from 1"):
        train("news.svm", **QUICK).predict("zero.svm")


def test_columns_that_did_not_train_are_left_out_and_told_of(files, tmp_path, capsys):
    (tmp_path / "wide.svm").write_text("1 1:1 99:2\n-1 99:2\n")
    run = train("news.svm", test="wide.svm", **QUICK)
    assert (
        "wide.svm: 1 column beyond the 12 that trained is left out"
        in (run.summary["data"]["notes"])
    )
    run.save("run")
    assert gradus("predict", "run", "wide.svm") == 0
    assert "x: 1 column beyond the 12 that trained is left out" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("data", "options", "said"),
    [
        ("news.npz", {}, "say which file holds the targets by --target, as --target y.npy"),
        ("news.svm", {"target": "y"}, "--target y: does not apply to news.svm"),
        ("nope.svm", {}, "nope.svm: no such file; give"),
        ("news.svm", {"test": "y.npy"}, "--test y.npy: no file of svmlight; give one as DATA is"),
        ("with_y.npz", {"indices_from": 1}, "--indices-from 1: does not apply to with_y.npz"),
    ],
)
def test_what_does_not_go_together_is_refused(files, data, options, said):
    with pytest.raises(InputError) as error:
        load(data, **options)
    assert said in str(error.value)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"format": "dia"}, "holds a matrix of format dia; save it as CSR"),
        ({"indptr": None}, "array 'indptr' is missing or no vector; save the matrix again"),
        ({"shape": (90, 3)}, "lies outside of its 3 columns"),
        ({"shape": (10**9, 12)}, "is no whole matrix"),
        ({"data": np.array(["a"] * X.nnz)}, "holds <U1; give real numbers"),
    ],
)
def test_what_is_no_matrix_of_scipy_is_refused(tmp_path, changes, said):
    parts = {"y": Y, "data": X.data, "indices": X.indices, "indptr": X.indptr, "shape": X.shape}
    parts = {"format": "csr"} | parts | changes
    path = tmp_path / "own.npz"
    np.savez(path, **{name: value for name, value in parts.items() if value is not None})
    with pytest.raises(InputError) as error:
        load(path)
    assert said in str(error.value)
    assert str(path) in str(error.value)
