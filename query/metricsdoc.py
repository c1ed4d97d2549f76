"""The table of metrics as a person reads it; `python -m query.metricsdoc docs/metrics.md` renews
it."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from query.catalogue import CATALOGUE
from query.metric import Metric

__all__ = ["main", "render_markdown", "renewed"]

BEGIN = "<!-- generated from query/catalogue.py -->\n"
END = "<!-- end of what is generated -->\n"


def render_markdown() -> str:
    """One row a metric, in the order of the page."""
    rows = ["| metric | type | labels | meaning | read from |", "|---|---|---|---|---|"]
    rows += [_row(metric) for metric in CATALOGUE]
    return "\n".join(rows) + "\n"


def renewed(text: str) -> str:
    """A document with the table between its two marks renewed; raises ValueError without them."""
    before, rest = text.split(BEGIN)
    _, after = rest.split(END)
    return f"{before}{BEGIN}\n{render_markdown()}\n{END}{after}"


def _row(metric: Metric) -> str:
    labels = ", ".join(f"`{name}`" for name in metric.label_names) or "–"
    meaning = metric.help
    if own := [source.label for source in metric.sources if source.label]:
        meaning += f" `{own[0][0]}` is one of {', '.join(value for _, value in own)}."
    columns = ", ".join(f"`{metric.relation}.{source.column}`" for source in metric.sources)
    scale = "100 × " if metric.sources[0].scale != 1.0 else ""
    return f"| `{metric.name}` | {metric.type} | {labels} | {meaning} | {scale}{columns} |"


def main(argv: Sequence[str]) -> int:
    """Renews the document that is named."""
    path = Path(argv[0])
    path.write_text(renewed(path.read_text()))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
