from __future__ import annotations

import asyncio
import os
import signal

import pytest

from tsobs.demo.signals import Signals


def send(number: signal.Signals) -> None:
    os.kill(os.getpid(), number)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_before_anything_runs_a_signal_interrupts(number: signal.Signals) -> None:
    signals = Signals()
    with signals.installed(), pytest.raises(KeyboardInterrupt):
        send(number)
    assert signals.exit_status(0) == 128 + number


def test_only_the_first_signal_counts() -> None:
    signals = Signals()
    with signals.installed():
        with pytest.raises(KeyboardInterrupt):
            send(signal.SIGTERM)
        send(signal.SIGINT)
        send(signal.SIGTERM)
    assert signals.received is signal.SIGTERM


async def test_in_the_loop_a_signal_sets_the_event() -> None:
    signals, stop = Signals(), asyncio.Event()
    with signals.installed():
        with signals.setting(stop):
            send(signal.SIGINT)
            await asyncio.wait_for(stop.wait(), 5)
        send(signal.SIGINT)
    assert signals.received is signal.SIGINT


def test_when_the_end_is_under_way_signals_do_nothing() -> None:
    signals = Signals()
    with signals.installed():
        signals.ignore()
        send(signal.SIGINT)
    assert signals.received is signal.SIGINT


def test_afterwards_signals_are_handled_as_before() -> None:
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    with Signals().installed():
        pass
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before
    assert Signals().exit_status(7) == 7
