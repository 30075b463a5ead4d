"""What latencies are measured in: a pretended runtime for what all share, and onnxruntime itself on two layers."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import pytest
import torch
from latencies import arithmetic
from torch import Tensor, nn

from dcdnas.core.architecture import LayerChoice
from dcdnas.core.geometry import ConvGeometry
from dcdnas.cost.latency import time_module
from dcdnas.cost.latency.choosing import check_device
from dcdnas.cost.latency.device import Device, this_device
from dcdnas.cost.latency.file import read_table, table_text
from dcdnas.cost.latency.measuring import ready
from dcdnas.cost.latency.runtimes import Call, Part, Runtime, runtimes
from dcdnas.cost.latency.table import LatencyTable, Place, place_of
from dcdnas.cost.latency.timing import timings
from dcdnas.errors import MissingPackageError, UnknownNameError, UsageError
from dcdnas.networks import Slot

PLACE: Place = place_of(Slot("a", ConvGeometry(4, 8, 3, height=6, width=6), "conv", "relu6"), LayerChoice())


class Pretended(Runtime):
    """Takes a second more a call than there are elements in its input, whatever is computed."""

    software = "pretended 1.0"  # type: ignore[assignment]
    now = 0.0

    def check(self, kind: str, batch: int) -> None:
        """Anywhere."""

    def calls(self, parts: Sequence[Part], threads: int) -> list[Call]:
        return [partial(self._passes, 1 + part.x.numel()) for part in parts]

    def start(self, threads: int) -> Call:
        return partial(self._passes, 1)

    def _passes(self, seconds: float) -> None:
        Pretended.now += seconds


def clock(call: Call) -> float:
    before = Pretended.now
    call()
    return Pretended.now - before


@pytest.fixture
def pretended() -> Iterator[Device]:
    """This machine with the pretended runtime."""
    runtimes.add("pretended", Pretended)
    yield this_device(runtime="pretended")
    runtimes.remove("pretended")


def test_what_a_call_takes_by_itself_is_taken_off(pretended: Device) -> None:
    parts = [Part(nn.Identity(), torch.zeros(size)) for size in (3, 7, 0)]
    assert [t.median for t in timings(parts, pretended, 2, clock)] == [3_000_000_000, 7_000_000_000, 50_000_000]


def test_a_table_names_its_runtime_and_is_read_again(pretended: Device, tmp_path: Any) -> None:
    assert str(pretended).endswith("float32, pretended 1.0")
    (tmp_path / "t.json").write_text(table_text(pretended, [(PLACE, arithmetic(PLACE))]))
    table = read_table(tmp_path / "t.json")
    assert table.device == pretended
    assert (table.device.here, table.device.runtime) == (True, "pretended")
    check_device(table, None)


def test_a_table_that_names_no_runtime_is_of_torch_and_one_that_names_another_says_so() -> None:
    assert str(Device("cpu: Cortex-A76")).endswith("float32, torch")
    assert str(Device("cpu: Cortex-A76", software="3.2", runtime="my runtime")).endswith("float32, my runtime 3.2")


def test_times_of_a_runtime_that_is_not_known_here_are_used_for_a_device_that_is_named() -> None:
    table = LatencyTable(Device(this_device().name, runtime="mine"), source="mine.json")
    assert not table.device.here
    with pytest.raises(UnknownNameError, match=r"runtime 'mine'.*--latency-device"):
        check_device(table, None)
    check_device(table, this_device().name)


@pytest.mark.parametrize("way", [{"batch": 8}, {"threads": 0}])
def test_onnxruntime_is_measured_as_it_is_shipped(way: dict[str, int]) -> None:
    with pytest.raises(UsageError, match=r"one image at a time.*--runtime torch|must be at least 1"):
        this_device(runtime="onnxruntime", **way)


def test_without_onnxruntime_the_message_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    device = Device(this_device().name, runtime="onnxruntime")
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    assert not device.here
    for refused in (lambda: this_device(runtime="onnxruntime"), lambda: check_device(LatencyTable(device), None)):
        with pytest.raises(MissingPackageError, match=r'measuring in onnxruntime needs.*pip install "dcdnas\[onnx\]"'):
            refused()


class Stubborn(nn.Module):
    """What no exporter takes: it needs to know a number that it computes."""

    def forward(self, x: Tensor) -> Tensor:
        return x if x.sum() > 0 else -x


@pytest.mark.slow
def test_a_layer_that_cannot_be_exported_is_named() -> None:
    pytest.importorskip("onnxruntime")
    fine = ready(PLACE, this_device())
    with pytest.raises(UsageError, match=r"^the odd one cannot be exported to ONNX.*--runtime torch") as error:
        timings([fine, Part(Stubborn(), torch.zeros(1, 3), "the odd one")], this_device(runtime="onnxruntime"), 1)
    assert "\n" not in str(error.value)


@pytest.mark.slow
def test_layers_are_measured_in_onnxruntime_as_they_are_exported_alone() -> None:
    pytest.importorskip("onnxruntime")
    from dcdnas.cost.latency.runtimes.onnxruntime import _session
    from dcdnas.tracing.layers import graphs_for_one
    from dcdnas.tracing.onnx_graph import as_onnx
    from dcdnas.tracing.programs import quiet, traced_for_one

    device = this_device(runtime="onnxruntime")
    parts = [ready(place_of(PLACE[0], LayerChoice(name)), device) for name in ("static", "odconv")]
    graphs = graphs_for_one([part.module for part in parts], [part.x.shape[1:] for part in parts])
    for part, graph in zip(parts, graphs, strict=True):
        with quiet():
            alone = as_onnx(traced_for_one(part.module, part.x.shape[1:]), {})
        assert Counter(n.op_type for n in graph.graph.node) == Counter(n.op_type for n in alone.graph.node)
        (found,) = _session(graph, 1).run(None, {graph.graph.input[0].name: part.x.numpy()})
        with torch.inference_mode():
            torch.testing.assert_close(torch.from_numpy(found), part.module(part.x), rtol=1e-4, atol=1e-5)
    assert all(timing.median > 1 for timing in timings(parts, device, 2))
    assert time_module(nn.Conv2d(4, 64, 3, padding=1), (4, 32, 32), device) > time_module(nn.Conv2d(4, 1, 1), (4, 2, 2), device)
    assert device.software.startswith("onnxruntime ")
