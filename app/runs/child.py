"""A command that another process started: whoever asks it to stop, and however often, it hears that once.

The child's standard input is a pipe that nobody writes to. Its parent holds the other end, which closes when
the parent wants the child to stop and when the parent ends, in whatever way.
"""

import _thread
import os
import signal
from threading import Thread
from types import FrameType

ASKING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def obey_parent() -> None:
    """From now on the main thread gets one SIGTERM, whoever asks first: a signal or the pipe.

    A terminal, `timeout` or a scheduler signals the whole group, and the parent asks too. To a training
    that is saving, a second request would be the wish not to wait for that. Signals that were ignored when
    the process began stay ignored.
    """
    signal.signal(signal.SIGTERM, _leave)
    heard = {number for number in ASKING if signal.getsignal(number) != signal.SIG_IGN}
    signal.pthread_sigmask(signal.SIG_BLOCK, ASKING)  # in threads to come, too
    Thread(target=_watch_parent, daemon=True).start()
    Thread(target=_pass_on, args=(heard,), daemon=True).start()


def _watch_parent() -> None:
    os.read(0, 1)  # returns when the other end is closed
    os.kill(os.getpid(), signal.SIGTERM)


def _pass_on(heard: set[signal.Signals]) -> None:
    signal.sigwait(heard)
    _thread.interrupt_main(signal.SIGTERM)


def _leave(number: int, frame: FrameType | None) -> None:
    """While no training has begun there is nothing to save."""
    os._exit(1)
