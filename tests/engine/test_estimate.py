"""How long a search will take is scaled from what was measured: steps to all steps, a reading to all images that are read."""

from __future__ import annotations

from itertools import count
from pathlib import Path

import pytest

from dcdnas.engine.planning import estimate, make_plan
from dcdnas.engine.planning.settings import SearchSettings


def test_steps_and_readings_are_scaled_each_by_what_there_is_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    given = {"space": "fashion-quick", "budget": ["0.3MFLOPs"], "executor": "inline", "trials": 10, "epochs": 2, "confirm": 0}
    plan = make_plan(SearchSettings.gather({**given, "batch_size": 64}, project=False))
    clock = count()
    monkeypatch.setattr(estimate, "_now", lambda device: float(next(clock)))
    found = estimate.estimated(plan)
    assert found.images == 3 * 64, "three steps, of a second each, are enough"
    measured, read = 64 + 256, 10 * 64 + 1600
    assert found.trial == pytest.approx(2 * (6400 // 64 + read / measured))
    assert found.search == 10 * found.trial


def test_a_budget_that_random_networks_never_meet_is_estimated_by_the_cheapest_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    given = {"space": "fashion-quick", "budget": ["kernel-memory<=1B"], "executor": "inline", "epochs": 1}
    plan = make_plan(SearchSettings.gather(given, project=False))
    monkeypatch.setattr(estimate, "draws_within", lambda *_, **__: iter(()))
    found = estimate.estimated(plan)
    assert found.cost["kernel-memory"] == 0
    assert found.trial > 0
