"""What is at hand: GPUs of one kind, hours, dollars."""

from dataclasses import dataclass, replace
from math import inf, isfinite

from deepscaler import settings
from deepscaler.cost.hardware import CARDS, Card, card
from deepscaler.cost.workload import known_card
from deepscaler.errors import UserError

NODE = 8
"""GPUs of the largest node that is thought of."""


@dataclass(frozen=True)
class Machine:
    """What may be used; at least one of `hours` and `dollars` is finite."""

    gpus: int
    card_name: str
    card: Card
    """With the memory that may be used."""
    hours: float
    """Wall time."""
    dollars: float
    dollars_per_gpu_hour: float

    @property
    def hours_are_limited(self) -> bool:
        return isfinite(self.hours)

    @property
    def dollars_are_limited(self) -> bool:
        return isfinite(self.dollars)

    @property
    def gpu_hours(self) -> float:
        """That can be had: by the clock, or by the purse where that is emptied first."""
        rate = self.dollars_per_gpu_hour
        return min(self.hours * self.gpus, self.dollars / rate if rate else inf)

    def hours_with(self, gpus: int) -> float:
        """Wall hours that `gpus` of them may work."""
        return min(self.hours, self.gpu_hours / gpus)

    def gpus_for(self, sequences: int) -> int:
        """The most of them that share an update of so many sequences evenly."""
        whole_nodes = (n for n in range(self.gpus, 0, -1) if n <= NODE or n % NODE == 0)
        return next(n for n in whole_nodes if sequences % n == 0)


def machine(
    *,
    gpus: int | None,
    card_name: str | None,
    hours: float | None,
    dollars: float | None,
    memory_gb: float | None,
    dollars_per_gpu_hour: float | None,
) -> Machine:
    """The machine that options describe; what is left out is one GPU of the site's kind, without an end.

    Raises:
        UserError: a value is no such thing, or nothing ends the work.
    """
    if hours is None and dollars is None:
        raise UserError("no end is given", "plan", "say how long with --hours, or for how much with --dollars")
    for option, value in (
        ("--hours", hours),
        ("--dollars", dollars),
        ("--memory-gb", memory_gb),
        ("--rate", dollars_per_gpu_hour),
    ):
        if value is not None and not (isfinite(value) and value > 0):
            raise UserError(f"{option} is a number above 0, not {value:g}", option)
    number = 1 if gpus is None else gpus
    if number < 1 or (number > NODE and number % NODE):
        hint = f"1 to {NODE}, or whole nodes of {NODE}"
        raise UserError(f"{number} GPUs can't be laid out", "--gpus", hint)
    name = card_name.lower() if card_name else known_card(settings.site().gpu_model)
    kind = card(name)
    if memory_gb is not None and memory_gb * 1e9 > kind.memory * 1.2:
        raise UserError(f"a {CARDS[name].title} has {kind.memory / 1e9:.0f} GB, not {memory_gb:g}", "--memory-gb")
    memory = kind.memory if memory_gb is None else min(kind.memory, memory_gb * 1e9)
    rate = settings.load_scale("released").budget.dollars_per_gpu_hour
    return Machine(
        gpus=number,
        card_name=name,
        card=replace(kind, memory=memory),
        hours=inf if hours is None else hours,
        dollars=inf if dollars is None else dollars,
        dollars_per_gpu_hour=rate if dollars_per_gpu_hour is None else dollars_per_gpu_hour,
    )
