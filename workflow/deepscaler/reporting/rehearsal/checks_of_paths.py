"""Was every path of the run gone, and did each end as it should? Nodes, kill and resume, hand-over, export, samples."""

from collections.abc import Iterator

from deepscaler import dag, records, settings
from deepscaler.dag.chain import Segment
from deepscaler.errors import UserError
from deepscaler.files import sha256
from deepscaler.reporting.compute.account_compute import read_jobs
from deepscaler.reporting.rehearsal.evidence import Evidence
from deepscaler.reporting.rehearsal.finding import Finding, at_least, at_most, figure, missing
from deepscaler.training.run import checkpoint
from deepscaler.training.watch.measured import LAUNCH, LOAD


def nodes(run: Evidence) -> Iterator[Finding]:
    """All of a stage's nodes are ready, of one kind, and none is much slower than the others."""
    for segment in run.segments:
        if not segment.starts_stage:
            continue
        wanted, found = dag.layout(run.scale_name, segment.stage).nodes, run.nodes(segment)
        if not found:
            yield missing("preflight", segment.stage, f"see logs/{run.scale_name}/preflight/{segment.id}.log")
            continue
        lacking = [check["what"] for node in found for check in node["checks"] if check["level"] == "missing"]
        hosts = ", ".join(sorted(node["host"] for node in found))
        go = not lacking and len({node["host"] for node in found}) == wanted
        seen = "; ".join(lacking) or f"{len(found)} ready: {hosts}"
        yield Finding(
            "preflight", segment.stage, seen, go, f"{wanted} ready", "", "" if go else "mend or exclude nodes"
        )
        yield architecture(segment.stage, sorted({node["architecture"] for node in found}))
        speeds = {node["host"]: node["tflops"] for node in found}
        slowest = min(speeds, key=lambda host: speeds[host])
        share = speeds[slowest] / max(speeds.values())
        advice = f"exclude {slowest}, or find out why it is slow"
        bound = run.rehearsal.bounds.slowest_node
        yield at_least("slowest node", segment.stage, share, bound, "of the fastest", "", advice)


def architecture(stage: str, kinds: list[str]) -> Finding:
    """Preflight has refused cards that the engines' code is not for; here, nodes that differ."""
    go, advice = len(kinds) == 1, "gpu_constraint or gpu_model of config/site.local.yaml chooses nodes of one kind"
    return Finding("architecture", stage, " | ".join(kinds), go, "one kind", "", "" if go else advice)


def steps(run: Evidence) -> Iterator[Finding]:
    for stage in run.stages:
        wanted = dag.last_segment(run.scale_name, stage).last
        made = len({row["step"] for row in run.rows_of(stage)})
        if not made:
            yield missing("steps", stage)
        else:
            yield Finding("steps", stage, str(made), made == wanted, str(wanted), str(wanted))


def kill_and_resume(run: Evidence) -> Iterator[Finding]:
    """The job killed itself, and the next try loaded the saved state and went on behind it."""
    kill = run.rehearsal.kill
    if kill is None:
        return
    segment = dag.segment(run.scale_name, kill.segment)
    note, bound = run.kill_note(segment), f"from step {kill.after_step}"
    if note is None:
        yield missing("kill and resume", kill.segment, "the job was not killed")
        return
    loads = [p for p in run.phases(segment.stage) if p.phase == LOAD and p.time > note["time"] and p.rank != LAUNCH]
    rows = [row["step"] for row in run.rows_of(segment.stage) if row.get("segment") == segment.id]
    go = bool(loads) and max(rows, default=0) == segment.last
    seen = f"killed at step {note['step']}, " + ("resumed" if go else "not resumed")
    advice = "" if go else f"see logs/{run.scale_name}/train_segment/{segment.id}.log"
    yield Finding("kill and resume", kill.segment, seen, go, bound, "", advice)


def chain(run: Evidence) -> Iterator[Finding]:
    """Each checkpoint is whole, and each stage began with the weights of the one before."""
    for segment in run.segments:
        manifest = run.manifest(segment)
        if not manifest.exists():
            yield missing("export", segment.id)
            continue
        try:
            files = checkpoint.verify_files(manifest).files
            size = sum((manifest.parent / name).stat().st_size for name in files if name.endswith(".safetensors"))
            yield Finding(
                "export", segment.id, f"{len(files)} files, weights {size / 1e9:.3g} GB", True, "digests agree"
            )
        except UserError as error:
            yield Finding("export", segment.id, error.what, False, "digests agree", "", "train the segment again")
        if segment.parent:
            yield hand_over(run, segment)


def hand_over(run: Evidence, segment: Segment) -> Finding:
    before, folder = run.parent_manifest(segment), run.run(segment)
    if folder is None or not before.exists():
        return missing("hand-over", segment.id)
    own, parent = checkpoint.read_manifest(run.manifest(segment)), checkpoint.read_manifest(before)
    weights = folder.start / "model.safetensors"
    same = weights.exists() and sha256(weights) == parent.files.get("model.safetensors")
    go = getattr(own, "parent", "") == checkpoint.digest(before) and (same or not segment.starts_stage)
    seen = f"weights of {segment.parent}" if go else "other weights"
    return Finding("hand-over", segment.id, seen, go, f"weights of {segment.parent}")


def samples(run: Evidence) -> Iterator[Finding]:
    """Every answer that was asked for is there and graded."""
    seconds = sum(job.seconds for job in read_jobs(run.scale_name, run.logs) if job.rule == "sample")
    problems = sum(settings.benchmarks()[name].size for name in run.scale.evaluation.suites["table"])
    wanted, drawn = problems * run.scale.evaluation.samples, 0
    for system in dag.evaluated(run.scale_name):
        shards = run.samples(system)
        if not shards:
            yield missing("samples", system)
            continue
        tokens = [row["tokens"] for path in shards for row in records.read(path, records.COMPLETION).to_pylist()]
        drawn += sum(tokens)
        seen = f"{len(tokens)}, {figure(sum(tokens) / len(tokens))} tokens on average, {max(tokens):,} at most"
        yield Finding("samples", system, seen, len(tokens) == wanted, str(wanted))
        yield from grades(run, system, len(tokens))
    if seconds and drawn:
        yield at_least("sampling", "all systems", drawn / seconds, None, "tokens/s, starts included")


def grades(run: Evidence, system: str, count: int) -> Iterator[Finding]:
    path = run.grades(system)
    if path is None:
        yield missing("grades", system)
        return
    graded = records.read(path, records.GRADE).num_rows
    yield Finding("grades", system, str(graded), graded == count, str(count))
    stopped = int(records.metadata(path).get("stopped", "0")) / max(graded, 1)
    advice = "raise evaluation.grading.seconds or memory_mb"
    yield at_most("grading stopped", system, stopped, run.rehearsal.bounds.grading_killed, "of answers", "", advice)
