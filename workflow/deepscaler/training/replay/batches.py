"""Which samples of a step form an update, and which are packed into one micro-batch, as the trainer decides it.

All of it follows from the samples' lengths and the layout. Only the order of additions depends on the micro-batches,
but the updates are different ones for other samples. Held against upstream's functions in a test.
"""

import heapq
from dataclasses import dataclass

Batches = list[list[int]]
"""Numbers of samples, a list a batch."""


def fewest(lengths: list[int], most: int) -> int:
    """How many batches of at most `most` tokens take these sequences in turn, each the first with room."""
    rooms: list[int] = []
    for length in lengths:
        place = next((place for place, room in enumerate(rooms) if length <= room), None)
        if place is None:
            rooms.append(most - length)
        else:
            rooms[place] -= length
    return len(rooms)


@dataclass(order=True)
class Part:
    """A batch in the making; of two with as many tokens, the one of more samples is the larger."""

    tokens: int
    size: int
    samples: list[tuple[int, int]]
    """Number and length."""

    def joined(self, other: "Part") -> "Part":
        return Part(self.tokens + other.tokens, self.size + other.size, self.samples + other.samples)


class Parts:
    """A division of some samples into a fixed number of parts, largest first."""

    def __init__(self, parts: list[Part]) -> None:
        self.parts = sorted(parts, reverse=True)

    def __lt__(self, other: "Parts") -> bool:
        """In a heap: the least balanced one comes first, of equals the one with the larger part."""
        if self.spread != other.spread:
            return self.spread > other.spread
        return self.parts[0] > other.parts[0]

    @property
    def spread(self) -> int:
        return self.parts[0].tokens - self.parts[-1].tokens

    def joined(self, other: "Parts") -> "Parts":
        """The largest of the one with the smallest of the other."""
        return Parts([part.joined(small) for part, small in zip(self.parts, reversed(other.parts), strict=True)])


def balanced(lengths: list[int], count: int) -> Batches:
    """`count` batches of about as many tokens: the largest differencing method of Karmarkar and Karp (1982)."""
    heap = [
        Parts([Part(length, 1, [(number, length)]), *(Part(0, 0, []) for _ in range(count - 1))])
        for length, number in sorted((length, number) for number, length in enumerate(lengths))
    ]
    heapq.heapify(heap)
    while len(heap) > 1:
        first, second = heapq.heappop(heap), heapq.heappop(heap)
        heapq.heappush(heap, first.joined(second))
    return [sorted(number for number, _ in part.samples) for part in heap[0].parts]


def scoring_batches(lengths: list[int], ranks: int, most: int) -> Batches:
    """In which the log-probabilities before the update are taken: a whole number a rank."""
    count = max(fewest(lengths, most) // ranks * ranks, ranks)
    return balanced(lengths, count)


def shared_out(order: list[int], lengths: list[int], ranks: int) -> Batches:
    """The samples of each rank: by length, a long one and a short one in turn, among equals by `order`."""
    ordered = sorted(order, key=lambda number: -lengths[number])
    chunks = [ordered[start : start + ranks] for start in range(0, len(ordered), ranks)]
    half = len(chunks) // 2
    long, short = chunks[:half], [chunk[::-1] for chunk in chunks[half:]]
    turns = [chunk for place in range(half) for chunk in (long[place], short[-1 - place])]
    turns += short[:1] if len(short) > len(long) else []
    return [[chunk[rank] for chunk in turns if rank < len(chunk)] for rank in range(ranks)]


def update_batches(order: list[int], lengths: list[int], ranks: int, updates: int, most: int) -> list[list[Batches]]:
    """Update → rank → the micro-batches of that rank, as many on each."""
    shares = shared_out(order, lengths, ranks)
    size = len(order) // updates // ranks
    found = []
    for update in range(updates):
        own = [share[update * size : (update + 1) * size] for share in shares]
        count = max(fewest([lengths[number] for number in share], most) for share in own)
        found.append(
            [
                [[share[place] for place in batch] for batch in balanced([lengths[n] for n in share], count)]
                for share in own
            ]
        )
    return found
