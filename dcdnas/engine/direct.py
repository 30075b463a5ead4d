"""Drives a direct sampler, which proposes from the known trials without Optuna; the counterpart of `study`."""

from __future__ import annotations

from collections.abc import Sequence

from dcdnas.core.geometry import Setting
from dcdnas.core.trial import LOST, Trial
from dcdnas.engine.samplers import Direct, Known
from dcdnas.networks import identity
from dcdnas.space.search_space import Decisions


class DirectStudy:
    """Keeps the proposals of a direct sampler and their results.

    Args:
        sampler: the sampler that proposes.
    """

    def __init__(self, sampler: Direct) -> None:
        self.sampler = sampler
        self._told: dict[int, Trial] = {}
        self._running: dict[int, dict[str, Setting]] = {}
        self._tickets = 0

    def ask(self) -> tuple[int, dict[str, Setting]] | None:
        """Returns a ticket and the decisions that the sampler proposes; None when it finds no new network."""
        decisions = self.sampler.propose(self.known)
        return None if decisions is None else self.ask_fixed(decisions)

    def ask_fixed(self, decisions: Decisions) -> tuple[int, dict[str, Setting]]:
        """Returns a ticket for decisions that did not come from the sampler."""
        self._tickets += 1
        self._running[self._tickets] = dict(decisions)
        return self._tickets, self._running[self._tickets]

    def tell(self, ticket: int, trial: Trial) -> None:
        """Records the result of a proposal."""
        self._running.pop(ticket)
        self.remember([trial])

    def remember(self, trials: Sequence[Trial]) -> dict[int, int]:
        """Records trials, also those of an earlier session.

        Returns:
            Tickets of the trials that have not ended, by trial number.
        """
        self._told |= {t.number: t for t in trials if t.state not in LOST}
        unended = sorted((t for t in trials if t.state in LOST), key=lambda t: t.number)
        return {t.number: self.ask_fixed(t.decisions)[0] for t in unended}

    @property
    def asked(self) -> int:
        """Number of networks that were asked for."""
        return len(self._told) + len(self._running)

    @property
    def known(self) -> Known:
        """Everything that a proposal depends on, apart from the seed."""
        trials = tuple(self._told[number] for number in sorted(self._told))
        running = tuple(self._running.values())
        names = {t.deployed or identity(t.architecture) for t in trials}
        names |= {identity(self.sampler.search.space.architecture(decisions)) for decisions in running}
        return Known(trials, running, frozenset(names))
