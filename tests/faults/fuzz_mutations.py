"""The fuzzer's mutations of valid files: changed bytes, changed values, and changed cells of a run's database."""

from __future__ import annotations

import copy
import json
import random
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from dcdnas.engine import _rows as rows

Step = tuple[int, int, int]
"""Kind of a change, its relative position (of 2^16), and a value."""

MOST = 4
"""Maximum number of changes of a file."""

STEPS = st.lists(st.tuples(st.integers(0, 2**8), st.integers(0, 2**16 - 1), st.integers(0, 2**16)), min_size=0, max_size=MOST)
"""Hypothesis strategy for lists of changes; fewer changes count as simpler."""


def any_step(rng: random.Random) -> Step:
    """Draws a random change."""
    return rng.randint(0, 2**8), rng.randrange(2**16), rng.randint(0, 2**16)


ODD: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 2, 2**31, 2**63, 2**64, 10**40, 10**400, -(10**400), 0.5, -0.0, 1e-320, 1e308, -1e308,
    float("nan"), float("inf"), "", "x", "0", "1e999", "\x00", "a\u202eb\x1b[2J", "x" * 5000, [], {}, [[]], [None], [1, [2, [3]]],
    {"": None}, {"a": {"b": {}}}, [0] * 300, "../../etc/passwd", "*", "a.b", "auto", "fit", ["fit"], {"share": "block"},
    {"*": [3]}, "1:30", "no",
)  # fmt: skip
"""Values that have caused faults in readers."""

BYTES = (
    b"\x00", b"\xff", b"\xff" * 4, b"\x7f\xff\xff\xff", b"\x80\x00\x00\x00", b"[" * 200, b"{", b"}", b"\n", b'"', b": ", b"\xc3",
    b"9" * 400, b"-",
)  # fmt: skip
"""Bytes that have caused faults in readers."""


def changed_bytes(content: bytes, steps: Sequence[Step]) -> bytes:
    """Flips bits, and sets, inserts, deletes, repeats and truncates bytes."""
    made = bytearray(content)
    for kind, where, value in steps:
        at = where * len(made) // 2**16
        piece = BYTES[value % len(BYTES)]
        match kind % 7:
            case 0 if made:
                made[at] ^= 1 << value % 8
            case 1 if made:
                made[at] = value % 256
            case 2:
                made[at:at] = piece
            case 3:
                made[at : at + len(piece)] = piece
            case 4:
                del made[at : at + 1 + value % 64]
            case 5:
                made[at:at] = made[at : at + 1 + value % 256]
            case 6:
                del made[at:]
    return bytes(made)


def changed_values(content: bytes, steps: Sequence[Step]) -> bytes:
    """Replaces, removes and adds values in JSON (which is also valid YAML), or changes bytes of its text."""
    data = json.loads(content)
    in_text: list[Step] = []
    for kind, where, value in steps:
        if kind % 8 == 7:
            in_text.append((value, where, kind))
            continue
        places = list(_places(data))
        if not places:
            continue
        inside, key = places[where * len(places) // 2**16]
        odd = copy.deepcopy(ODD[value % len(ODD)])
        match kind % 7:
            case 0 | 1 | 2:
                inside[key] = odd
            case 3:
                del inside[key]
            case 4 if isinstance(inside, dict):
                inside[str(odd)[:50]] = inside.pop(key)
            case 5:
                other, name = places[value % len(places)]
                inside[key] = json.loads(json.dumps(other[name]))
            case _:
                inside[key] = [inside[key]]
    return changed_bytes(json.dumps(data).encode("utf-8", "surrogatepass"), in_text)


def _places(data: Any) -> Any:
    """Yields every pair of a list or object and one of its keys."""
    keys = list(data) if isinstance(data, dict) else range(len(data)) if isinstance(data, list) else ()
    for key in keys:
        yield data, key
        yield from _places(data[key])


CELLS = (
    None, -1, 0, 2**62, 1e300, float("inf"), "", "x", "{", "[]", "{}", "[" * 1000, '{"a": []}', '{"accuracy": null}', "NaN",
    b"\xff", "finished", "failed", "x" * 3000,
)  # fmt: skip
"""Cells that have caused faults in readers."""


TABLES = ("meta", "trials", "networks", "reports", "confirmations")


def changed_memory(path: Path, steps: Sequence[Step]) -> None:
    """Changes a run's database in place: replaces cells, often with a matching digest, removes rows, or changes bytes."""
    in_file = [step for step in steps if step[0] % 4 == 3]
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        for kind, where, value in (step for step in steps if step[0] % 4 != 3):
            table = TABLES[kind // 4 % len(TABLES)]
            names = [column[1] for column in db.execute(f"PRAGMA table_info({table})")]
            found = db.execute(f"SELECT * FROM {table}").fetchall()
            if not found:
                continue
            row = list(found[where * len(found) // 2**16])
            before, at = list(row), value % len(names)
            row[at] = CELLS[value // len(names) % len(CELLS)]
            if kind % 4 and names[-1] == "digest" and at != len(names) - 1:
                row = list(rows.sealed(row[:-1]))
            keys = 2 if table in ("reports", "confirmations") else 1
            here = " AND ".join(f"{name} = ?" for name in names[:keys])
            try:
                db.execute(f"DELETE FROM {table} WHERE {here}", before[:keys])
                db.execute(f"INSERT INTO {table} VALUES ({','.join('?' * len(row))})", row)
            except sqlite3.Error:  # SQLite refuses the cell, so no file can contain it
                continue
    if in_file:
        path.write_bytes(changed_bytes(path.read_bytes(), [(value, where, kind // 4) for kind, where, value in in_file]))


Change = Callable[[bytes, Sequence[Step]], bytes]
