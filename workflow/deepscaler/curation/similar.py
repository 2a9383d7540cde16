"""Pairs of similar vectors, by blocks: exact cosine similarity in bounded memory.

For n vectors of d dimensions, n²d multiplications (half of that where a set is compared with itself) and
BLOCK × TILE similarities in memory. docs/performance/curation.md says up to which n this is the right way.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from deepscaler.progress import progress

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

BLOCK, TILE = 1024, 8192


@dataclass(frozen=True)
class Pairs:
    """Row, column and similarity of each pair, by row, the strongest first."""

    rows: "Array"
    columns: "Array"
    scores: "Array"

    def renumbered(self, indices: list[int]) -> "Pairs":
        """The same pairs by other indices: `indices[i]` for i."""
        import numpy as np

        numbers = np.array(indices, dtype=np.int64)
        return Pairs(numbers[self.rows], numbers[self.columns], self.scores)

    def where(self, keep: "Array") -> "Pairs":
        """Those of the pairs for which `keep` [pairs] holds."""
        return Pairs(self.rows[keep], self.columns[keep], self.scores[keep])


def similar_pairs(
    rows: "Array",
    columns: "Array",
    floor: float,
    most: int,
    row_keys: "Array | None" = None,
    column_keys: "Array | None" = None,
) -> Pairs:
    """All pairs of unit vectors with similarity ≥ `floor`, and with equal keys where keys are given.

    `rows` [n, d] and `columns` [m, d], float32. Of each row the `most` strongest pairs.
    """
    return collect(search(rows, columns, floor, most, row_keys, column_keys, earlier=False), len(rows), most)


def earlier_pairs(vectors: "Array", floor: float, most: int, keys: "Array | None" = None) -> Pairs:
    """As `similar_pairs` of a set with itself, each row with the columns before it."""
    return collect(search(vectors, vectors, floor, most, keys, keys, earlier=True), len(vectors), most)


Triple = tuple["Array", "Array", "Array"]


def search(
    rows: "Array", columns: "Array", floor: float, most: int, row_keys: Any, column_keys: Any, earlier: bool
) -> Iterator[tuple[int, list[Triple]]]:
    """Block by block: how many rows were searched, and their pairs."""
    import numpy as np

    for start in range(0, len(rows), BLOCK):
        block = rows[start : start + BLOCK]
        found: list[Triple] = []
        for left in range(0, min(len(columns), start + BLOCK) if earlier else len(columns), TILE):
            similarity = block @ columns[left : left + TILE].T
            hit = similarity >= floor
            if row_keys is not None:
                hit &= row_keys[start : start + BLOCK, None] == column_keys[None, left : left + TILE]
            if earlier and left + TILE > start:
                hit &= np.arange(left, left + similarity.shape[1]) < np.arange(start, start + len(block))[:, None]
            r, c = np.nonzero(hit)
            if len(r):
                found.append(strongest(r + start, c + left, similarity[r, c], most))
        yield len(block), found


def strongest(rows: "Array", columns: "Array", scores: "Array", most: int) -> Triple:
    """The `most` strongest of each row, by row and falling score; of equal ones the first column."""
    import numpy as np

    order = np.lexsort((columns, -scores, rows))
    rows, columns, scores = rows[order], columns[order], scores[order]
    first = np.searchsorted(rows, rows)
    keep = np.arange(len(rows)) - first < most
    return rows[keep], columns[keep], scores[keep]


def collect(blocks: Iterator[tuple[int, list[Triple]]], total: int, most: int) -> Pairs:
    import numpy as np

    parts: list[Triple] = []
    with progress(total=total, what="comparing", unit="problem") as bar:
        for size, found in blocks:
            if found:
                merged = [np.concatenate(column) for column in zip(*found, strict=True)]
                parts.append(strongest(merged[0], merged[1], merged[2], most))
            bar.update(size)
    if not parts:
        empty = np.zeros(0, dtype=np.int64)
        return Pairs(empty, empty, np.zeros(0, dtype=np.float32))
    rows, columns, scores = (np.concatenate(column) for column in zip(*parts, strict=True))
    return Pairs(rows, columns, scores)
