"""Rules that a task has to keep to be usable; `dcdnas.tasks._judging` checks the values that it reports."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

from dcdnas.core.objective import Objective
from dcdnas.core.plugins import require

TAKEN = frozenset({
    "number", "state", "epochs", "seconds", "seed", "digest", "on_front", "reason", "failure", "confirmed_mean",
    "confirmed_seeds", "event", "origin", "ended", "asked", "states", "best", "hypervolume",
    "config", "undecided", "starred", "note", "confirmed_spread", "name", "files", "page", "figures",
    "run", "status", "ending", "cost", "confirmed", "unconfirmed", "front", "budgets", "created", "folder", "driver", "problems",
    "bytes", "area_above_ladder", "no_area", "against_static", "validation_images", "tells_apart", "front_undecided", "guessing",
})  # fmt: skip
"""Names that objectives cannot have, because tables and JSON use them for other columns."""

EXAMPLE = 'objectives = (Objective("auc", "maximize", worst=0.5, best=1.0),)'


def check(name: str, task: Any) -> None:
    """Checks a task's attributes and signatures, without training anything.

    Args:
        name: name of the entry.
        task: class of the task, or a task object.

    Raises:
        ContractError: naming the rule that the task breaks.
    """
    _check_objectives(getattr(task, "objectives", None))
    evaluate = getattr(task, "evaluate", None)
    require(callable(evaluate), "it has no method evaluate(self, network, *, epochs, seed, report)")
    of_class = (None,) if inspect.isclass(task) else ()
    _check_call(evaluate, "evaluate(self, network, *, epochs, seed, report)", *of_class, None, epochs=1, seed=0, report=None)
    if inspect.isclass(task):
        _check_call(task, f"{task.__name__}()")
    size, outputs = getattr(task, "input", None), getattr(task, "outputs", None)
    sizes = isinstance(size, tuple | list) and len(size) == 3 and all(_count(n) for n in size)
    require(size is None or sizes, f"input is {size!r}. Allowed: (channels, height, width), or None")
    require(outputs is None or _count(outputs), f"outputs is {outputs!r}. Allowed: a number from 1 on, or None")


def _check_objectives(objectives: Any) -> None:
    listed = isinstance(objectives, Sequence) and bool(objectives) and all(isinstance(o, Objective) for o in objectives)
    require(listed, f"it has no objectives. List what networks are evaluated by, the most important one first: {EXAMPLE}")
    names = [o.name for o in objectives]
    twice = next((n for n in names if names.count(n) > 1), "")
    require(not twice, f"two of its objectives are called {twice!r}. Rename one")
    taken = next((n for n in names if n in TAKEN), "")
    require(not taken, f"an objective cannot be called {taken!r}, because tables use this name for another column. Rename it")
    for one in (o for o in objectives if o.ranked_by):
        allowed = [o.name for o in objectives if o.direction == "minimize" and o is not one]
        said = f"Allowed: another objective to minimize ({', '.join(allowed) or 'it has none'})"
        require(one.ranked_by in allowed, f"{one.name} cannot be ranked by {one.ranked_by!r}. {said}")


def _check_call(called: Any, written: str, *arguments: Any, **named: Any) -> None:
    try:
        inspect.signature(called).bind(*arguments, **named)
    except TypeError as error:
        require(False, f"it is called as {written}, which its signature does not allow: {error}")


def _count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1
