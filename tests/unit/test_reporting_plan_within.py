"""`deepscaler plan --gpus …`: what fits, what it would decide, and the scale that it writes."""

import json
import shutil
from pathlib import Path

import pytest
from deepscaler import settings
from deepscaler.cli import build
from deepscaler.cost.planned import TOTAL, planned_gpu_hours
from deepscaler.cost.workload import case_of, known_card
from deepscaler.reporting.claims.chances import chances
from deepscaler.reporting.compute.within.choices import Choice, choices
from deepscaler.reporting.compute.within.machine import Machine, machine
from deepscaler.reporting.compute.within.schedule import laid_out, shortened
from deepscaler.settings import load
from deepscaler.settings.claims import claims
from typer.testing import CliRunner


def at_hand(
    gpus: int | None = None,
    card_name: str | None = "a100",
    hours: float | None = None,
    dollars: float | None = None,
    memory_gb: float | None = None,
    dollars_per_gpu_hour: float | None = None,
) -> Machine:
    return machine(
        gpus=gpus,
        card_name=card_name,
        hours=hours,
        dollars=dollars,
        memory_gb=memory_gb,
        dollars_per_gpu_hour=dollars_per_gpu_hour,
    )


def choice_of(found: list[Choice], title: str) -> Choice:
    return next(choice for choice in found if choice.title == title)


def run(*words: str) -> tuple[int, str]:
    answer = CliRunner().invoke(build(), ["plan", *words])
    return answer.exit_code, answer.output + (str(answer.exception) if answer.exception else "")


def test_the_paper_on_its_own_machine_costs_what_its_plan_says() -> None:
    whole = choice_of(choices(at_hand(32, hours=1000)), "paper")
    own = planned_gpu_hours("paper")[TOTAL, ""]
    # its first stage has eight GPUs in the file, and all 32 here
    assert own.expected < whole.gpu_hours.expected < 1.4 * own.expected
    evaluated = choice_of(choices(at_hand(1, hours=1000)), "released")
    assert evaluated.gpu_hours == planned_gpu_hours("released")[TOTAL, ""]
    assert evaluated.wall_hours == evaluated.gpu_hours


def test_what_fits_comes_first_and_each_says_what_it_lacks() -> None:
    found = choices(at_hand(8, card_name="h100", hours=96))
    fitting = [choice for choice in found if not choice.lacks]
    assert found[: len(fitting)] == fitting
    assert [choice.sure for choice in fitting] == sorted((choice.sure for choice in fitting), reverse=True)
    whole = choice_of(found, "paper")
    assert whole.verdict == "no"
    hours = next(line for line in whole.lacks if line.endswith("hours more"))
    assert float(hours.split()[0].replace(",", "")) == pytest.approx(whole.wall_hours.expected - 96, abs=1)


@pytest.mark.parametrize("hours", [30, 96, 300])
@pytest.mark.parametrize("gpus", [1, 2, 8])
def test_a_shortened_schedule_fits_at_its_worst(gpus: int, hours: float) -> None:
    here = at_hand(gpus, hours=hours)
    for choice in choices(here):
        if "steps at" in choice.title and not choice.lacks:
            assert choice.wall_hours.high <= hours
            assert choice.schedule is not None
            before = choice.schedule.whole
            assert all(0 < steps <= before[stage] for stage, steps in choice.schedule.steps.items())
            assert list(choice.schedule.steps) == list(before)[: len(choice.schedule.steps)]


def test_the_purse_is_a_limit_like_the_clock() -> None:
    by_clock = choices(at_hand(8, hours=10))
    by_purse = choices(at_hand(8, dollars=10 * 8 * 1.18))
    assert [choice.title for choice in by_clock] == [choice.title for choice in by_purse]
    dearer = choices(at_hand(8, dollars=10 * 8 * 1.18, dollars_per_gpu_hour=11.8))
    assert sum(not choice.lacks for choice in dearer) < sum(not choice.lacks for choice in by_purse)


def test_less_memory_takes_smaller_micro_batches_and_then_none() -> None:
    case = case_of("paper")
    roomy, narrow = (laid_out(case, at_hand(8, hours=9, memory_gb=room)) for room in (80, 50))
    tokens = [schedule.scale.training.layout["8k"].max_tokens_per_gpu for schedule in (roomy, narrow)]
    assert tokens[1] < tokens[0]
    assert not roomy.lacks(at_hand(8, hours=9, memory_gb=80))
    tiny = at_hand(8, hours=9, memory_gb=20)
    assert "GB more a GPU" in laid_out(case, tiny).lacks(tiny)[0]
    assert shortened(laid_out(case, tiny), tiny) is None


def test_gpus_that_a_batch_does_not_divide_by_are_left_idle() -> None:
    assert [at_hand(gpus, hours=1).gpus_for(512) for gpus in (1, 3, 5, 7, 8, 24, 32)] == [1, 2, 4, 4, 8, 16, 32]


def test_whole_scales_decide_their_claims_and_parts_what_they_measure() -> None:
    found = choices(at_hand(8, hours=96))
    counting = [claim.id for claim in claims().claims if claim.kind == "measured" and "released" in claim.scales]
    assert sorted(one.claim.id for one in choice_of(found, "released").decides) == sorted(counting)
    part = next(choice for choice in found if choice.title.startswith("paper, "))
    assert part.schedule is not None
    assert "24k" not in part.schedule.steps
    decided = {one.claim.id for one in part.decides}
    assert "base-tokens-wrong" in decided
    assert not decided & {"average-deepscaler", "average-24k", "gpu-hours", "o1-24k", "clip-16k-high"}


def test_power_is_the_lower_of_two_chances() -> None:
    for choice in choices(at_hand(8, hours=96)):
        for one in choice.decides:
            found = chances(claims(), one.claim)
            if one.power is not None and one.by_verifying is None:
                assert one.power <= 1 - found.honest_fails
                assert one.power <= 1 - (found.worse_met if found.null_met is None else found.null_met)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--gpus", "0", "--hours", "3"], "0 GPUs can't be laid out"),
        (["--gpus", "12", "--hours", "3"], "whole nodes of 8"),
        (["--gpus", "1"], "no end is given"),
        (["--hours", "nan"], "above 0"),
        (["--dollars", "-3"], "above 0"),
        (["--hours", "3", "--memory-gb", "0"], "above 0"),
        (["--hours", "3", "--memory-gb", "900", "--card", "a100"], "has 85 GB"),
        (["--hours", "3", "--card", "h1oo"], "did you mean 'h100'"),
        (["--scale", "paper", "--hours", "3"], "has its own machines"),
        (["--what-if", "async"], "which scale"),
        (["--hours", "3", "--row", "1"], "--write"),
    ],
)
def test_nonsense_is_refused(words: list[str], said: str) -> None:
    code, output = run(*words)
    assert code != 0
    assert said in output


def test_json_holds_every_row() -> None:
    code, output = run("--gpus", "8", "--card", "h100", "--hours", "96", "--json")
    data = json.loads(output)
    assert code == 0
    assert data["hours"] == 96
    assert data["dollars"] is None
    assert len(data["choices"]) == len(choices(at_hand(8, card_name="h100", hours=96)))
    assert {"yes", "no"} <= {choice["fits"] for choice in data["choices"]}
    assert all(set(claim) == {"id", "power"} for choice in data["choices"] for claim in choice["claims"])


@pytest.fixture
def own_config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copytree(settings.project_root() / "config", tmp_path / "config")
    monkeypatch.setenv("DEEPSCALER_ROOT", str(tmp_path))
    load.load_scale.cache_clear()
    return tmp_path / "config"


@pytest.mark.parametrize(("title", "name"), [("paper, ", "four-days"), ("released", "evaluated")])
def test_a_written_scale_is_what_its_row_says(title: str, name: str, own_config: Path) -> None:
    found = choices(at_hand(8, hours=96))
    row = 1 + next(index for index, choice in enumerate(found) if choice.title.startswith(title))
    choice = found[row - 1]
    words = ["--gpus", "8", "--card", "a100", "--hours", "96", "--write", name]
    code, output = run(*words, "--row", str(row))
    assert code == 0, output
    assert f"approve --scale {name}" in output
    planned = planned_gpu_hours(name)[TOTAL, ""]
    assert planned.expected == pytest.approx(choice.gpu_hours.expected, rel=0.02)
    scale = settings.load_scale(name)
    assert scale.claims == [one.claim.id for one in choice.decides]
    if choice.schedule:
        assert scale.training is not None
        assert {stage.name: stage.steps for stage in settings.load_recipe(name).stages} == choice.schedule.steps
        assert set(scale.training.layout) == set(choice.schedule.steps)
    assert load.left_out(name) is None
    before = (own_config / "scales" / f"{name}.yaml").read_bytes()
    again, output = run(*words, "--row", str(row))
    assert again != 0
    assert "left as it is" in output
    assert (own_config / "scales" / f"{name}.yaml").read_bytes() == before


@pytest.mark.parametrize("name", ["../mini", "Über", "a b", ""])
def test_a_name_that_is_none_writes_nothing(name: str, own_config: Path) -> None:
    before = sorted(own_config.rglob("*"))
    code, output = run("--gpus", "8", "--hours", "96", "--write", name)
    assert code != 0
    assert "no name for a scale" in output
    assert sorted(own_config.rglob("*")) == before


def test_claims_that_can_be_verified_alone_are_proposed_and_are_no_scales(own_config: Path) -> None:
    found = choices(at_hand(1, hours=12))
    rows = [number for number, choice in enumerate(found, 1) if not choice.is_scale]
    assert rows
    for choice in (found[row - 1] for row in rows):
        [decided] = choice.decides
        assert choice.title == f"verify {decided.claim.id} --scale {choice.scale}"
        assert decided.claim.rules_out is not None
        assert (decided.power or 0) >= 0.8
    code, output = run("--gpus", "1", "--card", "a100", "--hours", "12", "--write", "x", "--row", str(rows[0]))
    assert code != 0
    assert "is a command, no scale" in output


def test_what_does_not_fit_is_not_written(own_config: Path) -> None:
    code, output = run("--gpus", "1", "--hours", "0.01", "--write", "too-much")
    assert code != 0
    assert "does not fit" in output
    assert not (own_config / "scales" / "too-much.yaml").exists()


@pytest.mark.parametrize(
    ("word", "name"),
    [
        ("nvidia_h100_80gb_hbm3", "h100"),
        ("nvidia_geforce_rtx_4090", "rtx4090"),
        ("a100", "a100"),
        ("nvidia_a10", "a10"),
        ("l40s", "l40s"),
        (None, "a100"),
    ],
)
def test_a_cluster_names_its_cards_in_its_own_way(word: str | None, name: str) -> None:
    assert known_card(word) == name


def test_decisions_come_surest_first() -> None:
    powers = [one.power or 0 for one in choice_of(choices(at_hand(8, hours=96)), "released").decides]
    assert powers == sorted(powers, reverse=True)
