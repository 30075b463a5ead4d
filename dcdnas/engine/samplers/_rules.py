"""The rules that a sampler from outside the package must meet to be accepted; `dcdnas.testing` checks the whole contract."""

from __future__ import annotations

from collections.abc import Mapping

from optuna.samplers import BaseSampler

from dcdnas.core.plugins import require
from dcdnas.engine.samplers._base import Direct, Sampler
from dcdnas.engine.samplers._optuna import not_warned


def check(name: str, sampler: Sampler) -> None:
    """Checks a sampler by making it for a small run.

    Args:
        name: name of the entry.
        sampler: the entry to check.

    Raises:
        ContractError: when the sampler breaks a rule; the message names it.
    """
    if sampler.direct is not None:
        require(isinstance(sampler.direct, type) and issubclass(sampler.direct, Direct), "direct has to be a subclass of Direct")
        return
    with not_warned():
        made = type(sampler.make(0, 20))
    require(
        issubclass(made, BaseSampler),
        f"make(seed, trials) gives {made.__name__}; it has to give a sampler of Optuna, of a subclass of BaseSampler",
    )
    require(isinstance(sampler.noted(0, 20), Mapping), "noted(finished, trials) has to give a mapping")
