"""The command line of Gradus, run as a user runs it, noting when each epoch began and ended."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from unittest import mock

from gradus import cli


def main() -> None:
    """``python -m benchmarks.command RESULT OUT ARGUMENTS``: run ``gradus ARGUMENTS --out OUT``."""
    result, out, *arguments = sys.argv[1:]
    first_step: list[float] = []
    began: list[float] = []
    ended: list[float] = []

    from gradus.cli import run_report as report
    from gradus.data.dataset import Split
    from gradus.engine.job import Job, Progress

    progress = report.Live.progress

    def observed(live: report.Live, job: Job, split: Split) -> Callable[[Progress], None]:
        tell = progress(live, job, split)
        last_told = time.time()
        began.append(last_told)

        def told(progress: Progress) -> None:
            nonlocal last_told
            if not first_step:
                first_step.append(time.time())
            tell(progress)
            if progress.evaluation is None:
                last_told = time.time()
            else:  # the test pass lies between the last step told and now
                ended.append(last_told)
                began.append(time.time())

        return told

    with mock.patch.object(report.Live, "progress", observed):
        try:
            cli.main([*arguments, "--out", out])
        except SystemExit as ended_with:
            if ended_with.code:
                raise
    record = json.loads((Path(out) / "run.json").read_text(encoding="utf-8"))
    timings, epochs = record["timings"], record["spec"]["epochs"]
    measured = {
        "epochs": list(zip(began, ended, strict=False)),
        "train_seconds": timings["train_seconds"] / epochs,
        "test_seconds": timings["test_seconds"] / epochs,
        "test_loss": record["final"]["test_loss"],
        "first_step_at": first_step[0],
    }
    Path(result).write_text(json.dumps(measured), encoding="utf-8")


if __name__ == "__main__":
    main()
