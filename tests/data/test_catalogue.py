"""Public sets are found, fetched and verified; a damaged file is said to be damaged."""

import dataclasses
import functools
import gzip
import hashlib
import http.server
import os
import threading
from pathlib import Path

import numpy as np
import pytest

from gradus.data.catalogue import CATALOGUE, Entry, read_entry
from gradus.errors import InputError

REAL = Path(os.environ.get("GRADUS_DATA") or Path(__file__).parents[3] / "shared/data")


def idx(values):
    header = bytes([0, 0, 8, values.ndim])
    return header + b"".join(n.to_bytes(4) for n in values.shape) + values.tobytes()


@pytest.fixture(scope="module")
def contents() -> dict[str, bytes]:
    random = np.random.default_rng(0)
    parts = {}
    for part, n in (("train", 6), ("t10k", 3)):
        images = random.integers(0, 256, (n, 4, 5), dtype=np.uint8)
        parts[f"{part}-images-idx3-ubyte.gz"] = gzip.compress(idx(images))
        parts[f"{part}-labels-idx1-ubyte.gz"] = gzip.compress(idx(np.arange(n, dtype=np.uint8) % 2))
    return parts


@pytest.fixture
def entry(contents, tmp_path, monkeypatch) -> Entry:
    """A small set that no mirror has; the cache is empty and nothing is in the environment."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("GRADUS_DATA", raising=False)
    hashes = {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}
    return Entry("small", ("even", "odd"), ("http://127.0.0.1:9/",), hashes)


def write(folder: Path, contents: dict[str, bytes]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    return folder


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@pytest.fixture
def serve():
    """Serve a folder on this machine; returns its address."""
    servers = []

    def start(folder: Path) -> str:
        handler = functools.partial(Quiet, directory=str(folder))
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        servers.append(server)
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        return f"http://127.0.0.1:{server.server_port}/"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def unpacked(contents):
    return {
        name.removesuffix(".gz"): gzip.decompress(content) for name, content in contents.items()
    }


@pytest.mark.parametrize(
    ("place", "compressed"),
    [
        ("data_dir", True),
        ("data_dir", False),
        ("data_dir/small", True),
        ("data_dir/small", False),
        ("environment", True),
        ("environment/small", False),
        ("cache/gradus/small", True),
    ],
)
def test_places(entry, contents, tmp_path, monkeypatch, place, compressed):
    write(tmp_path / place, contents if compressed else unpacked(contents))
    if place.startswith("environment"):
        monkeypatch.setenv("GRADUS_DATA", str(tmp_path / "environment"))
    data_dir = tmp_path / "data_dir" if place.startswith("data_dir") else None
    (x, y), (x_test, y_test) = read_entry(entry, data_dir)
    pixels = gzip.decompress(contents["train-images-idx3-ubyte.gz"])[16:]
    assert x.numpy().tobytes() == pixels
    assert (x.shape, x_test.shape) == ((6, 1, 4, 5), (3, 1, 4, 5))
    assert (y.tolist(), y_test.tolist()) == ([0, 1, 0, 1, 0, 1], [0, 1, 0])


def test_download_from_the_second_mirror(entry, contents, tmp_path, serve):
    address = serve(write(tmp_path / "served", contents))
    entry = dataclasses.replace(entry, mirrors=("http://127.0.0.1:9/", address))
    (x, _), _ = read_entry(entry)
    assert x.shape == (6, 1, 4, 5)
    cached = tmp_path / "cache/gradus/small"
    assert {path.name: path.read_bytes() for path in cached.iterdir()} == contents
    read_entry(dataclasses.replace(entry, mirrors=()))  # from the cache: no mirror is asked


def test_a_damaged_cache_is_fetched_again(entry, contents, tmp_path, serve):
    write(tmp_path / "cache/gradus/small", dict.fromkeys(contents, b"half a file"))
    address = serve(write(tmp_path / "served", contents))
    (x, _), _ = read_entry(dataclasses.replace(entry, mirrors=(address,)))
    assert len(x) == 6


def test_data_dir_without_the_files_falls_through(entry, contents, tmp_path, monkeypatch):
    monkeypatch.setenv("GRADUS_DATA", str(write(tmp_path / "named", contents)))
    (tmp_path / "empty").mkdir()
    (x, _), _ = read_entry(entry, tmp_path / "empty")
    assert len(x) == 6


@pytest.mark.parametrize(
    ("served", "reason"),
    [
        (None, "http://127.0.0.1:9/: not reached"),
        ({}, "404 Client Error"),
        ({"train-images-idx3-ubyte.gz": b"other bytes"}, "wrong checksum"),
    ],
    ids=["no network", "no file", "wrong bytes"],
)
def test_no_mirror_has_the_file(entry, tmp_path, serve, served, reason):
    if served is not None:
        entry = dataclasses.replace(entry, mirrors=(serve(write(tmp_path / "served", served)),))
    with pytest.raises(InputError) as refusal:
        read_entry(entry)
    said = str(refusal.value)
    assert reason in said
    for needed in (*entry.files, entry.mirrors[0], str(tmp_path / "cache/gradus/small")):
        assert needed in said
    assert "--data-dir" in said
    assert "\n" not in said
    assert not list((tmp_path / "cache").rglob("*.gz"))


def test_a_cache_that_cannot_be_written(entry, tmp_path):
    (tmp_path / "cache").write_text("a file where the folder is to be")
    with pytest.raises(InputError, match=r"cannot be written .*--data-dir"):
        read_entry(entry)


def test_data_dir_must_exist(entry, tmp_path):
    with pytest.raises(InputError, match=r"--data-dir .*nowhere: no such folder"):
        read_entry(entry, tmp_path / "nowhere")


def relabelled(values):
    return gzip.compress(idx(np.array(values, dtype=np.uint8)))


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("train-images-idx3-ubyte.gz", lambda old: old[:-30], "truncated gzip file"),
        (
            "train-labels-idx1-ubyte.gz",
            lambda _: relabelled([0, 1]),
            "holds 6 images, train-labels",
        ),
        ("t10k-labels-idx1-ubyte.gz", lambda _: relabelled([[0]]), "magic number 0x00000802"),
        ("t10k-labels-idx1-ubyte.gz", lambda _: relabelled([0, 0, 0]), "wrong checksum, SHA-256 "),
    ],
)
def test_a_local_file_that_is_wrong(entry, contents, tmp_path, name, change, message):
    folder = write(tmp_path / "data", contents | {name: change(contents[name])})
    with pytest.raises(InputError) as refusal:
        read_entry(entry, folder)
    said = str(refusal.value)
    assert message in said
    assert str(folder) in said
    assert "\n" not in said
    if "checksum" in message:
        found = hashlib.sha256((folder / name).read_bytes()).hexdigest()
        assert f"{found[:12]}.. where small has {entry.files[name][:12]}.." in said
        assert f"{entry.mirrors[0]}{name}" in said


def test_a_label_beyond_the_classes(entry, contents, tmp_path):
    files = unpacked(contents) | {"t10k-labels-idx1-ubyte": idx(np.array([0, 1, 7], np.uint8))}
    with pytest.raises(InputError, match="label 7, small has the classes 0 to 1"):
        read_entry(entry, write(tmp_path / "data", files))


def test_the_table_is_whole():
    for name, entry in CATALOGUE.items():
        assert (entry.name, len(entry.classes), len(entry.files)) == (name, 10, 4)
        assert all(mirror.endswith("/") for mirror in entry.mirrors)
        assert all(len(bytes.fromhex(sha256)) == 32 for sha256 in entry.files.values())


def test_the_real_fashion_mnist():
    if not any(REAL.glob("**/train-images-idx3-ubyte.gz")):
        pytest.skip(f"no Fashion-MNIST under {REAL}; name its folder by GRADUS_DATA")
    (x, y), (x_test, y_test) = read_entry(CATALOGUE["fashion-mnist"], REAL)
    assert (x.shape, x_test.shape) == ((60_000, 1, 28, 28), (10_000, 1, 28, 28))
    assert y.bincount().tolist() == [6000] * 10
    assert y_test.bincount().tolist() == [1000] * 10
