"""Which kernels are used: those forced, the fastest, or none, and what is said of it."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from gradus import kernels
from gradus.errors import InputError

built = pytest.mark.skipif(kernels.core() is None, reason=str(kernels.absence()))


@pytest.fixture
def absent(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No core can be imported."""
    monkeypatch.setitem(sys.modules, "gradus.kernels._core", None)
    kernels._load.cache_clear()
    yield
    kernels._load.cache_clear()


@pytest.fixture
def processor(monkeypatch: pytest.MonkeyPatch) -> None:
    """A core with three variants on a processor that runs two of them."""

    class Core:
        def built(self) -> list[str]:
            return ["avx512", "avx2", "portable"]

        def runnable(self) -> list[str]:
            return ["avx2", "portable"]

    monkeypatch.setattr(kernels, "_load", lambda: (Core(), None))


@built
def test_the_portable_kernels_are_built_and_run_everywhere() -> None:
    core = kernels.core()
    assert core is not None
    assert core.built()[-1] == core.runnable()[-1] == "portable"
    assert set(core.runnable()) <= set(core.built())


@built
@pytest.mark.parametrize("name", kernels.runnable())
def test_a_variant_that_runs_here_can_be_forced(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRADUS_KERNELS", name)
    assert kernels.variant() == name


@pytest.mark.usefixtures("processor")
@pytest.mark.parametrize("unset", [True, False])
def test_the_fastest_variant_is_used_where_none_is_forced(
    unset: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GRADUS_KERNELS", "")
    if unset:
        monkeypatch.delenv("GRADUS_KERNELS")
    assert kernels.variant() == "avx2"


@pytest.mark.usefixtures("processor")
@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("avx512", "this processor does not run these kernels"),
        ("neon", "no such kernels were built"),
    ],
)
def test_a_variant_that_does_not_run_here_is_refused_with_those_that_do(
    name: str, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GRADUS_KERNELS", name)
    with pytest.raises(InputError) as refusal:
        kernels.variant()
    assert str(refusal.value) == f"GRADUS_KERNELS={name}: {why}; possible here: avx2, portable"


@pytest.mark.usefixtures("absent")
def test_an_absent_core_says_why() -> None:
    assert kernels.core() is None
    assert kernels.runnable() == []
    reason = kernels.absence()
    assert reason is not None
    assert "not built" in reason
    with pytest.raises(InputError, match="not built"):
        kernels.variant()


@pytest.mark.usefixtures("absent")
def test_the_reason_noted_at_installation_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "absence.txt").write_text("no C++ compiler was found\n")
    monkeypatch.setattr(kernels, "__file__", str(tmp_path / "__init__.py"))
    reason = kernels.absence()
    assert reason is not None
    assert reason.startswith(
        "the C++ kernels were not built: no C++ compiler was found when gradus was installed; "
    )
    assert "\n" not in reason


def test_importing_gradus_does_not_load_the_core() -> None:
    program = "import gradus, gradus.kernels, sys; print('gradus.kernels._core' in sys.modules)"
    answer = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert answer.stdout == "False\n"
