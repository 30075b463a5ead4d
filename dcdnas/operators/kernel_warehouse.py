"""KernelWarehouse: a kernel assembled from parts, each an input-dependent mixture of small cells that all parts share.

The paper claims that dynamic convolution can mix many more kernels than before, or have fewer parameters than the static layer,
if it mixes cells that are small enough for the parts of one kernel (or of several) to share one store, the warehouse; and that
this number of mixtures can be trained if the attention may be negative and initially assigns each part its own cell.
KernelWarehouse differs from DY-Conv, which mixes kernels of full size with a softmax.

Letters: N batch, C input channels, D output channels, H W map, k kernel size, g groups, m parts of the kernel, n cells of
c_o x c_i weights, O and A parts of the output and of the input channels, b budget, r reduction, t temperature.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import torch
from torch import Tensor, nn

from dcdnas.core.dimension import Choice
from dcdnas.core.geometry import ConvGeometry, Setting
from dcdnas.core.reference import Reference
from dcdnas.errors import GeometryError, UsageError
from dcdnas.operators._arguments import Init, check_start
from dcdnas.operators._base import CONTROLLER_SPEED, Operator
from dcdnas.operators._mixture import CLASSIFIER_STD, static_std
from dcdnas.operators._norm import folded_bias
from dcdnas.operators._per_sample import taps
from dcdnas.operators._shared_warehouse import MOST_PARTS, checked_share, sharing
from dcdnas.operators._warehouse import Contrast, Plan
from dcdnas.operators._widths import nearest_divisor, plain

__all__ = ["KernelWarehouse"]


class KernelWarehouse(Operator):
    """y = W(x) * x; each of the m parts of W(x) is sum_j alpha_ij(x) E_j over the n cells E_j of the layer's warehouse.

    A part is one tap of D / O output and C / (g A) input channels, so m = k^2 O A. The attention is contrasting-driven: with z
    the n + 1 logits of part i, alpha_ij = (1 - t) z_j / (sum |z| + 0.001) + t beta_ij, and the last entry is dropped. beta
    assigns each part its own cell. For b < 1 only every 1/b-th part has one; the others have none, or with a static
    initialisation share the cell of another part.

    The forms differ in what they mix. ``aggregate`` builds a kernel for each sample and convolves with it. ``mix`` convolves
    with the n stored cells and mixes the resulting maps, which is cheaper on small maps and for small b.

    Args:
        *place: C, D, k and more, as in Conv2d.
        budget: b: the warehouse has b m cells, at least one, so about b times the parameters of a static kernel.
        out_parts: O; the nearest divisor of D at or below it is used. ``auto`` is 1, or 4 for a 1x1 kernel, which has one tap.
        in_parts: A; the nearest divisor of C/g at or below it is used.
        reduction: r: the attention squeezes C channels to C / r, at least 16.
        shared_cells: n of a warehouse that several layers share; 0 if the layer has its own warehouse.
        shared_start: index of the layer's first own cell in the shared warehouse.
        shared_with: name of the layer that stores the cells; empty if this layer does. See `borrow`.
        shared_basis: q: a part's logits of the other layers' cells are computed from q values, which saves parameters if many
            layers share a warehouse; 0 predicts each logit directly.
        temperature: the initial t, from 0 to 1; `anneal` lowers it linearly to 0.
        init: ``static``: the logits equal beta for any input, so that the operator is initialised as a static convolution and
            annealing keeps it one; ``published``: random logits, with which the outputs shrink as t falls.

    Departures:
        The published attention raises in training at batch 1; this one then uses its running statistics. The initialisation of
        the logits, and the scale of an initialisation with b < 1, are not from the paper.

    Reference:
        Li, Yao: KernelWarehouse: Rethinking the Design of Dynamic Convolution. ICML 2024, arXiv 2406.07879.
    """

    REFERENCE = Reference(
        "li2024kernelwarehouse",
        "Li, Chao and Yao, Anbang",
        "KernelWarehouse: Rethinking the Design of Dynamic Convolution", "ICML", 2024, "2406.07879",
    )  # fmt: skip

    SHARES = ("shared_cells", "shared_start", "shared_with", "shared_basis")
    FORMS = ("aggregate", "mix")
    PUBLISHED_FORM = "aggregate"
    ADDS_BIAS = True

    cells: nn.Parameter | None
    budget: float
    out_parts: int
    in_parts: int
    reduction: float

    def __init__(
        self,
        *place: Any,
        budget: Annotated[float, Choice(at_least=0.125, at_most=4)] = 1,
        out_parts: Annotated[int | str, Choice(words=("auto",), at_least=1, at_most=MOST_PARTS)] = "auto",
        in_parts: Annotated[int, Choice(at_least=1, at_most=MOST_PARTS)] = 1,
        reduction: Annotated[float, Choice(at_least=1)] = 16,
        shared_cells: int = 0,
        shared_start: int = 0,
        shared_with: str = "",
        shared_basis: int = 0,
        temperature: float = 1.0,
        init: Init = "static",
        **others: Any,
    ) -> None:
        super().__init__(*place, **others)
        check_start(init)
        if not 0 <= temperature <= 1:
            raise UsageError(f"temperature cannot be {temperature!r}. Allowed: a number from 0 to 1.")
        shared: dict[str, Setting] = {"shared_cells": shared_cells, "shared_start": shared_start, "shared_with": shared_with}
        shared |= {"shared_basis": shared_basis} if shared_basis else {}
        shared = shared if any(shared.values()) else {}
        self.shared_cells, self.shared_start, self.shared_with = shared_cells, shared_start, shared_with
        self.shared_basis = shared_basis
        self._names = (*self._names, *shared)
        self._keep(budget=budget, out_parts=out_parts, in_parts=in_parts, reduction=reduction, **shared)
        self.plan = plan = Plan.of(self.geometry, self._settings())
        self.attention = Contrast(plan, temperature)
        self._lender: list[KernelWarehouse] = []  # in a list, so that it is no submodule
        cells = None if shared_with else nn.Parameter(torch.empty(plan.cells, plan.cell_out, plan.cell_in))
        self.register_parameter("cells", cells)
        self.bias = self._fresh_bias()
        self.first_temperature = temperature
        self.attention.start(init)
        self._std = self._static_std() if init == "static" else (2 / (max(1, plan.reserved) * plan.cell_out)) ** 0.5
        if self.cells is not None:
            nn.init.normal_(self.cells, std=self._std)
        self.controller_rate = self._rate()

    def _rate(self) -> float:
        """The rate with which the attention learns at `CONTROLLER_SPEED` times the cells' speed; at most 1.

        A step of SGD on the logits of the n cells, which h hidden units and a bias compute, moves a part n s^2 (1 + h / 2) times
        as far as a step on the cells themselves, whose standard deviation is s.
        """
        return min(1.0, CONTROLLER_SPEED / (self.plan.cells * self._std**2 * (1 + self.plan.hidden / 2)))

    def _static_std(self) -> float:
        return static_std(self.geometry)

    @torch.no_grad()
    def borrow(self, lender: Operator) -> None:
        """Uses the cells that another layer stores, and initialises those among them that are this layer's own.

        Raises:
            GeometryError: if that layer does not store a matching warehouse.
        """
        cells = lender.cells if isinstance(lender, KernelWarehouse) else None
        wanted = (self.plan.cells, self.plan.cell_out, self.plan.cell_in)
        if not isinstance(lender, KernelWarehouse) or cells is None or tuple(cells.shape) != wanted:
            found = "none" if cells is None else " x ".join(map(str, cells.shape))
            raise GeometryError(
                f"shared_with: {self.shared_with} stores {found} instead of {' x '.join(map(str, wanted))} cells, output "
                "and input channels. Give the layers the same shared_cells and cell size, or leave all shared_ settings out."
            )
        self._lender = [lender]
        own = slice(self.plan.start, self.plan.end)
        cells[own] = torch.randn_like(cells[own]) * self._std

    def _stored(self, x: Tensor) -> Tensor:
        """The warehouse's cells; zeros for a layer without the lender that it needs, which is only built to be counted."""
        if self.cells is not None:
            return self.cells
        if self._lender:
            lent = self._lender[0].cells
            assert lent is not None
            return lent
        return x.new_zeros(self.plan.cells, self.plan.cell_out, self.plan.cell_in)

    @classmethod
    def resolve(cls, geometry: ConvGeometry, **settings: Setting) -> dict[str, Setting]:
        """Reduces the numbers of parts to the nearest divisors of the channels at or below them."""
        shared = {name: settings.pop(name) for name in cls.SHARES if name in settings}
        resolved = super().resolve(geometry, **settings)
        outs = resolved["out_parts"]
        if outs == "auto":
            outs = 4 if geometry.kernel_size == 1 else 1
        resolved["out_parts"] = nearest_divisor(geometry.out_channels, int(outs))
        resolved["in_parts"] = nearest_divisor(geometry.in_channels // geometry.groups, int(resolved["in_parts"]))
        resolved |= {name: plain(resolved[name]) for name in ("budget", "reduction")}
        return resolved | checked_share(geometry, resolved, shared)

    @classmethod
    def sharing(cls, geometries: Sequence[ConvGeometry], settings: Mapping[str, Setting]) -> list[dict[str, Setting]]:
        """Returns the settings of layers that share one warehouse, with the largest cells into which all kernels can be cut.

        Here O and A cut the greatest common divisors of the layers' output and input channels; `auto` is 1.

        Raises:
            GeometryError: if the layers cannot share a warehouse.
        """
        given = {**settings, "out_parts": 1} if settings.get("out_parts", "auto") == "auto" else settings
        whole = super().resolve(geometries[0], **given)
        return sharing(geometries, {name: plain(v) if isinstance(v, float) else v for name, v in whole.items()})

    @classmethod
    def classifier(cls, geometry: ConvGeometry, form: str = "", **settings: Setting) -> WarehouseLinear:
        """Builds the linear version for a network's last layer.

        Args:
            geometry: of the layer, on a map of one pixel.
            form: the counted form if it is already known.
            **settings: of the operator.
        """
        resolved: dict[str, Any] = cls.resolve(geometry, **settings)
        made = WarehouseLinear(geometry.in_channels, geometry.out_channels, 1, bias=True, **resolved)
        made._counted = cls.checked_form(geometry, resolved, form)
        return made

    @classmethod
    def built(cls, geometry: ConvGeometry, settings: Mapping[str, Setting]) -> dict[str, Setting]:
        """The settings with the cells, their initial parts and the hidden units in place of budget and reduction."""
        plan = Plan.of(geometry, settings)
        own = f"{plan.start}:" * bool(settings.get("shared_cells")) + ",".join(map(str, plan.owned))
        return {**settings, "budget": 0, "reduction": 0, "cells": plan.cells, "own": own, "hidden": plan.hidden}

    @classmethod
    def forms(cls, geometry: ConvGeometry, settings: Mapping[str, Setting]) -> tuple[str, ...]:
        """A grouped convolution has no form ``mix``, which would convolve each cell with each group separately."""
        return ("aggregate",) if geometry.groups > 1 else cls.FORMS

    @classmethod
    def training_forms(cls, geometry: ConvGeometry, settings: Mapping[str, Setting]) -> tuple[str, ...]:
        """All forms can train, because the only BatchNorm is in the attention."""
        return cls.forms(geometry, settings)

    @classmethod
    def multiply_adds(cls, geometry: ConvGeometry, settings: Mapping[str, Setting], form: str = "") -> int:
        """h (C + (n + 1) m) + n m, plus for aggregate (n + H'W') |W|, for mix n c_o (A c_i HW + m H'W'), with |W| = D C/g k^2."""
        plan, g = Plan.of(geometry, settings), geometry
        if form != "mix":
            return plan.attention + (plan.cells + g.out_pixels) * g.weights
        return plan.attention + plan.cells * plan.cell_out * (g.in_channels * plan.seen(g) + plan.parts * g.out_pixels)

    @classmethod
    def controlling(cls, geometry: ConvGeometry, settings: Mapping[str, Setting]) -> int:
        """Multiply-adds of the attention with h hidden units, including the scaling of its logits: h (C + (n + 1) m) + n m."""
        return Plan.of(geometry, settings).attention

    @classmethod
    def traffic(cls, geometry: ConvGeometry, settings: Mapping[str, Setting], form: str) -> int:
        """Elements of a sample's kernel and its parts, or of the cells' maps and of what each tap reads and writes of them."""
        plan, g = Plan.of(geometry, settings), geometry
        if form != "mix":
            return 2 * g.weights
        maps = plan.cells * plan.cell_out * plan.in_parts
        return maps * plan.seen(g) + g.kernel_size**2 * (maps + 2 * g.out_channels) * g.out_pixels

    def anneal(self, progress: float) -> None:
        """Lowers t linearly from its initial value to 0 as `progress` goes from 0 to 1."""
        self.attention.temperature.fill_(self.first_temperature * (1.0 - min(max(progress, 0.0), 1.0)))

    @torch.no_grad()
    def deploy(self) -> None:
        """Folds the attention's norm into its first layer."""
        self.attention.deploy()

    def _start_as(self, kernel: Tensor, bias: Tensor | None) -> None:
        """Sets each part's own cell to that part of the given kernel, divided by the alpha that a fresh attention gives it.

        The cells of other layers do not change.

        Raises:
            GeometryError: for a budget below 1, which has fewer cells than parts, or without the layer that stores the cells.
        """
        plan = self.plan
        if self.shared_with and not self._lender:
            raise GeometryError(
                f"kernel-warehouse: the layer {self.shared_with!r} stores its cells, so it cannot be initialised from a given "
                "convolution without that layer. Build the network that has both."
            )
        if len(plan.owned) < plan.parts:
            raise GeometryError(
                f"kernel-warehouse with budget {self.budget} has {plan.cells} cells for a kernel of {plan.parts} parts, so it "
                "cannot be initialised from a given convolution. Allowed: a budget of 1 or more."
            )
        cells = self._stored(kernel)
        nn.init.normal_(cells[plan.start : plan.end if self.shared_cells else None], std=kernel.square().mean().sqrt().item())
        cells[list(plan.owned.values())] = plan.cut(kernel) / self.attention.fresh_share
        self._start_bias(bias)

    def continues(self, other: Operator) -> bool:
        """Whether the other layer has the same parts and cells, and the same initial assignment of cells."""
        if not isinstance(other, KernelWarehouse):
            return False
        mine, theirs = ((p.side, p.out_parts, p.in_parts, p.cells, p.owned) for p in (self.plan, other.plan))
        return mine == theirs

    def _fold(self, scale: Tensor, shift: Tensor) -> bool:
        """Folds into the cells and the bias, if no other layer shares the cells and each spans all output channels."""
        if self.plan.out_parts > 1 or self.shared_cells or self.cells is None:
            return False
        self.cells.mul_(scale.unsqueeze(1))
        self.bias = folded_bias(self.bias, scale, shift)
        return True

    def forward(self, x: Tensor, guide: Tensor | None = None) -> Tensor:
        """Convolves (N, C, H, W) -> (N, D, H', W')."""
        alpha = self._seen("cell", self.attention(x))
        cells = self._stored(x)
        if self._form(x) != "mix":
            return self._convolve_each(x, self.plan.joined(alpha @ cells.flatten(1)), self.bias)
        y = self._mixed_maps(x, alpha, cells)
        return y if self.bias is None else y + self.bias[:, None, None]

    def _mixed_maps(self, x: Tensor, alpha: Tensor, cells: Tensor) -> Tensor:
        """Convolves each part of the input with each cell, mixes the shifted maps for each tap, and sums over the taps."""
        g, plan, place = self.geometry, self.plan, (self.geometry.stride, self.padding[0], self.geometry.dilation)
        if g.kernel_size == 1:
            x, place = taps(x, 1, g.stride, self.padding[0])[0], (1, 0, 1)
        inputs = torch.unflatten(x, 1, (plan.in_parts, plan.cell_in)).flatten(0, 1)
        maps = nn.functional.conv2d(inputs, cells.flatten(0, 1)[..., None, None])
        maps = torch.unflatten(torch.unflatten(maps, 1, (plan.cells, plan.cell_out)), 0, (-1, plan.in_parts)).flatten(1, 2)
        weights = torch.unflatten(alpha, 1, (g.kernel_size**2, plan.out_parts, plan.in_parts)).flatten(3)
        total = None
        for seen, weight in zip(taps(maps.flatten(1, 2), g.kernel_size, *place), weights.unbind(1), strict=True):
            size = seen.shape[2:]
            mixed = weight @ torch.unflatten(seen, 1, (-1, plan.cell_out)).flatten(2)
            total = mixed if total is None else total + mixed
        assert total is not None
        return torch.unflatten(total, 2, (plan.cell_out, *size)).flatten(1, 2)

    def extra_repr(self) -> str:
        """The constructor arguments, the number of cells and the temperature."""
        temperature = self.attention.temperature.item()
        return f"{super().extra_repr()}, cells={self.plan.cells}, temperature={temperature:g}"


class WarehouseLinear(KernelWarehouse):
    """A linear layer with a bias: a 1x1 `KernelWarehouse` on a map of one pixel, as in the published network with b = 1/2.

    Reference: see `KernelWarehouse`.
    """

    AXES = 2

    def _static_std(self) -> float:
        return CLASSIFIER_STD

    def forward(self, x: Tensor, guide: Tensor | None = None) -> Tensor:
        """Maps (N, C) -> (N, D)."""
        return super().forward(x[:, :, None, None], guide).flatten(1)
