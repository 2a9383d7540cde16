"""What the jobs of a rehearsal left, read once: records of nodes, steps, phases, states, checkpoints, samples."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from deepscaler import dag, settings
from deepscaler.dag.chain import Segment
from deepscaler.errors import UserError
from deepscaler.files import read_json
from deepscaler.settings.rehearsal import Rehearsal
from deepscaler.settings.scale import Scale
from deepscaler.training.run import checkpoint
from deepscaler.training.run.deepspeed_states import State, states_in
from deepscaler.training.run.rehearsed_kill import NOTE
from deepscaler.training.run.run_folder import RunFolder
from deepscaler.training.watch.measured import Phase, read_phases
from deepscaler.training.watch.metrics import Row
from deepscaler.training.watch.timeline import timeline

Json = dict[str, Any]


@dataclass(frozen=True)
class Evidence:
    scale_name: str
    work: Path
    """{work}/{scale}"""
    logs: Path
    """logs/{scale}, with the benchmark files of jobs."""

    @cached_property
    def scale(self) -> Scale:
        return settings.load_scale(self.scale_name)

    @cached_property
    def rehearsal(self) -> Rehearsal:
        if self.scale.rehearsal is None:
            raise UserError(f"scale {self.scale_name!r} rehearses nothing", f"config/scales/{self.scale_name}.yaml")
        return self.scale.rehearsal

    @cached_property
    def segments(self) -> list[Segment]:
        return dag.segments(self.scale_name)

    @cached_property
    def stages(self) -> list[str]:
        return list(dict.fromkeys(segment.stage for segment in self.segments))

    def nodes(self, segment: Segment) -> list[Json]:
        """Preflight's record of each node of a stage; none where it has not run."""
        path = self.work / "preflight" / f"{segment.id}.json"
        record = read_json(path) if path.exists() else {}
        found: list[Json] = record.get("nodes", [])  # a run's own preflight measures none
        return found

    @cached_property
    def all_nodes(self) -> list[Json]:
        return [node for segment in self.segments if segment.starts_stage for node in self.nodes(segment)]

    @cached_property
    def rows(self) -> list[Row]:
        return timeline(self.scale_name, self.work)

    def rows_of(self, stage: str) -> list[Row]:
        return [row for row in self.rows if row.get("stage") == stage]

    def run(self, segment: Segment) -> RunFolder | None:
        """The newest run folder of a segment."""
        found = sorted(self.work.glob(f"runs/{segment.id}-*/run.json"), key=lambda path: path.stat().st_mtime)
        return RunFolder(found[-1].parent) if found else None

    def phases(self, stage: str) -> list[Phase]:
        runs = [self.run(segment) for segment in self.segments if segment.stage == stage]
        return [phase for run in runs if run for phase in read_phases(run.measured)]

    def weights(self, segment: Segment) -> Json:
        """What the checksums of a segment's newest launch showed; empty where there was no sync."""
        run = self.run(segment)
        record: Json = read_json(run.weights) if run and run.weights.exists() else {}
        return record

    def kill_note(self, segment: Segment) -> Json | None:
        run = self.run(segment)
        return read_json(run.path / NOTE) if run and (run.path / NOTE).exists() else None

    def last_state(self, stage: str) -> State | None:
        runs = [self.run(segment) for segment in self.segments if segment.stage == stage]
        states = [state for run in runs if run for state in states_in(run.states) if not state.defect()]
        return states[-1] if states else None

    def manifest(self, segment: Segment) -> Path:
        return self.work / "checkpoints" / segment.id / checkpoint.MANIFEST

    def parent_manifest(self, segment: Segment) -> Path:
        if segment.parent:
            return self.work / "checkpoints" / segment.parent / checkpoint.MANIFEST
        return self.work / "models" / str(self.scale.base) / checkpoint.BASE_MANIFEST

    def samples(self, system: str) -> list[Path]:
        shards = self.scale.evaluation.shards["table"]
        names = [f"table-{shard}of{shards}.parquet" for shard in range(1, shards + 1)]
        return [path for name in names if (path := self.work / "samples" / system / name).exists()]

    def grades(self, system: str) -> Path | None:
        path = self.work / "grades" / system / "table.parquet"
        return path if path.exists() else None
