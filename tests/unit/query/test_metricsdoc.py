from __future__ import annotations

from pathlib import Path

import pytest

from query.catalogue import CATALOGUE, of_relation
from query.metricsdoc import main, render_markdown, renewed

# A few series for the whole service.
ONE_EACH = {"job_state", "service"}
DOCUMENT = Path(__file__).parents[3] / "docs" / "metrics.md"


def test_the_document_has_the_table_of_the_code() -> None:
    text = DOCUMENT.read_text()
    assert renewed(text) == text, "run: python -m query.metricsdoc docs/metrics.md"


def test_every_metric_has_a_row() -> None:
    table = render_markdown()
    assert all(table.count(f"| `{metric.name}` |") == 1 for metric in CATALOGUE)


def test_series_are_counted() -> None:
    table = render_markdown()
    of_node = sum(len(metric.sources) for metric in of_relation("node"))
    assert f"| node | {of_node} | 2,000 | {of_node * 2000:,} |" in table
    relations = {metric.relation for metric in CATALOGUE}
    assert table.count("\n| ", 0, table.index("together")) == len(relations - ONE_EACH) + 1


def test_main_renews_the_document(tmp_path: Path) -> None:
    document = tmp_path / "metrics.md"
    before, _, after = DOCUMENT.read_text().partition(render_markdown())
    document.write_text(f"{before}old rows\n{after}")
    assert main([str(document)]) == 0
    assert document.read_text() == DOCUMENT.read_text()


def test_a_document_without_marks_is_refused() -> None:
    with pytest.raises(ValueError, match="unpack"):
        renewed("no marks")
