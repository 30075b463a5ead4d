"""Dynamic activations: each channel's activation is the maximum of two functions whose coefficients depend on the input.

Letters: N batch, C channels, H W map, s squeezed channels. Two linear layers, C -> s -> 4 C, compute the coefficients from the
means of the map. The second layer is initialised to zero, where both activations are a ReLU, so a fresh network computes what the
one with ReLUs does.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dcdnas.core.breakdown import Parts
from dcdnas.core.reference import Reference
from dcdnas.kernels import dynamic_activation, dynamic_activation_fits
from dcdnas.operators._pool import pooled
from dcdnas.operators._product import product
from dcdnas.operators._widths import reduced

REDUCTION, LEAST = 8, 4
"""C / s, and the least s."""

COEFFICIENTS = 4
"""Coefficients of each channel."""


class DynamicActivation(nn.Module):
    """Base class: y_c = max(a1_c x_c + b1_c z_c, a2_c x_c + b2_c z_c), where z_c is 1 or, if `SHIFTED`, x_{c+1}.

    A subclass computes the coefficients from the outputs of the linear layers, which are 0 at first.

    Args:
        channels: C.
        squeezed: s; by default `squeezed(channels)`.
    """

    SHIFTED: ClassVar[bool]
    """Whether z_c is the next channel's value, with c + 1 modulo C, instead of 1."""

    def __init__(self, channels: int, squeezed: int | None = None) -> None:
        super().__init__()
        squeezed = squeezed or self.squeezed(channels)
        self.reduce = nn.Linear(channels, squeezed)
        self.expand = nn.Linear(squeezed, COEFFICIENTS * channels)
        nn.init.zeros_(self.expand.weight)
        nn.init.zeros_(self.expand.bias)

    @staticmethod
    def squeezed(channels: int) -> int:
        """Returns max(4, floor(C / 8))."""
        return max(LEAST, reduced(channels, REDUCTION))

    @classmethod
    def parts(cls, channels: int, squeezed: int, pixels: int) -> Parts:
        """Returns the multiply-adds on a map of `pixels` at batch 1: products as dynamic part, linear layers as controller."""
        return Parts(0, (4 if cls.SHIFTED else 2) * channels * pixels, (1 + COEFFICIENTS) * channels * squeezed)

    @abstractmethod
    def coefficients(self, outputs: Tensor) -> Tensor:
        """Computes a1, b1, a2, b2 from the outputs of the linear layers, in any order of those: (N, 4, C) -> (4, N, C)."""

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C, H, W), or one image (C, H, W) -> (C, H, W)."""
        if x.dim() == 3:
            return self.forward(x[None])[0]
        outputs: Tensor = self.expand(F.relu(self.reduce(pooled(x))))
        coefficients = self.coefficients(torch.unflatten(outputs, 1, (COEFFICIENTS, -1)))
        if self.training and dynamic_activation_fits(x, coefficients):
            return dynamic_activation(x, coefficients, self.SHIFTED, self._larger)
        return self._larger(x, coefficients)

    def _larger(self, x: Tensor, coefficients: Tensor) -> Tensor:
        a1, b1, a2, b2 = coefficients[..., None, None].unbind()
        if not self.SHIFTED:
            return torch.maximum(product(x, a1) + b1, product(x, a2) + b2)
        shifted = torch.cat((x[:, 1:], x[:, :1]), 1)
        return torch.maximum(product(x, a1) + product(shifted, b1), product(x, a2) + product(shifted, b2))


class DyReLU(DynamicActivation):
    """y_c = max(a1_c x_c + b1_c, a2_c x_c + b2_c), with a = (1, 0) + (2 sigmoid(u) - 1) and b = (2 sigmoid(v) - 1) / 2.

    Reference: Chen, Dai, Liu, Chen, Yuan, Liu: Dynamic ReLU. ECCV 2020, arXiv:2003.10027, equations 1 to 3, variant B.

    Departures:
        The paper initialises the second linear layer at random. It squeezes to C / 8; here the least is 4.
    """

    REFERENCE = Reference(
        "chen2020dynamicrelu",
        "Chen, Yinpeng and Dai, Xiyang and Liu, Mengchen and Chen, Dongdong and Yuan, Lu and Liu, Zicheng",
        "Dynamic ReLU", "ECCV", 2020, "2003.10027",
    )  # fmt: skip

    SHIFTED = False
    SLOPES, SHIFTS = 1.0, 0.5
    """The largest deviations of a and b."""

    def coefficients(self, outputs: Tensor) -> Tensor:
        """The linear layers put out both slopes, then both shifts."""
        first, second, *shifts = (2 * torch.sigmoid(outputs) - 1).unbind(1)
        one, two = (self.SHIFTS * shift for shift in shifts)
        return torch.stack((1 + self.SLOPES * first, one, self.SLOPES * second, two))


class DyShiftMax(DynamicActivation):
    """y_c = max(a1_c x_c + b1_c x_{c+1}, a2_c x_c + b2_c x_{c+1}), with c + 1 modulo C.

    (a1, b1, a2, b2) = (1, 0, 0, 0) + 4 h(u) - 2, where h is the piecewise linear sigmoid; 4 h(u) - 2 is 2 u / 3, clamped to +-2.

    Reference: Li, Chen, Dai, Chen, Liu, Yuan, Liu, Zhang, Vasconcelos: MicroNet: Improving Image Recognition with Extremely Low
    FLOPs. ICCV 2021, arXiv:2108.05894, equation 3.

    Departures:
        MicroNet's convolutions are in groups, and its channels are shifted by a group and by one channel within it. Convolutions
        here have one group, for which the published module shifts by one channel. The paper initialises the second linear layer
        at random and squeezes to a multiple of 4.
    """

    REFERENCE = Reference(
        "li2021micronet",
        "Li, Yunsheng and Chen, Yinpeng and Dai, Xiyang and Chen, Dongdong and Liu, Mengchen and Yuan, Lu and Liu, Zicheng and "
        "Zhang, Lei and Vasconcelos, Nuno",
        "MicroNet: Improving Image Recognition with Extremely Low FLOPs", "ICCV", 2021, "2108.05894",
    )  # fmt: skip

    SHIFTED = True
    MOST = 2.0
    """The largest deviation of a coefficient."""

    def coefficients(self, outputs: Tensor) -> Tensor:
        """The linear layers put out a1, b1, a2, b2."""
        a1, *others = (self.MOST / 3 * outputs).clamp(-self.MOST, self.MOST).unbind(1)
        return torch.stack((1 + a1, *others))


dynamic_activations: Mapping[str, type[DynamicActivation]] = {"dyrelu": DyReLU, "dyshiftmax": DyShiftMax}
"""Dynamic activations by their names in a space file, which are also the kinds of their slots."""
