"""Linear algebra on one thread.

While a search asks, its trainings hold all cores, and the threads of a product of small matrices wait for each other: to invert a
matrix of 300 rows took ten times the processor time of one thread. And sums in several threads have other last digits, by
which machines with other numbers of cores would propose other networks.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from functools import cache

from threadpoolctl import ThreadpoolController


def one_thread() -> AbstractContextManager[None]:
    """Within this context numpy's linear algebra takes one thread."""
    limited: AbstractContextManager[None] = _libraries().limit(limits=1, user_api="blas")
    return limited


@cache
def _libraries() -> ThreadpoolController:
    return ThreadpoolController()
