"""Checkpoints: put in place whole and without copying, identified by all that decides them, proven back to the base."""

import json
from itertools import pairwise
from pathlib import Path

import pytest
from deepscaler import dag
from deepscaler.errors import UserError
from deepscaler.files import digest_of, sha256, write_json
from deepscaler.records import Checkpoint, ModelManifest
from deepscaler.training.run import kept_rollouts
from deepscaler.training.run.checkpoint import digest, lineage, publish, verify_files, write_manifest
from deepscaler.training.run.run_folder import RunFolder, identify, prepare
from deepscaler.training.train_segment import check_parent


def model(folder: Path, weights: str = "base") -> Path:
    folder.mkdir(parents=True)
    (folder / "model.safetensors").write_text(weights)
    (folder / "config.json").write_text("{}")
    files = {path.name: sha256(path) for path in sorted(folder.iterdir())}
    manifest = ModelManifest(system="base", repository=None, revision=None, files=files, versions={})
    write_json(folder / "model.json", manifest.model_dump())
    return folder / "model.json"


def checkpoint(folder: Path, parent: Path, segment: int, weights: str) -> Path:
    folder.mkdir(parents=True)
    (folder / "model.safetensors").write_text(weights)
    made = Checkpoint(
        scale="mini",
        stage="8k",
        segment=segment,
        step=6 * segment,
        total_step=6 * segment,
        parent=digest(parent),
        recipe_digest="r",
        prompts_sha256="p",
        seed=42,
        files={"model.safetensors": sha256(folder / "model.safetensors")},
        versions={},
    )
    write_manifest(folder, made)
    return folder / "checkpoint.json"


@pytest.fixture
def chain(tmp_path: Path) -> list[Path]:
    base = model(tmp_path / "models" / "base")
    first = checkpoint(tmp_path / "checkpoints" / "8k-1", base, 1, "one")
    return [base, first, checkpoint(tmp_path / "checkpoints" / "8k-2", first, 2, "two")]


def test_a_lineage_leads_to_the_base(chain: list[Path]) -> None:
    assert [path for path, _ in lineage(chain[-1])] == chain[::-1]


def test_a_changed_ancestor_breaks_it(chain: list[Path]) -> None:
    (chain[0].parent / "model.safetensors").write_text("other")
    with pytest.raises(UserError, match=r"model\.safetensors is not the file that model\.json describes"):
        list(lineage(chain[-1]))


def test_a_replaced_parent_breaks_it(chain: list[Path]) -> None:
    chain[1].write_text(chain[1].read_text().replace('"seed": 42', '"seed": 43'))
    with pytest.raises(UserError, match=r"its parent .* is not there"):
        list(lineage(chain[-1]))


def test_the_same_bytes_fetched_again_are_the_same_parent(chain: list[Path]) -> None:
    """A digest covers content: not when it was fetched, by which packages, or from which mirror."""
    again = json.loads(chain[0].read_text())
    again |= {"created": "2030-01-01", "versions": {"huggingface-hub": "9"}, "repository": "a mirror's"}
    chain[0].write_text(json.dumps(again, indent=1))
    assert [path for path, _ in lineage(chain[-1])] == chain[::-1]


def test_manifests_of_equal_content_are_equal_files(tmp_path: Path) -> None:
    first, second = (model(tmp_path / name) for name in ("first", "second"))
    made = [checkpoint(tmp_path / f"of-{parent.parent.name}", parent, 1, "one") for parent in (first, second)]
    assert first.read_bytes() == second.read_bytes()
    assert made[0].read_bytes() == made[1].read_bytes()
    assert "created" not in made[0].read_text() + first.read_text()


def test_a_chain_of_before_is_still_verified(chain: list[Path]) -> None:
    """Its manifests have a date, and each names its parent's by the digest of the whole file."""
    for parent, path in pairwise(chain):
        parent.write_text(json.dumps(json.loads(parent.read_text()) | {"created": "2025-02-10T09:30:00+00:00"}))
        path.write_text(json.dumps(json.loads(path.read_text()) | {"parent": sha256(parent)}))
    assert [path for path, _ in lineage(chain[-1])] == chain[::-1]


def test_a_missing_file_is_named(chain: list[Path]) -> None:
    (chain[1].parent / "model.safetensors").unlink()
    with pytest.raises(UserError, match=r"model\.safetensors is missing"):
        verify_files(chain[1])


def with_rollouts(manifest: Path, folder: Path, steps: range) -> None:
    """As `export` adds them to a checkpoint."""
    for step in steps:
        path = kept_rollouts.path_of(folder, step)
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"step {step}")
    digests = kept_rollouts.link_all(folder, manifest.parent / kept_rollouts.FOLDER, 0, 6)
    made = Checkpoint.model_validate(json.loads(manifest.read_text()))
    write_manifest(manifest.parent, made.model_copy(update={"rollouts": digests}))


def test_rollouts_are_a_part_of_what_a_checkpoint_is(tmp_path: Path, chain: list[Path]) -> None:
    """Changed ones are named, missing ones have been left out, and the next checkpoint's parent is one with these."""
    last, before = chain[-1], digest(chain[-1])
    with_rollouts(last, tmp_path / "kept", range(1, 7))
    assert len(json.loads(last.read_text())["rollouts"]) == 6
    assert digest(last) != before
    publish(last.parent, tmp_path / "published")
    first, second = (kept_rollouts.path_of(tmp_path / "published" / "rollouts", step) for step in (1, 2))
    assert first.samefile(kept_rollouts.path_of(tmp_path / "kept", 1))
    first.unlink()
    verify_files(tmp_path / "published" / "checkpoint.json")
    second.unlink()
    second.write_text("step 3")
    with pytest.raises(
        UserError, match=r"rollouts/step-00002\.parquet is not the file that checkpoint\.json describes"
    ):
        verify_files(tmp_path / "published" / "checkpoint.json")


def test_without_rollouts_a_checkpoint_is_as_it_was_before_they_were_kept(tmp_path: Path, chain: list[Path]) -> None:
    """The same manifest, with the same digest: of a run that keeps none, and of an earlier version."""
    before = chain[-1].read_bytes()
    with_rollouts(chain[-1], tmp_path / "kept", range(0))
    assert chain[-1].read_bytes() == before
    assert not (chain[-1].parent / "rollouts").exists()
    content = json.loads(before)
    assert "rollouts" not in content
    assert digest(chain[-1]) == digest_of(
        {key: content[key] for key in content if key not in ("versions", "processor")}
    )


def test_publishing_shares_the_data_and_replaces_what_was_there(tmp_path: Path, chain: list[Path]) -> None:
    target = tmp_path / "out"
    target.mkdir()
    (target / "stale").touch()
    publish(chain[1].parent, target)
    assert sorted(path.name for path in target.iterdir()) == ["checkpoint.json", "model.safetensors"]
    assert (target / "model.safetensors").stat().st_nlink == 2
    for path in target.iterdir():
        path.unlink()  # as Snakemake does
    assert verify_files(chain[1])
    assert not list(tmp_path.glob(".out*"))


def test_published_files_are_newer_than_what_they_were_made_from(tmp_path: Path, chain: list[Path]) -> None:
    later = tmp_path / "prompts.jsonl"
    later.touch()
    publish(chain[1].parent, tmp_path / "out")
    assert (tmp_path / "out" / "checkpoint.json").stat().st_mtime >= later.stat().st_mtime


def folder_for(tmp_path: Path, parent: Path, prompts: str = "a", settings: str = "s") -> RunFolder:
    (tmp_path / "p.jsonl").write_text(prompts)
    segment = dag.segment("mini", "8k-1")
    return identify(tmp_path / "runs", segment, settings, verify_files(parent), tmp_path / "p.jsonl")[0]


def test_a_run_folder_is_keyed_by_all_that_decides_the_result(tmp_path: Path, chain: list[Path]) -> None:
    usual = folder_for(tmp_path, chain[0])
    assert folder_for(tmp_path, chain[0]) == usual
    other = model(tmp_path / "models" / "other", "other weights")
    changed = [
        folder_for(tmp_path, chain[0], prompts="b"),
        folder_for(tmp_path, chain[0], settings="t"),
        folder_for(tmp_path, other),
    ]
    assert len({usual.path, *(folder.path for folder in changed)}) == 4


@pytest.mark.parametrize(
    ("segment", "parent", "complaint"),
    [
        ("8k-1", 1, "starts from model mini-base, not from checkpoint 8k-1"),
        ("8k-1", 0, "starts from model mini-base, not from model base"),
        ("8k-2", 2, "starts from checkpoint 8k-1, not from checkpoint 8k-2"),
        ("8k-2", 0, "starts from checkpoint 8k-1, not from model base"),
    ],
)
def test_another_parent_than_the_chains_is_refused(
    chain: list[Path], segment: str, parent: int, complaint: str
) -> None:
    with pytest.raises(UserError, match=complaint):
        check_parent(dag.segment("mini", segment), "mini-base", verify_files(chain[parent]), chain[parent])


def test_a_damaged_export_is_not_taken_for_finished(tmp_path: Path, chain: list[Path]) -> None:
    folder = RunFolder(tmp_path / "runs" / "8k-1-x")
    publish(chain[1].parent, folder.export)
    assert folder.finished() is not None
    (folder.export / "model.safetensors").unlink()
    assert folder.finished() is None
    assert not folder.export.exists()


def test_a_lost_optimizer_is_an_error(tmp_path: Path, chain: list[Path]) -> None:
    segment = dag.segment("mini", "8k-2")
    (tmp_path / "p.jsonl").write_text("{}")
    folder, inputs = identify(tmp_path / "runs", segment, "s", verify_files(chain[1]), tmp_path / "p.jsonl")
    folder.path.mkdir(parents=True)
    with pytest.raises(UserError, match=r"the optimizer's state and the reference model.*delete"):
        prepare(folder, inputs, segment, chain[1], tmp_path / "p.jsonl")
