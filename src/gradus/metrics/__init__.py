"""How good a model is, how far that may be off, and what knowing nothing reaches."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
