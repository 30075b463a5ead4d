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
from dcdnas.core.geometry import ConvGeometry, Setting, as_int
from dcdnas.core.reference import Reference
from dcdnas.errors import GeometryError, UsageError
from dcdnas.operators._arguments import shown
from dcdnas.operators._from_conv import arguments_of, plain_conv
from dcdnas.operators._guide import Guide
from dcdnas.operators._like_conv2d import LikeConv2d
from dcdnas.operators._norm import BatchNorm
from dcdnas.operators._product import is_counting

CONTROLLER_SPEED = 0.1
"""What a step of SGD on a controller with a learning rate of its own gains, compared with a step on the kernels."""


class Operator(LikeConv2d, ABC):
    """Base class of every candidate convolution.

    An operator has one set of parameters and may compute the same function in several *forms*. The *counted* form, which is
    also the exported one, has the fewest multiply-adds at batch 1; the geometry alone decides it. The *executed* form is the
    one expected to be fastest on the current map, where memory writes matter too; it never changes the count.

    A subclass declares its search dimensions as keyword arguments annotated with `Choice`, stores each resolved setting in an
    attribute of the same name, and overrides `resolve` (which settings a geometry allows), `multiply_adds` and `forward`. It
    also overrides `FORMS` and `traffic` if it has several forms, `forms` if some geometries have fewer of them,
    `training_forms` if more than the first form can train, `_fold` if a BatchNorm can be folded into its parameters, and
    `_start_as` if it can be initialised from a given convolution.
    """

    FORMS: ClassVar[tuple[str, ...]] = ("",)
    """Names of the equivalent forms, the first of which can train; ``("",)`` if there is only one."""

    PUBLISHED_FORM: ClassVar[str | None] = None
    """Name of the form that the operator's published code uses; None if unknown. Subclasses do not inherit it."""

    REFERENCE: ClassVar[Reference | None] = None
    """The paper that introduced the operator; None if there is none. Subclasses do not inherit it."""

    SHARES: ClassVar[tuple[str, ...]] = ()
    """Names of settings that describe what a layer shares with others. They follow from the network; no space file sets them."""

    ADDS_BIAS: ClassVar[bool] = False
    """Whether the layer's own bias is added to the output of its convolutions, instead of being part of one of them."""

    BALANCE: ClassVar[int] = 50
    """Number of multiply-adds that take as long as writing one element: 20 to 100 on the CPUs measured."""

    training_form: str = ""
    """The form to run in training; if empty, the one expected to be fastest."""

    controller_rate: float = 1.0
    """Factor on the learning rate of the controller under SGD, where it would otherwise learn much faster than the kernels."""

    def controller_parameters(self) -> list[Tensor]:
        """The parameters to which `controller_rate` applies: those of the layers inside the operator, except their norms."""
        inside = [m for m in self.modules() if m is not self and not isinstance(m, BatchNorm)]
        return [p for m in inside for p in m.parameters(recurse=False)]

    def __init__(self, *place: Any, **others: Any) -> None:
        super().__init__(*place, **others)
        self._counted, self._pinned = "", False
        self._names = tuple(dimensions(type(self)))
        self._fastest: dict[tuple[bool, int, int], str] = {}

    @property
    def form(self) -> str:
        """Name of the counted form; ``""`` chooses it from the current map. Setting it makes eval mode execute this form too."""
        return self._counted

    @form.setter
    def form(self, name: str) -> None:
        self._counted, self._pinned = name, True

    @classmethod
    def at(cls, geometry: ConvGeometry, form: str = "", guide_channels: int = 0, **settings: Setting) -> Self:
        """Builds the operator for a layer of a network, with the geometry's padding, no bias, and the counted form.

        Args:
            geometry: of the layer.
            form: the counted form if it is already known; otherwise it is decided from `geometry`.
            guide_channels: channels of the block's guide; 0 if the layer computes its own.
            **settings: of the operator; they are resolved for the geometry.

        Raises:
            GeometryError: if the operator does not support the geometry, or accepts no guide.
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
        """Builds an operator that, until it is trained, computes the same function as a given convolution.

        Everything that depends on the input is initialised to a constant, and the kernels are derived from the convolution's.
        The kernels of a mixture differ by deviations that cancel in the sum, so that each kernel receives a different gradient.
        The operator has the convolution's device, dtype and mode (training or eval).

        Args:
            conv: a Conv2d with a square kernel, equal strides, dilations and paddings, and zeros as padding.
            **settings: of the operator, as its constructor takes them.

        Raises:
            GeometryError: if the operator cannot replace the convolution, or does not implement `_start_as`.
            UsageError: for a setting that the operator does not have.
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
        """Initialises a fresh operator in place so that it computes the same function as a convolution; see `from_conv`.

        Args:
            kernel: of the convolution, (D, C/g, k, k).
            bias: of the convolution, (D,).

        Raises:
            GeometryError: if the operator cannot, or does not implement `_start_as`.
        """
        starts, computes = (next(c for c in type(self).__mro__ if name in vars(c)) for name in ("_start_as", "forward"))
        if starts is Operator or not issubclass(starts, computes):
            raise GeometryError(
                f"{type(self).__name__} cannot be initialised from a given convolution, because it does not implement _start_as. "
                "Use another operator."
            )
        self._start_as(kernel, bias)

    def _start_as(self, kernel: Tensor, bias: Tensor | None) -> None:
        """Initialises the operator as the convolution with this kernel (D, C/g, k, k) and bias (D,).

        Called once, on a fresh operator.

        Raises:
            GeometryError: if the operator cannot represent the convolution.
        """

    def continues(self, other: Operator) -> bool:
        """Whether the leading entries of another operator's weights keep their meaning here.

        `other` is of the same class, but may have another size or be at another layer.
        """
        return self.geometry.kernel_size == other.geometry.kernel_size

    def _start_bias(self, bias: Tensor | None, share: float = 1.0) -> None:
        """Copies the given bias (D,), times `share`, into the layer's own bias, which may have one row for each kernel."""
        own = self.get_parameter("bias") if bias is not None else None
        if own is not None and bias is not None:
            own.copy_((share * bias).expand_as(own))

    @classmethod
    def checked_form(cls, geometry: ConvGeometry, settings: Mapping[str, Setting], form: str) -> str:
        """Returns the requested form, or the counted form if none is requested.

        Raises:
            GeometryError: if the operator has no such form at this geometry.
        """
        if form and form not in cls.forms(geometry, settings):
            allowed = ", ".join(filter(None, cls.forms(geometry, settings))) or "none, because it has only one form"
            raise GeometryError(f"{cls.__name__} at {geometry} has no form {form!r}. Allowed: {allowed}.")
        return form or cls.counted_form(geometry, settings)

    @classmethod
    def classifier(cls, geometry: ConvGeometry, form: str = "", **settings: Setting) -> nn.Module:
        """Builds the operator's linear version for the last layer of a network: (N, C) -> (N, D).

        Raises:
            GeometryError: if the operator has no linear version.
        """
        raise GeometryError(f"{cls.__name__} has no linear version for the classifier. Leave the classifier static.")

    @classmethod
    def resolve(cls, geometry: ConvGeometry, **settings: Setting) -> dict[str, Setting]:
        """Returns all settings as this geometry uses them: words become numbers, numbers the nearest legal value below.

        Resolving resolved settings again does not change them.

        Raises:
            GeometryError: if the operator does not support the geometry with any value, or has no such setting.
            UsageError: for a value that is legal at no geometry.
        """
        known = dimensions(cls)
        unknown = set(settings) - set(known)
        if unknown:
            raise GeometryError(f"{cls.__name__} has no setting {sorted(unknown)[0]!r}. Known: {', '.join(known) or 'none'}.")
        settings = {name: value if (number := as_int(value)) is None else number for name, value in settings.items()}
        for name, value in settings.items():
            known[name].check(value)
        return {name: settings.get(name, dimension.default) for name, dimension in known.items()}

    @classmethod
    def built(cls, geometry: ConvGeometry, settings: Mapping[str, Setting]) -> dict[str, Setting]:
        """Describes the layer that resolved settings build: two descriptions are equal exactly if the layers are.

        By default these are the settings themselves. An operator overrides this where different settings build the same layer,
        for example because a fraction of the channels is rounded.
        """
        return dict(settings)

    @classmethod
    def forms(cls, geometry: ConvGeometry, settings: Mapping[str, Setting]) -> tuple[str, ...]:
        """Names of the equivalent forms that exist at this geometry; the first one can train."""
        return cls.FORMS

    @classmethod
    @abstractmethod
    def multiply_adds(cls, geometry: ConvGeometry, settings: Mapping[str, Setting], form: str = "") -> int:
        """Multiply-adds of a form at batch 1 on this geometry's map, in closed form.

        Args:
            geometry: of the layer.
            settings: resolved for the geometry.
            form: one of `forms`.
        """

    @classmethod
    def guided_multiply_adds(cls, geometry: ConvGeometry, settings: Mapping[str, Setting], form: str, guide_channels: int) -> int:
        """Multiply-adds of a layer that receives its block's guide.

        The cost of computing the guide is excluded, because it belongs to the first layer of the block.

        Raises:
            GeometryError: if the operator accepts no guide, or none with this number of channels.
        """
        raise GeometryError(f"{cls.__name__} accepts no guide in a network. Leave guide_channels out.")

    @classmethod
    def convolving(cls, geometry: ConvGeometry, settings: Mapping[str, Setting]) -> int:
        """Multiply-adds of the layer if everything input-dependent is held constant: one static kernel, H'W' D C/g k^2."""
        return geometry.out_pixels * geometry.weights

    @classmethod
    def controlling(cls, geometry: ConvGeometry, settings: Mapping[str, Setting]) -> int:
        """Multiply-adds of the controller, which computes attentions, filters or masks, in closed form; the same in all forms.

        An operator that does not override this is measured instead: everything that its submodules compute counts as controller.
        """
        raise NotImplementedError(cls.__name__)

    @classmethod
    def guide(cls, channels: int, settings: Mapping[str, Setting]) -> Guide:
        """Builds the module that computes a guide for all layers of a block from the block's input.

        Args:
            channels: of the block's input.
            settings: the resolved settings of these layers.

        Raises:
            GeometryError: if the operator accepts no guide.
        """
        raise GeometryError(f"{cls.__name__} accepts no guide from its block. Leave guide_channels out.")

    def guide_from(self, x: Tensor) -> Tensor:
        """Computes the layer's own guide from its input (N, C, H, W); `forward` of other layers accepts it as `guide`.

        Raises:
            GeometryError: if the operator has no guide to share.
        """
        raise GeometryError(f"{type(self).__name__} has no guide to share with other layers.")

    @classmethod
    def counted_form(cls, geometry: ConvGeometry, settings: Mapping[str, Setting]) -> str:
        """Name of the form with the fewest multiply-adds at batch 1 on this geometry's map; the first of several equal ones."""
        forms = cls.forms(geometry, settings)
        return _least(forms, lambda form: cls.multiply_adds(geometry, settings, form))

    @classmethod
    def training_forms(cls, geometry: ConvGeometry, settings: Mapping[str, Setting]) -> tuple[str, ...]:
        """Names of the forms that can train: they compute all gradients and update the statistics of BatchNorms."""
        return cls.forms(geometry, settings)[:1]

    @classmethod
    def traffic(cls, geometry: ConvGeometry, settings: Mapping[str, Setting], form: str) -> int:
        """Number of elements that a form writes to memory for each sample, beyond those that every form writes."""
        return 0

    @classmethod
    def executed_form(cls, geometry: ConvGeometry, settings: Mapping[str, Setting], training: bool = False) -> str:
        """Name of the form expected to be fastest on this geometry's map, at any batch size."""
        forms = cls.training_forms(geometry, settings) if training else cls.forms(geometry, settings)

        def effort(form: str) -> int:
            return cls.multiply_adds(geometry, settings, form) + cls.BALANCE * cls.traffic(geometry, settings, form)

        return _least(forms, effort)

    def anneal(self, progress: float) -> None:
        """Sets the temperature for a given progress of the annealing, 0-1. Operators without a temperature ignore it."""

    @classmethod
    def sharing(cls, geometries: Sequence[ConvGeometry], settings: Mapping[str, Setting]) -> list[dict[str, Setting]]:
        """Returns the settings of each of several layers that share weights, including those named in `SHARES`.

        Args:
            geometries: of the layers, in the order of computation; the first layer holds the weights.
            settings: common to all layers, before they are resolved.

        Raises:
            GeometryError: if the operator cannot share weights, or the layers are incompatible.
        """
        raise GeometryError(f"{cls.__name__} cannot share weights between layers. Leave share out.")

    def borrow(self, lender: Operator) -> None:
        """Uses the shared weights of another layer, which the setting ``shared_with`` names.

        Raises:
            GeometryError: if the operator cannot share weights, or those of `lender` do not fit.
        """
        raise GeometryError(f"{type(self).__name__} cannot share weights between layers. Leave shared_with out.")

    def deploy(self) -> None:
        """Precomputes, in place, everything that eval mode computes from parameters alone; afterwards only inference works."""

    @torch.no_grad()
    def fold(self, scale: Tensor, shift: Tensor) -> bool:
        """Folds ``scale * y + shift`` into the parameters in place, which is what a following BatchNorm computes in eval mode.

        A subclass implements this in `_fold`. A subclass that overrides `forward` without `_fold` is not folded, because it may
        change the output further than its base class does.

        Args:
            scale: (D,).
            shift: (D,).

        Returns:
            Whether it was folded; if not, the operator is unchanged.
        """
        folds, computes = (next(c for c in type(self).__mro__ if name in vars(c)) for name in ("_fold", "forward"))
        return issubclass(folds, computes) and self._fold(scale, shift)

    def _fold(self, scale: Tensor, shift: Tensor) -> bool:
        """Implements `fold`."""
        return False

    @abstractmethod
    def forward(self, x: Tensor, guide: Tensor | None = None) -> Tensor:
        """Maps (N, C, H, W) to (N, D, H', W'), the same shapes as for a Conv2d with the same arguments."""

    def _in_torch(self, x: Tensor, own: Sequence[Tensor], given: Sequence[Tensor]) -> Tensor:
        """Runs the training forward pass in PyTorch operations with other parameters, and discards updates of statistics.

        Args:
            x: (N, C, H, W).
            own: the parameters of this operator that are replaced.
            given: their replacements, in the same order.
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
        """Resolves the settings and stores each in an attribute of the same name."""
        for name, value in self.resolve(self.geometry, **settings).items():
            setattr(self, name, value)

    def _form(self, x: Tensor) -> str:
        """Name of the form to run: the counted one while counting or exporting or if `form` was set, else the fastest."""
        if self.training:
            return self.training_form or self._executed(x)
        if self._pinned or self.portable or is_counting():
            return self._counted or self.counted_form(self._at_map(x), self._settings())
        return self._executed(x)

    def prefer(self, form: str, height: int, width: int) -> None:
        """Makes eval mode execute this form on maps of this size, overriding `executed_form`; the counted form does not change.

        Raises:
            GeometryError: if the operator has no such form on this map.
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
        """The resolved settings, read from the attributes of the same names."""
        return {name: getattr(self, name) for name in self._names}

    def extra_repr(self) -> str:
        """The constructor arguments, so that a printed network shows what each layer is."""
        return shown(self.geometry, self.padding[0], self.has_bias, self._settings())


def _least(forms: tuple[str, ...], effort: Callable[[str], int]) -> str:
    """The form with the least effort, the first of several equal ones; a loop, as compilers do not support `min` with a key."""
    best = forms[0]
    for form in forms[1:]:
        if effort(form) < effort(best):
            best = form
    return best
