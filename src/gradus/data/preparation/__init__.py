"""What is fitted to the training rows of a table and applied to all: how rows become x."""

from gradus.data.preparation.fit import Fill as Fill
from gradus.data.preparation.fit import Scaling as Scaling
from gradus.data.preparation.fit import fit as fit
from gradus.data.preparation.fit import pieces_for as pieces_for
from gradus.data.preparation.goal import Classes as Classes
from gradus.data.preparation.goal import Quantities as Quantities
from gradus.data.preparation.goal import Quantity as Quantity
from gradus.data.preparation.preparation import Preparation as Preparation
