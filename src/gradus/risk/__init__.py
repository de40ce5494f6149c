"""What is minimised: losses, penalties and the empirical risk they make."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__, submodules=["empirical", "function", "losses", "penalties", "tensors"]
)
