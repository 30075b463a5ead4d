"""The contract of an operator: a drop-in for `torch.nn.Conv2d` whose kernel may depend on the input.

Letters in shapes: N batch, C input channels, D output channels, H W map, k kernel size.
"""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn
from torch.func import functional_call

from dcdnas.core.dimension import dimensions
from dcdnas.core.geometry import ConvGeometry, Setting
from dcdnas.core.reference import Reference
from dcdnas.errors import GeometryError, UsageError
from dcdnas.operators._arguments import shown
from dcdnas.operators._from_conv import arguments_of, plain_conv
from dcdnas.operators._guide import Guide
from dcdnas.operators._like_conv2d import LikeConv2d
from dcdnas.operators._product import is_counting


class Operator(LikeConv2d, ABC):
    """Base of every candidate convolution.

    One set of parameters, several *forms* of the same function. *Counted* and exported is the one with the fewest
    multiply-adds at batch 1, decided from the geometry alone. *Executed* is the one expected to be fastest on the map at hand,
    where writing memory counts too; that never changes what is counted.

    A subclass declares its search dimensions as keyword arguments annotated with `Choice`, keeps each resolved setting as an
    attribute of its own name, and overrides `resolve` (which settings a geometry allows), `multiply_adds` and `forward`; with
    more than one form also `FORMS`, `forms` where a geometry has fewer of them, and `traffic`; `training_forms` where more
    than the first can train; `_fold` where a BatchNorm can go into the parameters; `_start_as` where it can begin as a given
    convolution.
    """

    FORMS: ClassVar[tuple[str, ...]] = ("",)
    """Names of the equal forms; the first can train. ``("",)`` when there is one only."""

    PUBLISHED_FORM: ClassVar[str | None] = None
    """The form in which the operator's published code computes it; None where that is not known. Not inherited."""

    REFERENCE: ClassVar[Reference | None] = None
    """The paper that it comes from; None where it has none. Not inherited."""

    SHARES: ClassVar[tuple[str, ...]] = ()
    """Names of settings that say what a layer shares with others; they follow from the network, and no space file says them."""

    BALANCE: ClassVar[int] = 50
    """Multiply-adds in the time of writing one element: 20 to 100 on the CPUs it was measured on."""

    training_form: str = ""
    """Runs in training when given, instead of the one expected to be fastest."""

    def __init__(self, *place: Any, **others: Any) -> None:
        super().__init__(*place, **others)
        self._counted, self._pinned = "", False
        self._names = tuple(dimensions(type(self)))
        self._fastest: dict[tuple[bool, int, int], str] = {}

    @property
    def form(self) -> str:
        """Name of the counted form; ``""`` leaves it to the map at hand. Setting it makes eval execute that form, too."""
        return self._counted

    @form.setter
    def form(self, name: str) -> None:
        self._counted, self._pinned = name, True

    @classmethod
    def at(cls, geometry: ConvGeometry, form: str = "", guide_channels: int = 0, **settings: Setting) -> Self:
        """The operator for a place of a network: same padding, no bias, and the counted form of that place.

        Args:
            geometry: of the place.
            form: the counted form when it is already known; otherwise it is decided from `geometry`.
            guide_channels: of its block's guide; 0 when it makes its own.
            **settings: of the operator; resolved for the geometry.

        Raises:
            GeometryError: when it cannot fill the place, or takes no guide.
        """
        resolved = cls.resolve(geometry, **settings)
        form, g = cls.checked_form(geometry, resolved, form), geometry
        arguments: dict[str, Any] = {name: getattr(g, name) for name in ("stride", "padding", "dilation", "groups")} | resolved
        if guide_channels:
            cls.guided_multiply_adds(geometry, resolved, form, guide_channels)
            arguments["guide_channels"] = guide_channels
        operator = cls(g.in_channels, g.out_channels, g.kernel_size, **arguments)
        operator._counted = form
        return operator

    @classmethod
    def from_conv(cls, conv: nn.Module, **settings: Any) -> Self:
        """The operator that computes what a convolution computes, until it is trained.

        What depends on the input starts constant, and the kernels are made of the convolution's; those of a mixture differ by
        deviations that cancel, so that each gets a gradient of its own. It has the convolution's device, dtype and mode.

        Args:
            conv: a Conv2d with a square kernel, equal strides, dilations and paddings, and zeros as padding.
            **settings: of the operator, as its constructor takes them.

        Raises:
            GeometryError: when the operator cannot take the convolution's place, or does not say how (`_start_as`).
            UsageError: for a setting that it does not have.
        """
        given = plain_conv(conv)
        place = arguments_of(given)
        known = [name for name in inspect.signature(cls).parameters if name not in (*place, "init", "guide_channels")]
        unknown = next((name for name in settings if name not in known), None)
        if unknown is not None:
            raise UsageError(f"{cls.__name__} has no setting {unknown!r} here. Known: {', '.join(known) or 'none'}.")
        operator = cls(**place, **settings).to(given.weight.device, given.weight.dtype)
        operator.start_as(given.weight, given.bias)
        return operator.train(given.training)

    @torch.no_grad()
    def start_as(self, kernel: Tensor, bias: Tensor | None = None) -> None:
        """Makes a fresh operator compute what a convolution computes, as `from_conv` does it, in its place.

        Args:
            kernel: of the convolution, (D, C/g, k, k).
            bias: of the convolution, (D,).

        Raises:
            GeometryError: when it cannot, or does not say how (`_start_as`).
        """
        starts, computes = (next(c for c in type(self).__mro__ if name in vars(c)) for name in ("_start_as", "forward"))
        if starts is Operator or not issubclass(starts, computes):
            raise GeometryError(f"{type(self).__name__} does not say how it begins as a given convolution. Use another operator.")
        self._start_as(kernel, bias)

    def _start_as(self, kernel: Tensor, bias: Tensor | None) -> None:
        """Becomes the convolution with this kernel (D, C/g, k, k) and bias (D,); called once, on a fresh operator.

        Raises:
            GeometryError: when it cannot.
        """

    def continues(self, other: Operator) -> bool:
        """Whether what the same operator has learned in another place or size has its meaning here, first entries first."""
        return self.geometry.kernel_size == other.geometry.kernel_size

    def _start_bias(self, bias: Tensor | None, share: float = 1.0) -> None:
        """The given bias (D,), or a share of it, in place of the layer's own, which may be one a kernel."""
        own = self.get_parameter("bias") if bias is not None else None
        if own is not None and bias is not None:
            own.copy_((share * bias).expand_as(own))

    @classmethod
    def checked_form(cls, geometry: ConvGeometry, settings: Mapping[str, Setting], form: str) -> str:
        """The form that was asked for, or the counted one when none was.

        Raises:
            GeometryError: when the operator has no such form here.
        """
        if form and form not in cls.forms(geometry, settings):
            allowed = ", ".join(filter(None, cls.forms(geometry, settings))) or "none but the only one"
            raise GeometryError(f"{cls.__name__} at {geometry} has no form {form!r}. Allowed: {allowed}.")
        return form or cls.counted_form(geometry, settings)

    @classmethod
    def classifier(cls, geometry: ConvGeometry, form: str = "", **settings: Setting) -> nn.Module:
        """The operator's form for a network's last, linear layer: (N, C) -> (N, D).

        Raises:
            GeometryError: when it has none.
        """
        raise GeometryError(f"{cls.__name__} has no form for a linear classifier. Leave the classifier static.")

    @classmethod
    def resolve(cls, geometry: ConvGeometry, **settings: Setting) -> dict[str, Setting]:
        """All settings as this geometry uses them: words replaced by numbers, numbers by the nearest legal one below.

        Resolving what is resolved changes nothing.

        Raises:
            GeometryError: when no value can make the operator fit.
            UsageError: when a value is never legal, or the operator has no such setting.
        """
        known = dimensions(cls)
        unknown = set(settings) - set(known)
        if unknown:
            raise GeometryError(f"{cls.__name__} has no setting {sorted(unknown)[0]!r}. Known: {', '.join(known) or 'none'}.")
        for name, value in settings.items():
            known[name].check(value)
        return {name: settings.get(name, dimension.default) for name, dimension in known.items()}

    @classmethod
    def built(cls, geometry: ConvGeometry, settings: Mapping[str, Setting]) -> dict[str, Setting]:
        """What resolved settings come to at a geometry: equal exactly when the layers are.

        The settings themselves, unless an operator says that different ones build the same layer, for example because a
        fraction of the channels is rounded.
        """
        return dict(settings)

    @classmethod
    def forms(cls, geometry: ConvGeometry, settings: Mapping[str, Setting]) -> tuple[str, ...]:
        """Names of the equal forms that exist at this geometry, the training form first."""
        return cls.FORMS

    @classmethod
    @abstractmethod
    def multiply_adds(cls, geometry: ConvGeometry, settings: Mapping[str, Setting], form: str = "") -> int:
        """Multiply-adds of a form at batch 1 on this geometry's map, in closed form.

        Args:
            geometry: of the place.
            settings: resolved for it.
            form: one of `forms`.
        """

    @classmethod
    def guided_multiply_adds(cls, geometry: ConvGeometry, settings: Mapping[str, Setting], form: str, guide_channels: int) -> int:
        """As `multiply_adds`, where the first layer of the block makes the guide; what that costs is the first layer's.

        Raises:
            GeometryError: when the operator takes no guide, or not one of so many channels.
        """
        raise GeometryError(f"{cls.__name__} takes no guide in a network. Leave guide_channels out.")

    @classmethod
    def convolving(cls, geometry: ConvGeometry, settings: Mapping[str, Setting]) -> int:
        """Multiply-adds of the layer with all that depends on the input held constant: those of one kernel, H'W' D C/g k^2."""
        return geometry.out_pixels * geometry.weights

    @classmethod
    def controlling(cls, geometry: ConvGeometry, settings: Mapping[str, Setting]) -> int:
        """Multiply-adds of the layers that compute attentions, filters or masks, the same in all forms, in closed form.

        An operator without this is measured: whatever its submodules compute counts.
        """
        raise NotImplementedError(cls.__name__)

    @classmethod
    def guide(cls, channels: int, settings: Mapping[str, Setting]) -> Guide:
        """The module that makes a guide for all layers of a block from the block's input.

        Args:
            channels: of the block's input.
            settings: resolved, of those layers.

        Raises:
            GeometryError: when the operator takes no guide.
        """
        raise GeometryError(f"{cls.__name__} takes no guide from its block. Leave guide_channels out.")

    def guide_from(self, x: Tensor) -> Tensor:
        """The layer's own guide, computed from its input (N, C, H, W), which `forward` takes as well.

        Raises:
            GeometryError: when the operator has none to share.
        """
        raise GeometryError(f"{type(self).__name__} has no guide that other layers could take.")

    @classmethod
    def counted_form(cls, geometry: ConvGeometry, settings: Mapping[str, Setting]) -> str:
        """Name of the form with the fewest multiply-adds at batch 1 on this geometry's map; of equals the first."""
        forms = cls.forms(geometry, settings)
        return _least(forms, lambda form: cls.multiply_adds(geometry, settings, form))

    @classmethod
    def training_forms(cls, geometry: ConvGeometry, settings: Mapping[str, Setting]) -> tuple[str, ...]:
        """Names of the forms that can train: that give the gradients, and BatchNorms their statistics."""
        return cls.forms(geometry, settings)[:1]

    @classmethod
    def traffic(cls, geometry: ConvGeometry, settings: Mapping[str, Setting], form: str) -> int:
        """Elements that a form writes for each sample, besides what all forms write."""
        return 0

    @classmethod
    def executed_form(cls, geometry: ConvGeometry, settings: Mapping[str, Setting], training: bool = False) -> str:
        """Name of the form that is expected to be fastest on this geometry's map, at any batch size."""
        forms = cls.training_forms(geometry, settings) if training else cls.forms(geometry, settings)

        def effort(form: str) -> int:
            return cls.multiply_adds(geometry, settings, form) + cls.BALANCE * cls.traffic(geometry, settings, form)

        return _least(forms, effort)

    def anneal(self, progress: float) -> None:
        """Told by the trainer how much of the annealing is done, 0-1. Operators without a temperature ignore it."""

    @classmethod
    def sharing(cls, geometries: Sequence[ConvGeometry], settings: Mapping[str, Setting]) -> list[dict[str, Setting]]:
        """The settings of several layers that have their weights in common, `SHARES` among them.

        Args:
            geometries: of the layers, in the order of computation; the first one holds the weights.
            settings: of all of them, before they are resolved.

        Raises:
            GeometryError: when the operator shares nothing, or the layers do not fit together.
        """
        raise GeometryError(f"{cls.__name__} has nothing that layers share. Leave share out.")

    def borrow(self, lender: Operator) -> None:
        """Takes what several layers share from the one that has it, where a setting ``shared_with`` names that one.

        Raises:
            GeometryError: when the operator shares nothing, or that layer has nothing that fits.
        """
        raise GeometryError(f"{type(self).__name__} has nothing that layers share. Leave shared_with out.")

    def deploy(self) -> None:
        """Computes once, in place, what eval computes of parameters alone; afterwards the operator is for inference only."""

    @torch.no_grad()
    def fold(self, scale: Tensor, shift: Tensor) -> bool:
        """Becomes ``scale * y + shift`` in place, which is what a BatchNorm after it does in eval.

        A subclass says how in `_fold`. One that changes `forward` and not `_fold` is left alone, because it may do more to the
        output than its base.

        Args:
            scale: (D,).
            shift: (D,).

        Returns:
            Whether the operator could; if not, it is as before.
        """
        folds, computes = (next(c for c in type(self).__mro__ if name in vars(c)) for name in ("_fold", "forward"))
        return issubclass(folds, computes) and self._fold(scale, shift)

    def _fold(self, scale: Tensor, shift: Tensor) -> bool:
        """See `fold`."""
        return False

    @abstractmethod
    def forward(self, x: Tensor, guide: Tensor | None = None) -> Tensor:
        """Maps (N, C, H, W) to (N, D, H', W') exactly as the Conv2d of the same arguments would."""

    def _in_torch(self, x: Tensor, own: Sequence[Tensor], given: Sequence[Tensor]) -> Tensor:
        """What it computes in training in torch's operations, with other parameters and with statistics that are thrown away.

        Args:
            x: (N, C, H, W).
            own: of its parameters, which others take the places of.
            given: those others.
        """
        names = {id(parameter): name for name, parameter in self.named_parameters()}
        taken = {names[id(parameter)]: other for parameter, other in zip(own, given, strict=True)}
        taken |= {name: buffer.clone() for name, buffer in self.named_buffers()}
        self.training_form = self._executed(x)
        try:
            y: Tensor = functional_call(self, taken, (x,))
        finally:
            del self.training_form
        return y

    def _keep(self, **settings: Setting) -> None:
        """Resolves the settings and keeps each as an attribute of its own name."""
        for name, value in self.resolve(self.geometry, **settings).items():
            setattr(self, name, value)

    def _form(self, x: Tensor) -> str:
        """The form to run: the fastest; where it is counted, exported or was set by hand, the counted one."""
        if self.training:
            return self.training_form or self._executed(x)
        if self._pinned or self.portable or is_counting():
            return self._counted or self.counted_form(self._at_map(x), self._settings())
        return self._executed(x)

    def prefer(self, form: str, height: int, width: int) -> None:
        """Executes this form in eval on maps of that size, whatever the rule says; counted and exported is what was before.

        Raises:
            GeometryError: when the operator has no such form there.
        """
        at = replace(self.geometry, height=height, width=width)
        self._fastest[False, height, width] = self.checked_form(at, self._settings(), form)

    def _executed(self, x: Tensor) -> str:
        key = (self.training, int(x.shape[-2]), int(x.shape[-1]))
        if key not in self._fastest:
            self._fastest[key] = self.executed_form(self._at_map(x), self._settings(), self.training)
        return self._fastest[key]

    def _at_map(self, x: Tensor) -> ConvGeometry:
        g = self.geometry
        height, width = int(x.shape[-2]), int(x.shape[-1])
        return ConvGeometry(g.in_channels, g.out_channels, g.kernel_size, g.stride, g.groups, g.dilation, height, width)

    def _settings(self) -> dict[str, Setting]:
        """The resolved settings, each kept as an attribute of its own name."""
        return {name: getattr(self, name) for name in self._names}

    def extra_repr(self) -> str:
        """The arguments, so that a printed network shows what each layer is."""
        return shown(self.geometry, self.padding[0], self.has_bias, self._settings())


def _least(forms: tuple[str, ...], effort: Callable[[str], int]) -> str:
    """The form of the least effort, of equals the first; a loop, because compilers do not read `min` with a key."""
    best = forms[0]
    for form in forms[1:]:
        if effort(form) < effort(best):
            best = form
    return best
