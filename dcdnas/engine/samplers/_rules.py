"""What a sampler from outside the package has to keep to be used at all; `dcdnas.testing` checks the whole contract."""

from __future__ import annotations

from collections.abc import Mapping

from optuna.samplers import BaseSampler

from dcdnas.core.plugins import require
from dcdnas.engine.samplers._base import Direct, Sampler
from dcdnas.engine.samplers._optuna import not_warned


def check(name: str, sampler: Sampler) -> None:
    """Makes the sampler for a small run.

    Args:
        name: of the entry.
        sampler: what is to be added.

    Raises:
        ContractError: naming the rule that it breaks.
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
