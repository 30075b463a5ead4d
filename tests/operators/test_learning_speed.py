"""A fresh dynamic operator learns at the speed of a static convolution, and a fresh classifier scores all classes alike."""

from __future__ import annotations

import statistics

import pytest
import torch
import torch.nn.functional as F
from contract import refusal

from dcdnas.core.geometry import ConvGeometry
from dcdnas.core.task import TrainingTask
from dcdnas.operators import operators
from dcdnas.operators.mixconv import parts_of
from dcdnas.testing.speed import gain
from dcdnas.training.optimizer import parameter_groups

DEPTHWISE = ("atconv", "idconv", "mixconv")
SEEDS = 12
MIXTURES = {
    "dyconv": {}, "dyconv of 8 kernels": {"num_kernels": 8}, "dyconv by sigmoids": {"act": "sigmoid", "num_kernels": 6},
    "dyconv by channel": {"mixing": "channel"}, "condconv": {}, "condconv of 16 experts": {"num_experts": 16}, "drconv": {},
    "weightnet": {}, "weightnet of 4 terms": {"multiplier": 4, "parts": 1}, "sk": {}, "idconv": {}, "odconv": {},
    "atconv": {}, "mixconv": {}, "mixconv of 5 sizes": {"num_sizes": 5},
    "odconv of 4 kernels": {"num_kernels": 4}, "odconv by published gates": {"num_kernels": 4, "gates": "sigmoid"}, "dcd": {},
    "kernel-warehouse": {}, "kernel-warehouse of 4 cells": {"budget": 4}, "kernel-warehouse of half": {"budget": 0.5},
    "ghost": {}, "ghost of 3": {"ratio": 3}, "ghost without activation": {"act": "none"},
    "fdconv": {}, "fdconv of 4 groups": {"num_groups": 4},
}  # fmt: skip


def place(depthwise: bool, kernel_size: int = 3) -> ConvGeometry:
    return ConvGeometry(16, 16, kernel_size, groups=16 if depthwise else 1, height=8, width=8)


def speed(name: str, settings: dict[str, object], at: ConvGeometry) -> float:
    """What a small step of SGD gains, as the contract of operators measures it."""
    return gain(operators[name], at, 0.0, SEEDS, **operators[name].resolve(at, **settings))


def static_speed(name: str, settings: dict[str, object], depthwise: bool) -> float:
    """That of a static layer, or the mean of those of the kernel sizes of `mixconv`: a 5x5 layer learns faster than a 3x3 one."""
    at = place(depthwise)
    parts = parts_of(at, operators[name].resolve(at, **settings)) if name == "mixconv" else [(16, 3)]
    return sum(channels / 16 * speed("static", {}, place(depthwise, k)) for channels, k in parts)


@pytest.mark.parametrize("name", MIXTURES)
def test_a_step_of_sgd_gains_as_much_as_in_a_static_convolution(name):
    operator, settings = name.split(" ")[0], MIXTURES[name]
    depthwise = operator in DEPTHWISE
    ratio = speed(operator, settings, place(depthwise)) / static_speed(operator, settings, depthwise)
    assert 0.75 < ratio < 1.35, f"{ratio:.2f} times as much"


PLACES = {
    "expanding": ConvGeometry(16, 48, height=16, width=16), "projecting": ConvGeometry(96, 32, height=8, width=8),
    "depthwise": ConvGeometry(48, 48, 3, groups=48, height=8, width=8), "dense": ConvGeometry(16, 16, 3, height=8, width=8),
}  # fmt: skip


def gains(name: str, settings: dict[str, object], at: ConvGeometry) -> tuple[float, float, float]:
    """After annealing: what a small step of SGD on the kernels gains, one on the controller, and the controller's own rate."""
    found = []
    for seed in range(SEEDS):
        torch.manual_seed(seed)
        operator = operators[name].at(at, "", 0, **operators[name].resolve(at, **settings))
        operator.anneal(1.0)
        y = operator(torch.randn(16, at.in_channels, at.height, at.width))
        (F.batch_norm(y, None, None, training=True) * torch.randn_like(y)).sum().backward()
        layers = [m for m in operator.modules() if isinstance(m, (torch.nn.Linear, torch.nn.Conv2d))]
        inside = {id(p) for layer in layers for p in layer.parameters(recurse=False)}
        sums = [0.0, 0.0]
        for p in operator.parameters():
            sums[id(p) in inside] += float(p.grad.square().sum()) if p.grad is not None else 0.0
        found.append((*sums, operator.controller_rate))
    kernels, controller, rate = (statistics.median(values) for values in zip(*found, strict=True))
    return kernels, controller, rate


@pytest.mark.parametrize("where", PLACES)
@pytest.mark.parametrize("budget", [0.5, 1, 4])
def test_the_attention_of_a_warehouse_learns_at_a_tenth_of_its_cells_speed(budget, where):
    kernels, controller, rate = gains("kernel-warehouse", {"budget": budget}, PLACES[where])
    assert 0.05 < rate * controller / kernels < 0.15


@pytest.mark.parametrize("where", PLACES)
@pytest.mark.parametrize("num_kernels", [2, 4, 16])
def test_the_attention_of_several_kernels_of_odconv_learns_at_a_tenth_of_its_kernels_speed_or_slower(num_kernels, where):
    kernels, controller, rate = gains("odconv", {"num_kernels": num_kernels}, PLACES[where])
    assert 0.05 < rate * controller / kernels < 0.15


@pytest.mark.parametrize("settings", [{"num_kernels": 4, "gates": "sigmoid"}, {"num_kernels": 1}])
def test_one_kernel_and_the_published_gates_of_odconv_have_the_rate_of_the_recipe(settings):
    assert operators["odconv"](48, 48, 3, padding=1, groups=48, **settings).controller_rate == 1


@pytest.mark.slow
@pytest.mark.parametrize("where", PLACES)
@pytest.mark.parametrize("name", ["condconv", "dcd", "dyconv", "odconv", "weightnet", "drconv", "fdconv"])
def test_the_controllers_of_other_operators_learn_slower_or_at_most_few_times_as_fast(name, where):
    kernels, controller, _ = gains(name.split(" ")[0], MIXTURES[name], PLACES[where])
    faster = where == "depthwise" and name == "fdconv"
    assert (1 if faster else 0) * kernels <= controller < (3 if faster else 1) * kernels


RATED = {"atconv": {}, "kernel-warehouse": {}, "odconv": {"num_kernels": 4}}


def test_only_operators_whose_controllers_would_learn_too_fast_have_a_rate_of_their_own():
    for name in operators:
        where = [at for at in PLACES.values() if refusal(operators[name], at) is None]
        settings = [operators[name].resolve(at, **RATED.get(name, {})) for at in where]
        own = [operators[name].at(at, "", 0, **chosen).controller_rate for at, chosen in zip(where, settings, strict=True)]
        assert (min(own) < 1) == (name in RATED), name


@pytest.mark.parametrize("side", [4, 16])
@pytest.mark.parametrize("kernel_size", [3, 5])
def test_a_step_on_the_linear_layer_of_atconv_gains_less_than_a_tenth_of_one_on_its_own_taps(kernel_size, side):
    shares = []
    for seed in range(SEEDS):
        torch.manual_seed(seed)
        operator = operators["atconv"](48, 48, kernel_size, padding=kernel_size // 2, groups=48)
        y = operator(torch.randn(16, 48, side, side).relu())
        (F.batch_norm(y, None, None, training=True) * torch.randn_like(y)).sum().backward()
        step = operator.controller_rate * operator.generate.weight.grad.square().sum()
        shares.append(float(step / operator.own.grad.square().sum()))
    assert 0.005 < statistics.median(shares) < 0.1


@pytest.mark.parametrize("own_taps", [False, True])
def test_the_bias_of_atconvs_linear_layer_learns_like_a_kernel(own_taps):
    operator = operators["atconv"](8, 8, 3, padding=1, groups=8, own_taps=own_taps)
    slow = [p for group in parameter_groups(operator, TrainingTask()) if group["scale"] < 1 for p in group["params"]]
    assert len(slow) == 1
    assert slow[0] is operator.generate.weight


@pytest.mark.parametrize("name", ["condconv", "kernel-warehouse", "static"])
def test_a_fresh_classifier_scores_all_classes_nearly_alike(name):
    torch.manual_seed(0)
    classifier = operators[name].classifier(ConvGeometry(64, 10))
    assert classifier(torch.randn(32, 64)).abs().max() < 1
