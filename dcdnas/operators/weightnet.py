"""WeightNet: a kernel generated from an attention vector by a grouped fully connected layer.

The paper claims that squeeze-and-excitation and CondConv are the two extremes of one family, a grouped fully connected layer
from attention to weights (one group for each output channel, or a single group), and that the members between them are better
at equal size. A generated kernel thus consists of stored values, each scaled by an attention that neighbouring values share.

Letters: N batch, C input channels, D output channels, H W map, k kernel size, g groups of the convolution, M attentions and G
parts per output channel, h reduced features, r reduction.
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
from dcdnas.operators._base import Operator
from dcdnas.operators._guide import Guide, given
from dcdnas.operators._mixture import start_around, start_each_as_static
from dcdnas.operators._norm import folded_bias
from dcdnas.operators._pool import pooled
from dcdnas.operators._product import product
from dcdnas.operators._widths import nearest_divisor

__all__ = ["WeightNet", "Reduce"]


class Reduce(Guide):
    """FC(GAP(x)), the h features from which the attention is computed, for one layer or as the guide of a block's layers."""

    def __init__(self, in_channels: int, reduction: int = 16, least_hidden: int = 16) -> None:
        super().__init__(max(least_hidden, in_channels // reduction))
        self.fc = nn.Linear(in_channels, self.out_channels)

    def forward(self, x: Tensor) -> Tensor:
        """Computes the features: (N, C, H, W) -> (N, h)."""
        features: Tensor = self.fc(pooled(x))
        return features


class WeightNet(Operator):
    """y = W(x) * x, W_d,p(x) = sum_i alpha_d,p,i(x) V_i,d,p, alpha = sigmoid(FC(reduce(GAP(x)))).

    The input channels of an output channel d are divided into G parts p. Each part has M/G attentions i with stored weights
    V_i, which is a fully connected layer with G D groups from M D attentions to D C/g k^2 weights. The attention can scale
    outputs instead of weights: form ``activation`` convolves with the stored weights of each part and scales the M D maps,
    form ``kernel`` builds one kernel for each sample.

    Args:
        *place: C, D, k and more, as in Conv2d.
        multiplier: M; the nearest multiple of G at or below it is used.
        parts: G, at most M; the nearest divisor of C/g at or below it is used (1 for depthwise convolutions), and M is reduced
            in proportion, so that M/G is kept.
        reduction: r; h = max(C // r, least_hidden).
        least_hidden: lower bound of h.
        guide_channels: h of the block's `Reduce` if the layer takes its guide; 0 otherwise.

    Departures:
        A part holds whole input channels, whereas the published layer divides the C k^2 weights without regard to channels. Each
        layer reduces its own input unless it takes a guide; the published layers of a block always share the reduction. A fresh
        layer is a static convolution, with every attention at 1/2 and stored weights that are initialised as a static kernel's.

    Reference:
        Ma, Zhang, Huang, Sun: WeightNet: Revisiting the Design Space of Weight Networks. ECCV 2020, arXiv 2007.11823.
    """

    REFERENCE = Reference(
        "ma2020weightnet",
        "Ma, Ningning and Zhang, Xiangyu and Huang, Jiawei and Sun, Jian",
        "WeightNet: Revisiting the Design Space of Weight Networks", "ECCV", 2020, "2007.11823",
    )  # fmt: skip

    FORMS: ClassVar[tuple[str, ...]] = ("activation", "kernel")
    ADDS_BIAS = True

    multiplier: int
    parts: int
    reduction: int
    least_hidden: int

    def __init__(
        self,
        *place: Any,
        multiplier: Annotated[int, Choice(at_least=1, at_most=16)] = 2,
        parts: Annotated[int, Choice(at_least=1, at_most=16)] = 2,
        reduction: Annotated[int, Choice(at_least=1)] = 16,
        least_hidden: Annotated[int, Choice(at_least=1)] = 16,
        guide_channels: int = 0,
        **others: Any,
    ) -> None:
        super().__init__(*place, **others)
        self._keep(multiplier=multiplier, parts=parts, reduction=reduction, least_hidden=least_hidden)
        self.terms = self.multiplier // self.parts
        self.guide_channels = guide_channels
        self.reduce = None if guide_channels else Reduce(self.in_channels, reduction, least_hidden)
        self.attend = nn.Linear(
            guide_channels or hidden_units(self.in_channels, reduction, least_hidden), self.multiplier * self.out_channels
        )
        self.weight = self._fresh_kernels(self.terms)
        self.bias = self._fresh_bias()
        nn.init.zeros_(self.attend.weight)
        nn.init.zeros_(self.attend.bias)
        start_each_as_static(self.weight, self.geometry)

    @classmethod
    def resolve(cls, geometry: ConvGeometry, **settings: Setting) -> dict[str, Setting]:
        """Reduces G to a divisor of C/g, and M to a multiple of G."""
        resolved = super().resolve(geometry, **settings)
        multiplier, channels = int(resolved["multiplier"]), geometry.in_channels // geometry.groups
        wanted = min(int(resolved["parts"]), multiplier)
        parts = nearest_divisor(channels, wanted)
        return resolved | {"multiplier": multiplier // wanted * parts, "parts": parts}

    @classmethod
    def built(cls, geometry: ConvGeometry, settings: Mapping[str, Setting]) -> dict[str, Setting]:
        """The settings with the number of hidden units in place of those that determine it."""
        hidden = hidden_units(geometry.in_channels, int(settings["reduction"]), int(settings["least_hidden"]))
        return {"multiplier": settings["multiplier"], "parts": settings["parts"], "hidden": hidden}

    @classmethod
    def guide(cls, channels: int, settings: Mapping[str, Setting]) -> Reduce:
        """Builds the reduction that the layers of a block can share.

        Args:
            channels: of the block's input.
            settings: the resolved settings of these layers.
        """
        return Reduce(channels, int(settings["reduction"]), int(settings["least_hidden"]))

    @classmethod
    def forms(cls, geometry: ConvGeometry, settings: Mapping[str, Setting]) -> tuple[str, ...]:
        """Both forms; ``activation`` comes first if it needs only one convolution (M = G), else ``kernel``."""
        return cls.FORMS if settings["multiplier"] == settings["parts"] else cls.FORMS[::-1]

    @classmethod
    def multiply_adds(cls, geometry: ConvGeometry, settings: Mapping[str, Setting], form: str = "") -> int:
        """h (C + M D), plus for activation H'W' (M/G |W| + M D), for kernel (M/G + H'W') |W|, with |W| = D C/g k^2."""
        hidden = hidden_units(geometry.in_channels, int(settings["reduction"]), int(settings["least_hidden"]))
        return hidden * geometry.in_channels + cls.guided_multiply_adds(geometry, settings, form, hidden)

    @classmethod
    def controlling(cls, geometry: ConvGeometry, settings: Mapping[str, Setting]) -> int:
        """Multiply-adds of the reduction and the attention: h (C + M D)."""
        hidden = hidden_units(geometry.in_channels, int(settings["reduction"]), int(settings["least_hidden"]))
        return hidden * (geometry.in_channels + int(settings["multiplier"]) * geometry.out_channels)

    @classmethod
    def guided_multiply_adds(cls, geometry: ConvGeometry, settings: Mapping[str, Setting], form: str, guide_channels: int) -> int:
        """Multiply-adds without those of the reduction, h C."""
        g, multiplier = geometry, int(settings["multiplier"])
        terms = multiplier // int(settings["parts"])
        attention = guide_channels * multiplier * g.out_channels
        if (form or cls.forms(geometry, settings)[0]) == "activation":
            return attention + g.out_pixels * (terms * g.weights + multiplier * g.out_channels)
        return attention + (terms + g.out_pixels) * g.weights

    @classmethod
    def training_forms(cls, geometry: ConvGeometry, settings: Mapping[str, Setting]) -> tuple[str, ...]:
        """Both forms can train."""
        return cls.forms(geometry, settings)

    @classmethod
    def traffic(cls, geometry: ConvGeometry, settings: Mapping[str, Setting], form: str) -> int:
        """Elements of the M D maps before and after scaling, or of a sample's kernel and its M/G terms."""
        g, multiplier = geometry, int(settings["multiplier"])
        if form == "activation":
            return 2 * multiplier * g.out_channels * g.out_pixels
        return g.weights * (1 + multiplier // int(settings["parts"]))

    def attention(self, features: Tensor) -> Tensor:
        """Computes alpha: (N, h) -> (N, D, G, M/G), each in 0..1."""
        return torch.unflatten(torch.sigmoid(self.attend(features)), 1, (self.geometry.out_channels, self.parts, self.terms))

    def _start_as(self, kernel: Tensor, bias: Tensor | None) -> None:
        """Makes half the sum of the stored weights the given kernel, because a fresh attention is 1/2 everywhere."""
        start_around(self.weight, 2 / self.terms * kernel, self.terms**0.5)
        self._start_bias(bias)

    def _fold(self, scale: Tensor, shift: Tensor) -> bool:
        """Folds into the stored weights and the bias."""
        self.weight.mul_(scale.unsqueeze(1))
        self.bias = folded_bias(self.bias, scale, shift)
        return True

    def guide_from(self, x: Tensor) -> Tensor:
        """Computes the reduced features (N, h) of the layer's input (N, C, H, W)."""
        return given(None, self, self.guide_channels, x) if self.reduce is None else self.reduce(x)

    def forward(self, x: Tensor, guide: Tensor | None = None) -> Tensor:
        """Maps (N, C, H, W) -> (N, D, H', W'), with the features (N, h) from `guide` if given, else the layer's own."""
        features = self.guide_from(x) if guide is None else given(guide, self, self.attend.in_features, x)
        alpha = self._seen("weight", self.attention(features))
        if self._form(x) != "activation":
            return self._built_kernels(x, alpha)
        y = self._scaled_outputs(x, alpha)
        return y if self.bias is None else y + self.bias[:, None, None]

    def _scaled_outputs(self, x: Tensor, alpha: Tensor) -> Tensor:
        g, k = self.geometry, self.geometry.kernel_size
        of_group = (g.groups, g.out_channels // g.groups)
        stored = torch.unflatten(torch.unflatten(self.weight, 2, (self.parts, -1)), 1, of_group)
        kernels = stored.permute(1, 3, 0, 2, 4).reshape(self.terms * self.parts * g.out_channels, -1, k, k)
        maps = F.conv2d(x, kernels, None, g.stride, self.padding[0], g.dilation, g.groups * self.parts)
        maps = torch.unflatten(maps, 1, (g.groups, self.multiplier, -1))
        scale = torch.unflatten(alpha, 1, of_group).permute(0, 1, 3, 4, 2).flatten(2, 3)
        return product(maps, scale[..., None, None]).sum(2).flatten(1, 2)

    def _built_kernels(self, x: Tensor, alpha: Tensor) -> Tensor:
        k = self.geometry.kernel_size
        stored = torch.unflatten(self.weight, 2, (self.parts, -1))
        built = [product(v, a.unsqueeze(-1)) for v, a in zip(stored, alpha.unbind(3), strict=True)]
        kernels = torch.unflatten(sum(built[1:], built[0]).flatten(2), 2, (-1, k, k))
        return self._convolve_each(x, kernels, self.bias)


def hidden_units(in_channels: int, reduction: int, least: int) -> int:
    """Number of reduced features, h = max(C // r, least)."""
    return max(in_channels // reduction, least)
