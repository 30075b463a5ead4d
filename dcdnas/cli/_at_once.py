"""Runs several trainings of `dcdnas train` at the same time, each as a Ray trial; all are kept in their folders."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from dcdnas.cli._output import Output
from dcdnas.cli._ready import Wanted, ready_for
from dcdnas.cli._source import Source as Found
from dcdnas.cli._training import LOG
from dcdnas.cli._training_progress import reached, stopping_once
from dcdnas.core.units import counted
from dcdnas.engine.executors.ray.at_once import Trial, train_at_once
from dcdnas.errors import UsageError
from dcdnas.training.folder import Row
from dcdnas.training.full import prepared


class Silent(Output):
    """An output without notes and warnings, which have been printed before.

    Args:
        out: output whose flags for errors and documents are taken over.
    """

    def __init__(self, out: Output) -> None:
        super().__init__(out.as_json, quiet=True, verbose=out.verbose)

    def warn(self, text: str) -> None:
        """See `Output.warn`."""


def train_all(out: Output, networks: Sequence[tuple[Found, Path]], wanted: Wanted) -> Wanted:
    """Trains all seeds of all networks, at most `wanted.jobs` at the same time.

    Args:
        out: output for progress.
        networks: each network with the folder of its trainings.
        wanted: how to train them.

    Returns:
        Settings that resume the kept, finished trainings to test them and write their files.

    Raises:
        DcdnasError: when a network cannot be trained, or the trainings were stopped.
    """
    if wanted.workers > 1:
        raise UsageError("--jobs trains several networks at the same time, --workers shares one training. Leave one of them out.")
    trials = list[Trial]()
    with ExitStack() as held:
        for found, folder in networks:
            ready = ready_for(out, found, wanted, folder)
            trainings = held.enter_context(
                prepared(found.architecture, ready.parts, ready.task, wanted.seeds, folder, wanted.resume, ready.start)
            )
            trials += [Trial(found.name, found.architecture, t.task, t.place, ready.device, ready.start) for t in trainings]
        some = trials[0]
        out.note(
            f"Training {counted(len(networks), 'network')} on {some.task.data}: {counted(some.task.epochs, 'epoch')}, "
            f"{counted(len(wanted.seeds), 'seed')} each, {wanted.jobs} at the same time as trials of Ray, on {some.device}"
        )

        def say(trial: Trial, rows: Sequence[Row]) -> None:
            out.note(f"{trial.name} seed {trial.task.seed} epoch {rows[-1].epoch}/{trial.task.epochs}: {reached(rows)}")

        signals = stopping_once(out)
        with signals.listening():
            train_at_once(trials, wanted.jobs, log_of(networks), say, lambda: signals.wish.now)
    return replace(wanted, resume=True, jobs=1)


def log_of(networks: Sequence[tuple[Found, Path]]) -> Path:
    """Path of Ray's log: beside the folders of several networks, or inside the folder of a single one."""
    folders = [folder for _, folder in networks]
    return (folders[0] if len(folders) == 1 else folders[0].parent) / LOG
