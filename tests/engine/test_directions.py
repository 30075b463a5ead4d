"""Less is better is more is better of the negative: a search and its mirror image decide the same, everywhere."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest
from searching import config, execute, loop_of, opened
from trainings import quality

from dcdnas.core import pareto
from dcdnas.core.trial import EpochResult, Score
from dcdnas.engine.job import Job
from dcdnas.engine.loop import SearchLoop
from dcdnas.engine.prepare import make_memory
from dcdnas.engine.proxy_training import Reporter
from dcdnas.engine.samplers import samplers
from dcdnas.results import Run, load_run
from dcdnas.results.verdict import Verdict
from dcdnas.tasks import Objective

LOSS = Objective("value", "minimize", worst=2.0, best=0.0)
GAIN = Objective("value", "maximize", worst=-2.0, best=0.0)


@dataclass(frozen=True)
class Mirrored:
    """A training that reaches some loss, written with either sign.

    Args:
        sign: 1 for the loss, -1 for its negative.
    """

    sign: int

    def __call__(self, job: Job, report: Reporter) -> Score:
        """Reports epoch by epoch."""
        curve: list[EpochResult] = []
        for epoch in range(1, job.task.epochs + 1):
            curve.append(EpochResult(epoch, {"value": self.sign * (2 - quality(job) * epoch / job.task.epochs)}, 0.1 * epoch))
            if not report(curve[-1]):
                break
        return Score(curve[-1].values, curve[-1].epoch, curve[-1].seconds, tuple(curve))


def searched(folder: Path, objective: Objective, sampler: str) -> tuple[SearchLoop, Run]:
    """A search that stops early and confirms, and the run as it is read."""
    folder.mkdir()
    made = config(
        epochs=9, objectives=(objective,), trials=24, sampler=sampler, early_stopping=True, confirm=2, confirm_top=2, starts=4
    )
    made.write(folder / "search.yaml")
    make_memory(folder, {"value": (objective.worst, objective.best), "flops": (1e4, 5e5)})
    with closing(opened(folder)) as store:
        loop = execute(loop_of(store, made), Mirrored(1 if objective is LOSS else -1))
    return loop, load_run(folder)


OTHERS = [name for name in samplers if name not in ("random", "gp", "nsga2", "nsga3")]
"""Optuna's genetic algorithms draw otherwise for mirrored values by themselves, also without dcdnas; gp needs another package."""


@pytest.mark.parametrize("sampler", ["random", *(pytest.param(name, marks=pytest.mark.slow) for name in OTHERS)])
def test_a_search_and_its_mirror_image_stop_find_and_confirm_the_same(tmp_path: Path, sampler: str) -> None:
    (least, less), (most, more) = searched(tmp_path / "less", LOSS, sampler), searched(tmp_path / "more", GAIN, sampler)
    for trials in (less.trials, more.trials):
        assert {"finished", "stopped"} <= {t.state for t in trials}
    assert [(t.state, t.decisions, t.reason) for t in less.trials] == [(t.state, t.decisions, t.reason) for t in more.trials]
    assert [t.number for t in less.front()] == [t.number for t in more.front()]
    assert [t.number for t in least.standing.front] == [t.number for t in most.standing.front] == [t.number for t in less.front()]
    assert [c.trial.number for c in less.confirmed] == [c.trial.number for c in more.confirmed]
    for one, other in ((less.best, more.best), (less.knee, more.knee), (less.best_within(()), more.best_within(()))):
        assert one is not None
        assert other is not None
        assert (one.number, less.value(one)) == (other.number, -(more.value(other) or 0.0))
    assert less.hypervolume == pytest.approx(more.hypervolume)
    assert less.hypervolume > 0
    assert Verdict(less).area == pytest.approx(Verdict(more).area)
    assert Verdict(less).undecided == Verdict(more).undecided
    assert [(m.hypervolume, m.best) for m in less.history] == [
        (pytest.approx(m.hypervolume), None if m.best is None else -m.best) for m in more.history
    ]


def test_the_best_of_a_minimised_objective_is_the_least(tmp_path: Path) -> None:
    """The mirror alone would also hold where both searches are wrong the same way."""
    _, run = searched(tmp_path / "less", LOSS, "random")
    values = [t.score.values["value"] for t in pareto.candidates(run.trials, run.budgets) if t.score]
    single = pareto.best(run.trials, run.budgets, run.goals)
    assert single is not None
    assert run.reading(single) == min(values)
    line = [run.reading(t) or 0.0 for t in run.front()]
    assert line == sorted(line, reverse=True)
