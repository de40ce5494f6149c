"""What a run tells on the terminal: live progress, then a closing table and a small curve."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from contextlib import ExitStack
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any

from rich.console import Console

from gradus.cli.table_report import chosen_line, treatment_lines
from gradus.data.dataset import Split
from gradus.engine.job import Job, Progress, Report
from gradus.formatting import duration, number
from gradus.models.own import is_own
from gradus.runs.curve import in_terminal
from gradus.runs.lost import is_on_sparse
from gradus.runs.progress_line import progress_line
from gradus.runs.record import Run
from gradus.runs.record_files import OVERVIEW

if TYPE_CHECKING:
    from rich.progress import TaskID

HARDLY = 0.9
"""In losses of the best constant prediction: a run that ends above has hardly learned anything."""

LINE_EVERY = 2.0
"""Seconds between two plain lines off a terminal."""


class Live:
    """Progress on stderr: one live line on a terminal, plain lines elsewhere."""

    def __init__(self) -> None:
        self.console = _stderr()
        self.shown = ExitStack()
        self.stages: Stages | None = None

    def __enter__(self) -> Live:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.shown.close()

    def progress(self, job: Job, split: Split) -> Report:
        """Say what is about to run, and return what is told of every step."""
        self.shown.close()
        parameters = sum(p.numel() for p in job.model.parameters())
        self.console.print(split.description, style="bold", soft_wrap=True)
        for line in (*treatment_lines(split.treatments), *split.notes):
            self.console.print(line, soft_wrap=True, markup=False)
        self.console.print(
            f"{_several(job)}{parameters:,} parameters, {_counted(job.steps, 'step')} in "
            f"{_counted(job.epochs, 'epoch')} on {job.device.type}"
        )
        if self.console.is_terminal:
            return self._bar(job)
        return progress_line(job, partial(self.console.print, soft_wrap=True), LINE_EVERY)

    def reading(self, what: str, done: int, of: int) -> None:
        """Say how far a pass over a table that is streamed is, before the run."""
        if self.stages is None:
            self.stages = self.shown.enter_context(Stages())
        self.stages.tell(what, done, of)

    def finding(self, what: str, done: int, of: int) -> None:
        """Say how far the search for the learning rate is, before the run."""
        self.reading(f"finding lr: {what}", done, of)

    def _bar(self, job: Job) -> Report:
        import rich.progress as bars

        bar = self.shown.enter_context(
            bars.Progress(
                bars.TextColumn("{task.fields[epoch]}"),
                bars.BarColumn(bar_width=24),
                bars.TextColumn("loss {task.fields[loss]}"),
                bars.TextColumn("{task.fields[speed]}"),
                bars.TimeRemainingColumn(compact=True),
                bars.TextColumn("left"),
                console=self.console,
                transient=True,
                refresh_per_second=8,
            )
        )
        task = bar.add_task("", total=job.steps * job.nets, epoch="", loss="", speed="")
        started = shown = time.perf_counter()

        def report(progress: Progress) -> None:
            nonlocal shown
            now = time.perf_counter()
            if now - shown > 0.1:
                shown = now
                bar.update(
                    task,
                    completed=progress.step,
                    epoch=f"epoch {progress.epoch}/{job.epochs}",
                    loss=number(progress.loss),
                    speed=f"{progress.samples_since / (now - started):,.0f} samples/s",
                )

        return report


class Stages:
    """Progress on stderr of work in stages, of which each says how far it is.

    A live bar on a terminal; elsewhere a plain line every ``LINE_EVERY`` seconds.
    """

    def __init__(self) -> None:
        import rich.progress as bars

        self.console = _stderr()
        self.bar = bars.Progress(
            bars.TextColumn("{task.description}"),
            bars.BarColumn(bar_width=24),
            bars.TaskProgressColumn(),
            bars.TimeRemainingColumn(compact=True),
            console=self.console,
            transient=True,
        )
        self.tasks: dict[str, TaskID] = {}
        self.told = time.perf_counter()

    def __enter__(self) -> Stages:
        if self.console.is_terminal:
            self.bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self.console.is_terminal:
            self.bar.stop()

    def tell(self, what: str, done: int, of: int) -> None:
        """So much of a stage is done, of so much; 0 where that is not known."""
        if self.console.is_terminal:
            if what not in self.tasks:
                self.tasks[what] = self.bar.add_task(what, total=of or None)
            self.bar.update(self.tasks[what], completed=done)
        elif time.perf_counter() - self.told >= LINE_EVERY:
            self.told = time.perf_counter()
            self.console.print(f"{what}  {done:,}" + (f" of {of:,}" if of else ""), soft_wrap=True)


def close(run: Run, seen: Mapping[str, str]) -> None:
    """The closing words: the curve, the figures, and where the record stands.

    Args:
        run: that has ended.
        seen: of each tracker that followed it, how what it was told is looked at.
    """
    from gradus.figures.scores import lines, most_used, rows_of, verdicts

    console = Console(highlight=False, markup=False, emoji=False)
    summary, final = run.summary, run.summary["final"]
    if run.history.num_rows > 1:
        width = max(30, min(72, console.width - 12))
        console.print(in_terminal(run.curve, width=width), markup=False)
    if rows := rows_of(summary):
        for line in (*lines(rows, summary["data"]["test"]), *verdicts(summary), ""):
            console.print(line, soft_wrap=True)
    figures: dict[str, str] = {}
    if used := most_used(summary):
        figures["most used"] = used
    if final is not None:
        figures |= _figures(run, final)
    if run.spec.proximal or run.spec.method == "proximal-gradient":
        figures["exact zeros"] = f"{summary['zeros']:,} of {summary['parameters']:,} parameters"
    speed = summary["timings"]["samples_per_second"]
    pace = "" if math.isnan(speed) else f", {speed:,.0f} samples/s"
    seconds = duration(summary["timings"]["train_seconds"])
    figures["steps"] = f"{summary['steps']:,} in {seconds} ({summary['engine']}{pace})"
    if summary["not_native"] is not None:
        figures["why eager"] = summary["not_native"]
    last = run.evaluation["epoch"][-1].as_py() if run.evaluation.num_rows else None
    ended = last if run.spec.patience and last != run.spec.epochs else None
    if chosen := chosen_line(summary.get("auto") or {}, run.spec.model_dump(), ended):
        figures["chosen"] = f"{chosen}: each can be given (gradus train --help)"
    if rate := summary.get("learning_rate"):
        figures["learning rate"] = rate_line(rate)
    if run.summary["origin"]:
        figures["goes on"] = origin_line(run.summary["origin"][-1])
    figures["record"] = str(run.folder)
    figures["curve"] = str(run.folder and run.folder / "loss.png")
    if run.folder is not None and (run.folder / OVERVIEW).exists():
        figures["pictures"] = f"{run.folder / OVERVIEW}; all: gradus report {run.folder}"
    figures |= seen
    for name, figure in figures.items():
        console.print(f"{name:14} {figure}", soft_wrap=True)
    ending(run)


def _figures(run: Run, final: Mapping[str, Any]) -> dict[str, str]:
    """What is known of the parameters that the run left, and which these are."""
    from gradus.figures.scores import measure_name, threshold_line, what_losses_are

    figures: dict[str, str] = {}
    kept, test = run.summary["kept"], run.summary["test"]
    if test is not None:
        error = test["standard_error"]
        figures["test loss"] = number(test["loss"]) + (f" ± {number(error)}" if error else "")
    for part in ("validation", *(() if test else ("test",))):
        if final[f"{part}_loss"] is None:
            continue
        accuracy = final[f"{part}_accuracy"]
        share = "" if accuracy is None else f", accuracy {100 * accuracy:.2f} %"
        for name in final:
            others = f"{part}_loss", f"{part}_accuracy"
            if name.startswith(part) and name not in others and final[name] is not None:
                share += f", {measure_name(name).removeprefix(f'{part} ')} {number(final[name])}"
        figures[part] = f"loss {number(final[f'{part}_loss'])}{share}"
    running = f"{number(final['running_train_loss'])} on the way, as a mean over the epoch"
    figures["training loss"] = f"{number(final['train_loss'])}; {running}"
    if (constant := run.summary["constant"]) is not None:
        part = "test" if test is not None else "train"
        beaten = f"{part} loss {number(constant[f'{part}_loss'])}"
        figures["to beat"] = f"{beaten}: the best constant prediction"
    if decided := threshold_line(run.summary):
        figures["threshold"] = decided
    if (decay := run.spec.ema) is not None:
        told = f"the moving average of those of all steps, decay {decay:g}: evaluated and saved"
        figures["parameters"] = told
    if losses := what_losses_are(run):
        figures["losses are"] = losses
    last = run.evaluation["epoch"][-1].as_py()
    if kept is not None and kept["which"] == "best":
        measure = measure_name(kept["measure"])
        told = f"{measure} {number(kept['best'])}; after the last {number(kept['last'])}"
        figures["kept"] = f"epoch {kept['epoch']} of {last} ({told})"
        if epochs := run.summary.get("kept_epochs"):
            figures["kept"] = f"of {len(epochs)} nets the epochs {', '.join(map(str, epochs))}"
            figures["history"] = "of the first net, with evaluation and curve; figures are of all"
    if run.status in ("finished", "failed") and last < run.spec.epochs:
        figures["ended early"] = (
            "as its observer asked"
            if run.summary["ended_by_observer"]
            else f"{run.spec.patience} epochs without a better one"
        )
    return figures


def _several(job: Job) -> str:
    return f"{job.nets} nets of " if job.nets > 1 else ""


def net_of(run: Run) -> str:
    """Which of several nets a run that did not come to its end speaks of."""
    net = run.summary.get("history_of_net")
    return "" if net is None else f"net {net} of {run.spec.models} "


def rate_line(rate: Mapping[str, Any]) -> str:
    """A learning rate that was found, and how.

    Example:
        >>> rate_line({"lr": 0.1, "lost_from": 3.1, "limit": None, "tried": [{}, {}],
        ...            "part": 0.25, "measure": "train_loss", "seconds": 0.8})
        '0.1, of 2 tried for 25 % of the run by train loss, in 0.8 s; lost from 3.1 on'
    """
    theory = "" if rate["limit"] is None else f", by theory {rate['limit']:.2g}"
    return (
        f"{rate['lr']:g}, of {len(rate['tried'])} tried for {100 * rate['part']:.0f} % of the run "
        f"by {rate['measure'].replace('_', ' ')}, in {duration(rate['seconds'])}; lost from "
        f"{rate['lost_from']:.2g} on{theory}"
    )


def origin_line(origin: Mapping[str, Any]) -> str:
    """What a run goes on from.

    Example:
        >>> origin_line({"how": "resume", "run": "digits-sgd-1", "epochs": 10})
        'after epoch 10 of digits-sgd-1'
    """
    if origin["how"] == "resume":
        return f"after epoch {origin['epochs']} of {origin['run']}"
    kept = f", {', '.join(origin['freeze'])} as they are" if origin["freeze"] else ""
    return f"with the parameters of {origin['run']}{kept}"


def _counted(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def ending(run: Run) -> None:
    """Why a run ended early, on stderr."""
    if run.status == "diverged":
        found = run.summary["divergence"]
        last = found["last_finite_loss"]
        before = "at once" if last is None else f"after a last finite loss of {number(last)}"
        _stderr().print(
            f"gradus: {net_of(run)}diverged at step {found['step']} (epoch {found['epoch']}): loss "
            f"{found['loss']} {before}, learning rate {found['lr']:g}; {found['hint']}",
            style="red",
            soft_wrap=True,
        )
    kept = run.summary["kept"]
    if kept is not None and kept["note"] is not None:
        _stderr().print(f"gradus: {kept['note']}", soft_wrap=True)
    if run.status == "failed":
        found = run.summary["failure"]
        constant = found["constant_train_loss"]
        beside = (
            ""
            if constant is None
            else (f"the best constant prediction has {number(constant)} and ")
        )
        _stderr().print(
            f"gradus: failed: the training loss is {number(found['train_loss'])} at the end, where "
            f"{beside}the run began at {number(found['train_loss_at_the_beginning'])}; "
            f"{found['hint']}",
            style="red",
            soft_wrap=True,
        )
    if (said := doctor_line(run)) is not None:
        _stderr().print(f"gradus: {said}", soft_wrap=True)
    if run.status == "stopped":
        why = run.summary["stopped"]
        _stderr().print(f"gradus: {net_of(run)}stopped at {why}", style="red", soft_wrap=True)
    if run.status == "interrupted":
        steps = run.summary["steps"]
        named = f" --model {run.spec.model}" if is_own(run.spec.model) else ""
        on = f"; go on with: gradus train --resume {run.folder}{named}" if run.folder else ""
        _stderr().print(f"gradus: interrupted at step {steps}{on}", style="red", soft_wrap=True)


def doctor_line(run: Run) -> str | None:
    """Who says why, where the run is lost, or learned next to nothing."""
    if run.folder is None or run.status not in ("diverged", "failed", "finished"):
        return None
    if is_on_sparse(run):
        return None
    asked = f"gradus doctor {run.folder} says why"
    if is_own(run.spec.model):
        asked = f"gradus doctor {run.folder} --model {run.spec.model} says why"
    if run.status != "finished":
        return asked
    final, constant = run.summary["final"], run.summary["constant"]
    if final is None or constant is None:
        return None
    share = final["train_loss"] / constant["train_loss"] if constant["train_loss"] > 0 else 0.0
    if share < HARDLY:
        return None
    return f"the training loss is {100 * share:.0f} % of that of the best constant: {asked}"


def _stderr() -> Console:
    return Console(stderr=True, highlight=False, markup=False, emoji=False)
