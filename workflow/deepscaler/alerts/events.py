"""What is told, by whom: each function writes its event and has it sent, and never raises or waits.

`alerts_from: node` has an event sent where it happens; `controller` leaves those of jobs to Snakemake's process.
"""

from contextlib import suppress

from deepscaler.alerts import outbox, send
from deepscaler.alerts.outbox import Event
from deepscaler.errors import DeepscalerError
from deepscaler.files import digest_of
from deepscaler.settings.load import site


def from_job(scale_name: str, name: str, title: str, text: str = "") -> None:
    """An event of a job, on whichever node it runs."""
    tell(scale_name, Event(name, title, text), at_once=site().alerts_from == "node")


def from_controller(scale_name: str, name: str, title: str, text: str = "") -> None:
    """An event of Snakemake's own process."""
    tell(scale_name, Event(name, title, text), at_once=True)


def tell(scale_name: str, event: Event, *, at_once: bool) -> None:
    if not site().alerts:
        return
    with suppress(OSError, DeepscalerError):
        titled = Event(event.name, f"DeepScaleR {scale_name}: {event.title}", event.text or event.title)
        if outbox.put(outbox.folder_of(scale_name), titled) and at_once:
            send.start(scale_name)


def send_pending(scale_name: str) -> None:
    """From Snakemake's process: what jobs left in the outbox, or could not send."""
    with suppress(OSError):
        if site().alerts and outbox.pending(outbox.folder_of(scale_name), len(site().alerts)):
            send.start(scale_name)


def short(*parts: object) -> str:
    """A few characters that tell events of other content apart."""
    return digest_of([str(part) for part in parts])[:8]
