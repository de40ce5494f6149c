"""The record of what the Trainer of Hugging Face trains: a callback of it."""

from __future__ import annotations

import dataclasses
import math
import os
from typing import Any

from gradus.errors import InputError
from gradus.recording.given import named, scalars
from gradus.recording.identity import Config
from gradus.recording.recorder import Recorder, recorder

try:
    import transformers
except ImportError:
    raise InputError(
        "gradus.recording.transformers: transformers is not installed; pip install transformers"
    ) from None

NO_FIGURES = ("runtime", "per_second", "epoch")
"""How the names of what the Trainer tells beside figures end."""

PLACES = {"output_dir", "logging_dir", "run_name"}
"""Arguments that say where, not what."""


class Record(transformers.TrainerCallback):  # type: ignore[misc]
    """Keep the record of a training of the Trainer, as `gradus.record` does of a loop of one's own.

    A row whenever the Trainer logs (``logging_steps=1``: a row a step), with the mean loss since
    the last; a row an evaluation, where ``eval_loss`` is ``validation_loss``; without evaluations a
    row an epoch. Checkpoints are the Trainer's. An error ends the training without telling
    callbacks: what was written down until then is opened as a run that was interrupted.

    Args:
        folder: of the record.
        config: options beside the arguments of the Trainer that are not at their default.
        overwrite: replace the record that the folder holds.

    Example:
        .. code-block:: python

            from gradus.recording.transformers import Record

            Trainer(model, args, train_dataset=data, callbacks=[Record("runs/mine")]).train()
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        *,
        config: Config | None = None,
        overwrite: bool = False,
    ) -> None:
        self.folder, self.config, self.overwrite = folder, config, overwrite
        self.run: Recorder | None = None
        self._logged = 0

    def on_train_begin(self, args: Any, state: Any, control: Any, **given: Any) -> None:
        """Begin the record."""
        if not state.is_world_process_zero:
            return
        optimizer = given["optimizer"]
        self._logged = state.global_step
        self.run = recorder(
            self.folder,
            getattr(optimizer, "optimizer", optimizer),  # within what accelerates it
            given["model"],
            changed(args) | dict(self.config or {}),
            {"trainer": "transformers", "version": transformers.__version__},
            overwrite=self.overwrite,
        ).__enter__()

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **given: Any) -> None:
        """A row of the history."""
        if self.run is None or logs is None or "loss" not in logs:
            return
        steps, self._logged = state.global_step - self._logged, state.global_step
        a_step = args.train_batch_size * args.gradient_accumulation_steps * args.world_size
        epoch = max(1, math.ceil(state.epoch or 0))
        self.run.log(logs["loss"], batch=max(1, steps) * a_step, epoch=epoch, after=True)

    def on_evaluate(
        self, args: Any, state: Any, control: Any, metrics: Any = None, **given: Any
    ) -> None:
        """What is known after an evaluation."""
        if self.run is not None and metrics:
            figures = {
                named(name): value
                for name, value in scalars(metrics).items()
                if isinstance(value, int | float) and not name.endswith(NO_FIGURES)
            }
            self.run.evaluate(max(1, math.ceil(state.epoch or 0)), **figures)

    def on_epoch_end(self, args: Any, state: Any, control: Any, **given: Any) -> None:
        """What is known after an epoch, where nothing is evaluated."""
        if self.run is not None and str(getattr(args.eval_strategy, "value", "")) == "no":
            self.run.evaluate(max(1, round(state.epoch or 0)))

    def on_train_end(self, args: Any, state: Any, control: Any, **given: Any) -> None:
        """The record is complete."""
        run, self.run = self.run, None
        if run is not None:
            run.__exit__(None, None, None)


def changed(args: Any) -> dict[str, bool | int | float | str | None]:
    """The arguments of a Trainer that are not at their default."""
    found = {}
    for field in dataclasses.fields(args):
        value = getattr(args, field.name)
        if field.name not in PLACES and value != field.default:
            found[field.name] = value
    return scalars(found)
