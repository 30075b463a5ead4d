"""Contract checks for authors of operators, networks, cost metrics, samplers, data sources and tasks.

The package's own entries keep these contracts. Each check raises `dcdnas.errors.ContractError`, an AssertionError that names the
broken rule. No test runner is needed.
"""

from dcdnas.testing.metric import check_metric
from dcdnas.testing.network import check_network
from dcdnas.testing.operator import check_operator
from dcdnas.testing.sampler import check_sampler
from dcdnas.testing.source import check_source
from dcdnas.testing.task import check_task

__all__ = ["check_metric", "check_network", "check_operator", "check_sampler", "check_source", "check_task"]
