from __future__ import annotations

import random
import statistics
from collections.abc import Callable, Mapping
from dataclasses import replace
from itertools import islice

from searching import config

from dcdnas.core.trial import Score, State, Trial
from dcdnas.engine.confirm import to_confirm
from dcdnas.engine.samplers import Search, smoothed
from dcdnas.networks import identity
from dcdnas.space.pricing.cost import draws_within

SEARCH = Search(config().build_space(), config().budgets, config().goals)
Read = Callable[[int], Mapping[str, float]]


def by_accuracy(*values: float) -> Read:
    return lambda n: {"accuracy": values[n]}


def trials(count: int, read: Read, seed: int = 0) -> list[Trial]:
    """The cheapest of 24 different networks within the budget, in the order of their multiply-adds."""
    drawn = {identity(d.architecture): d for d in islice(draws_within(SEARCH.space, SEARCH.budgets, random.Random(seed)), 400)}
    found = sorted(list(drawn.items())[:24], key=lambda pair: pair[1].cost["flops"])[:count]
    return [
        Trial(n, "finished", d.architecture, d.decisions, d.cost, Score(read(n), 3, 1.0), deployed=name)
        for n, (name, d) in enumerate(found)
    ]


def static(number: int, accuracy: float, state: State = "finished") -> Trial:
    last = trials(number + 1, lambda _: {"accuracy": accuracy})[number]
    return replace(last, origin="static", state=state)


def numbers(found: list[Trial]) -> list[int]:
    return [t.number for t in found]


def test_of_few_networks_those_that_read_best_are_confirmed_and_the_static_reference() -> None:
    found = trials(2, by_accuracy(0.8, 0.9))
    assert numbers(to_confirm(SEARCH, [*found, static(2, 0.1)], 2)) == [1, 0, 2]


def test_a_network_below_the_front_may_be_the_best() -> None:
    """The first two are as good as one can tell, and the dearer of them is dominated by chance."""
    found = trials(2, by_accuracy(0.9, 0.89))
    assert numbers(to_confirm(SEARCH, found, 2)) == [0, 1]


def test_a_reference_that_is_at_the_top_is_confirmed_once() -> None:
    assert numbers(to_confirm(SEARCH, [*trials(1, by_accuracy(0.7)), static(1, 0.9)], 2)) == [1, 0]


def test_a_reference_that_failed_is_not_confirmed() -> None:
    assert numbers(to_confirm(SEARCH, [*trials(2, by_accuracy(0.7, 0.6)), static(2, 0.9, "failed")], 1)) == [0]


def test_what_read_best_is_confirmed_whatever_is_believed_of_it() -> None:
    """By accuracy the last one reads best, and by its loss it is the worst."""
    found = trials(6, lambda n: {"accuracy": 0.7 + n / 100, "loss": 0.3 + n / 10})
    assert numbers(to_confirm(SEARCH, found, 3)) == [0, 1, 5]
    assert numbers(to_confirm(SEARCH, found, 1)) == [0]


def test_networks_over_the_budget_are_not_confirmed() -> None:
    found = trials(2, by_accuracy(0.7, 0.6))
    dear = replace(found[0], cost=replace(found[0].cost, values={**found[0].cost.values, "flops": 1e12}))
    assert numbers(to_confirm(SEARCH, [dear, found[1]], 2)) == [1]


def test_of_the_trials_of_one_network_the_first_alone_is_confirmed() -> None:
    first, other = trials(2, by_accuracy(0.7, 0.6))
    again = replace(first, number=2, score=Score({"accuracy": 0.9}, 3, 1.0))
    reference = replace(other, number=3, origin="static")
    assert numbers(to_confirm(SEARCH, [first, other, again, reference], 2)) == [0, 1]


def test_networks_are_chosen_by_the_loss_where_there_is_one() -> None:
    found = trials(2, lambda n: {"accuracy": (0.7, 0.8)[n], "loss": (0.5, 0.9)[n]})
    assert numbers(to_confirm(SEARCH, found, 1)) == [0]


def test_nothing_is_confirmed_where_nothing_has_ended() -> None:
    assert to_confirm(SEARCH, [], 3) == []


def test_who_was_lucky_is_seen_through_by_the_trainings_of_its_like() -> None:
    """True accuracies rise with cost and are read with noise: what is chosen has to be better than what read best."""
    gains = []
    for seed in range(6):
        rng = random.Random(seed)
        true = [0.6 + 0.01 * n for n in range(24)]
        found = trials(24, by_accuracy(*(value + rng.gauss(0, 0.08) for value in true)), seed)
        looked = sorted(found, key=lambda t: -SEARCH.goals.gain(t))[:2]
        chosen = to_confirm(SEARCH, found, 3)[:2]
        gains.append(statistics.fmean(true[t.number] for t in chosen) - statistics.fmean(true[t.number] for t in looked))
    assert statistics.fmean(gains) > 0.01


def test_without_noise_the_order_stays() -> None:
    rng = random.Random(0)
    effect = {(d.name, o): rng.random() for d in SEARCH.space.decisions for o in d.options}
    found = trials(24, lambda _: {"accuracy": 0.5})
    total = [sum(effect[item] for item in t.decisions.items()) for t in found]
    read = trials(24, lambda n: {"accuracy": 0.5 + 0.3 * (total[n] - min(total)) / (max(total) - min(total))})
    believed = smoothed(SEARCH, read)
    assert believed.argmax() == max(range(24), key=total.__getitem__)
