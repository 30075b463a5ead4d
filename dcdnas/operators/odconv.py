"""Omni-dimensional dynamic convolution (ODConv): attention over kernels, their taps, input channels and output channels.

Earlier dynamic convolutions weight only whole kernels. ODConv also learns attentions over a kernel's taps, its input channels
and its output channels, computed in parallel from the pooled input. With them even a single kernel is dynamic, and few kernels
replace the many of earlier methods. ODConv differs from deformable convolution in that the taps are weighted, not moved.

Letters in shapes: N batch, C input channels, D output channels, H W map, k kernel size, g groups, n kernels, T temperature,
r reduction, A width of the attention, P output pixels.

Reference: Li, Zhou, Yao, "Omni-Dimensional Dynamic Convolution", ICLR 2022, arXiv:2209.07947, eq. 2.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dcdnas.core.dimension import Choice
from dcdnas.core.geometry import ConvGeometry, Setting
from dcdnas.core.reference import Reference
from dcdnas.kernels import Gated, Place, gated, gated_fits
from dcdnas.operators._arguments import Init, check_start
from dcdnas.operators._base import CONTROLLER_SPEED, Operator
from dcdnas.operators._mixture import start_around, start_each_as_static, static_std
from dcdnas.operators._norm import BatchNorm, added, folded_bias
from dcdnas.operators._od_attention import Attention, Gates
from dcdnas.operators._per_sample import taps
from dcdnas.operators._product import product, scaled

__all__ = ["ODConv"]


class ODConv(Operator):
    """y = (sum_i alpha_w,i alpha_f . alpha_c . alpha_s . W_i) * x, with alpha_s (k x k), alpha_c (C), alpha_f (D), alpha_w (n).

    The first three attentions are sigmoids and the same for all kernels; alpha_w is a softmax. All logits are divided by the
    temperature T, a buffer that is saved with the weights and that `anneal` changes from its initial value to 1. The filter
    attention is skipped if C = g = D, the spatial attention for k = 1, and the kernel attention for n = 1.

    The forms differ in where the channel and filter attentions are applied. ``activation``: to the layer's input and output.
    ``input``: the filter attention to the output, the channel attention to the kernel. ``output``: the channel attention to the
    input, the filter attention to the kernel. ``kernel``: both to the kernel. ``columns`` weights the unfolded input, so that
    all kernels stay static.

    Args:
        *place: C, D, k and more, as in Conv2d.
        bias: one for each kernel, weighted by alpha_w and added after the filter attention.
        num_kernels: n.
        reduction: r: the attention squeezes C channels to A = C/r, at least 16.
        gates: `unit` scales the sigmoids to height 2 and the softmax to sum sqrt(n), so that a fresh layer has the output scale
            of a static convolution and learns as fast; `sigmoid` leaves them as published, which makes the output 2^3 sqrt(n)
            times smaller until a BatchNorm rescales it. `unit` also gives the attention of several kernels a learning rate of its
            own under SGD.
        norm: of the attention: `batch` as published, `layer` or `none`.
        temperature: the initial T.
        init: `static` initialises the attentions as constants; `published` initialises all layers as the published code does.

    Departures: the published attention raises in training if a batch holds only one value per channel; this one then uses the
    running statistics. The height of the gates and the aggregated bias are not from the paper. The published initialisation is
    not the default, because in short trainings it performs worse than the static convolution.
    """

    REFERENCE = Reference(
        "li2022omni",
        "Li, Chao and Zhou, Aojun and Yao, Anbang",
        "Omni-Dimensional Dynamic Convolution", "ICLR", 2022, "2209.07947",
    )  # fmt: skip

    FORMS = ("activation", "input", "output", "kernel", "columns")
    PUBLISHED_FORM = "activation"

    num_kernels: int
    reduction: float
    gates: str
    norm: str
    shift: nn.Parameter | None

    def __init__(
        self,
        *place: Any,
        num_kernels: Annotated[int, Choice(at_least=1, at_most=16)] = 1,
        reduction: Annotated[float, Choice(at_least=1)] = 16,
        gates: Annotated[str, Choice(words=("unit", "sigmoid"))] = "unit",
        norm: Annotated[str, Choice(words=("batch", "layer", "none"))] = "batch",
        temperature: float = 30.0,
        init: Init = "static",
        **others: Any,
    ) -> None:
        super().__init__(*place, **others)
        check_start(init, temperature)
        self._keep(num_kernels=num_kernels, reduction=reduction, gates=gates, norm=norm)
        self.initial_temperature = temperature
        self.weight = self._fresh_kernels(num_kernels)
        self.bias = nn.Parameter(torch.zeros(num_kernels, self.out_channels)) if self.has_bias else None
        self.register_parameter("shift", None)
        sizes = _Sizes.of(self.geometry, self._settings())
        height, mass = (2.0, math.sqrt(num_kernels)) if gates == "unit" else (1.0, 1.0)
        self.attention = Attention(
            self.in_channels, sizes.filters, sizes.taps, sizes.kernels, sizes.width, norm, height, mass, temperature
        )
        self.controller_rate = sizes.controller_rate if gates == "unit" else 1.0
        self._start(init == "published")

    @classmethod
    def resolve(cls, geometry: ConvGeometry, **settings: Setting) -> dict[str, Setting]:
        """Every geometry supports every setting; a reduction that is a whole number becomes an int."""
        resolved = super().resolve(geometry, **settings)
        reduction = float(resolved["reduction"])
        resolved["reduction"] = int(reduction) if reduction.is_integer() else reduction
        return resolved

    @classmethod
    def built(cls, geometry: ConvGeometry, settings: Mapping[str, Setting]) -> dict[str, Setting]:
        """The settings with the attention's width in place of the reduction."""
        return {**settings, "reduction": 0, "width": _Sizes.of(geometry, settings).width}

    @classmethod
    def forms(cls, geometry: ConvGeometry, settings: Mapping[str, Setting]) -> tuple[str, ...]:
        """Excludes ``output`` and ``kernel`` without a filter attention, and ``columns`` for a single 1x1 kernel."""
        sizes = _Sizes.of(geometry, settings)
        placed = ("activation", "input", "output", "kernel") if sizes.filters else ("activation", "input")
        return (*placed, "columns") if sizes.kernels or sizes.taps else placed

    @classmethod
    def multiply_adds(cls, geometry: ConvGeometry, settings: Mapping[str, Setting], form: str = "") -> int:
        """Multiply-adds of a form, in closed form; see `_Sizes.multiply_adds`."""
        return _Sizes.of(geometry, settings).multiply_adds(form)

    @classmethod
    def controlling(cls, geometry: ConvGeometry, settings: Mapping[str, Setting]) -> int:
        """Multiply-adds of the attention: A times the sum of C and the outputs of all heads."""
        return _Sizes.of(geometry, settings).attention

    @classmethod
    def training_forms(cls, geometry: ConvGeometry, settings: Mapping[str, Setting]) -> tuple[str, ...]:
        """All forms can train, because the only BatchNorm is in the attention."""
        return cls.forms(geometry, settings)

    @classmethod
    def traffic(cls, geometry: ConvGeometry, settings: Mapping[str, Setting], form: str) -> int:
        """See `_Sizes.traffic`."""
        return _Sizes.of(geometry, settings).traffic(form)

    def anneal(self, progress: float) -> None:
        """Lowers T linearly from its initial value to 1 as `progress` goes from 0 to 1."""
        done = min(1.0, max(0.0, progress))
        self.attention.temperature.fill_(self.initial_temperature + (1.0 - self.initial_temperature) * done)

    @torch.no_grad()
    def deploy(self) -> None:
        """Merges the attention's heads, norm and temperature, and moves the height of the gates into the kernels."""
        height, mass = self.attention.deploy()
        self.weight.mul_(height * mass)
        if self.bias is not None:
            self.bias.mul_(mass)

    def _start_as(self, kernel: Tensor, bias: Tensor | None) -> None:
        """Initialises the kernels around the one that fresh attentions, which are constant, scale to the given kernel."""
        heads, attention = self.attention.heads, self.attention
        mass = attention.mass if "kernel" in heads else 1.0
        gates = (attention.height / 2) ** (len(heads) - ("kernel" in heads))
        start_around(self.weight, kernel / (gates * mass))
        self._start_bias(bias, 1 / mass)

    def _fold(self, scale: Tensor, shift: Tensor) -> bool:
        """Folds into each kernel and its bias, because the attentions only multiply them."""
        self.weight.mul_(scale.unsqueeze(1))
        if self.bias is not None:
            self.bias.mul_(scale)
        self.shift = folded_bias(self.shift, scale, shift)
        return True

    def forward(self, x: Tensor, guide: Tensor | None = None) -> Tensor:
        """Convolves (N, C, H, W) -> (N, D, H', W')."""
        layer = self._gated()
        parameters = [] if layer is None else self._in_order()
        if layer is not None and gated_fits(x, layer, parameters):
            return gated(x, layer, parameters)
        return self._composed(x)

    def _composed(self, x: Tensor) -> Tensor:
        """Computes `forward` in PyTorch operations."""
        form, gates, g = self._form(x), self.attention(x), self.geometry
        gates = gates if self.observer is None else self._shown(gates)
        after = added(None if self.bias is None else self._bias(self.bias, gates), self.shift)
        outside = None if form in ("output", "kernel") else gates.filter
        inside = after if outside is None else None
        if form == "columns":
            y = self._by_columns(x, gates)
            y = y if inside is None else y + inside[..., None, None]
        else:
            x = x if form in ("input", "kernel") else product(x, gates.channel[:, :, None, None])
            kernel = self._kernel(gates, form)
            if form == "activation" and self.num_kernels == g.kernel_size == 1:
                y = self._convolve(x, kernel[0], inside)
            else:
                y = self._convolve_each(x, kernel, inside)
        if outside is None:
            return y
        filters = outside[:, :, None, None]
        return scaled(y, filters, None if after is None else after[..., None, None])

    def _gated(self) -> Gated | None:
        """The layer's description for the compiled training function; None if that does not support it, or hooks observe it."""
        g, attention = self.geometry, self.attention
        if not self.training or torch.compiler.is_compiling() or self.training_form or type(self) is not ODConv:
            return None
        if self.bias is not None or self.shift is not None or self.observer is not None:
            return None
        if g.dilation > 1 or not attention.is_plain():
            return None
        depthwise = g.depthwise and attention.filter is None and attention.spatial is not None
        if not depthwise and (g.kernel_size > 1 or g.groups > 1 or attention.filter is None):
            return None
        norm = attention.norm
        assert isinstance(norm, BatchNorm)
        place = Place(g.out_channels, g.kernel_size, g.stride, self.padding[0], depthwise)
        return Gated(norm, place, attention.temperature, attention.height, attention.mass, self._plain)

    def _plain(self, x: Tensor, *parameters: Tensor) -> Tensor:
        return self._in_torch(x, self._in_order(), parameters)

    def _in_order(self) -> list[Tensor]:
        """The parameters in the order that `gated` expects."""
        attention = self.attention
        heads = [part for head in attention.layers for part in (head.weight, head.bias)]
        return [attention.squeeze.weight, *attention.norm.parameters(), self.weight, *heads]

    def _shown(self, gates: Gates) -> Gates:
        return gates._replace(**{name: self._seen(name, g) for name, g in gates._asdict().items() if g is not None})

    def _kernel(self, gates: Gates, form: str) -> Tensor:
        """The mixed kernel (N, D, C/g, k, k), weighted by the attentions that `form` applies to it; (1, D, ...) if static."""
        g, k = self.geometry, self.geometry.kernel_size
        kernel = self.weight if gates.kernel is None else gates.kernel @ self.weight.flatten(1)
        kernel = kernel.view(-1, g.groups, g.out_channels // g.groups, g.in_channels // g.groups, k * k)
        factors = []
        if form in ("input", "kernel"):
            factors.append(gates.channel.reshape(-1, g.groups, 1, g.in_channels // g.groups, 1))
        if gates.filter is not None and form in ("output", "kernel"):
            factors.append(gates.filter.reshape(-1, g.groups, g.out_channels // g.groups, 1, 1))
        if gates.spatial is not None:
            spatial = gates.spatial[:, None, None, None, :]
            factors = [product(factors[0], spatial), *factors[1:]] if factors else [spatial]
        fresh = gates.kernel is not None
        for factor in factors:
            kernel = scaled(kernel, factor) if fresh else product(kernel, factor)
            fresh = True
        return kernel.view(-1, g.out_channels, g.in_channels // g.groups, k, k)

    def _by_columns(self, x: Tensor, gates: Gates) -> Tensor:
        """Weights each tap's view of the input, convolves with all kernels at once, and mixes their outputs."""
        g = self.geometry
        views = taps(x, g.kernel_size, g.stride, self.padding[0], g.dilation)
        gate = gates.channel[:, :, None]
        gate = gate if gates.spatial is None else product(gate, gates.spatial[:, None, :])
        columns = product(torch.stack(views, 2), gate[..., None, None]).flatten(1, 2)
        kernels = torch.unflatten(self.weight, 1, (g.groups, -1)).movedim(1, 0).flatten(0, 2)
        y = F.conv2d(columns, kernels[..., None, None], groups=g.groups)
        if gates.kernel is None:
            return y
        each = torch.unflatten(y, 1, (g.groups, self.num_kernels, -1)).flatten(3)
        return (gates.kernel[:, None, None, :] @ each).view(-1, g.out_channels, *y.shape[2:])

    def _bias(self, bias: Tensor, gates: Gates) -> Tensor:
        return bias[0] if gates.kernel is None else gates.kernel @ bias

    def _start(self, published: bool) -> None:
        g, attention = self.geometry, self.attention
        if published:
            nn.init.normal_(self.weight, std=math.sqrt(2 / (g.out_channels * g.kernel_size**2)))
        else:
            start_each_as_static(self.weight, g)
        squeezed = attention.squeeze.out_features if published else attention.squeeze.in_features
        nn.init.normal_(attention.squeeze.weight, std=math.sqrt(2 / squeezed))
        for head in attention.layers:
            nn.init.normal_(head.weight, std=math.sqrt(2 / head.out_features) if published else 0.0)
            nn.init.zeros_(head.bias)

    def extra_repr(self) -> str:
        """The constructor arguments, the attentions that are not skipped, and the temperature."""
        temperature = self.attention.temperature.item()
        return f"{super().extra_repr()}, attentions={'+'.join(self.attention.heads)}, temperature={temperature:g}"


@dataclass(frozen=True)
class _Sizes:
    """Sizes of an ODConv layer: outputs of the attention's heads (0 if skipped), its width, and the cost of each form."""

    geometry: ConvGeometry
    filters: int
    taps: int
    kernels: int
    width: int

    @staticmethod
    def of(geometry: ConvGeometry, settings: Mapping[str, Setting]) -> _Sizes:
        g, n = geometry, int(settings["num_kernels"])
        filters = 0 if g.in_channels == g.groups == g.out_channels else g.out_channels
        width = max(16, math.floor(g.in_channels / float(settings["reduction"]) + 1e-9))
        return _Sizes(g, filters, g.kernel_size**2 if g.kernel_size > 1 else 0, n if n > 1 else 0, width)

    @property
    def attention(self) -> int:
        """Multiply-adds of the attention's layers."""
        channels = self.geometry.in_channels
        return self.width * (2 * channels + self.filters + self.taps + self.kernels)

    @property
    def controller_rate(self) -> float:
        """The rate with which the attention of several kernels learns at `CONTROLLER_SPEED` times their speed; at most 1.

        A step of SGD on one logit gains s^2 / 4 times as much as a step on the kernels for a sigmoid, and s^2 (1 - 1/n) for the
        softmax, where s is the standard deviation of the kernels. A bias and A hidden units, half of which are 0, compute it.
        """
        if not self.kernels:
            return 1.0
        sigmoids = 1 + (self.filters > 0) + (self.taps > 0)
        logits = sigmoids / 4 + 1 - 1 / self.kernels
        return min(1.0, CONTROLLER_SPEED / (static_std(self.geometry) ** 2 * logits * (1 + self.width / 2)))

    def multiply_adds(self, form: str) -> int:
        """Multiply-adds of a form at batch 1."""
        g, attention, kernel = self.geometry, self.attention, self.geometry.weights
        outside = 0 if form in ("output", "kernel") else self.filters * g.out_pixels
        if form == "columns":
            gated = g.in_channels * (self.taps + g.out_pixels * g.kernel_size**2)
            mixed = self.kernels * g.out_channels * g.out_pixels
            return attention + gated + max(1, self.kernels) * kernel * g.out_pixels + mixed + outside
        inside = 0 if form in ("input", "kernel") else g.in_channels * g.height * g.width
        return attention + inside + self.kernels * kernel + self._weighing(form, kernel) + kernel * g.out_pixels + outside

    def traffic(self, form: str) -> int:
        """Elements that a form writes per sample beyond the convolution's output, plus those of a per-sample kernel it reads.

        Weighting the outputs counts half, because it happens in place.
        """
        g, kernel = self.geometry, self.geometry.weights
        outside = 0 if form in ("output", "kernel") else self.filters * g.out_pixels // 2
        if form == "columns":
            mixed = 2 * self.kernels * g.out_channels * g.out_pixels
            return 4 * g.in_channels * g.out_pixels * g.kernel_size**2 + mixed + outside
        inside = 0 if form in ("input", "kernel") else g.in_channels * g.height * g.width
        weighed = {"activation": int(self.taps > 0), "kernel": 2}.get(form, 1)
        own = form != "activation" or self.taps > 0 or self.kernels > 0
        return inside + outside + kernel * (weighed + int(self.kernels > 0) + own)

    def _weighing(self, form: str, kernel: int) -> int:
        """Products that apply attentions to the mixed kernel."""
        g = self.geometry
        if form in ("input", "kernel"):
            return self.taps * g.in_channels + kernel * (2 if form == "kernel" else 1)
        if form == "output":
            return self.taps * g.out_channels + kernel
        return kernel if self.taps else 0
