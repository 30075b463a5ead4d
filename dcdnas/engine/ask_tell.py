"""Ask/tell interface for the user's own training loop: it proposes networks and takes their results; dcdnas trains nothing.

The rules are those of every search: each network is priced before it is handed out, lies within the budgets and is new. Every
event is written at once into a run that all commands can read.
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
from dcdnas.engine.job import Job, Outcome, in_one_line
from dcdnas.engine.loop import SearchLoop
from dcdnas.engine.planning.own_loop import run_of_own_loop
from dcdnas.engine.signals import Wish, clear_request, requested
from dcdnas.engine.store import Store
from dcdnas.errors import RunError, UsageError, nearest
from dcdnas.tasks import ASK_TELL, Objective


class Search:
    """A search with an ask/tell interface. Use it as a context manager, or call `close` at the end.

    Several networks may be asked for before the first result is told. If the search is closed or its process dies, networks
    without a result are handed out again first when the same search is opened again.

    Args:
        space: name of a shipped space, or a space file; None takes the smallest shipped space that holds the budget.
        budget: one or several bounds, like ``"300MFLOPs"``.
        objectives: the values that are told for each network; all of them are optimised, and the first one decides which
            network is best. Defaults to the accuracy, from 0 to 1.
        measuring: callback that gets what is measured and the share that is done, while a latency table is measured.
        **settings: ``name`` of the run, without which it cannot be opened again; ``trials``, the number of results to tell,
            50 by default; ``sampler``, ``seed``, ``starts``, ``chances``, ``minimize``, ``start_from``, ``latency_table`` and
            ``latency_device``, as in `dcdnas.engine.planning.settings.SearchSettings`.

    Raises:
        UsageError: for an unknown setting or an invalid value.
        RunError: when another process is searching the run, or the folder holds a different search.
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
        self._asked: dict[str, Job] = {}
        self._again: deque[Job] = deque()
        with ExitStack() as held:
            lock = held.enter_context(FolderLock(self.folder))
            store = held.enter_context(closing(Store(self.folder, "w")))
            store.claim(lock.token)
            before, _ = store.ending()
            store.set_ending(None)
            clear_request(self.folder)
            # died=False, because a network is not to blame when the user's loop that trains it dies
            self._loop = SearchLoop(self.config, self._space, store, control=_wishes(self.folder, lock), died=False)
            # a search that ended because its space was exhausted is asked once, so that `ending` is known from the start
            for _ in range(self._loop.interrupted or int(before is Ending.EXHAUSTED)):
                job = self._handed_out()
                if job is not None:
                    self._again.append(job)
            self._held = held.pop_all()
        self._open = True

    def ask(self) -> Architecture | None:
        """Returns the next network to train, which is within the budgets and was not handed out before in this session.

        Returns:
            None when no network is available: either the search is over, see `ending`, or a result has to be told first.
        """
        self._check_open()
        while self._again and self._loop.control().ending is None:
            job = self._again.popleft()
            if job.architecture.digest in self._asked:
                return job.architecture
        fresh = self._handed_out()
        return fresh.architecture if fresh else None

    def price(self, architecture: Architecture) -> dict[str, float]:
        """Prices a network: FLOPs, parameters and the metrics of the budgets and objectives, by name.

        Raises:
            UsageError: when the network cannot be built.
        """
        return dict(price(architecture, self._metrics, self._space.prices).values)

    def tell(self, network: Architecture | str, values: Mapping[str, float] | None = None, failed: str = "") -> Trial:
        """Records the result of a network that was asked for; it is on disk when this method returns.

        Args:
            network: the network that `ask` returned, or its digest.
            values: a finite number for each objective, by name.
            failed: reason why the training failed, in place of `values`.

        Returns:
            The trial, with number, state and cost.

        Raises:
            UsageError: when no result of this network is expected, or the values do not match the objectives.
        """
        self._check_open()
        digest = network if isinstance(network, str) else network.digest
        job = self._asked.get(digest)
        if job is None:
            raise UsageError(self._not_waited_for(digest))
        if bool(failed) == (values is not None):
            raise UsageError(f"network {digest}: tell either its values, or why it failed.")
        took = time.time() - self.trial(digest).started
        outcome = (
            Outcome(None, in_one_line(failed) or "no reason was told")
            if values is None
            else Outcome(Score(self._checked(values), job.task.epochs, took))
        )
        self._loop.end(job, outcome)
        del self._asked[digest]
        return self._loop.trials[job.number]

    def trial(self, digest: str) -> Trial:
        """The trial of a network that was asked for and has no result yet."""
        return self._loop.trials[self._asked[digest].number]

    @property
    def outstanding(self) -> tuple[Architecture, ...]:
        """The networks that were asked for and have no result yet, also those of an earlier process, in the order of asking."""
        return tuple(job.architecture for job in self._asked.values())

    @property
    def told(self) -> int:
        """Number of networks whose values were told, which is what the setting `trials` counts."""
        return self._loop.ended

    @property
    def front(self) -> tuple[Trial, ...]:
        """The trials of the Pareto front of objectives and costs."""
        return self._loop.standing.front

    @property
    def ending(self) -> Ending | None:
        """How the search has ended; None while there are networks left to ask for or results left to tell."""
        if self._asked:
            return None
        # the loop itself knows that it is complete only after it was asked for another network
        return self._loop.ending or (Ending.COMPLETED if self.told >= self.config.trials else None)

    def close(self) -> None:
        """Releases the run, so that this or another process can continue it later; a second call does nothing."""
        if not self._open:
            return
        self._open = False
        with self._held:
            if self.ending is None:
                self._loop.interrupt()
            ending = self.ending or self._loop.ending or Ending.INTERRUPTED
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
            raise UsageError(f"the search of {self.folder} is closed. Continue with dcdnas.Search(name={self.folder.name!r}).")

    def _not_waited_for(self, digest: str) -> str:
        told = (t for t in self._loop.trials.values() if t.architecture.digest == digest and t.state in (*ENDED, "failed"))
        before = next(told, None)
        if before:
            return f"network {digest} has a result already: trial {before.number} has {before.state}. The first result stays."
        return (
            f"network {digest} was not asked for, so no result of it is expected: only ask hands out networks. To begin with "
            "networks of an earlier run, make the search with start_from."
        )

    def _checked(self, values: Mapping[str, float]) -> dict[str, float]:
        """Checks the values and returns them in the order of the objectives.

        Raises:
            UsageError: when a value is missing, unknown, not a finite number or better than the objective's best value.
        """
        names = [o.name for o in self.config.objectives]
        unknown = next((str(name) for name in values if name not in names), None)
        if unknown is not None:
            raise UsageError(f"no objective is called {unknown!r}. {nearest(unknown, names)}")
        found = {}
        for o in self.config.objectives:
            if o.name not in values:
                raise UsageError(f"no value for {o.name}. Tell a number for each of: {', '.join(names)}.")
            value = _finite(values[o.name])
            if value is None:
                said = f"{o.name} cannot be {values[o.name]!r:.60}"
                raise UsageError(f"{said}. Allowed: a finite number; a network without one is told as failed.")
            if o.better(value, o.best):
                raise UsageError(f"{o.name} cannot be {value:g}: the best possible value is {o.best:g}. Is it in another unit?")
            found[o.name] = value
        return found


def _finite(value: Any) -> float | None:
    """The value as a float, also of a number of numpy or a tensor with one element; None where it is no finite number."""
    if isinstance(value, bool) or not hasattr(type(value), "__float__"):
        return None
    try:
        number = float(value)
    except (OverflowError, TypeError, ValueError, RuntimeError):
        return None
    return number if math.isfinite(number) else None


def _config_of(folder: Path) -> SearchConfig:
    """Reads the config of a run and checks that it belongs to a user's own loop."""
    config = SearchConfig.to_go_on(folder / "search.yaml")
    if config.task.own != ASK_TELL:
        raise RunError(f"{folder} is a search whose networks dcdnas trains. Continue with `dcdnas resume {folder.name}`.")
    offer_recorded(folder, config.plugins, go_on=True)
    return config


def _wishes(folder: Path, lock: FolderLock) -> Any:
    """Callable that returns the request to this process: from another process that took its run over, or `dcdnas stop`."""
    return lambda: Wish(Ending.TAKEN_OVER, now=True) if lock.lost else requested(folder)
