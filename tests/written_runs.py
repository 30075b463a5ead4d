"""Writes runs directly into their databases: the test chooses the results of the trainings, everything else is real."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dcdnas.core.architecture import Architecture, LayerChoice
from dcdnas.core.budget import Budget
from dcdnas.core.geometry import Cost
from dcdnas.core.objective import Goals
from dcdnas.core.trial import Ending, Score, State, Trial
from dcdnas.engine.config import SearchConfig
from dcdnas.engine.store import Confirmation, Store
from dcdnas.networks import identity
from dcdnas.tasks import ACCURACY

BUDGET = Budget("flops", 100.0)


def goals(*costs: str) -> Goals:
    """Goals with accuracy against these costs."""
    return Goals((ACCURACY,), costs)


def trial(number: int, accuracy: float | None, flops: float, state: State = "finished", **changes: Any) -> Trial:
    """A trial of a small network whose width depends on `number`; odd trials have an ODConv layer."""
    layers = {"stage1.block1.project": LayerChoice("odconv", {"num_kernels": 1}) if number % 2 else LayerChoice("static")}
    settings = {"channels": (8,), "depth": (1,), "strides": (1,), "width": 1.0 + number}
    score = None if accuracy is None else Score({"accuracy": accuracy, "loss": 1.0}, 3, 2.0)
    plain: dict[str, Any] = {
        "decisions": {"width": 1.0 + number},
        "cost": Cost({"flops": flops, "params": flops / 10}),
        "origin": "static" if number == 0 else "tpe",
        "ended": 10.0 + number,
        "deployed": identity(architecture := Architecture("mobilenetv2", settings, layers, (1, 8, 8), 10)),
    }
    return Trial(number, state, architecture, score=score, **{**plain, **changes})


def write_run(
    folder: Path,
    rows: Sequence[Trial],
    confirmed: Sequence[tuple[int, int, float | None]] = (),
    ending: Ending | None = None,
    reason: str = "",
    images: int | Mapping[str, Any] | None = None,
    **config: Any,
) -> Path:
    """Writes a run's folder; `confirmed` are (trial, seed, accuracy), with None for a training that failed.

    `images` is the number of validation images, or the complete record of the images; None for a run without this record.
    """
    folder.mkdir(parents=True)
    plain: dict[str, Any] = {"trials": len(rows), "confirm": 0, **config}
    SearchConfig(space={"name": "small"}, budgets=(BUDGET,), **plain).write(folder / "search.yaml")
    store = Store(folder, "x")
    with store.transaction():
        bounds = {"accuracy": [0.1, 1.0]} | {name: [10.0, 100.0] for name in config.get("minimize", ("flops",))}
        store.set_meta("bounds", bounds)
        store.set_meta("created", 5.0)
        if images is not None:
            store.set_meta("images", {"train": 4 * images, "validation": images} if isinstance(images, int) else images)
        store.set_ending(ending, reason or (ending.sentence if ending else ""))
        for t in rows:
            store.add(t)
        for number, seed, accuracy in confirmed:
            score = None if accuracy is None else Score({"accuracy": accuracy, "loss": 1.0}, 3, 2.0)
            store.add_confirmation(Confirmation(number, seed, "failed" if accuracy is None else "finished", score))
    store.close()
    return folder
