"""Devices as JSON and back; PCI addresses and numbers as tools write them."""

from __future__ import annotations

import json

import pytest

from nodeagent.gpu.device import Device, Survey, bus_id, number


def test_a_survey_survives_json() -> None:
    whole = Device("GPU-1", "nvidia", "H100", "0000:3b:00.0", 1, 0, 8e10, gauges={"power_w": 7.5})
    instance = whole._replace(uuid="MIG-1", parent_uuid="GPU-1", instance=(3, 0))
    survey = Survey(1.5, 2.5, (whole, instance), ("NVML",), ("one is lost",))
    assert Survey.from_json(json.loads(json.dumps(survey.to_json()))) == survey


@pytest.mark.parametrize("document", [{}, {"boot": 1}, {"boot": 1, "wall": 1, "devices": [{}]}])
def test_what_is_no_survey_is_refused(document: dict[str, object]) -> None:
    with pytest.raises((KeyError, TypeError)):
        Survey.from_json(document)


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("00000000:3B:00.0", "0000:3b:00.0"),
        ("0000:0b:00.0", "0000:0b:00.0"),
        ("3B:00.0", "0000:3b:00.0"),
        ("00010000:C3:1f.7", "10000:c3:1f.7"),
        ("", None),
        ("GPU-12", None),
        ("0", None),
    ],
)
def test_bus_id(text: str, address: str | None) -> None:
    assert bus_id(text) == address


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("350.20 W", 350.2),
        ("81559 MiB", 81559),
        ("38 %", 38),
        ("38%", 38),
        (5, 5),
        ("-8", -8),
        ("[N/A]", None),
        ("N/A", None),
        ("[GPU is lost]", None),
        ("[Not Supported]", None),
        ("", None),
        ("nan", None),
        ("inf", None),
        (None, None),
        (True, None),
        (float("nan"), None),
    ],
)
def test_number(text: object, value: float | None) -> None:
    assert number(text) == value
