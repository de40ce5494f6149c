"""How image files become bytes of one shape, by Pillow."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from gradus.data.memory import memory
from gradus.data.preparation.image_form import ImageForm, Mode
from gradus.data.side_by_side import side_by_side
from gradus.data.unpacking import stored_size
from gradus.errors import InputError, quoted

if TYPE_CHECKING:
    from PIL import Image

FORMATS = ("PNG", "JPEG", "GIF", "BMP", "WEBP", "TIFF", "PPM")
"""That are read, whatever a file is called."""

GREY = ("1", "L", "LA", "La")
SIXTEEN = ("I;16", "I;16B", "I;16L", "I;16N")
"""Modes of Pillow: of one channel of 8 bits at most, and of 16."""

ALPHA = ("LA", "La", "PA", "RGBA", "RGBa")

_AT_ONCE = 64
"""Files that are decoded before more is said of how far it is."""

_ORIENTATION = 0x0112
_ORIENTED = ("JPEG", "MPO", "PNG", "WEBP")
"""Formats whose note of how the camera was held is followed here; Pillow follows that of TIFF."""


@dataclass(frozen=True)
class Header:
    """What a file says of the image in it.

    Attributes:
        path: of the file.
        height: in pixels, as it is seen.
        width: likewise.
        mode: what it is nearest to.
        done: what is to be done with it that a user may want to know.
    """

    path: Path
    height: int
    width: int
    mode: Mode
    done: tuple[str, ...]


def header_of(path: Path) -> Header:
    """Read the header of an image file, within ``reading_images``.

    Raises:
        InputError: it is no image of a format that is read, or of more pixels than an image has.
    """
    with _opened(path) as image:
        done = []
        width, height = image.size
        if _turns(image) >= 5:
            width, height = height, width
        if _is_of_sixteen(image):
            done.append("of 16 bits, brought to 8")
        if _has_alpha(image):
            done.append("with transparent parts, laid on white")
        elif image.mode == "P":
            done.append("with a palette, taken as colours")
        elif image.mode not in (*GREY, "RGB") and not _is_of_sixteen(image):
            done.append(f"of the mode {image.mode}, brought to RGB")
        if image.format != "MPO" and getattr(image, "is_animated", False):
            done.append("of several frames, the first of which is taken")
        grey = image.mode in GREY or _is_of_sixteen(image)
        return Header(path, height, width, "grey" if grey else "rgb", tuple(done))


def pixels_of(paths: Sequence[Path], form: ImageForm, told: str = "") -> NDArray[np.uint8]:
    """The images of some files, ``[n, channels, height, width]``.

    Args:
        paths: of the files.
        form: what they become.
        told: what is said to be under way on a terminal, beyond two seconds; "": nothing is.

    Raises:
        InputError: a file cannot be read, or is of another size and is not to be resized.
    """
    found = _room((len(paths), *form.shape))

    def decode(at: int) -> None:
        found[at] = _pixels(paths[at], form)

    with reading_images(), progress(told, len(paths)) as advance:
        for start in range(0, len(paths), _AT_ONCE):
            some = range(start, min(start + _AT_ONCE, len(paths)))
            side_by_side(decode, some)
            advance(len(some))
    return found


@contextmanager
def reading_images() -> Iterator[None]:
    """Pillow is there, keeps its warnings to itself, and opens no image that fills the memory.

    Raises:
        InputError: it is not installed.
    """
    try:
        from PIL import Image
    except ImportError as error:
        raise InputError(
            "images are read by Pillow, which is not installed; pip install 'gradus[images]'"
        ) from error
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        yield


@contextmanager
def progress(told: str, total: int) -> Iterator[Any]:
    """A bar on a terminal, of what takes more than two seconds; ``told`` "": none."""
    if not told:
        yield lambda count: None
        return
    from tqdm import tqdm

    with tqdm(desc=told, total=total, delay=2, leave=False, disable=None, unit="") as bar:
        yield bar.update


@contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    """An image of which the header was read."""
    from PIL import Image, UnidentifiedImageError

    if stored_size(path) == 0:
        raise InputError(f"{path}: is empty; take it out, or put an image in its place")
    try:
        with Image.open(path, formats=FORMATS) as image:
            yield image
    except InputError:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise InputError(
            f"{path}: its header promises more than {Image.MAX_IMAGE_PIXELS:,} pixels: damaged, or "
            "made to fill the memory; make it smaller"
        ) from error
    except UnidentifiedImageError as error:
        raise InputError(
            f"{path}: is no image of a kind that is read ({', '.join(FORMATS)}); take it out"
        ) from error
    except Exception as error:  # what decoders raise where bytes are wrong cannot be named
        if isinstance(error, OSError) and error.strerror:
            raise InputError(f"{path}: cannot be read ({error.strerror})") from error
        raise InputError(f"{path}: the image is damaged ({quoted(error, 120)})") from error


def _pixels(path: Path, form: ImageForm) -> NDArray[np.uint8]:
    with _opened(path) as image:
        turns = _turns(image)
        if form.resize:
            # A JPEG is decoded at half of its size, or less, where that is still twice the wanted.
            most = 2 * max(form.height, form.width)
            image.draft(None, (most, most))
        upright = _turned(image, turns)
        plain = _plain(upright, form.mode, path)
        size = form.width, form.height
        if plain.size != size:
            if form.resize is None:
                raise InputError(
                    f"{path}: is {plain.height}×{plain.width} (height×width), and the model takes "
                    f"{form.height}×{form.width}; resize it, or train with --image-size"
                )
            plain = plain.resize(size, _bilinear())
        values = np.asarray(plain)
    return values[None] if form.mode == "grey" else values.transpose(2, 0, 1)


def _bilinear() -> Any:
    from PIL import Image

    return Image.Resampling.BILINEAR


def _plain(image: Image.Image, mode: Mode, path: Path) -> Image.Image:
    """An image of one or of three channels of 8 bits."""
    from PIL import Image

    if image.mode in ("I", "F") and not _is_of_sixteen(image):
        raise InputError(
            f"{path}: holds numbers of 32 bits, of which it is not said which is white; save it "
            "with 8 or 16 bits"
        )
    if _is_of_sixteen(image):
        values = (np.asarray(image).astype(np.uint32) + 128) // 257
        image = Image.fromarray(values.astype(np.uint8))
    elif _has_alpha(image):
        layers = image.convert("RGBA")
        image = Image.new("RGBA", layers.size, "white")
        image.alpha_composite(layers)
    return image.convert("L" if mode == "grey" else "RGB")


def _is_of_sixteen(image: Image.Image) -> bool:
    """Whether it is grey of 16 bits; those of a PPM file come as of 32, from 0 to 65,535."""
    return image.mode in SIXTEEN or (image.mode == "I" and image.format == "PPM")


def _has_alpha(image: Image.Image) -> bool:
    return image.mode in ALPHA or (image.mode not in SIXTEEN and "transparency" in image.info)


def _turns(image: Image.Image) -> int:
    """How it is to be turned or mirrored to be seen upright: 1 to 8, 5 and more on its side."""
    if image.format not in _ORIENTED or "exif" not in image.info:
        return 1
    found = image.getexif().get(_ORIENTATION, 1)
    return found if found in range(1, 9) else 1


def _turned(image: Image.Image, turns: int) -> Image.Image:
    from PIL.Image import Transpose

    how = {
        2: Transpose.FLIP_LEFT_RIGHT,
        3: Transpose.ROTATE_180,
        4: Transpose.FLIP_TOP_BOTTOM,
        5: Transpose.TRANSPOSE,
        6: Transpose.ROTATE_270,
        7: Transpose.TRANSVERSE,
        8: Transpose.ROTATE_90,
    }
    return image if turns == 1 else image.transpose(how[turns])


def _room(shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """An array of bytes of this shape.

    Raises:
        InputError: the memory does not hold it.
    """
    size = int(np.prod(shape, dtype=np.int64))
    there = memory()
    if size > there:
        raise InputError(
            f"{shape[0]:,} images of {' × '.join(map(str, shape[1:]))} bytes do not fit into the "
            f"memory, {size / 2**30:.1f} of {there / 2**30:.1f} GB; give a smaller --image-size"
        )
    return np.empty(shape, np.uint8)
