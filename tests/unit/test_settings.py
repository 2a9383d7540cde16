"""Settings: what is not known is refused, with its place and the nearest name; the DAG's facts follow from them."""

import shutil
from itertools import pairwise
from pathlib import Path

import pytest
import yaml
from deepscaler import dag, settings
from deepscaler.errors import UserError
from deepscaler.settings import load


@pytest.fixture
def checkout(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of config/ that a test may edit."""
    shutil.copytree(root / "config", tmp_path / "config")
    monkeypatch.setenv("DEEPSCALER_ROOT", str(tmp_path))
    forget()
    yield tmp_path
    forget()


def forget() -> None:
    """Files are read once; these are to be read again."""
    for cached in (load.load_scale, load.load_recipe, load.systems, load.benchmarks, load.sources, load.site):
        cached.cache_clear()


def edit(path: Path, keys: str | list[str | int], value: object) -> None:
    """Set one value; keys are apart where names have dots, or lists are on the way."""
    values = yaml.safe_load(path.read_text())
    *parents, last = keys.split(".") if isinstance(keys, str) else keys
    inner = values
    for part in parents:
        inner = inner[part] if isinstance(part, int) else inner.setdefault(part, {})
    inner[last] = value
    path.write_text(yaml.safe_dump(values, sort_keys=False))


@pytest.mark.parametrize("name", settings.scale_names())
def test_every_scale_is_valid(name: str) -> None:
    assert settings.load_scale(name).name == name


@pytest.mark.parametrize("path", sorted((Path(__file__).parents[2] / "config" / "recipes").glob("*.yaml")), ids=str)
def test_every_recipe_is_valid(path: Path) -> None:
    assert settings.load_recipe(path.stem).name == path.stem


LAYOUT = {"nodes": 1, "gpus_per_node": 1, "segment_steps": 6, "save_steps": 3, "max_tokens_per_gpu": 2048}


@pytest.mark.parametrize(
    ("file", "dotted", "value", "message"),
    [
        ("scales/mini.yaml", "evaluation.temprature", 0.7, "did you mean 'temperature'?"),
        ("scales/mini.yaml", "evaluation.temperature", -1, "evaluation.temperature"),
        ("scales/mini.yaml", "base", "mini-bass", "did you mean 'mini-base'?"),
        ("scales/mini.yaml", "evaluation.suites.table", ["mini-aime-2042"], "did you mean 'mini-aime-2024'?"),
        ("scales/mini.yaml", "curation.sources", ["mini-aims"], "did you mean 'mini-aime'?"),
        ("scales/mini.yaml", "training.layout.8k.node", 1, "did you mean 'nodes'?"),
        ("scales/mini.yaml", "training.recipe", "minni", "did you mean 'mini'?"),
        ("scales/mini.yaml", "training.layout.8k-long", {}, "has lower case letters, digits and `.` only"),
        ("scales/mini.yaml", "training.layout.8kk", LAYOUT, "unknown stage '8kk'"),
        ("scales/mini.yaml", "evaluation.shards.tabel", 2, "did you mean 'table'?"),
        ("scales/mini.yaml", "resources.sampel", {"cpus": 1}, "did you mean 'sample'?"),
        ("scales/mini.yaml", "curation.sources", ["x$(id)"], "curation.sources.0: a name begins with"),
        ("recipes/mini.yaml", "optimizer.learning_rat", 1e-3, "did you mean 'learning_rate'?"),
        ("recipes/mini.yaml", "updates_per_step", 7, "does not divide"),
        ("models.yaml", "mini-base.kind", "destilled", "mini-base"),
    ],
)
def test_a_wrong_setting_is_refused_in_one_line(
    checkout: Path, file: str, dotted: str, value: object, message: str
) -> None:
    path = checkout / "config" / file
    edit(path, dotted, value)
    with pytest.raises(UserError) as caught:
        (dag.segments("mini"), dag.evaluated("mini"))
    text = str(caught.value)
    assert message in text
    assert path.name in text
    assert "\n" not in text


def test_an_unknown_scale_names_the_nearest() -> None:
    with pytest.raises(UserError, match="did you mean 'paper'"):
        settings.load_scale("papper")


def test_extends_merges_sections_and_replaces_lists(checkout: Path) -> None:
    child = {"extends": "mini", "evaluation": {"samples": 4, "systems": ["mini-base"]}}
    (checkout / "config" / "scales" / "child.yaml").write_text(yaml.safe_dump(child))
    loaded = settings.load_scale("child")
    assert loaded.evaluation.samples == 4
    assert loaded.evaluation.systems == ["mini-base"]
    assert loaded.evaluation.temperature == settings.load_scale("mini").evaluation.temperature


def test_a_null_takes_a_key_of_the_extended_file_away(checkout: Path) -> None:
    child = {
        "extends": "mini",
        "evaluation": {"suites": {"curve": None}, "shards": {"curve": None}, "top_p": None},
        "curation": {"extract_answers": {"language_model": None}},
    }
    (checkout / "config/scales/child.yaml").write_text(yaml.safe_dump(child))
    loaded = settings.load_scale("child")
    assert set(loaded.evaluation.suites) == set(loaded.evaluation.shards) == {"table"}
    assert loaded.curation.extract_answers.language_model is None, "with nothing to take away, null is a value"
    assert {suite for _, suite in dag.scored("child")} == {"table"}


def test_a_null_in_the_sites_own_file_is_a_value(checkout: Path) -> None:
    (checkout / "config/site.local.yaml").write_text("gpu_model: null\n")
    assert settings.site().gpu_model is None


def ablation(checkout: Path, recipe: str = "16k-from-start") -> None:
    """As docs/CLAIMS.md says: one line."""
    text = f"extends: paper\ntraining:\n  recipe: {recipe}\n"
    (checkout / "config/scales/ablation.yaml").write_text(text)


def test_another_recipe_is_one_line(checkout: Path) -> None:
    ablation(checkout)
    assert {segment.stage for segment in dag.segments("ablation")} == {"16k"}
    assert dag.segments("ablation")[0].parent is None
    rows, whole = settings.load_scale("ablation").evaluation.systems, settings.load_scale("paper").evaluation.systems
    assert [name for name in whole if name not in rows] == ["deepscaler-8k", "deepscaler-24k"]
    assert [point.total_step for point in dag.curve("ablation")] == [0, 80, 160, 240, 320, 400, 480]
    said = load.left_out("ablation")
    for word in ("8k, 24k", "deepscaler-8k, deepscaler-24k", "16k-from-start", "ablation.yaml"):
        assert word in said
    assert load.left_out("paper") is None


def test_a_scale_whose_training_is_taken_away_has_no_checkpoints(checkout: Path) -> None:
    (checkout / "config/scales/untrained.yaml").write_text("extends: mini\ntraining: null\n")
    assert settings.load_scale("untrained").evaluation.systems == ["mini-base"]
    assert "does not train" in load.left_out("untrained")


def test_a_stage_of_a_system_that_no_recipe_has_is_refused(checkout: Path) -> None:
    edit(checkout / "config/models.yaml", ["deepscaler-16k", "stage"], "16kk")
    with pytest.raises(UserError, match=r"unknown stage '16kk' .*models.yaml.*did you mean '16k'"):
        settings.load_scale("mini")


@pytest.mark.parametrize("file", ["models", "benchmarks", "sources"])
def test_a_name_that_a_shell_would_run_is_refused(checkout: Path, file: str) -> None:
    path = checkout / f"config/{file}.yaml"
    path.write_text(path.read_text() + "x$(id):\n  kind: synthetic\n")
    with pytest.raises(UserError, match="a name begins with a lower case letter or a digit"):
        getattr(settings, {"models": "systems"}.get(file, file))()


@pytest.mark.parametrize("content", [b"extends: [mini\n  : :", b"\xff\xfe\x00", b"extends: papr", b"seed"])
def test_a_scale_that_cannot_be_read_is_refused_by_its_own_name(checkout: Path, content: bytes) -> None:
    (checkout / "config/scales/own.yaml").write_bytes(content)
    with pytest.raises(UserError, match=r"\[.*config/scales/own.yaml\]") as error:
        settings.load_scale("own")
    assert "\n" not in str(error.value)


def test_extends_in_a_circle_is_refused(checkout: Path) -> None:
    (checkout / "config" / "scales" / "loop.yaml").write_text("extends: loop\n")
    with pytest.raises(UserError, match="circle"):
        settings.load_scale("loop")


def test_the_paper_runs_1040_480_and_230_steps() -> None:
    chain = dag.segments("paper")
    assert {s.stage: s.last for s in chain} == {"8k": 1040, "16k": 480, "24k": 230}
    assert chain[-1].total_last == 1750
    assert chain[0].parent is None
    assert all(later.parent == earlier.id for earlier, later in pairwise(chain))
    assert [s.starts_stage for s in chain].count(True) == 3
    assert all(s.first < s.last for s in chain)


def test_no_checkpoint_is_sampled_twice_for_the_curve() -> None:
    assert len(dag.curve("mini")) == 5, "the base and four segments"
    for name in settings.scale_names():
        checkpoints = [dag.checkpoint_of(name, point.system) for point in dag.curve(name)]
        assert len(checkpoints) == len(set(checkpoints))
        steps = [point.total_step for point in dag.curve(name)]
        assert steps == sorted(steps)


def test_the_training_digest_follows_the_mathematics_and_not_the_machines(checkout: Path) -> None:
    before = dag.training_digest("mini", "16k-1")
    edit(checkout / "config/scales/mini.yaml", "training.layout.16k.max_tokens_per_gpu", 999)
    load.load_scale.cache_clear()
    assert dag.training_digest("mini", "16k-1") == before
    edit(checkout / "config/recipes/mini.yaml", "optimizer.learning_rate", 1.0e-3)
    load.load_scale.cache_clear()
    load.load_recipe.cache_clear()
    assert dag.training_digest("mini", "16k-1") != before


def decided_of_costly_jobs() -> list[dict[str, object]]:
    """What decides all that is fetched, distilled, trained, sampled and graded at paper scale and at mini."""
    found = [dag.deciding("fetch_source", "mini", source=name) for name in settings.sources()]
    for scale in ("paper", "mini"):
        found += [dag.deciding("fetch_model", scale, system=name) for name in dag.fetched(scale)]
        found += [dag.deciding("distill_base", scale, system=name) for name in dag.distilled(scale)]
        found += [dag.deciding("train_segment", scale, segment=segment.id) for segment in dag.segments(scale)]
        for system, suite in dag.scored(scale):
            found += [dag.deciding(rule, scale, system=system, suite=suite) for rule in ("sample", "grade_samples")]
    return found


def test_what_things_are_called_makes_nothing_costly_again(checkout: Path) -> None:
    """Titles, notes, licences and the paper's numbers are printed; no weight, sample or grade depends on them."""
    before = decided_of_costly_jobs()
    other = {"parameters": 9.5, "paper": {"aime_2024": 1.0}}
    for file, table in (("models", settings.systems()), ("sources", settings.sources())):
        path = checkout / f"config/{file}.yaml"
        values = yaml.safe_load(path.read_text())
        for name, entry in table.items():
            for key in {"title", "parameters", "note", "paper", "licence", "citation"} & set(type(entry).model_fields):
                values[name][key] = other.get(key, f"another {key}")
        path.write_text(yaml.safe_dump(values, sort_keys=False))
    forget()
    assert settings.systems()["mini-base"].title == "another title"
    assert decided_of_costly_jobs() == before


BASE = "deepseek-r1-distill-qwen-1.5b"
ASKED = {"system": "deepscaler-8k", "suite": "table"}


@pytest.mark.parametrize(
    ("file", "keys", "value", "rule", "scale", "wildcards"),
    [
        (
            "models.yaml",
            ["mini-base", "distillation", "clean_steps"],
            7,
            "distill_base",
            "mini",
            {"system": "mini-base"},
        ),
        (
            "models.yaml",
            ["mini-base", "prompting", "suffix"],
            "Think.",
            "distill_base",
            "mini",
            {"system": "mini-base"},
        ),
        ("models.yaml", [BASE, "revision"], "0" * 40, "fetch_model", "paper", {"system": BASE}),
        ("models.yaml", [BASE, "prompting", "suffix"], "Think.", "sample", "paper", {"system": BASE, "suite": "table"}),
        ("models.yaml", [BASE, "sampling", "context"], 512, "sample", "paper", ASKED),
        ("models.yaml", [BASE, "prompting", "think"], "none", "grade_samples", "paper", ASKED),
        ("models.yaml", [BASE, "prompting", "think"], "none", "train_segment", "paper", {"segment": "8k-1"}),
        ("sources.yaml", ["amc", "revision"], "0" * 40, "fetch_source", "paper", {"source": "amc"}),
        ("scales/paper.yaml", ["curation", "sources"], ["math", "aime"], "deduplicate", "paper", {}),
    ],
)
def test_what_decides_a_costly_job_is_seen_to_change(
    checkout: Path, file: str, keys: list[str | int], value: object, rule: str, scale: str, wildcards: dict[str, str]
) -> None:
    before = dag.deciding(rule, scale, **wildcards)
    edit(checkout / "config" / file, keys, value)
    forget()
    assert dag.deciding(rule, scale, **wildcards) != before


def test_a_stage_may_grow_unless_its_rate_depends_on_its_end(checkout: Path) -> None:
    recipe = checkout / "config/recipes/mini.yaml"

    def training_digest_after(steps: int) -> str:
        edit(recipe, ["stages", 0, "steps"], steps)
        forget()
        return dag.training_digest("mini", "8k-1")

    assert training_digest_after(18) == training_digest_after(24)
    edit(recipe, "optimizer.schedule", "linear")
    assert training_digest_after(18) != training_digest_after(24)


def test_the_kept_run_is_of_todays_settings(root: Path) -> None:
    kept = yaml.safe_load((root / "results/reference/mini/settings.yaml").read_text(encoding="utf-8"))
    assert kept["digest"] == settings.settings_digest(dag.resolved("mini"))


def test_environment_variables_override_the_site_file(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEEPSCALER_WORK", "/scratch/someone")
    assert settings.site().work == "/scratch/someone"


@pytest.mark.parametrize(
    ("image", "fits"),
    [
        ("gpu.sif", True),
        ("docker://registry/image@sha256:" + 64 * "a", True),
        ("docker://registry/image:1.0", False),
        ("oras://registry/image@sha256:abc", False),
    ],
)
def test_an_image_of_a_registry_is_named_by_its_digest(
    checkout: Path, monkeypatch: pytest.MonkeyPatch, image: str, fits: bool
) -> None:
    monkeypatch.setenv("DEEPSCALER_IMAGE", image)
    if fits:
        assert settings.site().image == image
    else:
        with pytest.raises(UserError, match="by its digest"):
            settings.site()


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("DEEPSCALER_ACOUNT", "me", r"unknown variable \$DEEPSCALER_ACOUNT .*did you mean \$DEEPSCALER_ACCOUNT\?"),
        ("DEEPSCALER_NETWORK", "logn", r"network.*\[\$DEEPSCALER_NETWORK\]"),
    ],
)
def test_a_wrong_variable_is_named(
    checkout: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: str, said: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(UserError, match=said):
        settings.site()


def test_a_key_that_stands_twice_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "twice.yaml"
    path.write_text("kl:\n  coefficient: 0.001\n  estimator: k3\n  coefficient: 0.002\n")
    with pytest.raises(UserError, match=r"line 4, the key 'coefficient' stands twice \[.*twice\.yaml\]"):
        load.read_yaml(path)
    path.write_text("defaults: &shared { a: 1 }\none: { <<: *shared, a: 2 }\ntwo: *shared\n")
    assert load.read_yaml(path) == {"defaults": {"a": 1}, "one": {"a": 2}, "two": {"a": 1}}
