"""Problems as vectors: sentence-transformers' all-MiniLM-L6-v2, from a package, a folder or the hub, verified."""

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deepscaler.errors import JobError, UserError
from deepscaler.files import sha256, writing
from deepscaler.hub import first_line
from deepscaler.progress import progress
from deepscaler.settings.curation import Embedding

if TYPE_CHECKING:
    import numpy as np
    from sentence_transformers import SentenceTransformer

    Vectors = np.ndarray[Any, np.dtype[np.float32]]

MIN_BATCH = 4


def embed(texts: list[str], settings: Embedding, threads: int = 1, mirror: str | None = None) -> "Vectors":
    """Unit vectors of texts, float32 [texts, dimensions], in their order.

    Texts beyond the model's 256 word pieces are cut there, as sentence-transformers does.
    """
    import torch

    torch.set_num_threads(threads)
    return Embedder(settings, mirror).embed(texts)


class Embedder:
    """A loaded model."""

    def __init__(self, settings: Embedding, mirror: str | None = None) -> None:
        self.settings = settings
        self.model = load(settings, mirror)

    def embed(self, texts: list[str]) -> "Vectors":
        """As `embed`. Texts go through the model sorted by length, so that a batch holds little padding."""
        import numpy as np

        lengths = self.lengths(texts)
        vectors = np.zeros((len(texts), dimensions(self.model)), dtype=np.float32)
        with progress(total=len(texts), what="embedding", unit="problem") as bar:
            for batch in batches(lengths, self.settings.batch_tokens):
                vectors[batch] = self.model.encode(
                    [texts[index] for index in batch],
                    batch_size=len(batch),
                    normalize_embeddings=True,
                    show_progress_bar=False,
                )
                bar.update(len(batch))
        return vectors

    def lengths(self, texts: list[str]) -> list[int]:
        """Word pieces of each text, as far as the model reads."""
        if not texts:
            return []
        limit = self.model.max_seq_length or 512
        encodings = self.model.tokenizer(texts, truncation=True, max_length=limit)["input_ids"]
        return [len(pieces) for pieces in encodings]


def batches(lengths: list[int], budget: int) -> list[list[int]]:
    """Places of texts in batches, the longest first, each of at most `budget` tokens after padding."""
    order = sorted(range(len(lengths)), key=lambda index: -lengths[index])
    found: list[list[int]] = []
    while order:
        size = max(MIN_BATCH, budget // max(lengths[order[0]], 1))
        found.append(order[:size])
        order = order[size:]
    return found


def dimensions(model: "SentenceTransformer") -> int:
    return int(model.get_embedding_dimension() or 0)


def load(settings: Embedding, mirror: str | None = None) -> "SentenceTransformer":
    """The model on the CPU; a UserError when its weights are not the pinned ones."""
    from sentence_transformers import SentenceTransformer
    from transformers.utils import logging

    logging.disable_progress_bar()
    folder = model_folder(settings, mirror)
    check(folder, settings)
    return SentenceTransformer(str(folder), device="cpu")


def model_folder(settings: Embedding, mirror: str | None) -> Path:
    """Where the model lies: in the Python package that carries it, in the mirror, or in the hub's cache."""
    if settings.package and (found := importlib.util.find_spec(settings.package)) and found.origin:
        return Path(found.origin).parent / "model"
    if mirror:
        folder = Path(mirror) / settings.model
        if folder.is_dir():
            return folder
        raise UserError(f"no model {settings.model} here", folder, "put it there, or unset the site's setting `hub`")
    from huggingface_hub import snapshot_download

    patterns = ["*.json", "*.txt", "model.safetensors"]
    try:
        return Path(snapshot_download(settings.model, revision=settings.revision, allow_patterns=patterns))
    except Exception as error:  # the hub's and httpx's own errors have no common class
        hint = f"install {settings.package}, which carries the weights" if settings.package else None
        raise JobError(f"could not fetch {settings.model}: {first_line(error)}", None, hint) from None


def check(folder: Path, settings: Embedding) -> None:
    weights = folder / "model.safetensors"
    if not weights.is_file():
        raise UserError("no model.safetensors", folder)
    if (actual := sha256(weights)) != settings.weights_sha256:
        raise UserError(f"weights have SHA-256 {actual[:12]}…, pinned {settings.weights_sha256[:12]}…", weights)


def write_vectors(path: Path, vectors: "Vectors") -> None:
    """Vectors as a file of numpy's."""
    import numpy as np

    with writing(path) as aside, aside.open("wb") as handle:
        np.save(handle, vectors)


def read_vectors(path: Path, size: int) -> "Vectors":
    """The vectors of `size` problems; a UserError when the file is damaged or another table's."""
    import numpy as np

    try:
        vectors: Vectors = np.load(path, allow_pickle=False)
    except FileNotFoundError:
        raise UserError("no such file of vectors", path) from None
    except (ValueError, OSError, EOFError) as error:
        raise UserError(f"not a whole file of vectors: {first_line(error)}", path) from None
    if vectors.ndim != 2 or len(vectors) != size:
        raise UserError(f"vectors of shape {vectors.shape} for {size} problems", path, "run `deduplicate` again")
    return vectors
