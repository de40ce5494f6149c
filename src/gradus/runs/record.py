"""What remains of a run: its record in memory and on disk."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from gradus.errors import InputError, quoted
from gradus.models.own import check_named, is_object, is_users, shown
from gradus.notebook import in_notebook
from gradus.runs import earlier
from gradus.runs.curve import Against, Numbers, TrainingCurve, draw, place
from gradus.runs.files import read_json
from gradus.runs.keywords import known_keywords
from gradus.runs.objects.given import NO_OBJECTS, Objects
from gradus.runs.reading import check_size, load_parameters, read_summary
from gradus.runs.record_files import PREDICTIONS, PREPARATION
from gradus.runs.record_tables import EVALUATION, EVALUATION_READ, HISTORY, HISTORY_READ, read_rows
from gradus.runs.spec import RunSpec
from gradus.runs.words import check_path, in_words_of_the_call

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from torch import nn

    from gradus import metrics
    from gradus.data.preparation import AnyPreparation
    from gradus.metrics.predictions import Predictions
    from gradus.runs.export import Written
    from gradus.runs.objects.models import Maker


@dataclass(frozen=True, eq=False)
class Run:
    """A run that has ended, trained just now or opened from its record.

    Attributes:
        spec: what determined it.
        summary: status, final figures, versions, machine, timings: the content of run.json.
        history: a pyarrow table: step, samples, epoch, loss, lr, work; a row every ``log_every``
            batches.
            ``loss`` is that of the mini-batch before its step.
        evaluation: a pyarrow table: epoch, samples, running_train_loss (the mean of the losses that
            the method saw during the epoch), train_loss (of the training part at its end, over at
            most 10,000 examples), validation_loss, validation_accuracy, test_loss, test_accuracy;
            null where there is no such part, or it was not evaluated: where there is a validation
            part, the test part is evaluated once, for the parameters that are kept.
        folder: where the record stands, or None.
        trained: the model, where it was trained just now.
        trusted: whether a model that is code of the user's may be imported and built.
        on_test: what the model says of the test part, where it was trained just now.
        prepared: what was fitted to the data, where it was trained just now.
        maker: makes the model, where that was an object and was given again.
        objects: that it was trained on, where it was trained just now.

    Example:
        >>> import gradus
        >>> run = gradus.train(gradus.RunSpec(model="linear", lr=0.5, epochs=3, log_every=10))
        >>> run.status, run.history.num_rows, run.evaluation.column_names[-1]
        ('finished', 27, 'work')
        >>> figure = run.plot()
    """

    spec: RunSpec
    summary: Mapping[str, Any]
    history: pa.Table
    evaluation: pa.Table
    folder: Path | None = None
    trained: nn.Module | None = None
    trusted: bool = True
    on_test: Predictions | None = None
    prepared: AnyPreparation | None = None
    maker: Maker | None = None
    objects: Objects = NO_OBJECTS

    def __repr__(self) -> str:
        return f"<Run {self.title} on {shown(self.spec.data)}: {self.status}{self._tested}>"

    def _repr_html_(self) -> str:
        return in_notebook(self)

    @property
    def _tested(self) -> str:
        """The last figure, where the test part was looked at, for one line."""
        final = self.summary["final"]
        tested = final is not None and final["test_loss"] is not None
        return f", test loss {final['test_loss']:.4g}" if tested else ""

    @property
    def title(self) -> str:
        """The title of its loss curve: ``Optimizer-SGD lr-0.001 mt-0.5 bs-16``."""
        return self.spec.title

    @property
    def status(self) -> str:
        """``finished``, ``diverged``, ``failed``, ``stopped`` or ``interrupted``."""
        return str(self.summary["status"])

    def check_code(self) -> None:
        """Refuse to build a model that is code, where only the record names it.

        Raises:
            InputError: it is, and was not named or trusted as the record was opened; or it was an
                object, and is not given.
        """
        where = self.folder or self.title
        check_named([self.spec.model], where, trust=self.trusted)
        if is_object(self.spec.model) and self.maker is None and self.trained is None:
            raise InputError(
                f"{where}: its model, {shown(self.spec.model)}, was an object in Python, which no "
                f"record holds; open it by gradus.open_run({str(where)!r}, model=..) with such a "
                "module, or with what makes one"
            )

    @property
    def kept_in(self) -> Path:
        """The folder that holds its parameters.

        Raises:
            InputError: a sweep has not kept them.
        """
        if self.folder is None:
            raise InputError(
                f"{self.title}: its parameters are not kept: --keep-models best keeps those "
                "of the best configuration by the measure of the sweep, and all those of every run"
            )
        return self.folder

    @cached_property
    def model(self) -> nn.Module:
        """The model with its final parameters, in ``eval`` mode.

        Raises:
            InputError: its parameters are missing or damaged, or it is code that was not named or
                trusted as the record was opened.
        """
        if self.trained is not None:
            return self.trained
        folder = self.kept_in
        self.check_code()
        import torch

        from gradus.models.average import Average
        from gradus.models.networks import build

        data, path = self.summary["data"], folder / "model.safetensors"
        dtype: torch.dtype = getattr(torch, self.spec.dtype)

        def net() -> nn.Module:
            if self.maker is not None:
                return self.maker(data["input_shape"], data["outputs"])
            return build(
                self.spec.model,
                data["input_shape"],
                data["outputs"],
                hidden=self.spec.hidden or (),
                dropout=self.spec.dropout or 0.0,
                log_probabilities=self.spec.takes_log_probabilities,
            )

        def built() -> nn.Module:
            nets = self.summary.get("nets") or 1
            if nets == 1:
                return net()
            classes = data["task"] == "classification"
            return Average((net() for _ in range(nets)), classes=classes)

        if not is_users(self.spec.model):
            check_size(built, dtype.itemsize, path)
        with torch.random.fork_rng():
            model = built().to(dtype)
        load_parameters(model, path)
        return model.eval()

    @property
    def threshold(self) -> metrics.Threshold | None:
        """From which probability on one of two classes is predicted; None: the likelier is."""
        from gradus.runs.thresholds import of_record

        return of_record(self.summary.get("threshold"), self.summary["data"].get("classes"))

    @cached_property
    def test_predictions(self) -> Predictions:
        """What the model says of the test part, beside what is true.

        Raises:
            InputError: there are none, or the record of them is damaged.
        """
        if self.on_test is not None:
            return self.on_test
        if self.folder is None:
            raise InputError("this run tested nothing: there are no predictions on the test part")
        from gradus.runs.judging import read_predictions

        data = self.summary["data"]
        return read_predictions(
            self.folder / PREDICTIONS,
            data.get("classes"),
            data.get("target_names") or (),
            self.spec.quantile,
            self.threshold,
        )

    @cached_property
    def preparation(self) -> AnyPreparation:
        """What was fitted to the training examples, and turns others of the kind into x.

        Raises:
            InputError: it is missing or damaged.
        """
        from gradus.data.preparation import read_preparation
        from gradus.data.preparation.goal import outputs_of

        if self.prepared is not None:
            return self.prepared
        folder = self.folder if self.trained is not None else self.kept_in
        path = None if folder is None else folder / PREPARATION
        if path is None or not path.exists():
            trained_on = quoted(shown(self.spec.data))
            raise InputError(
                f"{folder or self.title}: holds no {PREPARATION}: it was trained on {trained_on} "
                "by an earlier version, or as a Dataset; train it again"
            )
        try:
            record = read_json(path)
        except (OSError, ValueError) as error:
            raise InputError(f"{path}: cannot be read: {quoted(error)}") from None
        if not isinstance(record, dict):
            raise InputError(f"{path}: is no preparation")
        found = read_preparation(record, str(path))
        data = self.summary["data"]
        given = [list(found.input_shape), outputs_of(found.goal)]
        if given != [list(data["input_shape"]), data["outputs"]]:
            raise InputError(f"{path}: is damaged: it is not that of the model of this run")
        return found

    @property
    def is_prepared(self) -> bool:
        """Whether it holds a preparation."""
        return self._holds(PREPARATION, self.prepared)

    @property
    def keeps_predictions(self) -> bool:
        """Whether it holds what its model says of the test part."""
        return self._holds(PREDICTIONS, self.on_test)

    def _holds(self, name: str, made: object) -> bool:
        """Whether it made something as it was trained; of an opened run, whether its file is there.

        The folder of a run that was trained just now may hold the files of one before it.
        """
        if self.trained is not None or self.folder is None:
            return made is not None
        return (self.folder / name).exists()

    @in_words_of_the_call()
    def predict(self, table: Any, *, threshold: float | str | None = None) -> pa.Table:
        """What the model says of new rows.

        They are prepared as the training rows were; columns are found by their names, in any order,
        and others are not looked at.

        Args:
            table: the path of a file; a pyarrow, pandas or Polars table; or a dict of columns. For
                a run on arrays, a ``.npz`` file with x, a ``.npy`` file, or an array; on images, a
                folder, a file, or a list of files.
            threshold: of two classes, the probability from which on the rarer is predicted, or one
                with the name of a class, ``"yes=0.3"``; None: that of the run, if it has one.

        Returns:
            A pyarrow table: ``prediction``, and of classes ``p(class)`` for each; of numbers, in
            the unit of the target (of several, ``prediction(target)`` for each). Of images
            ``file`` stands before it.

        Raises:
            InputError: a column is missing, or holds what cannot be read as in training; an array
                has another shape; or the run diverged.

        Example:
            >>> import gradus
            >>> spec = gradus.RunSpec(data="examples/iris.csv", target="species", epochs=8)
            >>> run = gradus.train(spec)
            >>> flower = dict(sepal_length=[5.0], sepal_width=[3.4], petal_length=[1.5],
            ...               petal_width=[0.2])
            >>> run.predict(flower)["prediction"].to_pylist()
            ['setosa']
        """
        from gradus.runs.prediction import predicted

        return predicted(self, table, threshold)

    @in_words_of_the_call()
    def predict_proba(self, table: Any) -> NDArray[np.float64]:
        """The probabilities of the classes for new rows, ``[N, C]``, in the order of the classes.

        Args:
            table: as for ``predict``.

        Raises:
            InputError: as for ``predict``; or the run predicts numbers.
        """
        from gradus.runs.prediction import predicted_shares

        return predicted_shares(self, table)

    @in_words_of_the_call()
    def evaluate(
        self, table: Any, target: Any = None, *, threshold: float | str | None = None
    ) -> dict[str, metrics.Figure]:
        """How good the model is on rows that have the target too, by the name of each figure.

        Of classes: accuracy, balanced accuracy, F1, log loss, AUC and more; of numbers RMSE, MAE,
        R² and the median absolute error, in the unit of the target. Each has its interval, and what
        the best constant prediction of the training rows reaches. Rows without a target are left
        out.

        Args:
            table: as for ``predict``; of arrays a ``.npz`` file with x and y, or x alone; of images
                a folder that holds one for each class.
            target: with x alone, the ``.npy`` file or the array with the targets.
            threshold: as for ``predict``.

        Raises:
            InputError: as for ``predict``; or no row has a target, or a class was not trained on.
        """
        from gradus.runs.prediction import evaluated

        return evaluated(self, table, target, threshold)

    @in_words_of_the_call()
    def export(
        self,
        to: Literal["csv", "json", "onnx", "torch-export"],
        out: str | os.PathLike[str],
    ) -> Written:
        """Write the run for other programs.

        Args:
            to: ``csv``, its history and evaluation, a file each; ``json``, these with the spec and
                the summary in one; ``onnx``, a model that takes rows as they stand in a table;
                ``torch-export``, an ``ExportedProgram`` that takes x, as the model does.
            out: the file, whose name ends as that kind's do: .csv, .json, .onnx, .pt2.

        Returns:
            ``paths`` of what was written, and ``notes`` of what is to be said of it.

        Raises:
            InputError: the kind is none of these, the name has another ending, its folder does not
                exist, or the model is none that can be written so.
            OSError: the file cannot be written.

        Example:
            >>> import gradus, tempfile
            >>> run = gradus.train(gradus.RunSpec(model="linear", epochs=1))
            >>> with tempfile.TemporaryDirectory() as folder:
            ...     [path.name for path in run.export("csv", f"{folder}/digits.csv").paths]
            ['digits-history.csv', 'digits-evaluation.csv']
        """
        from gradus.runs.export import export

        if not isinstance(out, str | os.PathLike):
            raise InputError(f"out {quoted(out, 60)}: give the path of a file")
        return export(self, to, Path(out))

    @in_words_of_the_call()
    def train(
        self,
        *,
        out: str | os.PathLike[str] | None = None,
        overwrite: bool = False,
        data_dir: str | os.PathLike[str] | None = None,
        tell: Callable[[str], None] = lambda message: None,
        **changes: Any,
    ) -> Run:
        """Train the same once more, from the start, with some changes.

        What was chosen automatically for a table stays too, unless the changes lead to another
        choice (a learning rate is that of its method).

        Args:
            out: as for ``gradus.train``.
            overwrite: likewise.
            data_dir: likewise.
            tell: told, in one line, what is chosen anew.
            changes: options of ``RunSpec`` by name.

        Raises:
            InputError: the changes make no run; or the model is code that was not named or trusted
                as the record was opened, or the method is and is not named among the changes.

        Example:
            >>> import gradus
            >>> run = gradus.train(gradus.RunSpec(model="linear", epochs=1))
            >>> run.train(epochs=2, lr=0.1).spec.lr
            0.1
        """
        from gradus.runs.again import again
        from gradus.runs.train import train

        if "model" not in changes:
            self.check_code()
        if "method" not in changes:  # to trust a model is not to trust a method
            was_run = self.trained is not None
            where = self.folder or self.title
            check_named([self.spec.method], where, trust=was_run, option="method")
        rate_found = bool(self.summary.get("learning_rate"))
        automatic = self.summary.get("auto") or ()
        spec, said = again(self.spec, automatic, changes, rate_found=rate_found)
        if said is not None:
            tell(said)
        return train(spec, out=out, overwrite=overwrite, data_dir=data_dir)

    @property
    def curve(self) -> TrainingCurve:
        """The facts of the loss curve against samples."""
        return self.curve_against("samples")

    def curve_against(self, against: Against) -> TrainingCurve:
        """The facts of the loss curve against samples, work or seconds.

        Raises:
            InputError: there is no such axis; or work was not counted yet when this run was
                recorded.
        """
        if against not in get_args(Against):
            raise InputError(
                f"against={quoted(against, 60)}: choose {' | '.join(get_args(Against))}"
            )
        divergence, constant = self.summary["divergence"], self.summary["constant"]
        validated, tested = (
            self._evaluated(name, against) for name in ("validation_loss", "test_loss")
        )
        x = self._placed(self.history, against)
        diverged_at = None
        if divergence is not None:
            diverged_at = float(divergence["samples"])
            if len(x) and against != "samples":
                diverged_at = float(np.interp(diverged_at, self.history["samples"].to_numpy(), x))
        return TrainingCurve(
            title=self.title,
            x=x,
            loss=self.history["loss"].to_numpy(),
            validation_x=validated[0],
            validation_loss=validated[1],
            test_x=tested[0],
            test_loss=tested[1],
            diverged_at=diverged_at,
            constant=None if constant is None else constant.get("train_loss"),
            against=against,
        )

    def _evaluated(self, name: str, against: Against) -> tuple[Numbers, NDArray[np.float64]]:
        """Where a figure was taken, and what it was."""
        values = self.evaluation[name].to_numpy()
        there = ~np.isnan(values)
        return self._placed(self.evaluation, against)[there], values[there]

    def _placed(self, rows: pa.Table, against: Against) -> Numbers:
        """Where rows stand on the x axis."""

        def pace() -> float:
            return float(
                self.summary["timings"]["train_seconds"] / max(1, self.summary["work"] or 0)
            )

        return place(rows, against, pace, f"{self.folder or 'this run'} was")

    def plot(self, against: Against = "samples") -> Figure:
        """The loss curve as a matplotlib figure, against samples, work or seconds."""
        return draw(self.curve_against(against))

    def save(self, folder: str | os.PathLike[str], *, drawn: bool = True) -> Path:
        """Write the record: run.json last, so that a folder with run.json holds a whole record.

        Args:
            folder: of the record.
            drawn: whether the loss curve is drawn in it.

        Raises:
            InputError: the run was opened from a record that is damaged, or its model is code that
                was not named or trusted.
            OSError: the folder cannot be written.
        """
        from gradus.runs.saving import save

        return save(self, Path(folder), drawn=drawn)


@known_keywords()
def open_run(folder: str | os.PathLike[str], *, model: Any = None, trust: bool = False) -> Run:
    """The run whose record stands in a folder.

    Nothing that a record names is imported, unless it is named here too or trusted: ``run.model``
    of one whose model is ``package.module:factory`` is refused else. An object is held by no
    record: ``run.model`` needs one to be given that the parameters of the record belong to.

    Args:
        folder: of the record.
        model: ``package.module:factory``, if it is that of the record and may be imported; or,
            where that was an object, or the run a loop of one's own, such a module (a copy of it
            takes the parameters), or what makes one.
        trust: whether it may be imported whatever it is.

    Raises:
        InputError: the folder holds no record, or one that cannot be read; or the model is given
            as an object, and was none.
    """
    from gradus.runs.recorded import is_recorded, open_recorded

    check_path("open_run", folder, required=True)
    folder = Path(folder)
    if is_recorded(folder):
        return open_recorded(folder, model)
    try:
        content = read_summary(folder / "run.json")
        recorded = earlier.spec_of(content.pop("spec"))
        spec = RunSpec.read(recorded, where=f"{folder / 'run.json'}: ")
        history, evaluation = (
            read_rows(folder / f"{name}.parquet", read, complete, schema)
            for name, read, complete, schema in (
                ("history", HISTORY_READ, earlier.history_of, HISTORY),
                ("evaluation", EVALUATION_READ, earlier.evaluation_of, EVALUATION),
            )
        )
    except NotADirectoryError:
        raise InputError(
            f"{folder}: is a file, not the folder of a run (which comes first where both are given)"
        ) from None
    except FileNotFoundError as error:
        raise InputError(
            f"{folder} holds no record of a run: {error.filename} is missing"
        ) from None
    content = earlier.summary_of(content)
    trusted, maker = trust or spec.model == model, None
    if model is not None and not isinstance(model, str):
        from gradus.runs.objects.models import maker_of

        if not is_object(spec.model):
            raise InputError(
                f"{folder}: its model is {quoted(spec.model)}, which is made from its name; leave "
                "out model"
            )
        maker = maker_of(model)
    return Run(spec, content, history, evaluation, folder, trusted=trusted, maker=maker)
