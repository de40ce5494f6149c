from .optimizers import SGD as SGD
from .optimizers import Adagrad as Adagrad
from .optimizers import Adam as Adam
from .optimizers import AdamW as AdamW
from .optimizers import Nesterov as Nesterov
from .optimizers import Polyak as Polyak
from .optimizers import RMSprop as RMSprop
