"""Which sampler a search has: the one that was named, or for `auto` the one that its size has been measured to want."""

from __future__ import annotations

from dcdnas.core.objective import Goals
from dcdnas.engine.planning.settings import SearchSettings
from dcdnas.engine.samplers import samplers

AUTO = "auto"

FROM = 24
"""Trainings of a search from which on `model` is as good as any other sampler within a budget, or better (docs/samplers.md). That
was measured up to 100; after very many, its proposals take tenths of a second, and those of `tpe` half a minute."""


def with_sampler(settings: SearchSettings, goals: Goals) -> SearchSettings:
    """The settings with a sampler that there is, in place of `auto`.

    Args:
        settings: what was said.
        goals: of the search.

    Raises:
        UnknownNameError: for another name that no sampler has.
        MissingPackageError: when the sampler needs a package that is not installed.
    """
    if settings.sampler == AUTO:
        measured = settings.trials >= FROM and len(goals.objectives) == 1
        return settings.model_copy(update={"sampler": "model" if measured else "tpe"})
    samplers[settings.sampler].check(settings.sampler)
    return settings


def note_on(said: SearchSettings, chosen: SearchSettings) -> str:
    """What `auto` has chosen and why, in a sentence; empty where a sampler was named, or nothing was said."""
    if said.sampler != AUTO or "sampler" not in said.model_fields_set:
        return ""
    why = f"of {FROM} trainings or more with one objective"
    return f"--sampler auto: {chosen.sampler}, since the search is {'' if chosen.sampler == 'model' else 'not '}one {why}."
