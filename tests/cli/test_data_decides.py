"""What a person sees where images that are given decide the classes and channels of the networks."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from commands import SEARCH, Run

from dcdnas.core.architecture import Architecture
from dcdnas.cost import measure
from dcdnas.engine.config import SearchConfig
from dcdnas.networks import build_network
from dcdnas.results import load_run
from dcdnas.space.library import load_space

NOTE = (
    "Note: the networks have 4 classes and 3 channels, as the images have; the space's file says 10 classes and 1 channel. "
    "The size stays 28x28."
)
CHANGED = ("3x28x28 to 4 classes", "1x28x28 to 10 classes")


@pytest.fixture
def colour(project: Path) -> str:
    """Colour images of four classes and another size than the space's."""
    rng = np.random.default_rng(0)
    images, labels = rng.integers(0, 255, (40, 3, 24, 24), dtype=np.uint8), np.arange(40) % 4
    np.savez(project / "colour.npz", train_images=images, train_labels=labels, test_images=images, test_labels=labels)
    return "npz:colour.npz"


def test_a_search_says_what_the_images_changed_and_exports_networks_for_them(run: Run, project: Path, colour: str) -> None:
    said = run(*SEARCH, "-d", colour, "-n", "1", "--confirm", "0", "--name", "own")
    assert said.code == 0
    assert [line for line in said.err.splitlines() if line.startswith("Note: the networks")] == [NOTE]
    found = load_run("own")
    best = Architecture.read("runs/own/front/best.yaml")
    assert (best.input, best.classes) == ((3, 28, 28), 4)
    assert found.best is not None
    measured = measure(build_network(best), ("flops", "params"))
    assert {name: measured[name] for name in ("flops", "params")} == {n: found.best.cost[n] for n in ("flops", "params")}
    assert measured["flops"] <= found.budgets[0].at_most


@pytest.mark.slow
def test_a_resume_goes_on_with_the_networks_for_the_images(run: Run, project: Path, colour: str) -> None:
    run(*SEARCH, "-d", colour, "-n", "1", "--confirm", "0", "--name", "own")
    assert run("resume", "own", "-n", "+1", "--executor", "inline").code == 0
    trials = load_run("own").trials
    assert {(t.architecture.input, t.architecture.classes) for t in trials} == {((3, 28, 28), 4)}
    assert SearchConfig.read(Path("runs/own/search.yaml")).build_space().input == (3, 28, 28)
    other = run(*SEARCH, "-n", "1", "--confirm", "0", "--name", "own")
    assert other.code == 2
    assert "classes of the networks: 4 there, 10 here" in other.err


def test_a_dry_run_prices_the_networks_for_the_images(run: Run, project: Path, colour: str) -> None:
    plain = run(*SEARCH, "-d", colour, "--dry-run", "--json").json
    own = run(*SEARCH, "--dry-run", "--json").json
    assert NOTE.removeprefix("Note: ") in plain["notes"]
    assert not any("as the images have" in note for note in own["notes"])
    assert plain["ranges"]["flops"][0] > own["ranges"]["flops"][0]  # a stem of three channels
    assert NOTE in run(*SEARCH, "-d", colour, "--dry-run").out.splitlines()


@pytest.mark.parametrize("named", ["given", "in the file"])
def test_a_space_is_shown_and_checked_for_the_images(run: Run, project: Path, colour: str, named: str) -> None:
    flags = ("-d", colour) if named == "given" else ()
    if named == "in the file":
        text = (project / "tiny.yaml").read_text()
        (project / "tiny.yaml").write_text(text.replace("npz:some.npz", colour))
    shown = run("space", "show", "tiny.yaml", *flags)
    assert CHANGED[0] in shown.out
    assert NOTE in shown.err
    costs = run("space", "check", "tiny.yaml", *flags, "-b", "0.3MFLOPs", "--json").json["ranges"]["flops"]
    planned = run(*SEARCH, *flags, "--dry-run", "--json").json["ranges"]["flops"]
    assert [costs["smallest"], costs["largest"]] == planned
    drawn = run("space", "sample", "tiny.yaml", *flags, "-n", "1", "--json").json
    assert (drawn[0]["input"], drawn[0]["classes"]) == ([3, 28, 28], 4)
    ends = run("cost", "tiny.yaml", *flags, "--json").json["ends"]
    assert ends[0]["cost"]["flops"] == planned[0]


def test_a_space_whose_own_images_are_elsewhere_is_shown_as_it_is(run: Run, project: Path) -> None:
    (project / "some.npz").unlink()
    said = run("space", "show", "tiny.yaml")
    assert said.code == 0
    assert CHANGED[1] in said.out
    assert "have the 10 classes and 1 channel that the space's file says, since its images cannot be read: some.npz" in said.err


def test_the_cost_of_one_network_is_refused_for_images_that_it_is_not_for(run: Run, project: Path, colour: str) -> None:
    network = load_space("tiny.yaml").architecture({})
    (project / "net.json").write_text(json.dumps(network.to_dict()))
    for source in ("net.json", "odconv/base_resnet18"):
        said = run("cost", source, "-d", colour)
        assert said.code == 2
        assert "have 4 classes and 3 channels. Allowed: images of the same." in said.err
    assert "net.json is one network, of 10 classes and 1 channel;" in run("cost", "net.json", "-d", colour).err
    assert run("cost", "net.json", "-d", "npz:some.npz").code == 0


@pytest.mark.slow
def test_a_training_on_other_images_says_both_inputs(run: Run, searched: Path, colour: str) -> None:
    said = run("train", "done", "-d", colour, "--epochs", "1", "-o", "out")
    (note,) = (line for line in said.err.splitlines() if line.startswith("Note:"))
    assert note.startswith("Note: the network is adapted to 3x24x24 images and 4 classes; done-")
    assert note.endswith(" is priced for 1x28x28 and 10.")
    assert Architecture.read("out/seed-0/config.yaml").input == (3, 24, 24)


@pytest.mark.slow
@pytest.mark.timeout(3600)  # 85 s of a processor, of which a busy machine gives it little
def test_a_budget_alone_searches_large_networks_on_the_stand_in(run: Run, project: Path) -> None:
    words = ("-n", "2", "--epochs", "1", "--confirm", "0", "--proxy-classes", "2", "--executor", "inline", "--name", "large")
    said = run("search", "--budget", "300MFLOPs", *words)
    assert said.code == 0
    assert "fashion-mini is a stand-in: the networks are priced for 3x224x224 images and 1,000 classes" in said.err
    found = load_run("large")
    best = Architecture.read("runs/large/front/best.yaml")
    assert (best.input[0], best.classes) == (3, 1000)
    assert best.input[1] in (160, 192, 224)
    assert measure(build_network(best), ("flops",))["flops"] <= 300e6
    assert all(t.cost["flops"] <= 300e6 for t in found.trials if t.state == "finished")
