"""From what a person said to a search that can start, and how long it will take."""

from dcdnas.engine.planning.estimate import Estimate, estimated
from dcdnas.engine.planning.latency import Told, take_network, take_table
from dcdnas.engine.planning.plan import RECIPE, Plan, execution, make_plan

__all__ = ["RECIPE", "Estimate", "Plan", "Told", "estimated", "execution", "make_plan", "take_network", "take_table"]
