"""The page of /metrics, a metric at a time, written by hand: it may have a million lines.

A line is three pieces that exist already: the metric's name, the text of its labels, which is made
once for all metrics of a thing and kept from page to page, and the value, written by the column.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import compress

import numpy as np
import orjson
from isal import isal_zlib

from query.labeltext import LabelTexts
from query.metric import Metric
from query.negotiation import OPENMETRICS
from query.table import Numbers, Table

__all__ = ["gzipped", "render", "written"]

# On this text the higher levels take a multiple of the time for the same size.
GZIP_LEVEL = 1
_GZIP_FORMAT = 31


def render(
    metrics: Iterable[Metric], relations: Mapping[str, Table], known: LabelTexts, content_type: str
) -> Iterator[bytes]:
    """The page in pieces, metric by metric; what is unknown makes no line."""
    # A thing has many metrics with the same labels.
    texts: dict[tuple[str, tuple[tuple[str, str], ...]], Sequence[bytes]] = {}
    for metric in metrics:
        table = relations[metric.relation]
        key = (metric.relation, metric.labels)
        if key not in texts:
            texts[key] = _label_texts(metric, table, known)
        if lines := list(_lines(metric, table, texts[key])):
            # Not joined: it would copy every byte once more.
            yield from (_declaration(metric, content_type), *lines, b"\n")


def _label_texts(metric: Metric, table: Table, known: LabelTexts) -> Sequence[bytes]:
    if not metric.labels:
        return [b" "] * table.rows
    names = tuple(label for label, _ in metric.labels)
    return known.texts(names, [table.texts[column] for _, column in metric.labels])


def _declaration(metric: Metric, content_type: str) -> bytes:
    """Without the line end, which each line begins with."""
    if content_type != OPENMETRICS:
        return f"# HELP {metric.name} {metric.help}\n# TYPE {metric.name} {metric.type}".encode()
    family = metric.family
    lines = [f"# TYPE {family} {metric.type}"]
    # A name must end with its unit, and that of a ratio of a kind may not.
    if metric.unit and family.endswith(f"_{metric.unit}"):
        lines.append(f"# UNIT {family} {metric.unit}")
    return "\n".join([*lines, f"# HELP {family} {metric.help}"]).encode()


def _lines(metric: Metric, table: Table, texts: Sequence[bytes]) -> Iterator[bytes]:
    for column, scale, own, _ in metric.sources:
        opening = f'{{{own[0]}="{own[1]}",' if own else "{" if metric.labels else ""
        head = f"\n{metric.name}{opening}".encode()
        values = table.numbers[column]
        there = ~np.isnan(values)
        shown = texts
        if not there.all():
            values = values[there]
            shown = list(compress(texts, there.tolist()))
        if values.size:
            parts = [head] * (3 * len(shown))
            parts[1::3] = shown
            parts[2::3] = written(values * scale if scale != 1.0 else values)
            yield b"".join(parts)


def written(values: Numbers) -> list[bytes]:
    """Each number in the fewest digits that are read back as the same; none may be NaN."""
    plain = np.ascontiguousarray(values, dtype=np.float64)
    texts = orjson.dumps(plain, option=orjson.OPT_SERIALIZE_NUMPY)[1:-1].split(b",")
    for at in np.flatnonzero(np.isinf(plain)):
        texts[at] = b"+Inf" if plain[at] > 0 else b"-Inf"
    return texts


def gzipped(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """The same bytes as one gzip stream; a piece may come out empty."""
    packer = isal_zlib.compressobj(GZIP_LEVEL, isal_zlib.DEFLATED, _GZIP_FORMAT)
    for piece in pieces:
        yield packer.compress(piece)
    yield packer.flush()
