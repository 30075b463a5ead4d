"""Turns the user's settings into a search that can start: space, budgets, data, objectives, recipe, machine and name."""

from __future__ import annotations

import random
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dcdnas.core.budget import parse_budgets
from dcdnas.cost import notations
from dcdnas.cost.latency.choosing import Told, quietly
from dcdnas.engine import latency
from dcdnas.engine.config import SearchConfig, usual_starts
from dcdnas.engine.planning.goals import chosen_goals, known_objectives, own_task
from dcdnas.engine.planning.machine import chosen_execution, machine_in_words
from dcdnas.engine.planning.sampler import note_on, with_sampler
from dcdnas.engine.planning.settings import SearchSettings
from dcdnas.engine.planning.space import chosen_space, plugins_of, run_folder
from dcdnas.engine.planning.start_from import earlier_front
from dcdnas.engine.planning.task import (
    chosen_training,
    images_in_words,
    notes_on_classes,
    notes_on_images,
    number_of_confirmations,
    scaled,
)
from dcdnas.space.pricing.cost import check_budgets, draws_within
from dcdnas.space.pricing.latency import notes_on

if TYPE_CHECKING:
    from dcdnas.cost.latency.table import LatencyTable
    from dcdnas.engine.execution import Execution
    from dcdnas.space.search_space import SearchSpace

SAME = ("trials", "sampler", "seed", "chances", "confirm_top", "keep_weights")
"""Settings that `SearchConfig` has under the same name."""


@dataclass(frozen=True)
class Plan:
    """A search that can start.

    Args:
        folder: folder of the run; may exist already.
        config: config of the search.
        execution: how its trainings are run.
        space: the space compiled from the config, with its prices.
        table: latency table from which latencies are predicted; None when no latency is priced.
        notes: what the user should know before the start, one sentence each.
        named: whether the user named the run; otherwise its folder is one that was free when the plan was made.
    """

    folder: Path
    config: SearchConfig
    execution: Execution
    space: SearchSpace
    table: LatencyTable | None = None
    notes: tuple[str, ...] = ()
    named: bool = True

    @property
    def data(self) -> str:
        """Describes the images that the trainings use."""
        return images_in_words(self.config.task)

    @property
    def machine(self) -> str:
        """Describes where the trainings run."""
        return machine_in_words(self.execution)


def make_plan(settings: SearchSettings, told: Told = quietly, task: object = None) -> Plan:
    """Checks the settings and fills in everything that they leave open.

    Args:
        settings: the user's settings.
        told: callback that gets the progress of latency measurements, if a budget or an objective needs them.
        task: task object or class passed from Python; None for the task of the settings.

    Raises:
        UsageError: for an invalid value.
        NothingFitsError: when no network of the space meets the budgets.
        DataError: when the images are missing or damaged.
    """
    execution = chosen_execution(settings)
    budgets = parse_budgets(settings.budget, notations(settings.budget))
    own, execution = own_task(settings.task, task, execution)
    chosen = chosen_space(settings, budgets, own)
    space = chosen.space
    goals = chosen_goals(settings, known_objectives(own, space), budgets, space)
    said, settings = settings, with_sampler(settings, goals)
    known = run_folder(settings, space, budgets) if settings.name else None
    priced = {*goals.costs, *(b.metric for b in budgets)}
    space, table = latency.space_and_table(known, space, priced, settings.latency_table, settings.latency_device, told)
    notes = [*filter(None, [chosen.note, note_on(said, settings)]), *space.notes, *notes_on(table, space)]
    notes += check_budgets(space, budgets)
    if settings.chances == "networks":
        next(draws_within(space, budgets, random.Random(settings.seed), chances="networks"), None)  # raises if impossible
    earlier = earlier_front(settings.start_from, space, budgets) if settings.start_from else None
    training, looked_up = chosen_training(settings, space, budgets, own)
    config = SearchConfig(
        space=chosen.content, budgets=budgets, objectives=scaled(goals, training, space), minimize=goals.costs,
        task=training, early_stopping=training.scan > 0,
        starts=number_of_starts(settings), confirm=number_of_confirmations(settings, training),
        start_from=earlier.record if earlier else {},
        latency=latency.record(table) if table else {}, table=looked_up,
        plugins=plugins_of(space, priced, settings.sampler, training), **{n: getattr(settings, n) for n in SAME},
    )  # fmt: skip
    folder = run_folder(settings, space, budgets)
    notes += [earlier.note] if earlier else []
    notes += [*notes_on_images(config.task), *notes_on_classes(space, config.task, chosen.images)]
    return Plan(folder, config, execution, space, table, tuple(notes), named=settings.name is not None)


def number_of_starts(settings: SearchSettings) -> int:
    """Number of networks before the sampler takes over: the setting, or else 10 and at most a third of the trainings."""
    return usual_starts(settings.trials) if settings.starts is None else settings.starts
