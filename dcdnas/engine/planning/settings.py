"""The settings of a search, gathered from all sources: flags, ``--set``, a ``-c`` file and ``dcdnas.yaml``.

Later sources win, key by key: defaults, ``dcdnas.yaml`` in the working folder, the ``-c`` file, ``--set KEY=VALUE``, flags.
Keys are the names of the flags, with ``-`` or ``_``. An error message says where the value was given.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PositiveInt, ValidationError

from dcdnas.core.names import NAME, name_rule
from dcdnas.core.yaml_lines import parse_yaml, read_yaml
from dcdnas.engine.weights import Keep
from dcdnas.errors import UsageError, nearest

FILE = "dcdnas.yaml"
"""File with the settings of a project, read from the working folder of a command."""

LONGEST = 80
"""Number of characters after which a message truncates a value, which may be a whole array."""

DECIDED = {
    "input": "The channels of the networks are those of the images; their size is that of the space's file: change it there.",
    "num_classes": "The networks have the classes of the images; `classes` says how many of them the trainings use.",
}
"""Explanations for plausible names that are not settings."""

_DURATION = re.compile(
    r"\s*(?:(\d+(?:\.\d+)?)\s*d)?\s*(?:(\d+(?:\.\d+)?)\s*h)?\s*(?:(\d+(?:\.\d+)?)\s*m(?:in)?)?\s*(?:(\d+(?:\.\d+)?)\s*s)?\s*"
)


def seconds(text: str | float) -> float:
    """Parses a duration (``90s``, ``45m``, ``2h``, ``1h30m``, ``1d``; a bare number is seconds) into seconds.

    Raises:
        UsageError: when it cannot be parsed or is not positive.
    """
    try:
        value = float(text)
    except ValueError:
        match = _DURATION.fullmatch(str(text))
        parts = match.groups() if match else ()
        value = sum(float(p or 0) * unit for p, unit in zip(parts, (86400, 3600, 60, 1), strict=True)) if match else 0.0
    if not 0 < value < float("inf"):
        raise UsageError(f"cannot read the duration {text!r}. Write one like 90s, 45m, 2h or 1h30m.")
    return value


def _seconds(value: Any) -> Any:
    try:
        return value if value is None else seconds(value)
    except UsageError as error:
        raise ValueError(str(error)) from None


def share(text: str | float | None) -> float:
    """Parses how many damaged pictures may be left out: ``1%``, a share below 1, or a number; 0 for None.

    Raises:
        UsageError: when it is none of these.
    """
    said = str(0 if text is None else text).strip()
    try:
        value = float(said.removesuffix("%")) / (100 if said.endswith("%") else 1)
    except ValueError:
        value = math.nan
    if not 0 <= value < math.inf or (said.endswith("%") and value >= 1):
        raise UsageError(f"damaged pictures to leave out cannot be {text!r}. Write a share like 1%, or a number like 12.")
    return value


def _share(value: Any) -> Any:
    try:
        return value if value is None else share(value)
    except UsageError as error:
        raise ValueError(str(error)) from None


def _several(value: Any) -> Any:
    return [value] if isinstance(value, (str, int, float)) else value


Duration = Annotated[float | None, BeforeValidator(_seconds)]
Share = Annotated[float | None, BeforeValidator(_share)]
Words = Annotated[tuple[str, ...], BeforeValidator(_several)]


class SearchSettings(BaseModel):
    """All settings of a search; the value of a setting that is None follows from the space, the data or the machine."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    space: str | None = Field(None, description="a shipped space's name or a space file")
    budget: Words = Field((), description="bounds on the deployment cost, like 300MFLOPs")
    task: str | None = Field(None, description="a file with your own task; else it follows from the images")
    maximize: Words = Field((), description="further objectives of the task to maximise")
    minimize: Words = Field((), description="further objectives of the task, and cost metrics, to minimise")
    latency_table: str | None = Field(None, description="file with the latencies of a device; else measured on this machine")
    latency_device: str | None = Field(None, description="name of another machine's device, whose latency table is used")
    trials: PositiveInt = Field(50, description="number of trainings, finished or stopped early")
    name: str | None = Field(None, pattern=NAME, description="name of the run")
    sampler: str = Field("auto", description="a sampler's name, or `auto` for the one measured to be best for the search")
    seed: int = Field(0, ge=0)
    starts: int | None = Field(
        None, ge=0, description="networks before the sampler: static ones, then random draws; else 10, at most a third of -n"
    )
    chances: Literal["operators", "networks"] = Field(
        "operators",
        description="what is equally likely in the random draws of the starts: each option of a decision, or each network",
    )
    early_stopping: bool = Field(False, description="stop networks that are behind others of similar cost after a short training")
    start_from: str | None = Field(None, description="an earlier run, whose front is trained first")
    confirm: int = Field(3, ge=0, description="number of fresh seeds on which the networks believed best are trained again")
    confirm_top: int = Field(3, ge=1, description="number of networks to confirm")
    keep_weights: Keep = Field("front", description="networks whose weights are kept, beside those of confirming trainings")

    data: str | None = None
    resolution: int | None = Field(None, ge=0)
    classes: int | None = Field(None, ge=0, description="number of classes that trainings use, evenly spaced; 0 for all")
    skip_damaged: Share = Field(None, ge=0, description="damaged pictures that may be left out, like 1% or 12")
    epochs: PositiveInt | None = None
    batch_size: int | None = Field(None, ge=2)
    lr: float | None = Field(None, gt=0)
    classifier_width: int | None = Field(
        None, ge=0, description="features above which the classifier learns more slowly; 0: never"
    )
    weight_decay: float | None = Field(None, ge=0)
    label_smoothing: float | None = Field(None, ge=0, lt=1)
    warmup: float | None = Field(None, ge=0, lt=1)
    augment: str | None = None
    controller_lr: float | None = Field(None, ge=0, description="learning rate of the attention branches, as a multiple of lr")
    controller_warmup: float | None = Field(None, ge=0, lt=1)
    norm_batches: int | None = Field(None, ge=0)
    trial_timeout: Duration = Field(None, description="time after which a training counts as hung")

    executor: str = "ray"
    table: str | None = Field(None, description="file of a benchmark's table, for `executor: tabular`; else the fetched one")
    jobs: int = Field(0, ge=0, description="number of parallel trainings; 0 for as many as fit")
    cpus_per_trial: float = Field(1.0, gt=0)
    gpus_per_trial: float | None = Field(None, ge=0)
    log: Words = Field((), description="trackers that log the search: tensorboard, wandb, mlflow")
    address: str = Field("", description="address of a Ray cluster")
    timeout: Duration = Field(None, description="time after which the search ends")
    patience: int = Field(0, ge=0, description="trainings without a change of the front that end the search; 0 for no limit")

    @classmethod
    def gather(
        cls, flags: Mapping[str, Any], assignments: Iterable[str] = (), file: str | Path | None = None, project: bool = True
    ) -> Self:
        """Gathers the settings from all sources.

        Args:
            flags: values by field name; None and empty lists count as not given.
            assignments: assignments of ``--set``, each ``KEY=VALUE``.
            file: file of ``-c``.
            project: whether ``dcdnas.yaml`` is read.

        Raises:
            UsageError: for invalid values; the message has one line for each, which says where it was given.
        """
        said: dict[str, Said] = {}
        for path in (p for p in (Path(FILE) if project and Path(FILE).is_file() else None, file) if p is not None):
            said |= _of_file(path)
        for text in assignments:
            said |= _of_assignment(text)
        for key, value in flags.items():
            if value is not None and not (isinstance(value, list) and not value):
                said[key] = Said(value, f"--{key.replace('_', '-')}")
        unknown = [
            f"{s.where}: unknown setting {key!r}. {DECIDED.get(key) or nearest(key, cls.model_fields)}"
            for key, s in said.items()
            if key not in cls.model_fields
        ]
        if unknown:
            raise UsageError("\n".join(unknown))
        try:
            return cls.model_validate({key: s.value for key, s in said.items()})
        except ValidationError as error:
            raise UsageError("\n".join(_complaint(said, item) for item in error.errors(include_url=False))) from None


@dataclass(frozen=True)
class Said:
    """The value of a setting and where it was given."""

    value: Any
    where: str


def _of_file(path: str | Path) -> dict[str, Said]:
    document = read_yaml(path)
    if document.data is None:
        return {}
    if not isinstance(document.data, dict):
        raise UsageError(f"{path}: holds no settings. Write one a line, like `trials: 24`.")
    return {str(k).replace("-", "_"): Said(v, document.where((str(k),)).rpartition(": ")[0]) for k, v in document.data.items()}


def _of_assignment(text: str) -> dict[str, Said]:
    key, sign, value = text.partition("=")
    if not sign or not key.strip():
        raise UsageError(f"--set {text!r} sets nothing. Write KEY=VALUE, like --set lr=0.05.")
    return {key.strip().replace("-", "_"): Said(parse_yaml(value, f"--set {text}").data, f"--set {text}")}


def _complaint(said: Mapping[str, Said], item: Mapping[str, Any]) -> str:
    key = str(item["loc"][0])
    message = str(item["msg"]).removeprefix("Value error, ").replace("Input should", "should").rstrip(".")
    if item["type"] == "string_pattern_mismatch":
        message = name_rule(item["input"])
    value = " ".join(repr(said[key].value).split())
    shown = value if len(value) <= LONGEST else f"{value[:LONGEST]}..."
    return f"{said[key].where}: {key.replace('_', '-')} cannot be {shown}: {message}."
