from __future__ import annotations

from tsobs.demo.progress import Progress


def test_each_line_says_when() -> None:
    lines: list[str] = []
    times = iter([100.0, 100.0, 161.25, 162.0])
    progress = Progress(lines.append, lambda: next(times))
    progress("begin")
    progress("more")
    assert lines == ["[  0.0 s] begin", "[ 61.2 s] more"]
    assert progress.elapsed_s == 62.0
