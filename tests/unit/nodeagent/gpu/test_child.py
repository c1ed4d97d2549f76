"""Programs that answer, end, hang, or say too much."""

from __future__ import annotations

import fcntl
import os
import sys
import time
from pathlib import Path

import pytest

from nodeagent.gpu.child import Child, Silent, output_of

ECHO = "import sys\nfor line in sys.stdin:\n  print(line.strip()*2, flush=True)"


def python(code: str) -> list[str]:
    return [sys.executable, "-I", "-S", "-c", code]


def soon(seconds: float = 10.0) -> float:
    return time.monotonic() + seconds


def test_it_answers_line_by_line() -> None:
    child = Child(python(ECHO))
    for word in (b"one", b"two"):
        child.say(word)
        assert child.line(soon()) == word * 2
    assert not child.is_over()
    child.end()
    child.end()


def test_one_that_hangs_is_left_in_time_and_killed() -> None:
    child = Child(python("import time; time.sleep(60)"))
    start = time.monotonic()
    with pytest.raises(Silent, match="does not answer"):
        child.line(soon(0.1))
    child.end()
    assert time.monotonic() - start < 2
    assert child.exit_status(soon()) == -1


def test_one_that_ended_says_so() -> None:
    child = Child(python("pass"))
    with pytest.raises(Silent, match="has ended"):
        child.line(soon())
    assert child.exit_status(soon()) == 0
    with pytest.raises(Silent, match="takes no word"):
        child.say(b"read")
    child.end()


def test_one_that_says_too_much_is_not_heard() -> None:
    child = Child(python("print('x' * 100000)"), most_bytes=1000)
    with pytest.raises(Silent, match="too much"):
        child.rest(soon())
    child.end()


def test_it_has_nothing_of_ours_open_and_what_it_started_ends_with_it() -> None:
    low = os.open("/dev/null", os.O_RDONLY)
    high = fcntl.fcntl(low, fcntl.F_DUPFD_CLOEXEC, 300)
    status, text = output_of(python("import os; print(*os.listdir('/proc/self/fd'))"), 10)
    os.close(low)
    os.close(high)
    assert status == 0
    assert str(high) not in text.split()
    code = "import os, time\npid = os.fork()\nprint(pid or '', flush=True)\ntime.sleep(60)"
    child = Child(python(code))
    pid = int(child.line(soon()) or child.line(soon()))
    child.end()
    deadline = soon()
    while is_alive(pid):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def is_alive(pid: int) -> bool:
    try:
        return " Z " not in Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False


def test_a_program_that_is_not_there() -> None:
    with pytest.raises(FileNotFoundError):
        output_of(["/no/such/program"], 1)


def test_devices_are_not_hidden_from_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    code = "import os; print(os.environ.get('CUDA_VISIBLE_DEVICES'), os.environ['LC_ALL'])"
    assert output_of(python(code), 10) == (0, "None C\n")
