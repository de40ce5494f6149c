"""What a run begins with that goes on from the parameters of another."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from gradus.errors import InputError, brief, quoted
from gradus.models.own import OBJECT
from gradus.runs.choices import flag
from gradus.runs.files import read_json, read_whole, write_whole

if TYPE_CHECKING:
    from gradus.data.preparation import AnyPreparation
    from gradus.runs.record import Run
    from gradus.runs.spec import RunSpec

PARAMETERS, FACTS = "start.safetensors", "start.json"
"""Beside the checkpoints of such a run: what it begins with, should it be broken off."""

OF_THE_PREPARATION = (
    "target",
    "categorical",
    "drop",
    "decimal",
    "missing_values",
    "missing",
    "standardize",
    "scaling",
    "pieces",
    "standardize_target",
    "image_size",
)
OF_THE_PARTS = ("validation_fraction", "test_fraction", "split", "split_seed", "group")
"""Options that say which rows train: on the same data they stay."""

OF_THE_MODEL = ("model", "models", "hidden", "dropout")
"""Options that are those of the run that is gone on from."""


@dataclass(frozen=True, eq=False)
class Start:
    """Parameters to begin with, and how rows become what they were trained on.

    Attributes:
        parameters: parameters and running statistics by name, of each net.
        preparation: of its data; None where it was not kept.
        freeze: which of them stay as they are: layers, or names of parameters.
        origin: the runs that they come from, as the record will say.
    """

    parameters: Sequence[Mapping[str, Tensor]]
    preparation: AnyPreparation | None
    freeze: tuple[str, ...] = ()
    origin: tuple[Mapping[str, Any], ...] = ()

    def put_into(self, model: nn.Module, net: int) -> None:
        """Give a new model the parameters of a net.

        Raises:
            InputError: it is another model, or there is nothing of the name to be frozen, or
                nothing else.
        """
        given, own = self.parameters[net], model.state_dict()
        for name in sorted(given.keys() ^ own.keys()):
            which = "lacks" if name in own else "has"
            raise InputError(
                f"--from: the run {which} {quoted(name)}, and the new model is another"
            )
        for name, value in own.items():
            if value.shape != given[name].shape:
                raise InputError(
                    f"--from: {quoted(name)} is {_shape(given[name])} in the run, and "
                    f"{_shape(value)} in the new model, which takes or gives something else"
                )
        model.load_state_dict(given)
        parameters = dict(model.named_parameters())
        for layer in self.freeze:
            kept = [name for name in parameters if f"{name}.".startswith(f"{layer}.")]
            if not kept:
                raise InputError(
                    f"--freeze {quoted(layer)}: no parameter is called so or stands in a layer of "
                    f"that name; there are {brief(', '.join(parameters), 120)}"
                )
            for name in kept:
                parameters[name].requires_grad_(False)
        if not any(parameter.requires_grad for parameter in parameters.values()):
            raise InputError(f"--freeze {','.join(self.freeze)}: leaves no parameter to train")

    def write(self, folder: Path) -> None:
        """Keep it beside the checkpoints of a run.

        Raises:
            OSError: it cannot be written.
        """
        import safetensors.torch

        tensors, facts = parts_of_start(self)
        content = safetensors.torch.save(tensors)
        facts["sha256"] = hashlib.sha256(content).hexdigest()
        write_whole(folder / PARAMETERS, content)
        write_whole(folder / FACTS, json.dumps(facts).encode())


def parts_of_start(start: Start) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """What a run begins with as tensors by name and facts that JSON knows."""
    tensors = {
        f"{net}.{name}": value.detach().cpu().clone(memory_format=torch.contiguous_format)
        for net, given in enumerate(start.parameters)
        for name, value in given.items()
    }
    return tensors, {
        "nets": len(start.parameters),
        "preparation": None if start.preparation is None else start.preparation.record(),
        "freeze": list(start.freeze),
    }


def start_of_parts(
    tensors: Mapping[str, Tensor], facts: Mapping[str, Any], where: str = ""
) -> Start:
    """What was taken into these parts.

    Raises:
        ValueError: they are none.
        KeyError: one is missing.
    """
    from gradus.data.preparation import read_preparation

    if not 0 < int(facts["nets"]) <= len(tensors):
        raise ValueError(f"{len(tensors)} tensors of {quoted(facts['nets'])} nets")
    parameters: list[dict[str, Tensor]] = [{} for _ in range(int(facts["nets"]))]
    for name, value in tensors.items():
        net, _, rest = name.partition(".")
        parameters[int(net)][rest] = value
    record, freeze = facts["preparation"], tuple(map(str, facts["freeze"]))
    preparation = None if record is None else read_preparation(record, where)
    return Start(parameters, preparation, freeze)


def read_start(folder: Path) -> Start | None:
    """What is kept of it; None where the run began by itself.

    Raises:
        InputError: it is damaged.
    """
    import safetensors.torch
    from safetensors import SafetensorError

    path = folder / FACTS
    if not path.exists():
        return None
    try:
        facts, content = dict(read_json(path)), read_whole(folder / PARAMETERS)
        if hashlib.sha256(content).hexdigest() != facts["sha256"]:
            raise ValueError(f"{PARAMETERS} is not what was written")
        return start_of_parts(safetensors.torch.load(content), facts, str(path))
    except (OSError, ValueError, KeyError, TypeError, IndexError, SafetensorError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path}: is damaged ({quoted(error)}); train the run again") from None


def start_of(run: Run, spec: RunSpec, freeze: Sequence[str] = ()) -> tuple[RunSpec, Start]:
    """What a run of this spec begins with, and the spec with all that follows from that.

    Options that were not given are those of the run, as far as they say how columns are prepared
    and what the model is.

    Raises:
        InputError: an option says otherwise than the run; or its model cannot be had, see
            ``Run.model``, or is not finite.
    """
    where = str(run.folder or run.spec.title)
    prepared = run.is_prepared
    preparation = run.preparation if prepared else None
    fixed: tuple[str, ...] = OF_THE_MODEL
    if prepared:
        fixed = (*OF_THE_PREPARATION, *OF_THE_MODEL)
    same_data = Path(spec.data).resolve() == Path(run.spec.data).resolve()
    if preparation is not None and preparation.kind != "table" and not same_data:
        # The targets of arrays are a file, which other arrays have of their own. Rows are drawn by
        # their classes: with others, some would test that trained there.
        fixed = tuple(name for name in fixed if name != "target")
    follows = [name for name in fixed if name in spec.auto]
    spec = spec.model_copy(
        update={
            **{name: getattr(run.spec, name) for name in follows},
            "auto": tuple(name for name in spec.auto if name not in follows),
        }
    )
    for name in fixed:
        if _without_numbers(getattr(spec, name)) != _without_numbers(getattr(run.spec, name)):
            raise InputError(
                f"--from {where}: {flag(name)} is what it is there, and cannot be another; leave "
                "it out"
            )
    if same_data:
        for name in OF_THE_PARTS:
            if getattr(spec, name) != getattr(run.spec, name):
                raise InputError(
                    f"--from {where}: {flag(name)} would let rows test that trained there; leave "
                    "it out, or give other data"
                )
    if not prepared and spec.standardize and spec.data != run.spec.data:
        raise InputError(
            f"--from {where}: the means and deviations of {quoted(run.spec.data)} were not kept, "
            f"to standardise {quoted(spec.data)} by"
        )
    nets = _nets(run)
    if len(nets) != spec.models:
        raise InputError(f"--from {where}: holds {len(nets)} nets of {spec.models}: train it again")
    if not all(bool(value.isfinite().all()) for net in nets for value in net.values()):
        raise InputError(f"--from {where}: its parameters are not finite: it {run.status}")
    origin = {
        "how": "from",
        "run": run.spec.title if run.folder is None else run.folder.resolve().name,
        "parameters": _digest(run, nets),
        "freeze": list(freeze),
    }
    return spec, Start(nets, preparation, tuple(freeze), (*run.summary["origin"], origin))


def _nets(run: Run) -> list[dict[str, Tensor]]:
    """The parameters of each net of a run, copied."""
    from gradus.models.average import Average

    model = run.model
    nets = list(model.nets) if isinstance(model, Average) else [model]
    return [{name: value.clone() for name, value in net.state_dict().items()} for net in nets]


def _digest(run: Run, nets: Sequence[Mapping[str, Tensor]]) -> str:
    """The SHA-256 of the parameters: of their file, where there is one."""
    if run.folder is not None:
        return hashlib.sha256(read_whole(run.folder / "model.safetensors")).hexdigest()
    digest = hashlib.sha256()
    for net in nets:
        for name, value in net.items():
            digest.update(name.encode())
            digest.update(value.cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def _without_numbers(value: object) -> object:
    """An option; of an object its name alone: what it holds is replaced by what the run learned."""
    if isinstance(value, str) and value.startswith(OBJECT):
        return value.partition("#")[0]
    return value


def _shape(value: Tensor) -> str:
    return "×".join(map(str, value.shape)) or "one number"
