"""What to write into config/ for what is fetched: commits, and the SHA-256 of every file."""

from deepscaler import hub, settings
from deepscaler.errors import UserError, refuse_unknown
from deepscaler.models.fetch_model import PATTERNS
from deepscaler.settings.models import Published


def pins() -> dict[str, hub.Pin]:
    """Every model and benchmark of the settings that comes from the Hugging Face hub, by its name."""
    found: dict[str, hub.Pin] = {}
    for name, entry in settings.systems().items():
        if isinstance(entry, Published):
            found[name] = hub.Pin("model", entry.repository, entry.revision, entry.files, PATTERNS)
    for name, benchmark in settings.benchmarks().items():
        if benchmark.kind == "hub" and benchmark.repository:
            found[name] = hub.Pin("dataset", benchmark.repository, benchmark.revision, benchmark.files)
    return found


def pin(*, names: list[str]) -> list[str]:
    """Lines of YAML, one entry a name: the commit that its pin means today, or the newest, and its files' digests.

    Nothing is downloaded but the hub's own list; files that it keeps no SHA-256 of (small ones) are left out.
    """
    known = pins()
    lines = []
    for name in names or list(known):
        if name not in known:
            raise refuse_unknown("model or benchmark of the hub", name, list(known))
        lines += entry_lines(name, known[name])
    return lines


def entry_lines(name: str, wanted: hub.Pin) -> list[str]:
    if hub.local_folder(wanted, settings.site().hub):
        raise UserError(f"{name} comes from a local folder", None, "pins are those of the hub: unset `hub` of the site")
    commit, digests = hub.described(wanted)
    same = wanted.revision and commit.startswith(wanted.revision)
    state = "as pinned" if same else f"pinned: {wanted.revision}"
    lines = [f"{name}:", f"  revision: {commit} # {state}"]
    if digests:
        lines.append("  files:")
        lines += [f"    {path}: {digest}" for path, digest in sorted(digests.items())]
    return lines
