"""Finds what an earlier export of another network left in a folder, because a folder holds the files of one network."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING

from dcdnas.core.architecture import Architecture, is_config
from dcdnas.core.files import is_file
from dcdnas.core.yaml_lines import read_yaml
from dcdnas.errors import DcdnasError, UsageError
from dcdnas.export.names import ALL, BY, CARD, CONFIGS, MARK, STANDALONE, WEIGHTS

if TYPE_CHECKING:
    from dcdnas.export.config import Model

EPOCHS = "epochs.csv"
"""File of a training, in whose folder no other network is exported."""


def outdated(model: Model, weights: Path | None, folder: Path, formats: Collection[str]) -> list[str]:
    """Returns the names of the files in a folder that an export of another network, or of other weights, has left there.

    The folder's config says whose they are. In a folder without one nothing is known to be an export's, and nothing is found.

    Raises:
        UsageError: when the folder is that of another network's training, or its config is another's and not written anew.
    """
    config = next((folder / name for name in CONFIGS if is_file(folder / name)), None)
    if config is None or not _is_another(model, weights, config):
        return []
    if "config" not in formats or (folder / EPOCHS).exists():
        raise UsageError(
            f"{folder}: has the files of another network, whose config would not fit. Give another folder with -o"
            f"{', or export the config, too' if 'config' not in formats and not (folder / EPOCHS).exists() else ''}."
        )
    given = weights.resolve() if weights else None
    return [name for name in ALL if (folder / name).resolve() != given and _by_an_export(folder / name)]


def _is_another(model: Model, weights: Path | None, config: Path) -> bool:
    """Whether a config beside which a model is to be exported is of another network, or the weights beside it are others."""
    try:
        if not is_config(read_yaml(config).data):
            return False
    except DcdnasError:  # it is of no use, so whose it was is not known
        return False
    try:
        if Architecture.read(config).digest != model.architecture.digest:
            return True
        beside = config.with_name(WEIGHTS)
        return weights is not None and is_file(beside) and not _equal(weights, beside)
    except DcdnasError:  # what cannot be read is not that of the model
        return True


def _equal(one: Path, other: Path) -> bool:
    import torch

    from dcdnas.training.weights import read_weights

    ours, theirs = read_weights(one).tensors, read_weights(other).tensors
    return ours.keys() == theirs.keys() and all(torch.equal(ours[name], theirs[name]) for name in ours)


def _by_an_export(path: Path) -> bool:
    """Whether there is such a file, and an export wrote it."""
    sign = {CARD: MARK, STANDALONE: BY}.get(path.name, "")
    return is_file(path) and (not sign or sign in path.read_text(encoding="utf-8", errors="replace"))
