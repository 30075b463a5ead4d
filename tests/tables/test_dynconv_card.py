"""What docs/dynconv-fmnist.md says of the table is what the script prints of it."""

from __future__ import annotations

from pathlib import Path

import pytest
from scripts import script

PAGE = Path(__file__).parents[2] / "docs" / "dynconv-fmnist.md"


LONG = pytest.param("print_fidelities", marks=[pytest.mark.slow, pytest.mark.timeout(1800)])


@pytest.mark.parametrize("part", ["print_contents", "print_operators", LONG])
def test_the_page_has_the_tables_that_the_script_prints(part: str, capsys: pytest.CaptureFixture[str]) -> None:
    card = script("dynconv_card")
    getattr(card, part)(card.frame_of())
    printed = capsys.readouterr().out.strip()
    assert printed.count("\n") > 4
    assert printed in PAGE.read_text(encoding="utf-8"), "run: python benchmarks/dynconv_card.py"
