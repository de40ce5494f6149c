"""Rows of CSR tensors, against the same of the tensors that they stand for."""

import numpy as np
import pytest
import scipy.sparse
import torch

import gradus
from gradus.risk import sparse
from gradus.risk.sparse import csr_of, in_pieces, parts_of, rows_at, stacked
from gradus.risk.sparse_matrices import as_csr

X = torch.tensor(
    [[0, 2.0, 0, 1], [0, 0, 0, 0], [3, 0, 0, 0], [0, 0, 0, 0], [5, 6, 7, 8]], dtype=torch.float64
)
SPARSE = csr_of(X)


@pytest.mark.parametrize(
    "indices",
    [
        torch.tensor([4, 0, 0, 1]), torch.tensor([1, 3]), torch.tensor([], dtype=torch.int64),
        slice(1, 3), slice(None), slice(2, 2), slice(3, 99), slice(None, None, 2), slice(-2, None),
    ],
)  # fmt: skip
def test_rows_are_those_of_the_dense_tensor(indices):
    found = rows_at(SPARSE, indices)
    assert torch.equal(found.to_dense(), X[indices])
    assert [part.dtype for part in parts_of(found)] == [torch.int64, torch.int32, torch.float64]
    torch._validate_compressed_sparse_indices(
        True, found.crow_indices(), found.col_indices().long(), len(found), 4, found._nnz()
    )


@pytest.mark.parametrize("size", [1, 3, 4])
def test_rows_are_gathered_piece_by_piece(monkeypatch, size):
    monkeypatch.setattr(sparse, "PIECE", size)
    indices = torch.tensor([4, 1, 0, 0, 3, 2, 4])
    assert torch.equal(rows_at(SPARSE, indices).to_dense(), X[indices])


def test_rows_one_after_another_and_matrices_of_scipy_are_not_copied():
    matrix = scipy.sparse.csr_array(X.numpy())
    found = rows_at(as_csr(matrix, "X"), torch.tensor([2, 3, 4]))
    assert torch.equal(found.to_dense(), X[2:])
    for part, of in zip(parts_of(found)[1:], (matrix.indices, matrix.data), strict=True):
        assert np.shares_memory(part.numpy(), of)


def test_pieces_stacked_are_the_whole():
    assert torch.equal(stacked(in_pieces(SPARSE, 2)).to_dense(), X)
    assert torch.equal(stacked(in_pieces(X, 2)), X)


@pytest.mark.parametrize("of", ["clone", "to_sparse", "to_sparse_csc", "to_sparse_csr"])
def test_every_layout_becomes_the_same(of):
    assert torch.equal(csr_of(getattr(X, of)()).to_dense(), X)


def test_what_stands_twice_is_added_and_what_is_out_of_order_sorted():
    starts, columns = torch.tensor([0, 3, 4]), torch.tensor([2, 0, 2, 1])
    values = torch.tensor([1.0, 2, 3, 4])
    given = torch.sparse_csr_tensor(starts, columns, values, (2, 3), check_invariants=False)
    found = csr_of(given)
    assert found.to_dense().tolist() == [[2, 0, 4], [0, 4, 0]]
    assert found.col_indices().tolist() == [0, 2, 1]


@pytest.mark.parametrize("layout", ["csr", "coo"])
def test_an_index_outside_is_refused(layout):
    columns, values = torch.tensor([0, 9]), torch.ones(2)
    given = (
        torch.sparse_csr_tensor([0, 1, 2], columns, values, (2, 3), check_invariants=False)
        if layout == "csr"
        else torch.sparse_coo_tensor(
            torch.stack([torch.arange(2), columns]), values, (2, 3), check_invariants=False
        )
    )
    with pytest.raises(ValueError, match="outside of the shape"):
        csr_of(given)


@pytest.mark.parametrize("batch", [None, torch.tensor([3, 0, 4]), slice(1, 5), (X[:2], "y")])
@pytest.mark.parametrize("chunk_size", [4096, 2])
@pytest.mark.parametrize(
    "given", [SPARSE.to_sparse_coo(), scipy.sparse.csc_array(X.numpy())], ids=["torch", "SciPy"]
)
def test_a_risk_of_sparse_inputs_is_that_of_the_same_dense(given, batch, chunk_size):
    y = torch.arange(5) % 3
    net = torch.nn.Sequential(
        torch.nn.Flatten(), torch.nn.Linear(4, 3), torch.nn.Tanh(), torch.nn.Linear(3, 3)
    ).double()
    risks = [
        gradus.EmpiricalRisk(net, gradus.CrossEntropyLoss(), (x, y), chunk_size=chunk_size)
        for x in (X, given)
    ]
    batches = [(x, y[:2]) for x in (X[:2], rows_at(SPARSE, slice(2)))]
    if not isinstance(batch, tuple):
        batches = [batch, batch]
    rng = np.random.default_rng(0)
    w, v = (torch.from_numpy(rng.normal(size=risks[0].dimension)) for _ in range(2))
    for what in ("value", "gradient", "hessian", "gauss_newton"):
        dense, sparse = (getattr(r, what)(w, b) for r, b in zip(risks, batches, strict=True))
        torch.testing.assert_close(sparse, dense, rtol=0, atol=1e-14)
    dense, sparse = (r.hvp(w, v, b) for r, b in zip(risks, batches, strict=True))
    torch.testing.assert_close(sparse, dense, rtol=0, atol=1e-14)
