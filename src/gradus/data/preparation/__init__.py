"""What is fitted to the training examples and applied to all: how they become x."""

from gradus.data.preparation.arrays import Arrays as Arrays
from gradus.data.preparation.arrays import fit_arrays as fit_arrays
from gradus.data.preparation.fit import Fill as Fill
from gradus.data.preparation.fit import Scaling as Scaling
from gradus.data.preparation.fit import fit as fit
from gradus.data.preparation.fit import pieces_for as pieces_for
from gradus.data.preparation.goal import Classes as Classes
from gradus.data.preparation.goal import Quantities as Quantities
from gradus.data.preparation.goal import Quantity as Quantity
from gradus.data.preparation.preparation import Preparation as Preparation
from gradus.data.preparation.reading import AnyPreparation as AnyPreparation
from gradus.data.preparation.reading import read_preparation as read_preparation
from gradus.data.preparation.sparse import Sparse as Sparse
from gradus.data.preparation.sparse import fit_sparse as fit_sparse
