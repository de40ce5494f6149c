"""The commands and scripts that people copy do what they say."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from gradus.cli import main

ROOT = Path(__file__).parents[1]
COMMANDS = sorted(
    {
        line.split("#")[0].strip()
        for line in (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
        if line.startswith("    gradus train") and "--help" not in line
    }
)


@pytest.mark.parametrize("command", [c for c in COMMANDS if "fashion-mnist" not in c])
def test_commands_of_the_readme_train(command, tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)
    arguments = [*shlex.split(command)[1:], "--epochs", "1", "--out", str(tmp_path), "--quiet"]
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert not ended.value.code
    assert (tmp_path / "loss.png").exists()


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md", "benchmarks/RESULTS.md"])
def test_links_lead_somewhere(page):
    text = (ROOT / page).read_text(encoding="utf-8")
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", text):
        assert (ROOT / page).parent.joinpath(target).exists(), target


def test_the_readme_shows_every_kind_of_run():
    text = "\n".join(COMMANDS)
    for expected in ("fashion-mnist", "--target", "--model examples.", "--spec", "--method adam"):
        assert expected in text


def test_the_message_that_the_readme_quotes_is_the_one_that_is_given(capsys, monkeypatch):
    monkeypatch.chdir(ROOT)
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    quoted = re.search(r"    \$ gradus (train .*)\n    (gradus: .*)\n", readme)
    assert quoted
    with pytest.raises(SystemExit) as ended:
        main(shlex.split(quoted[1]))
    assert ended.value.code == 2
    assert capsys.readouterr().err == quoted[2] + "\n"


@pytest.mark.parametrize("script", sorted((ROOT / "examples").glob("*.py")), ids=lambda p: p.name)
def test_scripts_run(script):
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
