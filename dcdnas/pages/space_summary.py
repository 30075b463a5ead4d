"""Summary of a run's search space and of how much of it was tried. Importing this module imports torch."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from dcdnas.core.budget import Budget, within
from dcdnas.core.geometry import Cost
from dcdnas.core.yaml_lines import Document, as_yaml, parse_yaml
from dcdnas.cost import exact_metrics, price
from dcdnas.errors import DcdnasError
from dcdnas.space.pricing.cost import Share, draw
from dcdnas.space.reading.reader import Compiler
from dcdnas.space.search_space import SearchSpace

if TYPE_CHECKING:
    from dcdnas.results import Run

DRAWS = 500
"""Number of random networks from which the share within the budgets is estimated."""

BINS = 24


@dataclass(frozen=True)
class Territory:
    """A search space and how much of it was tried.

    Args:
        space: compiled; None when `problem` says why it cannot be.
        tried: number of distinct networks among the run's trials.
        trained: number of distinct networks that were trained.
        share: of random networks that are within the budgets; None when a budget bounds a metric that is a prediction for one
            device.
        metric: cost metric of the bars: the run's own, or FLOPs when that one is a prediction.
        bars: (lower cost, upper cost, number of random networks between them).
        problem: why the space cannot be shown.
    """

    space: SearchSpace | None
    tried: int = 0
    trained: int = 0
    share: Share | None = None
    metric: str = "flops"
    bars: tuple[tuple[float, float, int], ...] = ()
    problem: str = ""


def territory(run: Run, networks: Mapping[int, str]) -> Territory:
    """Summarises the space of a run; `networks` holds the identity of each trial's network."""
    try:
        space = _compiled(as_yaml(run.config.get("space", {})), run.budgets)
    except (DcdnasError, TypeError, KeyError, AttributeError) as error:
        return Territory(None, problem=f"The space of this run cannot be read: {error}")
    trained = {networks[t.number] for t in run.trials if t.state in ("finished", "stopped")}
    wanted = dict.fromkeys((run.cost_shown, "flops", *(b.metric for b in run.budgets)))
    known = tuple(metric for metric in wanted if metric in exact_metrics())
    costs, share = _costs(space, known), None
    if all(b.metric in known for b in run.budgets):
        share = Share(sum(within(c, run.budgets) for c in costs), len(costs))
    return Territory(space, len(set(networks.values())), len(trained), share, known[0], _bars([c[known[0]] for c in costs]))


@lru_cache(maxsize=8)
def _compiled(content: str, budgets: tuple[Budget, ...]) -> SearchSpace:
    document = Document("search.yaml: space", parse_yaml(content, "search.yaml: space").data, {})
    return Compiler(document).space().filling(budgets)


@lru_cache(maxsize=8)
def _costs(space: SearchSpace, names: tuple[str, ...]) -> tuple[Cost, ...]:
    """Costs of random networks of the space, by closed form."""
    rng = random.Random(0)
    return tuple(price(space.architecture(draw(space, rng)), names) for _ in range(DRAWS))


def _bars(values: Sequence[float]) -> tuple[tuple[float, float, int], ...]:
    low, high = min(values), max(values)
    if low == high:
        return ((low, high, len(values)),)
    step = (high - low) / BINS
    counts = [0] * BINS
    for value in values:
        counts[min(BINS - 1, int((value - low) / step))] += 1
    return tuple((low + i * step, low + (i + 1) * step, n) for i, n in enumerate(counts))
