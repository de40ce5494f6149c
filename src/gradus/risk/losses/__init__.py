"""How far is an output from its target: the losses of torch.nn, written from their definitions.

Constructor arguments, shapes and results are those of the torch.nn classes of the same name, which
has no PinballLoss, HingeLoss and ModifiedHuberLoss. Where torch.nn guesses, broadcasts or returns
NaN, these refuse or define, on purpose:

- shapes that would only broadcast against each other are refused;
- a class index that is neither in [0, C) nor ``ignore_index`` is refused, by value and position;
- where every target is ignored, or the weights in use sum to zero, the mean is 0 with zero
  gradient;
- integer outputs, and weights of the wrong length, are refused;
- of float16 and bfloat16, terms are added up in float32.
"""

from gradus.risk.losses.classification import CrossEntropyLoss, NLLLoss
from gradus.risk.losses.elementwise import KLDivLoss, L1Loss, MSELoss
from gradus.risk.losses.loss import Loss, Terms, mean
from gradus.risk.losses.margin import HingeLoss, ModifiedHuberLoss
from gradus.risk.losses.own import OwnLoss
from gradus.risk.losses.robust import HuberLoss, PinballLoss
from gradus.risk.losses.weighted import Weighted, weighted

__all__ = [
    "CrossEntropyLoss",
    "HingeLoss",
    "HuberLoss",
    "KLDivLoss",
    "L1Loss",
    "Loss",
    "MSELoss",
    "ModifiedHuberLoss",
    "NLLLoss",
    "OwnLoss",
    "PinballLoss",
    "Terms",
    "Weighted",
    "mean",
    "weighted",
]
