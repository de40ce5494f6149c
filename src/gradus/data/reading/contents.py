"""What a file is by its first bytes, whatever its ending says."""

from __future__ import annotations

import codecs
from pathlib import Path

from gradus.errors import InputError

HEAD = 512
"""Bytes that tell what a file is."""

_SIGNS = (
    (b"PAR1", "a Parquet file", "name it .parquet"),
    (b"ARROW1", "an Arrow file", "name it .arrow or .feather"),
    (b"FEA1", "a Feather file of version 1", "write it again in version 2, or as Parquet"),
    (b"PK\x03\x04", "a zip archive", "name it .xlsx or .npz if it is one, or unpack it"),
    (b"\x1f\x8b", "packed by gzip", "let its name end in .gz, as in .csv.gz"),
    (b"\x28\xb5\x2f\xfd", "packed by zstd", "let its name end in .zst, as in .csv.zst"),
    (b"BZh", "packed by bzip2", "unpack it"),
    (b"\xfd7zXZ\x00", "packed by xz", "unpack it"),
    (b"\xd0\xcf\x11\xe0", "an old or encrypted Excel file", "save it as .xlsx or .csv"),
    (b"\x93NUMPY", "an array of NumPy", "name it .npy, and give its targets by --target"),
    (b"\x89HDF", "an HDF5 file", "save its table as Parquet or CSV"),
    (b"SQLite format 3\0", "an SQLite database", "export its table as CSV"),
    (b"%PDF-", "a PDF", "give the table that it shows as CSV"),
    (b"\x89PNG", "an image", "give a table"),
    (b"\xff\xd8\xff", "an image", "give a table"),
)

_TEXT_SIGNS = (
    (b"<!doctype html", "an HTML page, as a server sends in place of a file", "download it again"),
    *(
        (sign, "an HTML page, as a server sends in place of a file", "download it again")
        for sign in (b"<html", b"<head", b"<body", b"<meta", b"<title", b"<script")
    ),
    (b"<?xml", "XML", "save its table as CSV"),
    (b'{"', "JSON", "name it .jsonl if each line is an object"),
    (b"version https://git-lfs", "the address of a file that Git LFS keeps", "run git lfs pull"),
)


def check_contents(path: Path, head: bytes, *own: bytes) -> None:
    """Refuse a file that is of another kind than its ending says.

    Args:
        path: the file.
        head: its first ``HEAD`` bytes.
        own: what files of its kind begin with.

    Raises:
        InputError: it begins as one of another kind.
    """
    signs = [sign for sign in _SIGNS if sign[0] not in own and head.startswith(sign[0])]
    if head[257:262] == b"ustar":
        signs.append((b"", "a tar archive", "unpack it"))
    beginning = head.removeprefix(codecs.BOM_UTF8).lstrip()[:30].lower()
    signs += [sign for sign in _TEXT_SIGNS if sign[0] not in own and beginning.startswith(sign[0])]
    if signs:
        _, what, remedy = signs[0]
        raise InputError(f"{path}: is {what}, not what its ending says; {remedy}")
