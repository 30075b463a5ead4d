"""Creates the run of a user's own training loop, or finds it again by its name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from dcdnas.core.files import runs_folder
from dcdnas.core.objective import DIRECTIONS, Objective
from dcdnas.cost.latency.choosing import Told
from dcdnas.engine.beginning import begun
from dcdnas.engine.config import SearchConfig
from dcdnas.engine.continuing import extend
from dcdnas.engine.planning.plan import make_plan
from dcdnas.engine.planning.settings import SearchSettings
from dcdnas.errors import RunError, UsageError, nearest
from dcdnas.tasks import ACCURACY, Elsewhere

ALLOWED = (
    "name", "trials", "sampler", "seed", "starts", "chances", "minimize", "start_from", "latency_table", "latency_device",
)  # fmt: skip
"""Settings that apply when the user's loop trains the networks."""

TRAINED_ELSEWHERE = {"executor": "inline", "epochs": 1, "confirm": 0, "early_stopping": False, "keep_weights": "none"}
"""Fixed values of other settings: there is one result per network, without confirmation, early stopping or weights."""

SHARE_OF_RIGHT = replace(ACCURACY, counted=False, ranked_by="")
"""Default objective: the accuracy on an unknown number of images."""


def run_of_own_loop(
    space: str | None, budget: Sequence[str], objectives: Sequence[Objective], settings: Mapping[str, Any], told: Told
) -> Path:
    """Creates the run and returns its folder. A run that exists is continued; its name alone is then sufficient.

    Args:
        space: name of a shipped space, or a space file.
        budget: bounds on the deployment cost.
        objectives: objectives whose values will be told; empty for the accuracy.
        settings: the settings among `ALLOWED` that were given.
        told: callback that gets the progress of latency measurements.

    Raises:
        UsageError: for a setting that is unknown, invalid, or concerns the training.
        RunError: when a folder of that name holds another search.
        NothingFitsError: when no network of the space meets the budget.
    """
    wrong = next((name for name in settings if name not in ALLOWED), None)
    if wrong:
        raise UsageError(f"{wrong}: not a setting of a search that your own loop trains. {nearest(wrong, ALLOWED)}")
    said = {name: value for name, value in settings.items() if value is not None}
    checked = SearchSettings.gather(said, project=False)
    folder = runs_folder() / str(checked.name)
    if checked.name and not (space or budget or objectives or said.keys() - {"name", "trials"}) and folder.is_dir():
        return _found(folder, checked.trials if "trials" in said else 0)
    if checked.name and folder.is_dir() and not (space or budget):
        raise RunError(f"{folder} exists. Continue it by its name alone, or repeat all that it was begun with.")
    if checked.name and not (space or budget):
        raise UsageError(
            f"there is no run {checked.name!r} to continue, and neither a space nor a budget for a new one. Give one, like "
            "`-b 2MFLOPs`; `dcdnas status` lists the runs."
        )
    goals = tuple(objectives) or (SHARE_OF_RIGHT,)
    flags = {**said, **TRAINED_ELSEWHERE, **_weighed(goals[1:], checked.minimize), "space": space, "budget": list(budget)}
    plan = make_plan(SearchSettings.gather(flags, project=False), told, Elsewhere(goals))
    return begun(plan).folder


def _found(folder: Path, trials: int) -> Path:
    """Opens an existing run, and raises its number of trainings to `trials` if that is larger."""
    if trials > SearchConfig.to_go_on(folder / "search.yaml").trials:
        extend(folder, trials)
    return folder


def _weighed(further: Sequence[Objective], costs: Sequence[str]) -> dict[str, list[str]]:
    """The further objectives, by direction, and the requested costs, because every value that is told is optimised."""
    by_direction = {d: [o.name for o in further if o.direction == d] for d in DIRECTIONS}
    return {"maximize": by_direction["maximize"], "minimize": [*by_direction["minimize"], *costs]}
