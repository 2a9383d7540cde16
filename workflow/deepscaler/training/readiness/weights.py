"""The base model's weights: there and whole, or where fetch_model will find them."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import SplitResult, urlsplit
from urllib.request import getproxies, proxy_bypass

from deepscaler import hub, settings
from deepscaler.errors import DeepscalerError, UserError
from deepscaler.settings.models import Published
from deepscaler.training.readiness.check import Check
from deepscaler.training.run.checkpoint import verify_files

HUB = "https://huggingface.co"


def check_weights(scale_name: str, system: str, root: Path) -> Iterator[Check]:
    """A model: made or fetched already, or where fetch_model will look for it."""
    manifest = root / scale_name / "models" / system / "model.json"
    entry = settings.systems()[system]
    if manifest.exists():
        try:
            verify_files(manifest)
        except DeepscalerError as error:
            yield Check("missing", f"weights of {system} are damaged: {error}", f"delete {manifest.parent}")
        else:
            yield Check("ok", f"weights of {system} are as their manifest says")
    elif isinstance(entry, Published):
        yield fetchable(scale_name, system, entry, manifest)
    else:
        yield Check("ok", f"weights of {system} will be made by distill_base")


def fetchable(scale_name: str, base: str, entry: Published, manifest: Path) -> Check:
    """Whether fetch_model would find a model's weights: it reads the site's folder or the hub, and no cache."""
    site = settings.site()
    unfetched = f"weights of {base} are not fetched yet"
    try:
        folder = hub.local_folder(hub.Pin("model", entry.repository, entry.revision), site.hub)
    except UserError as error:
        return Check("missing", f"{unfetched}: {error}")
    if folder:
        if any(folder.glob("*.safetensors")):
            return Check("ok", f"{unfetched}; they are in {folder}")
        return Check("missing", f"{unfetched}, and there are no *.safetensors in {folder}")
    if hub_reachable():
        return Check("ok", f"{unfetched}; the hub can be reached")
    if site.network == "login":
        return Check("note", f"{unfetched}; the login node will do it")
    return Check(
        "missing",
        f"weights of {base} ({entry.repository}): not in {manifest.parent}, and the hub cannot be reached",
        f"run `snakemake {site.work}/{scale_name}/models/{base}/model.json` where there is a network, or set `hub` in "
        "config/site.yaml to a folder that has them",
    )


def hub_reachable() -> bool:
    """Whether the Hugging Face hub, its stand-in (`HF_ENDPOINT`) or the proxy before them accepts a connection."""
    if os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE"):
        return False
    endpoint = urlsplit(os.environ.get("HF_ENDPOINT") or HUB)
    bypass = proxy_bypass(endpoint.hostname or "")
    proxy = urlsplit("" if bypass else getproxies().get(endpoint.scheme, ""))
    return reachable(proxy if proxy.hostname else endpoint)


def reachable(address: SplitResult) -> bool:
    """Whether something accepts a connection within five seconds."""
    port = address.port or (80 if address.scheme == "http" else 443)
    try:
        with socket.create_connection((address.hostname or "", port), timeout=5):
            return True
    except OSError:
        return False
