"""The contract of a sampler: what it proposes in a small space, and which results it must cope with."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache, partial
from typing import Any

from dcdnas.core.budget import Budget
from dcdnas.core.objective import Goals
from dcdnas.core.plugins import require, rules_of
from dcdnas.core.trial import Score, State, Trial
from dcdnas.core.yaml_lines import Document
from dcdnas.engine.samplers import Sampler
from dcdnas.engine.study import Study
from dcdnas.space.pricing.cost import draw, priced
from dcdnas.space.reading.reader import Compiler
from dcdnas.space.search_space import Decisions, SearchSpace
from dcdnas.tasks import ACCURACY
from dcdnas.testing import direct
from dcdnas.testing.rules import kept

EPOCHS = 3

ENDED: Mapping[State, int] = {"finished": EPOCHS, "stopped": 1, "replayed": EPOCHS, "refused": 0}
"""Epochs of a trial by the state in which it ends."""

SPACE: dict[str, Any] = {
    "format": "dcdnas/space-1",
    "name": "small",
    "network": "mobilenetv2",
    "input": [1, 8, 8],
    "classes": 10,
    "settings": {
        "channels": [8, 16], "strides": [1, 2], "stem_channels": 8, "stem_stride": 1, "head_channels": 16,
        "width": [1.0, 2.0, 3.0], "depth": [1, 2], "kernel_size": {"share": "block", "*": [3, 5]},
        "expansion": {"share": "network", "*": [2, 3, 4]},
    },
    "slots": {"*.expand": {"share": "network", "static": None, "odconv": {"num_kernels": [1, 2]}}},
}  # fmt: skip
"""972 networks, with decisions that exist only where a stage is deep enough."""


def check_sampler(sampler: Sampler) -> None:
    """Checks a sampler by the rules that the package's own samplers keep.

    Args:
        sampler: to be checked.

    Raises:
        ContractError: at the first broken rule, with what was found.
    """
    kept("the rules of a sampler", partial(rules_of("sampler"), "", sampler))
    if sampler.direct is not None:
        for rule, by_itself in direct.RULES.items():
            kept(rule, partial(by_itself, sampler.direct, space()))
        return
    for rule, check in RULES.items():
        kept(rule, partial(check, sampler, space()))


@cache
def space() -> SearchSpace:
    """Builds the space in which samplers are checked."""
    return Compiler(Document("the checks' space", SPACE, {})).space()


def study_of(sampler: Sampler, space: SearchSpace, seed: int = 0) -> Study:
    """Creates a study of 40 trainings with one budget."""
    return Study(space, (Budget("flops", 5e5),), Goals((ACCURACY,), ("flops",)), sampler, seed, 40, EPOCHS)


def ended(space: SearchSpace, decisions: Decisions, state: State, number: int = 0, accuracy: float = 0.5) -> Trial:
    """Creates a trial in its final state.

    Args:
        space: of the trial.
        decisions: that describe its network.
        state: in which it ends.
        number: of the trial.
        accuracy: of the trial, unless it has no score in this state.
    """
    found, epochs = priced(space, decisions), ENDED.get(state, 0)
    return Trial(
        number,
        state,
        found.architecture,
        found.decisions,
        found.cost,
        Score({"accuracy": accuracy, "loss": 1.0}, epochs, 1.0) if epochs else None,
    )


def proposes_outcomes(sampler: Sampler, space: SearchSpace) -> None:
    """A sampler proposes outcomes of the space."""
    study, options = study_of(sampler, space), {d.name: d.options for d in space.decisions}
    for number in range(25):
        ticket, decisions = study.ask()
        strange = {key: value for key, value in decisions.items() if value not in options.get(key, ())}
        require(not strange, f"{strange} is not an option")
        again = space.decide(lambda key, _, made=decisions: made[key])  # type: ignore[misc]
        require(again == decisions, "a decision that does not exist is proposed, or one is missing")
        study.tell(ticket, ended(space, decisions, "finished", number))


def function_of_its_seed(sampler: Sampler, space: SearchSpace) -> None:
    """The same seed proposes the same networks after the same results, another seed proposes others."""

    def outcomes(seed: int) -> list[Decisions]:
        study = study_of(sampler, space, seed)
        found: list[Decisions] = []
        for number in range(15):
            ticket, decisions = study.ask()
            found.append(decisions)
            study.tell(ticket, ended(space, decisions, "finished", number, accuracy=len(str(decisions)) % 7 / 7))
        return found

    require(outcomes(1) == outcomes(1), "two searches with one seed differ")
    require(outcomes(1) != outcomes(2), "two seeds propose the same 15 networks")


def proposes_what_is_fixed(sampler: Sampler, space: SearchSpace) -> None:
    """Decisions that are fixed are proposed unchanged."""
    study, rng = study_of(sampler, space), random.Random(3)
    for number in range(10):
        wanted = draw(space, rng)
        ticket, decisions = study.ask_fixed(wanted)
        require(decisions == wanted, f"{wanted} becomes {decisions}")
        study.tell(ticket, ended(space, decisions, "finished", number))


def bears_every_state(sampler: Sampler, space: SearchSpace) -> None:
    """A sampler continues after results of every state."""
    study, rng = study_of(sampler, space), random.Random(0)
    for number in range(40):
        ticket, decisions = study.ask()
        study.tell(ticket, ended(space, decisions, _any_state(rng), number, rng.random()))


def goes_on_when_resumed(sampler: Sampler, space: SearchSpace, cuts: tuple[int, ...] = (0, 3, 22)) -> None:
    """A resumed search proposes what it would have proposed without the interruption."""
    study, rng, whole = study_of(sampler, space), random.Random(0), []
    for number in range(26):
        ticket, decisions = study.ask()
        whole.append(ended(space, decisions, _any_state(rng), number, rng.random()))
        study.tell(ticket, whole[-1])
    for cut in cuts:  # the trials come back in any order; one was lost with its driver and is trained again
        resumed, past = study_of(sampler, space), whole[:cut]
        random.Random(cut).shuffle(past)
        tickets = resumed.remember([*past, replace(whole[cut], state="interrupted", score=None)])
        resumed.tell(tickets[cut], whole[cut])
        for trial in whole[cut + 1 :]:
            ticket, decisions = resumed.ask()
            require(decisions == trial.decisions, f"resumed after {cut} trainings, it proposes other networks")
            resumed.tell(ticket, trial)


def _any_state(rng: random.Random) -> State:
    return rng.choice([*ENDED, "failed"])


RULES: Mapping[str, Callable[[Sampler, SearchSpace], None]] = {
    (check.__doc__ or "").rstrip("."): check
    for check in (proposes_outcomes, function_of_its_seed, proposes_what_is_fixed, bears_every_state, goes_on_when_resumed)
}
"""The checks, by their rules in words."""
