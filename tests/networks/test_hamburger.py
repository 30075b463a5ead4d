"""Global context by a factorisation: what it computes and costs, its gradient, its files, and its place in a space."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from backbones import dense, small
from onnx_files import check_computes_the_same
from thoroughness import slow_but
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from dcdnas.core.architecture import Architecture
from dcdnas.core.yaml_lines import Document
from dcdnas.cost import breakdown, verified
from dcdnas.cost._dispatch_counter import by_dispatch
from dcdnas.cost.latency.row import place_from, row_of
from dcdnas.cost.latency.table import place_of
from dcdnas.errors import GeometryError, SpaceError, UsageError
from dcdnas.networks import STATIC, build_network, deployed, identity, networks, references_of, slots_of
from dcdnas.networks._hamburger import DECOMPOSITIONS, Decomposition, Hamburger, NonNegative, Quantised
from dcdnas.operators import counting
from dcdnas.space.pricing.cost import largest, smallest
from dcdnas.space.pricing.places import places_of
from dcdnas.space.reading.reader import Compiler
from dcdnas.space.reading.schema import json_schema
from dcdnas.space.search_space import SearchSpace
from dcdnas.testing.network import RULES

KINDS = [*DECOMPOSITIONS]
BACKBONES = ["mobilenetv2", "mobilenetv3", "resnet", "shufflenetv2"]


def with_context(network: str = "mobilenetv2", kind: str = "nmf", rank: Any = (0, 4), steps: int = 3) -> Architecture:
    return small(network, hamburger_rank=rank, hamburger_steps=steps, hamburger_decomposition=kind)


def blocks(rank: int, noise: float = 0.0) -> Tensor:
    """(1, 24, 60) in double precision: as many disjoint rectangles as the rank, and noise."""
    x, gen = torch.zeros(1, 24, 60, dtype=torch.double), torch.Generator().manual_seed(3)
    for r in range(rank):
        rows, columns = slice(r * 24 // rank, (r + 1) * 24 // rank), slice(r * 60 // rank, (r + 1) * 60 // rank)
        x[0, rows, columns] = 1.0 + r
    return x + noise * torch.rand(x.shape, generator=gen, dtype=torch.double)


def error(kind: str, x: Tensor, rank: int, steps: int) -> float:
    torch.manual_seed(5)
    found: Tensor = DECOMPOSITIONS[kind](x.shape[1], rank, steps).double()(x)
    return float((found - x).norm() / x.norm())


@pytest.mark.parametrize("kind", KINDS)
def test_the_closed_form_is_what_torch_and_both_counters_count(kind: str) -> None:
    ham, x = DECOMPOSITIONS[kind](64, 16, 6).eval(), torch.rand(1, 64, 196)
    with FlopCounterMode(display=False) as counter:
        ham(x)
    place = 64, 196, 16, 6
    assert counter.get_total_flops() // 2 == ham.matrices(*place)
    with counting(), torch.no_grad():
        assert by_dispatch(ham, x)[""] == ham.matrices(*place) + ham.elements(*place)


def test_matrix_products_of_the_non_negative_factorisation_are_those_that_were_measured_in_the_published_code() -> None:
    assert NonNegative.matrices(64, 196, 16, 6) == 3_875_840
    assert NonNegative.elements(64, 196, 16, 6) == 2 * (7 * 196 * 16 + 6 * 64 * 16) == 56_192


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("network", slow_but(["mobilenetv2"], BACKBONES))
def test_the_price_is_what_the_built_network_measures(network: str, kind: str) -> None:
    a = with_context(network, kind)
    assert verified(a)["flops"] > verified(small(network))["flops"]
    (layer,) = [layer for layer in breakdown(a).layers if layer.operator == "hamburger"]
    g = layer.geometry
    assert (layer.name, g.out_channels, layer.residual, layer.kernel) == ("stage2.context", 4, True, "context by a factorisation")
    assert layer.cost["params"] == 2 * g.in_channels**2 + 3 * g.in_channels


@pytest.mark.parametrize("network", slow_but(["shufflenetv2"], BACKBONES))
@pytest.mark.parametrize("rule", RULES)
def test_it_keeps_the_rules_of_a_network(rule: str, network: str) -> None:
    RULES[rule](with_context(network))


@pytest.mark.parametrize("kind", ["nmf", "cd"])
def test_the_error_falls_with_the_rank(kind: str) -> None:
    errors = [error(kind, blocks(6, noise=0.3), rank, 20) for rank in (1, 2, 4, 6)]
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < 0.5 * errors[0]


def test_the_error_falls_with_the_steps() -> None:
    errors = [error("nmf", blocks(4, noise=0.1), 4, steps) for steps in (1, 3, 6, 20)]
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < 0.8 * errors[0]


def test_a_low_rank_map_is_recovered() -> None:
    assert error("nmf", blocks(3), 4, 300) < 1e-3


def test_an_update_is_lee_and_seungs_and_never_increases_the_error() -> None:
    torch.manual_seed(2)
    x, ham = blocks(4, noise=0.2), NonNegative(24, 3, 1).double()
    bases, a = ham.bases[None], ham.first(x)
    before = (x - bases @ a.transpose(1, 2)).norm()
    new_bases, new_a = ham.step(x, x, bases, a)
    wanted = a * (x.transpose(1, 2) @ bases) / (a @ bases.transpose(1, 2) @ bases + 1e-6)
    torch.testing.assert_close(new_a, wanted)
    torch.testing.assert_close(new_bases, bases * (x @ wanted) / (bases @ wanted.transpose(1, 2) @ wanted + 1e-6))
    assert (x - new_bases @ new_a.transpose(1, 2)).norm() < before


def test_concepts_are_fitted_by_least_squares_with_a_ridge() -> None:
    x, ham = blocks(5, noise=0.2), DECOMPOSITIONS["cd"](24, 5, 2).double()
    bases, a = ham.step(x, ham.seen(x), ham.bases[None], x)
    gram = bases.transpose(1, 2) @ bases + 0.1 * torch.eye(5, dtype=torch.double)
    torch.testing.assert_close(ham.last(x, x, bases, a), x.transpose(1, 2) @ bases @ gram.inverse(), rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(bases.norm(dim=1), torch.ones(1, 5, dtype=torch.double), rtol=1e-5, atol=1e-5)


def test_quantisation_makes_each_base_a_mean_of_pixels() -> None:
    x, ham = blocks(3), Quantised(24, 2, 1).double()
    bases, assigned = ham.step(x, ham.seen(x), ham.bases[None], x)
    torch.testing.assert_close(assigned.sum(-1), torch.ones(1, 60, dtype=torch.double))
    torch.testing.assert_close(bases, (x @ assigned) / (assigned.sum(1, keepdim=True) + 1e-6))


def gradient(ham: Decomposition, x: Tensor, whole: bool) -> Tensor:
    ham.whole_gradient, given = whole, x.clone().requires_grad_()
    (ham(given) * torch.linspace(-1, 1, 60, dtype=torch.double)).sum().backward()  # type: ignore[no-untyped-call]
    assert given.grad is not None
    return given.grad


def test_the_gradient_is_that_of_the_last_step_and_points_where_the_whole_one_does() -> None:
    torch.manual_seed(2)
    x, ham = blocks(4, noise=0.5), NonNegative(24, 4, 6).double()
    one, whole = gradient(ham, x, False), gradient(ham, x, True)
    with torch.no_grad():
        bases, a = ham.bases[None], ham.first(x)
        for _ in range(6):
            bases, a = ham.step(x, x, bases, a)
    given = x.clone().requires_grad_()
    by_hand = bases @ ham.last(given, given, bases, a).transpose(1, 2)
    (by_hand * torch.linspace(-1, 1, 60, dtype=torch.double)).sum().backward()  # type: ignore[no-untyped-call]
    torch.testing.assert_close(one, given.grad)
    assert not torch.allclose(one, whole)
    assert torch.nn.functional.cosine_similarity(one.flatten(), whole.flatten(), dim=0) > 0.3


@pytest.mark.parametrize("kind", KINDS)
def test_inference_repeats_itself_sample_by_sample_and_deployed(kind: str) -> None:
    torch.manual_seed(1)
    network, x = build_network(with_context("resnet", kind)).eval(), torch.randn(3, 3, 12, 12)
    y = network(x)
    assert torch.equal(y, network(x))
    torch.testing.assert_close(network(x[:1]), y[:1], rtol=1e-4, atol=1e-5)
    again = build_network(with_context("resnet", kind)).eval()
    again.load_state_dict(network.state_dict())
    assert torch.equal(again(x), y), "the bases are in the state"
    torch.testing.assert_close(deployed(again)(x), y, rtol=1e-4, atol=1e-5)
    context = again.get_submodule("stage2.context")
    assert isinstance(context, Hamburger)
    assert isinstance(context.norm, torch.nn.Identity)


@pytest.mark.parametrize("kind", KINDS)
def test_a_map_without_anything_gives_numbers(kind: str) -> None:
    ham, x = DECOMPOSITIONS[kind](8, 4, 3), torch.zeros(2, 8, 9, requires_grad=True)
    y = ham(x)
    y.sum().backward()
    assert x.grad is not None
    assert not y.any()
    assert x.grad.isfinite().all()


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_it_is_exported_for_any_batch(kind: str, tmp_path: Path) -> None:
    pytest.importorskip("onnx")
    from dcdnas.export.config import Model
    from dcdnas.export.programs import write_onnx
    from dcdnas.export.standalone import source_of
    from dcdnas.tracing.programs import traced

    a = with_context("resnet", kind)
    network = build_network(a).eval()
    program = traced(network, a.input)
    write_onnx(network, network, Model(a), tmp_path / "model.onnx")
    check_computes_the_same(tmp_path / "model.onnx", network, a.input, batches=(1, 5))
    assert "stage2.context" in source_of(program, network, Model(a), "model.safetensors")


@pytest.mark.parametrize("network", BACKBONES)
def test_without_rank_there_is_none_and_nothing_is_written(network: str) -> None:
    none = with_context(network, rank=0)
    complete = networks[network].complete(none.settings)
    plain = replace(none, settings=networks[network].written(complete))
    assert plain == small(network) or not any("hamburger" in name for name in plain.settings)
    assert identity(none) == identity(small(network))
    assert slots_of(none) == slots_of(small(network))


def test_every_setting_makes_another_network_and_names_the_paper() -> None:
    seen = {identity(with_context(kind=k, rank=(0, r), steps=s)) for k in KINDS for r in (2, 4) for s in (1, 2)}
    assert len(seen) == 12
    a = with_context()
    assert "2109.04553" in {reference.arxiv for reference in references_of(networks["mobilenetv2"], a, slots_of(a))}


def test_a_latency_table_keeps_it_apart_by_steps() -> None:
    places = [place_of(next(s for s in slots_of(with_context(steps=steps)) if s.kind == "hamburger"), STATIC) for steps in (3, 6)]
    assert places[0] != places[1]
    assert [place_from(row_of(place)) for place in places] == places
    with pytest.raises(UsageError, match="variant cannot be 'nmf-99'"):
        place_from({**row_of(places[0]), "variant": "nmf-99"})


def test_it_stands_under_a_decoder_too() -> None:
    a = dense("resnet", hamburger_rank=4)
    assert verified(a)["flops"]
    assert [s.name for s in slots_of(a) if s.kind == "hamburger"] == ["stage1.context", "stage2.context"]


@pytest.mark.parametrize("given", [{"hamburger_rank": (0, 17)}, {"hamburger_rank": 37, "channels": (40, 40), "strides": (1, 2)}])
def test_a_map_that_is_too_small_is_refused(given: dict[str, Any]) -> None:
    a = small("mobilenetv2", **given)
    with pytest.raises(GeometryError, match=r"stage\d.context: a hamburger of rank \d+ leaves nothing out .* ranks up to \d+"):
        slots_of(a)


def space(context: Any, network: str = "mobilenetv2") -> SearchSpace:
    settings = {"channels": [8, 16], "strides": [1, 2], "width": [0.5, 1.0], "context": context}
    content = {"format": "dcdnas/space-1", "name": "x", "network": network, "input": [3, 12, 12], "classes": 5}
    settings |= {"depth": 1} if network != "nas-bench-macro" else {}
    return Compiler(Document("x", content | {"settings": settings}, {("settings", "context"): 7})).space()


def test_a_space_decides_it_stage_by_stage() -> None:
    found = space({"stage2": {"hamburger": {"rank": [0, 2, 4], "steps": [3, 6], "decomposition": ["nmf", "vq"]}}})
    options = {d.name: d.options for d in found.decisions if "hamburger" in d.name}
    assert options == {
        "stage2.hamburger_rank": (0, 2, 4),
        "stage2.hamburger_steps": (3, 6),
        "stage2.hamburger_decomposition": ("nmf", "vq"),
    }
    assert places_of(found) is not None
    assert smallest(found, "flops").cost["flops"] < largest(found, "flops").cost["flops"]
    a = found.architecture({"stage2.hamburger_rank": 4, "stage2.hamburger_steps": 6, "width": 1.0})
    assert a.settings["hamburger_rank"] == (0, 4)
    assert "hamburger_decomposition" not in a.settings, "it is the default"


def test_without_a_pattern_it_is_in_every_stage_and_can_be_shared() -> None:
    found = space({"hamburger": {"rank": [2, 4]}, "share": "network"})
    assert {d.name for d in found.decisions} == {"width", "hamburger_rank"}
    assert found.architecture({"hamburger_rank": 2}).settings["hamburger_rank"] == (2, 2)


@pytest.mark.parametrize(
    ("context", "message"),
    [
        (3, "cannot be 3. Allowed: kinds of context by stage"),
        ({"stage2": 3}, "stage2: cannot be 3. Allowed: a kind of context with its settings"),
        ({"stage2": {"burger": {}}}, "'burger' is no kind of context. Did you mean 'hamburger'?"),
        ({"hamburger": {"steps": 3}}, "the key 'rank' is missing"),
        ({"hamburger": {"rank": 4, "stepz": 3}}, "hamburger has no setting 'stepz'. Did you mean 'steps'?"),
        ({"hamburger": {"rank": 4, "steps": 0}}, "hamburger.steps: hamburger_steps cannot be 0"),
        ({"stage9": {"hamburger": {"rank": 4}}}, "stage9.hamburger.rank: the pattern matches nothing"),
        ({"stage2": {"hamburger": {"rank": [0, 64]}}}, "a hamburger of rank 64 leaves nothing out"),
    ],
)
def test_what_is_wrong_is_said_at_its_line(context: Any, message: str) -> None:
    with pytest.raises(SpaceError) as caught:
        space(context)
    assert message in str(caught.value)
    assert str(caught.value).startswith("x:7: settings.context")


def test_a_backbone_without_places_for_it_says_so() -> None:
    with pytest.raises(SpaceError, match="has no places for a context"):
        space({"hamburger": {"rank": 2}}, "nas-bench-macro")


def test_the_schema_knows_it() -> None:
    stages = json_schema()["properties"]["settings"]["properties"]["context"]["anyOf"][1]["additionalProperties"]
    assert set(stages["properties"]["hamburger"]["properties"]) == {"rank", "steps", "decomposition"}
