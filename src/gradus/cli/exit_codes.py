"""The exit codes of commands, and the line on stderr that goes with one."""

from __future__ import annotations

import click

from gradus.errors import shortened

DONE, WRONG, ENDED_EARLY, CONFIRMED, INTERRUPTED = 0, 2, 3, 4, 130
EXIT_CODES = {
    "finished": DONE,
    "diverged": ENDED_EARLY,
    "failed": ENDED_EARLY,
    "stopped": ENDED_EARLY,
    "interrupted": INTERRUPTED,
}


def warn(message: str) -> None:
    """One line on stderr; what a terminal would obey and not show is written out."""
    line = shortened(" ".join(message.split()))
    click.echo(
        "gradus: " + "".join(c if c.isprintable() else ascii(c)[1:-1] for c in line), err=True
    )
