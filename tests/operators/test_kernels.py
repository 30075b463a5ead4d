"""The memory of a sample's own kernels is what their shapes say, for every operator and form."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pytest
from contract import each_place_where, forms, image, make, supported
from torch import Tensor

from dcdnas.core.geometry import ConvGeometry, Setting
from dcdnas.cost import metrics
from dcdnas.operators import operators
from dcdnas.operators._kernels import watching
from dcdnas.operators.dcd._plan import Plan

KERNEL_MEMORY = metrics["kernel-memory"]


def elements(g: ConvGeometry) -> int:
    """Of one kernel of the convolution."""
    return g.out_channels * (g.in_channels // g.groups) * g.kernel_size**2


def of_odconv(g: ConvGeometry, s: Mapping[str, Setting], form: str) -> int:
    static = form == "columns" or (form == "activation" and s["num_kernels"] == g.kernel_size == 1)
    return 0 if static else elements(g)


def of_dcd(g: ConvGeometry, s: Mapping[str, Setting], form: str) -> int:
    plan = Plan.of(g, s)
    latent = plan.blocks * plan.latent
    if form == "kernel":
        return elements(g)
    if form == "fused":
        return latent * (g.in_channels // plan.blocks) if plan.input_side else plan.latent * g.out_channels
    return latent * plan.latent * (g.kernel_size**2 if plan.tensor else 1)


EXPECTED: Mapping[str, Callable[[ConvGeometry, Mapping[str, Setting], str], int]] = {
    "condconv": lambda g, s, form: elements(g) * (form == "aggregate"),
    "dyconv": lambda g, s, form: elements(g) * (form == "aggregate"),
    "weightnet": lambda g, s, form: elements(g) * (form == "kernel"),
    "drconv": lambda g, s, form: int(s["num_regions"]) * elements(g) * (form == "regions"),
    "ddf": lambda g, s, form: g.kernel_size**2 * (g.in_channels + int(s["head"]) * g.out_pixels),
    "odconv": of_odconv,
    "dcd": of_dcd,
    "sk": lambda g, s, form: 0,
    "static": lambda g, s, form: 0,
}
"""Of the operators whose papers build kernels, or none; one that is added says its own in a test of its own."""


@each_place_where(lambda name, geometry: name in EXPECTED)
def test_every_form_has_the_kernels_that_its_paper_builds(name: str, geometry: ConvGeometry) -> None:
    for settings, form in forms(name, geometry, 1):
        layer = operators[name].at(geometry, form, **settings)
        found = KERNEL_MEMORY.measure(layer, (geometry.in_channels, geometry.height, geometry.width))
        assert found == 4 * EXPECTED[name](geometry, settings, form), (settings, form)


@pytest.mark.parametrize("name", [n for n in EXPECTED if n not in ("static", "sk")])
def test_what_counts_as_a_kernel_is_each_samples_own(name: str) -> None:
    geometry = max((g for g in supported(name) if g.kernel_size > 1 and g.out_pixels > 1), key=lambda g: g.in_channels)
    layer, seen = make(operators[name], geometry, seed=1), list[Tensor]()
    layer._pinned = True
    x = image(geometry, batch=8)
    for form in operators[name].forms(geometry, layer._settings()):
        layer._counted = form
        with watching(seen.append):
            layer(x)
    assert seen
    assert all(len(kernel) == 8 and (kernel != kernel[:1]).any() for kernel in seen)
