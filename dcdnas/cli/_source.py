"""What ``RUN|CONFIG`` on a command line means: a trial of a run, or the network of a config file."""

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
from dcdnas.engine.weights import FOLDER, sha256
from dcdnas.errors import RunError, UsageError
from dcdnas.export import WEIGHTS, config_file
from dcdnas.results import FILE, Run, find_run, load_run

if TYPE_CHECKING:
    from dcdnas.cli._output import Output
    from dcdnas.export import Model
    from dcdnas.space.search_space import SearchSpace

SUFFIXES = (".yaml", ".yml", ".json")


@dataclass(frozen=True)
class Source:
    """A network and where it comes from.

    Args:
        name: for headings and files.
        architecture: of the network.
        run: it was found in; None for a file's.
        trial: of the run; None for a file's.
        path: of the config file; None for a run's.
    """

    name: str
    architecture: Architecture
    run: Run | None = None
    trial: Trial | None = None
    path: Path | None = None

    @property
    def weights(self) -> Path | None:
        """Those that lie beside a config file."""
        beside = self.path.with_name(WEIGHTS) if self.path else None
        return beside if beside and beside.is_file() else None

    def trained_weights(self) -> tuple[Path | None, str]:
        """Weights to export it with: those beside a config file, or of the short training that a run keeps.

        Returns:
            The file, None where there is none that fits; and what to say of it, empty where there is nothing.

        Raises:
            RunError: when a run's file is missing or not as it was written.
        """
        kept = self.run.weights_of(self.trial) if self.run and self.trial else None
        if self.run is None or self.trial is None or kept is None:
            return self.weights, ""
        if self.trial.trained != self.trial.deployed:
            return (
                None,
                f"{self.name} was trained as a smaller stand-in, whose weights do not fit it; `dcdnas train` trains it itself.",
            )
        path = self.run.folder / FOLDER / Path(kept.file).name
        if not path.is_file() or sha256(path) != kept.sha256:
            problem = "was changed after it was written" if path.is_file() else "is missing"
            raise RunError(f"{path}: {problem}. Give other weights with --weights.")
        return path, f"Weights of the short training on seed {kept.seed}: {path}"

    def model(self) -> Model:
        """What an export writes: the network with all that is known of where it comes from."""
        from dcdnas.export import Model, model_of, read_model

        if self.run and self.trial:
            return model_of(self.run, self.trial)
        return read_model(self.path) if self.path else Model(self.architecture)


def open_source(source: str, trial: str = "", budget: Sequence[str] | None = None) -> list[Source]:
    """The networks that are meant: one, or with ``front`` all of a run's front.

    Args:
        source: a run's name or folder, or a config file.
        trial: number, ``best``, ``knee`` or ``front``; empty for the best.
        budget: bounds to cut the run at, as a person writes them; None for its own.

    Raises:
        UsageError: when there is no such thing.
        FileError: when the file is no config.
    """
    path = config_in(Path(source))
    if path.suffix in SUFFIXES:
        if trial or budget:
            raise UsageError(f"{source} is one network: --trial and --budget choose among the trials of a run.")
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


def config_in(path: Path) -> Path:
    """The config in a folder that `dcdnas train` or `dcdnas export` wrote; the path itself where it is no such folder."""
    found = path if is_file(path / FILE) else config_file(path)
    return found if is_file(found) else path


def offer_plugins_of(run: Run) -> None:
    """Makes usable what a run was searched with from outside the package; nothing is run before it is needed.

    Raises:
        RunError: when a copy is missing or was changed.
    """
    recorded = run.config.get("plugins")
    if recorded:
        from dcdnas.core.plugins import offer_recorded

        offer_recorded(run.folder, recorded)


def is_preset(source: str) -> bool:
    """Whether a published network's name is meant, like ``dcd/mobilenetv2_dcd``, and not a file or a run's folder."""
    return "/" in source and not os.path.exists(source) and not source.endswith(SUFFIXES)


def open_space(out: Output, name: str, data: str | None = None) -> SearchSpace:
    """A shipped space or a space file, for the images that are given or that it names, with a note of what they changed.

    Args:
        out: for the note.
        name: of a shipped space, or a path.
        data: name of the images; None for those that the space names.

    Raises:
        FileError: when there is no such space.
        SpaceError: with all problems of the file.
        DataError: when the images that are given are missing or damaged.
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
    """What ``CONFIG|SPACE|PRESET`` means: the network of a config or a published one, or a space.

    Args:
        out: for a note of what images change of a space.
        source: a file, or the name of a preset or a shipped space.
        settings: of a preset.
        data: name of the images that it is for; None for its own.

    Raises:
        UsageError: for settings of what is no preset, and for images whose channels or classes one network does not have.
        FileError: for a file that is none of them.
    """
    from dcdnas.space.library import shipped

    if is_preset(source):
        from dcdnas.published import architecture

        return _for(source, architecture(source, **settings), data)
    if settings:
        raise UsageError(f"--set sets a published network's settings, and {source} is not one. `dcdnas list presets` shows them.")
    if source not in shipped() and is_file(source) and is_config(read_yaml(source).data):
        return _for(source, Architecture.read(source), data)
    return open_space(out, source, data)


def _for(name: str, network: Architecture, data: str | None) -> Architecture:
    from dcdnas.engine.planning.for_data import check_same

    if data:
        check_same(name, network, data)
    return network


def preset_settings(assignments: Sequence[str]) -> dict[str, Any]:
    """The settings of a published network, from ``KEY=VALUE``.

    Raises:
        UsageError: when one sets nothing.
    """
    found = {}
    for text in assignments:
        key, sign, value = text.partition("=")
        if not sign or not key.strip():
            raise UsageError(f"--set {text!r} sets nothing. Write KEY=VALUE, like --set width_mult=0.5.")
        found[key.strip()] = parse_yaml(value, f"--set {text}").data
    return found
