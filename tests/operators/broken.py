"""An operator that keeps the contract, and others that each break it in one place, for the test of the contract itself."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Annotated, Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dcdnas.core.dimension import Choice
from dcdnas.core.geometry import ConvGeometry, Setting
from dcdnas.errors import GeometryError
from dcdnas.operators import operators
from dcdnas.operators._product import is_counting, product

Static = operators["static"]


class Sound(Static):
    """y = s(x) (W * x) = W * (s(x) x), with one scale s = 1 + tanh(F mean(x) / T) / divisor per sample."""

    FORMS = ("after", "before")

    def __init__(self, *args: Any, divisor: Annotated[int, Choice(at_least=1, at_most=4)] = 1, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._keep(divisor=divisor)
        self.fc = nn.Linear(self.geometry.in_channels, 1)
        nn.init.zeros_(self.fc.weight)
        nn.init.zeros_(self.fc.bias)
        self.register_buffer("temperature", torch.tensor(2.0))
        self.start()

    def start(self) -> None:
        """Hook for what a subclass does at the end of its construction."""

    @classmethod
    def training_forms(cls, geometry: ConvGeometry, settings: Mapping[str, Setting]) -> tuple[str, ...]:
        return cls.FORMS

    @classmethod
    def multiply_adds(cls, geometry: ConvGeometry, settings: Mapping[str, Setting], form: str = "") -> int:
        g = geometry
        gated = g.in_channels * g.height * g.width if form == "before" else g.out_channels * g.out_pixels
        return g.out_pixels * g.weights + g.in_channels + gated

    def anneal(self, progress: float) -> None:
        self.temperature.fill_(2 - progress)

    def scale(self, x: Tensor) -> Tensor:
        return 1 + (self.fc(x.mean((2, 3))) / self.temperature).tanh()[:, :, None, None] / self.divisor

    def forward(self, x: Tensor, guide: Tensor | None = None) -> Tensor:
        g, scale, before = self.geometry, self.scale(x), self._form(x) == "before"
        y = F.conv2d(product(x, scale) if before else x, self.weight, None, g.stride, self.padding, g.dilation, g.groups)
        y = y if before else product(y, scale)
        return y if self.bias is None else y + self.bias[:, None, None]


class Cropped(Sound):
    def forward(self, x: Tensor, guide: Tensor | None = None) -> Tensor:
        return super().forward(x)[:, :, :-1]


class SeesTheBatch(Sound):
    def forward(self, x: Tensor, guide: Tensor | None = None) -> Tensor:
        return super().forward(x) + 1e-6 * x.mean()


class UnequalForms(Sound):
    def forward(self, x: Tensor, guide: Tensor | None = None) -> Tensor:
        return super().forward(x) + (1e-6 if self._form(x) == "after" else 0)


class UnequalWhenPortable(Sound):
    def forward(self, x: Tensor, guide: Tensor | None = None) -> Tensor:
        return super().forward(x) + (1e-6 if self.portable else 0)


class ImpreciseInSingle(Sound):
    def forward(self, x: Tensor, guide: Tensor | None = None) -> Tensor:
        return super().forward(x) * (1.001 if x.dtype == torch.float32 else 1)


class OtherWithoutGradients(Sound):
    def forward(self, x: Tensor, guide: Tensor | None = None) -> Tensor:
        return super().forward(x) + (0 if torch.is_grad_enabled() else 1e-6)


class WritesToItsInput(Sound):
    def forward(self, x: Tensor, guide: Tensor | None = None) -> Tensor:
        y = super().forward(x)
        if not torch.is_grad_enabled():
            x.relu_()
        return y


class WritesToItsState(Sound):
    def forward(self, x: Tensor, guide: Tensor | None = None) -> Tensor:
        y = super().forward(x)
        if not torch.is_grad_enabled():
            self.fc.bias.add_(1e-12)
        return y


class UnequalTrainingForms(Sound):
    def forward(self, x: Tensor, guide: Tensor | None = None) -> Tensor:
        return super().forward(x) + (1e-6 if self.training and self._form(x) == "before" else 0)


class UnequalGradients(Sound):
    def scale(self, x: Tensor) -> Tensor:
        scale = super().scale(x)
        return scale.detach() if self.training and self._form(x) == "before" else scale


class ExecutesNoForm(Sound):
    @classmethod
    def executed_form(cls, geometry: ConvGeometry, settings: Mapping[str, Setting], training: bool = False) -> str:
        return "beside"


class CountsAsExecuted(Sound):
    def forward(self, x: Tensor, guide: Tensor | None = None) -> Tensor:
        if not is_counting():
            self._counted = "after" if self._counted == "before" else "before"
        return super().forward(x)


class IdleParameter(Sound):
    def start(self) -> None:
        self.idle = nn.Parameter(torch.zeros(1))


class GradientOfZerosRoot(IdleParameter):
    def forward(self, x: Tensor, guide: Tensor | None = None) -> Tensor:
        return super().forward(x) + (0 * self.idle).sqrt()


class StartsAtInfinity(Sound):
    def start(self) -> None:
        nn.init.constant_(self.weight, float("inf"))


class TemperatureNotSaved(Sound):
    def anneal(self, progress: float) -> None:
        self.temperature = torch.tensor(2 - progress)

    def start(self) -> None:
        del self.temperature
        self.temperature = torch.tensor(2.0)


class CopiesAnother(Sound):
    def __deepcopy__(self, memo: Any) -> Any:
        return type(self).at(self.geometry).double().eval()


class PicklesAnother(Sound):
    def __deepcopy__(self, memo: Any) -> Any:
        other = type(self).__new__(type(self))
        other.__dict__ = copy.deepcopy(self.__dict__, memo)
        return other

    def __setstate__(self, state: Any) -> None:
        super().__setstate__(state)
        with torch.no_grad():
            self.weight.add_(1)


class CountsOneTooMany(Sound):
    @classmethod
    def multiply_adds(cls, geometry: ConvGeometry, settings: Mapping[str, Setting], form: str = "") -> int:
        return super().multiply_adds(geometry, settings, form) + 1


class CountsOneTooFew(Sound):
    @classmethod
    def multiply_adds(cls, geometry: ConvGeometry, settings: Mapping[str, Setting], form: str = "") -> int:
        return super().multiply_adds(geometry, settings, form) - 1


class CountsTheDearest(Sound):
    @classmethod
    def counted_form(cls, geometry: ConvGeometry, settings: Mapping[str, Setting]) -> str:
        return max(cls.FORMS, key=lambda form: cls.multiply_adds(geometry, settings, form))


class OtherInChannelsLast(Sound):
    def forward(self, x: Tensor, guide: Tensor | None = None) -> Tensor:
        return super().forward(x) + (0 if x.is_contiguous() else 1e-6)


class FarOffInHalf(Sound):
    def forward(self, x: Tensor, guide: Tensor | None = None) -> Tensor:
        return super().forward(x) * (1.2 if torch.is_autocast_enabled("cpu") else 1)


class OverflowsInHalf(Sound):
    def forward(self, x: Tensor, guide: Tensor | None = None) -> Tensor:
        return super().forward(x) * (float("inf") if torch.is_autocast_enabled("cpu") else 1)


class NoGradientInHalf(GradientOfZerosRoot):
    def forward(self, x: Tensor, guide: Tensor | None = None) -> Tensor:
        return super().forward(x) if torch.is_autocast_enabled("cpu") else Sound.forward(self, x)


class NothingMakesOne(Sound):
    def forward(self, x: Tensor, guide: Tensor | None = None) -> Tensor:
        return super().forward(x if len(x) else x.new_zeros(1, *x.shape[1:]))


class NotFiniteWhenPortable(Sound):
    def forward(self, x: Tensor, guide: Tensor | None = None) -> Tensor:
        return super().forward(x) / (0 if self.portable and len(x) == 1 else 1)


class TracesItsBatch(Sound):
    def forward(self, x: Tensor, guide: Tensor | None = None) -> Tensor:
        return torch.cat([super(TracesItsBatch, self).forward(x[i : i + 1]) for i in range(len(x))])


class ResolvesOnAndOn(Sound):
    @classmethod
    def resolve(cls, geometry: ConvGeometry, **settings: Setting) -> dict[str, Setting]:
        return {"divisor": min(4, 2 * int(super().resolve(geometry, **settings)["divisor"]))}


class BuildsOtherSettings(Sound):
    def _settings(self) -> dict[str, Setting]:
        return {"divisor": 5}


class RefusesCurtly(Sound):
    @classmethod
    def resolve(cls, geometry: ConvGeometry, **settings: Setting) -> dict[str, Setting]:
        if geometry.groups > 1:
            raise GeometryError("No.")
        return super().resolve(geometry, **settings)


class RefusesInHalfASentence(Sound):
    @classmethod
    def resolve(cls, geometry: ConvGeometry, **settings: Setting) -> dict[str, Setting]:
        if geometry.groups > 1:
            raise GeometryError("this operator cannot be told to work in")
        return super().resolve(geometry, **settings)


class RefusesEverything(Sound):
    @classmethod
    def resolve(cls, geometry: ConvGeometry, **settings: Setting) -> dict[str, Setting]:
        raise GeometryError("This operator cannot fill any place. Leave it out.")


class TakesAnySetting(Sound):
    @classmethod
    def resolve(cls, geometry: ConvGeometry, **settings: Setting) -> dict[str, Setting]:
        return super().resolve(geometry, **{name: value for name, value in settings.items() if name == "divisor"})


class TakesAnyForm(Sound):
    @classmethod
    def checked_form(cls, geometry: ConvGeometry, settings: Mapping[str, Setting], form: str) -> str:
        return form or cls.counted_form(geometry, settings)


class StartsThreefold(Sound):
    def start(self) -> None:
        with torch.no_grad():
            self.weight.mul_(3)


class WrongGradient(Sound):
    def scale(self, x: Tensor) -> Tensor:
        return super().scale(x).detach()
