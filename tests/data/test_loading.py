"""Data come by name or path; options that do not apply are refused, not ignored."""

import gzip
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from gradus.data import load
from gradus.errors import InputError


def idx(values):
    header = bytes([0, 0, 8, values.ndim])
    return header + b"".join(n.to_bytes(4) for n in values.shape) + values.tobytes()


@pytest.fixture
def here(tmp_path, monkeypatch) -> Path:
    """A folder with one file or folder of each kind, where the test runs."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "idx").mkdir()
    random = np.random.default_rng(0)
    for part, n in (("train", 6), ("t10k", 3)):
        images = idx(random.integers(0, 256, (n, 4, 5), dtype=np.uint8))
        labels = idx(np.arange(n, dtype=np.uint8))
        (tmp_path / f"idx/{part}-images-idx3-ubyte.gz").write_bytes(gzip.compress(images))
        (tmp_path / f"idx/{part}-labels-idx1-ubyte").write_bytes(labels)
    np.savez(tmp_path / "a.npz", x=random.random((10, 3)), y=np.arange(10) % 2)
    (tmp_path / "a.csv").write_text("p,q\n" + "".join(f"{i},{i / 2}\n" for i in range(10)))
    (tmp_path / "a.doc").write_text("")
    (tmp_path / "empty").mkdir()
    return tmp_path


def test_digits_are_those_of_scikit_learn():
    split = load("digits", split_seed=3)
    digits = load_digits()
    parts = [split.train, split.test]
    assert [len(part) for part in parts] == [1437, 360]
    x = torch.cat([part.to(dtype=torch.float64).batch()[0] for part in parts])
    y = torch.cat([part.y for part in parts])
    known = np.column_stack([digits.data, digits.target])
    found = np.column_stack([x.reshape(-1, 64) * 16, y])
    assert np.array_equal(found[np.lexsort(found.T)], known[np.lexsort(known.T)])
    assert split.train.classes == tuple("0123456789")
    share = split.test.y.bincount() / 360 - torch.from_numpy(np.bincount(digits.target)) / 1797
    assert share.abs().max() < 1 / 360


@pytest.mark.parametrize(
    ("data", "options", "description"),
    [
        ("digits", {}, "digits: 1,437 train + 360 test, 1×8×8 images, 10 classes"),
        (
            "digits",
            {"test_fraction": 0.5},
            "digits: 898 train + 899 test, 1×8×8 images, 10 classes",
        ),
        (
            "digits",
            {"validation_fraction": 0.15},
            "digits: 1,221 train + 216 validation + 360 test, 1×8×8 images, 10 classes",
        ),
        ("idx", {}, "idx: 5 train + 1 validation + 3 test, 1×4×5 images, 6 classes"),
        (Path("idx"), {"validation_fraction": 0}, "idx: 6 train + 3 test, 1×4×5 images, 6 classes"),
        ("a.npz", {}, "a.npz: 6 train + 2 validation + 2 test, 3 features, 2 classes"),
        (
            "a.npz",
            {"validation_fraction": 0},
            "a.npz: 8 train + 2 test, 3 features, 2 classes",
        ),
        (
            "a.csv",
            {"target": "q"},
            "a.csv: 6 train + 2 validation + 2 test, 1 feature, 1 number to predict (q)",
        ),
    ],
)
def test_kinds_of_data(here, data, options, description):
    assert load(data, **options).description == description


def test_standardised_images(here):
    split = load("idx", standardize=True)
    x, _ = split.train.to(dtype=torch.float64).batch()
    assert x.mean().item() == pytest.approx(0, abs=1e-12)
    assert x.std(correction=0).item() == pytest.approx(1, abs=1e-12)
    assert split.test.std == split.train.std


def test_probabilities_for_kl_divergence():
    split = load("digits", loss="kl-div")
    assert split.train.y.shape == (1437, 10)
    assert split.train.outputs == 10
    assert (split.train.y.sum(dim=1) == 1).all()


@pytest.mark.parametrize(
    ("data", "options", "message"),
    [
        (
            "fashon-mnist",
            {},
            "fashon-mnist: unknown data; did you mean fashion-mnist? give digits,",
        ),
        ("Digits", {}, "did you mean digits?"),
        ("x" * 5000, {}, "unknown data; give digits"),
        ("a\0b", {}, "unknown data; give digits"),
        ("nothing", {}, "a .npz file, a pair of .npy files, a table (.csv, .tsv, .txt, .jsonl"),
        ("a.doc", {}, "a.doc: a kind of file that is not read; give"),
        ("b.csv", {}, "b.csv: no such file"),
        ("empty", {}, "empty: holds neither classes nor IDX files"),
        ("a.csv", {}, "--target; the columns are p, q"),
        ("digits", {"target": "y"}, "--target y: does not apply to digits"),
        ("digits", {"missing": "drop"}, "--missing drop: does not apply to digits"),
        ("digits", {"data_dir": "."}, "--data-dir .: does not apply to digits"),
        ("digits", {"loss": "mse"}, "--loss mse: is for numbers, digits holds classes"),
        ("digits", {"loss": "hinge"}, "--loss hinge: unknown"),
        ("digits", {"missing": "mode"}, "--missing mode: unknown; choose mean | median | drop"),
        ("mnist", {"test_fraction": 0.1}, "--test-fraction 0.1: does not apply to mnist"),
        ("mnist", {"data_dir": "nowhere"}, "--data-dir nowhere: no such folder"),
        ("idx", {"test_fraction": 0.1}, "--test-fraction 0.1: does not apply to idx"),
        ("a.npz", {"target": "y"}, "--target y: does not apply to a.npz"),
        ("a.npz", {"drop": ["y"]}, "--drop y: does not apply to a.npz"),
        ("a.csv", {"data_dir": "."}, "--data-dir .: does not apply to a.csv"),
    ],
)
def test_refused(here, data, options, message):
    with pytest.raises(InputError) as refusal:
        load(data, **options)
    assert message in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_images_of_two_shapes(here):
    images = idx(np.zeros((3, 5, 5), np.uint8))
    (here / "idx/t10k-images-idx3-ubyte.gz").write_bytes(gzip.compress(images))
    with pytest.raises(InputError, match=r"test images \[1, 5, 5\]; give images of one shape"):
        load("idx")


def test_digits_need_no_heavy_library():
    code = (
        "import sys; from gradus.data import load; load('digits', standardize=True); "
        "print([name for name in ('sklearn', 'scipy', 'pyarrow', 'pooch') if name in sys.modules])"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment
    )
    assert done.stdout.strip() == "[]"
