"""Measures which of the equivalent forms of a network's operators is fastest on this device at a given batch size.

The rule of `Operator.executed_form` considers neither the device nor the batch size: it weights arithmetic against memory writes
with a single number. For a network that will run for long, measuring its forms once is worthwhile. Outputs, the counted
multiply-adds and the exported form stay the same.
"""

from __future__ import annotations

import hashlib
import json
import math
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from dcdnas.core.geometry import ConvGeometry
from dcdnas.cost.latency.device import Device, this_device
from dcdnas.cost.latency.kept import KeptTimes
from dcdnas.cost.latency.runtimes import Part
from dcdnas.cost.latency.timing import Timing, timings
from dcdnas.errors import UsageError
from dcdnas.networks import Network
from dcdnas.operators import Operator

__all__ = ["LayerForms", "fitted_balance", "tune_forms"]

BLOCKS = 6
"""Blocks of calls in a measurement, see `dcdnas.cost.latency.timing`."""

TOGETHER = 48
"""Forms that are timed in turns with each other."""

MARGIN = 0.97
"""Another form is chosen only if it takes less than this share of the time of the rule's form; smaller gains may be noise."""

BALANCES = tuple(round(2 ** (step / 2)) for step in range(21))
"""Values of `Operator.BALANCE` to compare: 1 to 1024."""

Told = Callable[[float], None]
"""Callback that receives the share of the work that is done, 0-1."""


@dataclass(frozen=True)
class LayerForms:
    """The measured times of the forms of one layer.

    Args:
        names: of all layers of the network that are identical to this one.
        operator: name of the operator's class.
        geometry: of the layer, with the size of its input map.
        ruled: the form that the rule selects.
        times: by form.
        efforts: multiply-adds and written elements of each form, which the rule weights against each other.
    """

    names: tuple[str, ...]
    operator: str
    geometry: ConvGeometry
    ruled: str
    times: Mapping[str, Timing]
    efforts: Mapping[str, tuple[int, int]]

    @property
    def chosen(self) -> str:
        """The fastest form, or the rule's form if no other is faster by more than noise."""
        fastest = min(self.times, key=lambda form: self.times[form].median)
        return fastest if self.times[fastest].median < MARGIN * self.times[self.ruled].median else self.ruled

    def loss(self, form: str) -> float:
        """Returns the time of a form divided by that of the fastest form."""
        return self.times[form].median / min(timing.median for timing in self.times.values())


def tune_forms(
    network: Network, batch: int = 1, threads: int | None = None, fresh: bool = False, told: Told = lambda share: None
) -> list[LayerForms]:
    """Measures the forms of a network's operators in their places, and makes each operator execute its fastest form in eval mode.

    Times are measured on the network's device, at its architecture's resolution, with the layers taking turns. Earlier
    measurements of the same layer and use on this machine are read from disk. Call `network.deploy()` first if the deployed
    network is what will run.

    Args:
        network: is changed: its operators remember their form for this map size.
        batch: images per forward pass.
        threads: CPU threads; torch's current number when left out.
        fresh: whether to measure everything again.
        told: receives the progress.

    Returns:
        One row for each distinct layer with more than one form. Layers whose form was set explicitly are left unchanged.

    Raises:
        UsageError: when the network is in training mode, or batch or threads are below 1.
    """
    if network.training:
        raise UsageError("forms are tuned for inference, and the network is in training mode. Call network.eval() first.")
    kind = next(network.parameters()).device.type
    device = this_device(kind, torch.get_num_threads() if threads is None else threads, batch)
    alike: dict[str, list[_Standing]] = {}
    for standing in _standing(network, device):
        alike.setdefault(standing.key, []).append(standing)
    with _put_back_if_interrupted([layer.operator for layers in alike.values() for layer in layers]):
        measured = _times(alike, device, fresh, told)
    found = []
    for key, layers in alike.items():
        row = layers[0].row([layer.name for layer in layers], measured[key])
        for layer in layers:
            layer.operator.prefer(row.chosen, row.geometry.height, row.geometry.width)
        found.append(row)
    return found


def fitted_balance(rows: Sequence[LayerForms]) -> tuple[int, float, float]:
    """Finds the value of `Operator.BALANCE` whose rule would lose least time on these layers.

    Returns:
        The value; the geometric mean over the layers of the time in the form that its rule selects divided by the time in the
        fastest form; and the same mean for the present rule.
    """

    def mean(forms: Sequence[str]) -> float:
        logs = [len(row.names) * math.log(row.loss(form)) for row, form in zip(rows, forms, strict=True)]
        return math.exp(sum(logs) / sum(len(row.names) for row in rows))

    def by(balance: int) -> float:
        return mean([min(r.efforts, key=lambda form: r.efforts[form][0] + balance * r.efforts[form][1]) for r in rows])

    best = min((Operator.BALANCE, *BALANCES), key=by)  # the present value if none is better
    return best, by(best), mean([row.ruled for row in rows])


@dataclass(frozen=True, eq=False)
class _Standing:
    """An operator and the shapes of its inputs."""

    name: str
    operator: Operator
    shapes: tuple[tuple[int, ...], ...]

    @property
    def geometry(self) -> ConvGeometry:
        height, width = self.shapes[0][2:] or (1, 1)  # a classifier's inputs are vectors
        return replace(self.operator.geometry, height=height, width=width)

    @property
    def key(self) -> str:
        """Equal for layers that take the same time, because a layer's `repr` contains all that it is made of."""
        printed = json.dumps([type(self.operator).__module__, repr(self.operator), self.shapes])
        return hashlib.sha256(printed.encode()).hexdigest()

    @property
    def ours(self) -> bool:
        """Whether the operator is defined by the package's own sources, so that its times may be kept on disk.

        A plugin's module has a name inside the package, but no file.
        """
        module = sys.modules[type(self.operator).__module__]
        return module.__name__.startswith("dcdnas.") and hasattr(module, "__file__")

    def images(self, device: Device) -> Tensor:
        return torch.randn(self.shapes[0], device=device.kind)

    def row(self, names: Sequence[str], times: Mapping[str, Timing]) -> LayerForms:
        o, at, settings = self.operator, self.geometry, self.operator._settings()
        efforts = {form: (o.multiply_adds(at, settings, form), o.traffic(at, settings, form)) for form in times}
        return LayerForms(tuple(names), type(o).__name__, at, o.executed_form(at, settings), times, efforts)


class _InForm(nn.Module):
    """Wraps an operator so that it executes one particular form."""

    def __init__(self, standing: _Standing, form: str, device: Device) -> None:
        super().__init__()
        self.standing, self.form, self.at = standing, form, standing.geometry
        self.rest = [torch.randn(shape, device=device.kind) for shape in standing.shapes[1:]]

    def forward(self, x: Tensor) -> Tensor:
        self.standing.operator.prefer(self.form, self.at.height, self.at.width)
        y: Tensor = self.standing.operator(x, *self.rest)
        return y


def _standing(network: Network, device: Device) -> list[_Standing]:
    """Returns the operators with more than one form, with the shapes of their inputs in a forward pass."""
    found: list[_Standing] = []

    def note(name: str, operator: Operator) -> Callable[..., None]:
        def hook(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            standing = _Standing(name, operator, tuple(tuple(x.shape) for x in inputs))
            if len(operator.forms(standing.geometry, operator._settings())) > 1:
                found.append(standing)

        return hook

    operators = {n: m for n, m in network.named_modules() if isinstance(m, Operator) and not m._pinned}
    hooks = [operator.register_forward_pre_hook(note(name, operator)) for name, operator in operators.items()]
    try:
        with torch.inference_mode():
            network(torch.zeros(device.batch, *network.architecture.input, device=device.kind))
    finally:
        for hook in hooks:
            hook.remove()
    return found


@contextmanager
def _put_back_if_interrupted(operators: Sequence[Operator]) -> Iterator[None]:
    """Gives operators back their earlier forms if measuring is interrupted, which leaves them in the form that was timed last."""
    before = [dict(operator._fastest) for operator in operators]
    try:
        yield
    except BaseException:
        for operator, forms in zip(operators, before, strict=True):
            operator._fastest = forms
        raise


def _times(alike: Mapping[str, Sequence[_Standing]], device: Device, fresh: bool, told: Told) -> dict[str, dict[str, Timing]]:
    """Returns the time of each form of each distinct layer, by the layer's key."""
    kept = KeptTimes(device)
    found: dict[str, dict[str, Timing]] = {key: {} for key in alike}
    new = []
    for key, (layer, *_) in alike.items():
        for form in layer.operator.forms(layer.geometry, layer.operator._settings()):
            timing = None if fresh or not layer.ours else kept.get(f"form {form} {key}")
            if timing is None:
                new.append((key, layer, form))
            else:
                found[key][form] = timing
    for done in range(0, len(new), TOGETHER):
        told(done / len(new))
        turn = new[done : done + TOGETHER]
        parts = [Part(_InForm(layer, form, device), layer.images(device)) for _, layer, form in turn]
        for (key, layer, form), timing in zip(turn, timings(parts, device, BLOCKS), strict=True):
            found[key][form] = timing
            if layer.ours:
                kept.put([(f"form {form} {key}", timing)])
    if new:
        told(1.0)
    return found
