"""Parquet files of pictures as the Hugging Face Hub keeps them: ``parquet:GLOB``, e.g. ``parquet:/data/set/*.parquet``.

A file belongs to the part with which its name or its folder's name begins: ``train``; ``test``, else ``validation``. A picture is
its encoded bytes, or a structure with the field ``bytes``; a label is a whole number. The pictures are decoded once, as for the
source `folder`. Needs pyarrow, which comes with Ray.
"""

from __future__ import annotations

import glob
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from dcdnas.core.extras import need
from dcdnas.core.json_files import parse_json
from dcdnas.data._base import Contents, Part, Raw, Source
from dcdnas.data._decoded import state_of
from dcdnas.data._limits import check_bytes
from dcdnas.data._picture import Picture
from dcdnas.data._table import IMAGE_COLUMNS, LABEL_COLUMNS, PARTS, Table, column, contents_of, read_tables, whole_numbers
from dcdnas.errors import DataError, FileError

if TYPE_CHECKING:
    from pyarrow.parquet import ParquetFile

__all__ = ["Parquet"]

ROWS = 256
"""Number of rows that are read at a time."""


class Parquet(Source):
    """Pictures in Parquet files whose names begin with train, and test or validation, as on the Hugging Face Hub."""

    ARGUMENT = "GLOB"
    DECODES = True

    def read(self, part: Part, resolution: int = 0, classes: int = 0) -> Raw:
        """Maps the decoded pictures of one part into memory; decodes them at the first call."""
        files = self._files()
        train = self._tables(files, "train") if part == "test" else ()
        return read_tables(self._tables(files, part), resolution, classes, self.skip, train, self.grey_range)

    def contents(self) -> Contents:
        """Reads only the labels; no picture is opened."""
        return contents_of(self._tables(self._files(), "train"))

    def _files(self) -> list[Path]:
        need("hub", f"data from parquet:{self.argument}", "pyarrow")
        files = sorted(Path(name) for name in glob.glob(str(Path(self.argument).expanduser()), recursive=True))
        if not files:
            raise DataError(f"parquet:{self.argument}: no such file. Give a pattern, like 'parquet:/data/set/*.parquet'.")
        return files

    def _tables(self, files: Sequence[Path], part: Part) -> list[Table]:
        tables = [_table(found) for word in PARTS[part] if (found := [file for file in files if _word(file) == word])]
        if not tables:
            names = f"a name or folder that begins with {', '.join(PARTS[part])}"
            raise DataError(f"parquet:{self.argument}: none of {len(files)} files is the {part} part. Needed: {names}.")
        return tables


def _word(file: Path) -> str:
    """The word of `PARTS` with which the file's name begins, or else its folder's name; empty when neither begins with one."""
    words = [word for words in PARTS.values() for word in words]
    names = (name.lower() for name in (file.name, file.parent.name))
    return next((word for name in names for word in words if re.match(f"{word}([^a-z]|$)", name)), "")


def _table(files: Sequence[Path]) -> Table:
    opened = [_opened(file) for file in files]
    label = column(str(files[0]), opened[0].schema_arrow.names, LABEL_COLUMNS, "labels")
    check_bytes(f"{files[0].parent}: {label}", 8 * sum(file.metadata.num_rows for file in opened))
    try:
        columns = [file.read(columns=[label])[label].to_numpy() for file in opened]
    except (*_DAMAGED, KeyError) as error:
        raise DataError(f"{files[0]} and those beside it: damaged, or of different columns ({error}). Get them again.") from None
    labels = whole_numbers(str(files[0]), label, np.concatenate(columns))
    starts = np.cumsum([0, *map(len, columns)])

    def pictures(rows: NDArray[Any]) -> Iterable[Picture]:
        for file, start, end in zip(files, starts[:-1], starts[1:], strict=True):
            yield from _pictures(file, rows[(rows >= start) & (rows < end)] - start)

    return Table(str(files[0].parent), state_of(files), labels, _classes(opened[0], label), pictures)


_DAMAGED = (OSError, ValueError, TypeError, ArithmeticError, NotImplementedError, RuntimeError, MemoryError)
"""Base classes of pyarrow's exceptions; most derive from ValueError."""


def _opened(file: Path) -> ParquetFile:
    from pyarrow.parquet import ParquetFile

    try:
        return ParquetFile(file)
    except _DAMAGED as error:
        raise DataError(f"{file}: damaged or no Parquet file ({error}). Get the file again.") from None


def _pictures(path: Path, rows: NDArray[Any]) -> Iterator[Picture]:
    """Yields the pictures of some rows, with at most `ROWS` rows in memory at a time."""
    if not len(rows):
        return
    file, wanted, number = _opened(path), set(rows.tolist()), 0
    image = column(str(path), file.schema_arrow.names, IMAGE_COLUMNS, "pictures")
    for batch in _batches(path, file, image):
        for value in batch:
            if number in wanted:
                content = value.as_py()
                content = content.get("bytes") if isinstance(content, dict) else content
                content = b"" if content is None else content  # a missing picture is a damaged one, which may be left out
                if not isinstance(content, bytes):
                    raise DataError(f"{path}: row {number}: {image!r} holds no encoded picture. Needed: its bytes.")
                yield f"{path}: row {number}", content
            number += 1
        if number > rows[-1]:
            return


def _batches(path: Path, file: ParquetFile, image: str) -> Iterator[Any]:
    """Yields the column of pictures, some rows at a time, after checking the unpacked size of each row group.

    The size of the whole group is checked, because asking for the size of one column of a damaged file crashes the process.
    """
    for group in range(file.metadata.num_row_groups):
        check_bytes(f"{path}: {image}", file.metadata.row_group(group).total_byte_size)
    batches = file.iter_batches(ROWS, columns=[image])
    while True:
        try:
            batch = next(batches, None)
        except _DAMAGED as error:
            raise DataError(f"{path}: damaged ({error}). Get the file again.") from None
        if batch is None:
            return
        yield batch.column(0)


def _classes(file: ParquetFile, label: str) -> tuple[str, ...]:
    """The class names if the file's metadata from the Hub contains them, else empty."""
    try:
        said = parse_json((file.schema_arrow.metadata or {})[b"huggingface"].decode(), "huggingface")
        return tuple(said["info"]["features"][label]["names"])
    except (FileError, KeyError, TypeError, ValueError):
        return ()
