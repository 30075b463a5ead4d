"""From what a person said to a search that can start, and how long it will take."""

from dcdnas.planning.estimate import Estimate, estimated
from dcdnas.planning.plan import RECIPE, Plan, execution, make_plan

__all__ = ["RECIPE", "Estimate", "Plan", "estimated", "execution", "make_plan"]
