"""The checks for authors: what ships passes them, and what breaks a rule is told which one."""

from __future__ import annotations

import ast
import random
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import plugged
import pytest
from contributing import METRIC, NETWORK, OPERATOR, ROOT, SAMPLER
from own_task import Sized
from torch import nn

import dcdnas.testing
from dcdnas.core.units import Notation, Scale
from dcdnas.cost import Metric, metrics
from dcdnas.data import Contents, Raw, Source, sources
from dcdnas.engine.samplers import Direct, Sampler, samplers
from dcdnas.errors import ContractError, DataError
from dcdnas.networks import Slot, networks
from dcdnas.networks.resnet import ResNet
from dcdnas.operators import Operator, operators
from dcdnas.tasks import Report
from dcdnas.testing import check_metric, check_network, check_operator, check_sampler, check_source, check_task
from dcdnas.testing.places import QUICK

SMALL = {"channels": (8, 16), "depth": 1, "strides": (1, 2), "stem": "small", "stem_channels": 8}


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str, str], Any]]:
    """Makes the entry of an example of CONTRIBUTING.md, or of a changed one."""
    folder = tmp_path_factory.mktemp("page")

    def entry(name: str, text: str) -> Any:
        plugged.forget()
        path = folder / f"{name}.py"
        path.write_text(text, encoding="utf-8")
        from dcdnas.core.plugins import _PLACES, load_plugin

        return _PLACES[load_plugin(path).kind].catalogue[name]

    with plugged.forgotten():
        yield entry


def test_the_checks_need_no_test_runner() -> None:
    for path in Path(dcdnas.testing.__file__).parent.glob("*.py"):
        text = ast.parse(path.read_text(encoding="utf-8"))
        found = {alias.name for node in ast.walk(text) if isinstance(node, ast.Import | ast.ImportFrom) for alias in node.names}
        found |= {node.module for node in ast.walk(text) if isinstance(node, ast.ImportFrom)}  # type: ignore[misc]
        assert not [name for name in found if name and name.startswith(("pytest", "hypothesis"))], path


# What ships, and the examples of the pages


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=pytest.mark.slow) if n in ("activations", "flops") else n for n in metrics]
)
def test_the_metrics_that_ship_pass(name: str) -> None:
    if name == "latency":
        pytest.skip("its prices are those of a table, which tests/cost holds")
    check_metric(metrics[name])


def test_the_example_of_a_metric_passes(page: Callable[[str, str], Any]) -> None:
    check_metric(page("energy", METRIC))


@pytest.mark.slow
@pytest.mark.parametrize("name", [n for n in networks if n != "stack"])
def test_the_networks_that_ship_pass(name: str) -> None:
    sys.path.append(str(ROOT / "tests" / "networks"))
    from backbones import SMALL as OF

    small = {"channels": (8, 16), "depth": 2, "strides": (1, 2), "stem_channels": 8, **OF[name]} if name in OF else {}
    check_network(networks[name], [small])


def test_the_example_of_a_network_passes(page: Callable[[str, str], Any]) -> None:
    check_network(page("stack", NETWORK), [{"channels": (8, 16), "strides": (2, 2)}], (3, 16, 16))


@pytest.mark.slow
def test_the_example_of_a_network_takes_a_decoder_that_it_knows_nothing_of(page: Callable[[str, str], Any]) -> None:
    check_network(page("stack", NETWORK), [{"channels": (8, 16), "strides": (2, 2)}], (3, 16, 16), head="decoder")


@pytest.mark.slow
@pytest.mark.parametrize("name", [*samplers])
def test_the_samplers_that_ship_pass(name: str) -> None:
    if name == "gp":
        pytest.importorskip("scipy")
    check_sampler(samplers[name])


def test_the_example_of_a_sampler_passes(page: Callable[[str, str], Any]) -> None:
    check_sampler(page("mutation", SAMPLER))


def test_a_source_that_ships_passes() -> None:
    check_source(sources["fashion-mini"])


def test_the_example_of_an_operator_passes(page: Callable[[str, str], Any]) -> None:
    check_operator(page("gate", OPERATOR), QUICK[2:4])


@pytest.mark.slow
@pytest.mark.parametrize("name", ["static", "odconv"])
def test_operators_that_ship_pass(name: str) -> None:
    check_operator(operators[name], QUICK)


# What breaks a rule


class TooMany(operators["static"]):  # type: ignore[misc, name-defined]
    @classmethod
    def multiply_adds(cls, geometry, settings, form=""):  # type: ignore[no-untyped-def]
        return super().multiply_adds(geometry, settings) + 1


class Shy(operators["static"]):  # type: ignore[misc, name-defined]
    @classmethod
    def resolve(cls, geometry, **settings):  # type: ignore[no-untyped-def]
        return {}


@pytest.mark.parametrize(
    ("operator", "message"),
    [
        (TooMany, r"^TooMany at .*: Every multiply-add is counted: .*: 64 are counted, and multiply_adds says 65"),
        (Shy, r"^Shy: An operator supports some geometry, and refuses an unknown setting: .* has to say \"no setting 'colour'\""),
    ],
)
def test_an_operator_is_told_its_rule(operator: type[Operator], message: str) -> None:
    with pytest.raises(ContractError, match=message) as error:
        check_operator(operator, [replace(QUICK[2], in_channels=8, out_channels=8)])
    assert isinstance(error.value, AssertionError)


class Renamed(ResNet):
    @classmethod
    def slots(cls, input, classes, settings):  # type: ignore[no-untyped-def]
        first, *others = super().slots(input, classes, settings)
        return (Slot("entry", first.geometry, first.kind, first.activation), *others)


class Wide(ResNet):
    @classmethod
    def slots(cls, input, classes, settings):  # type: ignore[no-untyped-def]
        channels, height, width = input
        return super().slots((channels, height + 4, width), classes, settings)


class Frozen(ResNet):
    def forward(self, x):  # type: ignore[no-untyped-def]
        return super().forward(x).detach() + 0 * sum(p.sum() for n, p in self.named_parameters() if "stem" not in n)


class Free(ResNet):
    @classmethod
    def complete(cls, settings):  # type: ignore[no-untyped-def]
        return super().complete({name: value for name, value in settings.items() if name != "colour_of_it"})


@pytest.mark.parametrize(
    ("network", "message"),
    [
        (Renamed, "its slots|no module is called entry|KeyError"),
        (Wide, r"Each slot receives a map .*stem receives \(3, 16, 16\), and its slot says \(3, 20, 16\)"),
        (Frozen, r"A training step gives every parameter a finite gradient: stem.conv.weight.* has none"),
        (Free, r"An unknown setting is refused: complete\(\{'colour_of_it': 3\}\) has to raise a UsageError"),
    ],
)
def test_a_network_is_told_its_rule(network: type[ResNet], message: str) -> None:
    with pytest.raises(ContractError, match=rf"^{network.__name__}.*({message})"):
        check_network(network, [SMALL], (3, 16, 16))


FLOPS = metrics["flops"]
ODD = Scale(((1.0, "x"),), {"x": 2.0, "": 1.0})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"measure": lambda module, shape: 7}, r"flops of a network of static layers: Its price is what measure .* measures 7"),
        (
            {"of_slot": lambda slot, choice: -1.0 if slot.kind == "linear" else 0.0},
            "Its price is a finite number, .* it is -1",
        ),
        ({"of_slot": lambda slot, choice: 0.3}, "the notation says whole numbers"),
        ({"floor": lambda slot, choice: 1e30}, r"No network costs less than the floor .* a slot's floor is 1e\+30"),
        ({"notation": Notation("flops", "Odd", ODD)}, r"Its values can be written and read: 'flops <= 3 x' is read as 6"),
    ],
)
def test_a_metric_is_told_its_rule(changes: dict[str, Any], message: str) -> None:
    metric: Metric = replace(FLOPS, **changes)
    with pytest.raises(ContractError, match=message):
        check_metric(metric)


class Moody(type(samplers["random"].make(0, 9))):  # type: ignore[misc]
    def __init__(self, seed: int) -> None:
        super().__init__()


class First(type(samplers["random"].make(0, 9))):  # type: ignore[misc]
    def sample_independent(self, study, trial, name, distribution):  # type: ignore[no-untyped-def]
        return distribution.choices[0]


class Fragile(type(samplers["random"].make(0, 9))):  # type: ignore[misc]
    def after_trial(self, study, trial, state, values):  # type: ignore[no-untyped-def]
        if values is None:
            raise ValueError("a trial without values")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda seed, trials: Moody(seed), "The same seed proposes the same networks .*two searches with one seed differ"),
        (lambda seed, trials: First(seed), "The same seed .*two seeds propose the same 15 networks"),
        (
            lambda seed, trials: Fragile(seed),
            "A sampler continues after .*: ValueError: a trial without values",
        ),
    ],
)
def test_a_sampler_is_told_its_rule(make: Callable[[int, int], Any], message: str) -> None:
    with pytest.raises(ContractError, match=message):
        check_sampler(Sampler(make))


class Stubborn(Direct):
    """Proposes one network again and again."""

    def propose(self, known: Any) -> Any:
        return self.search.space.decide(lambda name, options: options[0])


def test_a_sampler_that_proposes_by_itself_is_told_its_rule() -> None:
    with pytest.raises(ContractError, match=r"A proposal is a new network .*: of 30 proposals 1 are different networks"):
        check_sampler(Sampler(direct=Stubborn))


class Own(Source):
    """Four images of two classes."""

    ARGUMENT = "DIR"
    CLASSES = ("a", "b")

    def read(self, part: Any, resolution: int = 0, classes: int = 0) -> Raw:
        if self.argument.endswith("not-there"):
            raise DataError(f"{self.argument}: there is nothing.")
        return Raw(np.zeros((4, 1, 8, 8), np.uint8), np.array([0, 1, 0, 1]), self.CLASSES)


class Alone(Own):
    CLASSES = ("a", "b", "c")


class Twice(Own):
    CLASSES = ("a", "a")


class Boasts(Own):
    def contents(self) -> Contents:
        return Contents(3, 2)


class Shuffles(Own):
    TURN = iter(range(99))

    def read(self, part: Any, resolution: int = 0, classes: int = 0) -> Raw:
        raw = super().read(part)
        return raw._replace(pixels=raw.pixels + np.uint8(next(self.TURN)))


class Invents(Own):
    def read(self, part: Any, resolution: int = 0, classes: int = 0) -> Raw:
        return super().read(part) if "not-there" not in self.argument else Own("").read(part)


class Floats(Own):
    def read(self, part: Any, resolution: int = 0, classes: int = 0) -> Raw:
        raw = super().read(part)
        return raw._replace(pixels=raw.pixels / 255)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (Alone, "Every class has two training images or more, .*: c has fewer"),
        (Twice, "Both parts .*: the name of a class occurs twice"),
        (Boasts, r"contents\(\) returns the channels .*: contents\(\) says"),
        (Shuffles, "Reading twice gives the same images .*: the two differ"),
        (Invents, "A location that does not exist .*: something was read from 'here-is-not-there'"),
        (Floats, r"Both parts are uint8 images .*: train part: images are float64 of shape"),
    ],
)
def test_a_source_is_told_its_rule(source: type[Source], message: str) -> None:
    check_source(Own, "here")
    with pytest.raises(ContractError, match=message):
        check_source(source, "here")


class Judges(Sized):
    """A task that keeps all rules."""


class Misnames(Sized):
    def evaluate(self, network: nn.Module, **others: Any) -> Mapping[str, float]:
        return {"error": 1.0}


class Draws(Sized):
    def evaluate(self, network: nn.Module, *, report: Report, **others: Any) -> Mapping[str, float]:
        return {"rmse": random.SystemRandom().random()}


class GoesOn(Sized):
    def evaluate(self, network: nn.Module, *, epochs: int, report: Report, **others: Any) -> Mapping[str, float]:
        for epoch in range(1, epochs + 1):
            report(epoch, {"rmse": 2.0 - epoch / epochs})
        return {"rmse": 1.0}


class Needs(Sized):
    def __init__(self, folder: str) -> None:
        self.folder = folder


class Aimless(Sized):
    objectives = ()


def test_a_task_that_keeps_the_rules_passes() -> None:
    check_task(Judges)
    check_task(Needs("given as an object"))


@pytest.mark.parametrize(
    ("task", "message"),
    [
        (
            Misnames,
            r"A training reports increasing epochs .*: TaskError: evaluate returned error\. Allowed: a number for each of rmse",
        ),
        (Draws, r"The same seed gives the same values: seed 0 gave \{'rmse': .*then"),
        (GoesOn, r"A training that report\(\) tells to end .*: it returned \{'rmse': 1\.0\} after reporting \{'rmse': 1\.5\}"),
        (Needs, r"the rules of a task: .*Needs\(\)"),
        (Aimless, r"the rules of a task: .*it has no objectives"),
    ],
)
def test_a_task_is_told_its_rule(task: type[Sized], message: str) -> None:
    with pytest.raises(ContractError, match=message):
        check_task(task)
