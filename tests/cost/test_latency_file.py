"""Latency tables as files: written and read again, by hand, and with every mistake named."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from dcdnas.core.architecture import LayerChoice
from dcdnas.core.geometry import ConvGeometry
from dcdnas.cost.latency.device import Device
from dcdnas.cost.latency.file import FORMAT, read_table, table_from, table_text
from dcdnas.cost.latency.fit import Correction
from dcdnas.cost.latency.table import place_of
from dcdnas.cost.latency.timing import Timing
from dcdnas.errors import FileError
from dcdnas.networks import Slot

PLACES = {
    place_of(Slot("a", ConvGeometry(3, 8, 3, 2, height=32, width=32), "conv", "relu6"), LayerChoice()): Timing(1500, 20),
    place_of(Slot("b", ConvGeometry(64, 10), "linear"), LayerChoice()): Timing(900, 0),
    place_of(Slot("c", ConvGeometry(64, 16, height=7, width=7), "gate", "hardsigmoid"), LayerChoice()): Timing(77, 1),
}

BY_HAND: dict[str, Any] = {
    "format": FORMAT,
    "device": {"name": "cpu: Cortex-A76", "threads": 4},
    "unit": "ms",
    "slots": [
        {
            "in_channels": 3,
            "out_channels": 8,
            "kernel_size": 3,
            "stride": 2,
            "height": 32,
            "width": 32,
            "activation": "relu6",
            "value": 0.25,
        },
        {"kind": "linear", "in_channels": 64, "out_channels": 10, "value": 0.01, "iqr": 0.001},
    ],
}


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    device, correction = Device("cpu: A", 2, 4, "float32", "torch 9"), Correction(1.5, 20.25, "tiny", 30, 0.05, 0.9)
    (tmp_path / "t.json").write_text(table_text(device, PLACES.items(), correction))
    found = read_table(tmp_path / "t.json")
    assert (found.device, dict(found.slots), found.correction) == (device, PLACES, correction)
    assert found.source == str(tmp_path / "t.json")


def test_a_table_by_hand_in_milliseconds() -> None:
    found = table_from(BY_HAND, "mine.json")
    assert found.device == Device("cpu: Cortex-A76", 4)
    assert sorted(t.median for t in found.slots.values()) == [10_000, 250_000]
    stem = Slot("stem", ConvGeometry(3, 8, 3, 2, height=32, width=32), "conv", "relu6")
    assert found.nanoseconds(stem, LayerChoice()) == 250_000


def test_the_example_of_the_documentation_is_a_table() -> None:
    text = (Path(__file__).parents[2] / "docs" / "latency.md").read_text()
    found = table_from(json.loads(text.split("```json\n")[1].split("```")[0]), "docs/latency.md")
    assert sorted(t.median for t in found.slots.values()) == [240_000, 812_500]
    assert (found.correction.factor, found.correction.per_slot) == (1.1, 2000)


def test_a_list_that_is_not_filled_in_has_no_times(tmp_path: Path) -> None:
    text = table_text(Device("cpu: mine"), ((place, None) for place in PLACES))
    rows = json.loads(text)["slots"]
    assert [row["value"] for row in rows] == [None, None, None]
    (tmp_path / "t.json").write_text(text)
    assert not read_table(tmp_path / "t.json").slots


def changed(path: str, value: Any) -> dict[str, Any]:
    """The table by hand with one value changed, or taken out."""
    found = copy.deepcopy(BY_HAND)
    *parents, last = (int(p) if p.isdigit() else p for p in path.split("."))
    at: Any = found
    for parent in parents:
        at = at[parent]
    at[last] = value
    return found


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        ("format", "dcdnas/space-1", "no latency table: its format is 'dcdnas/space-1'"),
        ("unit", "minutes", "unit must say what the values are in, not 'minutes'. Allowed: ns, us, ms, s."),
        ("unit", None, "unit must say"),
        ("unit", ["ms"], "unit must say what the values are in, not ['ms']"),
        ("unti", "ms", "unknown key 'unti'. Did you mean 'unit'?"),
        ("device", "my phone", "device must say at least a name"),
        ("device.threads", 0, "device: threads must be a whole number above 0, not 0."),
        ("device.dtype", 32, "device: dtype must be a text, not 32."),
        ("device.thread", 2, "device: unknown key 'thread'. Did you mean 'threads'?"),
        ("correction", {"factor": -1}, "correction: factor must be a number, 0 or more, not -1."),
        ("correction", {"faktor": 1}, "correction: unknown key 'faktor'. Did you mean 'factor'?"),
        ("correction", 2, "correction must be an object"),
        ("correction", {"error": "5 %"}, "correction: error must be a number, 0 or more, or null, not '5 %'."),
        ("correction", {"networks": 2.5}, "correction: networks must be a whole number, 0 or more, not 2.5."),
        ("correction", {"order": 5}, "correction: order must be a number, -1 to 1, or null, not 5."),
        ("correction", {"space": 4}, "correction: space must be a text, not 4."),
        ("slots", {}, "slots must be a list"),
        ("slots.0", 3, "slot 1: must be an object, not 3."),
        ("slots.1.value", -0.1, "slot 2: value must be a number, above 0, not -0.1."),
        ("slots.1.value", "fast", "slot 2: value must be a number, above 0, not 'fast'."),
        ("slots.1.value", float("inf"), "slot 2: value must be a number, above 0, not inf."),
        ("slots.1.value", 10**400, "slot 2: value must be a number, above 0, not 1000"),
        ("slots.1.value", 1e308, "slot 2: value must be a number, above 0, not 1e+308"),
        ("slots.1.iqr", -1, "slot 2: iqr must be a number, 0 or more, not -1."),
        ("slots.0.kernel", 3, "slot 1: unknown key 'kernel'. Did you mean 'kernel_size'?"),
        ("slots.0.kernel_size", 2.5, "slot 1: kernel_size must be a whole number, not 2.5."),
        ("slots.0.in_channels", None, "slot 1: in_channels must be a whole number, not None."),
        ("slots.0.groups", 2, "slot 1: groups 2 does not divide in_channels 3."),
        ("slots.0.kind", "convolution", "slot 1: kind cannot be 'convolution'."),
        ("slots.0.activation", {}, "slot 1: activation cannot be {}."),
        ("slots.0.activation", [], "slot 1: activation cannot be []."),
        ("slots.0.variant", {}, "slot 1: variant cannot be {}."),
        ("slots.0.variant", 0, "slot 1: variant cannot be 0."),
        ("slots.0.activation", 3, "slot 1: activation cannot be 3. Known: gelu, hardsigmoid, hardswish"),
        ("slots.0.activation", "relu7", "slot 1: activation cannot be 'relu7'. Did you mean"),
        ("slots.0.operator", "odcon", "slot 1: unknown operator 'odcon'. Did you mean 'odconv'?"),
        ("slots.0.settings", {"num_kernels": 4}, "slot 1: static has no setting 'num_kernels'."),
        ("slots.0.settings", 4, "slot 1: settings must be an object, not 4."),
        ("slots.0.guide_channels", "x", "slot 1: guide_channels must be a whole number, not 'x'."),
    ],
)
def test_a_mistake_is_named_with_its_place(path: str, value: Any, said: str) -> None:
    with pytest.raises(FileError) as error:
        table_from(changed(path, value), "mine.json")
    assert f"mine.json: {said}" in str(error.value)


def test_all_mistakes_are_said_together_up_to_a_dozen() -> None:
    wrong = {**BY_HAND, "unit": "h", "slots": [{**row, "value": 0} for row in BY_HAND["slots"] * 9]}
    with pytest.raises(FileError) as error:
        table_from(wrong, "mine.json")
    lines = str(error.value).splitlines()
    assert len(lines) == 13
    assert lines[-1] == "mine.json: and 7 more problems"


def test_one_place_with_two_values_is_a_mistake() -> None:
    twice = {**BY_HAND, "slots": [*BY_HAND["slots"], {**BY_HAND["slots"][0], "value": 0.3}]}
    with pytest.raises(FileError, match="slot 3: the same place and operator as an earlier one"):
        table_from(twice, "mine.json")


@pytest.mark.parametrize(
    ("text", "said"), [("{", "t.json:1: not valid JSON"), ("[1]", "no latency table"), ("\x80\x04K\x01.", "not valid JSON")]
)
def test_a_file_that_is_none(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "t.json").write_text(text)
    with pytest.raises(FileError, match=said):
        read_table(tmp_path / "t.json")


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="cannot be read"):
        read_table(tmp_path / "none.json")
