"""What to try next: what was lost in training, the static reference, an earlier front, random starts, then the sampler."""

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
from dcdnas.engine.recovery import postponed
from dcdnas.engine.samplers import Search, samplers
from dcdnas.engine.study import Study
from dcdnas.networks import identity
from dcdnas.space.pricing.cost import Priced, draws_within, priced
from dcdnas.space.pricing.ladder import static_ladder
from dcdnas.space.search_space import Decisions, SearchSpace

DRAWS = 3000
"""Random networks within the budget that may all be known before the space counts as exhausted."""


EARLIER = "start-from"
"""The origin of networks from the front of an earlier run."""


@dataclass(frozen=True)
class Proposal:
    """A priced network that may become a trial.

    Args:
        ticket: of the study that has to be told.
        decisions: of the space.
        architecture: that they make.
        deployed: its identity, see `dcdnas.networks.identity`.
        cost: at deployment.
        origin: who proposes it.
        number: of its trial, where its training was lost and is done again; None for a new one.
        lost: how often a driver or machine went down while it was training.
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
    """Proposes networks, and tells the sampler what became of them.

    Args:
        config: of the search.
        space: compiled from it.
        past: trials of earlier sessions. What they left unended is proposed again.
    """

    def __init__(self, config: SearchConfig, space: SearchSpace, past: Collection[Trial]) -> None:
        self.config, self.space = config, space
        self._study = _study(config, space)
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
        """Takes back a network whose training was lost: it is the next one, or the last one where that happened too often."""
        queue = self._last if postponed(trial) else self._again
        queue.append(replace(proposal, number=trial.number, lost=trial.lost))

    @property
    def lost(self) -> bool:
        """Whether the next network is one whose training was lost."""
        return bool(self._again)

    @property
    def last(self) -> deque[Proposal]:
        """Networks that are to be trained when all others have ended, each alone."""
        return self._last

    def next(self, known: Callable[[str], bool], at_random: bool) -> Proposal | None:
        """The next network to look at.

        Args:
            known: whether the network of an identity needs no training, for the random draws.
            at_random: leave the sampler out, because it has proposed nothing new for long.

        Returns:
            None when every random draw within the budget is known: the space is exhausted.
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
        """What became of a proposal."""
        self._study.tell(ticket, trial)

    def _drawn(self, known: Callable[[str], bool]) -> Proposal | None:
        """A random network within the budgets that is not known; None when all are that were drawn."""
        rng = random.Random(derived_seed(self.config.seed, f"draw {self._study.asked}"))
        draws = draws_within(self.space, self.config.budgets, rng, chances=self.config.chances, also=self.config.minimize)
        drawn = next((d for d in islice(draws, DRAWS) if not known(identity(d.architecture))), None)
        return self._fixed(drawn, "start") if drawn else None

    def _fixed(self, found: Priced, origin: str) -> Proposal:
        ticket, _ = self._study.ask_fixed(found.decisions)
        return _proposal(ticket, found, origin)


def _study(config: SearchConfig, space: SearchSpace) -> Study | DirectStudy:
    """Asks the search's sampler."""
    sampler = samplers[config.sampler]
    if sampler.direct is not None:
        return DirectStudy(sampler.direct(Search(space, config.budgets, config.goals, config.seed)))
    return Study(space, config.budgets, config.goals, sampler, config.seed, config.trials, config.task.epochs)


def _proposal(ticket: int, found: Priced, origin: str) -> Proposal:
    return Proposal(ticket, found.decisions, found.architecture, identity(found.architecture), found.cost, origin)


def origin(rung: int) -> str:
    """Of a rung of the static ladder: the first one, the dearest, is the static reference."""
    return "ladder" if rung else "static"


def _asked(past: Collection[Trial], who: str) -> int:
    """How many networks were proposed by `who`."""
    return sum(t.origin == who for t in past)
