"""Chooses the sampler of a search: the named one, or for `auto` the one that was measured to be best for its size."""

from __future__ import annotations

from dcdnas.core.objective import Goals
from dcdnas.engine.planning.settings import SearchSettings
from dcdnas.engine.samplers import samplers

AUTO = "auto"

FROM = 24
"""Smallest number of trainings for which `model` is at least as good as every other sampler within a budget (docs/samplers.md).
This was measured up to 100 trainings. After very many, a proposal of `model` takes tenths of a second, one of `tpe` half a
minute."""


def with_sampler(settings: SearchSettings, goals: Goals) -> SearchSettings:
    """Returns the settings with `auto` replaced by the name of a sampler.

    Args:
        settings: the user's settings.
        goals: goals of the search.

    Raises:
        UnknownNameError: when no sampler has the name.
        MissingPackageError: when the sampler needs a package that is not installed.
    """
    if settings.sampler == AUTO:
        measured = settings.trials >= FROM and len(goals.objectives) == 1
        return settings.model_copy(update={"sampler": "model" if measured else "tpe"})
    samplers[settings.sampler].check(settings.sampler)
    return settings


def note_on(said: SearchSettings, chosen: SearchSettings) -> str:
    """Says which sampler `auto` has chosen and why; empty unless the user gave `auto` explicitly."""
    if said.sampler != AUTO or "sampler" not in said.model_fields_set:
        return ""
    why = f"of {FROM} trainings or more with one objective"
    return f"--sampler auto: {chosen.sampler}, since the search is {'' if chosen.sampler == 'model' else 'not '}one {why}."
