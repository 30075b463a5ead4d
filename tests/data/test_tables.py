"""Tables of pictures: Parquet files for real, and the Hub through a module that stands in for `datasets`."""

from __future__ import annotations

import io
import json
import sys
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from dcdnas.data import _decoded, _table, contents, load, load_test, parquet, placed
from dcdnas.errors import DataError, MissingPackageError

NAMES = ("ant", "bee", "cat")


@pytest.fixture(autouse=True)
def own_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DCDNAS_CACHE", str(tmp_path / "cache"))


def picture(value: int, size: int = 12) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (size + 4, size), (value, value, value)).save(file, "PNG")
    return file.getvalue()


def write(path: Path, labels: list[int], first: int = 0, names: tuple[str, ...] = NAMES, plain: bool = False) -> None:
    """Pictures whose grey is their number, as the Hub writes them; `plain` without a structure and without names."""
    pictures = [picture(first + n) for n in range(len(labels))]
    images = pa.array(pictures if plain else [{"bytes": p, "path": None} for p in pictures])
    table = pa.table({"image": images, "label": pa.array(labels, pa.int64())})
    if not plain:
        said = {"info": {"features": {"label": {"names": list(names), "_type": "ClassLabel"}}}}
        table = table.replace_schema_metadata({"huggingface": json.dumps(said)})
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path, row_group_size=2)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "set"
    write(folder / "train-00000-of-00002.parquet", [0, 1, 2], 10)
    write(folder / "train-00001-of-00002.parquet", [2, 1, 0, 0], 20)
    write(folder / "test-00000-of-00001.parquet", [1, 2], 30)
    return folder


def test_the_files_of_a_part_are_read_in_order(root: Path) -> None:
    images = load(f"parquet:{root}/*.parquet", 8)
    assert (images.classes, images.labels.tolist(), images.shape) == (NAMES, [0, 1, 2, 2, 1, 0, 0], (3, 8, 8))
    assert images.pixels[:, 0, 4, 4].tolist() == [10, 11, 12, 20, 21, 22, 23]
    test = load_test(images)
    assert (test.labels.tolist(), test.pixels[:, 0, 0, 0].tolist()) == ([1, 2], [30, 31])


def test_the_name_of_a_file_says_its_part_before_that_of_its_folder(root: Path) -> None:
    moved = root.rename(root.with_name("test-data"))
    images = load(f"parquet:{moved}/*.parquet", 8)
    assert (len(images), load_test(images).labels.tolist()) == (7, [1, 2])


def test_without_a_resolution_the_first_picture_says_it(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert load(f"parquet:{root}/*.parquet").shape == (3, 12, 12)
    monkeypatch.setattr(_table, "LARGEST", 6)
    assert load(f"parquet:{root}/*.parquet").shape == (3, 6, 6)


def test_a_first_picture_that_is_far_too_large_is_named(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 20)
    with pytest.raises(DataError, match=r"row 0: no readable picture \(.*decompression bomb"):
        load(f"parquet:{root}/*.parquet")


def test_classes_without_a_picture_are_said(tmp_path: Path) -> None:
    write(tmp_path / "train.parquet", [2, 2])
    with pytest.raises(DataError, match="no picture of the classes ant, bee"):
        load(f"parquet:{tmp_path}/*.parquet", classes=2)


def test_two_classes_of_one_name_stay_two(tmp_path: Path) -> None:
    write(tmp_path / "train.parquet", [0, 1, 2], names=("crane", "bee", "crane"))
    assert load(f"parquet:{tmp_path}/*.parquet", 8).labels.tolist() == [0, 1, 2]


def test_pictures_are_decoded_once_and_of_some_classes_only_those(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plain, calls = _decoded.decode, []
    monkeypatch.setattr(_decoded, "decode", lambda *a: (calls.append(a), plain(*a))[1])
    some = load(f"parquet:{root}/*.parquet", 8, 2)
    assert (some.classes, some.labels.tolist(), len(calls)) == (("ant", "bee"), [0, 1, 1, 0, 0], 5)
    assert some.pixels[:, 0, 0, 0].tolist() == [10, 11, 21, 22, 23]
    assert torch.equal(load(f"parquet:{root}/*.parquet", 8, 2).pixels, some.pixels)
    assert len(calls) == 5
    assert load_test(some).labels.tolist() == [1]


def test_missing_pictures_are_damaged_ones_which_may_be_left_out(tmp_path: Path) -> None:
    pictures = [None, picture(1), None, picture(3)]
    images = pa.array([p and {"bytes": p, "path": None} for p in pictures])
    pq.write_table(pa.table({"image": images, "label": pa.array([0, 1, 1, 0])}), tmp_path / "train.parquet")
    with pytest.raises(DataError, match=r"(?s)row 0: .*row 2: .*the file is empty.*2 of 4 pictures cannot be read"):
        load(f"parquet:{tmp_path}/*.parquet", 8)
    assert load(f"parquet:{tmp_path}/*.parquet", skip_damaged=2).labels.tolist() == [1, 0]


def test_a_changed_file_is_decoded_again(root: Path) -> None:
    load(f"parquet:{root}/*.parquet", 8)
    write(root / "train-00000-of-00002.parquet", [0, 1, 2, 2], 50)
    assert load(f"parquet:{root}/*.parquet", 8).pixels[0, 0, 0, 0] == 50


def test_a_test_part_without_labels_gives_way_to_the_validation_part(root: Path) -> None:
    write(root / "test-00000-of-00001.parquet", [-1, -1])
    write(root / "validation-00000-of-00001.parquet", [0, 1, 2], 40)
    assert load_test(load(f"parquet:{root}/*.parquet", 8)).labels.tolist() == [0, 1, 2]


def test_parts_may_be_folders_and_pictures_plain_bytes(tmp_path: Path) -> None:
    write(tmp_path / "train" / "a.parquet", [0, 1], plain=True)
    write(tmp_path / "val" / "a.parquet", [1], 5, plain=True)
    images = load(f"parquet:{tmp_path}/*/*.parquet", 8)
    assert (images.classes, images.labels.tolist(), load_test(images).labels.tolist()) == (("0", "1"), [0, 1], [1])


def test_a_large_table_is_read_a_few_rows_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet, "ROWS", 3)
    write(tmp_path / "train.parquet", [n % 3 for n in range(20)])
    assert load(f"parquet:{tmp_path}/*.parquet", 8).pixels[:, 0, 0, 0].tolist() == list(range(20))


def test_the_folder_of_a_space_is_no_part_of_the_pattern(root: Path) -> None:
    moved = root.rename(root.with_name("set [v2] *"))
    assert len(load(placed("parquet:*.parquet", moved), 8)) == 7


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "no labels": ({"image": [picture(1)], "name": ["x"]}, "no column of labels among image, name. Allowed: label"),
    "no pictures": ({"text": ["x"], "label": [0]}, "no column of pictures among text, label"),
    "words": ({"image": [picture(1)], "label": ["ant"]}, "Allowed: whole numbers"),
    "a missing label": ({"image": [picture(1)] * 2, "label": [0, None]}, "Allowed: whole numbers, none missing"),
    "paths": ({"image": ["a.png"], "label": [0]}, "row 0: 'image' holds no encoded picture"),
    "no picture": ({"image": [b"no picture"], "label": [0]}, "row 0: no readable picture"),
    "no label": ({"image": [picture(1)], "label": [-1]}, "no row has a label"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_table_of_something_else_says_what_is_needed(tmp_path: Path, case: str) -> None:
    columns, message = WRONG[case]
    pq.write_table(pa.table(columns), tmp_path / "train.parquet")
    with pytest.raises(DataError, match=message):
        load(f"parquet:{tmp_path}/*.parquet", 8)


def test_files_that_are_missing_or_damaged_are_named(root: Path) -> None:
    with pytest.raises(DataError, match=r"no such file\. Give a pattern"):
        load(f"parquet:{root}/*.arrow")
    with pytest.raises(DataError, match="none of 1 files is the train part"):
        load(f"parquet:{root}/test*.parquet")
    (root / "train-00000-of-00002.parquet").write_bytes(b"PAR1 cut")
    with pytest.raises(DataError, match=r"train-00000-of-00002.parquet: damaged or no Parquet file"):
        load(f"parquet:{root}/*.parquet")


@pytest.mark.parametrize(("name", "package"), [("hf:a/b", "datasets"), ("parquet:x", "pyarrow")])
def test_a_missing_package_names_the_extra(name: str, package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingPackageError, match=rf"{package}.*dcdnas\[hub\]") as error:
        load(name)
    assert error.value.exit_code == 6


class OnTheHub:
    """One part of a data set with the members of `datasets.Dataset` that are used."""

    def __init__(self, labels: list[Any], first: int, folder: Path, decodes: bool = True) -> None:
        self.labels, self.first, self.folder, self.decodes = labels, first, folder, decodes
        self.missing: object = None
        self.column_names = ["img", "label"]
        self.features = {"label": SimpleNamespace(names=list(NAMES))}
        self._fingerprint = f"{labels}{first}"

    def cast_column(self, name: str, feature: SimpleNamespace) -> OnTheHub:
        assert name == "img"
        found = OnTheHub(self.labels, self.first, self.folder, feature.decode)
        found.missing = self.missing
        return found

    def __getitem__(self, key: str | int) -> Any:
        if isinstance(key, str):
            return [getattr(self, f"{key}s")[n] for n in range(len(self.labels))]
        assert not self.decodes
        content = picture(self.first + key) if self.labels[key] < 9 else b""
        if not content:
            return {"img": self.missing}
        if key % 2:
            return {"img": {"bytes": content, "path": "name.png"}}
        (self.folder / f"{self.first + key}.png").write_bytes(content)
        return {"img": {"bytes": None, "path": str(self.folder / f"{self.first + key}.png")}}


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, OnTheHub]:
    parts: dict[str, OnTheHub] = {"train": OnTheHub([0, 1, 2, 0], 10, tmp_path), "validation": OnTheHub([2, 1], 60, tmp_path)}

    def load_dataset(name: str, revision: str | None = None) -> dict[str, OnTheHub]:
        if name != "me/set":
            raise FileNotFoundError(f"{name} is not on the Hub")
        if revision not in (None, "v1"):
            raise FileNotFoundError(f"{name} has no revision {revision}")
        return parts

    module = ModuleType("datasets")
    module.__spec__ = ModuleSpec("datasets", None)
    vars(module).update(load_dataset=load_dataset, Image=lambda decode: SimpleNamespace(decode=decode))
    monkeypatch.setitem(sys.modules, "datasets", module)
    return parts


def test_a_data_set_of_the_hub_is_decoded_like_any_other(hub: dict[str, OnTheHub]) -> None:
    images = load("hf:me/set", 8)
    assert (images.classes, images.labels.tolist()) == (NAMES, [0, 1, 2, 0])
    assert images.pixels[:, 0, 0, 0].tolist() == [10, 11, 12, 13]
    assert load_test(images).labels.tolist() == [2, 1]
    assert load("hf:me/set", 8, 2).pixels[:, 0, 0, 0].tolist() == [10, 11, 13]


def test_a_data_set_of_the_hub_may_be_of_a_revision(hub: dict[str, OnTheHub]) -> None:
    assert load("hf:me/set@v1", 8).labels.tolist() == [0, 1, 2, 0]
    with pytest.raises(DataError, match=r"hf:me/set@v2: .* me/set has no revision v2"):
        load("hf:me/set@v2", 8)


def test_the_classes_of_a_table_are_known_without_its_pictures(
    root: Path, hub: dict[str, OnTheHub], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_table, "kept", None)  # nothing is decoded
    assert contents(f"parquet:{root}/*.parquet") == contents("hf:me/set") == (3, 3)
    with pytest.raises(DataError, match="none of 1 files is the train part"):
        contents(f"parquet:{root}/test*.parquet")


@pytest.mark.parametrize("missing", [None, {"bytes": None, "path": None}])
def test_a_row_of_the_hub_without_a_picture_is_named_and_may_be_left_out(hub: dict[str, OnTheHub], missing: object) -> None:
    hub["train"].labels[2], hub["train"].features["label"].names = 9, [f"class {n}" for n in range(10)]
    hub["train"].missing = missing
    with pytest.raises(DataError, match=r"hf:me/set, train, row 2: no readable picture \(the file is empty\)"):
        load("hf:me/set", 8)
    assert load("hf:me/set", 8, skip_damaged=1).labels.tolist() == [0, 1, 0]


@pytest.mark.parametrize(
    ("labels", "found"),
    [
        (["ant", "bee"], "are text"),
        ([0, None], "are text or lists, or some are missing"),
        ([[0, 1], [2]], "are text or lists, or some are missing"),
        ([[0, 1], [1, 2]], r"are int64 of shape \(2, 2\)"),
    ],
)
def test_labels_of_the_hub_that_are_no_whole_numbers_are_refused(hub: dict[str, OnTheHub], labels: list[Any], found: str) -> None:
    hub["train"].labels = labels
    with pytest.raises(DataError, match=f"hf:me/set, train: the labels in 'label' {found}. Allowed: whole numbers"):
        load("hf:me/set", 8)


def test_a_data_set_that_the_hub_does_not_have_says_so(hub: dict[str, OnTheHub]) -> None:
    with pytest.raises(DataError, match=r"me/sett is not on the Hub\. Look at the name"):
        load("hf:me/sett")
    del hub["train"]
    with pytest.raises(DataError, match=r"has validation\. Needed for train"):
        load("hf:me/set")
