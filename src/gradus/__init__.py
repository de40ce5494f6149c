"""Minimise empirical risks by taking steps, and see what the steps do."""

import lazy_loader

from gradus._version import __version__ as __version__

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
