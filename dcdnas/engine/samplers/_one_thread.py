"""Restricts numpy's linear algebra to one thread.

While a sampler proposes, trainings occupy all cores, and the threads of a product of small matrices wait for each other:
inverting a matrix of 300 rows took ten times the processor time of one thread. Besides, sums over several threads differ in
their last digits, so that machines with different numbers of cores would propose different networks.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from functools import cache

from threadpoolctl import ThreadpoolController


def one_thread() -> AbstractContextManager[None]:
    """Context in which numpy's linear algebra uses one thread."""
    limited: AbstractContextManager[None] = _libraries().limit(limits=1, user_api="blas")
    return limited


@cache
def _libraries() -> ThreadpoolController:
    return ThreadpoolController()
