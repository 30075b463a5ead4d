"""Which of the equal forms of a network's operators is fastest on this device at a batch size, measured.

The rule of `Operator.executed_form` knows neither: it weighs arithmetic against writing with one number. Whoever runs a network
for long lets its forms be measured once. Nothing else changes: outputs are equal, and so is what is counted and exported.
"""

from __future__ import annotations

import hashlib
import json
import math
import sys
from collections.abc import Callable, Mapping, Sequence
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
"""Of calls, see `dcdnas.cost.latency.timing`."""

TOGETHER = 48
"""Forms that take turns."""

MARGIN = 0.97
"""Of the time of the form that the rule names, which another must stay below to be taken: less is noise."""

BALANCES = tuple(round(2 ** (step / 2)) for step in range(21))
"""Values of `Operator.BALANCE` that are compared: 1 to 1024."""

Told = Callable[[float], None]
"""Is told which share of the work is done, 0-1."""


@dataclass(frozen=True)
class LayerForms:
    """What the forms of one layer take.

    Args:
        names: of all layers of the network that are like this one.
        operator: its class.
        geometry: with the size of the map there.
        ruled: the form that the rule names.
        times: by form.
        efforts: multiply-adds and written elements of each form, which the rule weighs.
    """

    names: tuple[str, ...]
    operator: str
    geometry: ConvGeometry
    ruled: str
    times: Mapping[str, Timing]
    efforts: Mapping[str, tuple[int, int]]

    @property
    def chosen(self) -> str:
        """The fastest form; the rule's where no other is faster by more than noise."""
        fastest = min(self.times, key=lambda form: self.times[form].median)
        return fastest if self.times[fastest].median < MARGIN * self.times[self.ruled].median else self.ruled

    def loss(self, form: str) -> float:
        """How many times longer a form takes than the fastest."""
        return self.times[form].median / min(timing.median for timing in self.times.values())


def tune_forms(
    network: Network, batch: int = 1, threads: int | None = None, fresh: bool = False, told: Told = lambda share: None
) -> list[LayerForms]:
    """Measures the forms of a network's operators where they stand, and lets each execute its fastest in eval from now on.

    Measured is on the network's device, at its architecture's resolution, with the other layers in turns. What was measured
    before on this machine, for the same layer and use, is taken from disk. Tune what will run: `network.deploy()` first.

    Args:
        network: is changed: its operators remember their form for this map size.
        batch: images that go through at once.
        threads: of the processor; torch's own number when left out.
        fresh: whether everything is measured again.
        told: of the progress.

    Returns:
        A row for each different layer with more than one form. Layers whose form was set by hand are left alone.

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
    measured = _times(alike, device, fresh, told)
    found = []
    for key, layers in alike.items():
        row = layers[0].row([layer.name for layer in layers], measured[key])
        for layer in layers:
            layer.operator.prefer(row.chosen, row.geometry.height, row.geometry.width)
        found.append(row)
    return found


def fitted_balance(rows: Sequence[LayerForms]) -> tuple[int, float, float]:
    """The value of `Operator.BALANCE` whose rule would lose least on these layers.

    Returns:
        That value; how many times longer layers take by its rule than in their fastest forms, geometric mean; and the same by
        the rule as it is.
    """

    def mean(forms: Sequence[str]) -> float:
        logs = [len(row.names) * math.log(row.loss(form)) for row, form in zip(rows, forms, strict=True)]
        return math.exp(sum(logs) / sum(len(row.names) for row in rows))

    def by(balance: int) -> float:
        return mean([min(r.efforts, key=lambda form: r.efforts[form][0] + balance * r.efforts[form][1]) for r in rows])

    best = min((Operator.BALANCE, *BALANCES), key=by)  # the present one where none is better
    return best, by(best), mean([row.ruled for row in rows])


@dataclass(frozen=True, eq=False)
class _Standing:
    """An operator and the shapes of what it gets."""

    name: str
    operator: Operator
    shapes: tuple[tuple[int, ...], ...]

    @property
    def geometry(self) -> ConvGeometry:
        height, width = self.shapes[0][2:] or (1, 1)  # a head gets vectors
        return replace(self.operator.geometry, height=height, width=width)

    @property
    def key(self) -> str:
        """The same for layers that take the same time: a layer prints all that it is made of."""
        printed = json.dumps([type(self.operator).__module__, repr(self.operator), self.shapes])
        return hashlib.sha256(printed.encode()).hexdigest()

    @property
    def ours(self) -> bool:
        """Whether the package's sources say all about the operator, so that its times may be kept.

        A plugin's module is named as if it lay in the package, but it has no file.
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
    """An operator that executes one of its forms."""

    def __init__(self, standing: _Standing, form: str, device: Device) -> None:
        super().__init__()
        self.standing, self.form, self.at = standing, form, standing.geometry
        self.rest = [torch.randn(shape, device=device.kind) for shape in standing.shapes[1:]]

    def forward(self, x: Tensor) -> Tensor:
        self.standing.operator.prefer(self.form, self.at.height, self.at.width)
        y: Tensor = self.standing.operator(x, *self.rest)
        return y


def _standing(network: Network, device: Device) -> list[_Standing]:
    """The operators that have a choice, with what they get in a pass."""
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


def _times(alike: Mapping[str, Sequence[_Standing]], device: Device, fresh: bool, told: Told) -> dict[str, dict[str, Timing]]:
    """Of each form of each different layer, by the layer's key."""
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
