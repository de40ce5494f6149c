"""How a folder of images becomes a split."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch

from gradus.data.arrays import check_own_part, goal_for, rows_of
from gradus.data.dataset import Dataset, Split
from gradus.data.image_files import Header, header_of, pixels_of, progress, reading_images
from gradus.data.image_folder import ImageFolder, image_folder
from gradus.data.partition import USUAL_PARTS, Parts
from gradus.data.preparation import Arrays, Classes, fit_arrays
from gradus.data.preparation.image_form import ImageForm, Mode
from gradus.data.side_by_side import side_by_side
from gradus.data.targets import class_targets
from gradus.errors import InputError, quoted

_AT_ONCE = 512


@dataclass(frozen=True)
class ImageOptions:
    """How the user wants a folder of images to be read and prepared.

    Attributes:
        loss: name of the loss, or None.
        standardize: bring pixels to mean 0 and standard deviation 1, all together.
        size: height and width that images are brought to; None: they are of one size.
        parts: how the parts are drawn that the folder does not hold; 0 for validation leaves out
            the part that it holds.
        dtype: of batches.
    """

    loss: str | None = None
    standardize: bool = False
    size: tuple[int, int] | None = None
    parts: Parts = USUAL_PARTS
    dtype: Literal["float32", "float64"] = "float32"


USUAL = ImageOptions()


def load_images(
    root: Path, options: ImageOptions = USUAL, preparation: Arrays | None = None
) -> Split:
    """The images of a folder that holds one for each class, or such for training and other parts.

    Images are grey where all of them are, else RGB; those of 16 bits are brought to 8, transparent
    parts laid on white, cameras held upright. They stay bytes and are divided by 255 when a batch
    is cut.

    Args:
        root: see `gradus.data.image_folder.image_folder`.
        options: what the user wants.
        preparation: what was fitted to other images of the kind, which is not fitted again.

    Raises:
        InputError: the folder does not hold images so, or one of them cannot be read or is of
            another size; or Pillow is not installed.

    Example:
        >>> import tempfile
        >>> from PIL import Image
        >>> root = Path(tempfile.mkdtemp())
        >>> for name, grey in (("dark", 20), ("light", 220)):
        ...     (root / name).mkdir()
        ...     for at in range(10):
        ...         Image.new("L", (6, 4), grey + at).save(root / name / f"{at}.png")
        >>> split = load_images(root)
        >>> split.train.x.shape, split.train.classes, split.notes
        (torch.Size([13, 1, 4, 6]), ('dark', 'light'), ('20 images: grey, 4×6 (height×width)',))
    """
    folder = image_folder(root)
    suffixes = [next(iter(folder.parts))]
    for part, fraction in (("test", options.parts.test), ("validation", options.parts.validation)):
        if f"_{part}" in folder.parts and check_own_part(
            str(root), part, fraction, f"a folder {part}"
        ):
            suffixes.append(f"_{part}")
    files, labels, sizes = _in_order(folder, suffixes)
    headers = headers_of(files)
    classes = folder.classes
    if preparation is None:
        form = _form(headers, options.size)
    else:
        form = form_for(preparation, str(root))
        known = preparation.goal.names if isinstance(preparation.goal, Classes) else ()
        if unknown := [name for name in classes if name not in known]:
            raise InputError(
                f"{root}: has the class {quoted(unknown[0], 60)}, which the model was not trained "
                "on"
            )
        labels = torch.tensor([known.index(name) for name in classes])[labels]
        classes = known
    targets = class_targets(labels, classes, options.loss, str(root))
    rows = rows_of(sizes, options.parts, targets.labels)
    found = {}
    for part, at in zip(("train", "validation", "test"), rows, strict=True):
        told = f"reading images, {part}"
        found[part] = pixels_of([files[row] for row in at.tolist()], form, told)
    if preparation is None:
        goal, _ = goal_for(targets, rows.train, scale=False)
        every = torch.arange(len(rows.train)).numpy()
        preparation = fit_arrays(
            found["train"], every, goal, standardize=options.standardize, images=form
        )

    def dataset(part: str, at: torch.Tensor) -> Dataset:
        return preparation.dataset(found[part], None, targets.y[at], options.dtype)

    return Split(
        dataset("train", rows.train),
        dataset("test", rows.test),
        str(root),
        "classification",
        validation=dataset("validation", rows.validation) if len(rows.validation) else None,
        preparation=preparation,
        notes=(*folder.notes, *_told(headers, form)),
    )


def headers_of(files: Sequence[Path]) -> list[Header]:
    """The headers of image files.

    Raises:
        InputError: one is no image that is read, or Pillow is not installed.
    """
    found: list[Header] = []
    with reading_images(), progress("looking at images", len(files)) as advance:
        for start in range(0, len(files), _AT_ONCE):
            some = files[start : start + _AT_ONCE]
            found += side_by_side(header_of, some)
            advance(len(some))
    return found


def form_for(preparation: Arrays, where: str) -> ImageForm:
    """What image files have to become for a model.

    Raises:
        InputError: it was trained on what no image becomes.
    """
    if preparation.images is not None:
        return preparation.images
    shape = preparation.shape
    modes: dict[int, Mode] = {1: "grey", 3: "rgb"}
    is_of_images = preparation.holds == "bytes" and preparation.scale == 255 and len(shape) == 3
    if not is_of_images or shape[0] not in modes:
        raise InputError(
            f"{where}: are images, and the model was trained on arrays of {preparation.holds}, "
            f"[N, {', '.join(map(str, shape))}]; give the like, as .npz or .npy"
        )
    return ImageForm(mode=modes[shape[0]], height=shape[1], width=shape[2])


def _in_order(
    folder: ImageFolder, suffixes: Sequence[str]
) -> tuple[list[Path], torch.Tensor, dict[str, int]]:
    """The files of these parts, one part after another, with their classes, and their numbers."""
    files: list[Path] = []
    labels: list[int] = []
    sizes = {}
    for suffix in suffixes:
        before = len(files)
        for at, name in enumerate(folder.classes):
            some = folder.parts[suffix].get(name, [])
            files += some
            labels += [at] * len(some)
        sizes[suffix] = len(files) - before
    return files, torch.tensor(labels), sizes


def _form(headers: Sequence[Header], size: tuple[int, int] | None) -> ImageForm:
    """What the images of a folder become.

    Raises:
        InputError: they differ in size, and no size is given.
    """
    first = headers[0]
    mode: Mode = "grey" if all(header.mode == "grey" for header in headers) else "rgb"
    if size is not None:
        return ImageForm(mode=mode, height=size[0], width=size[1], resize="bilinear")
    for header in headers:
        if (header.height, header.width) != (first.height, first.width):
            raise InputError(
                f"{header.path}: is {header.height}×{header.width} (height×width), and "
                f"{first.path} {first.height}×{first.width}; bring all to one size by "
                "--image-size, as 64 or 48,64"
            )
    return ImageForm(mode=mode, height=first.height, width=first.width)


def _told(headers: Sequence[Header], form: ImageForm) -> list[str]:
    """What was done with the images, a line for each thing."""
    told = [f"{len(headers):,} images: {form.told}"]
    if form.resize:
        high, wide = (
            _span([getattr(each, side) for each in headers]) for side in ("height", "width")
        )
        told[0] += f", brought to that by stretching from {high} high, {wide} wide"
    done = Counter(what for header in headers for what in header.done)
    if form.mode == "rgb" and (grey := [each for each in headers if each.mode == "grey"]):
        done["grey, brought to RGB"] = len(grey)
    for what, count in done.most_common():
        which = next(
            each.path
            for each in headers
            if what in each.done or (what.startswith("grey") and each.mode == "grey")
        )
        told.append(f"{count:,} image{'s' * (count > 1)} {what}, such as {which.name}")
    return told


def _span(sizes: Sequence[int]) -> str:
    low, high = min(sizes), max(sizes)
    return f"{low}" if low == high else f"{low} to {high}"
