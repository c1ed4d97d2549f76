"""How several jobs share one device: by what was stated for them, and always one whole together."""

from __future__ import annotations

from collections.abc import Mapping

from nodeagent.gpu.allocation import Claim

__all__ = ["shares_of"]


def shares_of(holders: Mapping[str, Claim]) -> dict[str | None, float]:
    """Return job → share, None for what no job holds; the shares sum to 1.

    Percentages (MPS) are of the whole device, so the rest is nobody's. Shards say how jobs stand to
    each other. Where not all state the same kind, they share alike.
    """
    if not holders:
        return {None: 1.0}
    percents = [claim.percent for claim in holders.values() if claim.percent]
    shards = [claim.shards for claim in holders.values() if claim.shards]
    weights = [1.0] * len(holders)
    rest = 0.0
    if len(percents) == len(holders):
        weights = percents
        rest = max(0.0, 100 - sum(percents))
    elif len(shards) == len(holders):
        weights = shards
    total = sum(weights) + rest
    shares: dict[str | None, float] = {job: weight / total for job, weight in zip(holders, weights)}
    if rest:
        shares[None] = rest / total
    return _whole(shares)


def _whole(shares: dict[str | None, float]) -> dict[str | None, float]:
    """Round as the batch does; what rounding leaves goes to the largest, and a rest of nothing is
    no share."""
    rounded = {job: round(share, 9) for job, share in shares.items()}
    if rounded.get(None) == 0:
        del rounded[None]
    largest = max(rounded, key=lambda job: rounded[job])
    others = sum(share for job, share in rounded.items() if job != largest)
    rounded[largest] = round(1 - others, 9)
    return rounded
