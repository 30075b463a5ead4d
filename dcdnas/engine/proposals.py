"""Decides which network to try next: lost trainings, the static ladder, an earlier front, random starts, then the sampler."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from itertools import islice

from dcdnas.core.architecture import Architecture
from dcdnas.core.geometry import Cost
from dcdnas.core.trial import Trial
from dcdnas.cost import with_always
from dcdnas.engine.config import SearchConfig
from dcdnas.engine.direct import DirectStudy
from dcdnas.engine.job import derived_seed
from dcdnas.engine.recovery import check_options, postponed
from dcdnas.engine.samplers import Search, samplers
from dcdnas.engine.study import Study
from dcdnas.networks import identity
from dcdnas.space.pricing.cost import Priced, draws_within, priced
from dcdnas.space.pricing.ladder import static_ladder
from dcdnas.space.search_space import Decisions, SearchSpace

DRAWS = 3000
"""Number of random networks within the budget after which, if all of them are known, the space counts as exhausted."""


EARLIER = "start-from"
"""The origin of networks from the front of an earlier run."""


@dataclass(frozen=True)
class Proposal:
    """A priced network that may become a trial.

    Args:
        ticket: ticket of the study, with which the result is told.
        decisions: decisions of the space.
        architecture: the architecture that the decisions define.
        deployed: identity of the architecture, see `dcdnas.networks.identity`.
        cost: cost at deployment.
        origin: who proposes it, see `dcdnas.core.trial.Trial`.
        number: number of the trial whose lost training is repeated; None for a new trial.
        lost: how often a driver or machine died while the network was training.
    """

    ticket: int
    decisions: Decisions
    architecture: Architecture
    deployed: str
    cost: Cost
    origin: str
    number: int | None = None
    lost: int = 0


class Proposer:
    """Proposes networks and tells the sampler their results.

    Args:
        config: config of the search.
        space: the space compiled from it.
        past: trials of earlier sessions; those that have not ended are proposed again.

    Raises:
        RunError: when the trials are of another space.
    """

    def __init__(self, config: SearchConfig, space: SearchSpace, past: Collection[Trial]) -> None:
        self.config, self.space = config, space
        self._study = _study(config, space)
        check_options(space, past)
        tickets = self._study.remember(list(past))
        self._metrics = with_always([*(b.metric for b in config.budgets), *config.minimize])
        begun = {t.deployed for t in past}
        ladder = static_ladder(space, config.budgets, config.minimize)[: max(1, config.starts)]
        self._ladder = deque((rung, origin(i)) for i, rung in enumerate(ladder) if identity(rung.architecture) not in begun)
        taken = _asked(past, EARLIER)
        self._earlier = deque(config.start_from.get("networks", ())[taken:])
        self._draws_left = config.starts - len(ladder) - _asked(past, "start")
        self._again: deque[Proposal] = deque()
        self._last: deque[Proposal] = deque()
        for trial in (t for t in past if t.number in tickets):
            found = Priced(trial.decisions, trial.architecture, trial.cost)
            self.again(_proposal(tickets[trial.number], found, trial.origin), trial)

    def again(self, proposal: Proposal, trial: Trial) -> None:
        """Queues a network whose training was lost: before all others, or after them when it was lost too often."""
        queue = self._last if postponed(trial) else self._again
        queue.append(replace(proposal, number=trial.number, lost=trial.lost))

    @property
    def lost(self) -> bool:
        """Whether the next proposal repeats a lost training."""
        return bool(self._again)

    @property
    def last(self) -> deque[Proposal]:
        """Networks that are trained after all others have ended, one at a time."""
        return self._last

    def next(self, known: Callable[[str], bool], at_random: bool) -> Proposal | None:
        """Returns the next proposal.

        Args:
            known: predicate of an identity that is true when its network needs no training; random draws skip those networks.
            at_random: draw at random instead of asking the sampler, because the sampler has proposed nothing new for long.

        Returns:
            None when every random draw within the budget is known, so that the space counts as exhausted.
        """
        if self._again:
            return self._again.popleft()
        if self._ladder:
            return self._fixed(*self._ladder.popleft())
        if self._earlier:
            return self._fixed(priced(self.space, self._earlier.popleft(), self._metrics), EARLIER)
        if self._draws_left > 0 or at_random:
            self._draws_left -= 1
            return self._drawn(known)
        asked = self._study.ask()
        if asked is None:
            return self._drawn(known)
        ticket, decisions = asked
        return _proposal(ticket, priced(self.space, decisions, self._metrics), self.config.sampler)

    def tell(self, ticket: int, trial: Trial) -> None:
        """Tells the sampler the result of a proposal."""
        self._study.tell(ticket, trial)

    def _drawn(self, known: Callable[[str], bool]) -> Proposal | None:
        """Draws a random unknown network within the budgets; None when all `DRAWS` draws are known."""
        rng = random.Random(derived_seed(self.config.seed, f"draw {self._study.asked}"))
        draws = draws_within(self.space, self.config.budgets, rng, chances=self.config.chances, also=self.config.minimize)
        drawn = next((d for d in islice(draws, DRAWS) if not known(identity(d.architecture))), None)
        return self._fixed(drawn, "start") if drawn else None

    def _fixed(self, found: Priced, origin: str) -> Proposal:
        ticket, _ = self._study.ask_fixed(found.decisions)
        return _proposal(ticket, found, origin)


def _study(config: SearchConfig, space: SearchSpace) -> Study | DirectStudy:
    """Builds the study that asks the search's sampler."""
    sampler = samplers[config.sampler]
    if sampler.direct is not None:
        return DirectStudy(sampler.direct(Search(space, config.budgets, config.goals, config.seed)))
    return Study(space, config.budgets, config.goals, sampler, config.seed, config.trials, config.task.epochs)


def _proposal(ticket: int, found: Priced, origin: str) -> Proposal:
    return Proposal(ticket, found.decisions, found.architecture, identity(found.architecture), found.cost, origin)


def origin(rung: int) -> str:
    """Origin of a rung of the static ladder; the first rung, the most expensive one, is the static reference."""
    return "ladder" if rung else "static"


def _asked(past: Collection[Trial], who: str) -> int:
    """Counts the networks of origin `who`."""
    return sum(t.origin == who for t in past)
