"""Stands in for training where SLURM tells a job to end: steps that only take time, told of as the real ones are.

    told.py train_segment FOLDER STEPS SECONDS

The first word is the verb's, by which a run on this computer finds what trains. Never saves but when it is told.
FOLDER/steps has a line for each step that was made, also those that were lost; FOLDER/saved the newest that is saved.
"""

import sys
import time
from pathlib import Path

from deepscaler.errors import GoOn
from deepscaler.files import write_json, write_text
from deepscaler.training.run.stop_request import StopRequest, answer_of, is_asked


def main(folder: Path, steps: int, seconds: float) -> None:
    saved = folder / "saved"

    def newest() -> int:
        return int(saved.read_text()) if saved.exists() else 0

    folder.mkdir(parents=True, exist_ok=True)
    stop = StopRequest(folder / "stop", folder.parent, newest, lambda line: print(line, flush=True))
    with stop.listening(), stop.while_training():
        for step in range(newest() + 1, steps + 1):
            end = time.monotonic() + seconds
            while time.monotonic() < end:
                stop.look()
                time.sleep(0.05)
            with (folder / "steps").open("a") as lines:
                lines.write(f"{step}\n")
            if is_asked(str(stop.stop)):
                write_text(saved, str(step))
                write_json(answer_of(stop.stop), {"step": step})
                stop.look()


if __name__ == "__main__":
    try:
        main(Path(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4]))
    except GoOn as error:
        print(f"deepscaler: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
