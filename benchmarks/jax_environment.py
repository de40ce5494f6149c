"""Where JAX comes from: an environment of its own, made on first use, apart from that of Gradus.

Only the standard library is imported here, as in all that the process imports that starts others.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

REQUIREMENTS = Path(__file__).with_name("jax-requirements.txt")
FOLDER = Path(__file__).parent.parent / "build" / "jax"
COMPLETE = FOLDER / "complete"
"""Holds the requirements that were installed, once all of them were."""


class JaxAbsentError(Exception):
    """JAX cannot be installed here; the message says why."""


def python() -> str:
    """The interpreter of the environment, which is made anew where it is not what is required.

    Raises:
        JaxAbsentError: it cannot be made.
    """
    interpreter = FOLDER / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    wanted = REQUIREMENTS.read_text(encoding="utf-8")
    if COMPLETE.is_file() and COMPLETE.read_text(encoding="utf-8") == wanted:
        return str(interpreter)
    _tell(f"installing JAX into {os.path.relpath(FOLDER)}, once: half a minute, 650 MB on disk")
    _run([sys.executable, "-m", "venv", "--clear", str(FOLDER)])
    pip = [str(interpreter), "-m", "pip", "install", "--disable-pip-version-check"]
    _run([*pip, "--only-binary=:all:", "--requirement", str(REQUIREMENTS)])
    COMPLETE.write_text(wanted, encoding="utf-8")
    return str(interpreter)


def _run(command: list[str]) -> None:
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
        raise JaxAbsentError(f"JAX cannot be installed: {last}")


def _tell(message: str) -> None:
    print(message, file=sys.stderr, flush=True)
