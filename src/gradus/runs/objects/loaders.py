"""Loaders of PyTorch as data that are handed over: their order is theirs."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from gradus.data.arrays import ReadAs
from gradus.data.dataset import SAMPLE, Dataset, Split
from gradus.data.loader import LoaderOrder, as_it_was, as_target, pairs_of
from gradus.data.targets import Targets
from gradus.errors import InputError
from gradus.models.own import is_object
from gradus.runs.objects.batches import Batches
from gradus.runs.objects.handed import OF_PARTS, OF_TABLES, STANDARDIZED, Data, refuse
from gradus.runs.objects.identity import Identity, identity_of, plain
from gradus.runs.objects.targets import own_targets

if TYPE_CHECKING:
    from gradus.data.preparation import AnyPreparation
    from gradus.runs.spec import RunSpec

Pair = tuple[Tensor, Tensor]


def of_loader(
    loader: DataLoader[Any],
    validation: Any,
    test: Any,
    read_pair: Callable[[Any, str], Pair],
    batches: Batches | None = None,
) -> Data:
    """A loader, and parts that are given apart.

    The examples that it gives first, up to 10,000, stand for all where a loss over the training
    part is taken.

    Args:
        loader: of the examples that train.
        validation: loader or pair of those to choose on, or None.
        test: of those to test on.
        read_pair: reads what is no loader as x and y, given its name too.
        batches: what it was made of, where that was an iterable.

    Raises:
        InputError: it has no length, or nothing is there to test on.
    """
    steps, what = _length(loader), "a DataLoader" if batches is None else "an iterable"
    if test is None:
        raise InputError(
            f"test: {what} is not cut into parts; give the examples to test on, as test=.., "
            "and those to choose on, as validation=.."
        )

    def load(spec: RunSpec, read: ReadAs | None, preparation: AnyPreparation | None) -> Split:
        refuse(spec, (*OF_TABLES, *OF_PARTS, "missing", *STANDARDIZED), what)
        first, sizes = _read(loader, "data", SAMPLE)
        parts = {"data": first}
        n = _examples(loader, sizes, steps)
        for name, given in (("validation", validation), ("test", test)):
            if isinstance(given, DataLoader):
                _length(given, name)
                parts[name], _ = _read(given, name)
            elif callable(given) or isinstance(given, Iterator):
                parts[name], _ = _read(Batches(given, None, name).loader(), name)
            elif given is not None:
                parts[name] = read_pair(given, name)
        shape = parts["data"][0].shape[1:]
        for name, (x, _) in parts.items():
            if x.shape[1:] != shape:
                raise InputError(
                    f"{name}: x of an example has shape {list(x.shape[1:])}, and {list(shape)} in "
                    "the loader that trains"
                )
        targets = _targets(parts, spec, read)
        classes = None if targets is None else targets.classes

        def dataset(name: str) -> Dataset:
            x, y = parts[name]
            x = x if x.is_floating_point() or x.dtype == torch.uint8 else x.long()
            y = as_target(y, numbers=classes is None, dtype=torch.float32)
            return Dataset(x, y, classes)

        return Split(
            dataset("data"),
            dataset("test"),
            what,
            "regression" if classes is None else "classification",
            validation=dataset("validation") if "validation" in parts else None,
            order=LoaderOrder(
                "sequential",
                n,
                loader.batch_size or sizes[0],
                loader=loader,
                numbers=classes is None,
                dtype=getattr(torch, spec.dtype),
            ),
        )

    return Data(load, loader_identity(loader) if batches is None else batches.identity)


def loader_identity(loader: DataLoader[Any]) -> Identity:
    """What identifies a loader: its options, and the classes of what it is made of."""
    options = {
        "batch_size": loader.batch_size,
        "drop_last": loader.drop_last,
        "num_workers": loader.num_workers,
        "sampler": plain(type(loader.sampler)),
        "collate_fn": plain(loader.collate_fn),
        "dataset": identity_of(loader.dataset).name,
        "batches": _length(loader),
    }
    return replace(identity_of(type(loader)), options=options)


def _targets(parts: dict[str, Pair], spec: RunSpec, read: ReadAs | None) -> Targets | None:
    """What the targets of all parts are; None where they are numbers as they stand."""
    x = parts["data"][0].numpy()
    y = torch.cat([y for _, y in parts.values()]).numpy()
    found = None if read is None else read.targets(x, y)
    if found is None:
        name = None if is_object(spec.loss) else spec.loss
        found = own_targets(y, name, own_loss=False, outputs=None)
    return found


def _read(loader: DataLoader[Any], name: str, most: float = math.inf) -> tuple[Pair, Sequence[int]]:
    """The first examples of a loader, which stands afterwards where it stood.

    With the sizes of the batches that were read.
    """
    found: list[Pair] = []
    with as_it_was(loader):
        held = 0
        for x, y in pairs_of(loader, name):
            for key, first, now in zip("xy", found[0] if found else (x, y), (x, y), strict=True):
                if now.shape[1:] != first.shape[1:]:
                    raise InputError(
                        f"{name}: a batch has {key} of shape {list(now.shape)}, and the first one "
                        f"of {list(first.shape)}; let all examples have one shape"
                    )
            found.append((x.cpu(), y.cpu()))
            held += len(x)
            if held >= most:
                break
    if not found:
        raise InputError(f"{name}: the loader yields no batch")
    sizes = [len(y) for _, y in found]
    x, y = (torch.cat(each) for each in zip(*found, strict=True))
    for key, values in (("x", x), ("y", y)):
        if values.is_floating_point() and not bool(values.isfinite().all()):
            raise InputError(
                f"{name}: {key} holds what is no finite number; fill it in, or leave it out"
            )
    end = int(min(most, len(x)))
    return (x[:end], y[:end]), sizes


def _length(loader: DataLoader[Any], name: str = "data") -> int:
    try:
        steps = len(loader)
    except TypeError:
        raise InputError(
            f"{name}: the loader has no length; give its dataset a __len__, so that an epoch ends"
        ) from None
    if steps == 0:
        raise InputError(f"{name}: the loader yields no batch")
    return steps


def _examples(loader: DataLoader[Any], sizes: Sequence[int], steps: int) -> int:
    """How many examples an epoch has, as far as the loader or its first batches say it."""
    if loader.batch_size is None:
        return sum(sizes) if len(sizes) == steps else steps * sizes[0]
    try:
        n = len(loader.sampler)  # type: ignore[arg-type]
    except TypeError:
        n = steps * loader.batch_size
    return min(n, steps * loader.batch_size)
