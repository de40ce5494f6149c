"""``python -m benchmarks.doctor``: plant faults in runs, and score who names them.

    truth            which planted faults count; goes on where it was broken off
    examine HALF     what the doctor says of the runs of a half; goes on likewise
    score HALF       the tables of what is known of it
    histories        ten runs and what the doctor says of each, into docs/why.md

A half is ``tune``, on which rules and limits are chosen, or ``held``, which was looked at once; or
``second`` and ``third``, held as well, each for rules that have changed since.
"""

from __future__ import annotations

import argparse
import os

import torch

from benchmarks.doctor import examine, histories, score, truth

GROUPS = ("fault", "pair", "plain", "odd", "case")


def main() -> None:
    """Do one of them."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.doctor",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("truth")
    commands.add_parser("histories")
    for name in ("examine", "score"):
        command = commands.add_parser(name)
        command.add_argument("half", choices=["tune", "held", "second", "third"])
    examining = commands.choices["examine"]
    for group in GROUPS:
        examining.add_argument(f"--{group}", type=float, default=1.0, help="share of them")
    parser.add_argument("--data-dir", help="where Fashion-MNIST lies")
    given = parser.parse_args()
    if given.data_dir:
        os.environ["GRADUS_DATA"] = given.data_dir
    torch.set_num_threads(1)
    if given.command == "truth":
        truth.write()
    elif given.command == "histories":
        histories.write()
    elif given.command == "examine":
        examine.write(given.half, {group: getattr(given, group) for group in GROUPS})
    else:
        score.show(given.half)


if __name__ == "__main__":
    main()
