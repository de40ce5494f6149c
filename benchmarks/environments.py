"""Where peers come from: environments of their own, made on first use, apart from that of Gradus.

Only the standard library is imported here, as in all that the process imports that starts others.
"""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent


class NotInstalledError(Exception):
    """What an environment holds cannot be installed here; the message says why."""


@dataclass(frozen=True)
class Environment:
    """An environment of Python.

    Attributes:
        name: of its folder in ``build``, and of the file of its requirements.
        what: it holds, for the user.
        size: what it costs, for the user.
    """

    name: str
    what: str
    size: str

    def python(self) -> str:
        """The interpreter of the environment, which is made anew where it is not what is required.

        Raises:
            NotInstalledError: it cannot be made.
        """
        folder, requirements = HERE.parent / "build" / self.name, self.requirements
        complete = folder / "complete"  # holds the requirements, once all of them are installed
        interpreter = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
        wanted = requirements.read_text(encoding="utf-8")
        if complete.is_file() and complete.read_text(encoding="utf-8") == wanted:
            return str(interpreter)
        _tell(f"installing {self.what} into {os.path.relpath(folder)}, once: {self.size}")
        self._run([sys.executable, "-m", "venv", "--clear", str(folder)])
        pip = [str(interpreter), "-m", "pip", "install", "--disable-pip-version-check"]
        self._run([*pip, "--only-binary=:all:", "--requirement", str(requirements)])
        complete.write_text(wanted, encoding="utf-8")
        return str(interpreter)

    @property
    def requirements(self) -> Path:
        """What it holds, with versions."""
        return HERE / f"{self.name}-requirements.txt"

    def _run(self, command: list[str]) -> None:
        """Run a command, passing what it writes on as progress."""
        # Versions that hold for the environment of Gradus say nothing about this one.
        variables = {name: value for name, value in os.environ.items() if name != "PIP_CONSTRAINT"}
        last = ""
        process = subprocess.Popen(
            command, env=variables, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith(("Collecting", "Installing", "Successfully", "ERROR")):
                _tell(line.strip())
            if line.startswith("ERROR") or not last.startswith("ERROR"):
                last = line.strip() or last
        if process.wait():
            raise NotInstalledError(f"{self.what} cannot be installed: {last}")


JAX = Environment("jax", "JAX", "half a minute, 650 MB on disk")
VOWPAL_WABBIT = Environment("vw", "Vowpal Wabbit", "a minute, 250 MB on disk")
TABLES = Environment("tables", "tables and scikit-learn", "a minute, 700 MB on disk")


def _tell(message: str) -> None:
    print(message, file=sys.stderr, flush=True)
