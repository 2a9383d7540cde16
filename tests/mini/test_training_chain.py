"""The chain of segments on the real engines: hand-over, kills, and what must carry on or start anew.

A model of the miniature's shape with random weights, four prompts × four short samples a step; once at ZeRO 2, which
the miniature has, and once at ZeRO 3, which the paper's layouts have. Every launch serves several assertions; the
fixtures run in the chain's order.
"""

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml
from deepscaler import records
from deepscaler.files import read_jsonl, sha256, write_json
from deepscaler.training.launch import reaper
from deepscaler.training.watch.measured import MEASURED
from deepscaler.training.watch.metrics import KL, TIMES, VLLM_KL

pytestmark = [pytest.mark.engine, pytest.mark.timeout(2400)]

HERE = Path(__file__).parent
LAUNCH_SECONDS = 900
PROMPTS = 4
RECIPE = {
    "extends": "mini",
    "description": "The chain's test",
    "rollout": {"prompts_per_step": PROMPTS, "samples_per_prompt": 4, "temperature": 1.0},
    "optimizer": {"learning_rate": 3.0e-3},
    "stages": [
        {"name": "8k", "max_new_tokens": 16, "steps": 6},
        {"name": "16k", "max_new_tokens": 24, "steps": 2},
    ],
}
ZERO_STAGES = (2, 3)
LAYOUT = {"nodes": 1, "gpus_per_node": 1, "save_steps": 1, "max_tokens_per_gpu": 256, "zero_stage": 2}
STAGES = {"8k": {**LAYOUT, "segment_steps": 4}, "16k": {**LAYOUT, "segment_steps": 2}}


@dataclass
class Chain:
    """A work folder with a base model, a train table, and a scale `tiny`."""

    root: Path
    printed: dict[str, str] = field(default_factory=dict)
    """What a launch printed, by a name of the test's."""

    @property
    def work(self) -> Path:
        return self.root / "work" / "tiny"

    def prompts(self, segment: str) -> Path:
        return self.work / "prompts" / f"{segment}.jsonl"

    def checkpoint(self, segment: str, work: str = "checkpoints") -> Path:
        return self.work / work / segment / "checkpoint.json"

    def run_folder(self, segment: str, runs: str = "runs") -> Path:
        [folder] = self.work.glob(f"{runs}/{segment}-*/")
        return folder

    def saved(self, segment: str) -> list[int]:
        """Steps whose state was written to its end."""
        marks = self.run_folder(segment).glob("openrlhf/_actor/global_step*/complete.json")
        return sorted(int(path.parent.name.removeprefix("global_step")) for path in marks)

    def seen(self, name: str) -> list[str]:
        """Prompts in the order in which they were first sampled."""
        return list(dict.fromkeys((self.root / f"{name}.seen").read_text().splitlines()))

    def start(
        self,
        name: str,
        segment: str,
        parent: Path,
        *,
        scale: str = "tiny",
        runs: str = "runs",
        checkpoints: str = "checkpoints",
        die: str = "",
        **environment: str,
    ) -> "subprocess.Popen[str]":
        own = {
            "DEEPSCALER_ROOT": str(self.root),
            "DEEPSCALER_WORK": str(self.root / "work"),
            "CHAIN_SEEN": str(self.root / f"{name}.seen"),
            "CHAIN_HELD": str(self.held(name)),
        }
        command = [sys.executable, HERE / "chain_driver.py", HERE / "chain_reward.py", scale, segment, parent]
        command += [self.prompts(segment), self.work / runs, self.checkpoint(segment, checkpoints)]
        with (self.root / f"{name}.out").open("w") as log:
            return subprocess.Popen(
                [*map(str, command), *([die] if die else [])],
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, **own, **environment},
                start_new_session=True,
            )

    def held(self, name: str) -> Path:
        """A file that is there when a launch is held in the moment that CHAIN_HOLD names."""
        return self.root / f"{name}.held"

    def kill_in(self, moment: str, name: str, segment: str, parent: Path, **more: Any) -> None:
        """SIGKILL a launch in a moment of OpenRLHF's, held there so that the kill hits no other."""
        process = self.start(name, segment, parent, PYTHONPATH=before("held"), CHAIN_HOLD=moment, **more)
        self.kill_when(name, process, self.held(name).exists)

    def die(self, moment: str, segment: str, parent: Path) -> None:
        """A launch that kills itself in a moment of this package's."""
        code = self.finish(moment, self.start(moment, segment, parent, die=moment))
        assert code == -signal.SIGKILL, self.printed[moment]

    def finish(self, name: str, process: "subprocess.Popen[str]") -> int:
        try:
            code = process.wait(LAUNCH_SECONDS)
        finally:
            if process.poll() is None:
                process.kill()
            self.printed[name] = (self.root / f"{name}.out").read_text()
        return code

    def train(self, name: str, segment: str, parent: Path, **more: Any) -> str:
        code = self.finish(name, self.start(name, segment, parent, **more))
        assert code == 0, self.printed[name]
        return self.printed[name]

    def kill_when(self, name: str, process: "subprocess.Popen[str]", condition: Callable[[], bool]) -> None:
        """SIGKILL everything of a launch but its reaper, as soon as a condition holds."""
        deadline = time.monotonic() + LAUNCH_SECONDS
        while not condition():
            assert process.poll() is None, (self.root / f"{name}.out").read_text()
            assert time.monotonic() < deadline, "the moment to kill at never came"
            time.sleep(0.05)
        for pid in [process.pid, *launched_by(process.pid)]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.finish(name, process)


def before(folder: str) -> str:
    """A PYTHONPATH with a folder of this one in front, whose sitecustomize every process then runs."""
    return os.pathsep.join(filter(None, [str(HERE / folder), os.environ.get("PYTHONPATH")]))


def launched_by(pid: int) -> list[int]:
    """The processes that carry the token of the launch of this process."""
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError, IndexError):
            parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            if parent != pid:
                continue
            for line in (entry / "environ").read_bytes().split(b"\0"):
                if line.startswith(f"{reaper.VARIABLE}=".encode()):
                    return reaper.carriers(line.decode().partition("=")[2])
    return []


@pytest.fixture(scope="module", params=ZERO_STAGES, ids="zero{}".format)
def zero_stage(request: pytest.FixtureRequest) -> int:
    stage: int = request.param
    return stage


@pytest.fixture(scope="module")
def chain(root: Path, tmp_path_factory: pytest.TempPathFactory, zero_stage: int) -> Chain:
    stages = {name: layout | {"zero_stage": zero_stage} for name, layout in STAGES.items()}
    return made_chain(root, tmp_path_factory.mktemp("chain"), RECIPE, stages, ("8k-1", "8k-2", "16k-1"))


def made_chain(
    root: Path, folder: Path, recipe: dict[str, Any], stages: dict[str, Any], segments: Iterable[str]
) -> Chain:
    """Settings, a random base model, problems, and the prompts of some segments."""
    import torch
    from deepscaler import settings
    from deepscaler.miniature.tokenizer import build_tokenizer
    from deepscaler.models.distill_base import make_model, save
    from deepscaler.settings.models import Distilled
    from deepscaler.training.schedule_prompts import schedule_prompts

    made = Chain(folder)
    config = made.root / "config"
    for folder in ("defaults", "scales", "recipes"):
        (config / folder).mkdir(parents=True)
        for path in (root / "config" / folder).glob("*.yaml"):
            (config / folder / path.name).symlink_to(path)
    for path in (root / "config").glob("*.yaml"):
        (config / path.name).symlink_to(path)
    scale = yaml.safe_load((root / "config" / "scales" / "mini.yaml").read_text())
    scale["training"] = {"recipe": "tiny", "layout": stages, "keep_states": 3, "health": {"enabled": False}}
    scale["evaluation"]["systems"] = ["mini-base", *(f"deepscaler-{stage}" for stage in stages)]
    (config / "scales" / "tiny.yaml").write_text(yaml.safe_dump(scale))
    (config / "recipes" / "tiny.yaml").write_text(yaml.safe_dump(recipe))
    scale["training"]["recipe"] = "faster"
    (config / "scales" / "faster.yaml").write_text(yaml.safe_dump(scale))
    faster = {"extends": "tiny", "description": "Another rate", "optimizer": {"learning_rate": 6.0e-3}}
    (config / "recipes" / "faster.yaml").write_text(yaml.safe_dump(faster))
    base = made.work / "models" / "mini-base"
    base.mkdir(parents=True)
    entry = settings.systems()["mini-base"]
    assert isinstance(entry, Distilled)
    torch.manual_seed(0)
    tokenizer = build_tokenizer(entry.prompting.separator + entry.prompting.suffix)
    save(make_model(entry.distillation.architecture, tokenizer), tokenizer, base)
    files = {path.name: sha256(path) for path in sorted(base.iterdir())}
    manifest = records.ModelManifest(
        system="mini-base", repository=None, revision=None, files=files, versions={}, seed=0
    )
    write_json(base / "model.json", manifest.model_dump())
    rows = [
        dict.fromkeys(records.PROBLEM.names)
        | {"id": f"t/{n:03}", "source": "t", "problem": f"add:a{n % 10}b{n // 10}c{n % 7}", "answer": "1"}
        for n in range(40)
    ]
    records.write(made.work / "train.parquet", rows, records.PROBLEM)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DEEPSCALER_ROOT", str(made.root))
        settings.load.load_scale.cache_clear()
        for segment in segments:
            schedule_prompts(
                scale_name="tiny",
                segment_id=segment,
                problems=made.work / "train.parquet",
                output=made.prompts(segment),
            )
    settings.load.load_scale.cache_clear()
    return made


@pytest.fixture(scope="module")
def base(chain: Chain) -> Path:
    return chain.work / "models" / "mini-base" / "model.json"


@pytest.fixture(scope="module")
def killed_and_finished(chain: Chain, base: Path) -> Chain:
    """8k-1, killed in each of its phases, with a state harmed on the way; then finished."""
    chain.kill_in(f"rollout:{PROMPTS * 4 + 3}", "rollout", "8k-1", base)  # three samples into step 2
    assert chain.saved("8k-1") == [1]
    process = chain.start("update", "8k-1", base, PYTHONPATH=before("held"), CHAIN_HOLD="update:3")
    while "at step 1" not in (chain.root / "update.out").read_text():
        assert process.poll() is None
        time.sleep(0.1)
    second = chain.start("second", "8k-1", base, DEEPSCALER_LOCK_WAIT="0")
    assert chain.finish("second", second) == 1
    chain.kill_when("update", process, chain.held("update").exists)  # between the two updates of step 3
    assert chain.saved("8k-1") == [1, 2]
    chain.kill_in("save:4", "save", "8k-1", base)
    assert chain.saved("8k-1") == [2, 3]  # three are kept; upstream makes room before it writes
    states = chain.run_folder("8k-1") / "openrlhf" / "_actor"
    assert (states / "global_step4").exists()  # half
    [harmed] = (states / "global_step3").glob("*optim_states.pt")
    harmed.write_bytes(harmed.read_bytes()[:-100])
    chain.die("ended", "8k-1", base)
    assert chain.saved("8k-1")[-1] == 4
    assert not (chain.run_folder("8k-1") / "hf").exists()
    chain.die("export", "8k-1", base)
    assert (chain.run_folder("8k-1") / "hf").exists()
    assert not (chain.run_folder("8k-1") / "export").exists()
    chain.die("rename", "8k-1", base)
    assert (chain.run_folder("8k-1") / "export" / "checkpoint.json").exists()
    assert not chain.checkpoint("8k-1").exists()
    chain.train("again", "8k-1", base)
    return chain


@pytest.fixture(scope="module")
def handed_over(killed_and_finished: Chain) -> Chain:
    """8k-2, the stage's second segment."""
    killed_and_finished.train("hand-over", "8k-2", killed_and_finished.checkpoint("8k-1"))
    return killed_and_finished


@pytest.fixture(scope="module")
def switched(handed_over: Chain) -> Chain:
    """16k-1, the next stage."""
    handed_over.train("switch", "16k-1", handed_over.checkpoint("8k-2"))
    return handed_over


@pytest.fixture(scope="module")
def undisturbed(chain: Chain, base: Path) -> list[dict[str, Any]]:
    """8k-1 in a run folder of its own, from start to end."""
    chain.train("undisturbed", "8k-1", base, runs="undisturbed", checkpoints="undisturbed-out")
    return metrics(chain.checkpoint("8k-1", "undisturbed-out"))


@pytest.fixture(scope="module")
def withheld(chain: Chain, base: Path) -> list[dict[str, Any]]:
    """The same, but the sampler never loads the weights."""
    chain.train("withheld", "8k-1", base, runs="withheld", checkpoints="withheld-out", PYTHONPATH=before("withheld"))
    return metrics(chain.checkpoint("8k-1", "withheld-out"))


def metrics(manifest: Path) -> list[dict[str, Any]]:
    return list(read_jsonl(manifest.with_name("metrics.jsonl")))


def started_at(printed: str) -> int:
    [line] = [line for line in printed.splitlines() if " at step " in line]
    return int(line.partition(" at step ")[2].split()[0])


def adam_steps(folder: Path, step: int) -> set[int]:
    """Updates that AdamW has counted, in a saved state."""
    import torch

    [path] = folder.glob(f"openrlhf/_actor/global_step{step}/*optim_states.pt")
    saved = torch.load(path, map_location="cpu", weights_only=False)["optimizer_state_dict"]
    state = saved.get("base_optimizer_state") or saved["optimizer_state_dict"]  # ZeRO 2's name, and ZeRO 3's
    entries = state["state"].values() if isinstance(state, dict) else state
    return {int(entry["step"]) for entry in entries}


def assert_export_is_the_state(run_folder: Path, step: int, checkpoint: Path) -> None:
    """The parts of the fp32 weights that the ranks saved, put together without OpenRLHF and rounded, are what was
    exported, to the bit."""
    from deepspeed.utils.zero_to_fp32 import get_fp32_state_dict_from_zero_checkpoint

    gathered = get_fp32_state_dict_from_zero_checkpoint(str(run_folder / "openrlhf" / "_actor"), f"global_step{step}")
    exported = tensors(checkpoint.with_name("model.safetensors"))
    assert exported.keys() <= gathered.keys()
    assert [name for name, weights in exported.items() if not weights.equal(gathered[name].to(weights.dtype))] == []


def tensors(path: Path) -> dict[str, Any]:
    from safetensors.torch import load_file

    return load_file(path)


def test_after_a_kill_at_most_one_save_interval_is_repeated(killed_and_finished: Chain) -> None:
    """States are saved at every step here; only the harmed one costs a step that had been done."""
    starts = {name: started_at(killed_and_finished.printed[name]) for name in ("rollout", "update", "save", "ended")}
    assert starts == {"rollout": 0, "update": 1, "save": 2, "ended": 2}
    printed = killed_and_finished.printed["ended"]
    assert "the state of step 4 was not written to its end; removed" in printed
    assert re.search(r"the state of step 3 has \S*optim_states.pt with \d+ bytes of \d+; removed", printed)


def test_no_step_is_trained_twice_for_the_weights_alone(killed_and_finished: Chain) -> None:
    """Killed when OpenRLHF had ended and its weights were not taken over: written again, from the last state."""
    assert started_at(killed_and_finished.printed["export"]) == 4
    assert "step 4/" not in killed_and_finished.printed["export"]
    assert not (killed_and_finished.root / "export.seen").exists()


def test_finished_training_is_exported_without_openrlhf(killed_and_finished: Chain) -> None:
    assert " at step " not in killed_and_finished.printed["rename"]


def test_a_second_job_gets_the_name_of_the_first(killed_and_finished: Chain) -> None:
    assert "another job is training this segment: process" in killed_and_finished.printed["second"]


def test_a_finished_segment_is_recognised(killed_and_finished: Chain) -> None:
    assert "finished already" in killed_and_finished.printed["again"]
    assert "step 1/" not in killed_and_finished.printed["again"]


def test_metrics_have_each_step_once(killed_and_finished: Chain) -> None:
    assert [row["step"] for row in metrics(killed_and_finished.checkpoint("8k-1"))] == [1, 2, 3, 4]


def test_a_kill_leaves_no_process(killed_and_finished: Chain) -> None:
    """Reapers run on when their jobs are killed, and stop what those had started."""
    needle = str(killed_and_finished.root).encode()
    left = []
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if needle in (entry / "environ").read_bytes() and b"DEEPSCALER_LAUNCH" in (entry / "environ").read_bytes():
                left.append((entry / "cmdline").read_bytes())
    assert left == []


def test_a_deleted_checkpoint_comes_back_in_seconds(killed_and_finished: Chain, base: Path) -> None:
    manifest = killed_and_finished.checkpoint("8k-1")
    before = manifest.read_bytes()
    shutil.rmtree(manifest.parent)  # as Snakemake does to outputs
    started = time.monotonic()
    killed_and_finished.train("deleted", "8k-1", base)
    assert manifest.read_bytes() == before
    assert time.monotonic() - started < 60


def test_prompts_come_in_the_files_order(handed_over: Chain) -> None:
    """Within a step samples run at once; so steps are compared as sets."""
    wanted = [row["input"][0]["content"] for row in read_jsonl(handed_over.prompts("8k-2"))]
    seen = handed_over.seen("hand-over")
    for step in range(2):
        part = slice(step * PROMPTS, (step + 1) * PROMPTS)
        assert set(wanted[part]) == {match(text, wanted) for text in seen[part]}


def match(prompt: str, problems: list[str]) -> str:
    return next(problem for problem in problems if problem in prompt)


def test_a_segment_carries_optimizer_and_reference_on(handed_over: Chain) -> None:
    folder = handed_over.run_folder("8k-2")
    assert started_at(handed_over.printed["hand-over"]) == 4
    assert adam_steps(folder, 6) == {12}  # 2 updates a step, from the stage's start
    assert sha256(folder / "start" / "model.safetensors") == sha256(
        handed_over.work / "models/mini-base/model.safetensors"
    )
    rows = metrics(handed_over.checkpoint("8k-2"))
    assert [(row["step"], row["total_step"]) for row in rows] == [(5, 5), (6, 6)]
    assert rows[0][KL] > 1e-4  # against the stage's start, not the segment's


def test_a_stage_starts_optimizer_and_reference_anew(switched: Chain) -> None:
    folder = switched.run_folder("16k-1")
    assert adam_steps(folder, 2) == {4}
    assert sha256(folder / "start" / "model.safetensors") == sha256(
        switched.checkpoint("8k-2").with_name("model.safetensors")
    )
    rows = metrics(switched.checkpoint("16k-1"))
    assert [(row["step"], row["total_step"]) for row in rows] == [(1, 7), (2, 8)]
    assert rows[0][KL] < metrics(switched.checkpoint("8k-2"))[0][KL]


def test_checkpoints_differ_from_their_parents(switched: Chain) -> None:
    chain = ["models/mini-base", "checkpoints/8k-1", "checkpoints/8k-2", "checkpoints/16k-1"]
    weights = [tensors(switched.work / place / "model.safetensors")["model.embed_tokens.weight"] for place in chain]
    assert all(not a.equal(b) for a, b in pairwise(weights))


def test_exported_weights_are_the_gathered_ones(switched: Chain) -> None:
    for segment, step in (("8k-2", 6), ("16k-1", 2)):
        assert_export_is_the_state(switched.run_folder(segment), step, switched.checkpoint(segment))


def test_lineage_reaches_the_base(switched: Chain) -> None:
    command = [str(Path(sys.executable).with_name("deepscaler")), "checkpoint", "verify"]
    verified = subprocess.run([*command, str(switched.checkpoint("16k-1"))], capture_output=True, text=True, check=True)
    assert [line.split(",")[0].split(":")[0] for line in verified.stdout.splitlines()] == [
        "16k-1",
        "8k-2",
        "8k-1",
        "base model mini-base",
        "the lineage is whole",
    ]
    weights = switched.checkpoint("8k-1").with_name("model.safetensors")
    whole = weights.read_bytes()
    weights.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    refused = subprocess.run([*command, str(switched.checkpoint("16k-1"))], capture_output=True, text=True, check=False)
    weights.write_bytes(whole)
    assert refused.returncode == 2
    assert "model.safetensors is not the file" in refused.stderr


def test_states_that_nothing_needs_are_gone(switched: Chain) -> None:
    left = {
        path.parent.parent.parent.name[:5]: path.name
        for path in switched.work.glob("runs/*/openrlhf/_actor/global_step*")
    }
    assert left == {"8k-2-": "global_step6", "16k-1": "global_step2"}


def test_the_weights_reach_the_sampler(killed_and_finished: Chain, withheld: list[dict[str, Any]]) -> None:
    """Trainer's and sampler's probabilities agree, step after step; where weights are withheld, they part."""
    arrived = [abs(row[VLLM_KL]) for row in metrics(killed_and_finished.checkpoint("8k-1"))]
    apart = [abs(row[VLLM_KL]) for row in withheld]
    assert apart[0] == pytest.approx(arrived[0], abs=2e-3)  # before the first update there is nothing to withhold
    assert max(arrived) < 5e-3
    assert max(apart[1:]) > 10 * max(arrived)


def test_an_interrupted_run_gives_the_bytes_of_an_undisturbed_one(
    killed_and_finished: Chain, undisturbed: list[dict[str, Any]]
) -> None:
    assert [row["step"] for row in undisturbed] == [1, 2, 3, 4]
    folders = [killed_and_finished.checkpoint("8k-1", work).parent for work in ("checkpoints", "undisturbed-out")]
    interrupted, whole = (
        {path.name: sha256(path) for path in folder.rglob("*") if path.is_file()} for folder in folders
    )
    assert "step-00004.parquet" in whole
    assert all(interrupted.pop(name) != whole.pop(name) for name in (TIMES, MEASURED))
    assert interrupted == whole


def test_each_step_had_its_prompts_whatever_was_killed(
    killed_and_finished: Chain, undisturbed: list[dict[str, Any]]
) -> None:
    """Which attempt made a step for good, and from which of its prompts on."""
    prompts = killed_and_finished.seen("undisturbed")
    assert len(prompts) == 4 * PROMPTS
    of = {"rollout": [0], "update": [1], "ended": [2, 3]}
    for name, steps in of.items():
        seen = killed_and_finished.seen(name)
        for place, step in enumerate(steps):
            wanted = set(prompts[step * PROMPTS : (step + 1) * PROMPTS])
            assert set(seen[place * PROMPTS : (place + 1) * PROMPTS]) == wanted


def test_a_changed_learning_rate_starts_a_folder_of_its_own(killed_and_finished: Chain, base: Path) -> None:
    """And reports so; what was trained at the other rate stays."""
    old = killed_and_finished.run_folder("8k-1")
    process = killed_and_finished.start("faster", "8k-1", base, scale="faster", checkpoints="faster-out")
    killed_and_finished.kill_when(
        "faster", process, lambda: " at step " in (killed_and_finished.root / "faster.out").read_text()
    )
    printed = killed_and_finished.printed["faster"]
    assert started_at(printed) == 0
    assert f"other settings than in {old}" in printed
    [new] = set(killed_and_finished.work.glob("runs/8k-1-*")) - {old}
    shutil.rmtree(new)
    assert "finished already" in killed_and_finished.train("slower", "8k-1", base, checkpoints="slower-out")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "small"
    folder.mkdir()
    try:
        subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=10m", "tmpfs", str(folder)], check=True, capture_output=True
        )
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"no small file system can be mounted here: {error}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def test_after_a_full_disk_is_reported_training_goes_on(chain: Chain, base: Path, small_disk: Path) -> None:
    """Room for one state and not for two; then more room, and the same command goes on from the first."""
    (chain.work / "small").symlink_to(small_disk)
    code = chain.finish("full", chain.start("full", "8k-1", base, runs="small", checkpoints="small-out"))
    assert code == 1
    assert "No space left" in chain.printed["full"]
    assert "driver.log" in chain.printed["full"]
    subprocess.run(["mount", "-o", "remount,size=200m", str(small_disk)], check=True)
    printed = chain.train("roomy", "8k-1", base, runs="small", checkpoints="small-out")
    assert started_at(printed) >= 1
    assert json.loads(chain.checkpoint("8k-1", "small-out").read_text())["step"] == 4
