"""The pictures of the subject are drawn, still show what they showed, and move."""

import dataclasses
import itertools
import shutil

import numpy as np
import pytest
from PIL import Image

from gradus.figures.curve_styles import METHOD_STYLES, STYLES
from gradus.figures.subject import animation
from gradus.figures.subject.catalogue import CATALOGUE
from tests.figures.subject_facts import facts_of
from tests.figures.thumbnails import kept, thumbnail

TOLERANCE = 0.003
"""Of the mean difference in grey, from 0 to 1."""


@pytest.mark.parametrize("name", CATALOGUE)
def test_pictures_show_what_they_showed(name):
    subject = CATALOGUE[name]
    drawn = np.asarray(thumbnail(subject.draw(facts_of(name)))) / 255
    assert drawn.std() > 0.05, "the picture is blank"
    stored = kept(name)
    assert drawn.shape == stored.shape
    assert np.abs(drawn - stored).mean() < TOLERANCE


def test_the_tolerance_tells_pictures_apart():
    for one, other in itertools.combinations(CATALOGUE, 2):
        a, b = kept(one), kept(other)
        rows = min(len(a), len(b))
        assert np.abs(a[:rows] - b[:rows]).mean() > TOLERANCE


def test_no_two_methods_look_the_same():
    for styles in (METHOD_STYLES.values(), STYLES):
        for one, other in itertools.combinations(styles, 2):
            assert one.color != other.color or (one.marker != other.marker)
            assert (one.color, one.dashes, one.marker) != (other.color, other.dashes, other.marker)


@pytest.mark.parametrize("name", [name for name in CATALOGUE if CATALOGUE[name].moves])
def test_moving_pictures_begin_with_little_and_end_with_all(name):
    facts = facts_of(name)
    first = np.asarray(thumbnail(CATALOGUE[name].draw_until(facts)(0.0))) / 255
    assert np.abs(first - kept(name)).mean() > 2 * TOLERANCE
    assert_equal_facts(facts.until(1.0), facts)


def assert_equal_facts(one, other):
    """Facts are dataclasses of arrays and numbers, in tuples."""
    assert type(one) is type(other)
    if dataclasses.is_dataclass(one):
        for field in dataclasses.fields(one):
            assert_equal_facts(getattr(one, field.name), getattr(other, field.name))
    elif isinstance(one, tuple):
        for a, b in zip(one, other, strict=True):
            assert_equal_facts(a, b)
    elif not callable(one):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("kind", animation.MOVING)
def test_animations_are_written_whole(kind, tmp_path, monkeypatch):
    if kind == "mp4" and shutil.which("ffmpeg") is None:
        pytest.skip("ffmpeg is not here")
    monkeypatch.setattr(animation, "FRAMES", 3)
    images = list(animation.frames(CATALOGUE["newton"].draw_until(facts_of("newton"))))
    assert len(images) == 3
    path = animation.save_moving(images, tmp_path / f"newton.{kind}")
    assert [file.name for file in tmp_path.iterdir()] == [path.name]
    if kind == "gif":
        with Image.open(path) as image:
            assert image.n_frames == 3
            assert image.info["loop"] == 0
    else:
        assert path.read_bytes()[4:8] == b"ftyp"
