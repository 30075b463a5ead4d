from __future__ import annotations

import socket
from urllib.parse import quote

import pytest
from serving import Site

from dcdnas.dashboard.security import allowed, answered


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "10.0.0.1", "", "[", "localhost.evil.example:80"])
def test_a_foreign_host_is_refused(site: Site, host: str) -> None:
    answer = site.get("/", Host=host)
    assert answer.status == 421
    assert "Runs" not in answer.text


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost:9999", "[::1]:80", "LOCALHOST"])
def test_the_names_of_this_machine_are_answered(site: Site, host: str) -> None:
    assert site.get("/", Host=host).status == 200


def test_an_open_server_answers_to_addresses_but_not_to_names() -> None:
    names = answered("0.0.0.0")
    assert allowed("192.168.1.7:8080", names)
    assert not allowed("evil.example:8080", names)


def test_a_machine_whose_name_has_capitals_is_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "gethostname", lambda: "MyHost")
    monkeypatch.setattr(socket, "getfqdn", lambda: "MyHost.Example.org")
    assert all(allowed(host, answered("0.0.0.0")) for host in ("MyHost:8080", "myhost", "MYHOST.example.ORG:80"))


@pytest.mark.parametrize("version", ["²", "9" * 5000, "-1", "x"])
def test_a_version_that_is_no_number_is_taken_as_none(site: Site, version: str) -> None:
    first = [next(site.events(f"/runs/good/events?version={quote(said)}")) for said in (version, "0")]
    assert first[0] == first[1] == "retry: 2000\n"


@pytest.mark.parametrize("path", ["/", "/runs/good", "/assets/app.css", "/nowhere", "/runs/good/trials.json", "/runs/no-memory"])
def test_every_answer_has_the_security_headers(site: Site, path: str) -> None:
    headers = site.get(path).headers
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cross-origin-resource-policy"] == "same-origin"


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS"])
def test_it_only_reads(site: Site, method: str) -> None:
    assert site.get("/runs/good", method).status == 405


@pytest.mark.parametrize(
    "path",
    [
        "/runs/..", "/runs/%2e%2e", "/runs/..%2fsecret%2foutside", "/runs/../secret/outside", "/runs/link", "/runs/.",
        "/runs/good%2f..%2f..%2fsecret%2foutside", "/runs/%00",
        "/assets/../app.py", "/assets/%2e%2e/app.py", "/assets/..%2fapp.py",
        "/runs/good/search.yaml", "/runs/good/run.db", "/runs/good/../good/run.db",
    ],
)  # fmt: skip
def test_no_file_outside_is_served(site: Site, path: str) -> None:
    answer = site.get(path)
    assert answer.status in (307, 400, 404)
    assert "import" not in answer.text
    assert "SQLite" not in answer.text


def test_a_link_that_leads_out_is_not_listed(site: Site) -> None:
    assert "/runs/link" not in site.get("/").text
