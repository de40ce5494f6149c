"""Where prepared rows are kept between runs, and by what they are found again."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Cache:
    """Where the prepared rows of tables that are streamed lie.

    Attributes:
        folder: None for the user's cache.
        stays: whether they stay there when the run is over; else they lie there unseen, in a file
            without a name.
    """

    folder: Path | None = None
    stays: bool = True

    @property
    def place(self) -> Path:
        """The folder."""
        if self.folder is not None:
            return self.folder
        from platformdirs import user_cache_path

        return user_cache_path("gradus") / "rows"


USUAL_CACHE = Cache()
