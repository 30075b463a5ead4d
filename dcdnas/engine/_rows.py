"""Converts trials, reports and confirmations to rows of the run's database and back; every row ends with its own digest."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from hashlib import blake2b
from typing import Any, get_args

from dcdnas.core.architecture import Architecture
from dcdnas.core.geometry import Cost, Setting
from dcdnas.core.trial import EpochResult, FailureKind, Score, State, Trial
from dcdnas.engine._facts import is_count, is_number, is_time

Row = Sequence[Any]

LOSS = "loss"
"""The objective that is stored in a separate column."""

UNREAD = Architecture("unread", {}, {}, (1, 1, 1), 1)
"""Placeholder for the architecture in an outline of a trial, see `outline_of`."""


class DamagedRow(ValueError):
    """Raised for a row whose content differs from what was written."""


@dataclass(frozen=True)
class Confirmation:
    """Result of retraining a selected network on a fresh seed.

    Args:
        number: number of the trial that is confirmed.
        seed: the fresh seed.
        state: ``finished`` or ``failed``.
        score: result of the training; None when it failed.
        reason: why it failed, human-readable.
        failure: kind of the failure; None unless it failed.
    """

    number: int
    seed: int
    state: str
    score: Score | None
    reason: str = ""
    failure: FailureKind | None = None


@dataclass(frozen=True)
class Weights:
    """Record of a file with the weights of one training.

    Args:
        number: number of the trial.
        seed: seed of the training: the trial's own, or that of a confirming training.
        file: name of the file in the run's folder ``weights``.
        sha256: digest of the file's content.
        state: ``kept``, or ``dropped`` once the network has left the front.
    """

    number: int
    seed: int
    file: str
    sha256: str
    state: str = "kept"

    @property
    def kept(self) -> bool:
        """Whether the run records the file as present."""
        return self.state == "kept"

    def dropped(self) -> Weights:
        """A copy of this record that marks the file as removed."""
        return replace(self, state="dropped")


def sealed(values: Row) -> tuple[Any, ...]:
    """Appends the digest of a row to it."""
    return (*values, _digest(values))


def opened(row: Row, written: Callable[[Row], bytes] | None = None) -> Row:
    """Checks the digest of a row and returns the row without it.

    Args:
        row: a tuple whose last item is the digest. Rows of format 1 have None there and are not checked.
        written: function that encodes the values to the bytes of their `repr`; None for the plain `repr`.

    Raises:
        DamagedRow: when the digest does not match the values.
    """
    values, digest = row[:-1], row[-1]
    if digest is not None and digest != _digest(values, written):
        raise DamagedRow("its content does not match its digest")
    return values


def _digest(values: Row, written: Callable[[Row], bytes] | None = None) -> str:
    return blake2b(written(values) if written else _encoded(repr(tuple(values))), digest_size=8).hexdigest()


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


_PLAIN = bytes(set(range(0x20, 0x7F)) - set(b"'\\"))
"""ASCII characters that `repr` of a string does not escape."""


def _repr(values: Row) -> bytes:
    """Encodes the `repr` of a tuple of two or more values; faster than `repr` on long plain text, such as networks' JSON."""
    parts = []
    for value in values:
        text = _encoded(value) if isinstance(value, str) else None
        parts.append(_encoded(repr(value)) if text is None or text.translate(None, _PLAIN) else b"'%b'" % text)
    return b"(%b)" % b", ".join(parts)


def trial_row(t: Trial) -> tuple[Any, ...]:
    """Converts a trial, without its network, to a row."""
    trained_cost = _plain(t.trained_cost.values) if t.trained_cost else None
    return sealed((
        t.number, t.state, t.deployed, t.trained, _plain(t.cost.values), trained_cost, t.seed, t.origin,
        t.attempts, t.lost, t.failure and t.failure.value, t.reason, *_score_row(t.score), _number(t.started), _number(t.ended),
    ))  # fmt: skip


def network_row(t: Trial) -> tuple[Any, ...]:
    """Converts the network of a trial to a row."""
    return sealed((t.number, _plain(t.architecture.to_dict()), _plain(t.decisions)))


def report_row(number: int, r: EpochResult) -> tuple[Any, ...]:
    """Converts one epoch of a trial's learning curve to a row."""
    return sealed((number, r.epoch, _results(r.values), _loss(r.values), _number(r.seconds)))


def confirmation_row(c: Confirmation) -> tuple[Any, ...]:
    """Converts one confirming training to a row."""
    return sealed((c.number, c.seed, c.state, c.failure and c.failure.value, c.reason, *_score_row(c.score)))


def trial_of(row: Row, network: Row, curve: tuple[EpochResult, ...]) -> Trial:
    """Restores a trial from its rows: the inverse of `trial_row` and `network_row`.

    Raises:
        DamagedRow: when a row was changed, or the row of the network is missing.
    """
    if network[0] is None:
        raise DamagedRow("the row of its network is missing")
    _, text, decisions = opened(network, _repr)
    if not isinstance(text, str) or not isinstance(decisions, str):
        raise DamagedRow("its network is not text")
    source = f"trial {row[0]}"  # a row without a digest may hold anything, so its architecture is parsed and checked now
    architecture = (
        Architecture.unread(text, source) if network[-1] is not None else Architecture.from_dict(json.loads(text), source)
    )
    return _trial(row, architecture, _decisions(decisions), curve)


def _decisions(text: str) -> dict[str, Setting]:
    """Parses decisions from JSON. A run has few distinct ones over thousands of trials, so parsed ones are cached."""
    if text[:1] + text[-1:] == "{}":
        with suppress(KeyError):
            return dict(map(_READ.__getitem__, text[1:-1].split(", ")))
    said: dict[str, Setting] = {sys.intern(name): option for name, option in json.loads(text).items()}
    if not set(map(type, said.values())) <= _SETTINGS:
        raise DamagedRow(f"decisions cannot be {text[:60]!r}")
    if len(_READ) > MOST_READ:
        _READ.clear()
    _READ.update({f"{json.dumps(name)}: {json.dumps(option)}": (name, option) for name, option in said.items()})
    return said


_READ: dict[str, tuple[str, Setting]] = {}
"""Cache of decisions (name, option) by their JSON text. Splitting other JSON at its commas never yields such a text."""

MOST_READ = 10_000


def outline_of(row: Row) -> Trial:
    """Restores a trial without its network and learning curve: enough for counts, fronts and the best trial."""
    return _trial(row, UNREAD, {}, ())


_TEXTS, _COUNTS, _TIMES = (1, 2, 3, 7, 11), (0, 6, 9, 14), (15, 16, 17)
"""Positions of a trial's columns that hold text, counts and times."""

_SETTINGS = {int, float, bool, str}
"""Types that the option of a decision may have."""

_STATES = frozenset(get_args(State))


def _check(values: Row) -> None:
    """Checks the types of a trial's columns, because a file that another program wrote may hold anything.

    Raises:
        DamagedRow: when a value has the wrong type; the message names it.
    """
    wrong = [values[n] for n in _TEXTS if not isinstance(values[n], str)]
    wrong += [values[n] for n in _COUNTS if not is_count(values[n])]
    wrong += [values[n] for n in _TIMES if not is_number(values[n])] + [v for v in values[16:18] if not is_time(v)]
    wrong += [values[1]] * (values[1] not in _STATES)
    if wrong:
        raise DamagedRow(f"{str(wrong[0])[:60]!r} is not a valid value")


_decode = json.JSONDecoder().raw_decode


def _read(text: str) -> Any:
    """Parses a value from JSON as `json.loads` does, but without surrounding white space, which `json.dumps` never writes.

    Raises:
        DamagedRow: when other text follows the value.
        ValueError: when the text is not JSON.
        TypeError: when it is not text.
    """
    value, end = _decode(text)
    if end != len(text):
        raise DamagedRow(f"{text[:60]!r} is more than one value")
    return value


def _costs(text: str) -> Cost:
    found = _read(text)
    if not isinstance(found, dict) or not all(isinstance(value, float) or is_number(value) for value in found.values()):
        raise DamagedRow(f"a cost cannot be {text[:60]!r}")
    return Cost(found)


def _trial(row: Row, architecture: Architecture, decisions: Mapping[str, Any], curve: tuple[EpochResult, ...]) -> Trial:
    values = opened(row)
    number, state, deployed, trained, cost, trained_cost, seed, origin, _, lost, failure, reason, *score, started, ended = values
    _check(values)
    return Trial(
        number=number, state=state, architecture=architecture, decisions=decisions, cost=_costs(cost),
        score=_score(score, curve), seed=seed, reason=reason, origin=origin, started=started, ended=ended,
        failure=FailureKind(failure) if failure else None, lost=lost, deployed=deployed, trained=trained,
        trained_cost=_costs(trained_cost) if trained_cost else None,
    )  # fmt: skip


def report_of(row: Row) -> EpochResult:
    """Restores a report from its row: the inverse of `report_row`."""
    number, epoch, results, loss, seconds = opened(row)
    if not is_count(number) or not is_count(epoch) or not (seconds is None or is_number(seconds)):
        raise DamagedRow(f"epoch {str(epoch)[:60]!r} after {str(seconds)[:60]!r} seconds is not a valid report")
    return EpochResult(epoch, _values(results, loss), seconds)


def confirmation_of(row: Row) -> Confirmation:
    """Restores a confirmation from its row: the inverse of `confirmation_row`."""
    number, seed, state, failure, reason, *score = opened(row)
    if not all(map(is_count, (number, seed, score[2]))) or not isinstance(reason, str) or not is_number(score[3]):
        raise DamagedRow(f"the confirmation on seed {str(seed)[:60]!r} has an invalid value")
    return Confirmation(number, seed, state, _score(score, ()), reason, FailureKind(failure) if failure else None)


def _score_row(score: Score | None) -> tuple[Any, ...]:
    if score is None:
        return None, None, 0, 0.0
    return _results(score.values), _loss(score.values), score.epochs, _number(score.seconds)


def _score(values: Row, curve: tuple[EpochResult, ...]) -> Score | None:
    results, loss, epochs, seconds = values
    if results is None:
        return None
    return Score(_values(results, loss), epochs, seconds, curve)


def _plain(values: Mapping[str, Any]) -> str:
    return json.dumps(dict(values))


def _results(values: Mapping[str, float]) -> str:
    return _plain({name: _number(value) for name, value in values.items()})


def _loss(values: Mapping[str, float]) -> float | None:
    """Value of the loss column, which exists for users who query the file with SQL; NULL for a task without a loss."""
    return _number(values.get(LOSS, math.nan))


def _values(results: str, loss: float | None) -> dict[str, float]:
    """Restores the objectives by name; earlier versions stored the loss only in its column, not among the objectives."""
    plain = _read(results)
    if not all(value is None or isinstance(value, float) or is_number(value) for value in (*plain.values(), loss)):
        raise DamagedRow(f"results cannot be {results[:60]!r}")
    found = {sys.intern(name): _nan(value) for name, value in plain.items()}
    return found if LOSS in found or loss is None else {**found, LOSS: loss}


def _number(value: float) -> float | None:
    """Converts a float to the form SQLite returns: -0.0 as 0.0, and NaN, which neither SQLite nor JSON has, as NULL."""
    return None if math.isnan(value) else float(value) + 0.0


def _nan(value: float | None) -> float:
    return math.nan if value is None else value
