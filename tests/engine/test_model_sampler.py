"""The parts of the model sampler against what they stand for: gradients, hypervolumes, legal rows; and that it finds more."""

from __future__ import annotations

import random
import statistics
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from searching import config
from spaces import TINY, tiny
from threadpoolctl import threadpool_info

from dcdnas.core.budget import parse_budgets
from dcdnas.core.objective import Goals, Objective
from dcdnas.core.pareto import volume
from dcdnas.core.trial import Score, Trial
from dcdnas.cost import notations
from dcdnas.engine.direct import DirectStudy
from dcdnas.engine.samplers import Search, samplers
from dcdnas.engine.samplers._encoding import Encoding
from dcdnas.engine.samplers._features import Features
from dcdnas.engine.samplers._gp import FITTED, START, Process, _slope, fitted, kernel, parts, standardised
from dcdnas.engine.samplers._improvement import expected_improvement, expected_volume
from dcdnas.engine.samplers._pool import Pool
from dcdnas.engine.samplers._worth import WORST, worth, worths
from dcdnas.engine.samplers.model import MOST, _kept, milestone
from dcdnas.networks import identity
from dcdnas.space.pricing.cost import draws_within, priced
from dcdnas.space.reading.reader import read_space
from dcdnas.tables import tables
from dcdnas.tasks import ACCURACY

TABLES = Path(__file__).parents[1] / "tables"


def features(rng: np.random.Generator, count: int) -> Features:
    return Features(rng.normal(size=(count, 2)), rng.normal(size=(count, 3)), rng.integers(0, 2, (count, 6)).astype(float))


def reached(objective: Objective, value: float) -> Trial:
    space = tiny(next(iter(TINY)))
    found = next(draws_within(space, (), random.Random(0)))
    return Trial(0, "finished", found.architecture, found.decisions, found.cost, Score({objective.name: value}, 1, 1.0))


# Rows


@pytest.mark.parametrize("name", TINY)
@settings(max_examples=12)
@given(seed=st.integers(0, 10_000))
def test_rows_that_are_drawn_mutated_or_crossed_are_outcomes(name: str, seed: int) -> None:
    encoding, rng = Encoding(tiny(name)), np.random.default_rng(seed)
    rows = encoding.drawn(20, rng)
    for made in (rows, encoding.mutated(rows, rng), encoding.crossed(rows, rows[::-1], rng)):
        outcomes = [encoding.decode(row) for row in made]
        assert (encoding.encode(outcomes) == made).all(), "what does not exist is 0"
        assert (encoding.active(made) == [[d.name in o for d in encoding.decisions] for o in outcomes]).all()


def test_a_mutant_differs_from_its_parent_in_a_decision_that_exists_and_in_few() -> None:
    encoding, rng = Encoding(config().build_space()), np.random.default_rng(0)
    rows = encoding.drawn(500, rng)
    exists = encoding.active(rows)

    def changed(more: float) -> list[int]:
        """Decisions of each parent that its mutant has, too, and has made otherwise."""
        mutants = encoding.mutated(rows, rng, more)
        return ((mutants != rows) & exists & encoding.active(mutants)).sum(1).tolist()

    assert set(changed(0.0)) == {1}
    assert 1.4 < statistics.fmean(changed(1.0)) < 2.2


def test_a_child_has_each_operator_with_the_settings_of_one_of_its_parents() -> None:
    space = config().build_space()
    encoding, rng = Encoding(space), np.random.default_rng(0)
    first, second = encoding.drawn(200, rng), encoding.drawn(200, rng)
    group = space.groups[0]
    names = [d.name for d in encoding.decisions]
    own = [names.index(group.operator), *(i for i, n in enumerate(names) if n.startswith(f"{group.name}.odconv."))]
    for child, a, b in zip(encoding.crossed(first, second, rng), first, second, strict=True):
        assert (child[own] == a[own]).all() or (child[own] == b[own]).all()


def test_rows_are_priced_as_networks_are_and_those_over_budget_are_left_out() -> None:
    space, budgets = config().build_space(), config().budgets
    pool, rng = Pool(Search(space, budgets, config().goals)), np.random.default_rng(0)
    rows = pool.encoding.drawn(100, rng)
    fresh, costs = pool.fresh(rows, {rows[0].tobytes()})
    exact = [priced(space, pool.encoding.decode(row)).cost for row in rows]
    inside = {row.tobytes() for row, cost in zip(rows, exact, strict=True) if cost["flops"] <= 5e5}
    assert {row.tobytes() for row in fresh} == inside - {rows[0].tobytes()}
    assert costs.tolist() == [[c[m] for m in pool.metrics] for c in (priced(space, pool.encoding.decode(r)).cost for r in fresh)]


# The process


def test_the_slope_of_the_posterior_is_its_difference_quotient() -> None:
    rng = np.random.default_rng(0)
    known, y = features(rng, 12), standardised(rng.normal(size=12))[0]
    p = parts(known, known)

    def posterior(theta: np.ndarray) -> float:
        covariance = kernel(p, theta)[0] + (np.exp(2 * theta[7]) + 1e-6) * np.eye(12)
        fit = -0.5 * y @ np.linalg.solve(covariance, y) - 0.5 * np.linalg.slogdet(covariance)[1]
        return float(fit - 0.5 * (((theta - START) / np.array([1, 1, 1, 1, 0.8, 0.8, 0.8, 1.0])) ** 2).sum())

    theta = START + rng.normal(0, 0.3, 8)
    steps = 1e-5 * np.eye(8)
    expected = [(posterior(theta + step) - posterior(theta - step)) / 2e-5 for step in steps]
    assert _slope(p, y, theta) == pytest.approx(expected, rel=1e-4, abs=1e-4)
    assert posterior(fitted(known, y)) > posterior(START)


def test_a_process_knows_what_it_was_told_and_doubts_what_is_far() -> None:
    rng = np.random.default_rng(1)
    known = features(rng, 30)
    y = 3 * known.cost[:, 0] + np.sin(known.number[:, 0]) + 90
    process = Process.of(known, y, fitted(known, y))
    mean, deviation = process.predict(known)
    assert np.abs(mean - y).mean() < 0.2 * y.std()
    far = Features(known.cost + 9, known.number + 9, known.chosen)
    assert process.predict(far)[1].mean() > 3 * deviation.mean()
    unseen = features(rng, 200)
    truth = 3 * unseen.cost[:, 0] + np.sin(unseen.number[:, 0]) + 90
    assert np.corrcoef(process.predict(unseen)[0], truth)[0, 1] > 0.9


def test_noise_is_learnt() -> None:
    rng = np.random.default_rng(2)
    known = features(rng, 60)
    y = known.cost[:, 0] / known.cost[:, 0].std()
    quiet, loud = fitted(known, y), fitted(known, y + 2 * rng.normal(size=60))
    assert np.exp(quiet[7]) < 0.3 < np.exp(loud[7])


@pytest.mark.parametrize("value", [0.1, 0.0, 5.0])
def test_equal_results_have_the_deviation_1_however_their_mean_is_rounded(value: float) -> None:
    known = features(np.random.default_rng(0), 7)
    y = np.full(7, value)
    process = Process.of(known, y, fitted(known, y))
    assert process.deviation == 1.0
    mean, deviation = process.predict(features(np.random.default_rng(1), 5))
    assert mean == pytest.approx(np.full(5, value), abs=1e-9)
    assert (deviation > 0.1).all(), "equal results say nothing of how far others may differ"


# What is expected of a candidate


def test_expected_improvement_is_the_mean_of_improvements() -> None:
    drawn = np.random.default_rng(0).normal(1.0, 0.7, 200_000)
    found = expected_improvement(np.array([1.0]), np.array([0.7]), 1.4)
    assert found[0] == pytest.approx(np.maximum(drawn - 1.4, 0).mean(), rel=0.02)


@pytest.mark.parametrize(("costs", "tolerance"), [(1, 0.03), (2, 0.12)])
def test_expected_volume_is_the_mean_gain_of_hypervolume(costs: int, tolerance: float) -> None:
    """Against hypervolumes by another program, for worths that are drawn."""
    rng = np.random.default_rng(3)
    known, heights = rng.random((6, costs)), 2 * rng.random(6)
    cost, mean, deviation = rng.random((5, costs)) * 0.7, np.full(5, 1.2), np.full(5, 0.6)
    found = expected_volume(cost, mean, deviation, known, heights, floor=0.0)
    reference = [0.0, *[1.0] * costs]
    front = [[-h, *c] for h, c in zip(heights.tolist(), known.tolist(), strict=True)]
    before = volume(front, reference)
    for candidate, gain in zip(cost.tolist(), found.tolist(), strict=True):
        drawn = rng.normal(1.2, 0.6, 4000)
        gains = [volume([*front, [-x, *candidate]], reference) - before if x > 0 else 0.0 for x in drawn.tolist()]
        assert gain == pytest.approx(statistics.fmean(gains), rel=tolerance, abs=0.01)


def test_without_a_known_network_the_volume_is_counted_from_the_floor() -> None:
    none = np.zeros((0, 1))
    found = expected_volume(np.array([[0.25]]), np.array([2.0]), np.array([1e-6]), none, np.zeros(0), floor=0.5)
    assert found[0] == pytest.approx(0.75 * 1.5)


@pytest.mark.parametrize(
    ("objective", "better", "worse"),
    [
        (ACCURACY, 0.9, 0.8),
        (Objective("error", "minimize", 1.0, 0.0), 0.1, 0.2),
        (Objective("psnr", "maximize", 0.0, 60.0), 30.0, 20.0),
    ],
    ids=["accuracy", "error", "psnr"],
)
def test_more_is_better_of_any_objective(objective: Objective, better: float, worse: float) -> None:
    high, low = worths(Goals((objective,)), objective, [reached(objective, value) for value in (better, worse)])
    assert high > low > WORST


@pytest.mark.parametrize("objective", [Objective("loss", "minimize", 3.0, 0.5), Objective("psnr", "maximize", 0.0, 60.0)])
def test_a_value_beyond_the_ends_of_the_scale_counts_as_the_end(objective: Objective) -> None:
    values = [objective.best, 3 * objective.best - 2 * objective.worst, objective.worst, 1e9 * (objective.worst - objective.best)]
    best, beyond, worst, exploded = worths(Goals((objective,)), objective, [reached(objective, value) for value in values])
    assert best == beyond > worst == exploded == WORST


@pytest.mark.parametrize("accuracy", [0.05, 1.0], ids=["below chance", "perfect"])
def test_networks_of_equal_accuracy_are_compared_by_their_loss(accuracy: float) -> None:
    objective, trial = replace(ACCURACY, worst=0.1), reached(ACCURACY, accuracy)
    losses = 0.3, 0.1, 0.2
    found = [replace(trial, score=Score({"accuracy": accuracy, "loss": loss}, 1, 1.0)) for loss in losses]
    assert np.argsort(worths(Goals((objective,)), objective, found)).tolist() == [0, 2, 1]


def test_halving_the_error_is_worth_the_same_everywhere() -> None:
    at = worth(np.array([0.6, 0.8, 0.9, 0.95]))
    assert np.diff(at)[1:] == pytest.approx(np.log(2), abs=0.05)


# Speed without memory


def test_the_parameters_are_fitted_anew_when_a_tenth_was_learnt() -> None:
    fits = [milestone(n) for n in range(3, 1000)]
    assert all(0.9 * n <= m <= n for n, m in enumerate(fits, 3))
    assert len(set(fits)) < 70


def test_of_very_many_results_the_front_and_the_newest_are_known() -> None:
    points = np.random.default_rng(0).random((1000, 2))
    points[7] = 0.0
    kept = _kept(points)
    assert {7, *range(1000 - MOST // 2, 1000)} <= set(kept)
    assert len(kept) <= MOST
    assert _kept(points[:MOST]) == list(range(MOST))
    assert FITTED <= MOST


def read(rng: random.Random, loss: bool) -> dict[str, float]:
    return {"accuracy": rng.random(), **({"loss": rng.random()} if loss else {})}


@pytest.mark.slow
@pytest.mark.parametrize("loss", [False, True], ids=["accuracy", "loss"])
def test_what_is_remembered_between_proposals_changes_none(loss: bool) -> None:
    space = config().build_space()
    made = samplers["model"].direct
    assert made is not None
    search = Search(space, config().budgets, config().goals)
    remembering, rng, past = DirectStudy(made(search)), random.Random(0), []
    for number in range(24):
        asked = remembering.ask()
        assert asked is not None
        fresh = DirectStudy(made(search))
        fresh.remember(past)
        again = fresh.ask()
        assert again is not None
        assert again[1] == asked[1]
        found = priced(space, asked[1])
        past.append(Trial(number, "finished", found.architecture, asked[1], found.cost, Score(read(rng, loss), 1, 1.0)))
        remembering.tell(asked[0], past[-1])


def test_linear_algebra_has_one_thread_and_gives_the_others_back(monkeypatch: pytest.MonkeyPatch) -> None:
    space, rng, inverse, seen = config().build_space(), random.Random(0), np.linalg.inv, set()
    made = samplers["model"].direct
    assert made is not None
    study = DirectStudy(made(Search(space, config().budgets, config().goals)))
    for number, found in zip(range(5), draws_within(space, config().budgets, random.Random(0)), strict=False):
        score = Score(read(rng, False), 1, 1.0)
        study.remember([Trial(number, "finished", found.architecture, found.decisions, found.cost, score)])

    def inv(matrix: np.ndarray) -> np.ndarray:
        seen.update(threads())
        return inverse(matrix)

    monkeypatch.setattr(np.linalg, "inv", inv)
    before = threads()
    assert study.ask() is not None
    assert seen == {1}
    assert threads() == before


def threads() -> list[int]:
    return [library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"]


# What it finds


def found_by(name: str, seed: int, count: int = 24) -> float:
    """True accuracy of the best-looking of 24 networks of the part of NAS-Bench-Macro within 60 MFLOPs, 8 of them random."""
    space, budgets = read_space(TABLES / "part.yaml"), parse_budgets(["60MFLOPs"], notations())
    table = tables["nas-bench-macro"](TABLES / "nas_bench_macro_part.json")
    made, rng = samplers[name].direct if name != "random" else None, random.Random(seed)
    asked = DirectStudy(made(Search(space, budgets, config().goals, seed))) if made else None
    drawn, seen, trials = draws_within(space, budgets, rng), set(), []
    while len(trials) < count:
        proposed = asked.ask() if asked and len(trials) >= 8 else None
        network = priced(space, proposed[1]) if proposed else next(drawn)
        if (deployed := identity(network.architecture)) in seen:
            continue
        seen.add(deployed)
        score = Score({"accuracy": rng.choice(table.readings(network.architecture))}, 1, 1.0)
        a, cost = network.architecture, network.cost
        trials.append(Trial(len(trials), "finished", a, network.decisions, cost, score, deployed=deployed))
        if asked:
            ticket = proposed[0] if proposed else asked.ask_fixed(network.decisions)[0]
            asked.tell(ticket, trials[-1])
    best = max(trials, key=lambda t: t.score.values["accuracy"] if t.score else 0.0)
    return 100 * statistics.fmean(table.readings(best.architecture))


@pytest.mark.slow
def test_the_model_finds_better_networks_than_chance_on_results_that_nobody_here_made() -> None:
    seeds = range(4)
    by_model, at_random = ([found_by(name, seed) for seed in seeds] for name in ("model", "random"))
    assert statistics.fmean(by_model) > statistics.fmean(at_random) + 0.1
    assert all(a >= b - 0.1 for a, b in zip(by_model, at_random, strict=True))
