"""The printed command is the one that train_segment starts; each flag names just the settings that decide it."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml
from deepscaler import dag, settings
from deepscaler.errors import JobError
from deepscaler.files import sha256, write_json, write_jsonl
from deepscaler.records import Checkpoint, ModelManifest
from deepscaler.settings import load
from deepscaler.settings.origin import origin
from deepscaler.settings.recipe import Recipe
from deepscaler.settings.scale import Scale
from deepscaler.training import command as module
from deepscaler.training import train_segment
from deepscaler.training.command import COLUMNS, command, general, originals
from deepscaler.training.launch import reaper
from deepscaler.training.launch.launch import Launch
from deepscaler.training.openrlhf import flags as flags_module
from deepscaler.training.openrlhf.flags import Flag, explained_flags, segment_flags
from deepscaler.training.openrlhf.parser import parse_as_openrlhf
from deepscaler.training.run import stop_request
from deepscaler.training.run.checkpoint import write_manifest
from deepscaler.training.run.deepspeed_states import State
from deepscaler.training.run.run_folder import RunFolder
from pydantic import BaseModel

SCALES = [name for name in settings.scale_names() if settings.load_scale(name).training]
RECIPES = sorted(path.stem for path in (Path(__file__).parents[2] / "config" / "recipes").glob("*.yaml"))


@pytest.fixture(autouse=True)
def in_checkout(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The real settings, and a work folder of this test's own."""
    monkeypatch.setenv("DEEPSCALER_ROOT", str(root))
    monkeypatch.setenv("DEEPSCALER_WORK", str(tmp_path / "a work folder"))
    load.site.cache_clear()
    yield
    load.site.cache_clear()


def driver_words(text: str) -> list[str]:
    """The words after the driver's name, as a shell would hand them over."""
    words = shlex.split(text.replace("\\\n", " "), comments=True)
    return words[words.index("deepscaler.training.launch.driver") + 1 : -1]


@pytest.mark.parametrize("scale", SCALES)
def test_what_is_printed_is_what_train_segment_starts(scale: str) -> None:
    for segment in dag.segments(scale):
        files = module.files_of(scale, segment)
        words = driver_words(command(scale_name=scale, segment_id=segment.id))
        assert words == segment_flags(scale, segment, files.paths())
        assert parse_as_openrlhf(words).data.prompt_dataset == str(files.prompts)
        launch = module.launch_of(scale, segment, files.run, files.paths())
        shown = exports(command(scale_name=scale, segment_id=segment.id))
        assert launch.environment.items() <= shown.items()
        assert {"DEEPSCALER_SEGMENT", "DEEPSCALER_REWARD_MODE", "DEEPSCALER_THINK_RULE"} <= launch.environment.keys()


def exports(text: str) -> dict[str, str]:
    """Variables that the text sets to a value of its own, without the shell's part."""
    lines = [shlex.split(line)[1] for line in text.splitlines() if line.startswith("export ") and "$" not in line]
    return dict(line.split("=", 1) for line in lines)


@pytest.mark.parametrize("explain", [False, True])
@pytest.mark.parametrize(
    ("scale", "segment"), [("mini", "8k-1"), ("mini", "8k-2"), ("paper", "8k-1"), ("paper", "16k-2")]
)
def test_a_shell_takes_it(scale: str, segment: str, explain: bool) -> None:
    text = command(scale_name=scale, segment_id=segment, explain=explain)
    done = subprocess.run(["bash", "-n"], input=text, text=True, capture_output=True, timeout=20, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("explain", [False, True])
def test_the_shell_hands_over_the_flags_and_the_environment(tmp_path: Path, root: Path, explain: bool) -> None:
    """Run for real, but for the driver: in its place, a script that prints what it is given and leaves a process."""
    python = tmp_path / "bin" / "python"
    python.parent.mkdir()
    python.write_text(
        f'#!/bin/bash\n[[ $2 == *.driver ]] || exec {shlex.quote(sys.executable)} "$@"\n'
        'printf "%s\\n" "$@"\necho --\nenv\nsleep 300 > /dev/null & echo left $!\n'
    )
    python.chmod(0o755)
    text = command(scale_name="mini", segment_id="8k-1", explain=explain)
    text = text.replace('"$PWD/.venv/bin:$PATH"', f'{shlex.quote(str(python.parent))}:"$PATH"')
    environment = {"PATH": os.environ["PATH"], "RAY_ADDRESS": "elsewhere", "RAY_AUTH_TOKEN_PATH": "/elsewhere"}
    done = subprocess.run(
        ["bash", "-c", text], env=environment, cwd=root, capture_output=True, text=True, timeout=60, check=True
    )
    given, _, shown = done.stdout.partition("--\n")
    segment = dag.segment("mini", "8k-1")
    flags = segment_flags("mini", segment, module.files_of("mini", segment).paths())
    assert given.splitlines() == ["-m", "deepscaler.training.launch.driver", *flags]
    variables = dict(line.split("=", 1) for line in shown.splitlines() if "=" in line)
    assert re.fullmatch(r"[0-9a-f]{64}", variables["RAY_AUTH_TOKEN"])
    assert {"RAY_ADDRESS", "RAY_AUTH_TOKEN_PATH"} & variables.keys() == set()
    temporary = variables["TMPDIR"]
    assert f'"folder": "{temporary}/ray"' in variables["DEEPSCALER_RAY"]
    assert not Path(temporary).exists()
    [left] = re.findall(r"^left (\d+)$", shown, re.MULTILINE)
    assert not Path(f"/proc/{left}").exists() or reaper.is_zombie(int(left))


def test_no_secret_is_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    secret = "a" * 64
    for name in ("RAY_AUTH_TOKEN", "HF_TOKEN", "WANDB_API_KEY"):
        monkeypatch.setenv(name, secret)
    texts = [
        command(scale_name=scale, segment_id=dag.segments(scale)[0].id, explain=explain)
        for scale in SCALES
        for explain in (False, True)
    ]
    for text in texts:
        assert secret not in text
        assert text.count("RAY_AUTH_TOKEN=$(python -c ") == 1


def test_several_nodes_have_a_head_workers_and_a_driver() -> None:
    text = command(scale_name="paper", segment_id="16k-1")
    starts = re.findall(r"srun .*ray_node (head|worker) \"\$\{HEAD\}\" \"\$\{PORT\}\" (\d+) (\d+) (\w+)", text)
    cpus = str(dag.needs("paper", "train_segment").cpus)
    assert starts == [("head", "8", cpus, "gpu"), ("worker", "8", cpus, "gpu")]
    assert r"\"nodes\": 4" in text
    assert "srun" not in command(scale_name="paper", segment_id="8k-1")


def test_what_is_not_there_yet_is_named(tmp_path: Path) -> None:
    text = command(scale_name="mini", segment_id="8k-2")
    for path in ("checkpoints/8k-1/checkpoint.json", "prompts/8k-2.jsonl", "models/mini-base/model.json"):
        assert f"#   {tmp_path}/a work folder/mini/{path}" in text


# Provenance: each flag and the settings that decide it


def scale_and_recipe(scale: str, recipe: str) -> tuple[Scale, Recipe]:
    """A scale with another recipe, whose stages get the layout of the scale's first."""
    loaded, found = settings.load_scale(scale), settings.load_recipe(recipe)
    assert loaded.training is not None
    layouts = {stage.name: next(iter(loaded.training.layout.values())) for stage in found.stages}
    training = loaded.training.model_copy(update={"recipe": recipe, "layout": layouts})
    return loaded.model_copy(update={"training": training}), found


def flags_of(monkeypatch: pytest.MonkeyPatch, scale: Scale, recipe: Recipe, stage: str) -> list[Flag]:
    with monkeypatch.context() as patch:
        patch.setattr(flags_module, "load_scale", lambda _: scale)
        patch.setattr(flags_module, "load_recipe", lambda _: recipe)
        patch.setattr(flags_module, "layout", lambda _, stage: scale.training.layout[stage])
        segment = dag.Segment(stage, 1, 0, 1, None, True, 1)
        here = Path("/here")
        return explained_flags(scale.name, segment, flags_module.SegmentPaths(here, here, here, here, here, here))


def other_values(model: Any, prefix: str = "") -> dict[str, list[Any]]:
    """Every key below a settings model, stages by name: the model with each other value of that key."""
    found: dict[str, list[Any]] = {}
    for key in type(model).model_fields:
        value = getattr(model, key)
        for name, inner, put in parts_of(key, value):
            changed = other_values(inner, f"{prefix}{key}.{name}")
            found |= {
                n: [model.model_copy(update={key: put(other)}) for other in others] for n, others in changed.items()
            }
        if not any(parts_of(key, value)):
            others = alternatives(key, value)
            if type(None) in get_args(type(model).model_fields[key].annotation) and value is not None:
                others.append(None)
            found[prefix + key] = [model.model_copy(update={key: other}) for other in others]
    return found


def parts_of(key: str, value: Any) -> list[tuple[str, Any, Callable[[Any], Any]]]:
    """The models within a setting's value: (the name in their keys, the model, the value with another in its place)."""
    if isinstance(value, BaseModel):
        return [("", value, lambda other: other)]
    if key == "layout":
        return [(f"{name}.", inner, lambda other, name=name: {**value, name: other}) for name, inner in value.items()]
    if key == "stages":
        return [
            (f"{stage.name}.", stage, lambda other, n=n: [*value[:n], other, *value[n + 1 :]])
            for n, stage in enumerate(value)
        ]
    return []


WORDS = {
    "importance_correction": ("none", "token", "sequence"),
    "loss_aggregation": ("token", "sequence"),
    "limit": ("response", "sequence"),
    "zero_stage": (2, 3),
}


STAGE_OVERRIDES = ("learning_rate", "samples_per_prompt", "warmup_ratio", "kl_coefficient", "clip")


def alternatives(key: str, value: Any) -> list[Any]:
    if key == "lora":  # there is none; where there is one, it is a section
        return [settings.load_recipe("mini-lora").lora]
    if key in WORDS:
        return [word for word in WORDS[key] if word != value]
    if isinstance(value, bool):
        return [not value]
    if isinstance(value, int | float):
        return [value * 2 + 2]
    if isinstance(value, tuple):
        return [tuple(number + 0.5 for number in value)]
    if value is None:  # a stage that overrides nothing: the override would be another setting, with its own name
        return [] if key in STAGE_OVERRIDES else [7]
    return [f"other {value}"]


def named_and_moved(patch: pytest.MonkeyPatch, scale_name: str, recipe_name: str) -> tuple[set[Any], set[Any]]:
    """Pairs (flag, setting): those that a flag names, and those where the flag changes with the setting."""
    scale, recipe = scale_and_recipe(scale_name, recipe_name)
    named, moved = set(), set()
    for stage in (stage.name for stage in recipe.stages):
        before = flags_of(patch, scale, recipe, stage)
        for kind, changes in (("recipe", other_values(recipe)), ("scale", other_values(scale))):
            named |= {(flag.name, key) for flag in before for key in getattr(flag, kind)}
            assert {key for flag in before for key in getattr(flag, kind)} <= changes.keys(), "no such setting"
            for key, others in changes.items():
                for changed in others if key != f"stages.{stage}.name" else []:  # it is how the stage is found
                    pair = (scale, changed) if kind == "recipe" else (changed, recipe)
                    after = flags_of(patch, *pair, stage)
                    moved |= {(f.name, key) for f in before if words_of(after, f.name) != f.words()}
    return named, moved


@pytest.mark.parametrize("recipe_name", RECIPES)
@pytest.mark.parametrize("scale_name", SCALES)
def test_a_setting_changes_no_flag_that_does_not_name_it(
    monkeypatch: pytest.MonkeyPatch, scale_name: str, recipe_name: str
) -> None:
    named, moved = named_and_moved(monkeypatch, scale_name, recipe_name)
    assert moved - named == set()


def test_a_flag_names_no_setting_that_never_changes_it(monkeypatch: pytest.MonkeyPatch) -> None:
    named, moved = set(), set()
    for scale in SCALES:
        for recipe in RECIPES:
            pair = named_and_moved(monkeypatch, scale, recipe)
            named |= {(flag, general(key)) for flag, key in pair[0]}
            moved |= {(flag, general(key)) for flag, key in pair[1]}
    assert len(named) > 40
    assert named - moved == set()


def words_of(flags: list[Flag], name: str) -> list[str]:
    return next((flag.words() for flag in flags if flag.name == name), [])


@pytest.mark.parametrize("recipe_name", RECIPES)
@pytest.mark.parametrize("scale_name", SCALES)
def test_every_flag_has_a_source(monkeypatch: pytest.MonkeyPatch, scale_name: str, recipe_name: str) -> None:
    scale, recipe = scale_and_recipe(scale_name, recipe_name)
    for flag in flags_of(monkeypatch, scale, recipe, recipe.stages[0].name):
        assert flag.recipe or flag.scale or flag.reason, flag.name


def test_the_file_of_a_value_is_found_through_what_it_extends() -> None:
    def file(kind: Any, name: str, key: str) -> str | None:
        found = origin(kind, name, key)
        return found and found[0].relative_to(settings.project_root()).as_posix()

    assert file("recipe", "deepscaler", "kl.coefficient") == "config/recipes/deepscaler.yaml"
    assert file("recipe", "mini", "kl.coefficient") == "config/recipes/deepscaler.yaml"
    assert file("recipe", "mini", "optimizer.learning_rate") == "config/recipes/mini.yaml"
    assert file("recipe", "16k-from-start", "stages.16k.steps") == "config/recipes/16k-from-start.yaml"
    assert file("scale", "paper", "training.layout.8k.nodes") == "config/scales/paper.yaml"
    assert file("scale", "paper", "no.such.key") is None


def test_missing_files_have_the_names_that_snakemake_knows(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for work in ("nowhere", str(tmp_path)):
        monkeypatch.setenv("DEEPSCALER_WORK", work)
        load.site.cache_clear()
        text = command(scale_name="mini", segment_id="8k-2")
        assert f"\n#   {work}/mini/checkpoints/8k-1/checkpoint.json\n" in text
    load.site.cache_clear()


@pytest.mark.parametrize(("scale", "segment"), [("mini", "8k-2"), ("paper", "16k-1")])
def test_every_file_that_an_explanation_names_has_the_key(root: Path, scale: str, segment: str) -> None:
    text = command(scale_name=scale, segment_id=segment, explain=True)
    sources = [line.split("  # ")[1].split("; original: ")[0] for line in text.splitlines() if "  # " in line]
    named = [part for source in sources if not source.startswith("fixed: ") for part in source.split("; ")]
    assert len(named) > 30
    for part in named:
        file, keys = re.fullmatch(r"(config/\S+\.yaml): ([\w., -]+?)(?: \(.*)?", part).groups()  # type: ignore[union-attr]
        for key in keys.split(", "):
            value: Any = yaml.safe_load((root / file).read_text(encoding="utf-8"))
            for name in key.split("."):
                value = {entry["name"]: entry for entry in value} if isinstance(value, list) else value
                assert name in value, part
                value = value[name]


def test_the_explanation_names_file_key_and_original() -> None:
    lines = {
        line.split()[0]: line
        for line in command(scale_name="paper", segment_id="8k-1", explain=True).splitlines()
        if "  # " in line
    }
    assert "config/recipes/deepscaler.yaml: kl.coefficient" in lines["--algo.kl.init_coef"]
    assert re.search(r"original: .*0\.001", lines["--algo.kl.init_coef"])
    assert "config/scales/paper.yaml: training.layout.8k.max_tokens_per_gpu" in lines["--train.max_tokens_per_gpu"]
    assert "original: 32,768" in lines["--train.max_tokens_per_gpu"]
    assert len(lines) == len(
        explained_flags(
            "paper", dag.segment("paper", "8k-1"), module.files_of("paper", dag.segment("paper", "8k-1")).paths()
        )
    )


def test_the_table_of_originals_has_every_setting_of_a_recipe(root: Path) -> None:
    """And no other: docs/recipe.md names its rows' settings, from which the explanations are made."""
    assert "setting" in COLUMNS
    found = originals()
    recipe = {general(key) for key in other_values(settings.load_recipe("deepscaler"))}
    scale = {general(key) for key in other_values(settings.load_scale("paper"))}
    text = {"name", "description", "stages.name"}
    assert recipe - text - found.keys() == set()
    paper = explained_flags(
        "paper", dag.segment("paper", "8k-1"), module.files_of("paper", dag.segment("paper", "8k-1")).paths()
    )
    names = {flag.name for flag in paper}
    assert found.keys() - recipe - scale - names == set()
    layout = {key for key in scale if key.startswith("training.layout.")} - {"training.layout.segment_steps"}
    assert layout <= found.keys()


# With the files of a run


def weights(folder: Path) -> dict[str, str]:
    folder.mkdir(parents=True)
    (folder / "model.safetensors").write_text(folder.name)
    return {"model.safetensors": sha256(folder / "model.safetensors")}


@pytest.fixture
def work(tmp_path: Path) -> Path:
    """The base model and the prompts of the first two segments of mini."""
    work = tmp_path / "a work folder" / "mini"
    base = work / "models" / "mini-base"
    manifest = ModelManifest(system="mini-base", repository=None, revision=None, files=weights(base), versions={})
    write_json(base / "model.json", manifest.model_dump())
    for segment in ("8k-1", "8k-2"):
        write_jsonl(work / "prompts" / f"{segment}.jsonl", [{"id": str(n)} for n in range(6 * 16)])
    return work


def test_the_paths_are_those_of_train_segment(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All but three: there, the weights and prompts are links in the run folder, and each attempt has its own logs."""
    given: list[Launch] = []

    def note(launch: Launch, _: Any) -> None:
        given.append(launch)
        raise JobError("noted")

    monkeypatch.setattr(train_segment, "run", note)
    monkeypatch.setattr(stop_request.signal, "signal", lambda *_: None)
    text = command(scale_name="mini", segment_id="8k-1")
    with pytest.raises(JobError, match="noted"):
        train_segment.train_segment(
            scale_name="mini",
            segment_id="8k-1",
            parent=work / "models" / "mini-base" / "model.json",
            prompts=work / "prompts" / "8k-1.jsonl",
            runs=work / "runs",
            output=work / "checkpoints" / "8k-1" / "checkpoint.json",
        )
    [launch] = given
    ours = driver_words(text)
    assert len(ours) == len(launch.flags)
    differ = {launch.flags[n - 1]: (ours[n], launch.flags[n]) for n in range(len(ours)) if ours[n] != launch.flags[n]}
    assert differ.keys() == {"--actor.model_name_or_path", "--data.prompt_dataset", "--logger.tensorboard_dir"}
    for name in ("--actor.model_name_or_path", "--data.prompt_dataset"):
        here, there = map(Path, differ[name])
        files = ("model.safetensors",) if here.is_dir() else ("",)
        assert [(here / file).read_bytes() for file in files] == [(there / file).read_bytes() for file in files]
    assert launch.environment.items() <= exports(text).items()
    assert "cannot start" not in text


def test_within_a_stage_it_goes_on_from_the_state_of_the_segment_before(work: Path) -> None:
    before = RunFolder(work / "runs" / "8k-1-0123456789ab")
    state = State.at(before.states, 6)
    state.folder.mkdir(parents=True)
    (state.folder / "optimizer").write_text("moments")
    state.mark_complete(1, 2)
    made = Checkpoint(
        scale="mini",
        stage="8k",
        segment=1,
        step=6,
        total_step=6,
        parent=sha256(work / "models" / "mini-base" / "model.json"),
        recipe_digest="r",
        prompts_sha256="p",
        seed=42,
        files=weights(before.export),
        versions={},
    )
    write_manifest(before.export, made)
    shutil.copytree(before.export, work / "checkpoints" / "8k-1")
    files = module.files_of("mini", dag.segment("mini", "8k-2"))
    assert files.start == work / "models" / "mini-base" / "model.json"
    preparation = command(scale_name="mini", segment_id="8k-2").partition("export TMPDIR")[0].partition("(\n")[2]
    for _ in range(2):  # pasted again, it changes nothing
        subprocess.run(["bash", "-c", preparation], check=True, timeout=20)
    assert State.at(files.run.states, 6).defect() is None
    assert (files.run.states / "_actor" / "latest").read_text() == "global_step6"
