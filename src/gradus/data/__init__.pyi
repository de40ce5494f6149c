from .dataset import Dataset as Dataset
from .dataset import Split as Split
from .dataset import Task as Task
from .loading import load as load
from .sampling import SAMPLINGS as SAMPLINGS
from .sampling import Sampling as Sampling
from .sampling import SamplingName as SamplingName
