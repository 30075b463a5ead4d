"""The parts that compute something: layers, drawing, importances, reasons of failures, colours."""

from __future__ import annotations

import random
import re
from dataclasses import replace
from importlib import resources
from pathlib import Path

import pytest
from backbones import small
from synthetic import make_run, with_weights_only
from thoroughness import slow_but

from dcdnas.core.architecture import Architecture, LayerChoice
from dcdnas.core.geometry import Cost
from dcdnas.core.trial import FailureKind, Score, Trial
from dcdnas.cost import price
from dcdnas.dashboard.live_run import LiveRun
from dcdnas.networks import build_network
from dcdnas.operators import operators
from dcdnas.pages import space_summary
from dcdnas.pages.advice import HINTS, OTHERWISE, failures
from dcdnas.pages.context import by_operator
from dcdnas.pages.figures._run import SHAPES
from dcdnas.pages.layers import layers_of
from dcdnas.pages.palette import COLOURS, FIXED, MARKERS, paints
from dcdnas.pages.payload import drawn_as, facts, row, shares, steps
from dcdnas.pages.space_summary import territory
from dcdnas.pages.strip import BAR, aligned, strip
from dcdnas.results import Moment
from dcdnas.results.known import breakdown_of
from dcdnas.space.library import find_space
from dcdnas.space.pricing.cost import draw
from dcdnas.space.reading.reader import read_space
from dcdnas.space.search_space import SearchSpace
from dcdnas.tasks import ACCURACY


@pytest.fixture(scope="module")
def space() -> SearchSpace:
    return read_space(find_space("fashion-quick"))


@pytest.fixture(scope="module")
def networks(space: SearchSpace) -> list[Architecture]:
    rng = random.Random(5)
    return [space.architecture(draw(space, rng)) for _ in range(6)]


def test_the_layers_add_up_to_the_network_s_price(networks: list[Architecture]) -> None:
    for architecture in networks:
        layers = layers_of(architecture, ("weights",)).layers
        cost = price(architecture, ("flops", "params", "weights"))
        assert sum(layer.cost["weights"] for layer in layers) == cost["weights"]
        assert sum(layer.flops for layer in layers) == cost["flops"]
        assert sum(layer.cost["params"] for layer in layers) == cost["params"]


def test_the_residual_blocks_are_those_that_the_network_adds(networks: list[Architecture]) -> None:
    for architecture in networks:
        network = build_network(architecture)
        built = {name for name, module in network.named_modules() if getattr(module, "residual", None) is True}
        assert {layer.slot.block for layer in layers_of(architecture).layers if layer.residual} == built


def test_a_resnet_s_blocks_are_all_residual() -> None:
    resnet = Architecture("resnet", {"block": "basic"}, {}, (3, 64, 64), 10)
    blocks = {layer.slot.block for layer in layers_of(resnet).layers if "." in layer.name}
    assert blocks == {layer.slot.block for layer in layers_of(resnet).layers if layer.residual}
    assert len(blocks) == 8


def test_blocks_that_put_halves_together_are_not_residual() -> None:
    shuffle = Architecture("shufflenetv2", {}, {}, (3, 64, 64), 10)
    assert not any(layer.residual for layer in layers_of(shuffle).layers)


def test_a_static_layer_costs_nothing_for_being_dynamic(networks: list[Architecture]) -> None:
    static = replace(networks[0], layers={name: LayerChoice("static") for name in networks[0].layers})
    assert layers_of(static).dynamic_flops == 0
    dynamic = [layer for a in networks for layer in layers_of(a).layers if layer.choice.operator == "dcd"]
    assert dynamic
    assert all(layer.dynamic_flops == layer.flops - layer.static["flops"] > 0 for layer in dynamic)


def test_a_network_of_an_unknown_operator_has_a_problem_and_no_layers(networks: list[Architecture]) -> None:
    name = next(iter(networks[0].layers))
    strange = replace(networks[0], layers={**networks[0].layers, name: LayerChoice("of-tomorrow")})
    found = layers_of(strange)
    assert found.layers == ()
    assert "of-tomorrow" in found.problem


def test_the_dearest_layer_is_as_high_as_the_drawing(networks: list[Architecture]) -> None:
    drawing = strip(layers_of(networks[0]).layers)
    assert max(bar.height for bar in drawing.bars) == BAR
    assert all(0 <= bar.dynamic <= bar.height for bar in drawing.bars)
    assert drawing.bars[-1].x + drawing.bars[-1].width < drawing.width


def test_networks_under_each_other_share_their_places(networks: list[Architecture]) -> None:
    layers = [layers_of(a).layers for a in networks]
    columns = aligned(layers)
    assert sorted(columns) == sorted({x.name for each in layers for x in each})
    for each in layers:
        assert [name for name in columns if name in {x.name for x in each}] == [x.name for x in each]
    places = {}
    for each in layers:
        for bar in strip(each, columns=columns).bars:
            assert places.setdefault(bar.layer.name, bar.x) == bar.x


def test_a_layer_s_sentence_says_its_numbers(networks: list[Architecture]) -> None:
    layer = next(x for a in networks for x in layers_of(a).layers if x.choice.operator == "dcd")
    said = next(bar.sentence for bar in strip([layer]).bars)
    assert said.startswith(f"{layer.name}: dcd ")
    assert f"latent_dim {layer.choice.settings['latent_dim']}" in said
    assert f"{layer.geometry.in_channels} to {layer.geometry.out_channels} channels" in said


def trial(number: int, accuracy: float, **decisions: int | str) -> Trial:
    score = Score({"accuracy": accuracy, "loss": 1.0}, 4, 1.0)
    return Trial(number, "finished", Architecture("x", {}, {}, (1, 8, 8), 2), decisions, Cost({"flops": 1.0}), score)


def test_failures_of_one_kind_are_one_failure_whatever_they_say() -> None:
    said = [(FailureKind.DIVERGED, "epoch 1: the loss is nan"), (FailureKind.DIVERGED, "epoch 3: the loss is nan")]
    said += [(FailureKind.DEVICE, "CUDA error")]
    trials = [replace(trial(i, 0.5), state="failed", score=None, failure=k, reason=r) for i, (k, r) in enumerate(said)]
    found = failures(trials)
    assert [[t.number for t in f.trials] for f in found] == [[1, 0], [2]]
    assert found[0].reason == "epoch 3: the loss is nan"


def test_trainings_that_raised_are_one_failure_only_where_they_said_the_same() -> None:
    said = ["ValueError: no such kernel", "KeyError: 'dcd'", "ValueError: no such kernel"]
    raised = {"state": "failed", "score": None, "failure": FailureKind.RAISED}
    found = failures([replace(trial(i, 0.5), reason=r, **raised) for i, r in enumerate(said)])
    assert [[t.number for t in f.trials] for f in found] == [[2, 0], [1]]


@pytest.mark.parametrize("kind", FailureKind)
def test_a_failure_comes_with_what_to_try_by_its_kind_and_not_by_its_words(kind: FailureKind) -> None:
    (found,) = failures([replace(trial(0, 0.5), state="failed", score=None, failure=kind, reason="CUDA out of memory, nan, OOM")])
    assert (found.kind, found.hint) == (kind, HINTS[kind])


def test_a_failure_of_a_run_of_format_1_has_no_kind() -> None:
    (found,) = failures([replace(trial(0, 0.5), state="failed", score=None, reason="CUDA out of memory")])
    assert (found.kind, found.hint) == (None, OTHERWISE)


def test_every_operator_of_the_package_has_its_own_look() -> None:
    found = paints(operators)
    assert next(iter(found)) == "static"
    assert found["static"].index == 0
    assert len({p.letters for p in found.values()}) == len(found)
    assert len({p.index for p in found.values()}) == len(found)


@pytest.mark.parametrize("added", [["aaa"], ["ccc"], ["aaa", "ccc"], ["gate", "involution"]])
def test_an_operator_that_is_added_has_its_own_look_and_changes_nobody_elses(added: list[str]) -> None:
    before, found = paints([]), paints(added)
    assert {name: found[name] for name in before} == before
    assert len({p.index for p in found.values()}) == len({p.letters for p in found.values()}) == len(found)
    assert all(found[name] == paints([name])[name] for name in added)


def test_operators_that_want_the_same_look_get_two_and_more_than_there_are_share() -> None:
    names = [f"operator-{number}" for number in range(300)]
    found = paints(names)
    assert {found[name].index for name in names} == set(range(len(FIXED), len(MARKERS)))
    assert {p.index for p in list(found.values())[: len(MARKERS)]} == set(range(len(MARKERS)))


def test_every_look_has_a_colour_and_a_shape_of_its_own_wherever_it_is_drawn() -> None:
    assert len(set(MARKERS)) == len(set(COLOURS)) == len(MARKERS) == len(COLOURS)
    static = resources.files("dcdnas.pages").joinpath("static")
    script, style = (static.joinpath(name).read_text(encoding="utf-8") for name in ("charts.js", "network.css"))
    for index, marker in enumerate(MARKERS):
        assert marker in SHAPES
        assert f".op{index} {{ fill: var(--op{index}); }}" in style
        assert len(re.findall(rf'\b{marker}: (?:"M|\[\[)', script)) + script.count(f'shape === "{marker}"') == 2, marker


def test_only_moments_that_changed_something_are_sent() -> None:
    moments = [Moment(i, float(i), i, v, None) for i, v in enumerate([0.1, 0.1, 0.2, 0.2, 0.2], 1)]
    assert [m[0] for m in steps(moments)] == [1, 3, 5]


def test_shares_count_the_layers_of_each_stage(tmp_path: Path) -> None:
    make_run(tmp_path / "run", 10)
    live = LiveRun(tmp_path / "run")
    names = list(operators)
    found = dict(shares(live.front, names))
    assert sum(map(sum, found.values())) == sum(len(t.architecture.layers) for t in live.front)


def test_a_trial_s_page_and_its_model_card_count_the_same_layers() -> None:
    architecture = small("mobilenetv2", se=0.25)
    card = {name: (sums["layers"], sums["flops"]) for name, sums in breakdown_of(architecture).by_operator.items()}
    assert {name: (layers, flops) for name, layers, flops in by_operator(layers_of(architecture))} == card
    assert card["linear"][0] == 1


def test_a_network_is_drawn_as_its_most_used_dynamic_operator_and_described_by_all_of_them() -> None:
    layers = {f"a{i}": LayerChoice("static") for i in range(12)} | {f"b{i}": LayerChoice("dcd") for i in range(6)}
    one = replace(trial(0, 0.5), architecture=Architecture("x", {}, layers, (1, 8, 8), 2))
    assert drawn_as(one) == "dcd"
    assert drawn_as(trial(0, 0.5)) == "static"
    assert row(one, [ACCURACY], ["flops"], ["static", "dcd"])[5:10] == [1, 6, 18, "", "12 static, 6 dcd"]


def test_the_rows_carry_numbers_as_they_are_so_that_they_are_rounded_once() -> None:
    score = Score({"accuracy": 0.50125000001, "loss": 1.0}, 4, 10.4999)
    assert row(replace(trial(0, 0.5), score=score), [ACCURACY], [], ["static"])[2:5] == [0.50125000001, 4, 10.4999]


@pytest.mark.slow
@pytest.mark.parametrize("metric", slow_but(["weights"], ["flops", "weights"]))
def test_random_networks_are_counted_in_the_run_s_own_metric(tmp_path: Path, metric: str) -> None:
    with_weights_only(tmp_path)
    make_run(tmp_path / "flops", 3)
    live = LiveRun(tmp_path / {"flops": "flops", "weights": "bytes"}[metric])
    land = territory(live.run, live.networks())
    assert land.metric == metric
    assert land.share is not None
    assert sum(n for _, _, n in land.bars) == land.share.draws
    assert land.space is not None
    rng = random.Random(0)
    values = [price(land.space.architecture(draw(land.space, rng)), (metric,))[metric] for _ in range(land.share.draws)]
    assert (land.bars[0][0], land.bars[-1][1]) == pytest.approx((min(values), max(values)))
    assert land.share.value == sum(v <= live.run.budgets[0].at_most for v in values) / len(values)


def test_networks_of_one_cost_are_one_bar_at_that_cost() -> None:
    assert space_summary._bars([5e6] * 7) == ((5e6, 5e6, 7),)
    bars = space_summary._bars([1.0, 2.0, 25.0])
    assert (len(bars), bars[0][:2], bars[-1][1:]) == (24, (1.0, 2.0), (25.0, 1))


@pytest.mark.slow
def test_a_space_whose_width_fills_the_budget_is_drawn_from_at_that_budget(tmp_path: Path) -> None:
    make_run(tmp_path / "fitted", 3, "fashion-fit", 1e6)
    live = LiveRun(tmp_path / "fitted")
    land = territory(live.run, live.networks())
    assert land.problem == ""
    assert land.bars[0][0] > 0.5e6
    assert land.share is not None
    assert land.share.value > 0.9  # the others are over it at their narrowest


def test_what_a_table_of_one_device_predicts_is_not_priced(tmp_path: Path) -> None:
    make_run(tmp_path / "run", 3)
    live = LiveRun(tmp_path / "run")
    timed = replace(
        live.run,
        bounds={"accuracy": (0.1, 1.0), "latency": (0.0, 1.0)},
        config={**live.run.config, "budgets": [{"metric": "latency", "at_most": 1.0}]},
    )
    land = territory(timed, live.networks())
    assert (land.metric, land.share) == ("flops", None)


def test_a_run_without_a_finished_trial_has_facts_that_say_so(tmp_path: Path) -> None:
    make_run(tmp_path / "run", 0, asked=5)
    said = facts(LiveRun(tmp_path / "run"))
    assert said["best"] == "–"
    assert "No network has finished" in said["best-detail"]
    assert said["progress"] == "0 of 5 trainings"
