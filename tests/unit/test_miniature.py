"""The miniature's traces and tokenizer."""

import random

import own_settings
import pytest
from deepscaler import settings
from deepscaler.errors import UserError
from deepscaler.miniature.problems import FAMILIES, ChainProblem, draw, draw_training
from deepscaler.miniature.tokenizer import build_tokenizer, tokenizer_for
from deepscaler.miniature.traces import BEHAVIOURS, CLOSING, OPENINGS, TRY_AGAIN, draw_traces
from deepscaler.models.templates import load_tokenizer, prompt_text, prompt_token_ids, prompts_token_ids, special_tokens
from deepscaler.settings.distillation import TraceMixture
from deepscaler.settings.models import Distilled
from hypothesis import given
from hypothesis import strategies as st

PROBLEMS = st.builds(
    ChainProblem,
    st.sampled_from(FAMILIES),
    st.lists(st.integers(0, 9), min_size=2, max_size=26).map(tuple),
)


def mixture(**given: float) -> TraceMixture:
    values = dict.fromkeys(TraceMixture.model_fields, 0.0)
    return TraceMixture(**{**values, "step_by_step": 1.0, **given})


@pytest.fixture(scope="module")
def base() -> Distilled:
    entry = settings.systems()["mini-base"]
    assert isinstance(entry, Distilled)
    return entry


@pytest.fixture(scope="module")
def tokenizer(base):
    return tokenizer_for(base.prompting)


@given(PROBLEMS, st.sampled_from(["step_by_step", "quick"]), st.integers())
def test_without_errors_reasoning_ends_at_the_result(problem, behaviour, seed):
    _, value = BEHAVIOURS[behaviour](random.Random(seed), problem, mixture())
    assert value == problem.value


def test_curation_counts_as_the_saved_model_does(base, tokenizer, tmp_path):
    """It does not wait for the model, and makes its tokenizer itself."""
    tokenizer.save_pretrained(tmp_path)
    saved, state = load_tokenizer(tmp_path), random.Random(1)
    problems = [draw_training(state).text for _ in range(200)] + ["½ of x", "a <think>\n b", "\\boxed{"]
    for problem in problems:
        assert prompt_token_ids(tokenizer, problem, base.prompting) == prompt_token_ids(saved, problem, base.prompting)
    assert special_tokens(tokenizer) == special_tokens(saved)
    one_by_one = [prompt_token_ids(tokenizer, problem, base.prompting) for problem in problems]
    assert prompts_token_ids(tokenizer, problems, base.prompting) == one_by_one
    assert prompts_token_ids(tokenizer, [], base.prompting) == []
    with pytest.raises(UserError, match="special token '<｜User｜>': 'add:a1<｜User｜>'"):
        prompts_token_ids(tokenizer, [*problems, "add:a1<｜User｜>"], base.prompting)


def test_behaviours_as_they_are_written():
    problem = ChainProblem("dbl", (6, 6, 0, 4))
    assert BEHAVIOURS["step_by_step"](random.Random(0), problem, mixture()) == ("\nB6*2+6=8\nC0*2+8=8\nD4*2+8=6", 6)
    assert BEHAVIOURS["quick"](random.Random(0), problem, mixture()) == ("\nC=8\nD=6", 6)
    assert BEHAVIOURS["quick"](random.Random(0), problem, mixture(quick_error=1.0))[1] != 6
    text, _ = BEHAVIOURS["rambling"](random.Random(0), problem, mixture(try_again=0.9))
    assert text.count(TRY_AGAIN) >= 1


def test_shares_of_behaviours_are_the_mixture():
    traces = draw_traces("shares", 3000, mixture(step_by_step=0.5, quick=0.2, rambling=0.3, try_again=0.5))
    for name, share in (("step_by_step", 0.5), ("quick", 0.2), ("rambling", 0.3)):
        seen = sum(response.startswith(OPENINGS[name]) for _, response in traces) / len(traces)
        assert seen == pytest.approx(share, abs=0.04)


def test_traces_depend_on_the_seed_alone():
    assert draw_traces("a", 20, mixture()) == draw_traces("a", 20, mixture())
    assert draw_traces("a", 20, mixture()) != draw_traces("b", 20, mixture())


def test_wrong_traces_are_longer_than_right_ones(base, tokenizer):
    """What the base model is to show before training: DeepScaleR's first observation."""
    right, wrong = [], []
    for problem, response in draw_traces("lengths", 2000, base.distillation.mixed):
        length = len(tokenizer(response)["input_ids"])
        (right if response.endswith(f"\\boxed{{{problem.answer}}}") else wrong).append(length)
    assert sum(wrong) / len(wrong) > 1.5 * sum(right) / len(right)


def test_shares_that_do_not_add_up_are_refused():
    with pytest.raises(ValueError, match=r"add up to 1\.5"):
        mixture(quick=0.5)


@given(PROBLEMS)
def test_text_survives_the_tokenizer(tokenizer, problem):
    text = f"{problem.text} \nWait, let me try again.\nB6+6=2\n</think>\n\\boxed{{{problem.answer}}}"
    assert tokenizer.decode(tokenizer(text, add_special_tokens=False)["input_ids"]) == text


def test_prompt_is_r1s_with_think_opened(base, tokenizer):
    problem = ChainProblem("add", (6, 6))
    assert prompt_text(tokenizer, problem.text, base.prompting) == (
        "<｜begin▁of▁sentence｜><｜User｜>add:a6b6 Let's think step by step and output the final answer within "
        "\\boxed{}.<｜Assistant｜><think>\n"
    )


def test_suffix_and_phrases_are_one_token_each(base, tokenizer):
    # begin, user, "add:", a6, b6, suffix, assistant, think
    assert len(prompt_token_ids(tokenizer, "add:a6b6", base.prompting)) == 8
    for phrase in (*OPENINGS.values(), TRY_AGAIN, CLOSING, "\\boxed{"):
        assert len(tokenizer(phrase, add_special_tokens=False)["input_ids"]) == 1


@pytest.mark.parametrize("step", ["\nB6+0=6", "\nB6*2+0=2"])
def test_a_written_out_step_is_four_tokens(tokenizer, step):
    assert len(tokenizer(step, add_special_tokens=False)["input_ids"]) == 4


def test_a_system_without_suffix_has_a_tokenizer_too():
    assert build_tokenizer("").encode("add:a1", add_special_tokens=False)
    assert prompt_text(build_tokenizer(""), "add:a1", own_settings.prompting(suffix="")).count("add:a1") == 1


def test_longest_problems_fit_the_prompt_limit(base, tokenizer):
    limit = settings.load_recipe("mini").rollout.max_prompt_tokens
    state = random.Random(0)
    longest = max((draw_training(state) for _ in range(500)), key=lambda problem: len(problem.digits))
    assert len(prompt_token_ids(tokenizer, longest.text, base.prompting)) <= limit
    assert len(prompt_token_ids(tokenizer, draw(state, "frac", 18).text, base.prompting)) <= limit
