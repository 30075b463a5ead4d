"""A warehouse that several KernelWarehouse layers share: the size of its cells, and the cells initially assigned to each."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from dcdnas.core.geometry import ConvGeometry, Setting
from dcdnas.errors import GeometryError
from dcdnas.operators._warehouse import Plan, cells_for
from dcdnas.operators._widths import nearest_divisor

MOST_PARTS = 64
"""Largest number of parts into which either channel axis of a kernel is cut: the attention grows with the square of the parts."""


def sharing(geometries: Sequence[ConvGeometry], settings: Mapping[str, Setting]) -> list[dict[str, Setting]]:
    """Returns the settings of layers that share a warehouse, with the largest cells into which all their kernels can be cut.

    Args:
        geometries: of the layers, in the order of computation.
        settings: common to all layers; `out_parts` and `in_parts` cut the greatest common divisors of their channels.

    Raises:
        GeometryError: if depthwise and other layers are mixed, or a kernel would have too many parts.
    """
    cell_out, cell_in = _cell(geometries, settings)
    budget = float(settings["budget"])
    found = [_cut(g, settings, cell_out, cell_in) for g in geometries]
    cells = cells_for(budget, sum(Plan.of(g, each).parts for g, each in zip(geometries, found, strict=True)))
    start = 0
    for g, each in zip(geometries, found, strict=True):
        each |= {"shared_cells": cells, "shared_start": min(start, cells - 1)}
        start = Plan.of(g, each).end
    return found


def _cell(geometries: Sequence[ConvGeometry], settings: Mapping[str, Setting]) -> tuple[int, int]:
    """Number of output and of input channels of a cell."""
    alone = [g for g in geometries if g.in_channels == g.groups]
    others = [g for g in geometries if g.in_channels != g.groups]
    if alone and others:
        raise GeometryError(
            f"kernel-warehouse: a layer with one input channel per group ({alone[0]}) and a layer with more ({others[0]}) cannot "
            "share cells. Give depthwise layers a separate pattern."
        )
    outs, ins = math.gcd(*(g.out_channels for g in geometries)), math.gcd(*(g.in_channels // g.groups for g in geometries))
    return outs // nearest_divisor(outs, int(settings["out_parts"])), ins // nearest_divisor(ins, int(settings["in_parts"]))


def _cut(g: ConvGeometry, settings: Mapping[str, Setting], cell_out: int, cell_in: int) -> dict[str, Setting]:
    """The settings of one layer, with the numbers of parts into which its kernel is cut."""
    outs, ins = g.out_channels // cell_out, g.in_channels // g.groups // cell_in
    if max(outs, ins) > MOST_PARTS:
        raise GeometryError(
            f"kernel-warehouse: the largest cells that fit all layers of a shared warehouse have {cell_out} output and {cell_in} "
            f"input channels, which cut {g} into {outs} x {ins} parts per tap. Allowed: up to {MOST_PARTS} x {MOST_PARTS}. Share "
            "between layers whose channels have larger common divisors: with other patterns, or with share: layer or block."
        )
    return {**settings, "out_parts": outs, "in_parts": ins}


def checked_share(geometry: ConvGeometry, resolved: Mapping[str, Setting], shared: Mapping[str, Setting]) -> dict[str, Setting]:
    """Returns a layer's checked settings of its shared warehouse; empty if it has a warehouse of its own.

    Args:
        geometry: of the layer.
        resolved: its other settings.
        shared: ``shared_cells``, ``shared_start``, ``shared_with`` and ``shared_basis``, each of which may be missing.

    Raises:
        GeometryError: if a value is not allowed, the number of shared cells is missing, or the layer's own cells exceed it.
    """
    cells, start, lender = shared.get("shared_cells", 0), shared.get("shared_start", 0), shared.get("shared_with", "")
    if not cells and any(shared.values()):
        given = ", ".join(name for name, value in shared.items() if value)
        raise GeometryError(
            f"kernel-warehouse: {given} without shared_cells, so there are no cells to share. Give shared_cells, the number of "
            "cells of the shared warehouse, or leave all shared_ settings out."
        )
    if not cells:
        return {}
    if type(cells) is not int or type(start) is not int or not isinstance(lender, str) or not 0 <= start < cells:
        raise GeometryError(
            f"shared_cells and shared_start cannot be {cells!r} and {start!r}. Allowed: whole numbers, the second below the "
            "first, and in shared_with the name of a layer."
        )
    found: dict[str, Setting] = {"shared_cells": cells, "shared_start": start, "shared_with": lender}
    basis = shared.get("shared_basis", 0)
    if type(basis) is not int or basis < 0:
        raise GeometryError(f"shared_basis cannot be {basis!r}. Allowed: a whole number, 0 for no basis.")
    if basis:
        found["shared_basis"] = basis
    if Plan.of(geometry, {**resolved, **found}).end > cells:
        raise GeometryError(
            f"kernel-warehouse: shared_cells={cells} is too small for the cells of {geometry} from shared_start={start} on."
        )
    return found
