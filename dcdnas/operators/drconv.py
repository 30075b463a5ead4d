"""Dynamic region-aware convolution (DRConv): a learned mask divides the map into regions, and each region has its own kernel.

The paper claims that choosing among a few kernels by region gives a convolution the flexibility of local convolution while it
stays translation-invariant, at about the multiply-adds of one convolution, and that the mask can be learned by replacing the
gradient of the argmax with that of a softmax. DRConv differs from SK and DY-Conv, in which all pixels of a sample use the same
kernel.

Letters: N batch, C input channels, D output channels, H W map, k kernel size, g groups, m regions, K stored kernels.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dcdnas.core.dimension import Choice
from dcdnas.core.geometry import ConvGeometry, Setting
from dcdnas.core.reference import Reference
from dcdnas.operators._arguments import Init, check_start, traced
from dcdnas.operators._guide import Guide, check_width, given
from dcdnas.operators._kernels import per_sample
from dcdnas.operators._mixture import KernelMixture, start_around, start_each_as_static
from dcdnas.operators._norm import folded_bias
from dcdnas.operators._per_sample import centred, taps
from dcdnas.operators._pool import pooled
from dcdnas.operators._product import is_counting, product
from dcdnas.operators._regions import (
    block_count,
    block_size,
    convolve_by_region,
    convolve_by_sorted_region,
    depthwise_by_region,
    pixel_rows,
)

__all__ = ["DRConv", "RegionGuide"]


class RegionGuide(Guide):
    """A 1x1 convolution whose largest output channel is the pixel's region: the mask of one layer, or the guide of a block.

    It is always computed in float32 or better, because rounding in bfloat16 moves pixels to other regions, which changes the
    output by half.
    """

    def __init__(self, in_channels: int, num_regions: int, stride: int = 1) -> None:
        super().__init__(num_regions)
        self.stride = stride
        self.weight = nn.Parameter(torch.empty(num_regions, in_channels, 1, 1))
        nn.init.kaiming_uniform_(self.weight, a=5**0.5)

    def forward(self, x: Tensor) -> Tensor:
        """Computes the logits of the regions: (N, C, H, W) -> (N, m, H', W')."""
        if not x.is_meta and torch.is_autocast_enabled(x.device.type):
            with torch.autocast(x.device.type, enabled=False):
                return self._convolved(x)
        return self._convolved(x)

    def _convolved(self, x: Tensor) -> Tensor:
        wide = x.float() if x.dtype in (torch.float16, torch.bfloat16) else x
        return F.conv2d(wide, self.weight.to(wide.dtype), None, self.stride)


class DRConv(KernelMixture):
    """y(p) = W_M(p)(x) * x at p, M(p) = argmax_t guide_t(p), W_t(x) = sum_j c_tj(x) V_j, c = 2 sigmoid(FC(GAP(x))) / K.

    In training the backward pass uses the gradient of the softmax for the argmax. Form ``mix`` convolves with the K stored
    kernels and weights the outputs pixel by pixel; these K convolutions need no kernels per sample and give the gradient of
    every region. Form ``regions`` builds the m kernels and multiplies each pixel by the kernel of its region, which costs about
    one convolution.

    Args:
        *place: C, D, k and more, as in Conv2d.
        bias: as in Conv2d, one for all regions.
        num_regions: m.
        num_kernels: K.
        guide_channels: m if the layer has no mask of its own and `forward` takes the output of its block's `RegionGuide`, of any
            map size (the nearest pixel is used); 0 otherwise.
        init: ``static``: every region has the mean of the K kernels, each of which is initialised as a static one;
            ``published``: as in the published code, with random weights of the kernels.

    Departures:
        In the paper a separate small network generates each region's kernel. This operator follows the authors' code, which
        combines stored kernels. That code replaces only 1x1 convolutions and always shares one mask in a block.

    Reference:
        Chen, Wang, Guo, Zhang, Sun: Dynamic Region-Aware Convolution. CVPR 2021, arXiv 2003.12243.
    """

    REFERENCE = Reference(
        "chen2021dynamic",
        "Chen, Jin and Wang, Xijun and Guo, Zichao and Zhang, Xiangyu and Sun, Jian",
        "Dynamic Region-Aware Convolution", "CVPR", 2021, "2003.12243",
    )  # fmt: skip

    FORMS: ClassVar[tuple[str, ...]] = ("mix", "regions")
    ADDS_BIAS = True

    num_regions: int
    num_kernels: int

    def __init__(
        self,
        *place: Any,
        num_regions: Annotated[int, Choice(at_least=1, at_most=16)] = 8,
        num_kernels: Annotated[int, Choice(at_least=1, at_most=16)] = 8,
        guide_channels: int = 0,
        init: Init = "static",
        **others: Any,
    ) -> None:
        super().__init__(*place, **others)
        check_start(init)
        self._keep(num_regions=num_regions, num_kernels=num_kernels)
        if guide_channels:
            check_width("DRConv", "num_regions", num_regions, guide_channels)
        self._make_kernels(num_kernels)
        self.bias = self._fresh_bias()
        self.regions = None if guide_channels else RegionGuide(self.in_channels, num_regions, self.geometry.stride)
        self.combine = nn.Linear(self.in_channels, num_regions * num_kernels)
        self._initialise(init)

    def _initialise(self, init: Init) -> None:
        nn.init.zeros_(self.combine.bias)
        if init == "static":
            nn.init.zeros_(self.combine.weight)
            start_each_as_static(self.weight, self.geometry)
        else:
            nn.init.normal_(self.combine.weight, std=0.01)
            for kernel in self.kernels():
                nn.init.kaiming_uniform_(kernel)

    @classmethod
    def guide(cls, channels: int, settings: Mapping[str, Setting]) -> RegionGuide:
        """Builds the mask that the layers of a block can share.

        Args:
            channels: of the block's input.
            settings: the resolved settings of these layers.
        """
        return RegionGuide(channels, int(settings["num_regions"]))

    @classmethod
    def multiply_adds(cls, geometry: ConvGeometry, settings: Mapping[str, Setting], form: str = "") -> int:
        """C m (H'W' + K), plus for mix K H'W' (|W| + D + m), for regions (m K + slots) |W|, with |W| = D C/g k^2."""
        g, regions, kernels = geometry, int(settings["num_regions"]), int(settings["num_kernels"])
        weights, guiding = g.weights, cls.controlling(geometry, settings)
        if form == "regions":
            filled = block_count(g.out_pixels, regions) * block_size(g.out_pixels, regions)
            slots = g.out_pixels if g.depthwise and g.out_channels == g.groups else filled
            return guiding + (regions * kernels + slots) * weights
        return guiding + kernels * g.out_pixels * (weights + g.out_channels + regions)

    @classmethod
    def controlling(cls, geometry: ConvGeometry, settings: Mapping[str, Setting]) -> int:
        """Multiply-adds of the mask and of the kernels' weights in each region: C m (H'W' + K)."""
        return geometry.in_channels * int(settings["num_regions"]) * (geometry.out_pixels + int(settings["num_kernels"]))

    @classmethod
    def guided_multiply_adds(cls, geometry: ConvGeometry, settings: Mapping[str, Setting], form: str, guide_channels: int) -> int:
        """Multiply-adds without those of the mask, C m H'W'.

        Raises:
            GeometryError: if the guide does not have m channels.
        """
        regions = int(settings["num_regions"])
        check_width("DRConv", "num_regions", regions, guide_channels)
        return cls.multiply_adds(geometry, settings, form) - geometry.in_channels * regions * geometry.out_pixels

    @classmethod
    def training_forms(cls, geometry: ConvGeometry, settings: Mapping[str, Setting]) -> tuple[str, ...]:
        """Only ``mix`` can train, because it computes the output of every region, which the mask's gradient needs."""
        return ("mix",)

    @classmethod
    def traffic(cls, geometry: ConvGeometry, settings: Mapping[str, Setting], form: str) -> int:
        """Elements of all kernels' outputs, unweighted and weighted, or of the regions' kernels and the pixels moved twice."""
        g = geometry
        if form == "mix":
            return 2 * int(settings["num_kernels"]) * g.out_channels * g.out_pixels
        moved = 2 * g.out_pixels * (g.in_channels * g.kernel_size**2 + g.out_channels)
        return int(settings["num_regions"]) * g.weights + moved

    def _start_as(self, kernel: Tensor, bias: Tensor | None) -> None:
        """Initialises the stored kernels around the given one, because a fresh layer uses their mean in every region."""
        start_around(self.weight, kernel)
        self._start_bias(bias)

    def _fold(self, scale: Tensor, shift: Tensor) -> bool:
        """Folds into the stored kernels, which every region mixes, and the bias."""
        self.weight.mul_(scale.unsqueeze(1))
        self.bias = folded_bias(self.bias, scale, shift)
        return True

    def forward(self, x: Tensor, guide: Tensor | None = None) -> Tensor:
        """Maps (N, C, H, W) -> (N, D, H', W'), with the mask (N, m, ...) from `guide` if given, else the layer's own."""
        logits = self._logits(x, guide)
        mixture = torch.unflatten(torch.sigmoid(self.combine(pooled(x))), 1, (self.num_regions, -1)) * (2 / self.num_kernels)
        y = self._by_region(x, logits, mixture) if self._form(x) == "regions" else self._by_kernel(x, logits, mixture)
        return y if self.bias is None else y + self.bias[:, None, None]

    def guide_from(self, x: Tensor) -> Tensor:
        """Computes the logits of the regions at each output pixel: (N, m, H', W')."""
        g = self.geometry
        if self.regions is None:
            return given(None, self, self.num_regions, x)
        logits: Tensor = self.regions(centred(x, g.kernel_size, self.padding[0], g.dilation))
        return logits

    def _logits(self, x: Tensor, guide: Tensor | None) -> Tensor:
        """The logits of the regions, resized to the output map if they come from a guide: (N, m, H', W')."""
        g, logits = self.geometry, self.guide_from(x) if guide is None else given(guide, self, self.num_regions, x)
        reach = 2 * self.padding[0] - g.dilation * (g.kernel_size - 1) - 1
        size = [(int(s) + reach) // g.stride + 1 for s in x.shape[2:]]
        return logits if list(logits.shape[2:]) == size else F.interpolate(logits, size)

    def _by_kernel(self, x: Tensor, logits: Tensor, mixture: Tensor) -> Tensor:
        mask = torch.zeros_like(logits).scatter(1, logits.argmax(1, keepdim=True), 1.0)
        if self.training:
            soft = torch.softmax(logits, 1)
            mask = mask + (soft - soft.detach())
        weights = torch.unflatten(mixture.transpose(1, 2) @ mask.flatten(2).to(mixture.dtype), 2, logits.shape[2:])
        weights = self._seen("kernel", weights, of_map=True)
        outputs = (self._convolve(x, kernel) for kernel in self.kernels())
        weighed = [product(y, w.unsqueeze(1)) for y, w in zip(outputs, weights.unbind(1), strict=True)]
        return sum(weighed[1:], weighed[0])

    def _by_region(self, x: Tensor, logits: Tensor, mixture: Tensor) -> Tensor:
        g = self.geometry
        kernels = per_sample(torch.unflatten(mixture @ self.weight.flatten(1), 2, self.weight.shape[1:]))
        region, place = logits.argmax(1), (g.kernel_size, g.stride, self.padding[0], g.dilation)
        if g.depthwise and g.out_channels == g.groups:
            return depthwise_by_region(taps(x, *place), region, kernels)
        convolve = convolve_by_region if self._fixed_shapes(x) else convolve_by_sorted_region
        y = convolve(pixel_rows(x, *place), region.flatten(1), kernels, g.groups)
        return torch.unflatten(y.transpose(1, 2), 2, region.shape[1:])

    def _fixed_shapes(self, x: Tensor) -> bool:
        """Whether to run with fixed shapes, as counted and exported; otherwise a CPU computes the same with fewer copies."""
        return bool(self.portable) or traced() or is_counting() or x.device.type != "cpu" or len(x) == 0
