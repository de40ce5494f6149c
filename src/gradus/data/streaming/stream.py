"""How a table that is larger than the memory becomes a split to train on.

1.  *Parts.* A row trains, validates or tests by a hash of its number in the table and the split
    seed (`parts`): no list of rows is held. At most 100,000 rows validate and as many test; they
    stay in memory.
2.  *One pass fits.* What the first rows hold says what a column is. All training rows then go by
    once (`statistics`, `goal`): means and deviations are exact, names are counted, quantiles are
    those of about 100,000 rows. What is found is a `Preparation` as of any other table, and is kept
    in the record: predicting, evaluating and exporting know no difference.
3.  *One pass prepares.* All rows go by once more and are written as x and y (`rows_file`), each
    into a bucket that is drawn for it: a bucket is a uniform sample of the table, however that is
    sorted. The file is kept under what identifies the source and the options (`Cache`), or has no
    name. From then on the source is not read: whatever becomes of it, a run sees the same rows.
4.  *Training.* An epoch is a permutation of the buckets, some of which are a buffer whose rows are
    permuted (`order`), a pure function of (seed, epoch): where a run goes on follows from its step.
    Engines take buffers as datasets in memory, one after another, while a thread reads the next.

Memory: the rows that are held out, two buffers, and a piece of the source, whatever the length.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch

from gradus._version import __version__
from gradus.data.dataset import Dataset, Split, Treatment
from gradus.data.preparation import Preparation, Quantities
from gradus.data.streaming.kept import Cache
from gradus.data.streaming.order import BUFFER, StreamOrder
from gradus.data.streaming.passes import Passes, Watch
from gradus.data.streaming.rows_file import RowsFile
from gradus.data.streaming.table_files import table_files
from gradus.data.table_options import TableOptions
from gradus.errors import InputError, quoted

SHOWN = 100_000
"""Training rows that stand for all where something is taken of the data alone, at most."""


def stream_table(
    path: Path,
    options: TableOptions,
    cache: Cache,
    *,
    buffer: int | None = None,
    preparation: Preparation | None = None,
    watch: Watch = lambda what, done, of: None,
) -> Split:
    r"""The split of a table whose rows are not held in memory.

    Args:
        path: the file, or a folder of files that are one table.
        options: what the user wants.
        cache: where the prepared rows lie.
        buffer: rows that are shuffled together, about; None for 64 MB of them.
        preparation: how rows become x, where that was fitted to others before.
        watch: told how far it is.

    Returns:
        The split; its ``order`` reads the rows that train, of which ``train`` is a sample.

    Raises:
        InputError: the table cannot be streamed as the options say, a value of it cannot be read,
            or there is no room for the prepared rows.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> rows = "150,red,apple\n120,yellow,banana\n" * 50
        >>> _ = (folder / "fruit.csv").write_text("grams,colour,fruit\n" + rows)
        >>> split = stream_table(folder / "fruit.csv", TableOptions("fruit"), Cache(folder))
        >>> split.features, split.trains + len(split.validation) + len(split.test)
        (('grams', 'colour=red', 'colour=yellow'), 100)
    """
    _check(options)
    files = table_files(path)
    fingerprint = files.fingerprint()
    place = cache.place / f"{path.stem[:60]}-{_key(fingerprint, options, buffer, preparation)}.rows"
    rows = RowsFile.open(place) if cache.stays else None
    if rows is not None:
        said = f"rows were prepared before, in {place}"
    else:
        began = time.perf_counter()
        with _writable(cache.place), Passes(files, options, cache.place, watch).begun() as passes:
            found = passes.look() if preparation is None else passes.take(preparation)
            rows = passes.prepare(found, cache, place, buffer)
        if files.fingerprint() != fingerprint:
            with suppress(OSError):
                place.unlink()
            raise InputError(f"{path}: changed while it was read; begin again")
        kept = f"{place}, for other runs on this table" if cache.stays else "a file without a name"
        seconds = time.perf_counter() - began
        said = f"rows were prepared in {seconds:.0f} s, and are {rows.bytes / 1e9:.2g} GB in {kept}"
    return _split(path, options, rows, buffer, said)


@contextmanager
def _writable(folder: Path) -> Iterator[None]:
    """Within, files are written into a folder, which is made.

    Raises:
        InputError: they cannot be.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        yield
    except OSError as error:
        raise InputError(
            f"--cache {folder}: prepared rows cannot be written there ({quoted(error)})"
        ) from None


def _check(options: TableOptions) -> None:
    """Refuse what needs all rows at once."""
    by_time = options.parts.split if options.parts.split != "random" else None
    given = {"--group": options.parts.group, "--weights": options.weights, "--split": by_time}
    for flag, value in given.items():
        if value is not None:
            raise InputError(
                f"{flag} {quoted(value, 60)}: needs all rows at once, and they are streamed; leave "
                "the option out, or give --no-stream"
            )


def _key(
    fingerprint: str,
    options: TableOptions,
    buffer: int | None,
    preparation: Preparation | None,
) -> str:
    """What prepared rows are found by: the source, and all that says what becomes of it."""
    said = {
        "source": fingerprint,
        "options": asdict(options),
        "buffer": buffer,
        "preparation": None if preparation is None else preparation.record(),
        "version": __version__,
    }
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()[:20]


def _split(
    path: Path, options: TableOptions, rows: RowsFile, buffer: int | None, said: str
) -> Split:
    about: Mapping[str, Any] = rows.about
    preparation = Preparation.model_validate(about["preparation"])
    goal = preparation.goal
    classes = None if isinstance(goal, Quantities) else goal.names
    n = sum(rows.sizes("train"))
    if n == 0:
        raise InputError(f"{path}: no row is left to train on; give more rows")

    def part(name: str, most: int | None = None) -> Dataset | None:
        sizes = np.cumsum(rows.sizes(name)).tolist()
        buckets = 1 + next(
            (at for at, end in enumerate(sizes) if most and end >= most), len(sizes) - 1
        )
        if sizes[buckets - 1] == 0:
            return None
        storage = rows.layout.storage(sizes[buckets - 1])
        at = 0
        for bucket in range(buckets):
            at = rows.load(name, bucket, storage, at)
        x, y = (torch.from_numpy(each[:most].copy() if most else each) for each in storage)
        return Dataset(x, y, classes, dtype=x.dtype)

    train = part("train", max(2, min(SHOWN, BUFFER // rows.layout.row)))
    test, validation = part("test"), part("validation")
    assert train is not None
    if test is None and "test" not in options.parts.apart:
        raise InputError(f"{path}: too few rows: none was drawn to test; give --no-stream")
    if validation is None and about["validates"]:
        raise InputError(
            f"{path}: too few rows: none was drawn to validate; give --validation-fraction 0, or "
            "--no-stream"
        )
    order = StreamOrder("shuffle", n, rows=rows, classes=classes, buffer=buffer)
    targets = goal.targets if isinstance(goal, Quantities) else (goal,)
    return Split(
        train,
        train if test is None else test,  # until one that is given takes its place
        str(path),
        "regression" if classes is None else "classification",
        preparation.features,
        ", ".join(target.name for target in targets),
        validation,
        preparation,
        tuple(Treatment(*each) for each in about["treatments"]),
        (*about["notes"], f"rows are streamed, about {n // order.groups:,} at a time; {said}"),
        order,
    )
