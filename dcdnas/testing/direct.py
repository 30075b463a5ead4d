"""The contract of a direct sampler, which proposes from all known trials: new networks within the budgets, reproducibly."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import replace

from dcdnas.core.budget import Budget, within
from dcdnas.core.objective import Goals
from dcdnas.core.plugins import require
from dcdnas.core.trial import FailureKind, Score, State, Trial
from dcdnas.engine.direct import DirectStudy
from dcdnas.engine.samplers import Direct, Search
from dcdnas.networks import identity
from dcdnas.space.pricing.cost import priced
from dcdnas.space.search_space import Decisions, SearchSpace
from dcdnas.tasks import ACCURACY

BUDGETS = (Budget("flops", 5e5),)
GOALS = Goals((ACCURACY,), ("flops",))

EPOCHS: Mapping[str, int] = {"finished": 3, "replayed": 3, "stopped": 1}
"""Epochs of a trial by the state in which it ends; 0 for other states."""

Kind = type[Direct]


def study_of(sampler: Kind, space: SearchSpace, seed: int = 0) -> DirectStudy:
    """Creates a study with one budget."""
    return DirectStudy(sampler(Search(space, BUDGETS, GOALS, seed)))


def ended(space: SearchSpace, decisions: Decisions, number: int, state: State = "finished") -> Trial:
    """Creates a trial with the accuracy of a simulated training: more compute is better, with noise.

    Args:
        space: of the trial.
        decisions: that describe its network.
        number: of the trial.
        state: in which it ends.
    """
    found = priced(space, decisions, ("flops", "params", "activations"))
    accuracy, epochs = 1 - 30 * found.cost["flops"] ** -0.4 + random.Random(number).gauss(0, 0.01), EPOCHS.get(state, 0)
    score = Score({"accuracy": accuracy, "loss": 2 - accuracy}, epochs, 1.0) if epochs else None
    failure = FailureKind.RAISED if state == "failed" else None
    name = identity(found.architecture)
    return Trial(number, state, found.architecture, decisions, found.cost, score, failure=failure, deployed=name)


def searched(
    asked: DirectStudy, space: SearchSpace, count: int, state: Callable[[int], State] = lambda number: "finished"
) -> list[Trial]:
    """Returns trials proposed one after the other; the sampler is told the result of each at once.

    Args:
        asked: study that proposes.
        space: of the proposed networks.
        count: number of proposals.
        state: in which each trial ends, by its number.
    """
    first, found = len(asked.known.trials), []
    for number in range(first, first + count):
        proposed = asked.ask()
        require(proposed is not None, f"nothing is proposed after {number} of {space.size} networks")
        ticket, decisions = proposed or (0, {})
        found.append(ended(space, decisions, number, state(number)))
        asked.tell(ticket, found[-1])
    return found


def proposes_what_is_new(sampler: Kind, space: SearchSpace) -> None:
    """A proposal is a new network within the budget, in whatever states the other trials ended."""
    rng = random.Random(1)
    states: list[State] = ["finished", "finished", "stopped", "refused", "failed", "replayed"]
    found = searched(study_of(sampler, space), space, 30, lambda number: rng.choice(states))
    options = {d.name: d.options for d in space.decisions}
    for trial in found:
        made = trial.decisions
        require(within(trial.cost, BUDGETS), f"trial {trial.number} is over the budget")
        require(all(value in options[key] for key, value in made.items()), f"{dict(made)} has a value that is not an option")
        again = space.decide(lambda key, _, made=made: made[key])  # type: ignore[misc]
        require(again == made, "a decision that does not exist is proposed, or one is missing")
    different = len({t.deployed for t in found})
    require(different == len(found), f"of {len(found)} proposals {different} are different networks")


def function_of_its_seed(sampler: Kind, space: SearchSpace) -> None:
    """The same seed proposes the same networks after the same results, another seed proposes others."""
    one, same, other = ([t.decisions for t in searched(study_of(sampler, space, seed), space, 12)] for seed in (1, 1, 2))
    require(one == same, "two searches with one seed differ")
    require(one != other, "two seeds propose the same 12 networks")


def goes_on_when_resumed(sampler: Kind, space: SearchSpace, cuts: tuple[int, ...] = (0, 7)) -> None:
    """A resumed search continues as if it had not been interrupted."""

    def state(number: int) -> State:
        return "failed" if number == 5 else "finished"

    whole = searched(study_of(sampler, space), space, 14, state)
    for cut in cuts:  # the trials come back in any order; one was lost with its driver and is re-queued
        resumed, past = study_of(sampler, space), whole[:cut]
        random.Random(cut).shuffle(past)
        tickets = resumed.remember([*past, replace(whole[cut], state="interrupted", score=None)])
        resumed.tell(tickets[cut], whole[cut])
        rest = searched(resumed, space, 13 - cut, state)
        same = [t.decisions for t in rest] == [t.decisions for t in whole[cut + 1 :]]
        require(same, f"resumed after {cut} trainings, it proposes other networks")


def leaves_what_is_running(sampler: Kind, space: SearchSpace) -> None:
    """A network that is being trained is not proposed again."""
    asked = study_of(sampler, space)
    searched(asked, space, 10)
    proposed = [found for found in (asked.ask() for _ in range(6)) if found is not None]
    names = {identity(space.architecture(decisions)) for _, decisions in proposed}
    require(len(names) == 6, f"of 6 simultaneous proposals {len(names)} are different networks")
    require(not names & {t.deployed for t in asked.known.trials}, "a network that was trained is proposed again")
    for ticket, decisions in reversed(proposed):
        asked.tell(ticket, ended(space, decisions, 100 + ticket))


RULES: Mapping[str, Callable[[Kind, SearchSpace], None]] = {
    (check.__doc__ or "").rstrip("."): check
    for check in (proposes_what_is_new, function_of_its_seed, goes_on_when_resumed, leaves_what_is_running)
}
"""The checks, by their rules in words."""
