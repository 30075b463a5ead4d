"""Resolves ``RUN|CONFIG`` on a command line to a trial of a run, or to the network of a config file."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dcdnas.core.architecture import Architecture, is_config
from dcdnas.core.budget import exceeded, within
from dcdnas.core.files import is_file
from dcdnas.core.trial import Trial
from dcdnas.core.yaml_lines import parse_yaml, read_yaml
from dcdnas.engine.folders import called
from dcdnas.engine.weights import FOLDER, sha256
from dcdnas.errors import RunError, UsageError
from dcdnas.export import WEIGHTS, config_file, how_trained
from dcdnas.results import FILE, Run, find_run, load_run

if TYPE_CHECKING:
    from dcdnas.cli._output import Output
    from dcdnas.export import Model, Opened
    from dcdnas.space.search_space import SearchSpace

SUFFIXES = (".yaml", ".yml", ".json")


@dataclass(frozen=True)
class Source:
    """A network and where it comes from.

    Args:
        name: name for headings and files.
        architecture: architecture of the network.
        run: run that contains it; None for a config file.
        trial: trial of the run; None for a config file.
        path: path of the config file; None for a trial of a run.
    """

    name: str
    architecture: Architecture
    run: Run | None = None
    trial: Trial | None = None
    path: Path | None = None

    @property
    def weights(self) -> Path | None:
        """Path of the weights beside a config file; None if there are none."""
        beside = self.path.with_name(WEIGHTS) if self.path else None
        return beside if beside and beside.is_file() else None

    def trained_weights(self) -> tuple[Path | None, str]:
        """Finds the weights to export: those beside a config file, or those of the short training that a run keeps.

        Returns:
            The file, None if there is none that fits; and a note about it, which may be empty.

        Raises:
            RunError: when a run's file is missing or was changed.
        """
        kept = self.run.weights_of(self.trial) if self.run and self.trial else None
        if self.run is None or self.trial is None or kept is None:
            return self.weights, ""
        if self.trial.trained != self.trial.deployed:
            what = (
                "build it with dcdnas.build and train it with the task's code"
                if self.run.own_task
                else "`dcdnas train` trains it"
            )
            return None, f"{self.name} was trained {how_trained(self.run, self.architecture)}; {what}."
        path = self.run.folder / FOLDER / Path(kept.file).name
        if not path.is_file() or sha256(path) != kept.sha256:
            problem = "was changed after it was written" if path.is_file() else "is missing"
            raise RunError(f"{path}: {problem}. Give other weights with --weights.")
        return path, f"Weights of the short training on seed {kept.seed}: {path}"

    def model(self) -> Model:
        """Returns the model to export: the network with its full provenance."""
        from dcdnas.export import Model, model_of, read_model

        if self.run and self.trial:
            return model_of(self.run, self.trial)
        return read_model(self.path) if self.path else Model(self.architecture)


def open_source(source: str, trial: str = "", budget: Sequence[str] | None = None) -> list[Source]:
    """Opens one network, or with ``front`` all networks on a run's front.

    Args:
        source: a run's name or folder, or a config file.
        trial: number, ``best``, ``knee`` or ``front``; empty for the best.
        budget: bounds for the choice, as on the command line; None for those of the run.

    Raises:
        UsageError: when there is no such trial, or the file is not a config.
        FileError: when the config cannot be read.
    """
    path = config_in(Path(source))
    if path.suffix in SUFFIXES:
        if trial or budget:
            raise UsageError(f"{source} is one network: --trial and --budget choose among the trials of a run. Leave them out.")
        return [Source(path.stem if path == Path(source) else Path(source).resolve().name, Architecture.read(path), path=path)]
    try:
        run = load_run(find_run(source))
        offer_plugins_of(run)
    except RunError as error:
        if is_file(source):
            raise UsageError(f"{source} is no model config: its name should end in {', '.join(SUFFIXES)}.") from None
        raise error
    budgets = run.read_budgets(budget) if budget else None
    chosen = run.front(budgets) if trial == "front" else [run.trial(trial or "best", budgets)]
    if not chosen:
        raise UsageError(
            f"{run.name} has no finished trial within {' and '.join(map(str, budgets or run.budgets)) or 'any budget'}."
        )
    for t in chosen:
        if budgets and not within(t.cost, budgets):
            raise UsageError(
                f"trial {t.number} of {run.name}: {exceeded(t.cost, budgets)}. Leave --trial out for the best one within it."
            )
    return [Source(f"{run.name}-{t.number}", t.architecture, run, t) for t in chosen]


def open_trained(out: Output, source: Path, weights: Path | None) -> Opened:
    """Opens a trained network for inference; the name or folder of a run is refused with the command that trains its network.

    Args:
        out: output for a note if the weights were trained on images of another size.
        source: as for `dcdnas.export.open_network`.
        weights: likewise.

    Raises:
        UsageError: for a run.
        FileError: as `dcdnas.export.open_network`.
    """
    from dcdnas.export import open_network, other_size

    folder = run_called(source)
    if folder:
        named = called(folder)
        run = load_run(folder)
        if run.own_task:
            only = "`dcdnas predict` and `dcdnas evaluate` take only networks that `dcdnas train` can train"
            raise UsageError(with_own_code(run, only, "test them"))
        raise UsageError(
            f"{source} is a run, whose network has to be trained first: `dcdnas train {named} -d DATA -o DIR`. "
            "Then give that folder, DIR, in place of the run."
        )
    opened = open_network(source, weights)
    if weights and (note := other_size(weights, opened.input)):
        out.warn(note)
    return opened


def with_own_code(run: Run, why: str, then: str) -> str:
    """Says that only the user's own task or program knows the images of a run, and how its networks can be used nevertheless.

    Args:
        run: run of the user's own task, or of ask-tell.
        why: why the command cannot use the run, as a clause.
        then: what the user can do with the networks, like ``train them``.
    """
    begun = "trained by your own program, with ask-tell" if run.trained_elsewhere else f"searched for the task {run.own_task}"
    return (
        f"{run.name} was {begun}, and {why}. Export its networks (`dcdnas export {run.called}`), build them with dcdnas.build, "
        f"and {then} with {'that program' if run.trained_elsewhere else 'the code of the task'}."
    )


def run_called(source: str | Path) -> Path | None:
    """The folder of the run with this name or folder; None if there is no such run, or if it is another file or folder."""
    if os.path.exists(source) and not is_file(Path(source) / FILE):
        return None
    try:
        return find_run(source)
    except RunError:
        return None


def config_in(path: Path) -> Path:
    """Returns the config in a folder that `dcdnas train` or `dcdnas export` wrote; for any other path, the path itself."""
    found = path if is_file(path / FILE) else config_file(path)
    return found if is_file(found) else path


def offer_plugins_of(run: Run) -> None:
    """Makes the plugins that a run was searched with available; their code is run only when they are used.

    Raises:
        RunError: when the run's copy of a plugin is missing or was changed.
    """
    recorded = run.config.get("plugins")
    if recorded:
        from dcdnas.core.plugins import offer_recorded

        offer_recorded(run.folder, recorded)


def is_preset(source: str) -> bool:
    """Whether the text is a published network's name, like ``dcd/mobilenetv2_dcd``, and not a file or a run's folder."""
    return "/" in source and not os.path.exists(source) and not source.endswith(SUFFIXES)


def open_space(out: Output, name: str, data: str | None = None) -> SearchSpace:
    """Opens a shipped space or a space file for the given data set or the one that it names; a note says what the data changed.

    Args:
        out: output for the note.
        name: name of a shipped space, or a path.
        data: name of the data set; None for the one that the space names.

    Raises:
        FileError: when there is no such space.
        SpaceError: naming all problems of the file.
        DataError: when the given images are missing or damaged.
    """
    from dcdnas.engine.planning.for_data import read_for, read_for_own
    from dcdnas.space.library import find_space

    found = read_for(find_space(name), data) if data else read_for_own(find_space(name))
    if found.note:
        out.warn(f"Note: {found.note}")
    return found.space


def network_or_space(
    out: Output, source: str, settings: Mapping[str, Any], data: str | None = None
) -> Architecture | SearchSpace:
    """Resolves ``CONFIG|SPACE|PRESET`` to the network of a config, a published network, or a space.

    Args:
        out: output for a note of what the images change in a space.
        source: a file, a folder that `dcdnas train` or `dcdnas export` wrote, or the name of a preset or a shipped space.
        settings: settings of a preset.
        data: name of the data set that it is for; None for its own.

    Raises:
        UsageError: for settings without a preset, for a run, and for images with other channels or classes than the network.
        FileError: for a file that is neither a config nor a space.
    """
    from dcdnas.space.library import shipped

    if is_preset(source):
        from dcdnas.published import architecture

        return _for(source, architecture(source, **settings), data)
    if settings:
        raise UsageError(f"--set sets a published network's settings, and {source} is not one. `dcdnas list presets` shows them.")
    if source not in shipped():
        config = config_in(Path(source))
        if is_file(config) and is_config(read_yaml(config).data):
            return _for(source, Architecture.read(config), data)
        run = run_called(source)
        if run:
            named = called(run)
            raise UsageError(
                f"{source} is a run, and no network or space. `dcdnas show {named} --trial best` shows what one costs."
            )
    return open_space(out, source, data)


def _for(name: str, network: Architecture, data: str | None) -> Architecture:
    from dcdnas.engine.planning.for_data import check_same

    if data:
        check_same(name, network, data)
    return network


def preset_settings(assignments: Sequence[str]) -> dict[str, Any]:
    """Reads the settings of a published network from ``KEY=VALUE`` texts.

    Raises:
        UsageError: when a text has no key or no ``=``.
    """
    found = {}
    for text in assignments:
        key, sign, value = text.partition("=")
        if not sign or not key.strip():
            raise UsageError(f"--set {text!r} sets nothing. Write KEY=VALUE, like --set width_mult=0.5.")
        found[key.strip()] = parse_yaml(value, f"--set {text}").data
    return found
