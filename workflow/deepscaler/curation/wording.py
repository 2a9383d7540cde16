"""Pairs of problems that are worded alike, however they are typeset: by the runs of letters of their skeletons.

A run of `ngram` letters counts by its rarity: log(1 + texts / texts that have it). What two texts share is the weight
of their common runs over the weight of the lighter text's: 1 where one holds the whole other, whatever is around it.
Runs that more than `common` of the texts have find no pair, but count once a pair is found; so the work grows with the
texts' number times `common` of it, and matrices stay sparse.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from deepscaler.curation.similar import Pairs
from deepscaler.curation.skeleton import skeleton
from deepscaler.progress import progress
from deepscaler.settings.curation import Wording

if TYPE_CHECKING:
    import numpy as np
    from scipy.sparse import csr_array

    Array = np.ndarray[Any, Any]

BLOCK = 1024
"""Texts that are compared with all others at a time: bounds memory, decides nothing."""
FEWEST = 50
"""Texts that may have a run in any case, where `common` of a small collection would be none."""


def earlier_wordings(texts: list[str], floor: float, settings: Wording) -> Pairs:
    """Pairs of texts that share at least `floor`, each text with those before it."""
    runs = weighted_runs(texts, settings)
    return search(runs, runs, floor, settings, earlier=True)


def shared_wordings(texts: list[str], others: list[str], floor: float, settings: Wording) -> Pairs:
    """Pairs of a text and another's that share at least `floor`."""
    runs = weighted_runs([*texts, *others], settings)
    return search(runs.part(0, len(texts)), runs.part(len(texts), None), floor, settings, earlier=False)


@dataclass(frozen=True)
class Runs:
    """Which text has which run: [texts, runs], square roots of weights, so that products add up weights."""

    all: "csr_array"
    rare: "csr_array"
    """Those that find pairs."""
    weights: "Array"
    """[texts], of all of a text's runs."""

    def part(self, start: int, end: int | None) -> "Runs":
        return Runs(self.all[start:end], self.rare[start:end], self.weights[start:end])


def weighted_runs(texts: list[str], settings: Wording) -> Runs:
    import numpy as np
    from scipy.sparse import csr_array

    found = [runs_of(skeleton(text), settings.ngram) for text in progress(texts, what="reading", unit="problem")]
    known, columns, counts = np.unique(
        np.concatenate([*found, runs_of("", 1)]), return_inverse=True, return_counts=True
    )
    weights = np.log1p(len(texts) / np.maximum(counts, 1))
    starts = np.cumsum([0, *map(len, found)])
    matrix = csr_array((np.sqrt(weights)[columns], columns, starts), shape=(len(texts), len(known)))
    rare = counts <= max(settings.common * len(texts), FEWEST)
    return Runs(matrix, matrix[:, rare], matrix.power(2).sum(axis=1))


def runs_of(text: str, length: int) -> "Array":
    """Each run of `length` letters once, packed into a number."""
    import numpy as np

    letters = np.frombuffer(text.encode("ascii", "replace"), dtype=np.uint8).astype(np.uint64)
    size = max(0, len(letters) - length + 1)
    packed = np.zeros(size, dtype=np.uint64)
    for place in range(length):
        packed |= letters[place : place + size] << np.uint64(8 * place)
    return np.unique(packed)


def search(rows: Runs, columns: Runs, floor: float, settings: Wording, *, earlier: bool) -> Pairs:
    import numpy as np

    parts = [(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0))]
    transposed = columns.rare.T.tocsr()
    with progress(total=rows.all.shape[0], what="comparing wordings", unit="problem") as bar:
        for start in range(0, rows.all.shape[0], BLOCK):
            product = (rows.rare[start : start + BLOCK] @ transposed).tocoo()
            one, other = product.row.astype(np.int64) + start, product.col.astype(np.int64)
            lighter = np.minimum(rows.weights[one], columns.weights[other])
            near = product.data >= settings.candidate * floor * lighter
            near &= (other < one) if earlier else True
            one, other, lighter = one[near], other[near], lighter[near]
            shared = rows.all[one].multiply(columns.all[other]).sum(axis=1) / lighter
            keep = shared >= floor
            parts.append((one[keep], other[keep], shared[keep]))
            bar.update(min(BLOCK, rows.all.shape[0] - start))
    one, other, shared = (np.concatenate(column) for column in zip(*parts, strict=True))
    order = np.lexsort((other, -shared, one))
    return Pairs(one[order], other[order], shared[order])
