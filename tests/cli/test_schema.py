from __future__ import annotations

import json

from commands import Run

from dcdnas.space.reading.schema import json_schema


def test_the_schema_is_printed(run: Run) -> None:
    said = run("schema")
    assert said.code == 0
    assert said.json == json.loads(json.dumps(json_schema()))
