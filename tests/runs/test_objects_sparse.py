"""A run on sparse inputs is the run on the same in an array, and refuses what is no matrix."""

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from torch import nn

import gradus
from gradus import InputError, open_run, train
from gradus.data import Dataset, load
from gradus.sweep.shared_memory import attach, share

RANDOM = np.random.default_rng(0)
X = sp.random_array((90, 12), density=0.3, rng=0, format="csr")
Y = (X @ RANDOM.normal(size=12) > 0).astype(np.int64)
NUMBERS = X @ RANDOM.normal(size=12)
QUICK = {"model": "linear", "lr": 0.3, "epochs": 2, "dtype": "float64"}


def twice(x):
    """A half of every value, two times, in an order of chance."""
    x = x.tocoo()
    order = RANDOM.permutation(2 * x.nnz)
    row, column, value = (np.tile(each, 2)[order] for each in (x.row, x.col, x.data / 2))
    return sp.coo_array((value, (row, column)), x.shape)


def out_of_order(x):
    x = x.copy()
    for row in range(x.shape[0]):
        at = slice(x.indptr[row], x.indptr[row + 1])
        x.indices[at], x.data[at] = x.indices[at][::-1].copy(), x.data[at][::-1].copy()
    x.has_sorted_indices = False
    return x


def with_zeros(x):
    x = x.copy()
    x.data[::5] = 0.0
    return x


def with_indices_of_64_bits(x):
    return sp.csr_array((x.data, x.indices.astype(np.int64), x.indptr.astype(np.int64)), x.shape)


FORMS = {
    "csr_matrix": sp.csr_matrix, "csc": sp.csc_array, "coo": sp.coo_array, "dok": sp.dok_array,
    "lil": sp.lil_array, "bsr": sp.bsr_array, "twice": twice, "out of order": out_of_order,
    "64 bits": with_indices_of_64_bits,
    "torch coo": lambda x: torch.from_numpy(x.toarray()).to_sparse(),
    "torch csr": lambda x: torch.from_numpy(x.toarray()).to_sparse_csr(),
    "torch csc": lambda x: torch.from_numpy(x.toarray()).to_sparse_csc(),
}  # fmt: skip


def close(one, other, tolerance=1e-12):
    assert np.allclose(one.history["loss"], other.history["loss"], rtol=0, atol=tolerance)
    for p, q in zip(one.model.parameters(), other.model.parameters(), strict=True):
        torch.testing.assert_close(p, q, rtol=0, atol=tolerance)


@pytest.mark.parametrize(
    "options",
    [
        {}, {"penalty": "l1", "strength": 0.01, "proximal": True}, {"method": "adam", "lr": 0.01},
        {"model": "mlp", "hidden": (5,), "dropout": 0.2}, {"method": "lbfgs", "lr": 1.0},
        {"method": "newton-cg", "lr": 1.0}, {"sampling": "sequential"}, {"accumulate": 2},
    ],
    ids=str,
)  # fmt: skip
@pytest.mark.parametrize("y", [Y, NUMBERS], ids=["classes", "numbers"])
def test_a_run_is_that_on_an_array(options, y):
    sparse, dense = (train((x, y), **{**QUICK, **options}) for x in (X, X.toarray()))
    close(sparse, dense)
    new = X[:9]
    said = [run.predict(x) for run in (sparse, dense) for x in (new, new.toarray())]
    for other in said[1:]:
        last = [each.column(each.num_columns - 1).to_numpy() for each in (said[0], other)]
        np.testing.assert_allclose(*last, rtol=0, atol=1e-12)
    scores = [run.evaluate(x, y) for run in (sparse, dense) for x in (X, X.toarray())]
    for name, figure in scores[0].items():
        values = [each[name].value for each in scores]
        assert values == pytest.approx([figure.value] * 4, rel=1e-9)


@pytest.mark.parametrize("form", FORMS)
def test_every_form_is_brought_to_one(form):
    given = FORMS[form](X)
    before = given.copy() if hasattr(given, "copy") else given
    close(train((given, Y), **QUICK), train((X, Y), **QUICK), 1e-13)
    if hasattr(before, "nnz"):
        assert given.nnz == before.nnz  # nothing was added up or sorted where the user has it


def test_zeros_that_are_kept_change_nothing():
    given = with_zeros(X)
    close(train((given, Y), **QUICK), train((given.toarray(), Y), **QUICK))


def test_scaling_divides_and_is_kept(tmp_path):
    run = train((X, Y), standardize=True, out=tmp_path / "run", **QUICK)
    spread = np.array(run.preparation.spread)
    dense = train((X.toarray() / spread, Y), **QUICK)
    close(run, dense)
    assert "nothing is subtracted" in run.summary["data"]["notes"][0]
    again = open_run(tmp_path / "run")
    assert again.preparation == run.preparation
    assert again.predict(X).equals(run.predict(X))


def test_a_run_goes_on_where_it_was(tmp_path):
    whole = train((X, Y), **{**QUICK, "epochs": 4})
    train((X, Y), out=tmp_path / "run", **QUICK)
    resumed = gradus.resume(tmp_path / "run", data=(X, Y), epochs=4)
    close(resumed, whole, 0)
    with pytest.raises(InputError, match="its data was"):
        gradus.resume(tmp_path / "run", data=(X * 2, Y), epochs=5)


def test_parts_may_be_given_apart():
    parts = {"validation": (X[50:70], Y[50:70]), "test": (X[70:].toarray(), Y[70:])}
    run = train((X[:50], Y[:50]), **parts, **QUICK)
    assert run.summary["data"]["description"].startswith("arrays: 50 train + 20 validation + 20")


def test_a_dataset_may_hold_them():
    x, y = torch.from_numpy(X.toarray()), torch.from_numpy(Y)
    close(*(train(Dataset(each, y), **QUICK) for each in (x.to_sparse(), x)))


def test_a_split_is_shared_with_other_processes():
    split = load("digits")
    sparse = Dataset(torch.eye(4).to_sparse(), torch.arange(4), weights=torch.ones(4))
    shared = share(type(split)(sparse, sparse.subset(slice(2)), "eye", "classification"))
    mapped = attach(shared.descriptor, shared.size, shared.split)
    shared.close()
    assert torch.equal(mapped.train.batch()[0].to_dense(), torch.eye(4))
    assert torch.equal(mapped.test.batch(torch.tensor([1]))[0].to_dense(), torch.eye(4)[1:2])


def broken(x, **parts):
    x = x.copy()
    for name, (at, value) in parts.items():
        getattr(x, name)[at] = value
    return x


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (broken(X, indices=(3, 12)), "X of data: column 12 lies outside of its 12 columns"),
        (broken(X, indices=(3, -1)), "X of data: column -1 lies outside of its 12 columns"),
        (broken(X, indptr=(-1, 10**6)), r"row pointers \(indptr\) do not ascend"),
        (broken(X, data=(3, np.nan)), "'x' has missing values .NaN. in 1 rows; choose missing=dr"),
        (broken(X, data=(3, np.inf)), r"x\[\d, \d+\] is infinite"),
        (X.astype(complex), "holds complex128; give real numbers"),
        (sp.coo_array(Y), r"has shape \[90\]; give a matrix \[N, features\]"),
        (X[:, :0], "'x' is empty"),
        (X[:80], "'x' has 80 rows, 'y' has 90"),
        (torch.sparse_coo_tensor([[0, 99], [0, 0]], [1.0, 2], (90, 3), check_invariants=False),
         "lies outside of the shape"),
    ],
)  # fmt: skip
def test_what_is_no_matrix_is_refused_in_a_line(given, said):
    with pytest.raises(InputError, match=said) as error:
        train((given, Y), **QUICK)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"engine": "stacked"}, "engine=stacked: the stacked engine does not run inputs that are"),
        ({"precision": "bf16", "dtype": "float32"}, "precision=bf16: is not for sparse inputs"),
        ({"compile": True}, "compile=True: is not for sparse inputs"),
        ({"missing": "mean"}, "missing=mean: 'x' in data is sparse"),
        (
            {"model": lambda outputs: nn.Sequential(nn.Dropout(), nn.Linear(12, outputs))},
            "the inputs are sparse, which only a linear layer takes",
        ),
    ],
)
def test_what_does_not_take_them_says_so(options, said):
    gap = broken(X, data=(3, np.nan)) if "missing" in options else X
    with pytest.raises(InputError, match=said):
        train((gap, Y), **{**QUICK, **options})


def test_the_doctor_does_not_take_them():
    with pytest.raises(InputError, match="its inputs are sparse, which the doctor does not"):
        gradus.diagnose(data=(X, Y), **QUICK)


def test_new_examples_have_the_columns_that_were_trained_on():
    run = train((X, Y), **QUICK)
    with pytest.raises(InputError, match=r"has shape \[90, 11\], and the model takes \[N, 12\]"):
        run.predict(X[:, :11])
    with pytest.raises(InputError, match=r"has missing values .NaN. in 1 rows"):
        run.predict(broken(X, data=(3, np.nan)))
    for given in ({3: 1.0}, [X[0], X[1]], object()):
        with pytest.raises(InputError, match="is no array of numbers; give a path, an array, or a"):
            run.predict(given)
    with pytest.raises(InputError, match=r"other shapes .*: x_train \[N, 12\], .* x_\w+ \[N, 11\]"):
        train((X, Y), validation=(X[:, :11], Y), **QUICK)
