"""The tables of metrics as a person reads them; `python -m query.metricsdoc docs/metrics.md` renews
it."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from query.catalogue import CATALOGUE, of_relation
from query.metric import Metric

__all__ = ["main", "render_markdown", "renewed"]

BEGIN = "<!-- generated from query/catalogue.py -->\n"
END = "<!-- end of what is generated -->\n"


# What a relation's rows are, and how many of them the example has.
_THINGS = {
    "job": ("running job", 10_000),
    "job_node": ("node of a running job", 10_000),
    "job_node_gpu": ("node of a running job with GPUs", 8_000),
    "job_gpu": ("GPU that a running job holds", 8_000),
    "gpu": ("GPU", 8_000),
    "node": ("node", 2_000),
}


def render_markdown() -> str:
    """How many series there are, then one row a metric in the order of the page."""
    return f"{_cardinality()}\n{_metrics()}"


def _cardinality() -> str:
    rows = ["| for each | series at most | in the example | which makes |", "|---|---|---|---|"]
    total = 0
    for relation, (thing, number) in _THINGS.items():
        each = sum(len(metric.sources) for metric in of_relation(relation))
        total += each * number
        rows.append(f"| {thing} | {each} | {number:,} | {each * number:,} |")
    rows.append(f"| together | | | {total:,} |")
    return "\n".join(rows) + "\n"


def _metrics() -> str:
    rows = ["| metric | type | labels | meaning | read from |", "|---|---|---|---|---|"]
    rows += [_row(metric) for metric in CATALOGUE]
    return "\n".join(rows) + "\n"


def renewed(text: str) -> str:
    """A document with the tables between its two marks renewed; raises ValueError without them."""
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
