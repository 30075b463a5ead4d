"""Small files of a run, written whole or not at all."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from uuid import uuid4

from dcdnas.errors import Resumable, RunError


def write_whole(path: Path, text: str) -> None:
    """Writes a file so that a reader, and a crash at any moment, finds the old content or the new one.

    Raises:
        Resumable: when the disk is full.
        RunError: when the folder cannot be written to.
    """
    temporary = path.with_name(f".{path.name}.{uuid4().hex[:8]}")
    try:
        with temporary.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise Resumable(f"{path}: {error.strerror}. Nothing that was written is lost: free some space, then go on.") from None
        raise RunError(f"{path}: cannot be written: {error.strerror or error}. Give a folder that you may write to.") from None


def runs_folder() -> Path:
    """Where runs are: ``DCDNAS_RUNS``, else ``runs/`` in the working folder."""
    return Path(os.environ.get("DCDNAS_RUNS") or "runs").expanduser()
