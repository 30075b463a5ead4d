"""From what a person said to a search that can start, and how long it will take."""

from dcdnas.planning.estimate import Estimate, estimated
from dcdnas.planning.latency import Told, take_network, take_table
from dcdnas.planning.plan import RECIPE, Plan, execution, make_plan

__all__ = ["RECIPE", "Estimate", "Plan", "Told", "estimated", "execution", "make_plan", "take_network", "take_table"]
