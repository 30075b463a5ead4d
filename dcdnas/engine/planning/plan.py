"""From what a person said to a search that can start: space, budgets, data, objectives, recipe, machine, name."""

from __future__ import annotations

import random
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dcdnas.core.budget import parse_budgets
from dcdnas.cost import notations
from dcdnas.cost.latency.choosing import Told, quietly
from dcdnas.engine import latency
from dcdnas.engine.config import SearchConfig
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
    number_of_starts,
    scaled,
)
from dcdnas.space.pricing.cost import check_budgets, draws_within
from dcdnas.space.pricing.latency import notes_on

if TYPE_CHECKING:
    from dcdnas.cost.latency.table import LatencyTable
    from dcdnas.engine.execution import Execution
    from dcdnas.space.search_space import SearchSpace

SAME = ("trials", "sampler", "seed", "chances", "confirm_top", "keep_weights")
"""Settings that the configuration has under the same name."""


@dataclass(frozen=True)
class Plan:
    """A search that can start.

    Args:
        folder: of the run; may exist already.
        config: what the search is.
        execution: how its trainings are run.
        space: compiled from the configuration, with its prices.
        table: that latencies are predicted by; None where no latency is priced.
        notes: what the person should know before, a sentence each.
    """

    folder: Path
    config: SearchConfig
    execution: Execution
    space: SearchSpace
    table: LatencyTable | None = None
    notes: tuple[str, ...] = ()

    @property
    def data(self) -> str:
        """The images that the trainings see, in a sentence."""
        return images_in_words(self.config.task)

    @property
    def machine(self) -> str:
        """Where the trainings run, in a sentence."""
        return machine_in_words(self.execution)


def make_plan(settings: SearchSettings, told: Told = quietly, task: object = None) -> Plan:
    """Decides what was left open and checks what was said.

    Args:
        settings: what was said.
        told: of the latencies that are measured first, where a budget or an objective needs them.
        task: given in Python, in place of a name; None for that of the settings.

    Raises:
        UsageError: for a value that cannot be used.
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
    notes = [*filter(None, [chosen.note, note_on(said, settings)]), *notes_on(table, space), *check_budgets(space, budgets)]
    if settings.chances == "networks":
        next(draws_within(space, budgets, random.Random(settings.seed), chances="networks"), None)  # raises where it cannot
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
    return Plan(folder, config, execution, space, table, tuple(notes))
