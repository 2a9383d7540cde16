"""What Snakemake's log says of SLURM's part in a failure: submissions that were refused, and jobs handed in as a group.

Of a failed group Snakemake names every rule, whichever failed. Which one it was stands in the group's own SLURM log,
where another Snakemake ran its jobs and wrote the same lines as for jobs alone.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from deepscaler.controller.slurm_requests import reason_in

REFUSED = re.compile(r"SLURM sbatch failed\. The error message was '(.*?)'\.\n", re.DOTALL)
GROUP_MESSAGE = re.compile(
    r"^Error in group (\S+): (.*?)\n(?=    sbatch call:|\[\w{3} \w{3} )", re.DOTALL | re.MULTILINE
)
"""As deepscaler.controller.before_submission has it logged."""
GROUP_LOG = re.compile(r"^    message: Error in group (\S+)\n    log: (.+?)(?:,| \(check)", re.MULTILINE)


@dataclass(frozen=True)
class FailedGroup:
    name: str
    reason: str
    """What SLURM or its plugin said of the group as a whole."""
    log: Path | None
    """SLURM's log of it; None where it was never submitted."""


def refusal(details: str) -> str | None:
    """Why sbatch took no job, in one line, where `details` of a failed job say that it did not."""
    found = REFUSED.search(details)
    return f"sbatch refused it: {reason_in(found[1])}" if found else None


def failed_groups(text: str) -> Iterator[FailedGroup]:
    """Every group that a Snakemake's log reports as failed; one that was tried again comes several times."""
    logs = [(found.start(), found[1], Path(found[2])) for found in GROUP_LOG.finditer(text)]
    messages = list(GROUP_MESSAGE.finditer(text))
    for number, found in enumerate(messages):
        until = messages[number + 1].start() if number + 1 < len(messages) else len(text)
        own = (log for start, name, log in logs if name == found[1] and found.start() < start < until)
        reason = refusal(found[2] + "\n") or " ".join(found[2].split())
        yield FailedGroup(found[1], reason, next(own, None))
