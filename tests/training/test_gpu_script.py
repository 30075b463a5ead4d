"""The script for whoever has a GPU goes through its parts on a CPU, where a device differs from itself by nothing."""

from __future__ import annotations

from dataclasses import replace
from types import ModuleType

import pytest
import torch
from scripts import script

from dcdnas.data import Split

CPU = torch.device("cpu")


@pytest.fixture(name="gpu")
def gpu_fixture(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """On one operator, at one place, with a few images."""
    gpu = script("gpu")
    few = Split(*(replace(part, rows=part.rows[:256]) for part in gpu.images()))
    monkeypatch.setattr(gpu, "images", lambda: few)
    monkeypatch.setattr(gpu, "operators", {"odconv": gpu.operators["odconv"]})
    monkeypatch.setattr(gpu, "supported", lambda cls, places=gpu.supported: places(cls)[:1])
    monkeypatch.setattr(gpu, "NETWORKS", ("static",))
    return gpu


def test_forms_are_compared_deployed_and_in_training(gpu: ModuleType) -> None:
    found = dict(gpu.forms_part(CPU, gpu.Deadline(60)))
    assert set(found) == {"odconv"}
    assert set(found["odconv"]) == {"deployed", "output", "gradient", "n"}
    assert max(found["odconv"][what] for what in ("deployed", "output", "gradient")) < 1e-12


def test_a_part_whose_time_is_over_compares_nothing(gpu: ModuleType) -> None:
    assert not dict(gpu.forms_part(CPU, gpu.Deadline(-1)))


def test_a_difference_is_relative_and_infinite_where_something_is_not_finite(gpu: ModuleType) -> None:
    assert gpu.difference(torch.tensor([2.0, 3.0]), torch.tensor([2.0, 4.0])) == 0.25
    assert gpu.difference(torch.tensor([float("nan")]), torch.tensor([1.0])) == float("inf")


@pytest.mark.slow
def test_an_epoch_is_trained_in_turn_with_the_loop_by_hand(gpu: ModuleType) -> None:
    found = dict(gpu.trial_part(CPU, gpu.Deadline(1)))
    assert set(found) == {"static"}
    assert found["static"]["images/s"] > 0
    assert "n=" in found["static"]["ours / by hand"]
