"""How figures are printed: a table in Markdown, and the machine they are from."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path


def markdown(rows: Sequence[Sequence[str]]) -> str:
    """The rows as one table, the first of them its head."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |"
        for row in rows
    ]
    rule = "|" + "|".join("-" * (width + 2) for width in widths) + "|"
    return "\n".join([lines[0], rule, *lines[1:]])


def describe_machine() -> str:
    """The machine and the versions, in general words."""
    return (
        f"{os.cpu_count()} processors ({platform.machine()}, {_vectors()}), "
        f"Python {platform.python_version()}, torch {version('torch')}"
    )


def _vectors() -> str:
    """The widest vector instructions that the system says it has."""
    try:
        flags = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return "vector width unknown"
    return "AVX-512" if "avx512f" in flags else "AVX2" if "avx2" in flags else "no AVX2"
