"""The rules by which this version of dcdnas searches. A run writes down those it was made with, and is resumed under no others.

What a person chooses (``-n``, the sampler, whether trainings are stopped early) is a setting; a rule is what the program makes
of it. A version that changes one changes its value here, so that no run has trials of two rules that are compared as equals.
"""

from __future__ import annotations

import platform
from collections.abc import Mapping
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from dcdnas.core.task import TrainingTask
from dcdnas.engine.halving import ENOUGH, FACTOR
from dcdnas.engine.recovery import AGAIN


def rules(task: TrainingTask, early_stopping: bool, starts: int, chances: str, begun_with: str = "") -> dict[str, Any]:
    """The rules of a search, as plain data.

    Args:
        task: of a full training.
        early_stopping: whether trainings behind at a rung are stopped.
        starts: random draws before the sampler takes over.
        chances: of those draws, see `dcdnas.engine.config.SearchConfig`.
        begun_with: kernels that the run was begun with; this machine's when empty.
    """
    stopping: dict[str, Any] = {"rule": "none"}
    if early_stopping and task.scan:
        stopping = {"rule": "scan-among-like-cost", "factor": FACTOR, "at_least": ENOUGH, "scan": task.scan}
    return {
        "readings": {"every_epochs": 1, "batch_norm": "re-estimated" if task.norm_batches else "running"},
        "stopping": stopping,
        "starts": {"first": "static-ladder", "draws": starts, "chances": chances},
        "losses": {"again": AGAIN, "then": "last-and-alone"},
        "kernels": begun_with or kernels(),
    }


def kernels() -> str:
    """What trains on this machine's CPU: ``compiled`` kernels, or ``torch``."""
    from dcdnas.kernels import in_use  # imports torch, which who only looks at a run does without

    return "compiled" if in_use() else "torch"


def processor() -> str:
    """This machine's, as the system calls it."""
    from dcdnas.cost.latency.device import processor as found  # imports torch, too

    return found()


def versions() -> dict[str, str]:
    """Versions that a result depends on; a package that is not installed is left out."""
    found = {"python": platform.python_version()}
    for name in ("dcdnas", "torch", "optuna", "ray", "fvcore", "numpy"):
        with suppress(PackageNotFoundError):
            found[name] = version(name)
    return found


def other_rules(there: Mapping[str, Any], here: Mapping[str, Any]) -> list[str]:
    """The rules that differ, a line each. Other kernels (`other_kernels`) are no other rule: they differ by rounding."""
    return differences(*({k: v for k, v in flat(rules).items() if k != "kernels"} for rules in (there, here)))


def other_kernels(before: str) -> str:
    """That this machine's CPU trains with other kernels than a run was begun with, in words; empty when it does not."""
    now = kernels()
    if before in ("", now):
        return ""
    switch = "on" if before == "compiled" else "off"
    return (
        f"on the CPU the run was begun with {before} kernels and goes on with {now} kernels. A training differs by rounding "
        f"only, so doing one again gives other last digits. DCDNAS_KERNELS={switch} goes on with those of its beginning."
    )


def differences(there: Mapping[str, Any], here: Mapping[str, Any]) -> list[str]:
    """Lines like ``epochs: 3 there, 9 here`` for the keys that differ."""
    keys = [k for k in {**there, **here} if there.get(k) != here.get(k)]
    return [f"{k.removeprefix('task.').replace('_', ' ')}: {_said(there.get(k))} there, {_said(here.get(k))} here" for k in keys]


def _said(value: object) -> str:
    """A setting in words."""
    if value is None or isinstance(value, bool):
        return {None: "nothing", True: "yes", False: "no"}[value]
    if isinstance(value, Mapping):
        return ", ".join(f"{k} {_said(v)}" for k, v in value.items()) or "nothing"
    if isinstance(value, list | tuple):
        return ", ".join(map(_said, value)) or "nothing"
    return str(value) or "nothing"


def flat(value: Any, prefix: str = "") -> dict[str, Any]:
    """Nested mappings as one, with keys like ``stopping.factor``."""
    if not isinstance(value, Mapping):
        return {prefix: list(value) if isinstance(value, tuple) else value}
    return {k: v for name, inner in value.items() for k, v in flat(inner, f"{prefix}.{name}" if prefix else str(name)).items()}
