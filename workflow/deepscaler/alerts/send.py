"""Send what is in a scale's outbox: `python -m deepscaler.alerts.send SCALE`, a process of its own.

Failures are lines of failures.log beside the events, by an address's number alone; the next sender tries again.
"""

import fcntl
import logging
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

from deepscaler.alerts import outbox
from deepscaler.alerts.addresses import WHERE, addresses
from deepscaler.alerts.outbox import Event
from deepscaler.errors import DeepscalerError, JobError, UserError
from deepscaler.files import appending, lock_file
from deepscaler.settings.load import site

SECONDS = 20
"""A sender ends after this time, whatever a server does."""
FAILURES = "failures.log"


def start(scale_name: str) -> None:
    """Send in a process of its own, which nobody waits for. Never raises."""
    if not site().alerts:
        return
    with suppress(OSError):
        subprocess.Popen(
            [sys.executable, "-m", "deepscaler.alerts.send", scale_name],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )


def send(scale_name: str) -> tuple[int, int]:
    """Send what is pending: how many messages were taken by their servers, and how many were not.

    An address that fails is left alone until the next sender. Two senders take turns.
    """
    folder = outbox.folder_of(scale_name)
    if not folder.is_dir():
        return 0, 0
    given = addresses()
    with lock_file(folder / "sender.lock") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        sent, failing = 0, set[int]()
        failed = 0
        for event, lacking in outbox.pending(folder, len(given)):
            for number in lacking:
                if number not in failing and notify(given[number - 1], event):
                    outbox.sent_mark(folder, event.name, number).touch()
                    sent += 1
                else:
                    failing.add(number)
                    failed += 1
        for number in sorted(failing):
            note_failure(folder, f"address {number} of `alerts` did not take a message")
        return sent, failed


def by_hand(scale_name: str, *, test: bool) -> None:
    """For people: with `test`, a message to every address; and what is pending.

    Raises:
        UserError: there is no address.
        JobError: a server did not take a message.
    """
    if not site().alerts:
        raise UserError("there is nobody to tell: `alerts` is empty", WHERE)
    if test:
        stamp = time.strftime("%Y-%m-%d %H:%M:%S")
        outbox.put(
            outbox.folder_of(scale_name), Event(f"test-{time.time_ns()}", f"DeepScaleR {scale_name}: test", stamp)
        )
    sent, failed = send(scale_name)
    print(f"{sent} messages sent")
    if failed:
        raise JobError(f"{failed} messages were not taken", outbox.folder_of(scale_name) / FAILURES)


def notify(address: str, event: Event) -> bool:
    """Whether the server took it. What apprise would log has addresses in it, so it logs nothing."""
    import apprise

    logging.getLogger("apprise").disabled = True
    try:
        service = apprise.Apprise()
        return bool(service.add(address) and service.notify(title=event.title, body=event.text))
    except Exception:  # a plugin's, whose text may hold the address
        return False


def note_failure(folder: Path, line: str) -> None:
    with suppress(OSError), appending(folder / FAILURES) as log:
        log.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {line}\n".encode())


def main(scale_name: str) -> None:
    signal.signal(signal.SIGALRM, lambda number, frame: give_up(scale_name))
    signal.alarm(SECONDS)
    try:
        send(scale_name)
    except (DeepscalerError, OSError) as error:
        note_failure(outbox.folder_of(scale_name), str(error))


def give_up(scale_name: str) -> None:
    note_failure(outbox.folder_of(scale_name), f"not everything was sent in {SECONDS} seconds")
    os._exit(1)


if __name__ == "__main__":
    main(sys.argv[1])
