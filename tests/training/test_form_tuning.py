"""Tuned forms: the fastest runs, and nothing else changes; with pretended times, so that no test depends on the machine."""

from __future__ import annotations

import copy
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
import torch
from thoroughness import slow_but
from torch import Tensor, nn

from dcdnas import published
from dcdnas.core.architecture import Architecture, LayerChoice
from dcdnas.core.geometry import ConvGeometry
from dcdnas.core.plugins import Plugin, _run
from dcdnas.cost import measure
from dcdnas.cost.latency.device import Device
from dcdnas.cost.latency.runtimes import Part
from dcdnas.cost.latency.timing import Timing
from dcdnas.errors import GeometryError, UsageError
from dcdnas.networks import Network, build_network, slots_of
from dcdnas.operators import Operator, operators
from dcdnas.training import form_tuning
from dcdnas.training.form_tuning import LayerForms, fitted_balance, tune_forms

DCD, ODCONV = LayerChoice("dcd"), LayerChoice("odconv", {"num_kernels": 4})


class Stopwatch:
    """Stands in for `timings`: a form takes what the test says, in the order in which the operator names its forms."""

    def __init__(self, times: Callable[[str], int]) -> None:
        self.times, self.seen = times, list[str]()

    def __call__(self, parts: Sequence[Part], device: Device, blocks: int) -> list[Timing]:
        """Each part is run once, as the real one would."""
        for part in parts:
            part.module(part.x)
            self.seen.append(str(part.module.form))
        return [Timing(self.times(form), 1) for form in self.seen[-len(parts) :]]


@pytest.fixture
def watch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[str], int]], Stopwatch]:
    """Pretended times, and an empty cache."""
    monkeypatch.setenv("DCDNAS_CACHE", str(tmp_path))

    def make(times: Callable[[str], int]) -> Stopwatch:
        made = Stopwatch(times)
        monkeypatch.setattr(form_tuning, "timings", made)
        return made

    return make


def network_of(choice: LayerChoice, role: str = "expand") -> Network:
    """A small network with the choice in every slot of that role, its controllers awake, deployed."""
    bare = Architecture("mobilenetv2", {"width": 0.25, "depth": (1, 1, 1, 1, 1, 1, 1)}, {}, (3, 32, 32), 10)
    layers = {slot.name: choice for slot in slots_of(bare) if slot.name.endswith(role)}
    network = build_network(Architecture(bare.network, bare.settings, layers, bare.input, bare.classes))
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return network.deploy()


def executed(network: Network, x: Tensor) -> set[str]:
    """The forms that a pass executes."""
    seen = set()

    def note(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        assert isinstance(module, Operator)
        seen.add(module._form(inputs[0]))

    chosen = [m for m in network.modules() if isinstance(m, Operator) and len(m.FORMS) > 1]
    hooks = [m.register_forward_pre_hook(note) for m in chosen]
    network(x)
    for hook in hooks:
        hook.remove()
    return seen


@pytest.mark.parametrize("fastest", slow_but(["fused"], ["activation", "fused", "kernel"]))
def test_the_fastest_form_is_executed_and_nothing_else_changes(watch: Callable[..., Stopwatch], fastest: str) -> None:
    watch(lambda form: 10 if form == fastest else 20)
    network = network_of(DCD)
    x = torch.randn(3, 3, 32, 32)
    before, cost = network(x), measure(network)
    rows = tune_forms(network, batch=3)
    assert {row.chosen for row in rows} == {fastest}
    assert executed(network, x) == {fastest}
    torch.testing.assert_close(network(x), before, rtol=1e-4, atol=1e-4)
    assert dict(measure(network).values) == dict(cost.values)
    assert executed(copy.deepcopy(network), x) == {fastest}


def test_a_form_that_is_hardly_faster_is_not_taken(watch: Callable[..., Stopwatch]) -> None:
    network = network_of(DCD)
    rows = tune_forms(network)  # real times
    ruled = rows[0].ruled
    watch(lambda form: 1000 if form == ruled else 980)
    assert tune_forms(network, fresh=True)[0].chosen == ruled
    watch(lambda form: 1000 if form == ruled else 960)
    assert tune_forms(network, fresh=True)[0].chosen != ruled


def test_an_interrupted_measurement_leaves_the_forms_of_before(watch: Callable[..., Stopwatch]) -> None:
    def interrupted(form: str) -> int:
        raise KeyboardInterrupt

    network, x = network_of(DCD), torch.randn(1, 3, 32, 32)
    ruled = executed(network, x)
    seen = watch(interrupted).seen
    with pytest.raises(KeyboardInterrupt):
        tune_forms(network)
    assert len(seen) > 1
    assert executed(network, x) == ruled
    watch(lambda form: 10 if form == "activation" else 20)
    tune_forms(network)
    watch(interrupted)
    with pytest.raises(KeyboardInterrupt):
        tune_forms(network, fresh=True)
    assert executed(network, x) == {"activation"}


def test_layers_that_are_alike_are_measured_once(watch: Callable[..., Stopwatch]) -> None:
    seen = watch(lambda form: 10).seen
    bare = Architecture("resnet", {"depth": (3, 1, 1, 1)}, {}, (3, 32, 32), 10)
    layers = {slot.name: ODCONV for slot in slots_of(bare) if slot.name.startswith("stage1")}
    network = build_network(Architecture(bare.network, bare.settings, layers, bare.input, bare.classes)).deploy()
    (row,) = tune_forms(network)
    assert row.names == tuple(f"stage1.block{b}.conv{c}.conv" for b in (1, 2, 3) for c in (1, 2))
    assert sorted(seen) == sorted(row.times)


def test_what_was_measured_is_kept_for_the_same_device_batch_and_layer(watch: Callable[..., Stopwatch]) -> None:
    seen = watch(lambda form: 10 + len(form)).seen
    first = tune_forms(network_of(DCD), batch=2, threads=1)
    calls = len(seen)
    assert calls
    assert tune_forms(network_of(DCD), batch=2, threads=1) == first
    assert len(seen) == calls
    tune_forms(network_of(DCD), batch=4, threads=1)
    assert len(seen) == 2 * calls
    tune_forms(network_of(DCD), batch=2, threads=1, fresh=True)
    assert len(seen) == 3 * calls


PLUGIN = Plugin("twin.py", "from dcdnas.operators.odconv import ODConv\n\n__all__ = ['Twin']\n\nclass Twin(ODConv):\n    pass\n")


@pytest.fixture(params=["a class of a program", "a plugin"])
def elsewhere(request: pytest.FixtureRequest) -> Iterator[type[Operator]]:
    """An operator that is not the package's."""
    if request.param == "a plugin":
        made = _run(PLUGIN)[1]
        yield made
        del sys.modules[made.__module__]
    else:
        yield type("Mine", (operators["odconv"],), {"__module__": __name__})


def test_an_operator_from_elsewhere_is_measured_each_time(watch: Callable[..., Stopwatch], elsewhere: type[Operator]) -> None:
    network = network_of(ODCONV)
    for module in network.modules():
        if isinstance(module, operators["odconv"]):
            module.__class__ = elsewhere
    seen = watch(lambda form: 10).seen
    tune_forms(network)
    calls = len(seen)
    tune_forms(network)
    assert len(seen) == 2 * calls > 0


def test_a_form_that_was_set_by_hand_stays(watch: Callable[..., Stopwatch]) -> None:
    watch(lambda form: 10 if form == "kernel" else 20)
    network = network_of(DCD)
    for module in network.modules():
        if isinstance(module, operators["dcd"]):
            module.form = "fused"
    assert tune_forms(network) == []
    assert executed(network, torch.randn(1, 3, 32, 32)) == {"fused"}


@pytest.mark.parametrize("preset", slow_but(["condconv/cond_mobilenetv2"], ["dcd/mobilenetv2_dcd", "condconv/cond_mobilenetv2"]))
def test_heads_and_layers_with_a_guide_are_tuned_too(watch: Callable[..., Stopwatch], preset: str) -> None:
    watch(lambda form: 10)
    found = published.architecture(preset)
    small = Architecture(found.network, found.settings, found.layers, (3, 64, 64), found.classes)
    network = build_network(small).deploy()
    rows = tune_forms(network)
    names = {name for row in rows for name in row.names}
    dynamic = {n for n, m in network.named_modules() if isinstance(m, Operator) and len(m.forms(m.geometry, m._settings())) > 1}
    assert names == dynamic


def test_a_network_in_training_is_refused() -> None:
    with pytest.raises(UsageError, match=r"in training mode. Call network.eval\(\) first"):
        tune_forms(network_of(DCD).train())


def test_a_form_that_an_operator_does_not_have_cannot_be_preferred() -> None:
    operator = operators["dcd"].at(ConvGeometry(8, 8, 3, height=9, width=9))
    with pytest.raises(GeometryError, match=r"has no form 'columns'. Allowed: activation, "):
        operator.prefer("columns", 9, 9)


def test_the_fitted_balance_is_the_one_whose_rule_names_the_fastest_forms() -> None:
    place = ConvGeometry(8, 8)
    times = {"dense": Timing(300), "wide": Timing(100)}
    efforts = {"dense": (1000, 10), "wide": (100, 40)}  # equal at 30
    row = LayerForms(("a", "b"), "DCD", place, "dense", times, efforts)
    balance, fitted, present = fitted_balance([row])
    assert balance < 30
    assert (fitted, present) == (1.0, pytest.approx(3.0))
    assert fitted_balance([LayerForms(("a",), "DCD", place, "wide", {**times, "dense": Timing(90)}, efforts)])[:2] == (50, 1.0)
