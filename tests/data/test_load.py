"""From a data set's name to images: every source at a tiny archive of its own, and what is said when it is damaged."""

from __future__ import annotations

import gzip
import io
import struct
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dcdnas.data import Source, contents, load, load_test, open_source, placed, sources
from dcdnas.data._base import Part, Raw
from dcdnas.data.cifar10 import Cifar10
from dcdnas.data.cifar100 import Cifar100
from dcdnas.errors import DataError, UnknownNameError, UsageError

RNG = np.random.default_rng(0)


@pytest.fixture(autouse=True)
def no_folders_of_this_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("DCDNAS_DATA", raising=False)
    monkeypatch.setattr("dcdnas.data.fashion_mnist.DEBIAN", tmp_path / "none")


def bytes_of(*shape: int) -> np.ndarray[Any, Any]:
    return RNG.integers(0, 256, shape, dtype=np.uint8)


def idx(array: np.ndarray[Any, Any], magic: int | None = None) -> bytes:
    head = 0x0800 + array.ndim if magic is None else magic
    return struct.pack(f">{1 + array.ndim}I", head, *array.shape) + array.tobytes()


def write_fashion(folder: Path, n: int = 6) -> np.ndarray[Any, Any]:
    folder.mkdir(parents=True, exist_ok=True)
    pixels = bytes_of(n, 28, 28)
    for stem in ("train", "t10k"):
        (folder / f"{stem}-images-idx3-ubyte.gz").write_bytes(gzip.compress(idx(pixels)))
        (folder / f"{stem}-labels-idx1-ubyte.gz").write_bytes(gzip.compress(idx(np.arange(n, dtype=np.uint8) % 10)))
    return pixels


def cifar_files(labels: int) -> dict[str, bytes]:
    """Two records a file: label bytes, then a red, a green and a blue plane of one value each."""
    record = bytes(range(1, labels + 1)) + bytes([10] * 1024 + [20] * 1024 + [30] * 1024)
    names = [*(f"data_batch_{n}.bin" for n in range(1, 6)), "test_batch.bin"] if labels == 1 else ["train.bin", "test.bin"]
    return dict.fromkeys(names, record * 2)


def write_tar(path: Path, files: dict[str, bytes], folder: str) -> None:
    with tarfile.open(path, "w:gz") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(f"{folder}/{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))


@pytest.fixture
def two_images_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    for source in (Cifar10, Cifar100):
        monkeypatch.setattr(source, "IMAGES", {"train": 2, "test": 2})


def test_every_source_says_what_it_is_and_what_its_argument_is() -> None:
    for name in sources:
        assert sources[name].__doc__
        assert sources[name].ARGUMENT in ("", "DIR", "[DIR]", "FILE", "GLOB", "NAME"), name


def test_an_unknown_data_set_suggests_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'fashion-mini'"):
        load("fashion-mimi")


@pytest.mark.parametrize(
    ("name", "message"),
    [("fashion-mini:/data", "takes no argument"), ("folder", "Write folder:DIR"), ("npz:", "Write npz:FILE"),
     ("cifar10:", "Write cifar10:DIR")],
)  # fmt: skip
def test_an_argument_that_is_missing_or_not_wanted_is_refused(name: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        open_source(name)


def test_a_negative_resolution_is_refused() -> None:
    with pytest.raises(UsageError, match="resolution cannot be -1"):
        load("fashion-mini", -1)


def test_every_source_of_a_missing_place_says_where_it_looked_and_exits_with_7(tmp_path: Path) -> None:
    for name in sources:
        if sources[name].ARGUMENT not in ("", "NAME"):
            with pytest.raises(DataError) as error:
                load(f"{name}:{tmp_path / 'nowhere'}")
            assert str(tmp_path / "nowhere") in str(error.value)
            assert error.value.exit_code == 7


class Own(Source):
    """A source that only reads."""

    def read(self, part: Part, resolution: int = 0, classes: int = 0) -> Raw:
        """Two images of five channels."""
        return Raw(bytes_of(2, 5, 4, 4), np.array([0, 1]), ("a", "b", "without images"))


def test_a_source_that_does_not_know_its_contents_reads_them(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Own().contents() == (5, 3)
    assert contents("fashion-mini") == (1, 10)

    def unreadable(self: Own) -> None:
        raise PermissionError(13, "not allowed", "a file")

    monkeypatch.setattr(sources["fashion-mini"], "contents", unreadable)
    with pytest.raises(DataError, match="fashion-mini: a file: not allowed"):
        contents("fashion-mini")


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("folder:set", "folder:spaces/set"),
        ("npz:./a.npz", "npz:spaces/a.npz"),
        ("parquet:a/*.parquet", "parquet:spaces/a/*.parquet"),
        ("cifar10:old", "cifar10:spaces/old"),
        ("cifar10", "cifar10"),
        ("folder:/data/set", "folder:/data/set"),
        ("folder:~/set", "folder:~/set"),
        ("hf:me/set", "hf:me/set"),
        ("fashion-mini", "fashion-mini"),
    ],
)
def test_a_relative_path_is_found_from_a_folder_and_other_names_stay(name: str, found: str) -> None:
    assert placed(name, Path("spaces")) == found


# Fashion-MNIST


def test_fashion_mnist_is_read_from_its_gzipped_files(tmp_path: Path) -> None:
    pixels = write_fashion(tmp_path)
    images = load(f"fashion-mnist:{tmp_path}")
    assert np.array_equal(images.pixels.numpy(), pixels[:, None])
    assert contents(images.name) == (1, len(images.classes))
    assert images.labels.tolist() == [0, 1, 2, 3, 4, 5]
    assert len(load_test(images)) == 6


def test_fashion_mnist_is_read_from_unpacked_files(tmp_path: Path) -> None:
    pixels = write_fashion(tmp_path)
    for path in tmp_path.glob("*.gz"):
        path.with_suffix("").write_bytes(gzip.decompress(path.read_bytes()))
        path.unlink()
    assert np.array_equal(load(f"fashion-mnist:{tmp_path}").pixels.numpy(), pixels[:, None])


def test_fashion_mnist_is_found_below_the_folder_of_all_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_fashion(tmp_path / "fashion-mnist")
    monkeypatch.setenv("DCDNAS_DATA", str(tmp_path))
    assert len(load("fashion-mnist")) == 6


def test_fashion_mnist_is_found_in_debians_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_fashion(tmp_path / "debian")
    monkeypatch.setattr("dcdnas.data.fashion_mnist.DEBIAN", tmp_path / "debian")
    assert len(load("fashion-mnist")) == 6


def test_fashion_mnist_that_is_nowhere_says_where_to_get_it() -> None:
    with pytest.raises(DataError, match="dataset-fashion-mnist"):
        load("fashion-mnist")


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("train-images-idx3-ubyte.gz", gzip.compress(idx(bytes_of(6, 28, 28)))[:-2000], "cannot be read"),
        ("train-images-idx3-ubyte.gz", b"not gzip", "cannot be read"),
        ("train-images-idx3-ubyte.gz", gzip.compress(b"ab"), "2 bytes are too few for an IDX file"),
        ("train-images-idx3-ubyte.gz", gzip.compress(idx(bytes_of(6, 28, 28), magic=0x0D03)), "begins with 0x00000d03"),
        ("train-images-idx3-ubyte.gz", gzip.compress(idx(bytes_of(6, 28, 28))[:-1]), "4703 bytes of data where"),
        ("train-labels-idx1-ubyte.gz", gzip.compress(idx(np.zeros(5, np.uint8))), "6 images but 5 labels"),
        ("train-labels-idx1-ubyte.gz", gzip.compress(idx(np.full(6, 10, np.uint8))), "label 10 among 10 classes"),
    ],
    ids=["cut gzip", "no gzip", "no header", "magic", "cut data", "a label missing", "a wrong label"],
)  # fmt: skip
def test_a_damaged_fashion_mnist_file_is_named(tmp_path: Path, file: str, content: bytes, message: str) -> None:
    write_fashion(tmp_path)
    (tmp_path / file).write_bytes(content)
    with pytest.raises(DataError, match=message):
        load(f"fashion-mnist:{tmp_path}")


def test_a_missing_labels_file_is_named(tmp_path: Path) -> None:
    write_fashion(tmp_path)
    (tmp_path / "train-labels-idx1-ubyte.gz").unlink()
    with pytest.raises(DataError, match=r"train-labels-idx1-ubyte.gz: cannot be read: No such file"):
        load(f"fashion-mnist:{tmp_path}")


# CIFAR


@pytest.mark.usefixtures("two_images_a_file")
@pytest.mark.parametrize(
    ("name", "labels", "label", "images", "archive", "folder"),
    [("cifar10", 1, 1, 10, "cifar-10-binary.tar.gz", "cifar-10-batches-bin"),
     ("cifar100", 2, 2, 2, "cifar-100-binary.tar.gz", "cifar-100-binary")],
)  # fmt: skip
def test_cifar_is_the_same_from_its_archive_and_unpacked(
    tmp_path: Path, name: str, labels: int, label: int, images: int, archive: str, folder: str
) -> None:
    packed, unpacked = tmp_path / "packed", tmp_path / "unpacked" / folder
    packed.mkdir()
    unpacked.mkdir(parents=True)
    write_tar(packed / archive, cifar_files(labels), folder)
    for file, content in cifar_files(labels).items():
        (unpacked / file).write_bytes(content)
    for place in (packed, packed / archive, unpacked.parent, unpacked):
        found = load(f"{name}:{place}")
        assert found.labels.tolist() == [label] * images
        assert found.pixels.shape == (images, 3, 32, 32)
        assert [found.pixels[:, c].unique().tolist() for c in range(3)] == [[10], [20], [30]]
        assert len(load_test(found)) == 2


@pytest.mark.usefixtures("two_images_a_file")
def test_cifar_takes_the_names_of_its_classes_from_its_archive(tmp_path: Path) -> None:
    names = "\n".join(["airplane", *"abcdefghi", "", ""]).encode()
    write_tar(tmp_path / "cifar-10-binary.tar.gz", {**cifar_files(1), "batches.meta.txt": names}, "cifar-10-batches-bin")
    assert load(f"cifar10:{tmp_path}").classes == ("airplane", *"abcdefghi")


@pytest.mark.usefixtures("two_images_a_file")
@pytest.mark.parametrize(
    ("file", "content", "message"),
    [("data_batch_3.bin", None, "data_batch_3.bin is missing"),
     ("data_batch_3.bin", bytes(3073), "data_batch_3.bin has 3073 bytes. Needed: 6146"),
     ("data_batch_3.bin", bytes([11]) + bytes(2 * 3073 - 1), "label 11 among 10 classes")],
    ids=["missing", "cut", "wrong label"],
)  # fmt: skip
def test_a_damaged_cifar_file_is_named(tmp_path: Path, file: str, content: bytes | None, message: str) -> None:
    files = {**cifar_files(1), file: content}
    write_tar(tmp_path / "cifar-10-binary.tar.gz", {k: v for k, v in files.items() if v is not None}, "cifar-10-batches-bin")
    with pytest.raises(DataError, match=message):
        load(f"cifar10:{tmp_path}")


def test_a_file_in_a_cifar_archive_that_is_far_too_large_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_tar(tmp_path / "cifar-10-binary.tar.gz", cifar_files(1), "cifar-10-batches-bin")
    monkeypatch.setattr("dcdnas.data._cifar.LARGEST", 100)
    with pytest.raises(DataError, match=r"cifar-10-binary.tar.gz: unpacks to [\d,]+ bytes\. Allowed: 100"):
        load(f"cifar10:{tmp_path}")


def test_a_cut_cifar_archive_is_named(tmp_path: Path) -> None:
    write_tar(tmp_path / "whole.tar.gz", {"data_batch_1.bin": bytes_of(20_000).tobytes()}, "cifar-10-batches-bin")
    cut = tmp_path / "cifar-10-binary.tar.gz"
    cut.write_bytes((tmp_path / "whole.tar.gz").read_bytes()[:9000])
    with pytest.raises(DataError, match=r"cifar-10-binary.tar.gz: damaged"):
        load(f"cifar10:{tmp_path}")


def test_the_pickled_version_of_cifar_is_never_read(tmp_path: Path) -> None:
    write_tar(tmp_path / "cifar-10-python.tar.gz", {"data_batch_1": b"\x80\x04."}, "cifar-10-batches-py")
    with pytest.raises(DataError, match=r"Get cifar-10-binary.tar.gz \(the binary version; pickled ones are never read\)"):
        load(f"cifar10:{tmp_path}")
