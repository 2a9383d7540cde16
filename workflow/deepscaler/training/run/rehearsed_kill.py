"""The kill of a rehearsal: this job ends itself by SIGKILL, once, as soon as a step's state is saved.

Only a scale that says `rehearsal: kill:` names a segment for it. What follows is the usual way: the job has failed,
Snakemake submits it again, and it goes on from the saved state.
"""

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

from deepscaler.dag.chain import Segment
from deepscaler.files import write_json
from deepscaler.settings import load_scale
from deepscaler.training.launch.driver import children
from deepscaler.training.run.deepspeed_states import State
from deepscaler.training.run.run_folder import RunFolder

DRIVER = b"deepscaler.training.launch.driver"
NOTE = "killed.json"
"""In the run folder: that it was done, at which step and when; there is no second kill beside it."""


def rehearsed_kill(scale_name: str, segment: Segment, folder: RunFolder) -> Callable[[], None]:
    """What a running job is to call again and again: it does nothing where none is to be killed."""
    rehearsal = load_scale(scale_name).rehearsal
    kill = rehearsal.kill if rehearsal else None
    note = folder.path / NOTE
    if kill is None or kill.segment != segment.id or note.exists():
        return lambda: None
    state = State.at(folder.states, kill.after_step)

    def kill_when_saved() -> None:
        if state.defect() is None:
            write_json(note, {"step": state.step, "time": time.time()})
            print(f"rehearsal: SIGKILL to this job, now that step {state.step} is saved", flush=True)
            for pid in children():
                if os.getpgid(pid) == pid and DRIVER in Path(f"/proc/{pid}/cmdline").read_bytes():
                    os.killpg(pid, signal.SIGKILL)
            os.kill(os.getpid(), signal.SIGKILL)

    return kill_when_saved
