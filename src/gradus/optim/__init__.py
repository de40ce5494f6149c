"""The methods as torch.optim.Optimizer classes."""

from typing import Any

import lazy_loader

_own, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)


def __getattr__(name: str) -> Any:
    """What is here; ``Optimizer``, ``lr_scheduler`` and ``swa_utils`` are torch's own."""
    if name in __all__ or name in ("kernels", "optimizers", "program", "stepping", "together"):
        return _own(name)
    import torch.optim

    if name in ("Optimizer", "lr_scheduler", "swa_utils"):
        return getattr(torch.optim, name)
    hint = f": take torch.optim.{name}" if hasattr(torch.optim, name) else ""
    raise AttributeError(f"gradus.optim has no {name}{hint}; it has {', '.join(__all__)}")
