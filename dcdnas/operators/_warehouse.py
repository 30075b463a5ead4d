"""KernelWarehouse's division of a kernel into parts, the initial assignment of cells, and the contrasting-driven attention.

Letters in shapes: N batch, C input channels, D output channels, k kernel size, m parts, n cells, O and A parts of the output
and of the input channels, h hidden units, b budget, t temperature.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from dcdnas.core.geometry import ConvGeometry, Setting
from dcdnas.operators._norm import BatchNorm, absorbed
from dcdnas.operators._pool import pooled
from dcdnas.operators._product import product
from dcdnas.operators._widths import reduced

LEAST_HIDDEN, FLOOR, DROPPED = 16, 1e-3, 2**-7
"""The smallest number of hidden units of the attention; the constant added to the sum of a part's absolute logits, which may be
0; the dropped logit of a static initialisation, which would never receive a gradient at 0."""


@dataclass(frozen=True)
class Plan:
    """All sizes of one KernelWarehouse layer.

    Args:
        channels: C.
        side: k.
        out_parts: O.
        in_parts: A.
        cell_out: output channels of a cell.
        cell_in: its input channels.
        cells: n.
        hidden: h.
        owned: part -> the cell initially assigned to it; parts without an entry have none.
        start: index of the layer's first own cell in a warehouse that several layers share.
        reserved: number of the layer's own cells: int(b) for each part, or for b < 1 one for each part that has one.
        basis: q, the number of values from which a part's logits of the other layers' cells are computed; 0 predicts each
            logit directly.
    """

    channels: int
    side: int
    out_parts: int
    in_parts: int
    cell_out: int
    cell_in: int
    cells: int
    hidden: int
    owned: Mapping[int, int]
    start: int = 0
    reserved: int = 0
    basis: int = 0

    @staticmethod
    def of(geometry: ConvGeometry, settings: Mapping[str, Setting]) -> Plan:
        """Builds the plan of a layer with its own or a shared warehouse; the settings are resolved."""
        g, outs, ins, budget = geometry, int(settings["out_parts"]), int(settings["in_parts"]), float(settings["budget"])
        parts = g.kernel_size**2 * outs * ins
        start = int(settings.get("shared_start", 0))
        cells = int(settings.get("shared_cells", 0)) or cells_for(budget, parts)
        sizes = g.out_channels // outs, g.in_channels // g.groups // ins
        hidden = max(LEAST_HIDDEN, reduced(g.in_channels, settings["reduction"]))
        owned = _owned(parts, cells, budget, start)
        reserved = parts * int(budget) if budget >= 1 else len(owned)
        basis = int(settings.get("shared_basis", 0))
        return Plan(g.in_channels, g.kernel_size, outs, ins, *sizes, cells, hidden, owned, start, reserved, basis)

    @property
    def parts(self) -> int:
        """Number of parts, m = k^2 O A."""
        return self.side**2 * self.out_parts * self.in_parts

    @property
    def own(self) -> list[int]:
        """The cells initially assigned to the layer's parts; at least one."""
        return sorted(set(self.owned.values())) or [min(self.start, self.cells - 1)]

    @property
    def end(self) -> int:
        """Index after the layer's last own cell, where the own cells of the next layer begin."""
        return self.start + self.reserved

    @property
    def said(self) -> int:
        """Outputs of the attention's last FC layer for each part: n + 1 logits, or with a basis e + q + 1 for e own cells."""
        return (self.reserved + self.basis if self.basis else self.cells) + 1

    @property
    def attention(self) -> int:
        """Multiply-adds of the attention, including the scaling of its logits: h (C + (n + 1) m) + n m.

        With a basis of q values and e own cells they are h (C + (e + q + 1) m) + q (n - e) m + n m.
        """
        spread = self.basis * (self.cells - self.reserved) * self.parts
        return self.hidden * (self.channels + self.said * self.parts) + spread + self.cells * self.parts

    def seen(self, geometry: ConvGeometry) -> int:
        """Number of pixels that are convolved with the cells: all of the map, or only the output pixels for a 1x1 kernel."""
        return geometry.out_pixels if self.side == 1 else geometry.height * geometry.width

    def joined(self, parts: Tensor) -> Tensor:
        """Assembles a kernel from its parts: (N, m, c_o c_i) -> (N, D, C/g, k, k)."""
        cut = torch.unflatten(parts, 2, (self.cell_out, self.cell_in))
        cut = torch.unflatten(cut, 1, (self.side, self.side, self.out_parts, self.in_parts))
        return cut.permute(0, 3, 5, 4, 6, 1, 2).flatten(3, 4).flatten(1, 2)

    def cut(self, kernel: Tensor) -> Tensor:
        """Cuts a kernel into its parts: (D, C/g, k, k) -> (m, c_o, c_i)."""
        parts = torch.unflatten(kernel, 1, (self.in_parts, self.cell_in))
        parts = torch.unflatten(parts, 0, (self.out_parts, self.cell_out))
        return parts.permute(4, 5, 0, 2, 1, 3).flatten(0, 3)


def cells_for(budget: float, parts: int) -> int:
    """Returns n: b cells for each part of the layers of a warehouse, at least one in all."""
    return max(int(budget * parts + 1e-9), 1)


def _owned(parts: int, cells: int, budget: float, start: int) -> dict[int, int]:
    """Assigns cells to parts. For b >= 1, part i gets the cell start + i int(b). For b < 1, one of each int(1/b) parts gets the
    next cell; its position among them moves by one from each group of parts to the next."""
    if budget >= 1:
        return {part: start + part * int(budget) for part in range(parts)}
    apart = int(1 / budget)
    owners = [part for part in range(parts) if part % apart == part // apart % apart][: max(0, cells - start)]
    return {part: start + cell for cell, part in enumerate(owners)}


class Contrast(nn.Module):
    """The contrasting-driven attention: (N, C, H, W) -> alpha (N, m, n), whose entries may be negative.

    Args:
        plan: of the layer.
        temperature: initial t, the weight of the initial assignment beta in alpha.
    """

    coldest: ClassVar[float] = 0.0
    """The temperature at the end of annealing, here 0; it is 1 for operators whose temperature divides logits."""

    temperature: Tensor
    first: Tensor
    offset: nn.Parameter | None

    def __init__(self, plan: Plan, temperature: float) -> None:
        super().__init__()
        self.shape, own = (plan.parts, plan.said), plan.own
        bare = [part for part in range(plan.parts) if part not in plan.owned]
        self.lent = bare, [own[part % len(own)] for part in bare]
        self.sizes = (plan.start, plan.reserved, plan.basis)
        self.squeeze = nn.Linear(plan.channels, plan.hidden, bias=False)
        self.norm: nn.Module = BatchNorm(plan.hidden)
        self.excite = nn.Linear(plan.hidden, plan.parts * plan.said, bias=not plan.basis)
        self.spread = nn.Linear(plan.basis, plan.cells - plan.reserved, bias=False) if plan.basis else None
        offset = nn.Parameter(torch.zeros(plan.parts * (plan.cells + 1))) if plan.basis else None
        self.register_parameter("offset", offset)
        self.register_buffer("temperature", torch.tensor(float(temperature)))
        first = torch.zeros(plan.parts, plan.cells)
        first[list(plan.owned), list(plan.owned.values())] = 1.0
        self.register_buffer("first", first, persistent=False)

    def start(self, init: str) -> None:
        """Initialises the attention. ``static``: the logits equal beta for any input, and parts without a cell share that of
        another; ``published``: random logits."""
        nn.init.kaiming_normal_(self.squeeze.weight, mode="fan_out", nonlinearity="relu")
        bias = self.excite.bias if self.offset is None else self.offset
        nn.init.zeros_(bias)
        if self.spread is not None:
            nn.init.kaiming_normal_(self.spread.weight, mode="fan_out", nonlinearity="relu")
        if init == "static":
            nn.init.zeros_(self.excite.weight)
            with torch.no_grad():
                self.first[self.lent] = 1.0
                dropped = torch.full_like(self.first[:, :1], DROPPED)
                bias.copy_(torch.cat([self.first, dropped], 1).flatten())
        else:
            nn.init.kaiming_normal_(self.excite.weight, mode="fan_out", nonlinearity="relu")

    @property
    def fresh_share(self) -> Tensor:
        """The alpha of a part's own cell after a static initialisation; it is 0 for all other cells."""
        return self.temperature + (1 - self.temperature) / (1 + DROPPED + FLOOR)

    def deploy(self) -> None:
        """Folds the norm into the first layer."""
        self.squeeze, self.norm = absorbed(self.squeeze, self.norm)

    def forward(self, x: Tensor) -> Tensor:
        """Computes alpha: (N, C, H, W) -> (N, m, n)."""
        z = self._spread(torch.unflatten(self.excite(torch.relu(self.norm(self.squeeze(pooled(x))))), 1, self.shape))
        share = (1 - self.temperature) * (z.abs().sum(2, keepdim=True) + FLOOR).reciprocal()
        return product(z[..., :-1], share) + self.temperature * self.first

    def _spread(self, z: Tensor) -> Tensor:
        """Expands the outputs with a basis, which are own cells' logits, q values and the dropped logit, to (N, m, n + 1)."""
        if self.spread is None or self.offset is None:
            return z
        start, own, basis = self.sizes
        mine, others, last = z[..., :own], self.spread(z[..., own : own + basis]), z[..., own + basis :]
        z = torch.cat([others[..., :start], mine, others[..., start:], last], 2)
        return z + torch.unflatten(self.offset, 0, z.shape[1:])
