"""Small copies of the pictures of the subject, to which later ones are held.

``python -m tests.figures.thumbnails`` writes them anew, after a picture was changed and looked at.
"""

import io
from pathlib import Path

import numpy as np
from PIL import Image

from gradus.figures.subject.catalogue import CATALOGUE

FOLDER = Path(__file__).parent / "thumbnails"
WIDTH = 160


def thumbnail(figure):
    """A figure in grey, ``WIDTH`` pixels wide."""
    sink = io.BytesIO()
    figure.savefig(sink, format="png", dpi=40)
    image = Image.open(sink).convert("L")
    return image.resize((WIDTH, round(WIDTH * image.height / image.width)), Image.Resampling.BOX)


def kept(name):
    """The stored copy, from 0 (black) to 1."""
    return np.asarray(Image.open(FOLDER / f"{name}.png").convert("L")) / 255


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for subject in CATALOGUE.values():
        thumbnail(subject.draw(subject.facts())).save(FOLDER / f"{subject.name}.png", optimize=True)
