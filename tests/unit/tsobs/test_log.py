from __future__ import annotations

import json
import logging
from collections.abc import Iterator

import pytest
from aiohttp.http_exceptions import BadHttpMessage

from tsobs.log import CORRELATION_ID, set_up_logging


@pytest.fixture(autouse=True)
def logging_as_before() -> Iterator[None]:
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    yield
    root.handlers[:] = before
    root.setLevel(level)
    logging.captureWarnings(False)


def test_text(capsys: pytest.CaptureFixture[str]) -> None:
    set_up_logging("info", "text")
    logging.getLogger("tsobs.x").info("got %d", 5, extra={"node": "n1"})
    logging.getLogger("tsobs.x").debug("not shown")
    line = capsys.readouterr().err
    assert line.endswith("Z info tsobs.x: got 5 node=n1\n")
    assert line.count("\n") == 1


def test_json_with_everything(capsys: pytest.CaptureFixture[str]) -> None:
    set_up_logging("warning", "json")
    token = CORRELATION_ID.set("abc")
    try:
        raise ValueError("no")
    except ValueError:
        logging.getLogger("tsobs.x").exception("bad", extra={"row": 3})
    finally:
        CORRELATION_ID.reset(token)
    entry = json.loads(capsys.readouterr().err)
    assert entry["level"] == "error"
    assert entry["logger"] == "tsobs.x"
    assert entry["message"] == "bad"
    assert (entry["row"], entry["correlation_id"]) == (3, "abc")
    assert "ValueError: no" in entry["exception"]


def test_a_message_cannot_forge_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    set_up_logging("info", "text")
    logging.getLogger("x").info("path %s", "a\n2026 error tsobs: \x1b[31mfake", extra={"u": "b\nc"})
    line = capsys.readouterr().err
    assert line.count("\n") == 1
    assert "\x1b" not in line


def test_bad_http_is_no_news_but_other_server_errors_are(
    capsys: pytest.CaptureFixture[str],
) -> None:
    set_up_logging("info", "text")
    server = logging.getLogger("aiohttp.server")
    for error in (BadHttpMessage("nonsense"), RuntimeError("ours")):
        try:
            raise error
        except Exception:
            server.exception("Error handling request")
    shown = capsys.readouterr().err
    assert "RuntimeError: ours" in shown
    assert "nonsense" not in shown
