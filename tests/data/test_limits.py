"""The budget of bytes: whatever a header claims or an archive unpacks to, readers say so instead of filling the memory."""

from __future__ import annotations

import gzip
import io
import struct
import subprocess
import sys
import tarfile
import zlib
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from dcdnas.data import load, load_sized
from dcdnas.data._limits import check_bytes, limit
from dcdnas.errors import DataError, UsageError


@pytest.fixture(autouse=True)
def own_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DCDNAS_CACHE", str(tmp_path / "cache"))


@pytest.mark.parametrize(
    ("said", "meant"), [("8GB", 8 * 10**9), ("1.5 MiB", 3 * 2**19), ("4096", 4096), ("2kb", 2000), ("1 TiB", 2**40)]
)
def test_the_budget_is_what_the_environment_says(monkeypatch: pytest.MonkeyPatch, said: str, meant: int) -> None:
    monkeypatch.setenv("DCDNAS_DATA_LIMIT", said)
    assert limit() == meant
    check_bytes("x", meant)
    with pytest.raises(DataError, match=r"x: unpacks to .* Allowed"):
        check_bytes("x", meant + 1)


def test_without_a_word_the_budget_is_half_of_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DCDNAS_DATA_LIMIT", raising=False)
    assert 2**28 < limit() < 2**50


@pytest.mark.parametrize("said", ["lots", "GB", "-", "1XB", "1e999GB"])
def test_a_budget_that_is_no_number_of_bytes_is_refused(monkeypatch: pytest.MonkeyPatch, said: str) -> None:
    monkeypatch.setenv("DCDNAS_DATA_LIMIT", said)
    with pytest.raises(UsageError, match="no number of bytes"):
        limit()


def idx_files(folder: Path, images: bytes) -> str:
    (folder / "train-images-idx3-ubyte.gz").write_bytes(images)
    (folder / "train-labels-idx1-ubyte.gz").write_bytes(gzip.compress(struct.pack(">2I", 0x801, 1) + b"\0"))
    return f"fashion-mnist:{folder}"


def test_an_idx_file_is_refused_by_its_header(tmp_path: Path) -> None:
    name = idx_files(tmp_path, gzip.compress(struct.pack(">4I", 0x803, 4 << 20, 32, 32) + bytes(9)))
    with pytest.raises(DataError, match=r"train-images-idx3-ubyte\.gz: unpacks to 4,294,967,296 bytes"):
        load(name)


def test_an_idx_file_that_goes_on_is_not_read_to_its_end(tmp_path: Path) -> None:
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    content = packer.compress(struct.pack(">4I", 0x803, 1, 2, 2)) + packer.compress(bytes(2**24)) + packer.flush()
    with pytest.raises(DataError, match="more bytes of data where its header says 4"):
        load(idx_files(tmp_path, content))


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:bz2", "w:xz"])
@pytest.mark.parametrize("kind", [tarfile.XHDTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.REGTYPE])
def test_a_tar_member_of_any_kind_is_read_up_to_the_limit_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: str, kind: bytes
) -> None:
    monkeypatch.setattr("dcdnas.data._cifar.LARGEST", 100_000)
    with tarfile.open(tmp_path / "cifar-10-binary.tar.gz", mode) as archive:
        member = tarfile.TarInfo("cifar-10-batches-bin/data_batch_1.bin")
        member.type, member.size = kind, 300_000
        archive.addfile(member, io.BytesIO(bytes(300_000)))
    with pytest.raises(DataError, match="unpacks to"):
        load(f"cifar10:{tmp_path}")


def test_a_file_of_cifar_that_is_far_too_large_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / "data_batch_1.bin").open("wb") as file:
        file.truncate(2**33)
    with pytest.raises(DataError, match=r"data_batch_1\.bin: unpacks to 8,589,934,592 bytes"):
        load(f"cifar10:{tmp_path}")


def parquet(path: Path, rows: int, picture: bytes) -> str:
    table = pa.table({"image": pa.array([picture] * rows), "label": pa.array([n % 2 for n in range(rows)], pa.int64())})
    pq.write_table(table, path / "train.parquet", compression="zstd", use_dictionary=False)
    return f"parquet:{path}/*.parquet"


def test_a_parquet_file_is_refused_by_what_its_columns_unpack_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = parquet(tmp_path, 4, bytes(500_000))
    monkeypatch.setenv("DCDNAS_DATA_LIMIT", "1MB")
    with pytest.raises(DataError, match=r"train\.parquet: image: unpacks to 2,000,\d+ bytes"):
        load(name, 8)
    monkeypatch.setenv("DCDNAS_DATA_LIMIT", "31")
    with pytest.raises(DataError, match="label: unpacks to 32 bytes"):
        load(name, 8)


def test_a_parquet_file_whose_middle_is_damaged_is_named(tmp_path: Path) -> None:
    file = io.BytesIO()
    Image.effect_noise((64, 64), 90).save(file, "PNG")
    name, path = parquet(tmp_path, 8, file.getvalue()), tmp_path / "train.parquet"
    content = bytearray(path.read_bytes())
    content[40:400] = bytes(360)
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"train\.parquet"):
        load(name, 8)


FOOTERS = """
import sys
from pathlib import Path

import numpy as np

from dcdnas.data import parquet
from dcdnas.errors import DcdnasError

path = Path(sys.argv[1])
content = path.read_bytes()
for at in range(len(content) - int.from_bytes(content[-8:-4], "little") - 8, len(content)):
    path.write_bytes(content[:at] + bytes([content[at] ^ 2]) + content[at + 1 :])
    try:
        list(parquet._table([path]).pictures(np.arange(2)))
    except DcdnasError:
        continue
"""


def test_no_damaged_footer_of_a_parquet_file_ends_the_process(tmp_path: Path) -> None:
    """Some of pyarrow's functions do so where others raise."""
    parquet(tmp_path, 2, b"no picture")
    run = subprocess.run([sys.executable, "-c", FOOTERS, str(tmp_path / "train.parquet")], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr


def test_images_are_not_resized_to_more_than_a_data_set_may_take(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DCDNAS_DATA_LIMIT", "100MB")
    with pytest.raises(DataError, match="fashion-mini: train part at 4000x4000: unpacks to 128,000,000,000 bytes"):
        load("fashion-mini", 4000)
    with pytest.raises(DataError, match="fashion-mini at 4000x3000: unpacks to 96,000,000,000 bytes"):
        load_sized("fashion-mini", 4000, 3000)
