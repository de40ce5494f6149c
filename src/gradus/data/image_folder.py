"""Which images a folder holds, of which classes, and in which parts."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from gradus.data.preparation.names import in_order
from gradus.errors import InputError, brief, quoted

PARTS = {
    "train": "_train",
    "val": "_validation",
    "valid": "_validation",
    "validation": "_validation",
    "test": "_test",
}
"""Folders that are parts, where there is one of training; and the suffix of their arrays."""

_LEFT_BEHIND = ("thumbs.db", "desktop.ini", "__macosx")
"""What systems leave in folders, beside names that begin with a dot."""

IMAGES = (".png", ".jpg", ".jpeg", ".gif", ".bmp", ".webp", ".tif", ".tiff", ".ppm", ".pgm")
"""How names of images end: those that stand in no folder of a class are not passed over."""


@dataclass(frozen=True)
class ImageFolder:
    """The images of a folder.

    Attributes:
        classes: their names, in order.
        parts: of each part, by the suffix of its arrays, the files of each class; that of training
            first.
        notes: what is to be said of the folder, a line each.
    """

    classes: tuple[str, ...]
    parts: dict[str, dict[str, list[Path]]]
    notes: tuple[str, ...] = ()


def image_folder(root: Path) -> ImageFolder:
    """The images in ROOT/class/, or in ROOT/train/class/ and the like.

    A class has every file in its folder and in those inside it, however deep. Beside ``train`` may
    stand ``val``, ``valid`` or ``validation``, and ``test``.

    Raises:
        InputError: there are no classes, or less than two; one has no image that trains, or none
            that it was to train for; a file is in two classes or parts; or an image is in none.

    Example:
        >>> import tempfile
        >>> root = Path(tempfile.mkdtemp())
        >>> for name in ("cat", "dog"):
        ...     (root / name).mkdir()
        ...     (root / name / "1.png").touch()
        >>> found = image_folder(root)
        >>> found.classes, [path.name for path in found.parts[""]["dog"]]
        (('cat', 'dog'), ['1.png'])
    """
    folders, others = _entries(root)
    by_part = _parts_in(root, folders)
    notes: list[str] = []
    found: dict[str, dict[str, list[Path]]] = {}
    for suffix, folder in by_part.items():
        names, beside = (folders, others) if folder == root else _entries(folder)
        if loose := [path.name for path in beside if path.suffix.lower() in IMAGES]:
            if suffix == "_test" and not names:
                notes.append(f"{folder}: holds images in no folder of a class, and is left out")
                continue
            shown = quoted(loose[0], 60)
            if not names:
                raise InputError(
                    f"{folder}: holds {shown}, but no folders of classes: give a folder that holds "
                    "a folder of images for each class"
                )
            raise InputError(
                f"{folder}: holds {shown} beside the folders of the classes: put it into that of "
                "its class"
            )
        found[suffix] = {path.name: _images(path) for path in names}
        others = [*others, *(path for path in beside if path not in others)]
    if by_part.keys() != {""}:
        others += [path for path in folders if path not in by_part.values()]
    if others:
        shown = ", ".join(quoted(str(path.relative_to(root)), 40) for path in others[:5])
        notes.append(f"not looked at: {shown}{', ..' if len(others) > 5 else ''}")
    train = next(iter(found.values()))
    _check_classes(next(iter(by_part.values())), found)
    _check_one_place(found)
    if linked := _led_out(root, found):
        notes.append(f"links that lead out of {root}, or stand in such: {linked:,}")
    return ImageFolder(in_order(train), found, tuple(notes))


def images_in(given: Path) -> list[tuple[str, Path]]:
    """The images of a folder, or the one that a file is, with the names that say which they are.

    Raises:
        InputError: there are none.
    """
    if not given.is_dir():
        return [(as_text(Path(given.name)), given)]
    found = _images(given)
    if not found:
        raise InputError(f"{given}: holds no image; give a folder of images, or one image")
    return [(as_text(path.relative_to(given)), path) for path in found]


def as_text(path: Path) -> str:
    r"""A path, bytes of it that are no UTF-8 by their number.

    Example:
        >>> as_text(Path("new/1.png")), as_text(Path(os.fsdecode(b"\xff.png")))
        ('new/1.png', '\\xff.png')
    """
    return os.fsencode(path.as_posix()).decode("utf-8", "backslashreplace")


def images_of_classes(root: Path) -> tuple[list[Path], list[str]]:
    """The images in ROOT/class/, and the class of each.

    Raises:
        InputError: there are none, or the folder holds parts.
    """
    folders, beside = _entries(root)
    parts = _parts_in(root, folders)
    if parts.keys() != {""}:
        shown = ", ".join(str(path) for path in parts.values())
        raise InputError(f"{root}: holds several parts; give one of them: {shown}")
    if loose := [path.name for path in beside if path.suffix.lower() in IMAGES]:
        raise InputError(
            f"{root}: holds {quoted(loose[0], 60)} in no folder of a class: what is true of it is "
            "not known"
        )
    found = [(path, folder.name) for folder in folders for path in _images(folder)]
    if not found:
        raise InputError(f"{root}: holds no folder of a class with an image in it")
    return [path for path, _ in found], [name for _, name in found]


def are_images_of_classes(root: Path) -> bool:
    """Whether a folder holds nothing but folders, two at least, and the first of them only images.

    Example:
        >>> import tempfile
        >>> root = Path(tempfile.mkdtemp())
        >>> for name in ("cat", "dog"):
        ...     (root / name).mkdir()
        ...     (root / name / "1.png").touch()
        >>> are_images_of_classes(root), are_images_of_classes(root / "cat")
        (True, False)
    """
    try:
        folders, beside = _entries(root)
        if beside or len(folders) < 2:
            return False
        within, files = _entries(folders[0])
        while within and not files:
            within, files = _entries(within[0])
    except InputError:
        return False  # what cannot be read is no data of anybody's
    return bool(files) and all(path.suffix.lower() in IMAGES for path in files)


def _entries(folder: Path) -> tuple[list[Path], list[Path]]:
    """The folders and the files in a folder, by name, without what systems leave behind."""
    try:
        found = sorted(path for path in folder.iterdir() if not _is_left_behind(path.name))
    except OSError as error:
        raise InputError(f"{folder}: cannot be read ({error.strerror})") from error
    return [path for path in found if path.is_dir()], [path for path in found if not path.is_dir()]


def _is_left_behind(name: str) -> bool:
    return name.startswith(".") or name.lower() in _LEFT_BEHIND


def _parts_in(root: Path, folders: Sequence[Path]) -> dict[str, Path]:
    """The folder of each part, that of training first; the root alone where it has none."""
    parts: dict[str, Path] = {}
    of_parts = [path for path in folders if path.name.lower() in PARTS]
    holds_classes = {path: bool(_entries(path)[0]) for path in of_parts}
    if not any(path.name.lower() == "train" and holds_classes[path] for path in of_parts):
        if of_parts and len(of_parts) == len(folders):
            names = ", ".join(path.name for path in of_parts)
            raise InputError(
                f"{root}: holds {names}, and no folder train with a folder for each class; give "
                "that, or the folder that holds those of the classes"
            )
        return {"": root}
    for path in sorted(of_parts, key=lambda path: path.name.lower() != "train"):
        suffix = PARTS[path.name.lower()]
        if suffix in parts:
            raise InputError(
                f"{root}: holds {parts[suffix].name} and {path.name}, which are one part: take one "
                "of them out"
            )
        parts[suffix] = path
    return parts


def _images(folder: Path) -> list[Path]:
    """Every file in a folder, however deep, by name; links are followed.

    Raises:
        InputError: a link leads to nothing, or to a folder that is looked at anyway: else a circle
            of links would have no end.
    """
    found: list[Path] = []
    seen: set[Path] = set()
    for where, _, files in _walk(folder):
        real = Path(where).resolve()
        if real in seen or (folder.resolve().is_relative_to(real) and real != folder.resolve()):
            raise InputError(
                f"{where}: is a link to a folder that is looked at anyway; take it out"
            )
        seen.add(real)
        found += [Path(where, name) for name in files if not _is_left_behind(name)]
    for path in found:
        if path.is_symlink() and not path.exists():
            raise InputError(f"{path}: is a link that leads to nothing; take it out")
    return sorted(found)


def _walk(folder: Path) -> Iterator[tuple[str, list[str], list[str]]]:
    def refuse(error: OSError) -> None:
        raise InputError(f"{error.filename}: cannot be read ({error.strerror})") from error

    for where, inside, files in os.walk(folder, followlinks=True, onerror=refuse):
        inside[:] = sorted(name for name in inside if not _is_left_behind(name))
        yield where, inside, files


def _check_classes(train: Path, found: dict[str, dict[str, list[Path]]]) -> None:
    classes, *held = found.values()
    for name in classes:
        try:
            name.encode()
        except UnicodeEncodeError:
            raise InputError(
                f"{train}: its folder {os.fsencode(name)!r} has a name that is no UTF-8, and would "
                "name a class; rename it"
            ) from None
    if len(classes) < 2:
        only = (
            f"one class only ({quoted(next(iter(classes)), 60)})"
            if classes
            else "neither classes nor IDX files (train-images-idx3-ubyte, ..)"
        )
        raise InputError(
            f"{train}: holds {only}: at least two classes are needed, a folder of images each"
        )
    if empty := [name for name, paths in classes.items() if not paths]:
        raise InputError(f"{train / empty[0]}: the folder of a class holds no image")
    for part in held:
        if unknown := [name for name, paths in part.items() if paths and name not in classes]:
            known = brief(", ".join(map(brief, classes)), 120)
            raise InputError(
                f"{part[unknown[0]][0].parent}: is of a class that does not train; those that do "
                f"are {known}"
            )
    for suffix, part in zip(list(found)[1:], held, strict=True):
        if not any(part.values()):
            raise InputError(f"{train.parent}: its {suffix[1:]} part holds no image")


def _check_one_place(found: dict[str, dict[str, list[Path]]]) -> None:
    """Refuse a file that is in two classes, or trains and tests, as links make possible."""
    seen: dict[tuple[int, int], tuple[Path, str]] = {}
    for suffix, part in found.items():
        for name, paths in part.items():
            for path in paths:
                stat = path.stat()
                first, place = seen.setdefault((stat.st_dev, stat.st_ino), (path, suffix + name))
                if place != suffix + name:
                    raise InputError(
                        f"{path}: is the same file as {first}: an image is of one class, and "
                        "trains or tests; take one of them out"
                    )


def _led_out(root: Path, found: dict[str, dict[str, list[Path]]]) -> int:
    """How many files do not lie in the folder that they seem to lie in."""
    within = root.resolve()
    inside: dict[Path, bool] = {}
    count = 0
    for path in (path for part in found.values() for paths in part.values() for path in paths):
        if path.parent not in inside:
            inside[path.parent] = path.parent.resolve().is_relative_to(within)
        stays = inside[path.parent]
        if path.is_symlink():
            stays = path.resolve().is_relative_to(within)
        count += not stays
    return count
