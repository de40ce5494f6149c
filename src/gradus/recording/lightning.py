"""The record of what Lightning trains: a callback of its Trainer."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from gradus.errors import InputError
from gradus.recording.given import examples_of, named, scalars
from gradus.recording.identity import Config
from gradus.recording.recorder import TAKEN, Recorder, recorder

try:
    import lightning.pytorch as lightning
except ImportError:
    try:
        import pytorch_lightning as lightning
    except ImportError:
        raise InputError(
            "gradus.recording.lightning: Lightning is not installed; pip install lightning"
        ) from None


class Record(lightning.Callback):  # type: ignore[misc]
    """Keep the record of a fit of Lightning, as `gradus.record` does of a loop of one's own.

    A row a batch, and a row an epoch with what the module logged: ``val_loss`` is
    ``validation_loss`` there, ``val_acc`` ``validation_accuracy``. Checkpoints are Lightning's.

    Args:
        folder: of the record.
        config: options beside the hyper-parameters that the module saved.
        overwrite: replace the record that the folder holds.
        batch: how many examples a batch has; None: the length of the first tensor in it.

    Example:
        .. code-block:: python

            from gradus.recording.lightning import Record

            lightning.Trainer(max_epochs=3, callbacks=[Record("runs/mine")]).fit(module, loader)
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        *,
        config: Config | None = None,
        overwrite: bool = False,
        batch: Callable[[Any], int] | None = None,
    ) -> None:
        self.folder, self.config, self.overwrite = folder, config, overwrite
        self.batch = batch or examples_of
        self.run: Recorder | None = None

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        """Begin the record."""
        if not trainer.is_global_zero:
            return
        if not trainer.optimizers:
            raise InputError("gradus.recording.lightning: the module has no optimizer to record")
        self.run = recorder(
            self.folder,
            trainer.optimizers[0],
            pl_module,
            scalars(dict(pl_module.hparams)) | dict(self.config or {}),
            {"trainer": lightning.__name__, "version": lightning.__version__},
            overwrite=self.overwrite,
        ).__enter__()

    def on_train_batch_end(
        self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """A row of the history."""
        loss = outputs.get("loss") if isinstance(outputs, dict) else outputs
        if self.run is not None and loss is not None:
            # Lightning divides it among the batches of an accumulated step.
            loss = loss * trainer.accumulate_grad_batches
            epoch = trainer.current_epoch + 1
            self.run.log(loss, batch=self.batch(batch), epoch=epoch, after=True)

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        """What the module logged of an epoch."""
        if self.run is not None:
            given = {named(name): value for name, value in trainer.callback_metrics.items()}
            figures = {name: value for name, value in given.items() if name not in TAKEN}
            figures.pop("accuracy", None)  # of which part is not said
            self.run.evaluate(trainer.current_epoch + 1, **figures)

    def on_train_end(self, trainer: Any, pl_module: Any) -> None:
        """The record is complete."""
        self._close(None)

    def on_exception(self, trainer: Any, pl_module: Any, exception: BaseException) -> None:
        """The record says what the fit was left by."""
        self._close(exception)

    def _close(self, error: BaseException | None) -> None:
        run, self.run = self.run, None
        if run is not None:
            run.__exit__(type(error) if error else None, error, None)
