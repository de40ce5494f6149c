"""IDX files are read byte for byte, and damaged ones are named."""

import gzip

import numpy as np
import pytest

from gradus.data.idx import read_idx, read_images_and_labels
from gradus.errors import InputError


def idx(values: np.ndarray) -> bytes:
    header = bytes([0, 0, 8, values.ndim])
    return header + b"".join(n.to_bytes(4) for n in values.shape) + values.tobytes()


@pytest.mark.parametrize("shape", [(5,), (4, 3), (3, 2, 7), (2, 3, 2, 2)])
@pytest.mark.parametrize("compress", [False, True])
def test_read(tmp_path, shape, compress):
    values = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    path = tmp_path / ("file.gz" if compress else "file")
    path.write_bytes(gzip.compress(idx(values)) if compress else idx(values))
    assert np.array_equal(read_idx(path).numpy(), values)


LABELS = idx(np.arange(100, dtype=np.uint8))
PACKED = gzip.compress(LABELS)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.gz", PACKED[:-20], "truncated gzip file"),
        ("a.gz", PACKED[:40] + b"\0\0\0\0" + PACKED[44:], "damaged gzip file"),
        ("a.gz", LABELS, "not a gzip file although its name says so"),
        ("a", idx(np.zeros((2, 2, 2), np.uint8)), "magic number 0x00000803, expected 0x00000801"),
        ("a", b"\0\0\x0d\x01" + LABELS[4:], "magic number 0x00000d01, expected 0x00000801"),
        ("a", b"<html>", "magic number 0x3c68746d, expected 0x00000801"),
        ("a", LABELS[:-1], "declares shape [100], so 100 bytes, the file holds 99"),
        ("a", LABELS + b"\0", "declares shape [100], so 100 bytes, the file holds 101"),
        ("a.gz", gzip.compress(LABELS[:-1]), "so 100 bytes, the file holds 99"),
        ("a.gz", gzip.compress(LABELS + b"\0"), "so 100 bytes, the file holds more"),
        ("a.gz", PACKED + gzip.compress(b"\0"), "so 100 bytes, the file holds more"),
        ("a.gz", PACKED[:-8] + bytes(8), "damaged gzip file (CRC check failed"),
        ("a", LABELS[:6], "too short for its header of 8"),
        ("a", b"", "0 bytes, too short"),
        ("missing", None, "cannot be read (No such file or directory)"),
    ],
)
def test_refused(tmp_path, name, content, message):
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError) as refusal:
        read_idx(path, rank=1)
    said = str(refusal.value)
    assert said.startswith(str(path))
    assert message in said
    assert "\n" not in said


def test_images_get_a_channel(tmp_path):
    (tmp_path / "x").write_bytes(idx(np.zeros((3, 4, 5), np.uint8)))
    (tmp_path / "y").write_bytes(idx(np.arange(3, dtype=np.uint8)))
    x, y = read_images_and_labels(tmp_path / "x", tmp_path / "y")
    assert x.shape == (3, 1, 4, 5)
    assert y.tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [((3, 4, 5), 4, "holds 3 images, y 4 labels"), ((0, 4, 5), 0, "no pixels")],
)
def test_images_and_labels_that_do_not_fit(tmp_path, images, labels, message):
    (tmp_path / "x").write_bytes(idx(np.zeros(images, np.uint8)))
    (tmp_path / "y").write_bytes(idx(np.zeros(labels, np.uint8)))
    with pytest.raises(InputError) as refusal:
        read_images_and_labels(tmp_path / "x", tmp_path / "y")
    assert message in str(refusal.value)
