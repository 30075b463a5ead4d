"""What to try next: interrupted networks, the static reference, an earlier front, random starts in budget, then the sampler."""

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
        seed: of its training, when that is fixed.
        lost: how often a driver went down while it was training.
    """

    ticket: int
    decisions: Decisions
    architecture: Architecture
    deployed: str
    cost: Cost
    origin: str
    seed: int | None = None
    lost: int = 0


class Proposer:
    """Proposes networks, and tells the sampler what became of them.

    Args:
        config: of the search.
        space: compiled from it.
        past: trials of earlier sessions.
    """

    def __init__(self, config: SearchConfig, space: SearchSpace, past: Collection[Trial]) -> None:
        self.config, self.space = config, space
        # a resumed search must not draw again what it has drawn before
        seed = derived_seed(config.seed, f"session at {len(past)}") if past else config.seed
        self._study = _study(config, space, seed)
        self._study.remember(list(past))
        self._draws = draws_within(space, config.budgets, random.Random(seed), chances=config.chances, also=config.minimize)
        self._metrics = with_always([*(b.metric for b in config.budgets), *config.minimize])
        begun = {t.deployed for t in past}
        ladder = static_ladder(space, config.budgets, config.minimize)[: max(1, config.starts)]
        self._ladder = deque((rung, origin(i)) for i, rung in enumerate(ladder) if identity(rung.architecture) not in begun)
        taken = _asked(past, EARLIER)
        self._earlier = deque(config.start_from.get("networks", ())[taken:])
        self._draws_left = config.starts - len(ladder) - _asked(past, "start")
        self._again: deque[Trial] = deque()

    def again(self, trial: Trial) -> None:
        """Puts a network that was interrupted at the head of the queue."""
        self._again.append(trial)

    def next(self, known: Callable[[str], bool], at_random: bool) -> Proposal | None:
        """The next network to look at.

        Args:
            known: whether the network of an identity needs no training, for the random draws.
            at_random: leave the sampler out, because it has proposed nothing new for long.

        Returns:
            None when every random draw within the budget is known: the space is exhausted.
        """
        if self._again:
            trial = self._again.popleft()
            again = self._fixed(Priced(trial.decisions, trial.architecture, trial.cost), trial.origin)
            return replace(again, seed=trial.seed, lost=trial.lost)
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
        drawn = next((d for d in islice(self._draws, DRAWS) if not known(identity(d.architecture))), None)
        return self._fixed(drawn, "start") if drawn else None

    def _fixed(self, found: Priced, origin: str) -> Proposal:
        ticket, _ = self._study.ask_fixed(found.decisions)
        return _proposal(ticket, found, origin)


def _study(config: SearchConfig, space: SearchSpace, seed: int) -> Study | DirectStudy:
    """Asks the search's sampler; `seed` is this session's."""
    sampler = samplers[config.sampler]
    if sampler.direct is not None:
        return DirectStudy(sampler.direct(Search(space, config.budgets, config.goals, config.seed)))
    return Study(space, config.budgets, config.goals, sampler, seed, config.trials, config.task.epochs)


def _proposal(ticket: int, found: Priced, origin: str) -> Proposal:
    return Proposal(ticket, found.decisions, found.architecture, identity(found.architecture), found.cost, origin)


def origin(rung: int) -> str:
    """Of a rung of the static ladder: the first one, the dearest, is the static reference."""
    return "ladder" if rung else "static"


def _asked(past: Collection[Trial], who: str) -> int:
    """Networks that were proposed by `who`; one that was interrupted and asked again counts once."""
    return len({t.deployed for t in past if t.origin == who})
