"""What image files have to become so that a model takes them."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, PositiveInt

Mode = Literal["grey", "rgb"]

CHANNELS: dict[Mode, int] = {"grey": 1, "rgb": 3}


class ImageForm(BaseModel):
    """What image files become: bytes, ``[channels, height, width]``.

    Attributes:
        mode: ``grey``, of one channel, or ``rgb``, of three.
        height: in pixels.
        width: likewise.
        resize: how those of another size are brought to it; None: they are refused.

    Example:
        >>> ImageForm(mode="rgb", height=32, width=48, resize="bilinear").shape
        (3, 32, 48)
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    mode: Mode
    height: PositiveInt
    width: PositiveInt
    resize: Literal["bilinear"] | None = None

    @property
    def shape(self) -> tuple[int, int, int]:
        """Of the bytes."""
        return CHANNELS[self.mode], self.height, self.width

    @property
    def told(self) -> str:
        """In a few words."""
        mode = "RGB" if self.mode == "rgb" else self.mode
        return f"{mode}, {self.height}×{self.width} (height×width)"
