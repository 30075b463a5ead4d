"""What a run has come to, with what its images and seeds tell apart."""

from __future__ import annotations

import math
import statistics
from dataclasses import replace
from pathlib import Path

import pytest
from written_runs import trial, write_run

from dcdnas.core.geometry import Cost
from dcdnas.core.task import TrainingTask
from dcdnas.core.trial import Score
from dcdnas.core.uncertainty import reading_margin
from dcdnas.export import provenance
from dcdnas.results import Run, load_run
from dcdnas.results.verdict import Verdict, area_value, comparison, evidence, guessing, resolution, value_said
from dcdnas.tasks import ACCURACY, LOSS

LADDER = [
    trial(0, 0.70, 90.0),
    trial(1, 0.30, 10.0, origin="ladder"),
    trial(2, 0.74, 95.0),
    trial(3, 0.60, 20.0),
]


def written(folder: Path, *confirmed: tuple[int, int, float], images: int | None = 1000, **config: object) -> Run:
    return load_run(write_run(folder / "r", LADDER, confirmed, images=images, **config))


def test_single_readings_are_told_apart_by_the_images(tmp_path: Path) -> None:
    run = written(tmp_path, images=64)
    found = comparison(run, run.trials[2], run.trials[0])
    assert found is not None
    assert (found.seeds, found.difference.margin) == (0, pytest.approx(reading_margin(0.72, 64)))
    assert found.said == "+4.0 points by one training each (± 15.6 from 64 images, seeds add more), not distinguishable"
    far = comparison(run, run.trials[2], run.trials[1])
    assert far is not None
    assert far.said == "+44.0 points by one training each (± 17.3 from 64 images, seeds add more)"


def test_one_shared_seed_is_judged_by_the_images_too(tmp_path: Path) -> None:
    run = written(tmp_path, (2, 1, 0.609), (0, 1, 0.5), images=64)
    found = Verdict(run).against_static
    assert found is not None
    assert found.said == "+10.9 points on one shared seed (± 17.2 from 64 images, seeds add more), not distinguishable"


def test_several_seeds_have_an_interval_of_their_differences(tmp_path: Path) -> None:
    run = written(tmp_path, *((n, s, a) for s, a in ((1, 0.70), (2, 0.72), (3, 0.71)) for n, a in ((0, a), (2, a + s / 100))))
    found = Verdict(run).against_static
    assert found is not None
    assert found.said == "+2.0 points over 3 shared seeds (95 %: -0.5 to +4.5), not distinguishable"
    assert found.document() == {
        "trial": 2, "against": 0, "difference": pytest.approx(0.02), "margin": pytest.approx(4.303 * 0.01 / math.sqrt(3)),
        "low": pytest.approx(-0.00484, abs=1e-4), "high": pytest.approx(0.04484, abs=1e-4), "seeds": 3, "distinguishable": False,
    }  # fmt: skip


def test_a_run_that_kept_no_number_of_images_has_no_margin(tmp_path: Path) -> None:
    run = written(tmp_path, images=None)
    verdict = Verdict(run)
    assert (run.validation_images, verdict.margin) == (None, None)
    assert "unknown" in resolution(verdict)
    assert verdict.against_static is not None
    assert "unknown, so no margin), not distinguishable" in verdict.against_static.said
    assert "no interval: number of validation images unknown" in area_value(verdict)
    assert verdict.undecided == {t.number for t in run.front()}


def test_members_of_the_front_are_marked_where_the_noise_decides_nothing(tmp_path: Path) -> None:
    assert Verdict(written(tmp_path / "many", images=10_000)).undecided == set()
    assert Verdict(written(tmp_path / "some", images=900)).undecided == {0, 2}
    assert Verdict(written(tmp_path / "few", images=50)).undecided == {0, 2, 3}


def test_the_area_above_the_ladder_is_that_of_the_staircases_with_an_interval_around_it(tmp_path: Path) -> None:
    area = Verdict(written(tmp_path)).area
    assert area is not None
    at = {cost: math.log(cost / 10) / math.log(10) for cost in (20, 90, 95)}
    expected = ((0.60 - 0.30) * (at[90] - at[20]) + (0.74 - 0.70) * (1 - at[95])) / 0.9
    assert area.value == pytest.approx(expected)
    assert area.low < area.value < area.high


def test_the_axis_of_a_metric_of_fractions_begins_at_what_nothing_counts_as(tmp_path: Path) -> None:
    run, costs = written(tmp_path), (8e-7, 0.0, 9e-7, 1e-9)
    trials = tuple(replace(t, cost=Cost({"joules": cost})) for t, cost in zip(run.trials, costs, strict=True))
    area = Verdict(replace(run, trials=trials, config={}, bounds={"accuracy": (0.1, 1.0), "joules": (0.0, 1e-6)})).area
    assert area is not None
    at = {cost: math.log(cost / 1e-12) / math.log(1e6) for cost in costs if cost}
    assert area.value == pytest.approx((0.30 * (at[8e-7] - at[1e-9]) + 0.04 * (1 - at[9e-7])) / 0.9)


def test_an_area_that_may_be_nothing_says_so(tmp_path: Path) -> None:
    assert area_value(Verdict(written(tmp_path / "few", images=10))).endswith("), not distinguishable from 0")
    assert area_value(Verdict(written(tmp_path / "many", images=10_000))).endswith(")")


def test_the_area_goes_by_confirmed_means(tmp_path: Path) -> None:
    once, again = (Verdict(written(tmp_path / str(i), *c)).area for i, c in enumerate(((), [(3, 1, 0.30), (3, 2, 0.30)])))
    assert once is not None
    assert again is not None
    assert again.value < once.value / 10


def test_without_a_trained_ladder_there_is_no_area_but_a_reason(tmp_path: Path) -> None:
    old = load_run(write_run(tmp_path / "old", [t for t in LADDER if t.origin != "ladder"]))
    assert Verdict(old).area is None
    assert area_value(Verdict(old)) == "not computed, because fewer than two networks of the static ladder were trained"
    single = written(tmp_path, minimize=())
    assert area_value(Verdict(single)) == "not computed, because accuracy is the only objective"
    two = written(tmp_path / "two", minimize=(), objectives=(ACCURACY, LOSS))
    assert area_value(Verdict(two)) == "not computed, because no cost is minimised"
    assert Verdict(single).document()["area_above_ladder"] is None


def test_nothing_finished_is_a_verdict_too(tmp_path: Path) -> None:
    plain = Verdict(load_run(write_run(tmp_path / "r", [trial(0, None, 90.0, "failed")]))).document()
    assert (plain["best"], plain["accuracy"], plain["against_static"], plain["front_undecided"]) == (None, None, None, [])


def test_networks_that_read_like_guessing_are_counted(tmp_path: Path) -> None:
    trials = [trial(0, 0.118, 90.0), trial(1, 0.09, 10.0, origin="ladder"), trial(2, 0.12, 95.0), trial(3, None, 20.0, "failed")]
    run = load_run(write_run(tmp_path / "r", trials, images=1000))  # 0.1 + 1.96 sqrt(0.09 / 1000) = 0.1186
    assert [t.number for t in Verdict(run).guessing] == [0, 1]
    assert guessing(Verdict(run)).startswith("2 of 3 trained networks cannot be distinguished from guessing (10.0 %)")
    assert Verdict(run).document()["guessing"] == [0, 1]


def test_nothing_is_said_of_guessing_where_every_network_learned_or_no_images_are_known(tmp_path: Path) -> None:
    assert guessing(Verdict(written(tmp_path / "learned"))) == ""
    unknown = load_run(write_run(tmp_path / "unknown", [trial(0, 0.1, 90.0)], images=None))
    assert Verdict(unknown).guessing == []


def test_every_image_right_leaves_a_margin_in_words(tmp_path: Path) -> None:
    perfect = [replace(t, score=Score({"accuracy": 1.0}, 3, 2.0)) for t in LADDER]
    run = load_run(write_run(tmp_path / "r", perfect, images=12))
    found = comparison(run, run.trials[2], run.trials[0])
    assert found is not None
    assert found.said == "+0.0 points by one training each (± 20.6 from 12 images, seeds add more), not distinguishable"
    assert resolution(Verdict(run)).endswith("differences up to 20.6 points may be chance (95 %).")


def test_a_network_whose_fresh_seeds_learned_is_not_counted_among_those_that_guess(tmp_path: Path) -> None:
    trials = [trial(0, 0.09, 90.0), trial(1, 0.09, 10.0, origin="ladder"), trial(2, 0.60, 95.0)]
    again = [(0, 1, 0.70), (0, 2, 0.72), (2, 1, 0.09), (2, 2, 0.10)]
    verdict = Verdict(load_run(write_run(tmp_path / "r", trials, again, images=1000)))
    assert [t.number for t in verdict.guessing] == [1, 2], "a confirmed network is judged by its mean"
    assert guessing(verdict).startswith("2 of 3 trained networks cannot be distinguished")


def test_of_equal_confirmed_means_the_cheaper_network_is_best_like_of_equal_readings(tmp_path: Path) -> None:
    again = [(0, 1, 11 / 12), (0, 2, 10 / 12), (0, 3, 6 / 12), (3, 1, 10 / 12), (3, 2, 6 / 12), (3, 3, 11 / 12)]
    assert best_of(written(tmp_path / "equal", *again)) == 3
    rounded = [(0, 1, 0.1), (0, 2, 0.2), (0, 3, 0.3), (3, 1, 0.2), (3, 2, 0.2), (3, 3, 0.2)]
    assert statistics.fmean((0.1, 0.2, 0.3)) != statistics.fmean((0.2, 0.2, 0.2)), "the two differ by rounding alone"
    assert best_of(written(tmp_path / "rounded", *rounded)) == 3
    assert best_of(written(tmp_path / "better", *again[:5], (3, 3, 10 / 12))) == 0


def best_of(run: Run) -> int | None:
    return run.best and run.best.number


def test_what_has_no_result_says_why_instead_of_one_training(tmp_path: Path) -> None:
    trials = [
        *LADDER,
        trial(4, None, 500.0, "refused", reason="500 FLOPs is outside flops <= 100 FLOPs"),
        trial(5, None, 50.0, "failed", reason="out of memory"),
        trial(6, None, 50.0, "interrupted"),
    ]
    run = load_run(write_run(tmp_path / "r", trials, images=1000))
    refused = "refused and never trained: 500 FLOPs is outside flops <= 100 FLOPs"
    assert value_said(run, run.trials[4]) == evidence(run, run.trials[4]) == refused
    assert evidence(run, run.trials[5]) == "failed without a result: out of memory"
    assert evidence(run, run.trials[6]) == "interrupted without a result"
    assert provenance(run, run.trials[4])["result"] == refused
    assert "result" not in provenance(run, run.trials[0])


def test_a_training_that_was_not_completed_is_not_compared_and_says_how_far_it_came(tmp_path: Path) -> None:
    short = Score({"accuracy": 0.9, "loss": 1.0}, 1, 1.0)
    trials = [
        *LADDER,
        replace(trial(4, 0.9, 40.0, "stopped", reason="behind at epoch 1"), score=short),
        replace(trial(5, 0.9, 40.0, "failed", reason="out of memory"), score=short),
        replace(trial(6, 0.9, 40.0, "replayed", reason="the same network as trial 4, which stopped"), score=short),
        trial(7, 0.7, 90.0, "replayed", reason="the same network as trial 0, which finished"),
    ]
    run = load_run(write_run(tmp_path / "r", trials, images=1000, task=TrainingTask(epochs=3)))
    for number, said in ((4, "stopped early"), (5, "failed"), (6, "stopped early")):
        assert comparison(run, run.trials[number], run.trials[0]) is None
        assert comparison(run, run.trials[0], run.trials[number]) is None
        assert evidence(run, run.trials[number]) == f"one training, {said} after epoch 1"
        assert value_said(run, run.trials[number]) == f"accuracy 90.0 % in one training, {said} after epoch 1"
    assert comparison(run, run.trials[7], run.trials[2]) is not None
    assert evidence(run, run.trials[7]) == "one training, not confirmed"
