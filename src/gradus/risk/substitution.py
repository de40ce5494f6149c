"""How a module is evaluated at other parameters than its own, and left as it was."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn


@contextmanager
def substituted(
    module: nn.Module, values: Mapping[str, Tensor], *, copy_buffers: bool
) -> Iterator[None]:
    """Within this the parameters of a module have other values, and its buffers may be copies.

    A parameter is replaced wherever it stands: under all names of a tied weight, and in a
    submodule that is reached by several. On leaving, by an error too, every parameter is again the
    object that it was. With ``copy_buffers`` so is every buffer, with its values, and every
    attribute of a submodule that was a tensor or a list of tensors, and the given values are not
    overwritten; without, what the evaluation makes of these stays, as in training.

    Args:
        module: the module.
        values: under the names of ``module.named_parameters()``; the others stay.
        copy_buffers: evaluate with copies of the buffers. Buffers that share memory share that of
            their copies.

    Example:
        >>> import torch
        >>> from gradus.risk.substitution import substituted
        >>> model = torch.nn.Linear(1, 1, bias=False)
        >>> before = model.weight
        >>> with substituted(model, {"weight": torch.tensor([[2.0]])}, copy_buffers=True):
        ...     model(torch.tensor([3.0]))
        tensor([6.])
        >>> model.weight is before
        True
    """
    own = dict(module.named_parameters())
    substitutes = {id(own[name]): value for name, value in values.items()}
    members = list(module.modules())
    # The dictionaries are written, not the attributes: nn.Module refuses to assign a tensor to the
    # name of a parameter.
    tables: list[dict[str, Any]] = [member._parameters for member in members]
    if copy_buffers:
        tables += [member._buffers for member in members]
        buffers = {id(b): b for b in module.buffers() if id(b) not in substitutes}
        substitutes |= _copies(buffers)
        for member in members:
            if isinstance(member, nn.Embedding | nn.EmbeddingBag) and member.max_norm is not None:
                weight = member.weight  # which the forward pass shortens where it lies
                substitutes[id(weight)] = substitutes.get(id(weight), weight).clone()
        attributes = [_tensors_in(member) | _flat_weights(member) for member in members]
    else:
        attributes = [_flat_weights(member) for member in members]
    before = [dict(table.items()) for table in tables]
    try:
        for table in tables:
            for name, tensor in table.items():
                if id(tensor) in substitutes:
                    table[name] = substitutes[id(tensor)]
        yield
    finally:
        for table, entries in zip(tables, before, strict=True):
            if copy_buffers and isinstance(table, dict):
                table.clear()  # of what the evaluation has registered, too
            for name, tensor in entries.items():
                table[name] = tensor
        for member, kept in zip(members, attributes, strict=True):
            vars(member).update(kept)


def _copies(buffers: Mapping[int, Tensor]) -> dict[int, Tensor]:
    """Copies of the buffers; those that are views of one memory are so again."""
    memories = {at: _memory(buffer) for at, buffer in buffers.items()}
    shared = {memory for memory, count in Counter(memories.values()).items() if count > 1}
    storages: dict[int, torch.UntypedStorage] = {}
    copies = {}
    for at, buffer in buffers.items():
        memory = memories[at]
        if memory is None or memory not in shared:
            copies[at] = buffer.clone()
            continue
        if memory not in storages:
            storages[memory] = buffer.untyped_storage().clone()
        view = buffer.detach().new_empty(0)
        copies[at] = view.set_(
            storages[memory], buffer.storage_offset(), buffer.shape, buffer.stride()
        )
    return copies


def _memory(tensor: Tensor) -> int | None:
    """Where the memory of a plain tensor begins; None of one that has no such memory."""
    plain = type(tensor) is Tensor and tensor.layout == torch.strided
    if not plain or tensor.is_nested or tensor.is_quantized:
        return None
    return tensor.untyped_storage().data_ptr() or None


def _tensors_in(module: nn.Module) -> dict[str, Any]:
    """The plain attributes of a module that are tensors, or lists of them."""
    return {
        name: value
        for name, value in vars(module).items()
        if isinstance(value, Tensor)
        or (isinstance(value, list) and value and isinstance(value[0], Tensor))
    }


def _flat_weights(module: nn.Module) -> dict[str, Any]:
    """The list of its own parameters that a recurrent layer of torch keeps, and how it is checked.

    The two go together: the layer makes the list anew where the references are to other tensors
    than its parameters.
    """
    if not isinstance(module, nn.RNNBase):
        return {}
    return {
        "_flat_weights": module._flat_weights,
        "_flat_weight_refs": module._flat_weight_refs,
    }
