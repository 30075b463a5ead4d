"""A data set of the Hugging Face Hub: ``hf:NAME``, e.g. ``hf:zh-plus/tiny-imagenet``. Needs the extra ``hub``.

``hf:NAME@REVISION`` pins a commit or tag, so that the data cannot change between runs. The package `datasets` downloads the data
set at the first use and keeps it in its own cache; code in a data set is never run. The pictures are decoded once, as for the
source `folder`.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dcdnas.core.extras import need
from dcdnas.data._base import Contents, Part, Raw, Source
from dcdnas.data._limits import PICTURES, check_bytes
from dcdnas.data._picture import Picture
from dcdnas.data._table import IMAGE_COLUMNS, LABEL_COLUMNS, PARTS, Table, column, contents_of, read_tables, whole_numbers
from dcdnas.errors import DataError

__all__ = ["Hf"]


class Hf(Source):
    """A data set of pictures from the Hugging Face Hub, fetched by the package datasets (extra hub) when first used."""

    ARGUMENT = "NAME"
    DECODES = True

    def read(self, part: Part, resolution: int = 0, classes: int = 0) -> Raw:
        """Maps the decoded pictures of one part into memory; downloads and decodes them at the first call."""
        parts = self._parts()
        train = self._tables(parts, "train") if part == "test" else ()
        return read_tables(self._tables(parts, part), resolution, classes, self.skip, train, self.grey_range)

    def contents(self) -> Contents:
        """Reads only the labels; no picture is opened."""
        return contents_of(self._tables(self._parts(), "train"))

    def _parts(self) -> Any:
        need("hub", f"data from hf:{self.argument}", "datasets")
        import datasets

        name, _, revision = self.argument.partition("@")
        try:
            return datasets.load_dataset(name, revision=revision or None)
        except Exception as error:  # raised by another package, which does not document its errors
            raise DataError(
                f"hf:{self.argument}: cannot be fetched or read: {error}. Look at the name and the network."
            ) from None

    def _tables(self, parts: Any, part: Part) -> list[Table]:
        tables = [self._table(parts[word], word) for word in PARTS[part] if word in parts]
        if not tables:
            raise DataError(f"hf:{self.argument}: has {', '.join(parts)}. Needed for {part}: one of {', '.join(PARTS[part])}.")
        return tables

    def _table(self, data: Any, word: str) -> Table:
        from datasets import Image

        where = f"hf:{self.argument}, {word}"
        label = column(where, data.column_names, LABEL_COLUMNS, "labels")
        image = column(where, data.column_names, IMAGE_COLUMNS, "pictures")
        encoded = data.cast_column(image, Image(decode=False))

        def pictures(rows: NDArray[Any]) -> Iterable[Picture]:
            for row in rows.tolist():
                found = encoded[row][image] or {}
                content = found.get("bytes") or (_file(found["path"]) if found.get("path") else b"")
                yield f"{where}, row {row}", content  # without content a damaged one, which may be left out

        names = getattr(data.features[label], "names", None) or ()
        labels = whole_numbers(where, label, _array(list(data[label])))
        return Table(where, f"{where}\0{data._fingerprint}", labels, tuple(names), pictures)


def _array(values: list[Any]) -> NDArray[Any]:
    """Returns the values of a column as an array, of objects where they are lists of different lengths."""
    try:
        return np.array(values)
    except ValueError:
        return np.array(values, object)


def _file(path: str) -> bytes:
    try:
        check_bytes(path, os.stat(path).st_size, PICTURES)
        with open(path, "rb") as file:
            return file.read()
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or error}. Fetch the data set again.") from None
