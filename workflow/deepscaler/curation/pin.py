"""Pins: the commit of every source and the SHA-256 of its files, as they are now, in a lock file for all later runs."""

from pathlib import Path
from tempfile import TemporaryDirectory

import yaml

from deepscaler import hub, settings
from deepscaler.curation.fetch_source import pin_of
from deepscaler.errors import UserError, refuse_unknown
from deepscaler.files import write_text
from deepscaler.settings.load import read_yaml, sources_as_written

HEADER = """# Written by `deepscaler pin`: what each source was then. A fetch that finds anything else is refused.
# A pin in sources.yaml holds before this one.
"""


def pin(*, names: list[str], lock: Path) -> None:
    """Fetch sources as the settings name them, and write what was found to `lock`; other pins there stay."""
    known = sources_as_written()
    for name in names:
        if name not in known:
            raise refuse_unknown("source", name, list(known), "config/sources.yaml")
        if known[name].kind == "synthetic":
            raise UserError(f"source {name!r} is made here, there is nothing to pin")
    wanted = names or [name for name, entry in known.items() if entry.kind != "synthetic"]
    pins = read_yaml(lock) if lock.exists() else {}
    for name in wanted:
        with TemporaryDirectory(prefix="deepscaler-pin-") as folder:
            snapshot = hub.fetch(pin_of(known[name]), Path(folder) / name, settings.site().hub)
        pins[name] = {
            "repository": known[name].repository,
            "revision": snapshot.revision,
            "files": snapshot.digests,
        }
        print(f"{name}: {len(snapshot.digests)} files at {snapshot.revision or 'no known commit'}")
        write_text(lock, HEADER + yaml.safe_dump(pins, sort_keys=True))
