"""The user's .npz files: bytes stay bytes, numbers stay numbers, and what does not fit is named."""

import contextlib
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.impute import SimpleImputer
from sklearn.preprocessing import StandardScaler

from gradus.data.array_files import read_npy
from gradus.data.arrays import ArrayOptions
from gradus.data.arrays import load_arrays as load
from gradus.data.partition import Parts
from gradus.errors import InputError

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(20, 3))
Y = np.arange(20) % 2
IMAGES = RANDOM.integers(0, 256, (20, 4, 5), dtype=np.uint8)
ROWS = RANDOM.dirichlet(np.ones(3), size=20)


def load_arrays(path, *, parts=Parts(validation=0), dtype="float64", **options):  # noqa: B008
    """What is read does not depend on whether a part is held for validation: here none is."""
    return load(path, ArrayOptions(parts=parts, dtype=dtype, **options))


@pytest.fixture
def save(tmp_path):
    def saved(**arrays):
        path = tmp_path / "own.npz"
        np.savez(path, **arrays)
        return path

    return saved


@pytest.mark.parametrize(
    ("x", "shape", "dtype", "scale"),
    [
        (X, (3,), torch.float64, 1.0),
        (X.astype(np.float32), (3,), torch.float64, 1.0),
        (np.round(X).astype(np.int16), (3,), torch.float64, 1.0),
        (X[:, 0], (1,), torch.float64, 1.0),
        (IMAGES, (1, 4, 5), torch.uint8, 255.0),
        (IMAGES[:, None], (1, 4, 5), torch.uint8, 255.0),
        (IMAGES.reshape(20, 20), (20,), torch.uint8, 255.0),
    ],
)
def test_inputs(save, x, shape, dtype, scale):
    split = load_arrays(save(x=x, y=Y))
    assert (split.train.input_shape, split.train.x.dtype, split.train.scale) == (
        shape,
        dtype,
        scale,
    )
    assert (len(split.train), len(split.test)) == (16, 4)
    batch, _ = split.train.batch()
    assert batch.dtype == torch.float32
    every = np.sort(np.concatenate([split.train.x.numpy().ravel(), split.test.x.numpy().ravel()]))
    assert np.array_equal(every, np.sort(x.ravel()))


@pytest.mark.parametrize(
    ("y", "loss", "task", "classes", "outputs"),
    [
        (Y, None, "classification", ("0", "1"), 2),
        (Y, "mse", "regression", None, 1),
        (Y[:, None], None, "classification", ("0", "1"), 2),
        (Y.astype(bool), None, "classification", ("false", "true"), 2),
        (np.array(["b", "a"] * 10), None, "classification", ("a", "b"), 2),
        (X[:, 0], None, "regression", None, 1),
        (X, "l1", "regression", None, 3),
        (ROWS, "kl-div", "classification", ("0", "1", "2"), 3),
        (Y, "kl-div", "classification", ("0", "1"), 2),
    ],
)
def test_targets(save, y, loss, task, classes, outputs):
    split = load_arrays(save(x=X, y=y), loss=loss)
    assert (split.task, split.train.classes, split.train.outputs) == (task, classes, outputs)


@pytest.mark.parametrize("x", [X, np.asfortranarray(X), X.astype(">f4"), IMAGES, X[:, 0]])
@pytest.mark.parametrize("y", [Y, np.array(["b", "a"] * 10), X])
def test_a_pair_of_npy_files_is_what_the_npz_file_is(save, tmp_path, x, y):
    np.save(tmp_path / "x.npy", x)
    np.save(tmp_path / "y.npy", y)
    pair = load_arrays(tmp_path / "x.npy", target=str(tmp_path / "y.npy"), standardize=True)
    whole = load_arrays(save(x=x, y=y), standardize=True)
    assert pair.preparation == whole.preparation
    for part, other in ((pair.train, whole.train), (pair.test, whole.test)):
        assert torch.equal(part.x, other.x)
        assert torch.equal(part.y, other.y)


def test_a_mapped_file_is_not_written_to(tmp_path):
    np.save(tmp_path / "x.npy", X)
    values = read_npy(tmp_path / "x.npy")
    values += 1
    assert np.array_equal(np.load(tmp_path / "x.npy"), X)


@pytest.mark.parametrize(
    ("target", "message"),
    [
        (None, "x.npy: say which file holds the targets by --target"),
        ("y", "--target y: the targets of x.npy are to stand in a .npy file too"),
        ("x.npy", "--target x.npy: is the file with x"),
        ("absent.npy", "absent.npy: cannot be read"),
        ("elsewhere/y.npy", "--target elsewhere/y.npy: no such file; did you mean y.npy?"),
        ("short.npy", "x.npy with short.npy: 'x' has 20 rows, 'y' has 3: give one target per"),
        ("infinite.npy", "x.npy with infinite.npy: y[1] is infinite"),
    ],
)
def test_pairs_that_are_none(tmp_path, monkeypatch, target, message):
    monkeypatch.chdir(tmp_path)
    np.save("x.npy", X)
    np.save("y.npy", Y)
    np.save("short.npy", Y[:3])
    np.save("infinite.npy", with_one(Y, 1, -np.inf))
    with pytest.raises(InputError) as refusal:
        load_arrays(Path("x.npy"), target=target)
    assert message in str(refusal.value)


@pytest.mark.parametrize(
    ("x", "y", "options"),
    [
        (X * 1e300, Y, {"standardize": True}),
        (X[:, :, None] * 1e300, Y, {"standardize": True}),
        (np.where(X > 1, np.nan, X * 1e300), Y, {"missing": "mean"}),
        (X.astype(np.longdouble) * np.longdouble(10) ** 400, Y, {"standardize": True}),
        (X, X[:, 0] * 1e300, {"loss": "mse"}),
    ],
)
def test_numbers_of_which_no_mean_can_be_taken_are_refused(save, x, y, options):
    with pytest.raises(InputError, match=r"1e\+150, of which no mean|bring it below 1e\+150"):
        load_arrays(save(x=x, y=y), **options)


def test_numbers_that_do_not_fit_into_float32_are_refused(save):
    with pytest.raises(InputError, match=r"x holds numbers beyond 3.4e\+38.*--dtype float64"):
        load_arrays(save(x=X * 1e39, y=Y), dtype="float32")
    assert (
        load_arrays(save(x=X * 1e39, y=Y), dtype="float32", standardize=True).train.x.abs().max()
        < 9
    )


def test_large_offsets_are_subtracted_before_float32_rounds(save):
    """Seconds since 1970, whose differences float32 does not have."""
    x = 1.7e9 + X
    split = load_arrays(save(x=x, y=Y), dtype="float32", standardize=True)
    assert split.train.x.dtype == torch.float32
    assert len(np.unique(split.train.x[:, 0])) == 16
    np.testing.assert_allclose(split.train.x.std(dim=0, correction=0), 1, rtol=1e-5)


@pytest.mark.parametrize("missing", ["mean", "median", "drop"])
def test_rows_without_a_target_are_left_out_and_counted(save, missing):
    split = load_arrays(save(x=X, y=with_one(Y, [4, 9], np.nan)), missing=missing)
    assert len(split.train) + len(split.test) == 18
    assert split.notes == ("x, y: 2 rows with missing values are left out",)


def test_its_own_test_part_is_kept_in_order(save):
    split = load_arrays(save(x_train=X[:15], y_train=Y[:15], x_test=X[15:], y_test=Y[15:]))
    assert np.array_equal(split.train.x.numpy(), X[:15])
    assert np.array_equal(split.test.x.numpy(), X[15:])
    assert split.test.y.tolist() == Y[15:].tolist()


def test_standardised_columns(save):
    split = load_arrays(
        save(x_train=X[:15], y_train=Y[:15], x_test=X[15:], y_test=Y[15:]), standardize=True
    )
    expected = StandardScaler().fit(X[:15]).transform(X)
    np.testing.assert_allclose(split.train.x, expected[:15], rtol=1e-12)
    np.testing.assert_allclose(split.test.x, expected[15:], rtol=1e-12)


def test_standardised_images_stay_bytes(save):
    split = load_arrays(save(x=IMAGES, y=Y), standardize=True)
    assert split.train.x.dtype == torch.uint8
    x, _ = split.train.to(dtype=torch.float64).batch()
    assert x.mean().item() == pytest.approx(0, abs=1e-12)
    assert x.std(correction=0).item() == pytest.approx(1, abs=1e-12)
    assert split.test.mean == split.train.mean


def gapped():
    x = X.copy()
    x[[2, 7, 16], [0, 1, 0]] = np.nan
    return x


def test_gaps(save):
    path = save(x_train=gapped()[:15], y_train=Y[:15], x_test=gapped()[15:], y_test=Y[15:])
    expected = SimpleImputer().fit(gapped()[:15]).transform(gapped())
    split = load_arrays(path, missing="mean")
    filled = "have missing values, filled with the mean of the column"
    assert split.notes == (f"x_train: 2 rows {filled}", f"x_test: 1 rows {filled}")
    assert np.array_equal(torch.cat([split.train.x, split.test.x]).numpy(), expected)
    dropped = load_arrays(path, missing="drop")
    assert (len(dropped.train), len(dropped.test)) == (13, 4)


def with_one(array, index, value):
    changed = array.astype(float)
    changed[index] = value
    return changed


@pytest.mark.parametrize(
    ("arrays", "options", "message"),
    [
        ({"x": X}, {}, "array 'y' is missing; give x and y, or x_train and y_train"),
        ({"a": X}, {}, "array 'x' is missing"),
        ({"x_train": X, "y_train": Y, "x_test": X}, {}, "array 'y_test' is missing"),
        ({"x": X, "y": Y[:3]}, {}, "'x' has 20 rows, 'y' has 3"),
        ({"x": X[:0], "y": Y[:0]}, {}, "array 'x' is empty"),
        ({"x": X[:, :0], "y": Y}, {}, "array 'x' is empty"),
        ({"x": X, "y": X[:, :0]}, {}, "array 'y' is empty"),
        (
            {"x_train": X, "y_train": Y, "x_test": X[:, :2], "y_test": Y},
            {},
            "the test part has other shapes",
        ),
        (
            {"x_train": X, "y_train": Y, "x_test": X, "y_test": Y},
            {"parts": Parts(0.1, 0)},
            "--test-fraction 0.1",
        ),
        (
            {"x_train": X, "y_train": Y, "x_test": X, "y_test": Y + 1},
            {},
            "y_test holds '2', a class that does not train; those that do are 0, 1",
        ),
        ({"x": np.array(["a"] * 20), "y": Y}, {}, "'x' holds <U1; give numbers"),
        ({"x": np.array([{}] * 20), "y": Y}, {}, "Python objects, which are never read"),
        ({"x": X, "y": Y.astype("datetime64[s]")}, {}, "holds datetime64[s]"),
        ({"x": X, "y": IMAGES}, {}, "has shape [20, 4, 5]; give [N] or [N, m]"),
        (
            {"x": gapped(), "y": Y},
            {},
            "in 3 rows: column 0 (2), column 1 (1); choose --missing mean",
        ),
        ({"x": with_one(IMAGES, (0, 0, 0), np.nan), "y": Y}, {"missing": "mean"}, "--missing drop"),
        ({"x": with_one(X, (3, 1), np.inf), "y": Y}, {}, "x[3, 1] is infinite"),
        (
            {"x": X, "y": with_one(Y, 4, np.nan)},
            {},
            "'y' has missing values (NaN) in 1 rows; leave them out by",
        ),
        ({"x": X * np.nan, "y": Y}, {"missing": "drop"}, "leaving them out leaves none"),
        ({"x": X, "y": X[:, 0]}, {"loss": "cross-entropy"}, "--loss cross-entropy: is for classes"),
        ({"x": X, "y": np.array(["b", "a"] * 10)}, {"loss": "mse"}, "--loss mse: is for numbers"),
        ({"x": X, "y": ROWS}, {"loss": "nll"}, "--loss nll"),
        ({"x": X, "y": ROWS * 2}, {"loss": "kl-div"}, "sums to 2"),
    ],
)
def test_refused(save, arrays, options, message):
    with pytest.raises(InputError) as refusal:
        load_arrays(save(**arrays), **options)
    assert message in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_a_file_that_is_not_whole(save, tmp_path):
    path = save(x=X, y=Y)
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(InputError, match=r"not a whole \.npz file"):
        load_arrays(path)


@pytest.mark.parametrize("seed", range(5))
def test_wrong_bytes_anywhere(save, seed):
    path = save(x=X, y=Y)
    whole = path.read_bytes()
    random = np.random.default_rng(seed)
    for position in random.integers(len(whole), size=60):
        content = bytearray(whole)
        content[position] ^= 1 << random.integers(8)
        path.write_bytes(content)
        with contextlib.suppress(InputError):
            load_arrays(path)  # right, where the byte means nothing; else refused; no other end
