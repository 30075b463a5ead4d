"""The rules by which this version of dcdnas searches. A run stores the rules it was made with and is resumed only under them.

What the user chooses (``-n``, the sampler, whether trials are stopped early) is a setting; how the program carries it out is a
rule. A version that changes a rule changes its value here, so that a run never compares trials made under different rules.
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
        task: task of a full training.
        early_stopping: whether dominated trials are stopped at a rung.
        starts: number of networks before the sampler takes over, see `dcdnas.engine.config.SearchConfig`.
        chances: distribution of the random draws among them, see there.
        begun_with: CPU kernels that the run was begun with; empty for those of this machine.
    """
    stopping: dict[str, Any] = {"rule": "none"}
    if early_stopping and task.scan:
        stopping = {"rule": "scan-among-like-cost", "factor": FACTOR, "at_least": ENOUGH, "scan": task.scan}
    return {
        "readings": {"every_epochs": 1, "batch_norm": "re-estimated" if task.norm_batches else "running"},
        "stopping": stopping,
        "starts": {"first": "static-ladder", "draws": starts, "chances": chances},
        "losses": {"again": AGAIN, "then": "last-and-alone"},
        "initialisation": {"mixed_kernels": "each-as-static"},
        "rates": {"warehouse_attention": "a-tenth-of-the-cells"},
        "kernels": begun_with or kernels(),
    }


def kernels() -> str:
    """Kernels that training uses on this machine's CPU: ``compiled`` or ``torch``."""
    from dcdnas.kernels import in_use  # imports torch, which commands that only inspect a run do not need

    return "compiled" if in_use() else "torch"


def processor() -> str:
    """Name of this machine's processor, as the system reports it."""
    from dcdnas.cost.latency.device import processor as found  # imports torch as well

    return found()


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that a result depends on; packages that are not installed are left out."""
    found = {"python": platform.python_version()}
    for name in ("dcdnas", "torch", "optuna", "ray", "fvcore", "numpy"):
        with suppress(PackageNotFoundError):
            found[name] = version(name)
    return found


def other_rules(there: Mapping[str, Any], here: Mapping[str, Any]) -> list[str]:
    """Lists the rules that differ, one line each. Kernels are left out, see `other_kernels`: they differ only by rounding."""
    return differences(*({k: v for k, v in flat(rules).items() if k != "kernels"} for rules in (there, here)))


def other_kernels(before: str) -> str:
    """Note for a run that this machine's CPU would continue with other kernels than it was begun with; else empty."""
    now = kernels()
    if before in ("", now):
        return ""
    switch = "on" if before == "compiled" else "off"
    return (
        f"on the CPU the run was begun with {before} kernels and continues with {now} kernels. Their results differ only by "
        f"rounding, so a repeated training has other last digits. DCDNAS_KERNELS={switch} continues with the original kernels."
    )


def differences(there: Mapping[str, Any], here: Mapping[str, Any]) -> list[str]:
    """Lines like ``epochs: 3 there, 9 here`` for the keys that differ."""
    keys = [k for k in {**there, **here} if there.get(k) != here.get(k)]
    return [f"{k.removeprefix('task.').replace('_', ' ')}: {_said(there.get(k))} there, {_said(here.get(k))} here" for k in keys]


def _said(value: object) -> str:
    """Describes a setting in words."""
    if value is None or isinstance(value, bool):
        return {None: "nothing", True: "yes", False: "no"}[value]
    if isinstance(value, Mapping):
        return ", ".join(f"{k} {_said(v)}" for k, v in value.items()) or "nothing"
    if isinstance(value, list | tuple):
        return ", ".join(map(_said, value)) or "nothing"
    return str(value) or "nothing"


def flat(value: Any, prefix: str = "") -> dict[str, Any]:
    """Flattens nested mappings into one with keys like ``stopping.factor``."""
    if not isinstance(value, Mapping):
        return {prefix: list(value) if isinstance(value, tuple) else value}
    return {k: v for name, inner in value.items() for k, v in flat(inner, f"{prefix}.{name}" if prefix else str(name)).items()}
