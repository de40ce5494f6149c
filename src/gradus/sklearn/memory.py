"""What the method of an estimator remembers from one ``partial_fit`` to the next."""

from __future__ import annotations

import pickle
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from gradus.engine.snapshot import Snapshot
    from gradus.runs.spec import RunSpec

MAY_CHANGE = ("lr",)
"""Options of a method that what it remembers does not depend on."""


@dataclass
class Memory:
    """Where a training stands that is to go on, and whose it is.

    An estimator that is unpickled predicts without PyTorch; so this stays packed until a training
    goes on.

    Attributes:
        method: the method and its options, of which alone it is a memory.
        kept: a :class:`~gradus.engine.snapshot.Snapshot`, or one that is pickled.
    """

    method: dict[str, Any]
    kept: Snapshot | bytes

    @classmethod
    def after(cls, spec: RunSpec, snapshot: Snapshot) -> Self:
        """That of a training that has ended here."""
        return cls(_method_of(spec), snapshot)

    def of(self, spec: RunSpec) -> Snapshot | None:
        """Where it stands, for another training; None where that is by another method."""
        if self.method != _method_of(spec):
            return None
        if isinstance(self.kept, bytes):
            found: Snapshot = pickle.loads(self.kept)
            self.kept = found
        return self.kept

    def __getstate__(self) -> dict[str, Any]:
        """It, packed."""
        packed = self.kept if isinstance(self.kept, bytes) else pickle.dumps(self.kept)
        return {"method": self.method, "kept": packed}


def _method_of(spec: RunSpec) -> dict[str, Any]:
    from gradus.runs.parts import MethodPart

    options = spec.model_dump(include=set(MethodPart.model_fields), exclude=set(MAY_CHANGE))
    return options | {"proximal": spec.proximal}
