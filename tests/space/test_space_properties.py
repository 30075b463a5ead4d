"""Properties of any space and of any text: made by hypothesis."""

from __future__ import annotations

import random
from contextlib import suppress
from typing import Any

import yaml
from hypothesis import HealthCheck, given
from hypothesis import strategies as st
from spaces import BACKBONE, HEAD, TINY, compile_space
from thoroughness import examples

from dcdnas.core.architecture import Architecture
from dcdnas.core.yaml_lines import Document, parse_yaml
from dcdnas.cost import price
from dcdnas.errors import FileError
from dcdnas.space.pricing.cost import draw, largest, smallest
from dcdnas.space.reading.reader import Compiler
from dcdnas.space.search_space import SearchSpace

FEW = examples(25, suppress_health_check=list(HealthCheck))


def some(values: list[Any]) -> st.SearchStrategy[Any]:
    """One value, or a list of several."""
    return st.one_of(st.sampled_from(values), st.lists(st.sampled_from(values), min_size=1, max_size=3, unique=True))


SHARE = st.sampled_from(["layer", "block", "stage", "network"])
CANDIDATES = st.fixed_dictionaries(
    {"share": SHARE},
    optional={
        "static": st.none(),
        "dcd": st.fixed_dictionaries(
            {}, optional={"latent_dim": some(["auto", "half", "double"]), "num_blocks": some([1, 2, 4])}
        ),
        "odconv": st.fixed_dictionaries({}, optional={"num_kernels": some([1, 2, 4])}),
        "dyconv": st.none(),
        "condconv": st.fixed_dictionaries({"num_experts": some([2, 3])}, optional={"guide": some(["own", "shared"])}),
    },
).filter(lambda body: len(body) > 1)


@st.composite
def space_data(draw: st.DrawFn) -> dict[str, Any]:
    """The content of a space file with two or three stages."""
    stages = draw(st.integers(2, 3))
    patterns = ["*.expand", "*.depthwise", "*.project", "stage1.*", "stage2.*", "*.expand, *.project", "stem", "*"]
    return {
        "format": "dcdnas/space-1",
        "name": "random",
        "network": "mobilenetv2",
        "input": [draw(st.integers(1, 3)), 16, 16],
        "classes": draw(st.integers(2, 9)),
        "resolution": draw(st.sampled_from([None, [16], [12, 16]])),
        "settings": {
            "channels": [8, 16, 16][:stages],
            "strides": [1, 2, 2][:stages],
            "stem_channels": 8,
            "head_channels": 16,
            "width": draw(some([0.5, 1.0, 1.3])),
            "depth": draw(some([1, 2, 3])),
            "kernel_size": {"share": draw(SHARE), "*": draw(some([1, 3, 5]))},
            "expansion": {"share": draw(SHARE), "*": 2, "stage2.*": draw(some([1, 2, 3.5]))},
        },
        "slots": draw(st.dictionaries(st.sampled_from(patterns), CANDIDATES, max_size=3)),
    }


def compiled(data: dict[str, Any]) -> SearchSpace | None:
    """The space; None where a value fits no slot, or no layer could take a guide."""
    try:
        return Compiler(Document("random.yaml", data, {})).space()
    except FileError as error:
        if any(reason in str(error) for reason in ("can use", "fits none of these slots", "no layer would use a guide")):
            return None
        raise


@FEW
@given(space_data(), st.integers(0, 2**32))
def test_any_space_decides_builds_and_prices(data: dict[str, Any], seed: int) -> None:
    space = compiled(data)
    if space is None:
        return
    outcome = draw(space, random.Random(seed))
    asked: dict[str, Any] = {}
    again = space.decide(lambda name, options: asked.setdefault(name, outcome[name]))
    assert again == outcome == asked
    for decision in space.decisions:
        exists = not decision.parent or outcome.get(decision.parent) in decision.when
        assert (decision.name in outcome) == exists
        assert not exists or outcome[decision.name] in decision.options
    architecture = space.architecture(outcome)
    assert Architecture.from_dict(architecture.to_dict()).digest == architecture.digest
    assert price(architecture)["flops"] > 0


@FEW
@given(space_data(), st.integers(0, 2**32))
def test_no_network_is_outside_the_smallest_and_the_largest(data: dict[str, Any], seed: int) -> None:
    space = compiled(data)
    if space is None:
        return
    rng = random.Random(seed)
    for metric in ("flops", "params"):
        low, high = smallest(space, metric).cost[metric], largest(space, metric).cost[metric]
        assert all(low <= price(space.architecture(draw(space, rng)))[metric] <= high for _ in range(8))


@FEW
@given(space_data())
def test_a_space_written_and_read_again_is_the_same_space(data: dict[str, Any]) -> None:
    space = compiled(data)
    if space is not None:
        again = compile_space(yaml.safe_dump(data, sort_keys=False))
        assert (again.digest, again.size, again.decisions) == (space.digest, space.size, space.decisions)


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from(["", "static", "*", "stage1.*", "share", "2"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4) | st.integers(), inner, max_size=3),
    max_leaves=6,
)
KEYS = ["format", "name", "description", "network", "input", "resolution", "classes", "settings", "slots", "forbid", "proxy", "x"]


@examples(150, suppress_health_check=list(HealthCheck))
@given(st.sampled_from(sorted(TINY)), st.dictionaries(st.sampled_from(KEYS), PLAIN, max_size=2), st.data())
def test_a_space_with_anything_in_its_keys_is_a_space_or_a_file_error(
    name: str, wild: dict[str, Any], data: st.DataObject
) -> None:
    content = parse_yaml(HEAD + BACKBONE + TINY[name], "x").data | wild
    for table in ("settings", "slots"):
        if isinstance(content.get(table), dict) and content[table]:
            key = data.draw(st.sampled_from(sorted(content[table], key=str)))
            content[table] = {**content[table], key: data.draw(PLAIN)}
    with suppress(FileError):
        Compiler(Document("wild.yaml", content, {})).space()


@examples(100, suppress_health_check=list(HealthCheck))
@given(st.integers(0, 700), st.integers(0, 700), st.text(alphabet="ab:-[]{}&*!|>#'\"?,%@ \n\t019.e", max_size=6))
def test_a_space_file_with_a_damaged_place_is_a_space_or_a_file_error(start: int, end: int, instead: str) -> None:
    text = HEAD + BACKBONE + TINY["ruled"]
    damaged = text[: min(start, end)] + instead + text[max(start, end) :]
    with suppress(FileError):
        compile_space(damaged)
