"""Benchmarks resume after a line of their results was only partly written."""

from __future__ import annotations

from pathlib import Path

from scripts import script

result_lines = script("result_lines")


def test_a_partly_written_last_line_is_removed_so_that_the_next_one_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "results.jsonl"
    assert result_lines.rows_of(path) == []
    path.write_text('{"a": 1}\n[2]\n{"a": ')
    assert result_lines.rows_of(path) == [{"a": 1}, [2]]
    with path.open("a") as file:
        file.write('{"a": 3}\n')
    assert result_lines.rows_of(path) == [{"a": 1}, [2], {"a": 3}]
    path.write_text('{"a": ')
    assert result_lines.rows_of(path) == []
