"""Dynamic convolution decomposition (DCD): a static kernel, attention over output channels and a low-rank dynamic residual.

Averaging several kernels by attention needs many kernels and is hard to train. The paper shows that the average is equivalent
to a dynamic residual in a high-dimensional latent space, and replaces it by dynamic fusion of few latent channels: the residual
P Phi Q^T has rank L, and only Phi, an L x L matrix, depends on the input. DCD differs from a low-rank factorisation of the
weights (W0 stays dense) and from squeeze-and-excitation (which is Lambda alone).

Letters in shapes: N batch, C input channels, D output channels, H W map, k kernel size, g groups, B blocks, L latent channels
of a block, K latent kernel elements, P output pixels, r reduction.

Reference: Li, Chen, Dai, Liu, Chen, Yu, Yuan, Liu, Chen, Vasconcelos, "Revisiting Dynamic Convolution via Matrix
Decomposition", ICLR 2021, arXiv:2103.08756.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import fields
from typing import Annotated, Any

import torch
from torch import Tensor, nn

from dcdnas.core.dimension import Choice, dimensions
from dcdnas.core.geometry import ConvGeometry, Setting
from dcdnas.core.reference import Reference
from dcdnas.errors import GeometryError
from dcdnas.kernels import Decomposed, Place, decomposed, decomposed_fits
from dcdnas.operators._arguments import Init, check_start
from dcdnas.operators._base import Operator
from dcdnas.operators._norm import added, folded_bias, hooked
from dcdnas.operators._product import product, scaled
from dcdnas.operators.dcd._controller import Controller
from dcdnas.operators.dcd._init import kaiming_fan_out, published_start, static_start
from dcdnas.operators.dcd._plan import Plan, paper_latent, published_latent
from dcdnas.operators.dcd._residual import AllTaps, Depthwise, OneTap

__all__ = ["DCD", "DCDLinear"]


class DCD(Operator):
    """W(x) = Lambda(x) W0 + P Phi(x) Q^T; a small controller computes Lambda, in 0..2, and Phi from the pooled input.

    In a depthwise convolution the kernel is a C x k^2 matrix and the residual is P Phi(x) R^T. In a grouped convolution each
    group has its own residual. With a k x k kernel the residual acts on the centre tap (`one_hot`), or on all taps (`tensor`):
    W(x) = W0 x2 Lambda(x) + Phi(x) x1 Q x2 P x3 R.

    Args:
        *place: C, D, k and more, as in Conv2d.
        bias: as in Conv2d, not scaled by Lambda; in the variant `code` scaled by Lambda, as in the published classifier.
        latent_dim: L of each block. `auto` is the paper's C / 2^floor(log2 sqrt(C)) with C = min(C, D) / (g B), floored, at
            least 1; `half` and `double` scale that value; a number is limited to min(C, D) / (g B).
        num_blocks: B: P, Phi and Q are block-diagonal with B blocks per group; reduced to a divisor of C/g and D/g.
        channel_attention: whether Lambda is computed; otherwise it is 1.
        kernel_form: `one_hot` or `tensor`, for k > 1.
        reduction: r: the controller squeezes C features to C/r, at least 4.
        variant: `paper` is the formula above. `code` is the published layer: y = Lambda(x) W0 x + P [BN(Phi(x) z) + z] with
            z = BN(Q^T x), a self-gate in the controller, and L, pooling and squeezing given by `rule`.
        rule: the published layer that gives the variant `code` its L, pooling and squeezing: `pointwise` (MobileNetV2's 1x1),
            `bottleneck`, `basic` (ResNet's), `classifier`; `auto` is pointwise for 1x1 and basic otherwise.
        init: `static` initialises the operator as a static convolution (P and Lambda's head are zero); `published` as the
            published code does.

    Raises:
        GeometryError: for the variant `code` in a grouped convolution, because the published layer is dense.

    Departures: the paper writes the controller's activation of Lambda as a sigmoid-like gate, while its published code has
    hs(t) = relu6(t + 3) / 3; both variants use hs here. K is floor(k^2 / 2), at least 1. The grouped residual is not from the
    paper, nor is padding that changes the map's size, for which the tap k//2 is the centre. The published initialisation is not
    the default, because in short trainings it performs worse than the static convolution.
    """

    REFERENCE = Reference(
        "li2021revisiting",
        "Li, Yunsheng and Chen, Yinpeng and Dai, Xiyang and Liu, Mengchen and Chen, Dongdong and Yu, Ye and Yuan, Lu and Liu, "
        "Zicheng and Chen, Mei and Vasconcelos, Nuno",
        "Revisiting Dynamic Convolution via Matrix Decomposition", "ICLR", 2021, "2103.08756",
    )  # fmt: skip

    FORMS = ("activation", "fused", "kernel")
    PUBLISHED_FORM = "activation"

    latent_dim: int
    num_blocks: int
    channel_attention: bool
    kernel_form: str
    reduction: int
    variant: str
    rule: str
    shift: nn.Parameter | None

    def __init__(
        self,
        *place: Any,
        latent_dim: Annotated[int | str, Choice(words=("auto", "half", "double"), at_least=1)] = "auto",
        num_blocks: Annotated[int, Choice(at_least=1, power_of_two=True)] = 1,
        channel_attention: Annotated[bool, Choice()] = True,
        kernel_form: Annotated[str, Choice(words=("one_hot", "tensor"))] = "one_hot",
        reduction: Annotated[int, Choice(at_least=1)] = 16,
        variant: Annotated[str, Choice(words=("paper", "code"))] = "paper",
        rule: Annotated[str, Choice(words=("auto", "pointwise", "bottleneck", "basic", "classifier"))] = "auto",
        init: Init = "static",
        **others: Any,
    ) -> None:
        super().__init__(*place, **others)
        check_start(init)
        self._keep(
            latent_dim=latent_dim,
            num_blocks=num_blocks,
            channel_attention=channel_attention,
            kernel_form=kernel_form,
            reduction=reduction,
            variant=variant,
            rule=rule,
        )
        plan = Plan.of(self.geometry, self._settings())
        self.weight = self._fresh_kernel()
        kaiming_fan_out(self.weight, self.groups)
        self.bias = self._fresh_bias()
        self.register_parameter("shift", None)
        self.residual: OneTap | AllTaps | Depthwise = _residual(plan, self.padding[0])
        self.controller = Controller(plan)
        if init == "static":
            static_start(self.residual, self.controller)
        else:
            published_start(self.residual, self.controller, self.rule)

    @classmethod
    def resolve(cls, geometry: ConvGeometry, **settings: Setting) -> dict[str, Setting]:
        """Makes L a number and B a divisor of the channels; sets settings that this geometry cannot use to one fixed value."""
        s, g = super().resolve(geometry, **settings), geometry
        code = s["variant"] == "code"
        if code and g.groups > 1:
            raise GeometryError(
                f"dcd with variant code at {g}: the published layer is dense, and groups is {g.groups}. "
                "Allowed: groups 1. Use variant paper in grouped and depthwise places."
            )
        if code or g.depthwise:
            s["num_blocks"] = 1
        if code or g.depthwise or g.kernel_size == 1:
            s["kernel_form"] = "one_hot"
        s["num_blocks"] = math.gcd(int(s["num_blocks"]), g.in_channels // g.groups, g.out_channels // g.groups)
        if not code:
            s["rule"] = "auto"
        elif s["rule"] == "auto":
            s["rule"] = "pointwise" if g.kernel_size == 1 else "basic"
        if s["rule"] == "classifier":
            s["reduction"] = dimensions(cls)["reduction"].default  # the width of the classifier's controller is fixed
        s["latent_dim"] = _latent(g, s)
        return s

    @classmethod
    def built(cls, geometry: ConvGeometry, settings: Mapping[str, Setting]) -> dict[str, Setting]:
        """The sizes of `Plan`, which describe the layer regardless of the rule that gave them."""
        return {f.name: getattr(Plan.of(geometry, settings), f.name) for f in fields(Plan) if f.name != "geometry"}

    @classmethod
    def forms(cls, geometry: ConvGeometry, settings: Mapping[str, Setting]) -> tuple[str, ...]:
        """Names of the useful forms: depthwise, all but ``kernel`` exceed two convolutions; with all taps, fusing is costly."""
        if geometry.depthwise:
            return ("kernel",)
        return ("activation", "kernel") if settings["kernel_form"] == "tensor" else cls.FORMS

    @classmethod
    def multiply_adds(cls, geometry: ConvGeometry, settings: Mapping[str, Setting], form: str = "") -> int:
        """Multiply-adds of a form; see `Plan.multiply_adds`."""
        return Plan.of(geometry, settings).multiply_adds(form)

    @classmethod
    def controlling(cls, geometry: ConvGeometry, settings: Mapping[str, Setting]) -> int:
        """Multiply-adds of the controller; see `Plan.controller`."""
        return Plan.of(geometry, settings).controller

    @classmethod
    def training_forms(cls, geometry: ConvGeometry, settings: Mapping[str, Setting]) -> tuple[str, ...]:
        """All forms can train; with BatchNorms only those that compute their statistics."""
        return ("activation", "kernel") if settings["variant"] == "code" else cls.forms(geometry, settings)

    @classmethod
    def traffic(cls, geometry: ConvGeometry, settings: Mapping[str, Setting], form: str) -> int:
        """Elements that a form writes; see `Plan.traffic`."""
        return Plan.of(geometry, settings).traffic(form)

    @classmethod
    def executed_form(cls, geometry: ConvGeometry, settings: Mapping[str, Setting], training: bool = False) -> str:
        """Name of the fastest form; with BatchNorms the statistics add to the cost of training in the form ``kernel``."""
        if training and settings["variant"] == "code":
            return "kernel" if Plan.of(geometry, settings).trains_by_kernels else "activation"
        return super().executed_form(geometry, settings, training)

    @classmethod
    def classifier(cls, geometry: ConvGeometry, form: str = "", **settings: Setting) -> DCDLinear:
        """Builds a `DCDLinear`, by default with the published settings."""
        resolved: dict[str, Any] = cls.resolve(geometry, **{"variant": "code", "rule": "classifier", **settings})
        head = DCDLinear(geometry.in_channels, geometry.out_channels, 1, bias=True, **resolved)
        head._counted = cls.checked_form(geometry, resolved, form)
        return head

    @torch.no_grad()
    def deploy(self) -> None:
        """Merges the controller's heads, and folds the published layer's two BatchNorms into Q, these heads and the bias."""
        rows = self.residual.rows
        self.controller.deploy(rows)
        constant = self.residual.deploy() if isinstance(self.residual, OneTap) else None
        if constant is not None:
            self.shift = nn.Parameter(constant if self.shift is None else self.shift + constant)

    def _start_as(self, kernel: Tensor, bias: Tensor | None) -> None:
        """Copies the kernel to W0, because the residual of a fresh operator is 0 and its Lambda is 1."""
        self.weight.copy_(kernel)
        self._start_bias(bias)

    def _fold(self, scale: Tensor, shift: Tensor) -> bool:
        """Folds into W0, P and the bias; if Lambda scales the bias, the shift is kept separately."""
        for rows in (self.weight, self.residual.p):
            rows.mul_(scale.view(-1, *[1] * (rows.dim() - 1)))
        if self.variant == "paper":
            self.bias = folded_bias(self.bias, scale, shift)
            return True
        if self.bias is not None:
            self.bias.mul_(scale)
        self.shift = folded_bias(self.shift, scale, shift)
        return True

    def forward(self, x: Tensor, guide: Tensor | None = None) -> Tensor:
        """Convolves (N, C, H, W) -> (N, D, H', W')."""
        layer = self._decomposed()
        parameters = [] if layer is None else self._in_order()
        if layer is not None and decomposed_fits(x, layer, parameters):
            return decomposed(x, layer, parameters)
        form = self._form(x)
        scale, phi = self.controller(x, None if form == "activation" or self.training else self.residual.rows)
        scale, phi = None if scale is None else self._seen("Lambda", scale), self._seen("Phi", phi)
        inside: Tensor | None
        inside, outside = (self.bias, self.shift) if self.variant == "code" else (None, self.bias)
        if form == "kernel":
            static = self.weight.unsqueeze(0) if scale is None else product(self.weight, scale[:, :, None, None, None])
            kernel, shift = self.residual.kernels(x, phi, static)
            inside = inside if inside is None or scale is None else product(inside, scale)
            bias = added(added(shift, outside), inside)
            return self._convolve_each(x, kernel, bias)
        y = self._convolve(x, self.weight, inside)
        residual = self._acted(x, phi, form, outside)
        return residual + y if scale is None else scaled(y, scale[:, :, None, None], residual)

    def _decomposed(self) -> Decomposed | None:
        """The layer's description for the compiled training function; None if that does not support it, or hooks observe it."""
        g, residual = self.geometry, self.residual
        if not self.training or torch.compiler.is_compiling() or self.training_form or type(self) is not DCD:
            return None
        if self.bias is not None or self.shift is not None or self.observer is not None:
            return None
        if g.dilation > 1 or not self.controller.is_plain() or hooked(residual):
            return None
        if not g.depthwise and (g.kernel_size > 1 or g.groups > 1 or residual.plan.blocks > 1):
            return None
        return Decomposed(Place(g.out_channels, g.kernel_size, g.stride, self.padding[0], g.depthwise), self._plain)

    def _plain(self, x: Tensor, *parameters: Tensor) -> Tensor:
        return self._in_torch(x, self._in_order(), parameters)

    def _in_order(self) -> list[Tensor]:
        """The parameters in the order that `decomposed` expects."""
        residual = self.residual
        other = residual.r if isinstance(residual, Depthwise) else residual.q
        return [*self.controller.weights, self.weight, residual.p, other]

    def _acted(self, x: Tensor, phi: Tensor, form: str, after: Tensor | None) -> Tensor:
        y: Tensor
        if isinstance(self.residual, OneTap) and form == "fused":
            y = self.residual.fused(x, phi, after)
        else:
            y = self.residual(x, phi, after, self.portable)
        return y


class DCDLinear(DCD):
    """y = Lambda(x) (W0 x + b) + P [BN(Phi(x) z) + z] with z = BN(Q^T x), on vectors: a 1x1 DCD on a map of one pixel.

    It is the classifier of the published networks; `DCD.classifier` builds it with their settings.

    Reference: see `DCD`.
    """

    AXES = 2

    def forward(self, x: Tensor, guide: Tensor | None = None) -> Tensor:
        """Maps (N, C) -> (N, D)."""
        return super().forward(x[:, :, None, None], guide).flatten(1)


def _residual(plan: Plan, padding: int) -> OneTap | AllTaps | Depthwise:
    if plan.geometry.depthwise:
        return Depthwise(plan)
    return AllTaps(plan, padding) if plan.tensor else OneTap(plan, padding)


def _latent(g: ConvGeometry, settings: Mapping[str, Setting]) -> int:
    """Returns L: the rule's value or the requested one, limited to the block's channels (or the rule's value if larger)."""
    asked, c, d = settings["latent_dim"], g.in_channels, g.out_channels
    channels = min(c, d) // (1 if g.depthwise else g.groups * int(settings["num_blocks"]))
    code = settings["variant"] == "code"
    auto = published_latent(str(settings["rule"]), c, d) if code else paper_latent(channels)
    words = {"auto": auto, "half": max(1, auto // 2), "double": 2 * auto}
    number = words[asked] if isinstance(asked, str) else int(asked)
    return min(number, max(channels, auto))
