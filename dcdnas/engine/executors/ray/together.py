"""Runs one training on several workers of Ray Train, which resume from its folder when one of them dies."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from dcdnas.core.architecture import Architecture
from dcdnas.core.task import TrainingTask
from dcdnas.data import Split
from dcdnas.engine.executors.ray import set_environment
from dcdnas.engine.job import described
from dcdnas.errors import UsageError
from dcdnas.training.folder import TrainingFolder
from dcdnas.training.full import Trained, Watcher, train_kept
from dcdnas.training.starting import Start


@dataclass(frozen=True)
class Workers:
    """Several worker processes that train one network together, each on a part of every batch.

    Args:
        count: number of workers, each with one core, or one GPU where there are GPUs.
        log: file to which Ray's messages are written.
        address: address of a Ray cluster; empty starts one on this machine.
    """

    count: int
    log: Path
    address: str = ""

    def check(self, task: TrainingTask, images: int) -> None:
        """Raises UsageError when the workers' parts of a batch would differ in size."""
        batch = min(task.batch_size, images)
        if batch % self.count or batch < 2 * self.count:
            raise UsageError(
                f"a batch of {batch} images cannot be shared by {self.count} workers. Allowed: a multiple of {self.count}, at "
                f"least two images a worker, like --set batch_size={max(2, round(batch / self.count)) * self.count}."
            )

    def train(
        self,
        architecture: Architecture,
        images: Split,
        task: TrainingTask,
        place: TrainingFolder,
        watcher: Watcher,
        device: str,
        start: Start,
    ) -> Trained:
        """Resumes one training from its folder and runs it to its end; see `dcdnas.training.full.train_seeds`.

        Raises:
            UsageError: when Ray cannot be imported or started, or the batch cannot be shared.
            TrainingError: when the training cannot continue.
            Resumable: when it was stopped.
        """
        self.check(task, len(images.train))
        set_environment()
        try:
            from dcdnas.engine.executors.ray._train import Shared, run_workers  # takes seconds, so imported only when used
        except ImportError as error:
            raise UsageError(
                f"Ray cannot be imported: {described(error)}. Leave --workers out to train in one process."
            ) from None
        run_workers(Shared(architecture, images, task, place.path, place.about, device, start), self, watcher)
        return train_kept(architecture, images, task, place, watcher, device, start)
