from .adaptive import Adam as Adam
from .adaptive import AdamW as AdamW
from .momentum import SGD as SGD
from .momentum import Nesterov as Nesterov
from .momentum import Polyak as Polyak
from .scaled import Adagrad as Adagrad
from .scaled import RMSprop as RMSprop
