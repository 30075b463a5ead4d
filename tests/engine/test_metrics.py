"""Whole searches with every cost metric as a budget and as an objective."""

from __future__ import annotations

import math
import random
import statistics
from pathlib import Path

import pytest
from latencies import pretended
from searching import SPACE, config, execute, opened
from thoroughness import slow_but
from trainings import pretend

from dcdnas.core.budget import Budget, exceeded, within
from dcdnas.core.units import quantity
from dcdnas.cost import ALWAYS, metrics, price
from dcdnas.cost.latency import prices_by
from dcdnas.engine.config import SearchConfig
from dcdnas.engine.executors.local import Local
from dcdnas.engine.loop import SearchLoop
from dcdnas.engine.prepare import make_memory, objective_bounds
from dcdnas.engine.samplers import samplers
from dcdnas.results import load_run
from dcdnas.space.pricing.cost import draw, largest, priced, smallest
from dcdnas.space.pricing.ladder import static_ladder

PRICES = prices_by(pretended())
"""Latencies by arithmetic."""

QUICK = ("latency",)
"""Metrics whose whole searches every run makes: one that is no sum over the layers, but predicted."""


def middle(metric: str) -> Budget:
    """A budget that half of the networks meet."""
    space, rng = config().build_space().priced_by(PRICES), random.Random(0)
    return Budget(metric, statistics.median(priced(space, draw(space, rng), (metric,)).cost[metric] for _ in range(50)))


def done(folder: Path, c: SearchConfig) -> SearchLoop:
    """A whole search on two local workers."""
    space = c.build_space().priced_by(PRICES)
    folder.mkdir()
    c.write(folder / "search.yaml")
    make_memory(folder, objective_bounds(space, c))
    loop = SearchLoop(c, space, opened(folder))
    return execute(loop, pretend, Local, jobs=2)


@pytest.mark.parametrize("metric", slow_but(QUICK, metrics))
def test_a_metric_is_a_budget(tmp_path: Path, metric: str) -> None:
    c = config(sampler="tpe", trials=8, starts=3, budget=())
    budget = middle(metric)
    loop = done(tmp_path / "run", SearchConfig(**{**vars(c), "budgets": (budget,), "minimize": (metric,)}))
    trained = [t for t in loop.trials.values() if t.state == "finished"]
    assert len(trained) == 8
    assert all(within(t.cost, [budget]) for t in trained)
    for t in loop.trials.values():
        assert dict(t.cost.values) == dict(price(t.architecture, tuple(dict.fromkeys([*ALWAYS, metric])), PRICES).values)
        assert t.state != "refused" or t.reason == exceeded(t.cost, [budget])
    frame = load_run(tmp_path / "run").frame
    assert frame[metric].notna().all()


@pytest.mark.slow
@pytest.mark.parametrize("sampler", slow_but(["tpe"], samplers))
def test_a_metric_is_an_objective_beside_the_budgets(tmp_path: Path, sampler: str) -> None:
    if sampler == "gp":
        pytest.importorskip("scipy")
    extra = tuple(m for m in metrics if m not in ALWAYS)
    c = config(sampler=sampler, trials=8, starts=3, budget=("0.5MFLOPs", "60kB"), minimize=("flops", *extra))
    loop = done(tmp_path / "run", c)
    run = load_run(tmp_path / "run")
    assert run.minimize == ("flops", *extra)
    points = [(-t.score.values["accuracy"], *(t.cost[m] for m in run.minimize)) for t in run.front() if t.score]
    assert points
    assert not any(all(x <= y for x, y in zip(a, b, strict=True)) for a in points for b in points if a is not b)
    assert all(within(t.cost, c.budgets) for t in loop.trials.values() if t.state == "finished")


@pytest.mark.parametrize("metric", metrics)
def test_the_ends_of_a_space_are_those_of_all_its_networks(metric: str) -> None:
    space = config({**SPACE, "slots": {}, "settings": {**SPACE["settings"], "depth": 1}}).build_space().priced_by(PRICES)
    names = [(v.decision, v.options) for v in space.variables if v.decision]
    outcomes: list[dict[str, object]] = [{}]
    for name, options in names:
        outcomes = [{**o, name: option} for o in outcomes for option in options]
    costs = [price(space.architecture(o), (metric,), PRICES)[metric] for o in outcomes]  # type: ignore[arg-type]
    assert math.prod(len(options) for _, options in names) == len(costs)
    assert (smallest(space, metric).cost[metric], largest(space, metric).cost[metric]) == (min(costs), max(costs))


def test_the_reference_has_the_costs_of_the_objectives() -> None:
    space = config().build_space().priced_by(PRICES)
    found = static_ladder(space, (), ("weights",))[0]
    assert {*found.cost.values} == {*ALWAYS, "weights"}
    assert quantity("weights", found.cost["weights"]).endswith("B")
