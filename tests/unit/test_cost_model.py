"""The cost model: its formulas against brute force, its totals against what others measured and published."""

import ast
import math
import re
from dataclasses import replace
from pathlib import Path

import numpy
import pytest
from deepscaler import settings
from deepscaler.cost.assumptions import ASSUMPTIONS, OPENRLHF, PROMPT_TOKENS, PUBLISHED_EARLY_STEP, PUBLISHED_GPU_HOURS
from deepscaler.cost.calibration import calibration
from deepscaler.cost.disk import state_bytes
from deepscaler.cost.estimate import Price, estimate, warnings_of
from deepscaler.cost.generation import engine_seconds, generation, load_of, makespan, makespans
from deepscaler.cost.hardware import CARDS, QWEN_2_5_7B, R1_QWEN_1_5B
from deepscaler.cost.lengths import AFTER_SHORTER, EARLY_8K, FROM_BASE, Lengths, expected_lengths
from deepscaler.cost.memory import NODE, NODE_FOR_GPU, REDUCE_BUCKET, node_memory, training_memory
from deepscaler.cost.step import Work, offload_seconds, saving_seconds, sleep_seconds, start_seconds, step_time
from deepscaler.cost.what_if import STANDARD, changed
from deepscaler.cost.workload import case_of, known_card
from deepscaler.errors import UserError

A100 = CARDS["a100"]
KNOWN_LENGTHS = [
    Lengths(context, *values) for table in (FROM_BASE, AFTER_SHORTER) for context, values in table.items()
] + [EARLY_8K]


def test_parameters_are_those_of_the_published_models() -> None:
    assert R1_QWEN_1_5B.parameters == 1_777_088_000  # of the model's card
    assert QWEN_2_5_7B.parameters == 7_615_616_512


@pytest.mark.parametrize("lengths", KNOWN_LENGTHS, ids=lambda lengths: f"{lengths.context}-{lengths.mean:.0f}")
def test_lengths_have_the_mean_and_the_cut_that_they_were_found_from(lengths: Lengths) -> None:
    drawn = lengths.draw(numpy.random.default_rng(1), 400, 128, 4)
    assert drawn.mean() == pytest.approx(lengths.mean, rel=0.02)
    assert (drawn >= lengths.context).mean() == pytest.approx(lengths.clipped, abs=0.01)
    assert (drawn**2).mean() == pytest.approx(lengths.second_moment, rel=0.04)
    whole = drawn + PROMPT_TOKENS
    assert (whole**2).mean() / whole.mean() == pytest.approx(lengths.biased_mean, rel=0.03)


def test_impossible_lengths_are_refused() -> None:
    with pytest.raises(UserError, match="no distribution"):
        Lengths(8192, 1000.0, 0.5)


def test_samples_of_one_prompt_are_alike() -> None:
    drawn = numpy.log(Lengths(24576, 3000.0, 0.001).draw(numpy.random.default_rng(0), 50, 128, 8))
    between = drawn.mean(axis=2).var() - drawn.var(axis=2, ddof=1).mean() / 8
    assert between / drawn.var() == pytest.approx(0.5, abs=0.05)


def test_engine_time_is_that_of_walking_through_every_decode_step() -> None:
    drawn = numpy.random.default_rng(0).integers(5, 400, (1, 6, 5)).astype(float)
    expected = []
    for engine in range(3):
        alive, seconds = drawn[0, engine::3].ravel(), 0.0
        for position in range(int(alive.max())):
            here = alive > position
            context = (PROMPT_TOKENS + position + 0.5) * here.sum()
            bytes_read = R1_QWEN_1_5B.decode_bytes / OPENRLHF.weight_efficiency
            bytes_read += context * R1_QWEN_1_5B.cache_bytes / OPENRLHF.cache_efficiency
            seconds += OPENRLHF.host_seconds + here.sum() * OPENRLHF.sequence_seconds
            seconds += bytes_read / A100.bytes_per_second
        expected.append(seconds)
    found = engine_seconds(load_of(drawn, 3, slots=128), R1_QWEN_1_5B, A100, OPENRLHF)
    assert found[0] == pytest.approx(expected, rel=1e-9)


def test_makespan_is_that_of_waiting_for_a_free_slot() -> None:
    lengths = numpy.random.default_rng(3).integers(1, 50, 40).astype(float)
    waiting, running, steps = list(lengths), [], 0
    while waiting or running:
        while waiting and len(running) < 7:
            running.append(waiting.pop(0))
        running = [left - 1 for left in running if left > 1]
        steps += 1
    assert makespan(lengths, 7) == steps
    assert makespans(lengths[None, :], 7) == [steps]
    assert makespans(lengths[None, :], 40) == [lengths.max()]


def test_rollouts_last_at_least_as_long_as_their_longest_sample() -> None:
    lengths = expected_lengths(24576, from_base=False)
    few = generation(lengths, 128, 16, 8, R1_QWEN_1_5B, A100, OPENRLHF)
    many = generation(lengths, 128, 16, 1024, R1_QWEN_1_5B, A100, OPENRLHF)
    alone = 24576 * (OPENRLHF.host_seconds + R1_QWEN_1_5B.decode_bytes / 0.8 / A100.bytes_per_second)
    assert few.seconds > many.seconds > alone > 0.7 * many.seconds


# The anchors


def test_the_published_run_within_ten_percent() -> None:
    found = calibration()
    assert found.predicted_gpu_hours == pytest.approx(PUBLISHED_GPU_HOURS, rel=0.10)
    assert found.predicted_early_step == pytest.approx(PUBLISHED_EARLY_STEP, rel=0.02)


@pytest.mark.parametrize(("gpus", "measured"), [(8, 3461), (32, 997), (128, 391)])
def test_areal_on_h800_which_nothing_was_fitted_to(gpus: int, measured: float) -> None:
    """AReaL v0.2, 1.5B, 512 × 16 samples at 27K: its README's step times. Lengths are assumed."""
    work = Work("areal", 100, 512, 16, Lengths(27648, 7900.0, 0.05), gpus, 1, 100, reference=False)
    stack = replace(OPENRLHF, max_sequences=256, spread=False)  # no one is known to have spread samples then
    step = step_time(work, R1_QWEN_1_5B, CARDS["h100"], stack)
    assert 1 / 1.5 < measured / step.total < 1.5


@pytest.fixture(scope="module")
def paper() -> Price:
    return estimate(case_of("paper"))


def test_ours_is_about_two_and_a_half_thousand_hours(paper: Price) -> None:
    training = paper.training
    assert 2300 < training.expected < 2700
    assert 1800 < training.low < training.expected < training.high < 4000
    assert 40 < paper.evaluation.expected < 140
    assert paper.warnings == ()


def test_stages_are_those_of_the_paper(paper: Price) -> None:
    assert [(s.work.name, s.work.steps, s.work.gpus, s.work.samples) for s in paper.stages] == [
        ("8k", 1040, 8, 8),
        ("16k", 480, 32, 16),
        ("24k", 230, 32, 16),
    ]


def test_every_part_of_a_step_is_counted_once(paper: Price) -> None:
    for stage in paper.stages:
        step, work = stage.step, stage.work
        named = step.generation + step.log_probabilities + step.update + step.trainer + step.fixed
        save = saving_seconds(work, R1_QWEN_1_5B, OPENRLHF)
        assert step.total == pytest.approx(OPENRLHF.slack * named + save)
        assert step.trainer == pytest.approx(OPENRLHF.trainer_seconds * work.trained_tokens)


def test_the_trainers_own_work_is_near_what_its_source_says_was_measured(paper: Price) -> None:
    """The model has one rate for each token of all stages."""
    source = next(entry.source for entry in ASSUMPTIONS if entry.name == "trainer_seconds")
    measured = [float(number) for number in re.findall(r"(\d+\.\d+)", source)]
    assert [stage.step.trainer for stage in paper.stages] == pytest.approx(measured, rel=0.35)


def test_tokens_that_are_compared_cost_the_engine_more(paper: Price) -> None:
    work = paper.stages[0].work
    none, half, all_ = (
        step_time(replace(work, compared=share), R1_QWEN_1_5B, A100, OPENRLHF).generation for share in (0.0, 0.5, 1.0)
    )
    assert half == pytest.approx((none + all_) / 2)
    tokens = work.sequences * work.lengths.mean / work.gpus
    assert all_ - none == pytest.approx(tokens * OPENRLHF.comparison_seconds, rel=0.1)


def test_what_sleeps_moves_out_and_in_and_nothing_where_gpus_are_apart(one_gpu: Work) -> None:
    weights, states = R1_QWEN_1_5B.bytes, 16 * R1_QWEN_1_5B.parameters
    full = replace(one_gpu, adapters=None)
    assert sleep_seconds(full, R1_QWEN_1_5B, OPENRLHF) == pytest.approx(2 * (weights + states) / 12e9)
    assert sleep_seconds(replace(full, offload=True), R1_QWEN_1_5B, OPENRLHF) == pytest.approx(2 * weights / 12e9)
    assert sleep_seconds(full, R1_QWEN_1_5B, replace(OPENRLHF, sleeps=False)) == 0
    apart = replace(full, gpus=8, asynchronous=True)
    assert step_time(apart, R1_QWEN_1_5B, A100, OPENRLHF).fixed == OPENRLHF.fixed_seconds


def test_a_job_on_several_nodes_starts_later(paper: Price) -> None:
    first, *later = paper.stages
    assert (first.work.nodes, {stage.work.nodes for stage in later}) == (1, {4})
    assert start_seconds(first.work, OPENRLHF) == OPENRLHF.start_seconds
    for stage in later:
        assert start_seconds(stage.work, OPENRLHF) == OPENRLHF.start_seconds + OPENRLHF.meeting_seconds
    assert {work.nodes for work in changed(paper.case, ["gpus=8"]).stages} == {1}


def test_an_engine_that_draws_more_at_once_is_done_sooner(paper: Price) -> None:
    """Where it has more than vLLM's 128 to draw: 2,048 on eight GPUs."""
    alone = replace(paper.case, evaluations=())
    for word, better in (("gpus=8", True), ("gpus=32", False)):
        own, wide = (estimate(changed(alone, [word, *more])).stages[1] for more in ((), ("sequences.16k=256",)))
        assert (wide.step.generation < 0.95 * own.step.generation) == better
        assert wide.step.update == own.step.update


def test_the_rehearsal_on_one_gpu_takes_twenty_minutes_and_fills_its_micro_batches() -> None:
    price = estimate(case_of("rehearsal-one-gpu"))
    assert price.gpu_hours.expected * 60 < 21
    for stage in price.stages:
        assert stage.work.trained_tokens > 3 * stage.work.micro_batch


@pytest.mark.parametrize("scale", ["paper", "eight-gpus", "eight-gpus-junnyu", "rehearsal"])
def test_at_worst_a_segment_ends_in_four_fifths_of_its_jobs_time(scale: str) -> None:
    price = estimate(case_of(scale))
    assert price.warnings == ()
    for stage in price.stages:
        slow = replace(stage, hours=stage.hours.times(3))
        found = warnings_of((slow,), settings.load_scale(scale), R1_QWEN_1_5B, A100)
        assert any("at worst" in warning for warning in found) == (scale != "rehearsal")


# Memory


@pytest.mark.parametrize(
    ("tokens", "gpus", "gigabytes", "verdict"),
    [(18_432, 8, 47.5, "fits"), (18_432, 32, 44.2, "fits"), (25_600, 32, 57.9, "fits"), (32_768, 8, 75.0, "tight")],
)
def test_memory_at_the_peak(tokens: int, gpus: int, gigabytes: float, verdict: str) -> None:
    memory = training_memory(tokens, gpus, 3, 0.6, R1_QWEN_1_5B)
    assert memory.total / 1e9 == pytest.approx(gigabytes, abs=0.2)
    assert memory.verdict(A100) == verdict
    assert memory.logits == 3 * 4 * tokens * 151_936


def test_what_does_not_fit_is_a_warning(paper: Price) -> None:
    crowded = estimate(changed(replace(paper.case, evaluations=()), ["gpus=1"]))
    assert any("24k" in warning and "will not fit" in warning for warning in crowded.warnings)


# What-ifs


@pytest.mark.parametrize("changes", STANDARD, ids=" ".join)
def test_every_usual_what_if_changes_the_price(paper: Price, changes: tuple[str, ...]) -> None:
    alone = replace(paper.case, evaluations=())
    assert estimate(changed(alone, changes)).training.expected != pytest.approx(paper.training.expected, rel=0.01)


def test_samples_dealt_out_wait_less_for_the_slowest_engine_than_prompts(paper: Price) -> None:
    """The same tokens in all, on engines that are more alike."""
    alone = replace(paper.case, evaluations=())
    whole = estimate(replace(alone, stacks=alone.stacks.changed(spread=False)))
    assert 0.85 < paper.training.expected / whole.training.expected < 0.95


def test_asynchronous_rollouts_wait_for_their_longest_sample(paper: Price) -> None:
    """A step takes as long as the slower side, so never less than the longest sample; nor more than both in turn."""
    for stage in paper.stages:
        work = replace(stage.work, asynchronous=True)
        steps = {
            engines: step_time(replace(work, rollout_gpus=engines), R1_QWEN_1_5B, A100, OPENRLHF).total
            for engines in range(1, work.gpus)
        }
        best = step_time(work, R1_QWEN_1_5B, A100, OPENRLHF).total
        assert best == min(steps.values())
        longest = work.lengths.context * (OPENRLHF.host_seconds + R1_QWEN_1_5B.decode_bytes / A100.bytes_per_second)
        assert longest < best < stage.step.total


def test_gpus_that_only_sample_hold_no_optimizer(paper: Price) -> None:
    """So those that train hold more of it each."""
    work = replace(paper.stages[1].work, asynchronous=True, rollout_gpus=16)
    assert (work.trainers, replace(work, rollout_gpus=None).trainers, paper.stages[1].work.trainers) == (16, 16, 32)
    apart = estimate(replace(paper.case, stages=(work,), evaluations=())).stages[0].memory
    assert apart.states > paper.stages[1].memory.states


def test_fewer_gpus_cost_less_and_take_longer(paper: Price) -> None:
    alone = replace(paper.case, evaluations=())
    prices = [estimate(changed(alone, [f"gpus={count}"])) for count in (32, 16, 8)]
    assert [p.training.expected for p in prices] == sorted((p.training.expected for p in prices), reverse=True)
    assert [p.wall_hours.expected for p in prices] == sorted(p.wall_hours.expected for p in prices)


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("gpus=none", "whole number"),
        ("gpus.32k=8", "unknown stage '32k'"),
        ("asink", "did you mean 'async'"),
        ("card=b200", "unknown GPU"),
        ("card", "needs a value"),
        ("steps=10", "needs its stage"),
        ("host=fast", "milliseconds"),
    ],
)
def test_bad_what_ifs_are_refused(paper: Price, word: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        changed(paper.case, [word])


def test_cards_are_found_in_the_type_names_of_clusters() -> None:
    assert [known_card(name) for name in ("a100", "nvidia_h100_80gb_hbm3", "H200", None)] == [
        *("a100", "h100", "h200", "a100")
    ]


def test_a_context_between_the_known_ones_lies_between_their_lengths() -> None:
    between = expected_lengths(12_288, from_base=True)
    assert FROM_BASE[8192][0] < between.mean < FROM_BASE[16384][0]
    assert math.isclose(expected_lengths(32_768, from_base=False).mean, AFTER_SHORTER[24576][0] * 32_768 / 24_576)


def test_the_model_needs_settings_alone() -> None:
    """So that training can ask it before anything starts."""
    import deepscaler.cost as package

    allowed = ("deepscaler.errors", "deepscaler.settings", "deepscaler.dag", "deepscaler.cost")
    for path in sorted(Path(package.__file__).parent.glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            for name in imported(node):
                assert re.match(rf"({'|'.join(allowed)})(\.|$)", name), f"{path.name} imports {name}"


def imported(node: ast.AST) -> list[str]:
    """What an import statement takes from the package, `from deepscaler import dag` as `deepscaler.dag`."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names if alias.name.startswith("deepscaler.")]
    module = node.module if isinstance(node, ast.ImportFrom) else None
    if module == "deepscaler":
        return [f"deepscaler.{alias.name}" for alias in node.names]
    return [module] if module and module.startswith("deepscaler.") else []


# One GPU


@pytest.mark.parametrize(
    ("adapters", "offload", "states"),
    [
        (None, False, 2 + 16),  # bf16 weights; fp32 gradient, master copy, two moments
        (None, True, 2),
        (37_000_000, False, 2 + 16 * 37e6 / 1_777_088_000),
        (37_000_000, True, 2),
    ],
)
def test_what_is_not_trained_has_no_states_and_what_is_offloaded_none_on_the_gpu(
    adapters: int | None, offload: bool, states: float
) -> None:
    memory = training_memory(9_216, 1, 2, 0.6, R1_QWEN_1_5B, trained=adapters, offload=offload)
    assert memory.states == pytest.approx(states * R1_QWEN_1_5B.parameters + REDUCE_BUCKET)
    assert memory.reference == R1_QWEN_1_5B.bytes  # whole at ZeRO 2
    without = training_memory(9_216, 1, 2, 0.6, R1_QWEN_1_5B, trained=adapters, offload=offload, reference=False)
    assert memory.total - without.total == R1_QWEN_1_5B.bytes


def test_the_nodes_memory_holds_what_sleeps_or_lives_there() -> None:
    """16 bytes a trained parameter, over all GPUs, and a sleeping vLLM for each."""
    one, eight = (node_memory(gpus, gpus, R1_QWEN_1_5B) for gpus in (1, 8))
    optimizer, engine = 16 * R1_QWEN_1_5B.parameters, R1_QWEN_1_5B.bytes
    assert one == NODE + NODE_FOR_GPU + engine + optimizer
    assert eight == NODE + 8 * (NODE_FOR_GPU + engine) + optimizer
    assert node_memory(1, 1, R1_QWEN_1_5B, 37_000_000) == pytest.approx(one - optimizer + 16 * 37e6)


@pytest.fixture(scope="module")
def one_gpu() -> Work:
    return case_of("one-gpu-80gb").stage("8k")


def test_adapters_save_the_gradients_of_frozen_weights_and_cost_their_own(one_gpu: Work) -> None:
    assert one_gpu.adapters == 36_929_536
    lora, full = (step_time(work, R1_QWEN_1_5B, A100, OPENRLHF) for work in (one_gpu, replace(one_gpu, adapters=None)))
    assert 0.6 * full.update < lora.update < full.update  # 2 of 8 FLOP a weight, and the adapters' own
    assert lora.log_probabilities > full.log_probabilities
    assert lora.generation == full.generation  # the sampler has merged weights


def test_offload_costs_the_update_on_the_cores_and_the_way_of_every_micro_batch(one_gpu: Work) -> None:
    full = replace(one_gpu, adapters=None)
    assert offload_seconds(full, 1, R1_QWEN_1_5B) == 0
    seconds = offload_seconds(replace(full, offload=True), 1, R1_QWEN_1_5B)
    smaller = offload_seconds(replace(full, offload=True, micro_batch=full.micro_batch // 2), 1, R1_QWEN_1_5B)
    micro_batches = full.trained_tokens / full.micro_batch
    assert smaller - seconds == pytest.approx(micro_batches * 4 * R1_QWEN_1_5B.parameters / 12e9)
    twice = offload_seconds(replace(full, offload=True, updates=2), 1, R1_QWEN_1_5B)
    assert twice - seconds == pytest.approx((30 / 30e9 + 2 / 12e9) * R1_QWEN_1_5B.parameters)
    assert offload_seconds(replace(one_gpu, offload=True), 1, R1_QWEN_1_5B) < seconds / 40


def test_states_of_adapters_hold_the_frozen_weights_too(one_gpu: Work) -> None:
    assert state_bytes(None, R1_QWEN_1_5B) == 12 * R1_QWEN_1_5B.parameters
    assert state_bytes(one_gpu.adapters, R1_QWEN_1_5B) == R1_QWEN_1_5B.bytes + 12 * 36_929_536
    save, full = (saving_seconds(work, R1_QWEN_1_5B, OPENRLHF) for work in (one_gpu, replace(one_gpu, adapters=None)))
    assert save < full / 5


@pytest.mark.parametrize("scale", ["one-gpu-80gb", "one-gpu-24gb"])
def test_one_gpu_fits_its_card(scale: str) -> None:
    price = estimate(case_of(scale))
    assert price.warnings == ()
    assert {stage.memory_verdict for stage in price.stages} == {"fits"}
    assert {stage.work.gpus for stage in price.stages} == {1}


def test_what_one_gpu_has_no_room_for_is_a_warning() -> None:
    """All weights trained on the card, or half of it for two models and the engine."""
    case = case_of("one-gpu-80gb")
    full = estimate(replace(case, evaluations=(), stages=tuple(replace(work, adapters=None) for work in case.stages)))
    assert any("stage 24k" in warning and "will not fit" in warning for warning in full.warnings)
    small = estimate(replace(case, evaluations=(), card="l4"))
    assert any("vLLM's share and the models beside it take" in warning for warning in small.warnings)


def test_a_scale_may_name_its_card() -> None:
    assert (case_of("one-gpu-24gb").card, case_of("paper").card) == ("rtx4090", "a100")


def test_below_the_known_contexts_the_same_answers_are_cut_earlier() -> None:
    whole = expected_lengths(8192, from_base=True)
    drawn = numpy.minimum(whole.draw(numpy.random.default_rng(0), 200, 128, 8), 3072)
    short = expected_lengths(3072, from_base=True)
    assert short.mean == pytest.approx(drawn.mean(), rel=0.02)
    assert short.clipped == pytest.approx((drawn >= 3072).mean(), abs=0.02)


@pytest.mark.parametrize(("kill_hours", "best"), [(1500.0, 34), (24.0, 4), (0.01, 1), (1e9, 80)])
def test_states_are_saved_as_often_as_hard_kills_make_it_worth(kill_hours: float, best: int) -> None:
    """By trying every distance, in place of the formula: none costs less by more than a thousandth."""
    case = case_of("paper")
    changed = replace(case, stacks=case.stacks.changed(kill_hours=kill_hours))
    saving = estimate(changed).stages[1].saving
    assert saving.best_steps == best

    def spent(steps: int) -> float:
        works = tuple(replace(work, save_steps=steps) for work in changed.stages)
        found = estimate(replace(changed, stages=works, evaluations=())).stages[1].saving
        return found.saved + found.kills * found.loss

    near = [spent(steps) for steps in {1, max(1, best - 1), min(80, best + 1), 80}]
    assert spent(best) <= min(near) * 1.001
    assert saving.gain == pytest.approx(spent(10) - spent(best), rel=1e-6)
