from __future__ import annotations

from pathlib import Path

import pytest

from query.catalogue import CATALOGUE
from query.metricsdoc import main, render_markdown, renewed

DOCUMENT = Path(__file__).parents[3] / "docs" / "metrics.md"


def test_the_document_has_the_table_of_the_code() -> None:
    text = DOCUMENT.read_text()
    assert renewed(text) == text, "run: python -m query.metricsdoc docs/metrics.md"


def test_every_metric_has_a_row() -> None:
    table = render_markdown()
    assert all(table.count(f"| `{metric.name}` |") == 1 for metric in CATALOGUE)


def test_main_renews_the_document(tmp_path: Path) -> None:
    document = tmp_path / "metrics.md"
    before, _, after = DOCUMENT.read_text().partition(render_markdown())
    document.write_text(f"{before}old rows\n{after}")
    assert main([str(document)]) == 0
    assert document.read_text() == DOCUMENT.read_text()


def test_a_document_without_marks_is_refused() -> None:
    with pytest.raises(ValueError, match="unpack"):
        renewed("no marks")
