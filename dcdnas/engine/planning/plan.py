"""From what a person said to a search that can start: space, budgets, data, objectives, recipe, machine, name."""

from __future__ import annotations

import math
import random
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from typing import Any

import torch

from dcdnas.core.budget import Budget, parse_budgets
from dcdnas.core.files import runs_folder
from dcdnas.core.plugins import loaded
from dcdnas.core.task import TrainingTask
from dcdnas.core.units import counted
from dcdnas.core.yaml_lines import read_yaml
from dcdnas.cost import metrics
from dcdnas.cost.latency.table import LatencyTable, used
from dcdnas.engine.config import SearchConfig
from dcdnas.engine.execution import Execution
from dcdnas.engine.halving import rungs
from dcdnas.engine.latency import record, thaw
from dcdnas.engine.planning.latency import METRIC, Told, notes_on, quietly, take_table
from dcdnas.engine.planning.settings import SearchSettings
from dcdnas.engine.proxy_training import images_of
from dcdnas.engine.samplers import samplers
from dcdnas.engine.trackers import trackers
from dcdnas.errors import UsageError
from dcdnas.space.library import find_space, space_for
from dcdnas.space.pricing.cost import check_budgets, draws_within
from dcdnas.space.reading.reader import read_space
from dcdnas.space.search_space import SearchSpace

RECIPE = (
    "data", "resolution", "classes", "epochs", "batch_size", "lr", "weight_decay", "label_smoothing", "warmup", "augment",
    "controller_lr", "controller_warmup",
)  # fmt: skip
"""Settings that replace what the space says of its proxy training."""

SAME = ("sampler", "seed", "starts", "chances", "early_stopping", "confirm", "confirm_top")
"""Settings that the configuration has under the same name."""


@dataclass(frozen=True)
class Plan:
    """A search that can start.

    Args:
        folder: of the run; may exist already.
        config: what the search is.
        execution: how its trainings are run.
        space: compiled from the configuration.
        notes: what the person should know before, a sentence each.
    """

    folder: Path
    config: SearchConfig
    execution: Execution
    space: SearchSpace
    notes: tuple[str, ...] = ()

    @property
    def at_once(self) -> int:
        """Trainings at one time on this machine."""
        if self.execution.executor == "inline":
            return 1
        share = self.execution.gpus_per_trial
        limit = max(1, int(torch.cuda.device_count() / share)) if share and not self.execution.jobs else self.execution.workers
        return min(self.execution.workers, limit)

    @property
    def device(self) -> str:
        """What a training runs on."""
        return "cuda" if self.execution.gpus_per_trial else "cpu"

    @property
    def data(self) -> str:
        """The images that the trainings see, in a sentence."""
        images = images_of(self.config.task)
        channels, height, width = images.train.shape
        kind = {1: "grey", 3: "colour"}.get(channels, f"{channels}-channel")
        return (
            f"{self.config.task.data}: {len(images.train):,} {kind} images of {height}x{width} to learn from, "
            f"{len(images.validation):,} to validate on, {len(images.train.classes)} classes"
        )

    @property
    def machine(self) -> str:
        """Where the trainings run, in a sentence."""
        execution = self.execution
        workers, threads = counted(self.at_once, "worker"), counted(execution.cpus_per_trial, "CPU thread")
        each = f"{workers} x {threads}"
        if execution.address:
            return f"the Ray cluster at {execution.address}"
        if not torch.cuda.is_available():
            return f"{each}, no GPU found"
        share = (
            f"{execution.gpus_per_trial:g} of {torch.cuda.device_count()} GPUs each"
            if execution.gpus_per_trial
            else "GPU not used"
        )
        return f"{each}, {share} ({torch.cuda.get_device_name()})"


def make_plan(settings: SearchSettings, told: Told = quietly) -> Plan:
    """Decides what was left open and checks what was said.

    Args:
        settings: what was said.
        told: of the latencies that are measured first, where a budget or an objective needs them.

    Raises:
        UsageError: for a value that cannot be used.
        NothingFitsError: when no network of the space meets the budgets.
        DataError: when the images are missing or damaged.
    """
    budgets = parse_budgets(settings.budget)
    space, content = _space(settings, budgets)
    minimize = _objectives(settings, budgets, space)
    if settings.sampler not in samplers:
        samplers[settings.sampler]
    table = _table(settings, space, {*minimize, *(b.metric for b in budgets)}, told)
    notes = [*notes_on(table, space), *check_budgets(space, budgets)]
    if settings.chances == "networks":
        next(draws_within(space, budgets, random.Random(settings.seed), chances="networks"), None)  # raises where it cannot
    task = _task(settings, space.proxy)
    config = SearchConfig(
        space=content, budgets=budgets, minimize=minimize, task=task, latency=record(table) if table else {},
        plugins={p.name: {"path": str(Path(p.path).absolute()), "sha256": p.digest} for p in loaded(_operators(space))},
        **{n: getattr(settings, n) for n in (*SAME, "trials")},
    )  # fmt: skip
    plan = Plan(runs_folder() / (settings.name or _free_name(space, budgets)), config, execution(settings), space)
    return replace(plan, notes=(*notes, *_stand_in(settings, space, plan)))


def _table(settings: SearchSettings, space: SearchSpace, metrics: Collection[str], told: Told) -> LatencyTable | None:
    """The latency table of the search; a run that exists already keeps its own."""
    folder = runs_folder() / (settings.name or "")
    if METRIC in metrics and settings.name and not settings.latency_table and (folder / "search.yaml").is_file():
        before = SearchConfig.read(folder / "search.yaml")
        if before.latency:
            thaw(folder, before.latency, space)
            return used()
    return take_table(space, metrics, settings.latency_table, settings.latency_device, told)


def execution(settings: SearchSettings) -> Execution:
    """How to run the trainings; a GPU is used where there is one."""
    gpus = settings.gpus_per_trial if settings.gpus_per_trial is not None else float(torch.cuda.is_available())
    log = tuple(name.strip() for names in settings.log for name in names.split(","))
    for name in log:
        trackers[name]
    if gpus and settings.executor != "ray" and not torch.cuda.is_available():
        raise UsageError(f"--gpus-per-trial {gpus:g}: torch finds no GPU here. Leave it out to train on the CPU.")
    return Execution(
        executor=settings.executor, jobs=settings.jobs, gpus_per_trial=gpus, cpus_per_trial=settings.cpus_per_trial,
        address=settings.address, timeout=settings.timeout or math.inf, log=log,
    )  # fmt: skip


def _space(settings: SearchSettings, budgets: Sequence[Budget]) -> tuple[SearchSpace, Any]:
    """The space and its file's content; without a name the smallest shipped one that holds the budgets.

    The content leaves the plugins' paths out, since the run has copies of its own.
    """
    if settings.space is None and not budgets:
        raise UsageError(
            "neither a budget nor a space is given. Give one, like `-b 2MFLOPs`; `dcdnas list spaces` shows the spaces."
        )
    choosing = [b for b in budgets if b.metric != METRIC]
    if settings.space is None and not choosing:
        raise UsageError(
            f"{' and '.join(map(str, budgets))} does not say which space is meant, since each has to be measured first. Name "
            "one, like `dcdnas search fashion-quick -b 2ms`; `dcdnas list spaces` shows them."
        )
    path = find_space(settings.space) if settings.space else space_for(choosing)
    content = read_yaml(path).data
    return read_space(path).filling(budgets), {key: value for key, value in content.items() if key != "plugins"}


def _operators(space: SearchSpace) -> set[str]:
    return {candidate.operator for group in space.groups for candidate in group.candidates}


def _objectives(settings: SearchSettings, budgets: Sequence[Budget], space: SearchSpace) -> tuple[str, ...]:
    """The first budget's metric, then what was asked for; FLOPs when nothing says what a cost is.

    Where the width is fitted to the first budget all networks cost about the same: its metric is no objective.
    """
    for name in (*(b.metric for b in budgets), *settings.minimize):
        metrics[name]
    if space.fit is not None:
        filled = budgets[0].metric
        if filled in settings.minimize:
            raise UsageError(
                f"--minimize {filled}: the width in {space.name} is fitted to {budgets[0]}, so every network costs about that. "
                "Name another metric, or none."
            )
        return tuple(dict.fromkeys(settings.minimize))
    return tuple(dict.fromkeys([*(b.metric for b in budgets[:1]), *settings.minimize])) or ("flops",)


def _task(settings: SearchSettings, proxy: TrainingTask) -> TrainingTask:
    said = {name: getattr(settings, name) for name in RECIPE}
    task = replace(proxy, **{n: v for n, v in said.items() if v is not None}, deadline=settings.trial_timeout or 0.0)
    first = next(iter(rungs(task.epochs)), 0) if settings.early_stopping else 0
    return replace(task, first_rung=first)


def _free_name(space: SearchSpace, budgets: Sequence[Budget]) -> str:
    """Space, first budget and the first free number."""
    budget = re.sub(r"[^A-Za-z0-9.-]", "", str(budgets[0]).rpartition("=")[2]) if budgets else "free"
    stem = f"{space.name}-{budget}"
    return next(name for n in count(1) if not (runs_folder() / (name := f"{stem}-{n}")).exists())


def _stand_in(settings: SearchSettings, space: SearchSpace, plan: Plan) -> list[str]:
    """A sentence when nobody chose the images and they are not those that the space's networks are for."""
    if settings.data is not None:
        return []
    images = images_of(plan.config.task).train
    if images.shape[0] == space.input[0] and len(images.classes) == space.classes:
        return []
    channels, height, width = space.input
    return [
        f"{plan.config.task.data} is a stand-in: the networks are priced for {channels}x{height}x{width} images and "
        f"{space.classes:,} classes, but trained on it. Give real images with -d, for example -d folder:/data/imagenet."
    ]
