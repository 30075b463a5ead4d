"""How a search stands, trial by trial, equals what the whole list of trials says."""

from __future__ import annotations

from collections import Counter
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from searching import config, ended_jobs, loop_of, memory
from written_runs import goals

from dcdnas.core import pareto
from dcdnas.core.architecture import Architecture
from dcdnas.core.budget import Budget
from dcdnas.core.geometry import Cost
from dcdnas.core.trial import ENDED, Score, Trial
from dcdnas.engine.progress import Watch
from dcdnas.engine.standing import Standing
from dcdnas.tasks import ACCURACY

NETWORK = Architecture("mobilenetv2", {}, {}, (1, 8, 8), 10)
BUDGETS = (Budget("flops", 7.0),)

coarse = st.integers(1, 9).map(float)
events = st.lists(
    st.tuples(
        st.sampled_from(["finished", "stopped", "failed", "interrupted"]), coarse, coarse, coarse, st.sampled_from(["", "a", "b"])
    ),
    max_size=25,
)


@given(events)
def test_it_is_what_all_trials_together_say(events: list[tuple[str, float, float, float, str]]) -> None:
    standing, trials = Standing(BUDGETS, goals("flops", "params")), []
    for number, (state, accuracy, flops, params, built) in enumerate(events):
        trial = Trial(number, "running", NETWORK, {}, Cost({"flops": flops, "params": params}), deployed=built)
        standing.put(trial)
        trials.append(replace(trial, state=state, score=Score({"accuracy": accuracy / 10, "loss": 1.0}, 3, 5.0)))
        standing.put(trials[-1])
    assert [t.number for t in standing.front] == [t.number for t in pareto.front(trials, BUDGETS, goals("flops", "params"))]
    assert standing.best == pareto.best(trials, BUDGETS, goals())
    assert +standing.states == Counter(t.state for t in trials)
    assert standing.ended == sum(t.state in ENDED for t in trials)
    assert standing.latest == (trials[-1] if trials else None)


def test_progress_says_how_the_search_stands(tmp_path: Path) -> None:
    bounds = {"accuracy": (0.1, 1.0), "flops": (1e4, 5e5)}
    with closing(memory(tmp_path)) as store:
        loop = loop_of(store, config(trials=4, objectives=(replace(ACCURACY, worst=0.5),)))
        watch = Watch(loop, bounds)
        before = watch.look()
        assert (before.asked, before.ended, before.left, before.hypervolume, before.best) == (4, 0, None, 0.0, None)
        ended_jobs(loop, 3)
        progress = watch.look()
        trials = list(loop.trials.values())
        assert (progress.ended, progress.states["finished"], progress.to_confirm) == (3, 3, None)
        assert progress.hypervolume == pareto.hypervolume(trials, loop.config.budgets, loop.config.goals, bounds) > 0
        assert progress.best == pareto.best(trials, loop.config.budgets, loop.config.goals)
        assert progress.left is not None
        assert progress.latest == trials[-1]
        assert not progress.guessing, "the number of images is unknown"
        assert progress.best is not None
        assert (ACCURACY.of(progress.best.score) or 0) > 0.51
        assert [Watch(loop, bounds, images).look().guessing for images in (1, 10**6)] == [True, False]
