from .conformance import CHECKS as CHECKS
from .conformance import Case as Case
from .conformance import Check as Check
from .conformance import cases as cases
from .conformance import check_method as check_method
from .problems import PROBLEMS as PROBLEMS
from .problems import Problem as Problem
from .problems import problem as problem
