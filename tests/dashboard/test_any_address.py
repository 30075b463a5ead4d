"""Every route of the dashboard with parameters that nobody foresaw: a page, a refusal, never a failure."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from serving import Site
from starlette.routing import Mount, Route
from thoroughness import examples

from dcdnas.dashboard.app import make_app

WORDS = st.one_of(
    st.sampled_from(["good", "empty", "no-memory", "no-config", "link", "..", ".", "", "0", "1", "39", "-1", "9" * 30, "best"]),
    st.text(max_size=12),
    st.text("/.%\\0", max_size=8),
)
QUERIES = st.dictionaries(st.sampled_from(["trials", "since", "piece", "x"]), WORDS, max_size=2)


def paths(site: Site) -> list[str]:
    """The routes as they stand in the application, but for the stream, which does not end."""
    app = make_app(site.root).app  # type: ignore[attr-defined]
    return [route.path for route in app.routes if isinstance(route, Route | Mount) and not route.path.endswith("/events")]


@pytest.mark.slow
@examples(150)
@given(st.data())
def test_any_address_is_answered(site: Site, data: st.DataObject) -> None:
    path = data.draw(st.sampled_from(paths(site)))
    for name in ("{run}", "{number:int}", "{path:path}", "{rest:path}"):
        path = path.replace(name, quote(data.draw(WORDS), safe="/"))
    query = "&".join(f"{quote(key)}={quote(value)}" for key, value in data.draw(QUERIES).items())
    answer = site.get(f"{path or '/'}{'?' + query if query else ''}")
    assert answer.status in (200, 301, 302, 303, 307, 308, 400, 403, 404, 405), (path, query, answer.text[:500])
