"""Architectures: one identity, the same after any round trip; malformed configs name their file."""

from __future__ import annotations

import contextlib
import copy
import json
import multiprocessing
import pickle
import random
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from dcdnas.core.architecture import FORMAT, Architecture, LayerChoice
from dcdnas.errors import FileError

NAMES = st.text(st.characters(exclude_categories=("Cs",)), min_size=1, max_size=12).filter(
    lambda s: s not in ("operator", "form")
)
SCALARS = st.one_of(st.integers(-(2**53), 2**53), st.floats(allow_nan=False, allow_infinity=False), st.booleans(), NAMES)
NESTED = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=4).map(tuple), max_leaves=8)
CHOICES = st.builds(
    LayerChoice, NAMES, st.dictionaries(NAMES, SCALARS, max_size=4), st.sampled_from(["", "kernel", "activation"])
)
ARCHITECTURES = st.builds(
    Architecture,
    NAMES,
    st.dictionaries(NAMES, NESTED, max_size=4),
    st.dictionaries(NAMES, CHOICES, max_size=5),
    st.tuples(*[st.integers(1, 512)] * 3),
    st.integers(1, 2000),
)

GOLDEN = Architecture(
    "mobilenetv2",
    {"width": 0.5, "depth": (1, 2, 2), "kernel_size": ((3,), (3, 5), (5, 3)), "stem_stride": 2},
    {
        "stage2.block1.expand": LayerChoice("dcd", {"latent_dim": 8, "num_blocks": 2, "channel_attention": True}, "kernel"),
        "stage2.block1.depthwise": LayerChoice("odconv", {"num_kernels": 4, "reduction": 0.0625}),
        "stage1.block1.project": LayerChoice(),
    },
    (3, 224, 224),
    1000,
)

CONFIG: dict[str, Any] = {
    "format": FORMAT,
    "network": "mobilenetv2",
    "input": [3, 32, 32],
    "classes": 10,
    "settings": {"width": 1, "depth": [1, 2]},
    "layers": {"stem": "static", "head": {"operator": "dcd", "latent_dim": 4, "form": "kernel"}},
}


def digest_of(architecture: Architecture) -> str:
    """At the top level, so that a spawned process can import it."""
    return architecture.digest


def test_the_digest_never_changes_by_accident() -> None:
    assert GOLDEN.digest == "647be538d351b2c7"


@given(ARCHITECTURES)
def test_an_architecture_survives_yaml(architecture: Architecture) -> None:
    again = Architecture.from_dict(yaml.safe_load(yaml.safe_dump(architecture.to_dict(), sort_keys=False)))
    assert again.to_dict() == architecture.to_dict()
    assert again == architecture


@given(ARCHITECTURES)
def test_an_architecture_survives_json(architecture: Architecture) -> None:
    again = Architecture.from_dict(json.loads(json.dumps(architecture.to_dict())))
    assert again.to_dict() == architecture.to_dict()
    assert again == architecture


@pytest.mark.parametrize("again", [copy.copy, copy.deepcopy, lambda a: pickle.loads(pickle.dumps(a))])
@given(architecture=ARCHITECTURES)
def test_an_architecture_survives_copying_and_pickling(again: Any, architecture: Architecture) -> None:
    other = again(architecture)
    assert (other, hash(other), other.to_dict()) == (architecture, hash(architecture), architecture.to_dict())


@given(CHOICES)
def test_a_layer_choice_survives_pickling_and_hashes_the_same(choice: LayerChoice) -> None:
    again = pickle.loads(pickle.dumps(choice))
    assert again == choice
    assert hash(again) == hash(choice)


def test_another_process_finds_the_same_digest() -> None:
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.apply(digest_of, (GOLDEN,)) == GOLDEN.digest


@pytest.mark.parametrize("seed", ["0", "1"])
def test_the_digest_does_not_depend_on_the_hash_seed(seed: str) -> None:
    code = f"from dcdnas.core.architecture import Architecture; print(Architecture.from_dict({GOLDEN.to_dict()!r}).digest)"
    run = subprocess.run([sys.executable, "-c", code], env={"PYTHONHASHSEED": seed}, capture_output=True, text=True, check=True)
    assert run.stdout.strip() == GOLDEN.digest


@given(ARCHITECTURES, st.randoms())
def test_the_order_of_keys_does_not_matter(architecture: Architecture, order: random.Random) -> None:
    def shuffled(mapping: Any) -> dict[Any, Any]:
        return dict(order.sample(list(mapping.items()), len(mapping)))

    layers = {n: LayerChoice(c.operator, shuffled(c.settings), c.form) for n, c in shuffled(architecture.layers).items()}
    assert replace(architecture, settings=shuffled(architecture.settings), layers=layers) == architecture


@given(ARCHITECTURES, st.sampled_from(["kernel", "activation", ""]))
def test_the_counted_form_is_no_part_of_the_identity(architecture: Architecture, form: str) -> None:
    layers = {n: LayerChoice(c.operator, c.settings, form) for n, c in architecture.layers.items()}
    assert replace(architecture, layers=layers).digest == architecture.digest


CHANGES = {
    "network": replace(GOLDEN, network="resnet"),
    "classes": replace(GOLDEN, classes=999),
    "input": replace(GOLDEN, input=(3, 224, 192)),
    "a setting": replace(GOLDEN, settings={**GOLDEN.settings, "width": 0.75}),
    "a nested setting": replace(GOLDEN, settings={**GOLDEN.settings, "kernel_size": ((3,), (3, 5), (5, 5))}),
    "a setting more": replace(GOLDEN, settings={**GOLDEN.settings, "dropout": 0.1}),
    "an operator": replace(GOLDEN, layers={**GOLDEN.layers, "stage1.block1.project": LayerChoice("dcd")}),
    "an operator's setting": replace(GOLDEN, layers={**GOLDEN.layers, "stage1.block1.project": LayerChoice("static", {"a": 1})}),
    "true for one": replace(GOLDEN, layers={**GOLDEN.layers, "stage1.block1.project": LayerChoice("static", {"a": True})}),
    "one for a word": replace(GOLDEN, layers={**GOLDEN.layers, "stage1.block1.project": LayerChoice("static", {"a": "1"})}),
    "a slot's name": replace(GOLDEN, layers={"other" + n: c for n, c in GOLDEN.layers.items()}),
    "a slot less": replace(GOLDEN, layers=dict(list(GOLDEN.layers.items())[1:])),
}


def test_every_change_of_a_used_value_changes_the_digest() -> None:
    digests = {name: a.digest for name, a in CHANGES.items()} | {"none": GOLDEN.digest}
    assert len(set(digests.values())) == len(digests), digests


def test_a_whole_number_is_the_same_with_and_without_a_point() -> None:
    one, point = (replace(GOLDEN, settings={"width": width, "depth": (width, 2)}) for width in (1, 1.0))
    assert one == point


def test_an_architecture_equals_only_architectures() -> None:
    assert GOLDEN.digest != GOLDEN
    assert len({GOLDEN, copy.deepcopy(GOLDEN), CHANGES["classes"]}) == 2


def test_an_architecture_cannot_be_changed_through_what_it_was_made_from() -> None:
    settings, layers = {"depth": [1, 2]}, {"stem": LayerChoice()}
    architecture = Architecture("n", settings, layers, (3, 8, 8), 2)
    before = architecture.to_dict()
    settings["depth"].append(3)
    layers["head"] = LayerChoice("dcd")
    assert architecture.to_dict() == before
    with pytest.raises(TypeError):
        architecture.settings["depth"] = 1  # type: ignore[index]


def test_a_layer_choice_reads_like_a_call() -> None:
    assert str(LayerChoice("dcd", {"num_blocks": 2, "latent_dim": 8})) == "dcd(latent_dim=8, num_blocks=2)"
    assert str(LayerChoice()) == "static"


@pytest.mark.parametrize("dump", [yaml.safe_dump, json.dumps])
def test_a_config_is_read_from_yaml_and_json(tmp_path: Path, dump: Any) -> None:
    path = tmp_path / "best.cfg"
    path.write_text(dump(CONFIG), encoding="utf-8")
    assert Architecture.read(path).to_dict() == CONFIG | {
        "layers": {"stem": {"operator": "static"}, "head": CONFIG["layers"]["head"]}
    }


def test_the_dcdnas_block_of_a_larger_config_is_read(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_text(
        json.dumps({"architecture": "x", "dcdnas": {**CONFIG, "cost": {"flops": 1}, "provenance": []}}), encoding="utf-8"
    )
    assert Architecture.read(path) == Architecture.from_dict(CONFIG)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": "other/1"}, "not a dcdnas model config: format is 'other/1'. Allowed: 'dcdnas/architecture-1'"),
        ({"network": None}, "network: missing. Allowed: a name"),
        ({"network": ["mobilenetv2"]}, r"network: \['mobilenetv2'\]. Allowed: a name"),
        ({"classes": "ten"}, "classes: 'ten'. Allowed: a whole number, 1 or more"),
        ({"classes": True}, "classes: True. Allowed: a whole number"),
        ({"classes": 0}, "classes: 0. Allowed: a whole number"),
        ({"input": [3, 32]}, r"input: \[3, 32\]. Allowed: three whole numbers: channels, height, width"),
        ({"input": [3, 32, 32.5]}, "input: .* Allowed: three whole numbers"),
        ({"input": [3, 32, 0]}, "input: .* Allowed: three whole numbers"),
        ({"input": 3}, "input: 3. Allowed: three whole numbers"),
        ({"settings": [1]}, r"settings: \[1\]. Allowed: a mapping from names"),
        ({"settings": {3: 4}}, "settings: .* Allowed: a mapping from names"),
        ({"settings": {"a": {"b": 1}}}, "settings.a: {'b': 1}. Allowed: a number, a word, true or false"),
        ({"settings": {"a": [1, [None]]}}, "settings.a: missing. Allowed: a number"),
        ({"settings": {"a": float("nan")}}, "settings.a: nan. Allowed: a number"),
        ({"layers": ["static"]}, "layers: .* Allowed: a mapping from names"),
        ({"layers": {"stem": None}}, "layers.stem: missing. Allowed: an operator's name, or a mapping"),
        ({"layers": {"stem": {"latent_dim": 4}}}, "layers.stem: .* Allowed: an operator's name, or a mapping"),
        ({"layers": {"stem": {"operator": 4}}}, "layers.stem: .* Allowed: an operator's name, or a mapping"),
        ({"layers": {"stem": {"operator": "dcd", "latent_dim": [4]}}}, r"layers.stem.latent_dim: \[4\]. Allowed: a number"),
        ({"layers": {"stem": {"operator": "dcd", "form": ["mix"]}}}, r"layers.stem.form: \['mix'\]. Allowed: a name"),
        ({"layers": {"stem": {"operator": "dcd", "form": 3}}}, "layers.stem.form: 3. Allowed: a name"),
        (
            {"layers": {"stem": {"operator": "dcd", "guide_channels": [4]}}},
            r"layers.stem.guide_channels: \[4\]. Allowed: a whole",
        ),
    ],
)
def test_a_malformed_config_is_refused_with_file_place_and_what_is_allowed(tmp_path: Path, change: Any, message: str) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(yaml.safe_dump({**CONFIG, **change}), encoding="utf-8")
    with pytest.raises(FileError, match=f"bad.yaml: {message}"):
        Architecture.read(path)


@pytest.mark.parametrize("entry", [5, {"operator": "dcd", "num": [1]}, {"operator": "dcd", "form": ["x"]}])
def test_a_malformed_layer_is_refused_whatever_was_read_before(entry: Any) -> None:
    with contextlib.suppress(FileError):
        Architecture.from_dict({**CONFIG, "layers": {"stem": {"operator": "dcd", "form": ["x"]}}})
    with pytest.raises(FileError, match=r"layers\.stem"):
        Architecture.from_dict({**CONFIG, "layers": {"stem": entry}})


@pytest.mark.parametrize("key", ["format", "network", "input", "classes", "settings", "layers"])
def test_every_part_of_a_config_is_needed(key: str) -> None:
    with pytest.raises(FileError, match=f"best.yaml: .*{key}.*(missing|None)"):
        Architecture.from_dict({k: v for k, v in CONFIG.items() if k != key}, "best.yaml")


@pytest.mark.parametrize("text", ["", "[1, 2]", "just words", "3"])
def test_a_file_that_is_something_else_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "x.yaml").write_text(text)
    with pytest.raises(FileError, match=r"x\.yaml: not a dcdnas model config"):
        Architecture.read(tmp_path / "x.yaml")


def test_broken_yaml_is_refused_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_text("a: [1,\nb: }")
    with pytest.raises(FileError, match=r"x\.yaml:2: not valid YAML: "):
        Architecture.read(tmp_path / "x.yaml")


def test_a_missing_file_is_refused_with_the_reason(tmp_path: Path) -> None:
    with pytest.raises(FileError, match=r"none\.yaml: cannot be read: No such file or directory"):
        Architecture.read(tmp_path / "none.yaml")


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(FileError, match=r"x\.yaml:1: cannot be read as UTF-8"):
        Architecture.read(tmp_path / "x.yaml")


@given(st.recursive(st.none() | SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3)))
def test_any_content_is_either_an_architecture_or_a_file_error(content: Any) -> None:
    for plain in (content, {**CONFIG, "settings": content}, {**CONFIG, "layers": content}, {**CONFIG, "layers": {"x": content}}):
        try:
            architecture = Architecture.from_dict(plain, "x.yaml")
        except FileError:
            continue
        assert Architecture.from_dict(architecture.to_dict()) == architecture


@given(ARCHITECTURES)
def test_one_that_is_read_later_is_the_same(a: Architecture) -> None:
    text = json.dumps(a.to_dict())

    def unread() -> Architecture:
        return Architecture.unread(text, "trial 3")

    assert unread() == a
    assert hash(unread()) == hash(a)
    assert (unread().head, unread().input, unread().layers) == (a.head, a.input, a.layers)
    assert unread().operators == a.operators == {slot: choice.operator for slot, choice in a.layers.items()}
    assert pickle.loads(pickle.dumps(unread())) == a
    assert replace(unread(), classes=a.classes + 1) == replace(a, classes=a.classes + 1)


def test_one_that_is_read_later_names_its_operators_before() -> None:
    a = Architecture("n", {}, {"x": LayerChoice("odconv", {"k": 2}), "y": LayerChoice()}, (1, 8, 8), 10)
    unread = Architecture.unread(json.dumps(a.to_dict()), "trial 3")
    assert unread.operator_names == a.operator_names == {"odconv", "static"}
    assert "layers" not in vars(unread)


@pytest.mark.parametrize("text", ["{", "[]", "[" * 100_000, '{"format": 3}', f'{{"format": "{FORMAT}", "layers": 3}}'])
def test_one_that_is_read_later_and_is_none_says_where(text: str) -> None:
    with pytest.raises(FileError, match="trial 3"):
        _ = Architecture.unread(text, "trial 3").layers
    with pytest.raises(FileError, match="trial 3"):
        _ = Architecture.unread(text, "trial 3").operators
    with pytest.raises(AttributeError):
        _ = Architecture.unread(text, "trial 3").__wrapped__  # type: ignore[attr-defined]
