"""Turns the user's settings into a search that can start, and estimates how long it will take."""

from dcdnas.engine.planning.estimate import Estimate, estimated
from dcdnas.engine.planning.machine import as_before, chosen_execution, in_this_process, machine_in_words
from dcdnas.engine.planning.plan import Plan, make_plan
from dcdnas.engine.planning.task import RECIPE

__all__ = [
    "RECIPE", "Estimate", "Plan", "as_before", "chosen_execution", "estimated", "in_this_process", "machine_in_words",
    "make_plan",
]  # fmt: skip
