"""Which public data sets are known by name: their files, hashes and mirrors, and how they come."""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from gradus.data.idx import read_images_and_labels
from gradus.errors import InputError

_TIMEOUT = 30.0  # seconds without a byte before the next mirror is tried


@dataclass(frozen=True)
class Entry:
    """A public data set of four IDX files.

    Args:
        name: what the user calls it.
        classes: names of the classes.
        mirrors: addresses of folders that hold the files, in the order they are tried.
        files: SHA-256 of each file, by name: training images, training labels, test images, test
            labels.
    """

    name: str
    classes: tuple[str, ...]
    mirrors: tuple[str, ...]
    files: dict[str, str]


CATALOGUE: dict[str, Entry] = {
    entry.name: entry
    for entry in (
        Entry(
            name="fashion-mnist",
            classes=(
                "T-shirt/top",
                "Trouser",
                "Pullover",
                "Dress",
                "Coat",
                "Sandal",
                "Shirt",
                "Sneaker",
                "Bag",
                "Ankle boot",
            ),
            mirrors=(
                "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
                "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
            ),
            files={
                "train-images-idx3-ubyte.gz": (
                    "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84"
                ),
                "train-labels-idx1-ubyte.gz": (
                    "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845"
                ),
                "t10k-images-idx3-ubyte.gz": (
                    "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073"
                ),
                "t10k-labels-idx1-ubyte.gz": (
                    "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5"
                ),
            },
        ),
        Entry(
            name="mnist",
            classes=tuple("0123456789"),
            mirrors=(
                "https://ossci-datasets.s3.amazonaws.com/mnist/",
                "https://storage.googleapis.com/cvdf-datasets/mnist/",
            ),
            files={
                "train-images-idx3-ubyte.gz": (
                    "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609"
                ),
                "train-labels-idx1-ubyte.gz": (
                    "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c"
                ),
                "t10k-images-idx3-ubyte.gz": (
                    "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6"
                ),
                "t10k-labels-idx1-ubyte.gz": (
                    "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6"
                ),
            },
        ),
    )
}


def read_entry(
    entry: Entry, data_dir: Path | None = None
) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """Find, download if need be, and read the four files of a public data set.

    Each file is looked for, with and without ``.gz``, in ``data_dir``, then in ``$GRADUS_DATA``
    (in both, first in their folder of the name of the set), then in the user's cache; else it is
    downloaded into the cache. Compressed files must have the known SHA-256.

    Args:
        entry: which one.
        data_dir: the folder that the user names, or None.

    Returns:
        Training images uint8 ``[N, 1, height, width]`` and labels int64 ``[N]``; the same for test.

    Raises:
        InputError: ``data_dir`` does not exist; a file is damaged, is not the one that is known,
            or can neither be found nor downloaded.
    """
    folders = list(_folders(entry, data_dir))
    paths = [_found(name, folders) or _downloaded(entry, name) for name in entry.files]
    train = _read(entry, paths[0], paths[1])
    test = _read(entry, paths[2], paths[3])
    return train, test


def _read(entry: Entry, images: Path, labels: Path) -> tuple[Tensor, Tensor]:
    x, y = read_images_and_labels(images, labels)
    # A damaged file has said by now what is wrong with it; this finds whole files of another set.
    for path in (images, labels):
        _check(entry, path)
    if int(y.max()) >= len(entry.classes):
        raise InputError(
            f"{labels}: label {int(y.max())}, {entry.name} has the classes 0 to "
            f"{len(entry.classes) - 1}; fetch it again"
        )
    return x, y


def _check(entry: Entry, path: Path) -> None:
    known = entry.files.get(path.name)
    if known is None:
        return
    found = _sha256(path)
    if found != known:
        raise InputError(
            f"{path}: wrong checksum, SHA-256 {found[:12]}.. where {entry.name} has "
            f"{known[:12]}..; fetch it again from {entry.mirrors[0]}{path.name}, or name another "
            "folder by --data-dir"
        )


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _folders(entry: Entry, data_dir: Path | None) -> Iterator[Path]:
    if data_dir is not None:
        if not data_dir.is_dir():
            raise InputError(
                f"--data-dir {data_dir}: no such folder; name one that holds the files of "
                f"{entry.name}, or leave the option out to have them downloaded"
            )
        yield from (data_dir / entry.name, data_dir)
    if named := os.environ.get("GRADUS_DATA"):
        if not Path(named).is_dir():
            raise InputError(f"GRADUS_DATA={named}: no such folder; mend or unset the variable")
        yield from (Path(named) / entry.name, Path(named))


def _found(name: str, folders: list[Path]) -> Path | None:
    for folder in folders:
        for path in (folder / name, folder / name.removesuffix(".gz")):
            if path.is_file():
                return path
    return None


def _cache(entry: Entry) -> Path:
    from platformdirs import user_cache_path

    return user_cache_path("gradus") / entry.name


def _downloaded(entry: Entry, name: str) -> Path:
    folder = _cache(entry)
    path = folder / name
    if path.is_file() and _sha256(path) == entry.files[name]:
        return path

    import pooch
    import requests

    pooch.get_logger().setLevel("WARNING")  # the progress bar says the same
    downloader = pooch.HTTPDownloader(
        progressbar=sys.stderr.isatty(), timeout=_TIMEOUT, chunk_size=1 << 16
    )
    failures = []
    for mirror in entry.mirrors:
        try:
            pooch.retrieve(
                mirror + name,
                known_hash=f"sha256:{entry.files[name]}",
                fname=name,
                path=folder,
                downloader=downloader,
            )
        except requests.HTTPError as error:
            failures.append(str(error))
        except requests.RequestException:
            failures.append(f"{mirror}: not reached")
        except ValueError:
            failures.append(f"{mirror}: wrong checksum")
        except OSError as error:
            raise InputError(
                f"{folder}: cannot be written ({error.strerror}); put {', '.join(entry.files)} "
                f"from {entry.mirrors[0]} into a folder and name it by --data-dir"
            ) from error
        else:
            return path
    raise InputError(
        f"{entry.name}: {name} was not found and could not be downloaded ({'; '.join(failures)}); "
        f"put {', '.join(entry.files)} from {entry.mirrors[-1]} into {folder}, or into a folder "
        "named by --data-dir"
    )
