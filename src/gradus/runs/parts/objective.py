"""What a run minimises: the loss, and the penalty beside it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, get_args

from pydantic import Field

from gradus.models.own import shown
from gradus.runs.parts.class_weight import ClassWeight
from gradus.runs.parts.part import OrObject, Part, Table

if TYPE_CHECKING:
    from torch import Tensor

    from gradus.risk.losses import Loss
    from gradus.risk.penalties import Penalty

LossName = Literal["cross-entropy", "nll", "mse", "l1", "huber", "pinball", "kl-div"]
PenaltyName = Literal["l1", "l2", "squared-l2", "elastic-net"]
PENALTIES: tuple[str, ...] = get_args(PenaltyName)

LOSS_CLASSES = {
    "cross-entropy": "CrossEntropyLoss",
    "nll": "NLLLoss",
    "mse": "MSELoss",
    "l1": "L1Loss",
    "huber": "HuberLoss",
    "pinball": "PinballLoss",
    "kl-div": "KLDivLoss",
}
LOG_PROBABILITIES = (".NLLLoss", ".KLDivLoss")
"""How the names of classes of losses end that take log-probabilities."""

BY_TARGET = "by the target"
"""The loss where none is given: it follows from the data, and so may take what one of them does."""

OF_CLASSES: Mapping[str, Any] = {"label_smoothing": 0.0, "class_weight": ()}

PENALTY_CLASSES = {"l1": "L1", "l2": "L2", "squared-l2": "SquaredL2", "elastic-net": "ElasticNet"}


class ObjectivePart(Part):
    """The loss and the penalty."""

    heading: ClassVar[str] = "Loss and penalty"
    tables: ClassVar[Mapping[str, Table]] = {
        "loss": {
            BY_TARGET: OF_CLASSES,
            "cross-entropy": OF_CLASSES,
            "nll": {"class_weight": ()},
            "mse": {},
            "l1": {},
            "huber": {"delta": 1.0},
            "pinball": {"quantile": 0.5},
            "kl-div": {},
        },
        "penalty": {
            "none": {},
            "l1": {"strength": None, "proximal": False},
            "l2": {"strength": None, "proximal": False},
            "squared-l2": {"strength": None, "proximal": False},
            "elastic-net": {"strength": None, "l1_ratio": 0.5, "proximal": False},
        },
    }
    default_choices: ClassVar[Mapping[str, str]] = {"loss": BY_TARGET, "penalty": "none"}

    loss: Annotated[LossName | None, OrObject] = Field(
        default=None, description="default: by the target, cross-entropy or mse"
    )
    label_smoothing: float | None = Field(
        default=None,
        ge=0,
        lt=1,
        description="share of the target that cross-entropy spreads evenly over all classes",
    )
    class_weight: ClassWeight | None = Field(
        default=None,
        description="what each class counts in cross-entropy and nll: yes=2,no=1, those not named "
        "1; balanced: each class as much as any other",
    )
    delta: float | None = Field(
        default=None,
        gt=0,
        description="δ of huber: the error from which on it grows like l1, in deviations of a "
        "target that is standardised, else in its unit",
    )
    quantile: float | None = Field(
        default=None,
        gt=0,
        lt=1,
        description="τ of pinball: the share of the targets that stays below what is predicted",
    )
    penalty: PenaltyName | None = Field(default=None, description="regulariser Ω")
    strength: float | None = Field(default=None, ge=0, description="λ, the weight of the penalty")
    l1_ratio: float | None = Field(
        default=None, ge=0, le=1, description="share of L1 in elastic-net"
    )
    proximal: bool | None = Field(
        default=None, description="take the penalty by its proximal step: exact zeros with l1"
    )

    def build_loss(self, weight: Tensor | None = None) -> Loss:
        """The loss, once it is known; KL as a mean over examples, as every other.

        Args:
            weight: what each class counts, ``[C]``; it follows from ``class_weight`` and the data.
        """
        from gradus.risk import losses

        if self.loss is None:
            raise ValueError("the loss follows from the data: give one, or train")
        taken = ObjectivePart.tables["loss"][self.loss]
        options = {name: getattr(self, name) for name in taken if name != "class_weight"}
        options["reduction"] = "batchmean" if self.loss == "kl-div" else "mean"
        if weight is not None:
            options["weight"] = weight
        loss: Loss = getattr(losses, LOSS_CLASSES[self.loss])(**options)
        return loss

    def build_penalty(self) -> Penalty | None:
        """The penalty, or None."""
        from gradus.risk import penalties

        if self.penalty is None:
            return None
        kind = getattr(penalties, PENALTY_CLASSES[self.penalty])
        given = {"strength": self.strength, "l1_ratio": self.l1_ratio}
        penalty: Penalty = kind(**{name: v for name, v in given.items() if v is not None})
        return penalty

    @property
    def takes_log_probabilities(self) -> bool:
        """Whether the loss takes log-probabilities: the shipped models then end in log-softmax."""
        return self.loss in ("nll", "kl-div") or shown(self.loss or "").endswith(LOG_PROBABILITIES)
