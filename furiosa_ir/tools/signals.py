"""How a command ends that is told to: Ctrl-C, SIGTERM, a terminal that is closed.

One line on stderr, exit code 128 + the signal's number, and nothing is left behind. Before there is
any work the process ends at once (`at_start`). Later, an exception unwinds what is going on
(`at_work`). A library may lose it, or make another error of it (so do imports of native modules),
and native code may run on for minutes: so a thread ends the process if nothing else has.

This module is imported before all others, and so imports next to nothing itself.
"""

from __future__ import annotations

import _thread
import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal as _signal
    from collections.abc import Callable
    from types import FrameType
    from typing import Any, NoReturn
else:
    import _signal  # `signal` makes enumerations of it, which takes longer than all of this

_WORDS: dict[int, str] = {
    _signal.SIGINT: "interrupted",
    _signal.SIGTERM: "terminated",
    _signal.SIGHUP: "hung up",
}
PATIENCE = 3.0
"""Seconds in which work has to unwind."""


class Ended(SystemExit):
    """Unwinds the work: a signal asks the process to end."""


class _State:
    """Of the process, which ends once."""

    received: int | None = None
    wishes: list[int] | None = None
    """While the first Ctrl-C is no end but a wish: those that came."""


def install(handler: Callable[[int, FrameType | None], object]) -> None:
    """Has a function called for each of the signals, but for those that are ignored (`nohup`)."""
    for number in _WORDS:
        if _signal.getsignal(number) != _signal.SIG_IGN:
            _signal.signal(number, handler)


def at_start(number: int, _frame: FrameType | None) -> None:
    """Ends a process that has not begun to work."""
    _say(number)
    os._exit(128 + number)


def at_work(number: int, _frame: FrameType | None) -> None:
    """Unwinds the work; a second signal changes nothing."""
    if number == _signal.SIGINT and _State.wishes is not None and not _State.wishes:
        _State.wishes.append(number)
        return
    if _State.received is None:
        _State.received = number
        _say(number)
        _mute()
        raise Ended(128 + number)


def begin_work() -> None:
    """From now on there is something to unwind."""
    install(at_work)
    read, write = os.pipe()
    os.set_blocking(write, False)
    _signal.set_wakeup_fd(write, warn_on_full_buffer=False)
    _thread.start_new_thread(_watch, (read,))


class Interruptible:
    """Within it the first Ctrl-C only says that somebody has seen enough; a second one ends all."""

    def __enter__(self) -> Callable[[], bool]:
        wishes: list[int] = []
        _State.wishes = wishes
        return lambda: bool(wishes)

    def __exit__(self, *_: object) -> None:
        _State.wishes = None


def end_work() -> None:
    """The work is done or unwound; a process that was told to end does so here."""
    if _State.received is not None:
        _leave(_State.received)
    install(at_start)


def _watch(descriptor: int) -> None:
    """Ends the process some time after a signal, whatever the work does."""
    import time  # noqa: PLC0415  # not at the start

    while True:
        for number in os.read(descriptor, 64):
            if number in _WORDS:
                is_wish = number == _signal.SIGINT and _State.wishes is not None
                time.sleep(PATIENCE)
                if is_wish and _State.received is None:
                    continue
                if _State.received is None:  # Python never came to call the handler
                    _say(number)
                _leave(number)


def _leave(number: int) -> NoReturn:
    from furiosa_ir.leftovers import take_away_leftovers  # noqa: PLC0415  # not at the start

    take_away_leftovers()
    os._exit(128 + number)


def _say(number: int) -> None:
    try:
        os.write(2, f"ERROR: {_WORDS[number]}\n".encode())
    except OSError:  # stderr is full or closed
        return


def _mute() -> None:
    """What is unwound, and what is made of the exception on the way, has nothing to say."""
    silence: Any = open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115  # to the end
    sys.stdout = sys.stderr = silence
    sys.unraisablehook = sys.excepthook = _nothing


def _nothing(*_: object) -> None:
    """Shows nothing of an exception."""
