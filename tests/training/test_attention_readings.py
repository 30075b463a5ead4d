"""Readings of a training's attentions: right, without a trace in the training, and read back from their table."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from small_training import SETTINGS, TASK, small_data

from dcdnas.analysis.attention import dynamics
from dcdnas.core.architecture import Architecture, LayerChoice
from dcdnas.core.dynamics import Reading, Spread
from dcdnas.networks import Network, build_network
from dcdnas.training import attentions
from dcdnas.training.attentions import as_csv, reading_of, readings_in, showing
from dcdnas.training.following import READINGS, Follower
from dcdnas.training.loop import seeded, train

PLACE = "stage1.block1.expand"


@pytest.fixture(scope="module")
def made() -> Network:
    """A network with one dynamic layer, its parameters stirred so that the attentions depend on the image."""
    layers = {PLACE: LayerChoice("dyconv")}
    with seeded(3):
        network = build_network(Architecture("mobilenetv2", SETTINGS, layers, (1, 28, 28), 10))
        for parameter in network.get_submodule(PLACE).parameters():
            parameter.data.add_(0.5 * torch.randn_like(parameter))
    return network


def test_a_reading_is_what_a_trained_network_would_be_said_to_be(made: Network) -> None:
    images = small_data().validation
    reading = reading_of(showing(made), images, 2)
    (layer,) = dynamics(made, images)
    assert reading == Reading(2, {PLACE: layer.attentions})
    assert all(a.relative is not None and a.relative > 0 for a in layer.attentions)


def test_a_reading_leaves_the_network_its_mode_and_the_random_numbers_as_they_are(made: Network) -> None:
    made.train()
    before, drawn = {k: v.clone() for k, v in made.state_dict().items()}, torch.get_rng_state()
    reading_of(showing(made), small_data().validation, 1)
    assert all(module.training for module in made.modules())
    assert torch.equal(torch.get_rng_state(), drawn)
    assert [key for key, tensor in made.state_dict().items() if not torch.equal(tensor, before[key])] == []
    assert all(getattr(module, "observer", None) is None for module in made.modules())


def test_readings_are_read_back_from_their_table(tmp_path: Path) -> None:
    path = tmp_path / "attentions.csv"
    readings = [
        Reading(0.5, {"a": (Spread("channel", 8, -0.25, None), Spread("kernel", 2, 0.5, 0.125, 0.75)), "b": ()}),
        Reading(1, {"a": (Spread("channel", 8, 1e-7, 3.5),)}),
    ]
    path.write_text(as_csv(readings), encoding="utf-8")
    assert path.read_text(encoding="utf-8").splitlines()[:2] == [
        "epoch,layer,attention,elements,mean,spread,entropy",
        "0.5,a,channel,8,-0.25,,",
    ]
    assert readings_in(path) == [Reading(0.5, {"a": readings[0].layers["a"]}), readings[1]]


TABLES = [None, b"epoch,layer\n1,a\n", b"\xff\xfe", b"epoch,layer,attention,elements,mean\n1,a,b,x,1\n"]


@pytest.mark.parametrize("content", TABLES)
def test_a_table_that_is_none_has_no_readings(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "attentions.csv"
    if content is not None:
        path.write_bytes(content)
    assert readings_in(path) == []


def test_a_table_that_is_too_long_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "attentions.csv"
    path.write_text(as_csv([Reading(1, {"a": (Spread("channel", 8, 1.0, 3.5),)})]), encoding="utf-8")
    assert len(readings_in(path)) == 1
    monkeypatch.setattr(attentions, "LARGEST", 50)
    assert readings_in(path) == []


def test_a_training_that_is_followed_has_the_same_bits(made: Network) -> None:
    data, task = small_data(), replace(TASK, epochs=2, batch_size=48, accumulate=2)  # 5 steps an epoch
    alone, followed = deepcopy(made), deepcopy(made)
    follower = Follower(followed, data, task)
    before, after = (train(network, data, task) for network in (alone, followed))
    readings = follower.end()
    assert [r.values for r in before.curve] == [r.values for r in after.curve]
    assert all(torch.equal(tensor, followed.state_dict()[key]) for key, tensor in alone.state_dict().items())
    assert [r.epoch for r in readings] == [step / 5 for step in range(11)]
    first, last, trained = (
        r.layers[PLACE][0] for r in (readings[0], readings[-1], reading_of(showing(alone), data.validation, 2))
    )
    assert last.relative == pytest.approx(trained.relative, rel=1e-4)
    assert first.relative != pytest.approx(trained.relative, rel=1e-2)


def test_a_long_training_is_followed_once_an_epoch_and_a_short_one_more_often(made: Network) -> None:
    data = small_data()
    for epochs, every in ((2 * READINGS, 7), (READINGS // 2, 3), (1, 1)):
        follower = Follower(deepcopy(made), data, replace(TASK, epochs=epochs))
        assert follower.every == every
        assert follower.end() != []  # of the network before its first step
