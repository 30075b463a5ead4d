"""Downloads on request: from a server on this machine, against a checksum, and nothing is left of what went wrong."""

from __future__ import annotations

import gzip
import hashlib
import struct
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from dcdnas.data import _fetch, load
from dcdnas.data._fetch import REMOTE, Remote, fetch
from dcdnas.data._find import default_folder
from dcdnas.errors import DataError, UnknownNameError


class Site:
    """A web server with some files, and what it was asked for."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.asked: list[str] = []
        self.cut = False
        site = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                site.asked.append(self.path)
                content = site.files.get(self.path)
                self.send_response(200 if content is not None else 404)
                self.send_header("Content-Length", str(len(content or b"")))
                self.end_headers()
                self.wfile.write((content or b"")[: -1 if site.cut else None])

            def log_message(self, format: str, *args: object) -> None:
                """Says nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def offer(self, name: str, content: bytes) -> Remote:
        self.files[f"/{name}"] = content
        return Remote(f"{self.url}/{name}", hashlib.sha256(content).hexdigest())


@pytest.fixture
def site() -> Iterator[Site]:
    found = Site()
    thread = threading.Thread(target=found.server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield found
    found.server.shutdown()
    found.server.server_close()
    thread.join()


@pytest.fixture(autouse=True)
def own_folders(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DCDNAS_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("DCDNAS_DATA", raising=False)
    monkeypatch.setattr("dcdnas.data.fashion_mnist.DEBIAN", tmp_path / "none")


def idx(shape: tuple[int, ...], content: bytes) -> bytes:
    return gzip.compress(struct.pack(f">{1 + len(shape)}I", 0x0800 + len(shape), *shape) + content)


def test_what_was_fetched_is_found_by_its_name_and_not_fetched_again(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    files = [site.offer("train-images-idx3-ubyte.gz", idx((2, 28, 28), bytes(2 * 28 * 28)))]
    files += [site.offer("train-labels-idx1-ubyte.gz", idx((2,), bytes([3, 4])))]
    monkeypatch.setattr(_fetch, "REMOTE", {"fashion-mnist": tuple(files)})
    with pytest.raises(DataError, match="`dcdnas data fetch fashion-mnist` downloads it"):
        load("fashion-mnist")
    assert site.asked == []
    said: list[str] = []
    paths = fetch("fashion-mnist", tell=said.append)
    assert [p.parent for p in paths] == [default_folder("fashion-mnist")] * 2
    assert load("fashion-mnist").labels.tolist() == [3, 4]
    assert len(site.asked) == 2
    assert fetch("fashion-mnist", tell=said.append) == paths
    assert len(site.asked) == 2
    assert said[2:] == [f"{path}: already there, with the right SHA-256" for path in paths]


def test_files_go_where_a_person_or_the_environment_says(site: Site, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(_fetch, "REMOTE", {"cifar10": (site.offer("a.tar.gz", b"content"),)})
    assert fetch("cifar10", tmp_path / "here", lambda _: None) == [tmp_path / "here" / "a.tar.gz"]
    monkeypatch.setenv("DCDNAS_DATA", str(tmp_path / "there"))
    assert fetch("cifar10", tell=lambda _: None) == [tmp_path / "there" / "cifar10" / "a.tar.gz"]


def test_a_damaged_file_is_fetched_again(site: Site, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(_fetch, "REMOTE", {"cifar10": (site.offer("a.tar.gz", b"content"),)})
    (tmp_path / "a.tar.gz").write_bytes(b"conte")
    fetched, plain = fetch("cifar10", tmp_path, lambda _: None)[0], tmp_path / "plain"
    assert fetched.read_bytes() == b"content"
    plain.touch()
    assert fetched.stat().st_mode == plain.stat().st_mode, "whoever may read other files may read this one"


def test_two_who_fetch_at_once_download_once(site: Site, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(_fetch, "REMOTE", {"cifar10": (site.offer("a.tar.gz", b"content" * 100_000),)})
    threads = [threading.Thread(target=fetch, args=("cifar10", tmp_path, lambda _: None)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert site.asked == ["/a.tar.gz"]
    assert [p.name for p in tmp_path.iterdir()] == ["a.tar.gz"]


def test_another_content_is_not_kept(site: Site, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    remote = site.offer("a.tar.gz", b"content")
    site.files["/a.tar.gz"] = b"another"
    monkeypatch.setattr(_fetch, "REMOTE", {"cifar10": (remote,)})
    with pytest.raises(DataError, match=f"instead of {remote.sha256}, so it was not kept"):
        fetch("cifar10", tmp_path / "new", lambda _: None)
    assert list((tmp_path / "new").iterdir()) == []


def test_a_table_is_held_against_its_sha_256(site: Site, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    site.offer("a.json", b"{}")
    right, wrong = (Remote(f"{site.url}/a.json", hashlib.sha256(content).hexdigest()) for content in (b"{}", b"[]"))
    monkeypatch.setattr(_fetch, "REMOTE", {"right": (right,), "wrong": (wrong,)})
    assert fetch("right", tmp_path / "right", lambda _: None)[0].read_bytes() == b"{}"
    with pytest.raises(DataError, match=f"instead of {wrong.sha256}"):
        fetch("wrong", tmp_path / "wrong", lambda _: None)


def test_a_download_that_breaks_off_leaves_what_was_there(site: Site, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(_fetch, "REMOTE", {"cifar10": (site.offer("a.tar.gz", b"content"),)})
    (tmp_path / "a.tar.gz").write_bytes(b"old")
    site.cut = True
    with pytest.raises(DataError, match=r"a\.tar\.gz: "):
        fetch("cifar10", tmp_path, lambda _: None)
    assert [(p.name, p.read_bytes()) for p in tmp_path.iterdir()] == [("a.tar.gz", b"old")]


def test_an_address_that_is_gone_says_what_to_do(site: Site, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(
        _fetch, "REMOTE", {"cifar10": (Remote(f"{site.url}/gone", "0"),), "cifar100": (Remote("http://127.0.0.1:1/x", "0"),)}
    )
    for name, reason in (("cifar10", "Not Found"), ("cifar100", "refused")):
        with pytest.raises(DataError, match=f"cannot be fetched: .*{reason}.* Download it yourself into {tmp_path}"):
            fetch(name, tmp_path, lambda _: None)
    assert list(tmp_path.iterdir()) == []


def test_a_data_set_without_an_address_is_refused() -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'cifar10'"):
        fetch("cifar1")


def test_every_address_is_encrypted_and_has_a_checksum() -> None:
    for remote in (remote for files in REMOTE.values() for remote in files):
        assert remote.url.startswith("https://")
        assert len(bytes.fromhex(remote.sha256)) == 32
