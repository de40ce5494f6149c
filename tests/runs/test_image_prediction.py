"""A run on a folder of images sees new ones as those that trained, by the names of their files."""

import json
import os

import numpy as np
import pyarrow.csv
import pytest
import torch
from PIL import Image

import gradus
from gradus import InputError, RunSpec
from gradus.cli import main

RANDOM = np.random.default_rng(0)
CHEAP = {"hidden": (4,), "epochs": 2, "models": 1, "log_every": 99}


def images(root, shade, count=8, size=(5, 4), mode="RGB"):
    """Images of a shade, and their pixels by the names of their files."""
    root.mkdir(parents=True, exist_ok=True)
    found = {}
    for at in range(count):
        values = np.clip(RANDOM.normal(shade, 30, (*size, 3)), 0, 255).astype(np.uint8)
        image = Image.fromarray(values).convert(mode)
        image.save(root / f"{at}.png")
        found[f"{at}.png"] = np.asarray(image)
    return found


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A run on images of two classes, one on images brought to a size, and new images."""
    folder = tmp_path_factory.mktemp("shades")
    for part, count in (("train", 20), ("test", 6)):
        for name, shade in (("dark", 60), ("light", 190)):
            images(folder / "shades" / part / name, shade, count)
    images(folder / "new", 60)
    images(folder / "new" / "more", 190)
    spec = {"data": str(folder / "shades"), **CHEAP}
    gradus.train(RunSpec(**spec), out=folder / "run")
    gradus.train(RunSpec(**spec, image_size="6,3"), out=folder / "resized")
    return folder


def by_hand(run, path):
    """The probabilities of a picture, from the record alone."""
    record = json.loads((run.folder / "preparation.json").read_text())
    with Image.open(path) as image:
        form = record["images"]
        image = image.convert({"rgb": "RGB", "grey": "L"}[form["mode"]])
        if form["resize"] == "bilinear":
            image = image.resize((form["width"], form["height"]), Image.Resampling.BILINEAR)
        values = np.asarray(image, float)
    z = (values / record["scale"] - record["centre"]) / record["spread"]
    z = z.reshape(*z.shape[:2], -1).transpose(2, 0, 1)
    with torch.no_grad():
        outputs = run.model(torch.from_numpy(z[None]).float())
    return outputs.double().softmax(dim=1).numpy()[0]


@pytest.mark.parametrize("name", ["run", "resized"])
def test_a_folder_of_new_images(folder, name):
    run = gradus.open_run(folder / name)
    found = run.predict(folder / "new")
    assert found.column_names == ["file", "prediction", "p(dark)", "p(light)"]
    files = [*(f"{at}.png" for at in range(8)), *(f"more/{at}.png" for at in range(8))]
    assert found["file"].to_pylist() == files
    expected = np.array([by_hand(run, folder / "new" / file) for file in files])
    np.testing.assert_allclose(np.column_stack(found.columns[2:]), expected, rtol=1e-4, atol=1e-7)
    likeliest = ["dark" if dark > light else "light" for dark, light in expected]
    assert found["prediction"].to_pylist() == likeliest


def test_an_image_a_list_of_them_and_arrays(folder):
    run, path = gradus.open_run(folder / "run"), folder / "new" / "3.png"
    one, several = run.predict(path), run.predict([path, folder / "new" / "more" / "1.png"])
    assert one["file"].to_pylist() == ["3.png"]
    odd = folder / os.fsdecode(b"\xff.png")
    odd.write_bytes(path.read_bytes())
    assert run.predict([odd])["file"].to_pylist() == [f"{folder}/\\xff.png"]
    assert several["file"].to_pylist()[0] == str(path)
    assert several["p(dark)"][0] == one["p(dark)"][0]
    with Image.open(path) as image:
        array = np.asarray(image).transpose(2, 0, 1)[None]
    assert run.predict(array)["p(dark)"].to_pylist() == one["p(dark)"].to_pylist()
    assert run.predict_proba(path)[0, 0] == one["p(dark)"][0].as_py()


def test_on_its_test_part_it_is_as_good_as_training_said(folder):
    run = gradus.open_run(folder / "run")
    said = {name: figure["value"] for name, figure in run.summary["figures"]["test"].items()}
    found = run.evaluate(folder / "shades" / "test")
    assert {name: figure.value for name, figure in found.items()} == pytest.approx(said, rel=1e-5)


def test_images_go_into_a_run_on_their_bytes(folder, tmp_path):
    x = RANDOM.integers(0, 256, (30, 5, 4), dtype=np.uint8)
    np.savez(tmp_path / "own.npz", x=x, y=x.mean(axis=(1, 2)) > 127)
    run = gradus.train(RunSpec(data=str(tmp_path / "own.npz"), **CHEAP))
    for at in range(3):
        Image.fromarray(x[at]).save(tmp_path / f"{at}.png")
    names = [tmp_path / f"{at}.png" for at in range(3)]
    assert np.array_equal(run.predict_proba(names), run.predict_proba(x[:3]))


def test_it_is_gone_on_from_with_more_images(folder, tmp_path):
    for name, shade in (("dark", 60), ("light", 190)):
        images(tmp_path / "more" / name, shade)
    before = gradus.open_run(folder / "run")
    spec = before.spec.model_copy(update={"data": str(tmp_path / "more"), "epochs": 1})
    run = gradus.train(spec, start=before)
    assert run.preparation == before.preparation
    images(tmp_path / "more" / "other", 120)
    with pytest.raises(InputError, match="has the class other, which the model was not trained on"):
        gradus.train(spec, start=before)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("empty", "empty: holds no image"),
        ("absent.png", "absent.png: cannot be read"),
        ("odd", "odd/0.png: is 2×3 (height×width), and the model takes 5×4"),
        ("x.npy", "x.npy: holds float64, and the model was trained on bytes"),
    ],
)
def test_what_is_no_image_of_the_kind_is_refused(folder, tmp_path, monkeypatch, given, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    images(tmp_path / "odd", 50, 1, (2, 3))
    np.save("x.npy", np.zeros((3, 3, 5, 4)))
    with pytest.raises(InputError) as refusal:
        gradus.open_run(folder / "run").predict(given)
    assert message in str(refusal.value)


@pytest.mark.parametrize(
    ("given", "target", "message"),
    [
        ("shades", None, "shades: holds several parts; give one of them: "),
        ("new", None, "new: holds 0.png in no folder of a class"),
        ("others", None, "others: has the class 'fox', which was not trained on; known are dark"),
        ("shades/test", "y.npy", "target=y.npy: is for arrays"),
    ],
)
def test_what_cannot_be_evaluated_is_said(folder, given, target, message):
    images(folder / "others" / "fox", 50, 1)
    with pytest.raises(InputError) as refusal:
        gradus.open_run(folder / "run").evaluate(folder / given, target)
    assert message in str(refusal.value)


def test_the_commands_from_training_to_figures(folder, tmp_path, monkeypatch, capsys):
    def call(*arguments):
        with pytest.raises(SystemExit) as ended:
            main([*map(str, arguments)])
        return ended.value.code, *capsys.readouterr()

    monkeypatch.chdir(tmp_path)
    words = (
        f"train {folder}/shades --image-size 4 --epochs 2 --hidden 4 --quiet --no-state --out run"
    )
    assert call(*words.split())[0] in (0, 3)
    run = gradus.open_run("run")
    assert run.summary["data"]["classes"] == ["dark", "light"]
    assert {"standardize", "method", "models"} <= run.summary["auto"].keys()
    code, said, _ = call("predict", "run", folder / "new", "--out", "new.csv")
    assert (code, said) == (0, "new.csv  16 rows\n")
    assert pyarrow.csv.read_csv("new.csv")["file"][8].as_py() == "more/0.png"
    code, said, _ = call("evaluate", "run", folder / "shades" / "test")
    assert code == 0
    assert "accuracy" in said
    code, _, err = call("train", folder / "shades", "--image-size", "1,2,3")
    assert code == 2
    assert "--image-size 1,2,3: give one number, or two, height and width" in err
