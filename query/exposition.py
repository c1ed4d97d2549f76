"""The Prometheus text format 0.0.4, written by hand: /metrics may have a million lines."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence

from query.metric import Metric
from tsobs.row import Row

__all__ = ["CONTENT_TYPE", "accepts_gzip", "gzipped", "render"]

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
# The lowest level: 10 times the speed of the highest for a fifth more bytes.
GZIP_LEVEL = 1
_GZIP_FORMAT = 16 + zlib.MAX_WBITS

Labels = tuple[tuple[str, str], ...]


def render(metrics: Iterable[Metric], relations: Mapping[str, Sequence[Row]]) -> Iterator[str]:
    """One piece of text a metric that has a value; null makes no line."""
    # A thing has many metrics with the same labels: their text is made once.
    prefixes: dict[tuple[str, Labels], list[str]] = {}
    for metric in metrics:
        rows = relations.get(metric.relation, ())
        key = (metric.relation, metric.labels)
        if key not in prefixes:
            prefixes[key] = [label_text(metric.labels, row) for row in rows]
        lines = "".join(_lines(metric, rows, prefixes[key]))
        if lines:
            yield f"# HELP {metric.name} {metric.help}\n# TYPE {metric.name} {metric.type}\n{lines}"


def _lines(metric: Metric, rows: Sequence[Row], prefixes: Sequence[str]) -> Iterator[str]:
    head = metric.name + ("{" if metric.label_names else "")
    for column, scale, own in metric.sources:
        tail = f',{own[0]}="{escape(own[1])}"}} ' if own else "} " if metric.label_names else " "
        values = [row[column] for row in rows]
        if scale != 1.0:
            values = [None if value is None else value * scale for value in values]
        yield "".join(
            [
                f"{head}{prefix}{tail}{value!r}\n"
                for prefix, value in zip(prefixes, values, strict=True)
                if value is not None
            ]
        )


def label_text(labels: Labels, row: Row) -> str:
    """The labels of one row as they stand between the braces."""
    return ",".join([f'{label}="{escape(row[column])}"' for label, column in labels])


def escape(value: str) -> str:
    """A label value, quoted as the format wants it."""
    if "\\" in value or '"' in value or "\n" in value:
        return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return value


def accepts_gzip(accept_encoding: str) -> bool:
    """Whether an Accept-Encoding header names gzip and does not refuse it (q=0)."""
    for part in accept_encoding.lower().split(","):
        name, *parameters = (piece.strip() for piece in part.split(";"))
        if name == "gzip":
            refused = ("q=0", "q=0.0", "q=0.00", "q=0.000")
            return not any(piece.replace(" ", "") in refused for piece in parameters)
    return False


def gzipped(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """The same bytes as one gzip stream; a piece may come out empty."""
    packer = zlib.compressobj(GZIP_LEVEL, zlib.DEFLATED, _GZIP_FORMAT)
    for piece in pieces:
        yield packer.compress(piece)
    yield packer.flush()
