"""A table instead of trainings: each result is looked up in a benchmark that others have trained (`dcdnas.tables`)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from dcdnas.core.trial import EpochResult, Score
from dcdnas.engine.executors.inline import Inline
from dcdnas.engine.job import confirming_seed, trial_seed

if TYPE_CHECKING:
    from dcdnas.engine.job import Job
    from dcdnas.engine.loop import SearchLoop
    from dcdnas.engine.proxy_training import Reporter
    from dcdnas.tables import Table

__all__ = ["Tabular"]


class Tabular(Inline):
    """Looks trainings up in a table, in this process; a search takes seconds."""

    def run(self, loop: SearchLoop) -> None:
        """See `Executor.run`."""
        if self.execution.train is None:
            from dcdnas.engine.table import recorded_table

            self.execution = replace(self.execution, train=LookUp(recorded_table(loop.config), loop.config.seed))
        super().run(loop)


@dataclass(frozen=True)
class LookUp:
    """A training that is looked up: one of the network's trainings, which the seed chooses; a confirming one is another.

    Where networks are scanned the short training of that seed comes before.

    Args:
        table: to look in.
        seed: of the search.
    """

    table: Table
    seed: int = 0

    def __call__(self, job: Job, report: Reporter) -> Score:
        """Its readings, up to the one at which the search stops it.

        Raises:
            DataError: when the table does not have the network.
        """
        curves = self.table.curves(job.architecture)
        heard: list[EpochResult] = []
        chosen = self._chosen(job, len(curves))
        short = self.table.scans(job.architecture)[chosen] if job.task.scan else ()
        for epoch, values in enumerate((*short, *curves[chosen]), start=1):
            heard.append(EpochResult(epoch, values, 0.0))
            if not report(heard[-1]):
                break
        return Score(heard[-1].values, heard[-1].epoch, 0.0, tuple(heard))

    def _chosen(self, job: Job, count: int) -> int:
        """Which of a network's trainings; of those that the search did not see each in its turn, where it is confirmed."""
        if not job.confirm:
            return job.task.seed % count
        seen = trial_seed(self.seed, job.number) % count
        unseen = [training for training in range(count) if training != seen] or [seen]
        turns = [confirming_seed(self.seed, turn) for turn in range(len(unseen))]
        turn = turns.index(job.task.seed) if job.task.seed in turns else job.task.seed
        return unseen[turn % len(unseen)]
