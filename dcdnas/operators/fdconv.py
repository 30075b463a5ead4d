"""Frequency dynamic convolution (FDConv): a kernel stored as a spectrum, whose groups of frequencies are weighted by the input.

The paper claims that the kernels of earlier dynamic convolutions have similar frequency responses, so that their many parameters
add little adaptability, and that dividing the spectrum of one kernel into groups of disjoint frequencies gives many kernels with
different responses for the parameters of one. Every weight of their sum is then modulated. FDConv transforms the kernel, unlike
operators such as Fast Fourier Convolution, which transform the feature map.

Letters in shapes: N batch, C input channels, D output channels, H W map, k kernel size, g groups of channels, n groups of
frequencies, r reduction, A width of the attention, s size of the filters over the channels. The kernel of a group of channels is
a matrix of R = D k / g rows and M = C k / g columns, and its spectrum has R V bins with V = M // 2 + 1.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dcdnas.core.dimension import Choice
from dcdnas.core.geometry import ConvGeometry, Setting
from dcdnas.core.reference import Reference
from dcdnas.operators._arguments import Init, check_start
from dcdnas.operators._base import Operator
from dcdnas.operators._mixture import static_std
from dcdnas.operators._norm import BatchNorm, absorbed, folded_bias
from dcdnas.operators._od_attention import Gates
from dcdnas.operators._pool import pooled
from dcdnas.operators._product import is_counting, product, scaled
from dcdnas.operators._spectrum import Spectrum, bins
from dcdnas.operators._widths import plain, reduced

__all__ = ["FDConv"]

LEAST_WIDTH = 16
"""The smallest width of the attention."""

BATCH = 64
"""Number of samples that are assumed to share the kernels of the groups, which are computed once for a batch."""


class FDConv(Operator):
    """y = (B(x) . alpha_f . alpha_c . alpha_s . sum_i alpha_w,i W_i) * x, with W_i = irfft2(S restricted to group i).

    S is the spectrum of one kernel; its bins, sorted by frequency, are divided into n groups. All gates are sigmoids of height 2.
    The logits of alpha_w (n), alpha_f (D), alpha_c (C) and alpha_s (k x k) are FC(StarReLU(BN(FC(GAP(x))))), where StarReLU(z) is
    a relu(z)^2 + b with learned a and b. The logits of B (D x C/g x k x k) are a 1-d convolution over the channels of LN(GAP(x)),
    with a filter of size s for each output channel and tap. alpha_f is skipped if C = g = D, alpha_s if k = 1, alpha_w if n = 1.

    The forms differ in how the weighted sum is computed. ``spectrum`` weights the bins and transforms each sample's spectrum.
    ``kernels`` transforms the n groups once for all samples and mixes the n kernels; a deployed layer stores these, which takes n
    times the memory. The cheaper form is counted; it is ``spectrum`` only if n is greater than about (R + M) / 2.

    Args:
        *place: C, D, k and more, as in Conv2d. Each of the g groups of channels has its own spectrum, with the same alpha_w.
        bias: whether a learnable bias, which does not depend on the input, is added.
        num_groups: n; at most the number of bins R V is used. If n does not divide R V, the sizes of the groups differ by one.
        reduction: r: the attention squeezes C channels to A = C / r, at least 16.
        init: ``static``: all gates are 1 for any input, so that the operator is initialised as a static convolution, and the
            spectrum as that of a static kernel; ``published``: as in the published code, where alpha_f is random and the other
            gates are almost constant.

    Departures:
        The paper's frequency band modulation, which filters the feature map, is left out. The spectrum is scaled so that gradient
        descent moves the kernel as it moves a static one; with the published scale it moves 2 k^2 times more slowly (for C = D).
        The published code raises if g > 1, if n = 1, if n does not divide R V, if M is odd, and in training at batch 1; for up to
        16 channels it is a static convolution. All of these work here. Equal frequencies are sorted by index, not by rounding.

    Reference:
        Chen, Gu, Li, Yan, Fu: Frequency Dynamic Convolution for Dense Image Prediction. CVPR 2025, arXiv 2503.18783.
    """

    REFERENCE = Reference(
        "chen2025frequency",
        "Chen, Linwei and Gu, Lin and Li, Liang and Yan, Chenggang and Fu, Ying",
        "Frequency Dynamic Convolution for Dense Image Prediction", "CVPR", 2025, "2503.18783",
    )  # fmt: skip

    FORMS = ("spectrum", "kernels")
    PUBLISHED_FORM = "spectrum"

    num_groups: int
    reduction: float

    spectrum: nn.Parameter | None
    """(g, 2 R, V), real parts above imaginary ones; None once the kernels of the groups are stored instead."""

    transform: Spectrum
    """Of the spectrum; deleted with it."""

    weight: nn.Parameter
    """(n, D, C/g k^2), the kernels of the groups; exists only after `fold` or `deploy`, in form ``kernels``."""

    def __init__(
        self,
        *place: Any,
        num_groups: Annotated[int, Choice(at_least=1, at_most=64)] = 64,
        reduction: Annotated[float, Choice(at_least=1)] = 16,
        init: Init = "static",
        **others: Any,
    ) -> None:
        super().__init__(*place, **others)
        check_start(init)
        self._keep(num_groups=num_groups, reduction=reduction)
        rows, columns = _matrix(self.geometry)
        self.spectrum = nn.Parameter(torch.empty(self.groups, 2 * rows, columns // 2 + 1))
        self.bias = self._fresh_bias()
        self.transform = Spectrum(rows, columns, self.num_groups)
        self.modulation = Modulation(self.geometry, self.num_groups, _width(self.geometry, reduction))
        self._initialise(init)

    @torch.no_grad()
    def _initialise(self, init: Init) -> None:
        kernel = self._fresh_kernel()
        if init == "static":
            nn.init.normal_(kernel, std=static_std(self.geometry))
        else:
            nn.init.kaiming_uniform_(kernel, a=5**0.5)
        self._store(kernel)
        self.modulation.start(init)

    @classmethod
    def resolve(cls, geometry: ConvGeometry, **settings: Setting) -> dict[str, Setting]:
        """Reduces n to the number of bins; whole-number reductions become int."""
        resolved = super().resolve(geometry, **settings)
        most = bins(*_matrix(geometry))
        return resolved | {"num_groups": min(int(resolved["num_groups"]), most), "reduction": plain(resolved["reduction"])}

    @classmethod
    def built(cls, geometry: ConvGeometry, settings: Mapping[str, Setting]) -> dict[str, Setting]:
        """The settings with the attention's width in place of the reduction."""
        return {**settings, "reduction": 0, "width": _width(geometry, settings["reduction"])}

    @classmethod
    def forms(cls, geometry: ConvGeometry, settings: Mapping[str, Setting]) -> tuple[str, ...]:
        """Only ``kernels`` for n = 1, whose kernel is static up to its modulation."""
        return cls.FORMS if settings["num_groups"] != 1 else ("kernels",)

    @classmethod
    def training_forms(cls, geometry: ConvGeometry, settings: Mapping[str, Setting]) -> tuple[str, ...]:
        """All forms can train, because the only BatchNorm is in the attention."""
        return cls.forms(geometry, settings)

    @classmethod
    def multiply_adds(cls, geometry: ConvGeometry, settings: Mapping[str, Setting], form: str = "") -> int:
        """The controller's and, for ``kernels``, (n + 3 + H'W') |W| + k^2 C, without terms of skipped gates; |W| = D C/g k^2.

        ``spectrum`` has 2 R V g + T in place of n |W|, where T, about |W| (R + M) / 2, is for the transform. The kernels of the
        groups are computed from parameters alone, so computing them is not counted.
        """
        g, spatial, filters = geometry, geometry.kernel_size > 1, not _one_to_one(geometry)
        gated = (2 + filters) * g.weights + spatial * g.kernel_size**2 * g.in_channels
        return cls.controlling(g, settings) + cls._mixing(g, settings, form) + gated + g.out_pixels * g.weights

    @classmethod
    def _mixing(cls, geometry: ConvGeometry, settings: Mapping[str, Setting], form: str) -> int:
        """Multiply-adds of the weighted sum: n |W| for ``kernels``, 2 R V g + T for ``spectrum``."""
        groups, sizes = int(settings["num_groups"]), _matrix(geometry)
        if groups == 1:
            return 0
        if (form or "kernels") == "kernels":
            return groups * geometry.weights
        return geometry.groups * (2 * bins(*sizes) + Spectrum.multiply_adds(*sizes))

    @classmethod
    def controlling(cls, geometry: ConvGeometry, settings: Mapping[str, Setting]) -> int:
        """Multiply-adds of the attention, A (2 C + D + k^2 + n + 1) without the terms of skipped gates, and of B, s |W|."""
        g, width = geometry, _width(geometry, settings["reduction"])
        made = sum(_outputs(g, int(settings["num_groups"])))
        return width * (g.in_channels + made + 1) + filter_size(g.in_channels) * g.weights

    @classmethod
    def executed_form(cls, geometry: ConvGeometry, settings: Mapping[str, Setting], training: bool = False) -> str:
        """The form expected to be fastest for batches of 64; the kernels of the groups are computed once for a batch."""
        groups = int(settings["num_groups"])
        if groups == 1:
            return "kernels"
        each = cls._mixing(geometry, settings, "spectrum") + 6 * cls.BALANCE * geometry.weights
        shared = cls._mixing(geometry, settings, "kernels") + cls.BALANCE * geometry.weights + each * groups // BATCH
        return "kernels" if shared < each else "spectrum"

    def continues(self, other: Operator) -> bool:
        """Whether the other layer has the same bins in the same groups; the bins of other sizes are other frequencies."""
        if not isinstance(other, FDConv):
            return False
        mine, theirs = ((_matrix(layer.geometry), layer.groups, layer.num_groups) for layer in (self, other))
        return mine == theirs and super().continues(other)

    def deploy(self) -> None:
        """Folds the attention's norm into its first layer, and stores the kernels of the groups if mixing them is cheaper.

        They replace the spectrum, and both forms then mix them.
        """
        self.modulation.deploy()
        if self._mixes_kernels():
            self._keep_kernels()

    def _mixes_kernels(self) -> bool:
        return (self._counted or self.counted_form(self.geometry, self._settings())) == "kernels"

    @torch.no_grad()
    def _keep_kernels(self) -> None:
        if self.spectrum is not None:
            self.weight = nn.Parameter(torch.unflatten(self._kernels().flatten(1), 1, (self.out_channels, -1)))
            self.spectrum = None
            del self.transform

    def _fold(self, scale: Tensor, shift: Tensor) -> bool:
        """Folds into the kernels of the groups, if the layer mixes them; a scaled spectrum would not stay in its groups."""
        if not self._mixes_kernels():
            return False
        self._keep_kernels()
        self.weight.mul_(scale.unsqueeze(1))
        self.bias = folded_bias(self.bias, scale, shift)
        return True

    def _start_as(self, kernel: Tensor, bias: Tensor | None) -> None:
        """Sets the spectrum to that of the given kernel, because all fresh gates are 1."""
        self._store(kernel)
        self._start_bias(bias)

    def _store(self, kernel: Tensor) -> None:
        """Sets the spectrum to that of a kernel (D, C/g, k, k)."""
        assert self.spectrum is not None
        matrices = torch.unflatten(kernel, 0, (self.groups, -1)).permute(0, 1, 3, 2, 4)
        self.spectrum.copy_(self.transform.of(matrices.flatten(3).flatten(1, 2)).flatten(1, 2))

    def forward(self, x: Tensor, guide: Tensor | None = None) -> Tensor:
        """Convolves (N, C, H, W) -> (N, D, H', W')."""
        gates, local = self.modulation(x)
        gates = gates._replace(**{name: self._seen(name, gate) for name, gate in gates._asdict().items() if gate is not None})
        kernel = self._gated(product(self._mixed(x, gates.kernel), self._seen("local", local)), gates)
        k = self.geometry.kernel_size
        return self._convolve_each(x, torch.unflatten(kernel.flatten(1, 2), 3, (k, k)), self.bias)

    def _mixed(self, x: Tensor, mixture: Tensor | None) -> Tensor:
        """The weighted sum of the groups, weights (N, n): (N, g, D/g, C/g, k^2), or (1, ...) for a single group."""
        if self.spectrum is not None and mixture is not None and self._form(x) == "spectrum":
            spectrum = torch.unflatten(self.spectrum, 1, (2, -1))
            weights = torch.unflatten(mixture.index_select(1, self.transform.group), 1, spectrum.shape[2:])
            return self._as_kernel(self.transform.matrix(product(spectrum, weights[:, None, None])))
        kernels = self._kernels()
        return kernels if mixture is None else torch.unflatten(mixture @ kernels.flatten(1), 1, kernels.shape[1:])

    def _kernels(self) -> Tensor:
        """The kernels of the groups, (n, g, D/g, C/g, k^2); zeros while counting, because their values follow from no input."""
        g = self.geometry
        shape = (g.groups, g.out_channels // g.groups, g.in_channels // g.groups, g.kernel_size**2)
        if self.spectrum is None:
            return torch.unflatten(self.weight.flatten(1), 1, shape)
        if is_counting():
            return self.spectrum.new_zeros(self.num_groups, *shape)
        return self._as_kernel(self.transform.each_group(torch.unflatten(self.spectrum, 1, (2, -1))))

    def _as_kernel(self, matrices: Tensor) -> Tensor:
        """Reads matrices (N, g, R, M) as kernels (N, g, D/g, C/g, k^2)."""
        k = self.geometry.kernel_size
        return torch.unflatten(torch.unflatten(matrices, 3, (-1, k)), 2, (-1, k)).transpose(3, 4).flatten(4)

    def _gated(self, kernel: Tensor, gates: Gates) -> Tensor:
        """Weights a fresh kernel (N, g, D/g, C/g, k^2) by the gates of its taps, input channels and output channels.

        The height of B is applied here, where it multiplies C gates instead of a whole kernel.
        """
        columns = 2 * torch.unflatten(gates.channel, 1, (self.groups, 1, -1, 1))
        if gates.spatial is not None:
            columns = product(columns, gates.spatial[:, None, None, None])
        kernel = scaled(kernel, columns)
        if gates.filter is None:
            return kernel
        return scaled(kernel, torch.unflatten(gates.filter, 1, (self.groups, -1, 1, 1)))


class Modulation(nn.Module):
    """The gates of FDConv: those of whole dimensions of the kernel, from 0 to 2, and B / 2, which has one for each weight.

    Args:
        geometry: of the layer.
        groups: n.
        width: A.
    """

    def __init__(self, geometry: ConvGeometry, groups: int, width: int) -> None:
        super().__init__()
        self.outputs, channels, size = _outputs(geometry, groups), geometry.in_channels, filter_size(geometry.in_channels)
        self.channel_groups, self.side = geometry.groups, geometry.kernel_size
        self.squeeze = nn.Linear(channels, width, bias=False)
        self.norm: nn.Module = BatchNorm(width)
        self.scale, self.shift = nn.Parameter(torch.ones(())), nn.Parameter(torch.zeros(()))
        self.excite = nn.Linear(width, sum(self.outputs))
        self.level = nn.LayerNorm(channels)
        self.filters = nn.Parameter(torch.zeros(geometry.out_channels * self.side**2, size))

    def start(self, init: Init) -> None:
        """Initialises the layers, see `FDConv`."""
        nn.init.kaiming_normal_(self.squeeze.weight, mode="fan_out", nonlinearity="relu")
        nn.init.zeros_(self.excite.bias)
        if init == "static":
            nn.init.zeros_(self.excite.weight)
            return
        nn.init.constant_(self.filters, 1e-6)
        nn.init.normal_(self.excite.weight, std=1e-6)
        channels, filters = self.outputs[:2]
        nn.init.normal_(self.excite.weight[channels : channels + filters], std=math.sqrt(2 / max(1, filters)))

    @torch.no_grad()
    def deploy(self) -> None:
        """Folds the norm into the first layer."""
        self.squeeze, self.norm = absorbed(self.squeeze, self.norm)

    def forward(self, x: Tensor) -> tuple[Gates, Tensor]:
        """Computes the gates of the dimensions, and B / 2 (N, g, D/g, C/g, k^2), from (N, C, H, W)."""
        means = pooled(x)
        y = torch.relu(self.norm(self.squeeze(means)))
        found = 2 * torch.sigmoid(self.excite(self.scale * product(y, y) + self.shift))
        channel, *others = torch.split(found, list(self.outputs), 1)
        return Gates(channel, *(gate if gate.shape[1] else None for gate in others)), self._local(means)

    def _local(self, means: Tensor) -> Tensor:
        """Filters the normalised means (N, C) over the channels."""
        channels, size = means.shape[1], self.filters.shape[1]
        padded = F.pad(self.level(means), (size // 2, size // 2))
        near = torch.stack([padded[:, i : i + channels] for i in range(size)], 1)
        near = torch.unflatten(near, 2, (self.channel_groups, -1)).transpose(1, 2)
        logits = torch.unflatten(self.filters, 0, (self.channel_groups, -1)) @ near
        return torch.sigmoid(torch.unflatten(logits, 2, (-1, self.side**2))).transpose(3, 4)


def filter_size(channels: int) -> int:
    """The size s of the filter over the channels: odd, about half of the logarithm of C to base 2."""
    return round(math.log2(channels) / 2 + 0.5) // 2 * 2 + 1


def _matrix(geometry: ConvGeometry) -> tuple[int, int]:
    """The rows and columns of a group's kernel as a matrix, R = D k / g and M = C k / g."""
    g = geometry
    return g.out_channels // g.groups * g.kernel_size, g.in_channels // g.groups * g.kernel_size


def _width(geometry: ConvGeometry, reduction: Setting) -> int:
    return max(LEAST_WIDTH, reduced(geometry.in_channels, reduction))


def _one_to_one(geometry: ConvGeometry) -> bool:
    """Whether each output channel belongs to one input channel, so that one gate for both is enough."""
    return geometry.in_channels == geometry.groups == geometry.out_channels


def _outputs(geometry: ConvGeometry, groups: int) -> tuple[int, int, int, int]:
    """The numbers of gates of input channels, output channels, taps and groups of frequencies; 0 for those that are skipped."""
    g = geometry
    return g.in_channels, g.out_channels * (not _one_to_one(g)), g.kernel_size**2 * (g.kernel_size > 1), groups * (groups > 1)
