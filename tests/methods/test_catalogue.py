"""What is read of the methods without running them is what running them says."""

import dataclasses
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import gradus
from gradus import methods
from gradus.cli import main
from gradus.methods.catalogue import REQUIRED, entries, wrappers
from gradus.methods.notation import written


@pytest.mark.parametrize("entry", entries().values(), ids=entries())
def test_an_entry_has_the_fields_of_its_class(entry):
    fields = dataclasses.fields(getattr(methods, entry.class_name))
    found = {field.name: (field.annotation, field.default) for field in entry.hyperparameters}
    assert found == {
        field.name: (
            field.type,
            REQUIRED if field.default is dataclasses.MISSING else field.default,
        )
        for field in fields
    }
    assert all(field.meaning for field in entry.hyperparameters)


def test_every_method_that_wraps_no_other_has_an_entry():
    exported = (getattr(methods, name) for name in methods.__all__)
    classes = {
        kind.__name__
        for kind in exported
        if isinstance(kind, type)
        and issubclass(kind, methods.Method)
        and dataclasses.is_dataclass(kind)
    }
    around = {name for name in classes if issubclass(getattr(methods, name), methods.Wrapper)}
    assert classes - around == {entry.class_name for entry in entries().values()}


def test_everything_that_is_told_of_a_method_is_plain_text():
    for entry in (*entries().values(), *wrappers().values()):
        told = (
            entry.summary,
            entry.equation,
            entry.source,
            *(h.meaning for h in entry.hyperparameters),
        )
        assert all(text and not set(text) & set("\\{}$`&") for text in told), (entry.name, told)


@pytest.mark.parametrize(
    ("latex", "text"),
    [
        (
            r"H_{t+1} = V_t^T H_t V_t + \frac{s_t s_t^T}{y_t^T s_t}",
            "Hₜ₊₁ = Vₜᵀ Hₜ Vₜ + sₜ sₜᵀ / (yₜᵀ sₜ)",
        ),
        (r"\frac{1 - \mu_t}{1 - \pi_t}\, g", "(1 − μₜ) / (1 − πₜ) · g"),
        (r"\frac{m}{u}\, (a + b)", "m / u · (a + b)"),
        (r"\sqrt{(a - 4)(a - 2)}\, a", "√((a − 4)(a − 2)) a"),
        (r"0.96^{t \psi} + x^{1/4} + \tfrac12 \rho_\infty", "0.96^(t ψ) + x^(1/4) + ½ ρ_∞"),
        (
            r"\begin{aligned} a &= -g \quad\text{if } g, \qquad b &= 0 \\ c &= d \end{aligned}",
            "a = −g if g\nb = 0\nc = d",
        ),
        (
            r"m \begin{cases} r & \rho > 5 \\ 1 & \text{else} \end{cases}",
            "m (r if ρ > 5, else 1)",
        ),
    ],
)
def test_equations_are_written_as_they_are_read(latex, text):
    assert written(latex) == text


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("adamw", ["w ← (1 − αₜ λ) w", "--weight-decay", "Loshchilov", "gradus.methods.AdamW"]),
        ("GradientDescent", ["wₜ₊₁ = wₜ − αₜ ∇ f(wₜ; ξₜ)", "--lr"]),
        ("sam", ["2 gradients", "--asam", "Foret"]),
    ],
)
def test_a_method_tells_of_itself(name, told, capsys):
    with pytest.raises(SystemExit) as ended:
        main(["methods", name])
    assert not ended.value.code
    printed = capsys.readouterr().out
    assert all(text in printed for text in told)


def test_all_methods_stand_in_one_table_and_no_other_name_is_one(capsys):
    with pytest.raises(SystemExit):
        main(["methods"])
    first = {line.split(" ")[0] for line in capsys.readouterr().out.splitlines()}
    assert {*entries(), *wrappers()} <= first
    with pytest.raises(SystemExit) as ended:
        main(["methods", "adagard"])
    assert ended.value.code == 2
    assert "adagard is no method; did you mean adagrad" in capsys.readouterr().err


NEW_METHOD = r'''
from dataclasses import dataclass

from gradus.methods.hyperparameters import Number
from gradus.methods.method import GradientAtIterate
from gradus.methods.schedules import LearningRate


@dataclass(frozen=True)
class SignDescent(GradientAtIterate):
    r"""Steps by the sign of the gradient.

    Args:
        lr: $\alpha_t$, how far each coordinate moves.
        shrinkage: $\rho$, what w loses at every step.
    """

    lr: LearningRate
    shrinkage: Number = 0.0

    def init(self, w):
        return None

    def update(self, w, g, state):
        return (1 - self.shrinkage) * w - self.lr * g.sign(), None
'''


def test_a_method_that_is_added_is_an_option_of_the_command_line_at_once(tmp_path):
    shutil.copytree(
        Path(gradus.__file__).parent,
        tmp_path / "gradus",
        ignore=shutil.ignore_patterns("__pycache__"),
    )
    folder = tmp_path / "gradus" / "methods"
    (folder / "sign_descent.py").write_text(NEW_METHOD)
    with (folder / "__init__.pyi").open("a") as stub:
        stub.write("from .sign_descent import SignDescent as SignDescent\n")

    def gradus_command(*arguments):
        return subprocess.run(
            [sys.executable, "-m", "gradus", "train", *arguments],
            env=os.environ | {"PYTHONPATH": str(tmp_path)},
            cwd=tmp_path,
            capture_output=True,
            text=True,
        )

    told = " ".join(gradus_command("--help").stdout.split())
    assert "--shrinkage X ρ, what w loses at every step (sign-descent) [default: 0.0]" in told
    options = "--method sign-descent --lr 0.01 --shrinkage 0.1 --hidden 8 --epochs 1 --out run"
    trained = gradus_command("digits", *options.split())
    assert trained.returncode == 0, trained.stderr
    recorded = json.loads((tmp_path / "run" / "run.json").read_text())["spec"]
    assert (recorded["method"], recorded["shrinkage"]) == ("sign-descent", 0.1)
