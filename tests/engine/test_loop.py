"""The loop with pretended trainings: what is trained and what is not, when it ends, what a resume does."""

from __future__ import annotations

import math
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from searching import FEW, SAMPLERS, SPACE, by_state, config, execute, loop_of, memory, offer, opened, plain, searched
from thoroughness import slow_but
from trainings import fault, learn, pretend, quality

from dcdnas.core.budget import within
from dcdnas.core.task import TrainingTask
from dcdnas.core.trial import Ending, EpochResult, Score, Trial
from dcdnas.engine.confirm import to_confirm
from dcdnas.engine.job import WAIT, Job, Outcome
from dcdnas.engine.loop import FAILURES, MISSES, SearchLoop
from dcdnas.engine.proxy_training import Reporter
from dcdnas.engine.samplers import Search
from dcdnas.engine.signals import Wish
from dcdnas.engine.standing import FIRST, HUNG, LEAST
from dcdnas.engine.store import CONFIRMING, Store
from dcdnas.errors import Resumable
from dcdnas.space.pricing.cost import priced
from dcdnas.space.pricing.ladder import static_ladder


def started(loop: SearchLoop) -> Job:
    job = loop.next()
    assert isinstance(job, Job), job
    return job


def ended(loop: SearchLoop, job: Job, accuracy: float = 0.5) -> Trial:
    loop.end(job, Outcome(Score({"accuracy": accuracy, "loss": 1.0}, job.task.epochs, 2.0)))
    return loop.trials[job.number]


# What is trained


@pytest.mark.parametrize("name", slow_but(["random", "model"], SAMPLERS))
def test_exactly_the_asked_number_ends_and_nothing_over_budget_is_trained(tmp_path: Path, name: str) -> None:
    trained: list[Job] = []

    def noting(job: Job, report: Reporter) -> Score:
        trained.append(job)
        return pretend(job, report)

    loop = searched(tmp_path, config(sampler=name, trials=25, early_stopping=True), noting)
    assert loop.ended == len(by_state(loop, "finished", "stopped")) == 25
    assert len(trained) == len({job.architecture.digest for job in trained}) == 25
    assert all(within(priced_again(job), loop.config.budgets) for job in trained)
    refused = by_state(loop, "refused")
    assert all("is outside flops <= 500 kFLOPs" in t.reason for t in refused)
    assert not any(within(t.cost, loop.config.budgets) for t in refused)
    assert set(loop.standing.states) <= {"finished", "stopped", "refused", "replayed", "running"}


def priced_again(job: Job) -> Any:
    from dcdnas.cost import price

    return price(job.architecture)


def test_the_first_trial_is_the_dearest_uniform_static_network_within_the_budget(tmp_path: Path) -> None:
    loop = searched(tmp_path, config())
    first = loop.trials[0]
    assert first.origin == "static"
    assert {layer.operator for layer in first.architecture.layers.values()} == {"static"}
    statics = [priced(loop.space, o).cost["flops"] for o in loop.space.uniform_static()]
    assert first.cost["flops"] == max(c for c in statics if c <= 5e5)


def test_the_static_ladder_and_random_draws_within_the_budget_come_before_the_sampler(tmp_path: Path) -> None:
    loop = searched(tmp_path, config(trials=15, starts=10))
    ladder = static_ladder(loop.space, loop.config.budgets)
    origins = [t.origin for t in loop.trials.values()]
    assert origins[:10] == ["static"] + ["ladder"] * (len(ladder) - 1) + ["start"] * (10 - len(ladder))
    assert [loop.trials[n].architecture for n in range(len(ladder))] == [rung.architecture for rung in ladder]
    assert set(origins[10:]) == {"random"}
    assert all(loop.trials[n].state == "finished" for n in range(10))


def test_without_starts_the_static_reference_alone_comes_before_the_sampler(tmp_path: Path) -> None:
    origins = [t.origin for t in searched(tmp_path, config(trials=4, starts=0)).trials.values()]
    assert origins[0] == "static"
    assert set(origins[1:]) == {"random"}


def test_a_search_is_a_function_of_its_seed(tmp_path: Path) -> None:
    runs = [plain(searched(tmp_path / str(n), config(seed=seed)).trials.values()) for n, seed in enumerate((1, 1, 2))]
    assert runs[0] == runs[1] != runs[2]


def test_every_training_has_a_seed_of_its_own(tmp_path: Path) -> None:
    seeds = [t.seed for t in by_state(searched(tmp_path, config()), "finished")]
    assert len(set(seeds)) == len(seeds)


def test_the_store_says_what_the_loop_knows(tmp_path: Path) -> None:
    loop = searched(tmp_path, config(early_stopping=True, trials=20))
    assert loop.store.trials() == list(loop.trials.values())
    assert loop.store.counts() == {s: n for s, n in loop.standing.states.items() if n}


# Duplicates


@pytest.mark.parametrize(
    ("state", "becomes", "reason"),
    [("finished", "replayed", "which finished"), ("stopped", "replayed", "which stopped"), ("failed", "refused", "which failed")],
)
def test_a_known_network_is_not_trained_again(store: Store, state: str, becomes: str, reason: str) -> None:
    loop = loop_of(store, config(starts=0))
    job = started(loop)
    epochs = 3 if state == "finished" else 1
    loop.end(job, Outcome(Score({"accuracy": 0.5, "loss": 1.0}, epochs, 2.0), "it broke" if state == "failed" else ""))
    offer(loop, loop.trials[0].decisions)
    started(loop)
    twin = loop.trials[1]
    assert (loop.trials[0].state, twin.state) == (state, becomes)
    assert reason in twin.reason
    assert twin.reason.startswith("the same network as trial 0")
    assert twin.architecture == job.architecture
    assert twin.seed == 0, "it is not trained"
    if becomes == "replayed":
        assert twin.score == Score({"accuracy": 0.5, "loss": 1.0}, epochs, 0.0)
    assert loop.ended == (state != "failed")


def test_the_twin_of_a_running_network_waits_for_it(store: Store) -> None:
    loop = loop_of(store, config(starts=0))
    job = started(loop)
    offer(loop, loop.trials[0].decisions)
    other = started(loop)
    assert not by_state(loop, "replayed"), "nothing is known of the twin yet"
    ended(loop, job, 0.7)
    (twin,) = by_state(loop, "replayed")
    assert twin.score == Score({"accuracy": 0.7, "loss": 1.0}, 3, 0.0)
    assert twin.number == other.number + 1
    assert [t.state for t in store.trials() if t.state != "refused"] == ["finished", "running", "replayed"]


def test_after_many_repeats_a_random_draw_takes_the_samplers_turn(store: Store) -> None:
    loop = loop_of(store, config(starts=0))
    ended(loop, started(loop))
    offer(loop, *[loop.trials[0].decisions] * (MISSES + 5))
    job = started(loop)
    assert MISSES == 10
    assert Counter(t.state for t in loop.trials.values()) == {"finished": 1, "replayed": MISSES, "running": 1}
    assert loop.trials[job.number].origin == "start"


# Ends


@pytest.mark.parametrize("name", slow_but(["random"], SAMPLERS))
def test_an_exhausted_space_ends_the_search(tmp_path: Path, name: str) -> None:
    loop = searched(tmp_path, config(FEW, sampler=name, trials=10))
    assert loop.exhausted
    assert loop.ended == 3
    assert loop.next() is None


def test_ten_failures_in_a_row_end_the_search_with_the_last_reason(tmp_path: Path) -> None:
    def failing(job: Job, report: Reporter) -> Score:
        if job.number == 0:
            return pretend(job, report)
        raise ValueError(f"broken {job.number}")

    loop = searched(tmp_path, config(trials=40), failing)
    assert len(by_state(loop, "failed")) == 10 == FAILURES
    last = by_state(loop, "failed")[-1].number
    assert loop.stopped is Ending.TOO_MANY_FAILURES
    assert loop.reason == f"{FAILURES} trainings in a row failed, the last one with: ValueError: broken {last}"
    assert loop.next() is None


def test_ten_failures_from_the_first_training_on_end_the_search(tmp_path: Path) -> None:
    def failing(job: Job, report: Reporter) -> Score:
        raise ValueError("broken")

    loop = searched(tmp_path, config(trials=40), failing)
    assert (len(by_state(loop, "failed")), loop.ending) == (10, Ending.TOO_MANY_FAILURES)


def test_a_search_has_no_ending_before_it_is_complete(store: Store) -> None:
    loop = loop_of(store, config(trials=2))
    for _ in range(2):
        assert loop.ending is None
        ended(loop, started(loop))
    assert loop.next() is None
    assert loop.ending is Ending.COMPLETED


def test_failures_that_are_not_in_a_row_end_nothing(tmp_path: Path) -> None:
    def sometimes(job: Job, report: Reporter) -> Score:
        if job.number % 2:
            raise ValueError
        return pretend(job, report)

    loop = searched(tmp_path, config(trials=14), sometimes)
    assert loop.ended == 14
    assert len(by_state(loop, "failed")) >= FAILURES


@pytest.mark.parametrize("accuracy", [math.nan, math.inf, -math.inf])
def test_an_accuracy_that_is_no_number_is_a_failure(store: Store, accuracy: float) -> None:
    loop = loop_of(store, config())
    assert ended(loop, started(loop), accuracy).state == "failed"
    job = started(loop)
    assert not loop.report(job, EpochResult(1, {"accuracy": accuracy, "loss": 1.0}, 1.0))
    loop.end(job, Outcome(None))
    assert "without a finite result" in loop.trials[1].reason
    assert store.counts() == {"failed": 2}
    assert store.trials() == list(loop.trials.values())


def test_time_that_is_up_interrupts_and_hands_out_nothing(store: Store) -> None:
    loop = loop_of(store, config(), until=time.monotonic() + 3600)
    started(loop)
    assert not loop.must_end
    loop.until = time.monotonic() - 1
    assert loop.must_end
    assert loop.next() == WAIT
    loop.interrupt()
    assert (loop.next(), loop.stopped, store.counts()) == (None, Ending.TIME_IS_UP, {"interrupted": 1})


def test_a_wish_to_stop_lets_run_what_runs(store: Store) -> None:
    wish = [Wish()]
    loop = loop_of(store, config(), control=lambda: wish[0])
    job = started(loop)
    wish[0] = Wish(Ending.STOPPED)
    assert loop.next() == WAIT
    assert not loop.must_end
    assert loop.report(job, EpochResult(1, {"accuracy": 0.5, "loss": 1.0}, 1.0))
    assert ended(loop, job).state == "finished"
    assert (loop.next(), loop.stopped) == (None, Ending.STOPPED)


def test_a_wish_to_end_at_once_is_the_reason_before_anything_is_asked_for(store: Store) -> None:
    loop = loop_of(store, config(), control=lambda: Wish(Ending.STOPPED, now=True))
    assert (loop.must_end, loop.stopped) == (True, Ending.STOPPED)


def test_a_wish_that_comes_after_the_end_changes_nothing(tmp_path: Path) -> None:
    loop = searched(tmp_path, config(trials=3))
    loop.control = lambda: Wish(Ending.STOPPED, now=True)
    assert (loop.next(), loop.must_end, loop.stopped) == (None, False, None)


# Deadlines


def test_a_deadline_follows_the_longest_training_and_is_generous(store: Store) -> None:
    loop = loop_of(store, config())
    first = started(loop)
    assert first.task.deadline == FIRST
    loop.end(first, Outcome(Score({"accuracy": 0.5, "loss": 1.0}, 3, 2.0)))
    second = started(loop)
    assert second.task.deadline == LEAST
    loop.end(second, Outcome(Score({"accuracy": 0.5, "loss": 1.0}, 3, 100.0)))
    assert started(loop).task.deadline == HUNG * 100


def test_a_configured_deadline_holds(store: Store) -> None:
    loop = loop_of(store, config(task=TrainingTask(epochs=3, deadline=7.0)))
    assert started(loop).task.deadline == 7.0


def test_confirming_trainings_have_a_deadline_too(tmp_path: Path) -> None:
    jobs: list[Job] = []

    def noting(job: Job, report: Reporter) -> Score:
        jobs.append(job)
        return pretend(job, report)

    searched(tmp_path, config(trials=2, confirm=1), noting)
    assert all(job.task.deadline > 0 for job in jobs)
    assert any(job.confirm for job in jobs)


# Early stopping


def test_a_training_that_is_behind_is_stopped_and_counts(tmp_path: Path) -> None:
    loop = searched(tmp_path, config(trials=30, early_stopping=True))
    stopped = by_state(loop, "stopped")
    assert stopped
    assert loop.ended == 30
    assert all(t.score and t.score.epochs == 1 and t.reason == "behind at epoch 1" for t in stopped)
    assert all(len(t.score.curve) == t.score.epochs for t in by_state(loop, "finished", "stopped") if t.score)


def test_without_early_stopping_every_training_is_whole(tmp_path: Path) -> None:
    loop = searched(tmp_path, config(trials=30))
    assert {t.score.epochs for t in by_state(loop, "finished") if t.score} == {3}
    assert not by_state(loop, "stopped")


# Confirmation


def test_the_networks_believed_best_and_the_static_reference_are_trained_again_on_the_same_fresh_seeds(tmp_path: Path) -> None:
    loop = searched(tmp_path, config(trials=15, confirm=3, confirm_top=2))
    found = loop.store.confirmations()
    search = Search(loop.space, loop.config.budgets, loop.config.goals, loop.config.seed)
    chosen = [t.number for t in to_confirm(search, list(loop.trials.values()), 2)]
    assert len(chosen) == 3
    assert {c.number for c in found} == {*chosen}
    assert loop.store.meta(CONFIRMING)["chosen"] == chosen
    seeds = {n: [c.seed for c in found if c.number == n] for n in {c.number for c in found}}
    assert len({tuple(s) for s in seeds.values()}) == 1, "pairs can be compared"
    assert len(set(seeds[0])) == 3
    assert not set(seeds[0]) & {t.seed for t in loop.trials.values()}
    assert loop.confirming.planned == loop.confirming.confirmed == len(found)
    by_number = loop.trials
    assert all(c.score and c.score.values["accuracy"] == quality_of(by_number[c.number], c.seed) for c in found)


def quality_of(trial: Trial, seed: int) -> float:
    return quality(Job(trial.number, trial.architecture, TrainingTask(seed=seed)))


def test_a_confirming_training_that_fails_is_written_down(tmp_path: Path) -> None:
    def failing(job: Job, report: Reporter) -> Score:
        if not job.confirm:
            return pretend(job, report)
        if job.number:
            raise ValueError("no more")
        return learn(job, lambda _: True, math.nan)

    loop = searched(tmp_path, config(trials=5, confirm=2), failing)
    found = loop.store.confirmations()
    assert {c.state for c in found} == {"failed"}
    assert {c.reason for c in found} == {"ValueError: no more", "the training ended without a finite result"}
    assert loop.ended == 5


def test_a_resumed_confirmation_does_only_what_is_missing(tmp_path: Path) -> None:
    c = config(trials=6, confirm=2)
    confirmed: list[Job] = []

    def noting(job: Job, report: Reporter) -> Score:
        if job.confirm and len(confirmed) == 3:
            raise KeyboardInterrupt
        confirmed.extend([job] * job.confirm)
        return pretend(job, report)

    with pytest.raises(KeyboardInterrupt):
        searched(tmp_path, c, noting)
    before = {(j.number, j.task.seed) for j in confirmed}
    again: list[Job] = []
    loop = searched(tmp_path, c, lambda job, report: (again.append(job), pretend(job, report))[1])
    after = {(j.number, j.task.seed) for j in again}
    assert len(before) == 3
    assert not before & after
    assert len(loop.store.confirmations()) == loop.confirming.planned == len(before | after)
    assert loop.ended == 6


# Resume


def test_an_interrupted_search_is_resumed_to_exactly_the_asked_number(store: Store) -> None:
    loop = loop_of(store, config(trials=8))
    for _ in range(3):
        ended(loop, started(loop))
    lost = [started(loop), started(loop)]
    loop.interrupt()
    kept = store.trials()
    assert [t.state for t in kept] == ["finished"] * 3 + ["interrupted"] * 2
    again = loop_of(store, config(trials=8))
    retried = [started(again), started(again)]
    assert retried == [replace(job, task=replace(job.task, deadline=LEAST)) for job in lost]
    assert [again.trials[j.number].origin for j in retried] == [t.origin for t in kept[3:]]
    for job in retried:
        ended(again, job)
    execute(again, pretend)
    assert again.ended == 8
    assert plain(store.trials()[:3]) == plain(kept[:3])


def test_a_search_that_is_extended_goes_on(tmp_path: Path) -> None:
    first = searched(tmp_path, config(trials=7, early_stopping=True))
    kept = first.store.trials()
    second = searched(tmp_path, config(trials=17, early_stopping=True))
    assert (first.ended, second.ended) == (7, 17)
    assert second.store.trials()[: len(kept)] == kept


def test_a_finished_search_that_is_resumed_does_nothing(tmp_path: Path) -> None:
    first = searched(tmp_path, config(trials=4, confirm=1))
    second = searched(tmp_path, config(trials=4, confirm=1), lambda job, report: fault("raise"))
    assert second.store.trials() == list(first.trials.values())


def test_early_stopping_compares_after_a_resume_as_before(tmp_path: Path) -> None:
    c = config(trials=20, early_stopping=True)
    whole = searched(tmp_path, c)
    again = loop_of(opened(tmp_path), replace(c, trials=30))
    assert again._halving._reached == whole._halving._reached


def test_an_end_that_comes_twice_or_too_late_is_ignored(store: Store) -> None:
    loop = loop_of(store, config())
    job = started(loop)
    ended(loop, job, 0.7)
    loop.end(job, Outcome(None, "late"))
    assert not loop.report(job, EpochResult(3, {"accuracy": 0.1, "loss": 1.0}, 1.0))
    assert loop.trials[0].score == Score({"accuracy": 0.7, "loss": 1.0}, 3, 2.0)


# A full disk


def test_a_full_disk_ends_the_search_and_a_resume_completes_it(tmp_path: Path) -> None:
    c = config(trials=12)
    store = memory(tmp_path)
    loop = loop_of(store, c)
    for _ in range(4):
        ended(loop, started(loop))
    store._db.execute(f"PRAGMA max_page_count = {store._db.execute('PRAGMA page_count').fetchone()[0]}")
    with pytest.raises(Resumable, match="full"):
        execute(loop, pretend)
    kept = [t for t in store.trials() if t.state == "finished"]
    assert len(kept) >= 4
    store.close()
    again = searched(tmp_path, c)
    assert again.ended == 12
    assert [t for t in again.store.trials() if t.number in {k.number for k in kept}] == kept
    assert not by_state(again, "running")


# Size


def test_what_an_event_costs_does_not_grow_with_the_trials(store: Store) -> None:
    """Counted, not timed: an event looks at none of the trials but its own."""
    looked = Counter[str]()

    class Counting(dict[int, Trial]):
        def values(self) -> Any:
            looked["values"] += 1
            return super().values()

    loop = loop_of(store, config(trials=30))
    loop.standing.trials = Counting()
    execute(loop, pretend)
    assert looked["values"] <= 2, "the confirmation may look at all of them, once"


def test_space_of_the_tests_has_conditional_decisions() -> None:
    space = config(SPACE).build_space()
    assert any(d.parent for d in space.decisions)


# One objective


FITTED: dict[str, Any] = {**SPACE, "settings": {**SPACE["settings"], "width": {"fit": [0.5, 4]}}}


@pytest.mark.parametrize("name", slow_but(["random", "tpe"], SAMPLERS))
def test_networks_of_equal_cost_are_searched_for_accuracy_alone(store: Store, name: str) -> None:
    c = config(FITTED, sampler=name, minimize=(), trials=16)
    loop = loop_of(store, c)
    execute(loop, pretend)
    ended_trials = by_state(loop, "finished")
    assert len(ended_trials) == 16
    assert all(0.9 * 5e5 <= t.cost["flops"] <= 5e5 for t in ended_trials if t.architecture.settings["width"] < 4)
    best = max(t.score.values["accuracy"] for t in ended_trials if t.score)
    assert {t.score.values["accuracy"] for t in loop.standing.front if t.score} == {best}
