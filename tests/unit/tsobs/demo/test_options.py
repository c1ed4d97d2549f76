from __future__ import annotations

import dataclasses

import pytest

from tsobs.demo.options import Options


def test_options_cannot_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        Options().port = 1  # type: ignore[misc]
