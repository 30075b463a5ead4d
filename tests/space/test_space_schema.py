from __future__ import annotations

from typing import Any

import jsonschema
import pytest
from spaces import BACKBONE, HEAD, TINY

from dcdnas.core.yaml_lines import parse_yaml, read_yaml
from dcdnas.space.library import shipped
from dcdnas.space.reading.schema import json_schema


@pytest.fixture(scope="module")
def validator() -> Any:
    schema = json_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


@pytest.mark.parametrize("name", sorted(shipped()))
def test_the_shipped_spaces_are_valid(validator: Any, name: str) -> None:
    validator.validate(read_yaml(shipped()[name]).data)


@pytest.mark.parametrize("name", TINY)
def test_spaces_that_compile_are_valid(validator: Any, name: str) -> None:
    validator.validate(parse_yaml(HEAD + BACKBONE + TINY[name], "x").data)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("network: mobilenetv2", "network: mobilenetv9"),
        ("classes: 4", "classes: four"),
        ("classes: 4", "clases: 4"),
        ("    odconv: {num_kernels: [1, 2]}", "    odcon: {num_kernels: [1, 2]}"),
        ("{num_kernels: [1, 2]}", "{num_kernel: [1, 2]}"),
        ("{num_kernels: [1, 2]}", "{num_kernels: [one]}"),
        ("share: network", "share: somewhere"),
        ("[3, 5]", "[-3]"),
        ("[3, 5]", "[]"),
    ],
)
def test_what_does_not_compile_is_mostly_invalid(validator: Any, old: str, new: str) -> None:
    text = HEAD + BACKBONE + TINY["stage"]
    assert old in text
    assert not validator.is_valid(parse_yaml(text.replace(old, new, 1), "x").data)


def test_every_operator_and_setting_is_in_the_schema_with_what_it_allows() -> None:
    candidates = json_schema()["properties"]["slots"]["additionalProperties"]["properties"]
    assert candidates["dcd"]["properties"]["num_blocks"]["description"] == "allowed: a power of two, 1 or more"
