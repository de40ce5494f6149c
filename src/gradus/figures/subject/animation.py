"""Animations: a picture drawn again and again with a growing share of its facts."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from gradus.errors import InputError
from gradus.runs.files import write_whole

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from PIL.Image import Image

MOVING: Final = ("gif", "mp4")
FRAMES: Final = 40
PER_SECOND: Final = 10
PAUSE: Final = 15
"""For how many frames the last picture is held."""

DOTS: Final = 70
"""Dots per inch; an animation is smaller than a still picture."""


def require(kind: str) -> None:
    """Refuse a format that cannot be written here.

    Raises:
        InputError: mp4 without ffmpeg.
    """
    if kind == "mp4" and shutil.which("ffmpeg") is None:
        raise InputError("--format mp4: needs the program ffmpeg, which is not here; use gif")


def frames(draw_until: Callable[[float], Figure]) -> Iterator[Image]:
    """The pictures of an animation, ``FRAMES`` of them, laid out as the last one is.

    Args:
        draw_until: gives, for a share from 0 to 1, the figure of so much of the facts.
    """
    last = draw_until(1.0)
    _image(last)
    places = [axes.get_position() for axes in last.axes]
    for at in range(FRAMES):
        figure = draw_until(at / (FRAMES - 1))
        figure.set_layout_engine("none")
        for axes, place in zip(figure.axes, places, strict=True):
            axes.set_position(place)
        yield _image(figure)


def save_moving(images: Sequence[Image], path: Path) -> Path:
    """Write an animation whole; the format is that of the path's suffix, gif or mp4.

    Raises:
        InputError: mp4 without ffmpeg, or ffmpeg fails.
    """
    kind = path.suffix.lstrip(".")
    require(kind)
    with tempfile.TemporaryDirectory() as folder:
        whole = Path(folder) / f"whole.{kind}"
        (_gif if kind == "gif" else _mp4)(images, whole)
        write_whole(path, whole.read_bytes())
    return path


def _image(figure: Figure) -> Image:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from PIL import Image

    figure.set_dpi(DOTS)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()  # type: ignore[no-untyped-call]
    width, height = canvas.get_width_height()
    pixels: Any = canvas.buffer_rgba()  # type: ignore[no-untyped-call]
    image = Image.frombuffer("RGBA", (width, height), pixels).convert("RGB")
    return image.crop((0, 0, width // 2 * 2, height // 2 * 2))  # mp4 takes even sizes only


def _gif(images: Sequence[Image], path: Path) -> None:
    from PIL import Image

    last = images[-1].quantize(255, method=Image.Quantize.MAXCOVERAGE)
    reduced = [frame.quantize(palette=last, dither=Image.Dither.NONE) for frame in images]
    each = 1000 // PER_SECOND
    shown = [each] * (len(images) - 1) + [each * PAUSE]
    reduced[0].save(path, save_all=True, append_images=reduced[1:], duration=shown, loop=0)


def _mp4(images: Sequence[Image], path: Path) -> None:
    width, height = images[0].size
    command = [
        "ffmpeg", "-loglevel", "error", "-y", "-f", "rawvideo", "-pix_fmt", "rgb24",
        "-s", f"{width}x{height}", "-r", str(PER_SECOND), "-i", "-",
        "-c:v", "libx264", "-pix_fmt", "yuv420p", "-movflags", "+faststart", str(path),
    ]  # fmt: skip
    every = [*images, *[images[-1]] * PAUSE]
    content = b"".join(frame.tobytes() for frame in every)
    done = subprocess.run(command, input=content, capture_output=True, check=False)
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().splitlines()
        raise InputError(f"{path.name}: ffmpeg failed: {said[-1] if said else done.returncode}")
