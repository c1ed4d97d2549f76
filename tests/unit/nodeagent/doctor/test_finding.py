"""The words that programs meet."""

from __future__ import annotations

from nodeagent.doctor.finding import Finding, Status


def test_the_words_of_the_json_form() -> None:
    assert [status.value for status in Status] == ["ok", "absent", "warning", "fault"]
    assert Finding("a", "b", Status.OK, "c").advice is None
