"""Other engines, installed by the user and run in a process of their own, measured in turn with ours."""

from moonlet.evals.speed.rivals.process import RivalProcess
from moonlet.evals.speed.rivals.table import RIVALS, Rival

__all__ = ["RIVALS", "Rival", "RivalProcess"]
