"""Checks for the authors of operators, networks, cost metrics, samplers, data sources and tasks: what those of the package keep.

Each raises `dcdnas.errors.ContractError`, an AssertionError, that names the rule which is broken. They need no test runner.
"""

from dcdnas.testing.metric import check_metric
from dcdnas.testing.network import check_network
from dcdnas.testing.operator import check_operator
from dcdnas.testing.sampler import check_sampler
from dcdnas.testing.source import check_source
from dcdnas.testing.task import check_task

__all__ = ["check_metric", "check_network", "check_operator", "check_sampler", "check_source", "check_task"]
