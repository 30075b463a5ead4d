"""The counter that stands in for fvcore where torch cannot trace: the same numbers, the same refusals, and a note."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from counting import SHAPE, Run, dispatched
from torch import Tensor, nn

from dcdnas.cost import UncountedOperation, measure, price
from dcdnas.cost.flops import count_flops, count_inside
from dcdnas.networks import build_network
from dcdnas.operators import operators, product
from dcdnas.published import architecture

NOTE = r"^Note: the multiply-adds of \w+ were counted without fvcore"


@pytest.fixture
def no_trace(monkeypatch: pytest.MonkeyPatch) -> None:
    """As a torch that cannot trace anything."""

    def raises(*_: object, **__: object) -> None:
        raise RuntimeError("tracing is gone")

    monkeypatch.setattr("fvcore.nn.jit_analysis._get_trace_graph", raises)


def test_a_network_costs_the_same_without_a_trace_and_a_note_says_so(no_trace: None) -> None:
    network = architecture("dcd/mobilenetv2_dcd")
    with pytest.warns(UserWarning, match=NOTE) as notes:
        measured = measure(build_network(network), ("flops",))
    assert measured["flops"] == price(network)["flops"]
    assert len(notes) == 1
    assert str(notes[0].message).endswith("could not trace it (RuntimeError: tracing is gone).")


def test_what_the_parts_of_an_operator_compute_is_the_same_without_a_trace(monkeypatch: pytest.MonkeyPatch) -> None:
    layer = operators["odconv"](4, 8, 3, padding=1)
    traced = count_inside(layer, SHAPE)
    monkeypatch.delattr("fvcore.nn.jit_analysis._get_trace_graph")
    with pytest.warns(UserWarning, match=NOTE):
        assert count_inside(layer, SHAPE) == traced > 0


def untraceable(m: Any, x: Tensor) -> Tensor:
    if torch.jit.is_tracing():
        raise RuntimeError("only numbers, no trace")
    return F.conv2d(x, m.weight, padding=1)


def test_a_module_that_cannot_be_traced_is_counted_with_a_note() -> None:
    with pytest.warns(UserWarning, match=NOTE):
        assert count_flops(Run(untraceable), SHAPE) == 4 * 4 * 9 * 36


@pytest.mark.slow
def test_prices_need_no_torch_jit() -> None:
    """fvcore cannot even be imported without either of what is taken away."""
    code = """
import warnings, torch
del torch.jit.script, torch.jit._get_trace_graph
warnings.simplefilter("ignore")
from dcdnas.cost import measure, price
from dcdnas.networks import build_network
from dcdnas.published import architecture
network = architecture("odconv/od_resnet18")
print(measure(build_network(network)) == price(network), price(network)["flops"])
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.split() == ["True", str(price(architecture("odconv/od_resnet18"))["flops"])]


REFUSED: dict[str, tuple[Callable[[Any, Tensor], Tensor], str]] = {
    "a Fourier transform": (lambda m, x: torch.fft.rfft2(x).abs(), r"aten::_fft_r2c"),
    "attention in one kernel": (lambda m, x: F.scaled_dot_product_attention(x, x, x), "aten::scaled_dot_product_attention"),
    "attention in parts": (lambda m, x: F.scaled_dot_product_attention(x[0], x[0], x[0]), "aten::scaled_dot_product_attention"),
    "a product of two activations": (lambda m, x: x * x.sigmoid(), r"unmarked product .*float32 \(1, 4, 6, 6\)"),
    "an einsum of three": (
        lambda m, x: torch.einsum("ncij,cd,de->neij", x, m.gain[:, 0], m.gain[:, 0].T),
        "does not count einsum",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_nobody_counts_is_refused_without_a_trace_too(name: str, no_trace: None) -> None:
    function, message = REFUSED[name]
    with pytest.raises(UncountedOperation, match=message):
        count_flops(Run(function), SHAPE)


class Square(torch.autograd.Function):
    """A marked product that a trace cannot see into."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        """x squared."""
        return product(x, x)


def test_the_dispatcher_sees_into_what_hides_its_operations() -> None:
    assert dispatched(Run(lambda m, x: Square.apply(x))) == 4 * 36


def test_a_layer_that_two_places_share_counts_in_its_first() -> None:
    shared = nn.Conv2d(4, 4, 1)
    assert count_flops(nn.Sequential(shared, shared), SHAPE) == dispatched(nn.Sequential(shared, shared)) == 2 * 16 * 36


def test_no_hook_is_left() -> None:
    layer = nn.Sequential(nn.Conv2d(4, 4, 1))
    dispatched(layer)
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in layer.modules())
