from __future__ import annotations

import argparse

import pytest

from tsobs.tokencommands import _duration as duration


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("1s", 1), ("90m", 5400), ("12h", 43200), ("90d", 7776000), ("2w", 1209600), ("1y", 31557600)],
)
def test_durations(text: str, seconds: float) -> None:
    assert duration(text) == seconds


@pytest.mark.parametrize("text", ["", "1", "d", "-1d", "1.5d", "1 d", "1D", "10000000000s"])
def test_other_durations_are_refused(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="90d"):
        duration(text)
