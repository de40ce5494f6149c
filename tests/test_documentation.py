"""The commands and scripts that people copy do what they say."""

import inspect
import re
import runpy
import shlex
from pathlib import Path

import pytest
import torch

import gradus
from gradus import methods
from gradus.cli import main
from gradus.methods import FirstOrder
from gradus.methods.catalogue import entries, wrappers

ROOT = Path(__file__).parents[1]
PAGES = (
    "README.md",
    "CONTRIBUTING.md",
    "benchmarks/RESULTS.md",
    *sorted(
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "docs").rglob("*.md")
        if path.parent.name != "reference"
    ),
)


def text_of(page):
    return (ROOT / page).read_text(encoding="utf-8")


def commands_of(page, command="train"):
    """Those that need nothing that was there before."""
    return sorted(
        {
            line.split("#")[0].strip()
            for line in text_of(page).splitlines()
            if line.startswith(f"    gradus {command}")
            and not {"--help", "--resume", "--from"} & {*line.split()}
            and "--spec rates" not in line
        }
    )


COMMANDS = commands_of("README.md")
QUICK = [c for c in (*COMMANDS, *commands_of("docs/methods.md")) if "fashion-mnist" not in c]
# The table of docs/methods.md: each method with the cells of its row.
TABLE = {
    cells[0].strip("` "): [cell.strip() for cell in cells[1:]]
    for line in text_of("docs/methods.md").splitlines()
    if line.startswith("| `") and len(cells := line.strip("|").split("|")) == 6
}


@pytest.mark.parametrize("command", dict.fromkeys(QUICK))
def test_commands_of_the_pages_train(command, tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)
    arguments = [*shlex.split(command)[1:], "--epochs", "1", "--out", str(tmp_path), "--quiet"]
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert not ended.value.code
    assert (tmp_path / "loss.png").exists()


SWEEPS = [
    command for page in PAGES for command in commands_of(page, "sweep") if "lecture" not in command
]


@pytest.mark.parametrize("command", dict.fromkeys(SWEEPS))
def test_commands_of_the_pages_sweep(command, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as ended:
        main([*shlex.split(command)[1:], "--name", "rates", "--quiet"])
    assert not ended.value.code
    for command in ("compare rates", "report rates"):
        with pytest.raises(SystemExit) as ended:
            main(command.split())
        assert not ended.value.code
    assert (tmp_path / "sweeps/rates/figures/curves.png").exists()
    assert (tmp_path / "sweeps/rates/report.html").exists()


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", text_of(page)):
        assert (ROOT / page).parent.joinpath(target).exists(), target


FOREIGN = re.findall(
    r'```python title="(?!Gradus)([^"]+)"\n(.*?)\n```', text_of("docs/coming-from.md"), re.DOTALL
)


def test_cells_of_other_libraries_are_python():
    """They are not run: Keras and Lightning are not here."""
    assert {library for library, _ in FOREIGN} == {"scikit-learn", "Keras", "Lightning", "PyTorch"}
    for library, cell in FOREIGN:
        compile(cell, library, "exec")


@pytest.mark.parametrize("page", PAGES)
def test_links_to_headings_lead_to_one(page):
    for target, anchor in re.findall(r"\]\((?!https?:)([^)#]*)#([^)]+)\)", text_of(page)):
        path = (ROOT / page).parent / target if target else ROOT / page
        headings = re.findall(r"^#+ (.*)$", path.read_text(encoding="utf-8"), re.MULTILINE)
        anchors = [re.sub(r"[^\w\- ]", "", h.lower()).replace(" ", "-") for h in headings]
        assert anchor in anchors


def test_the_readme_shows_every_kind_of_run():
    text = "\n".join(COMMANDS)
    for expected in ("fashion-mnist", "--target", "--model examples.", "--spec", "--method adam"):
        assert expected in text


def test_the_message_that_the_readme_quotes_is_the_one_that_is_given(capsys, monkeypatch):
    monkeypatch.chdir(ROOT)
    quoted = re.search(r"    \$ gradus (train .*)\n    (gradus: .*)\n", text_of("README.md"))
    assert quoted
    with pytest.raises(SystemExit) as ended:
        main(shlex.split(quoted[1]))
    assert ended.value.code == 2
    assert capsys.readouterr().err == quoted[2] + "\n"


@pytest.mark.parametrize("script", sorted((ROOT / "examples").glob("*.py")), ids=lambda p: p.name)
def test_scripts_run(script):
    with torch.random.fork_rng():
        runpy.run_path(str(script), run_name="__main__")


def exported_methods():
    return {
        name
        for name in methods.__all__
        if inspect.isclass(kind := getattr(methods, name))
        and issubclass(kind, methods.Method)
        and not inspect.isabstract(kind)
    }


def test_the_table_has_a_row_for_every_method():
    assert TABLE.keys() == exported_methods()


def test_the_table_says_what_the_docstrings_do():
    names = ("Cost", "Memory", "Take it", "Leave it")
    told = {**entries(), **wrappers()}.values()
    notes = {entry.class_name: [entry.note(name) for name in names] for entry in told}
    assert notes == {
        name: [cell.replace("`", "") for cell in (*cells[:2], *cells[3:])]
        for name, cells in TABLE.items()
    }


@pytest.mark.parametrize("name", sorted(exported_methods()))
def test_the_readme_names_every_method(name):
    assert f"`{name}`" in text_of("README.md")


@pytest.mark.parametrize("name", sorted(exported_methods()))
def test_options_that_the_table_names_are_options_of_the_method(name):
    options = re.findall(r"`(\w+)`", TABLE[name][2])
    assert set(options) <= set(inspect.signature(getattr(methods, name)).parameters)


# What the table says of the memory, and with which options it holds.
VECTORS = [
    ("GradientDescent", {"lr": 0.1}, "0"),
    ("SGD", {"lr": 0.1}, "0"),
    ("SGD", {"lr": 0.1, "momentum": 0.9}, "1 with `momentum`"),
    ("Polyak", {"lr": 0.1, "beta": 0.9}, "1"),
    ("Nesterov", {"lr": 0.1, "beta": 0.9}, "1"),
    ("Adam", {}, "2"),
    ("Adam", {"amsgrad": True}, "3 with `amsgrad`"),
    ("AdamW", {}, "2"),
    ("AdamW", {"amsgrad": True}, "3 with `amsgrad`"),
    ("RMSprop", {}, "1"),
    ("RMSprop", {"momentum": 0.9}, "2 with `momentum` or `centered`"),
    ("RMSprop", {"centered": True}, "2 with `momentum` or `centered`"),
    ("RMSprop", {"momentum": 0.9, "centered": True}, "3 with both"),
    ("Adagrad", {}, "1"),
    *((name, {}, "2") for name in ("Adadelta", "Adamax", "NAdam", "RAdam", "ADOPT")),
    ("Lion", {}, "1"),
    ("FTRL", {}, "2"),
    *((name, {}, "1") for name in ("LARS", "ScheduleFreeSGD")),
    *((name, {}, "2") for name in ("LAMB", "Muon", "ScheduleFreeAdamW")),
    ("ProximalGradient", {"lr": 0.1}, "0"),
    ("ProximalGradient", {"lr": 0.1, "accelerated": True}, "1 with `accelerated`"),
]


@pytest.mark.parametrize(("name", "options", "said"), VECTORS)
def test_the_table_counts_the_vectors_that_a_method_keeps(name, options, said):
    f = gradus.EmpiricalRisk(
        torch.nn.Linear(3, 1),
        gradus.MSELoss(),
        (torch.eye(3), torch.ones(3, 1)),
        gradus.penalties.L1(0.1),
    )
    method = getattr(methods, name)(**options)
    _, state = method.step(f, f.point, method.init(f.point))
    kept = [part for part in vars(state).values() if isinstance(part, torch.Tensor)]
    assert said in TABLE[name][1].split(", ")
    assert len(kept) == int(said.split()[0])


def test_the_table_counts_the_vectors_of_every_first_order_method():
    counted = {name for name, _, _ in VECTORS}
    assert {n for n in TABLE if issubclass(getattr(methods, n), FirstOrder)} <= counted


@pytest.mark.parametrize("name", ["Newton", "GaussNewton", "LevenbergMarquardt"])
def test_the_table_counts_matrices_as_the_docstrings_do(name):
    docstring = " ".join(inspect.getdoc(getattr(methods, name)).partition("- Cost:")[0].split())
    counts = re.findall(r"\d+ d\b", TABLE[name][1])
    assert counts == re.findall(r"\d+ d\b", docstring.partition("at once, that is ")[2])
