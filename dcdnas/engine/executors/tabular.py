"""Looks results up in the table of a published benchmark instead of training networks (see `dcdnas.tables`)."""

from __future__ import annotations

from contextlib import AbstractContextManager
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
    """Looks trainings up in a table, in the search's own process; a search takes seconds."""

    def run(self, loop: SearchLoop) -> None:
        """See `Executor.run`."""
        if self.execution.train is None:
            from dcdnas.engine.table import recorded_table

            self.execution = replace(self.execution, train=LookUp(recorded_table(loop.config), loop.config.seed))
        super().run(loop)

    def recording(self, loop: SearchLoop) -> AbstractContextManager[None]:
        """Writes all records of one training together: a training that is lost is looked up again, and the disk is slower."""
        return loop.store.transaction()


@dataclass(frozen=True)
class LookUp:
    """Looks up one of the table's trainings of a network, chosen by the seed; a confirming training gets a different one.

    If the recipe has a scan, the short training of the same seed is reported first.

    Args:
        table: the benchmark table.
        seed: seed of the search.
    """

    table: Table
    seed: int = 0

    def __call__(self, job: Job, report: Reporter) -> Score:
        """Reports the readings of the training until the search stops it, and returns its score.

        Raises:
            DataError: when the network is not in the table.
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
        """Index of the network's training to look up; confirming trainings take those that the search did not use, in turn."""
        if not job.confirm:
            return job.task.seed % count
        seen = trial_seed(self.seed, job.number) % count
        unseen = [training for training in range(count) if training != seen] or [seen]
        turns = [confirming_seed(self.seed, turn) for turn in range(len(unseen))]
        turn = turns.index(job.task.seed) if job.task.seed in turns else job.task.seed
        return unseen[turn % len(unseen)]
