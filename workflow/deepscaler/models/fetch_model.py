"""Published weights by their pin: from the hub, or from a local folder in its format."""

import hashlib
from pathlib import Path

from deepscaler import hub, settings
from deepscaler.errors import UserError, refuse_unknown
from deepscaler.files import remove, replace, write_json
from deepscaler.models.kept import keep, kept_folder, put_back
from deepscaler.models.manifest import manifest_for
from deepscaler.models.try_tokenizer import tried_template
from deepscaler.settings.models import Published

PATTERNS = ("*.safetensors", "*.json", "*.jinja", "*.txt", "*.model")
"""Weights as tensors only, never as pickles, which can run code; configuration; tokenizer."""
PACKAGES = ["deepscaler", "huggingface-hub", "transformers"]


def fetch_model(*, system: str, output: Path) -> None:
    """Write the model's folder with its manifest at `output` (model.json), whole or not at all.

    What was downloaded before an interruption is kept beside the folder and used again. A model that does not match
    its pin, or that could not be sampled, is refused and kept aside. Weights of the same pin that came over the network
    and are still there, whole, are not fetched again.
    """
    entry = published(system)
    folder = output.parent
    pin = hub.Pin("model", entry.repository, entry.revision, entry.files, PATTERNS)
    kept = kept_folder(folder, [pin.repository, pin.revision, pin.files, pin.patterns, entry.chat_template])
    local = hub.local_folder(pin, settings.site().hub) is not None
    if not local and put_back(folder, kept):
        print(f"{system} is here already, whole; delete {folder} and {kept} to fetch it again")
        return
    aside = folder.with_name(f".{folder.name}.{(entry.revision or 'newest')[:12]}.partial")
    aside.mkdir(parents=True, exist_ok=True)
    snapshot = hub.fetch(pin, aside, settings.site().hub)
    check_usable(aside, entry)
    remove(aside / ".cache")  # the downloader's own records
    manifest = manifest_for(
        aside,
        system,
        packages=PACKAGES,
        repository=entry.repository,
        revision=snapshot.revision,
        verified=snapshot.verified,
        files=snapshot.digests,
    )
    write_json(aside / output.name, manifest.model_dump())
    replace(aside, folder)
    if not local:
        keep(folder, [output.name], kept)
    print(f"{system}: {len(snapshot.digests)} files of {entry.repository}@{snapshot.revision or 'unknown revision'}")
    if snapshot.verified == "none":
        why = "the folder records no revision" if entry.revision else "none is set"
        print(f"{system}: not verified against a pin ({why})")


def published(system: str) -> Published:
    known = {name: entry for name, entry in settings.systems().items() if isinstance(entry, Published)}
    if system not in known:
        raise refuse_unknown("published model", system, list(known), "config/models.yaml")
    return known[system]


def check_usable(folder: Path, entry: Published) -> None:
    """Refuse what would fail, or score 0, only after hours: no weights, no tokenizer, another chat template."""
    if not (folder / "config.json").is_file() or not list(folder.glob("*.safetensors")):
        raise UserError(f"{entry.repository} has no config.json or no safetensors weights", folder)
    template = tried_template(folder, entry.prompting)
    if not template:
        raise UserError(f"{entry.repository} has no chat template", folder)
    digest = hashlib.sha256(template.encode()).hexdigest()
    if entry.chat_template and digest != entry.chat_template:
        raise UserError(
            f"the chat template of {entry.repository} has SHA-256 {digest[:12]}…, pinned {entry.chat_template[:12]}…",
            folder,
            "kept there, and not used",
        )
