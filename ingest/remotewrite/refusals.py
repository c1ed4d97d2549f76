"""What of a body is refused, by which rule, and the answer that says so."""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

from tsobs.errors import ValidationError

__all__ = ["Refusal", "Refusals"]

# An answer names so many; the counts are always whole.
LISTED = 5
SHOWN_CHARACTERS = 300


class Refusal(NamedTuple):
    """One thing that is refused: what it is, the rule it breaks, and how many samples (exemplars,
    histograms) go with it."""

    shown: str
    rule: str
    amount: int


class Refusals:
    """Collects refusals; the first few are named."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.listed: list[Refusal] = []

    def __bool__(self) -> bool:
        return bool(self.counts)

    def __len__(self) -> int:
        return self.counts.total()

    @property
    def is_full(self) -> bool:
        """Whether naming more is of no use."""
        return len(self.listed) >= LISTED

    def add(self, shown: str, rule: str, count: int = 1) -> None:
        """Notes one; a series without samples counts as one, too."""
        self.counts[rule] += max(count, 1)
        if not self.is_full:
            self.listed.append(Refusal(shown[:SHOWN_CHARACTERS], rule, max(count, 1)))

    def add_unnamed(self, rule: str, count: int) -> None:
        """Notes some that nobody would read the names of."""
        if count:
            self.counts[rule] += count

    def error(self, stored: int) -> ValidationError:
        """The answer, with what was stored of the same body."""
        named = "; ".join(f"{one.shown}: {one.rule}" for one in self.listed)
        more = "; …" if sum(one.amount for one in self.listed) < len(self) else ""
        return ValidationError(
            f"{len(self)} refused, {stored} stored: {named}{more}",
            field="timeseries",
            rule=self.listed[0].rule if self.listed else next(iter(self.counts)),
            refused=[one._asdict() for one in self.listed],
            refused_count=len(self),
            refused_by_rule=dict(self.counts),
            stored_count=stored,
        )
