"""A folder of images is what its files show, in whatever format, mode and layout they stand."""

import io
import os
import struct
import sys
import zlib

import numpy as np
import pytest
import torch
from PIL import Image

import gradus
from gradus import RunSpec
from gradus.data import load
from gradus.data.image_files import pixels_of
from gradus.data.image_folder import images_in
from gradus.data.images import ImageOptions, load_images
from gradus.data.partition import Parts
from gradus.data.preparation.image_form import ImageForm
from gradus.errors import InputError

RANDOM = np.random.default_rng(0)
GREY = RANDOM.integers(0, 256, (12, 4, 6), dtype=np.uint8)
COLOUR = RANDOM.integers(0, 256, (12, 4, 6, 3), dtype=np.uint8)


def folder(root, files):
    """Writes images, or bytes, under their names."""
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, bytes):
            path.write_bytes(content)
        else:
            (content if isinstance(content, Image.Image) else Image.fromarray(content)).save(path)
    return root


def classes(images=GREY, names=("ant", "bee")):
    return {f"{names[i % len(names)]}/{i:02d}.png": image for i, image in enumerate(images)}


def every(split):
    parts = [part for part in (split.train, split.validation, split.test) if part is not None]
    return torch.cat([part.x for part in parts]).numpy(), torch.cat([part.y for part in parts])


@pytest.mark.parametrize(
    ("images", "expected"), [(GREY, GREY[:, None]), (COLOUR, COLOUR.transpose(0, 3, 1, 2))]
)
def test_images_are_the_bytes_of_their_files(tmp_path, images, expected):
    split = load(folder(tmp_path, classes(images)), validation_fraction=0)
    x, y = every(split)
    assert split.train.classes == ("ant", "bee")
    assert (len(split.train), len(split.test), split.train.scale) == (9, 3, 255.0)
    order = [int(np.flatnonzero((expected == image).all(axis=(1, 2, 3)))[0]) for image in x]
    assert sorted(order) == list(range(12))
    assert y.tolist() == [at % 2 for at in order]


def test_pixels_are_standardised_over_the_training_part(tmp_path):
    split = load(folder(tmp_path, classes()), standardize=True)
    x, _ = split.train.to(dtype=torch.float64).batch()
    assert x.mean().item() == pytest.approx(0, abs=1e-12)
    assert x.std(correction=0).item() == pytest.approx(1)
    assert split.test.mean == split.train.mean


LAYOUTS = {
    "": ({"": range(12)}, 2, (7, 2, 3)),
    "train": ({"train/": range(12)}, 2, (7, 2, 3)),
    "train, val": ({"train/": range(8), "val/": range(8, 12)}, 2, (6, 4, 2)),
    "train, valid, test": (
        {"train/": range(6), "valid/": range(6, 8), "test/": range(8, 12)}, 2, (6, 2, 4),
    ),
    "Train, validation": ({"Train/": range(8), "validation/": range(8, 12)}, 2, (6, 4, 2)),
    "deep": ({"sub/": range(6), "": range(6, 12)}, 1, (7, 2, 3)),
}  # fmt: skip


@pytest.mark.parametrize("name", LAYOUTS)
def test_layouts(tmp_path, name):
    folders, before, sizes = LAYOUTS[name]
    for prefix, rows in folders.items():
        for at in rows:
            where = f"{prefix}{'ab'[at % 2]}/" if before == 2 else f"{'ab'[at % 2]}/{prefix}"
            folder(tmp_path, {f"{where}{at:02d}.png": GREY[at]})
    split = load(tmp_path)
    parts = (split.train, split.validation, split.test)
    assert tuple(map(len, parts)) == sizes
    own = {"val": 1, "valid": 1, "validation": 1, "test": 2}
    for prefix, rows in folders.items():
        if (part := own.get(prefix.strip("/"))) is not None:
            expected = [GREY[at] for at in sorted(rows, key=lambda at: at % 2)]
            assert np.array_equal(parts[part].x[:, 0].numpy(), expected)


def mode(name):
    """An image of a mode, and what it is as colours, or as grey."""
    grey, colour = Image.fromarray(GREY[0]), Image.fromarray(COLOUR[0])
    alpha = Image.fromarray(GREY[1])
    share = GREY[1][..., None] / 255
    on_white = COLOUR[0] * share + 255 * (1 - share)
    palette = colour.quantize(8)
    return {
        "L": (grey, GREY[0]),
        "1": (grey.convert("1"), np.asarray(grey.convert("1")) * np.uint8(255)),
        "16 bit": (Image.fromarray(GREY[0].astype(np.uint16) * 257), GREY[0]),
        "RGB": (colour, COLOUR[0]),
        "palette": (palette, np.asarray(palette.convert("RGB"))),
        "RGBA": (Image.merge("RGBA", [*colour.split(), alpha]), on_white),
        "LA": (
            Image.merge("LA", [grey, alpha]),
            GREY[0] * share[..., 0] + 255 * (1 - share[..., 0]),
        ),
    }[name]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("L", None),
        ("1", None),
        ("16 bit", "of 16 bits, brought to 8, such as 00.png"),
        ("RGB", None),
        ("palette", "with a palette, taken as colours"),
        ("RGBA", "with transparent parts, laid on white"),
        ("LA", "with transparent parts, laid on white"),
    ],
)
def test_modes(tmp_path, name, said):
    image, expected = mode(name)
    split = load(folder(tmp_path, classes([image] * 6)), validation_fraction=0)
    expected = expected[None] if expected.ndim == 2 else expected.transpose(2, 0, 1)
    assert split.train.input_shape == expected.shape
    assert np.abs(split.train.x[0].numpy().astype(float) - expected).max() <= 1
    told = [note for note in split.notes if "images: " not in note]
    assert told == ([] if said is None else [told[0]])
    assert said is None or f"6 images {said}" in told[0]


def test_grey_among_colours_becomes_three_channels(tmp_path):
    split = load(folder(tmp_path, classes([*COLOUR[:9], *GREY[:3]])))
    assert split.train.input_shape == (3, 4, 6)
    assert split.notes[1].startswith("3 images grey, brought to RGB, such as ")


@pytest.mark.parametrize("suffix", ["png", "jpg", "bmp", "gif", "webp", "tif", "ppm"])
def test_formats_are_told_by_their_content(tmp_path, suffix):
    form = ImageForm(mode="rgb", height=8, width=16)
    image = Image.new("RGB", (16, 8), (200, 40, 90))
    image.save(tmp_path / f"a.{suffix}")
    (tmp_path / f"a.{suffix}").rename(tmp_path / "a.dat")
    found = pixels_of([tmp_path / "a.dat"], form)[0]
    assert np.abs(found.reshape(3, -1).mean(axis=1) - (200, 40, 90)).max() < 4


@pytest.mark.parametrize("suffix", ["gif", "tif", "png", "webp"])
def test_of_several_frames_the_first_is_taken_and_said(tmp_path, suffix):
    black, white = (Image.new("RGB", (6, 4), colour) for colour in ("black", "white"))
    root = folder(tmp_path, classes(COLOUR))
    black.save(root / "ant" / f"moving.{suffix}", save_all=True, append_images=[white])
    split = load(root)
    assert f"1 image of several frames, the first of which is taken, such as moving.{suffix}" in (
        split.notes
    )
    x, _ = every(split)
    assert (x.reshape(13, -1).max(axis=1) == 0).sum() == 1


@pytest.mark.parametrize("turns", range(1, 9))
@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tif"])
def test_a_camera_is_held_upright(tmp_path, turns, suffix):
    """One corner is white: Pillow itself says where it belongs."""
    from PIL import ImageOps

    values = np.zeros((16, 32), np.uint8)
    values[:8, :8] = 255
    exif = Image.Exif()
    exif[0x0112] = turns
    Image.fromarray(values).convert("RGB").save(tmp_path / f"a.{suffix}", exif=exif)
    with Image.open(tmp_path / f"a.{suffix}") as image:
        seen = np.asarray(ImageOps.exif_transpose(image).convert("L"))
    form = ImageForm(mode="grey", height=seen.shape[0], width=seen.shape[1])
    assert np.array_equal(pixels_of([tmp_path / f"a.{suffix}"], form)[0, 0], seen)
    if suffix != "tif":
        from gradus.data.images import headers_of

        (header,) = headers_of([tmp_path / f"a.{suffix}"])
        assert (header.height, header.width) == seen.shape


@pytest.mark.parametrize(("size", "shape"), [((2, 3), (1, 2, 3)), ((8, 8), (1, 8, 8))])
def test_images_are_brought_to_a_size(tmp_path, size, shape):
    files = classes() | {"ant/large.png": np.full((40, 60), 9, np.uint8)}
    root = folder(tmp_path, files)
    split = load(root, image_size=size)
    assert split.train.input_shape == shape
    assert "brought to that by stretching from 4 to 40 high, 6 to 60 wide" in split.notes[0]
    expected = {Image.fromarray(image).resize(size[::-1], Image.Resampling.BILINEAR).tobytes()
                for image in files.values()}  # fmt: skip
    x, _ = every(split)
    assert {image.tobytes() for image in x} == expected


def test_a_large_jpeg_is_the_same_though_it_is_decoded_smaller(tmp_path):
    values = np.add.outer(np.arange(400), np.arange(600)) // 4
    Image.fromarray(values.astype(np.uint8)).save(tmp_path / "a.jpg", quality=95)
    form = ImageForm(mode="grey", height=20, width=30, resize="bilinear")
    with Image.open(tmp_path / "a.jpg") as image:
        expected = np.asarray(image.resize((30, 20), Image.Resampling.BILINEAR), float)
    assert np.abs(pixels_of([tmp_path / "a.jpg"], form)[0, 0] - expected).max() < 3


def png_of(width, height):
    """A PNG whose header promises so many pixels, and holds none."""

    def chunk(kind, content):
        whole = kind + content
        return struct.pack(">I", len(content)) + whole + struct.pack(">I", zlib.crc32(whole))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")


def whole_png():
    content = io.BytesIO()
    Image.fromarray(RANDOM.integers(0, 256, (40, 60), dtype=np.uint8)).save(content, "PNG")
    return content.getvalue()


@pytest.mark.parametrize(
    ("files", "options", "message"),
    [
        ({"ant/a.png": b""}, {}, "ant/a.png: is empty"),
        ({"ant/a.png": b"hello"}, {}, "ant/a.png: is no image of a kind that is read (PNG, JPEG,"),
        ({"ant/notes.txt": b"x"}, {}, "ant/notes.txt: is no image"),
        ({"ant/a.png": whole_png()[:-700]}, {"image_size": (4, 6)}, "ant/a.png: the image is dam"),
        ({"ant/a.png": png_of(60_000, 60_000)}, {}, "ant/a.png: its header promises more than 89,"),
        ({"ant/a.png": png_of(9_999, 9_999)}, {}, "ant/a.png: its header promises more than 89,"),
        ({"ant/a.tif": Image.new("F", (6, 4))}, {}, "ant/a.tif: holds numbers of 32 bits"),
        ({"ant/a.png": np.zeros((5, 6), np.uint8)}, {}, "a.png: is 5×6 (height×width), and "),
        ({"ant/a.png": np.zeros((5, 6), np.uint8)}, {}, "bring all to one size by --image-size"),
        ({"loose.png": GREY[0]}, {}, "holds loose.png beside the folders of the classes"),
        ({}, {"test_fraction": 0.0001, "validation_fraction": 0.99}, "--validation-fraction 0.99"),
        ({}, {"target": "y"}, "--target y: does not apply"),
        ({}, {"split": "time"}, "--split time: does not apply"),
        ({}, {"loss": "mse"}, "--loss mse: is for numbers"),
        ({}, {"image_size": (10**5, 10**6)}, "do not fit into the memory"),
    ],
)
def test_what_is_wrong_is_named(tmp_path, files, options, message):
    root = folder(tmp_path, classes() | files)
    with pytest.raises(InputError) as refusal:
        load(root, **options)
    assert message in str(refusal.value)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("files", "out", "message"),
    [
        (classes(), "", "out={out}: is the folder of the data, which a record would spoil"),
        (classes(), "ant/run", "out={out}: lies in the folder of the data"),
        ({f"train/{name}": image for name, image in classes().items()}, "run", "lies in the fol"),
    ],
)
def test_a_record_does_not_spoil_its_data(tmp_path, files, out, message):
    root = folder(tmp_path, files)
    spec = RunSpec(data=str(root), method="sgd", epochs=1)
    before = sorted(root.rglob("*"))
    with pytest.raises(InputError) as refusal:
        gradus.train(spec, out=root / out)
    assert message.format(out=root / out) in str(refusal.value)
    with pytest.raises(InputError, match="the folder of the data"):
        gradus.train_sweep(
            gradus.SweepSpec(base={"data": str(root)}, vary={"lr": "1,2"}), out=root / out
        )
    assert sorted(root.rglob("*")) == before


@pytest.mark.parametrize(
    ("files", "refused"),
    [
        (classes(), True),
        ({f"{part}/{name}": image for part in ("train", "test")
          for name, image in classes().items()}, True),
        ({"notes.txt": b"x"} | classes(), False),
        ({"a/run.json": b"{}", "a/loss.png": GREY[0], "b/run.json": b"{}"}, False),
        ({"plots/1.png": GREY[0]}, False),
        ({}, False),
    ],
)  # fmt: skip
def test_images_of_others_are_not_recorded_among(tmp_path, files, refused):
    root = folder(tmp_path, files)
    spec = RunSpec(model="linear", epochs=1)
    if not refused:
        gradus.train(spec, out=root)
        return
    with pytest.raises(InputError, match="holds images in folders of classes"):
        gradus.train(spec, out=root, overwrite=True)
    with (
        pytest.raises(InputError, match="holds images in folders of classes"),
        gradus.record(root, None, torch.nn.Linear(1, 1)),
    ):
        pass


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"ant/1.png": GREY[0]}, "holds one class only (ant): at least two classes are needed"),
        ({"1.png": GREY[0]}, "holds 1.png, but no folders of classes: give a folder that holds a"),
        ({"notes.txt": b"x"}, "holds neither classes nor IDX files (train-images-idx3-ubyte, "),
        ({"train/a/1.png": GREY[0], "train/b/2.png": GREY[1], "val/c/3.png": GREY[2]},
         "val/c: is of a class that does not train; those that do are a, b"),
        ({"train/a/1.png": GREY[0], "train/b/2.png": GREY[1], "test/a/.x": b""},
         "its test part holds no image"),
        ({"train/a/1.png": GREY[0], "train/b/2.png": GREY[1], "val/a/3.png": GREY[2],
          "valid/b/4.png": GREY[3]}, "holds val and valid, which are one part"),
        ({"val/a/1.png": GREY[0], "test/a/2.png": GREY[1]},
         "holds test, val, and no folder train"),
        ({"a/1.png": GREY[0], "b/.DS_Store": b"x", "b/Thumbs.db": b"x"},
         "b: the folder of a class holds no image"),
    ],
)  # fmt: skip
def test_folders_that_are_none(tmp_path, files, message):
    with pytest.raises(InputError) as refusal:
        load(folder(tmp_path, files))
    assert message in str(refusal.value)


def test_what_is_not_looked_at_is_said(tmp_path):
    root = folder(tmp_path, {f"train/{name}": image for name, image in classes().items()})
    folder(root, {"LICENSE": b"MIT", "logs/a.txt": b"x", ".git/x": b"", "train/ant/.DS_Store": b"x",
                  "test/1.png": GREY[0]})  # fmt: skip
    split = load(root)
    assert f"{root / 'test'}: holds images in no folder of a class, and is left out" in split.notes
    assert "not looked at: LICENSE, logs" in split.notes
    assert len(split.train) + len(split.validation) + len(split.test) == 12


def test_parts_of_its_own_are_not_drawn_anew(tmp_path):
    root = folder(tmp_path, {f"{part}/{name}": image for part in ("train", "val", "test")
                             for name, image in classes().items()})  # fmt: skip
    with pytest.raises(InputError, match="has a test part of its own"):
        load(root, test_fraction=0.5)
    assert load_images(root, ImageOptions(parts=Parts(validation=0))).validation is None


def test_grey_of_16_bits_in_a_ppm_file_is_such(tmp_path):
    deep = [b"P5\n6 4\n65535\n" + (each.astype(">u2") * 257).tobytes() for each in GREY[:6]]
    split = load(folder(tmp_path, {f"{'ab'[at % 2]}/{at}.pgm": x for at, x in enumerate(deep)}),
                 validation_fraction=0)  # fmt: skip
    x, _ = every(split)
    assert sorted(each.tolist() for each in x[:, 0]) == sorted(each.tolist() for each in GREY[:6])
    assert "6 images of 16 bits, brought to 8, such as 0.pgm" in split.notes


def test_names_that_are_no_text(tmp_path):
    root = folder(tmp_path, classes())
    odd = os.fsdecode(b"\xff.png")
    (root / "ant" / "00.png").rename(root / "ant" / odd)
    (root / os.fsdecode(b"\xfe")).mkdir()
    with pytest.raises(InputError, match=r"its folder b'\\xfe' has a name that is no UTF-8"):
        load(root)
    (root / os.fsdecode(b"\xfe")).rmdir()
    assert len(load(root, validation_fraction=0).train) == 9
    assert r"\xff.png" in [name for name, _ in images_in(root / "ant")]


@pytest.mark.parametrize("kind", ["file", "class"])
def test_links_that_lead_out_are_followed_and_said(tmp_path, kind):
    root = folder(tmp_path / "own", classes())
    elsewhere = folder(tmp_path / "elsewhere", {"new.png": COLOUR[0, :, :, 0]})
    if kind == "file":
        (root / "ant" / "new.png").symlink_to(elsewhere / "new.png")
    else:
        (root / "cat").symlink_to(elsewhere)
    split = load(root, validation_fraction=0)
    assert len(split.train) + len(split.test) == 13
    assert f"links that lead out of {root}, or stand in such: 1" in split.notes


@pytest.mark.parametrize(
    ("link", "to", "message"),
    [
        ("ant/back", "..", "ant/back: is a link to a folder that is looked at anyway"),
        ("ant/self", ".", "ant/self: is a link to a folder that is looked at anyway"),
        ("ant/gone.png", "nowhere", "is a link that leads to nothing"),
        ("ant/pipe", "/dev/null", "cannot be read (no plain file)"),
        ("ant/twice.png", "../bee/01.png", "is the same file as"),
    ],
)
def test_links_that_lead_nowhere_good(tmp_path, link, to, message):
    root = folder(tmp_path, classes())
    (root / link).symlink_to(to)
    with pytest.raises(InputError) as refusal:
        load(root)
    assert message in str(refusal.value)


def test_links_in_a_circle_have_an_end(tmp_path):
    root = folder(tmp_path, classes() | {"ant/one/1.png": GREY[0], "ant/two/2.png": GREY[1]})
    (root / "ant" / "one" / "other").symlink_to(root / "ant" / "two")
    (root / "ant" / "two" / "other").symlink_to(root / "ant" / "one")
    with pytest.raises(InputError, match="is a link to a folder that is looked at anyway"):
        load(root)


def test_a_pipe_is_no_image(tmp_path):
    root = folder(tmp_path, classes())
    os.mkfifo(root / "ant" / "pipe.png")
    with pytest.raises(InputError, match=r"pipe\.png: cannot be read \(no plain file\)"):
        load(root)


def test_without_pillow_one_line_says_so(tmp_path, monkeypatch):
    root = folder(tmp_path, classes())
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(InputError, match=r"which is not installed; pip install 'gradus\[images\]'"):
        load(root)
