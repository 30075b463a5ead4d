"""Defines the tables of ``run.db`` in format 2, and views that show a file of format 1 as format 2."""

from __future__ import annotations

import json
import sqlite3

from dcdnas.engine.formats import FORMAT

TABLES = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE trials (
    number INTEGER PRIMARY KEY, state TEXT NOT NULL, deployed TEXT NOT NULL, trained TEXT NOT NULL, cost TEXT NOT NULL,
    trained_cost TEXT, seed INTEGER NOT NULL, origin TEXT NOT NULL, attempts INTEGER NOT NULL, lost INTEGER NOT NULL,
    failure TEXT, reason TEXT NOT NULL, results TEXT, loss REAL, epochs INTEGER NOT NULL, seconds REAL NOT NULL,
    started REAL NOT NULL, ended REAL NOT NULL, digest TEXT NOT NULL
);
CREATE TABLE networks (
    number INTEGER PRIMARY KEY, architecture TEXT NOT NULL, decisions TEXT NOT NULL, digest TEXT NOT NULL
);
CREATE TABLE reports (
    number INTEGER NOT NULL, epoch INTEGER NOT NULL, results TEXT NOT NULL, loss REAL, seconds REAL NOT NULL,
    digest TEXT NOT NULL, PRIMARY KEY (number, epoch)
) WITHOUT ROWID;
CREATE TABLE confirmations (
    number INTEGER NOT NULL, seed INTEGER NOT NULL, state TEXT NOT NULL, failure TEXT, reason TEXT NOT NULL, results TEXT,
    loss REAL, epochs INTEGER NOT NULL, seconds REAL NOT NULL, digest TEXT NOT NULL, PRIMARY KEY (number, seed)
) WITHOUT ROWID;
CREATE TABLE weights (
    number INTEGER NOT NULL, seed INTEGER NOT NULL, file TEXT NOT NULL, sha256 TEXT NOT NULL, state TEXT NOT NULL,
    PRIMARY KEY (number, seed)
) WITHOUT ROWID;
CREATE INDEX trials_state ON trials (state);
"""

_AS_FORMAT_2 = """
CREATE TEMP VIEW trials AS SELECT number, state, digest AS deployed, digest AS trained, cost, NULL AS trained_cost, seed, origin,
    state IN ('finished', 'stopped', 'failed') AS attempts, attempt - 1 AS lost, NULL AS failure, reason,
    by_name(accuracy) AS results, loss, epochs, seconds, started, ended, NULL AS digest FROM main.trials;
CREATE TEMP VIEW networks AS SELECT number, architecture, decisions, NULL AS digest FROM main.trials;
CREATE TEMP VIEW reports AS SELECT number, epoch, by_name(ifnull(accuracy, 'nan')) AS results, loss, seconds, NULL AS digest
    FROM main.reports;
CREATE TEMP VIEW confirmations AS SELECT number, seed, state, NULL AS failure, reason, by_name(accuracy) AS results, loss, epochs,
    seconds, NULL AS digest FROM main.confirmations;
"""


def create(db: sqlite3.Connection) -> None:
    """Creates the tables of a new file."""
    _run(db, TABLES)
    db.execute(f"PRAGMA user_version = {FORMAT}")


def foreign(db: sqlite3.Connection) -> str:
    """Describes the first object in a file that is neither a plain table nor an index; empty when there is none.

    A view, trigger, virtual table or computed column could run its author's code or return rows without end.
    """
    found = db.execute(
        "SELECT type, name FROM sqlite_master WHERE type NOT IN ('table', 'index') OR sql LIKE 'CREATE VIRTUAL%' UNION ALL "
        "SELECT 'computed column', m.name FROM sqlite_master m, pragma_table_xinfo(m.name) c "
        "WHERE m.type = 'table' AND c.hidden LIMIT 1"
    ).fetchone()
    return f"the {found[0]} {str(found[1])[:60]!r}" if found else ""


def found_format(db: sqlite3.Connection) -> str:
    """The format that a file states, as text; this need not be a number. Empty when it states none."""
    stated = db.execute("PRAGMA user_version").fetchone()[0]
    if stated:
        return str(stated)
    told = db.execute("SELECT value FROM meta WHERE key = 'version'").fetchall()  # format 1 kept it here
    return str(told[0][0]) if told else ""


def show_as_format_2(db: sqlite3.Connection) -> None:
    """Shadows the tables of a file of format 1 by views, so that it can be read like a file of format 2.

    Format 1 stored neither row digests nor the kinds of failures; both are NULL in the views.
    """
    db.create_function("by_name", 1, _by_name, deterministic=True)
    _run(db, _AS_FORMAT_2)


def _by_name(accuracy: float | str | None) -> str | None:
    """The results of format 1, whose only objective was the accuracy, as JSON by name.

    SQLite's own JSON functions would keep fewer digits.
    """
    if accuracy is None:
        return None
    return json.dumps({"accuracy": accuracy if isinstance(accuracy, float) else None})


def _run(db: sqlite3.Connection, statements: str) -> None:
    for statement in filter(str.strip, statements.split(";")):
        db.execute(statement)
