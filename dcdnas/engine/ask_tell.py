"""A search for a loop of one's own: it hands out networks and is told what they reached; dcdnas trains nothing.

The rules are those of every search: each network is priced first, within the budgets and new, and every event is written at
once, into a run that all commands read.
"""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from dcdnas.core.architecture import Architecture
from dcdnas.core.lock import FolderLock
from dcdnas.core.plugins import offer_recorded
from dcdnas.core.trial import ENDED, Ending, Score, Trial
from dcdnas.cost import price, with_always
from dcdnas.engine import latency
from dcdnas.engine.config import SearchConfig
from dcdnas.engine.job import Job, Outcome
from dcdnas.engine.loop import SearchLoop
from dcdnas.engine.planning.own_loop import run_of_own_loop
from dcdnas.engine.signals import Wish, clear_request, requested
from dcdnas.engine.store import Store
from dcdnas.errors import RunError, UsageError, nearest
from dcdnas.tasks import ASK_TELL, Objective


class Search:
    """Asks for networks to train and tells what they reached; a context manager, or to be closed.

    Several networks may be asked for before one is told. What was asked for and not told when the search is closed, or its
    process dies, is handed out again first when the same search is made again.

    Args:
        space: a shipped space's name or a space file; None takes the smallest that holds the budget.
        budget: one or several bounds, like ``"300MFLOPs"``.
        objectives: what is told of each network, the first one first: it says which network is best. All are weighed. The
            accuracy, as a share of 1, when left out.
        measuring: told what is measured and which share of it is done, where a latency is priced.
        **settings: ``name`` of the run, by which alone it is found again; ``trials`` to tell, 50 when left out; ``sampler``,
            ``seed``, ``starts``, ``chances``, ``minimize``, ``start_from``, ``latency_table``, ``latency_device``, as in
            `dcdnas.engine.planning.settings.SearchSettings`.

    Raises:
        UsageError: for a setting that is unknown or cannot be used.
        RunError: when another process searches the run, or the folder holds another search.
        NothingFitsError: when no network of the space meets the budget.
    """

    def __init__(
        self,
        space: str | Path | None = None,
        budget: str | Sequence[str] = (),
        objectives: Sequence[Objective] = (),
        measuring: Any = lambda what, share: None,
        **settings: Any,
    ) -> None:
        budgets = [budget] if isinstance(budget, str) else list(budget)
        self.folder = run_of_own_loop(None if space is None else str(space), budgets, objectives, settings, measuring)
        self.config = _config_of(self.folder)
        self._space, _ = latency.space_and_table_of(self.folder, self.config)
        self._metrics = with_always([*(b.metric for b in self.config.budgets), *self.config.minimize])
        with ExitStack() as held:
            lock = held.enter_context(FolderLock(self.folder))
            store = held.enter_context(closing(Store(self.folder, "w")))
            store.claim(lock.token)
            store.set_ending(None)
            clear_request(self.folder)
            # a network is not to blame when the loop that trains it goes down
            self._loop = SearchLoop(self.config, self._space, store, control=_wishes(self.folder, lock), died=False)
            self._held = held.pop_all()
        self._open = True
        self._asked: dict[str, Job] = {}
        self._again: deque[Job] = deque()
        for _ in range(self._loop.interrupted):
            job = self._handed_out()
            if job is not None:
                self._again.append(job)

    def ask(self) -> Architecture | None:
        """The next network to train: within the budgets, and none that was handed out before.

        Returns:
            None when there is none now: when `ending` says that the search is over, else until a network is told.
        """
        self._check_open()
        while self._again and self._loop.control().ending is None:
            job = self._again.popleft()
            if job.architecture.digest in self._asked:
                return job.architecture
        fresh = self._handed_out()
        return fresh.architecture if fresh else None

    def price(self, architecture: Architecture) -> dict[str, float]:
        """What a network costs, by metric: those of the budgets and objectives, FLOPs and parameters.

        Raises:
            UsageError: when it cannot be built.
        """
        return dict(price(architecture, self._metrics, self._space.prices).values)

    def tell(self, network: Architecture | str, values: Mapping[str, float] | None = None, failed: str = "") -> Trial:
        """Takes what became of a network that was asked for; it is written when this returns.

        Args:
            network: that `ask` returned, or its digest.
            values: a finite number for each objective by its name.
            failed: why it has none, in place of `values`.

        Returns:
            The trial, with number, state and cost.

        Raises:
            UsageError: when the network is not waited for, or the values are not those of the objectives.
        """
        self._check_open()
        digest = network if isinstance(network, str) else network.digest
        job = self._asked.get(digest)
        if job is None:
            raise UsageError(self._not_waited_for(digest))
        if bool(failed) == (values is not None):
            raise UsageError(f"network {digest}: tell either its values, or why it failed.")
        took = time.time() - self.trial(digest).started
        outcome = Outcome(None, failed) if values is None else Outcome(Score(self._checked(values), job.task.epochs, took))
        self._loop.end(job, outcome)
        del self._asked[digest]
        return self._loop.trials[job.number]

    def trial(self, digest: str) -> Trial:
        """The trial of a network that was asked for and not told."""
        return self._loop.trials[self._asked[digest].number]

    @property
    def outstanding(self) -> tuple[Architecture, ...]:
        """The networks that were asked for and not told, also by an earlier process, in the order in which they were."""
        return tuple(job.architecture for job in self._asked.values())

    @property
    def told(self) -> int:
        """Networks whose values were told, which `trials` counts."""
        return self._loop.ended

    @property
    def front(self) -> tuple[Trial, ...]:
        """The trials that no other one is better than in every objective and cost."""
        return self._loop.standing.front

    @property
    def ending(self) -> Ending | None:
        """How the search has ended; None while there is something left to ask for or to tell."""
        return None if self._asked else self._loop.ending

    def close(self) -> None:
        """Ends it for now, and lets another process go on."""
        if not self._open:
            return
        self._open = False
        with self._held:
            if self.ending is None:
                self._loop.interrupt()
            ending = self._loop.ending or Ending.INTERRUPTED
            self._loop.store.set_ending(ending, self._loop.reason or ending.sentence)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def _handed_out(self) -> Job | None:
        job = self._loop.next()
        if not isinstance(job, Job):
            return None
        self._asked[job.architecture.digest] = job
        return job

    def _check_open(self) -> None:
        if not self._open:
            raise UsageError(f"the search of {self.folder} is closed. Go on with dcdnas.Search(name={self.folder.name!r}).")

    def _not_waited_for(self, digest: str) -> str:
        told = (t for t in self._loop.trials.values() if t.architecture.digest == digest and t.state in (*ENDED, "failed"))
        before = next(told, None)
        if before:
            return f"network {digest} was told already: trial {before.number} has {before.state}. What was told first stays."
        return (
            f"network {digest} was not asked for, so nothing can be told of it: only ask hands out networks. To begin with "
            "networks of an earlier run, make the search with start_from."
        )

    def _checked(self, values: Mapping[str, float]) -> dict[str, float]:
        """The values in the order of the objectives.

        Raises:
            UsageError: when one is missing, unknown, no finite number or better than can be.
        """
        names = [o.name for o in self.config.objectives]
        unknown = next((str(name) for name in values if name not in names), None)
        if unknown is not None:
            raise UsageError(f"no objective is called {unknown!r}. {nearest(unknown, names)}")
        for o in self.config.objectives:
            if o.name not in values:
                raise UsageError(f"no value for {o.name}. Tell a number for each of: {', '.join(names)}.")
            value = values[o.name]
            if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
                raise UsageError(
                    f"{o.name} cannot be {value!r}. Allowed: a finite number; a network without one is told as failed."
                )
            if o.better(value, o.best):
                raise UsageError(f"{o.name} cannot be {value:g}: the best possible value is {o.best:g}. Is it in another unit?")
        return {name: float(values[name]) for name in names}


def _config_of(folder: Path) -> SearchConfig:
    """What the run is, when it is one of a loop of somebody's own."""
    config = SearchConfig.to_go_on(folder / "search.yaml")
    if config.task.own != ASK_TELL:
        raise RunError(f"{folder} is a search whose networks dcdnas trains. Go on with `dcdnas resume {folder.name}`.")
    offer_recorded(folder, config.plugins, go_on=True)
    return config


def _wishes(folder: Path, lock: FolderLock) -> Any:
    """What is asked of this process: by another one that took its run, or by `dcdnas stop`."""
    return lambda: Wish(Ending.TAKEN_OVER, now=True) if lock.lost else requested(folder)
