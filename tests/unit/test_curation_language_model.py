"""The client of language models, against a real server that misbehaves."""

import json
import os
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import own_settings
import pytest
from chat_server import serving
from deepscaler.curation.llm import client
from deepscaler.curation.llm.client import ask_all
from deepscaler.curation.llm.endpoints import Question, retry_after
from deepscaler.curation.llm.read_solutions import read_solutions
from deepscaler.curation.llm.replies import Replies
from deepscaler.curation.llm.same_problem import judge_by
from deepscaler.errors import JobError, UserError
from deepscaler.settings.curation import LanguageModel
from warm_processes import Process, Server, warm

QUESTIONS = [Question("Answer.", f"question {number}") for number in range(30)]
TROUBLES = ["", "status:429,0.05", "status:500", "status:503,0.1", "cut", "garbage", "empty", "empty:choices"]


@pytest.fixture(autouse=True)
def a_key_and_short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_KEY", "secret")
    monkeypatch.setattr(client, "FIRST_WAIT_SECONDS", 0.01)
    monkeypatch.setattr(client, "site", own_settings.site)  # `model` sets another


def model(url: str, **changes: object) -> LanguageModel:
    """A model of a server, where the site's settings then have it."""
    ask_at(f"{url}/v1")
    values: dict[str, object] = {
        "api": "openai",
        "model": "reader",
        "requests_per_minute": 60_000,
        "timeout_seconds": 60,
        "max_requests": 1000,
        "max_dollars": 1,
    }
    return own_settings.language_model(**{**values, **changes})


def ask_at(url: str, api: str = "openai") -> None:
    there = own_settings.asking(url, api)
    client.site = lambda: there


def patient(url: str) -> list[str]:
    """A model that waits for slow answers, as JSON for a process of its own, and its server."""
    return [model(url, concurrency=4, timeout_seconds=120).model_dump_json(), f"{url}/v1"]


def trouble_once(question: str, number: int) -> str:
    """Each question meets one kind of trouble in its first try."""
    index = int(question.split()[-1])
    return TROUBLES[index % len(TROUBLES)] if number == 1 else ""


def test_every_trouble_is_survived_and_no_question_is_lost_or_asked_twice(tmp_path: Path) -> None:
    cache = tmp_path / "replies.jsonl"
    with serving(trouble_once) as server:
        replies = ask_all(QUESTIONS, model(server.url), cache)
        assert [reply.text for reply in replies] == [rf"\boxed{{{question.text}}}" for question in QUESTIONS]
        assert set(server.answered.values()) == {1}
        before = sum(server.tries.values())
        assert ask_all(QUESTIONS, model(server.url), cache) == replies
        assert sum(server.tries.values()) == before, "a rerun costs nothing"


def test_a_server_that_hangs_is_asked_again(tmp_path: Path) -> None:
    with serving(lambda question, number: "hang:60" if number == 1 else "") as server:
        replies = ask_all(QUESTIONS[:1], model(server.url, timeout_seconds=1), tmp_path / "replies.jsonl")
    assert [reply.text for reply in replies] == [r"\boxed{question 0}"]
    assert sum(server.tries.values()) >= 2


def test_equal_questions_are_asked_once(tmp_path: Path) -> None:
    with serving() as server:
        replies = ask_all([QUESTIONS[0]] * 5, model(server.url), tmp_path / "replies.jsonl")
    assert len({reply.text for reply in replies}) == 1
    assert sum(server.tries.values()) == 1


def test_the_rate_and_the_concurrency_are_kept(tmp_path: Path) -> None:
    with serving(delay=0.1) as server:
        ask_all(QUESTIONS[:12], model(server.url, requests_per_minute=600, concurrency=3), tmp_path / "replies.jsonl")
    assert server.most_at_once <= 3
    assert server.times[-1] - server.times[0] >= 10 * 0.1 * 0.9, "twelve requests at ten a second"


def test_the_wait_that_a_server_asks_for_holds_for_all(tmp_path: Path) -> None:
    def busy_once(question: str, number: int) -> str:
        return "status:429,0.8" if question == "question 0" and number == 1 else ""

    with serving(busy_once) as server:
        ask_all(QUESTIONS[:6], model(server.url, concurrency=1), tmp_path / "replies.jsonl")
    assert server.times[1] - server.times[0] >= 0.75


def test_a_budget_of_requests_holds_over_reruns(tmp_path: Path) -> None:
    cache = tmp_path / "replies.jsonl"
    with serving() as server:
        first = ask_all(QUESTIONS, model(server.url, max_requests=10), cache)
        ask_all(QUESTIONS, model(server.url, max_requests=10), cache)
        assert sum(server.tries.values()) == 10
        assert Counter(reply.reason for reply in first) == {None: 10, "the budget is spent": 20}
        answered = [reply for reply in ask_all(QUESTIONS, model(server.url, max_requests=30), cache) if reply.text]
        assert len(answered) == 30


def test_a_budget_in_dollars_is_never_exceeded(tmp_path: Path) -> None:
    cache = tmp_path / "replies.jsonl"
    prices = {"dollars_per_million_input": 1000.0, "dollars_per_million_output": 1000.0, "max_output_tokens": 5}
    with serving() as server:
        ask_all(QUESTIONS, model(server.url, max_dollars=0.2, **prices), cache)
    spent = Replies(cache).dollars
    assert spent == pytest.approx(0.016 * sum(server.tries.values()))
    assert 0.1 < spent <= 0.2


def test_tries_that_may_have_been_charged_count(tmp_path: Path) -> None:
    prices = {"dollars_per_million_output": 1000.0, "max_output_tokens": 10}
    cache = tmp_path / "replies.jsonl"
    with serving(lambda question, number: "cut" if number == 1 else "") as server:
        ask_all(QUESTIONS[:1], model(server.url, **prices), cache)
    assert Replies(cache).dollars == pytest.approx(0.010 + 0.005)
    assert Replies(cache).requests == 2


def test_without_a_key_the_cache_must_answer_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = tmp_path / "replies.jsonl"
    with serving() as server:
        ask_all(QUESTIONS[:2], model(server.url), cache)
        monkeypatch.delenv("TEST_KEY")
        assert all(reply.text for reply in ask_all(QUESTIONS[:2], model(server.url), cache))
        with pytest.raises(UserError, match=r"1 questions for .* have no reply yet, and the key is not set.*TEST_KEY"):
            ask_all(QUESTIONS[:3], model(server.url), cache)


def test_a_wrong_key_is_one_line_at_once(tmp_path: Path) -> None:
    with serving(lambda question, number: "status:401") as server, pytest.raises(UserError, match="answers 401"):
        ask_all(QUESTIONS, model(server.url, concurrency=2), tmp_path / "replies.jsonl")
    assert sum(server.tries.values()) <= 4


def test_one_refused_question_does_not_stop_the_others(tmp_path: Path) -> None:
    def too_long(question: str, number: int) -> str:
        return "status:400" if question == "question 3" else ""

    with serving(too_long) as server:
        replies = ask_all(QUESTIONS[:6], model(server.url), tmp_path / "replies.jsonl")
    assert [number for number, reply in enumerate(replies) if reply.text is None] == [3]
    assert (replies[3].reason or "").startswith("the model's server refuses: 400")


def test_what_fails_in_every_try_fails_the_job_and_keeps_the_rest(tmp_path: Path) -> None:
    cache = tmp_path / "replies.jsonl"

    def one_never(question: str, number: int) -> str:
        return "status:500" if question == "question 3" else ""

    with serving(one_never) as server:
        with pytest.raises(JobError, match="1 of 6 questions failed in every try"):
            ask_all(QUESTIONS[:6], model(server.url, attempts=3), cache)
        assert server.tries["question 3"] == 3
    with serving() as server:
        replies = ask_all(QUESTIONS[:6], model(server.url), cache)
    assert [bool(reply.text) for reply in replies] == [True] * 6
    assert dict(server.tries) == {"question 3": 1}


def test_a_dead_server_ends_the_job_early(tmp_path: Path) -> None:
    many = [Question("Answer.", f"question {number}") for number in range(500)]
    with serving(lambda question, number: "status:502") as server, pytest.raises(JobError, match="in a row failed"):
        ask_all(many, model(server.url, attempts=2, concurrency=4), tmp_path / "replies.jsonl")
    assert len(server.tries) < 60


CHILD = """
import sys
from pathlib import Path
from deepscaler.curation.llm.endpoints import Question
from deepscaler import settings
from deepscaler.curation.llm import client
from deepscaler.curation.llm.client import ask_all
from deepscaler.settings.curation import LanguageModel
from deepscaler.settings.site import ChatService
model = LanguageModel.model_validate_json(sys.argv[1])
service = ChatService(base_url=sys.argv[2], key_variable="TEST_KEY")
there = settings.site().model_copy(update={"language_models": {"openai": service}})
client.site = lambda: there
questions = [Question("Answer.", f"question {number}") for number in range(30)]
print(sum(reply.text is not None for reply in ask_all(questions, model, Path(sys.argv[3]))))
"""


@pytest.fixture(scope="module")
def processes() -> Iterator[Server]:
    with warm(["deepscaler.curation.llm.client", "openai", "aiolimiter", "tenacity"], os.environ) as server:
        yield server


@pytest.fixture
def ask_apart(processes: Server, tmp_path: Path) -> Callable[..., Process]:
    """Starts a process that asks all questions of a server, for the given cache."""

    def start(url: str, cache: Path) -> Process:
        environment = {**os.environ, "TEST_KEY": "k"}
        return processes.start(tmp_path, CHILD, *patient(url), str(cache), environment=environment)

    return start


def test_kills_lose_nothing(tmp_path: Path, ask_apart: Callable[..., Process]) -> None:
    cache = tmp_path / "replies.jsonl"
    with serving(delay=0.1) as server:
        for goal in (5, 15):
            child = ask_apart(server.url, cache)
            deadline = time.monotonic() + 60
            while sum(server.answered.values()) < goal and time.monotonic() < deadline:
                time.sleep(0.01)
            child.kill()
        with cache.open("ab") as handle:
            handle.write(b'{"key": "torn')
        replies = ask_all(QUESTIONS, model(server.url), cache)
    assert [bool(reply.text) for reply in replies] == [True] * len(QUESTIONS)
    repeated = sum(server.answered.values()) - len(QUESTIONS)
    assert repeated <= 2 * 4, "only what was in flight at a kill is asked again"
    kept = [record for record in map(json.loads, whole_lines(cache)) if record["text"]]
    assert len(kept) == len({record["key"] for record in kept}) == len(QUESTIONS)
    sent = sum(server.tries.values())
    assert sent <= Replies(cache).requests <= sent + 2 * 4, "what a kill cut off counts, sent or about to be"


def whole_lines(cache: Path) -> list[str]:
    return [line for line in cache.read_text().splitlines() if line.endswith("}")]


def test_a_budget_holds_over_kills(tmp_path: Path, ask_apart: Callable[..., Process]) -> None:
    """Requests that a kill cuts off may have been charged: each counts at its highest price."""
    cache = tmp_path / "replies.jsonl"
    with serving(delay=30) as server:
        child = ask_apart(server.url, cache)
        deadline = time.monotonic() + 60
        while sum(server.tries.values()) < 4 and time.monotonic() < deadline:
            time.sleep(0.01)
        child.kill()
        assert sum(server.tries.values()) == Replies(cache).requests == 4
        server.delay = 0.0
        replies = ask_all(QUESTIONS, model(server.url, max_requests=10), cache)
        assert sum(server.tries.values()) == 10
        assert Counter(reply.reason for reply in replies) == {None: 6, "the budget is spent": 24}


def test_gemini_speaks_its_own_api(tmp_path: Path) -> None:
    def trouble(question: str, number: int) -> str:
        index = int(question.split()[-1])
        return ["", "status:429,0.05", "status:500", "cut", "empty", "garbage"][index % 6] if number == 1 else ""

    settings = model("http://localhost", api="gemini")
    with serving(trouble) as server:
        ask_at(server.url, "gemini")
        replies = ask_all(QUESTIONS[:6], settings, tmp_path / "replies.jsonl")
    assert [reply.text for reply in replies] == [rf"\boxed{{{question.text}}}" for question in QUESTIONS[:6]]
    assert server.bodies[0]["systemInstruction"]["parts"][0]["text"] == "Answer."


@pytest.mark.parametrize(
    ("said", "answer", "reason"),
    [
        (r"\boxed{\frac{1}{2}}", r"\frac{1}{2}", None),
        (r"The answer is \boxed{7}.", "7", None),
        ("The solution arrives at one half.", None, "the reply has no box"),
        (r"\boxed{none}", None, "the solution has no single answer"),
        (r"\boxed{\text{None}}", None, "the solution has no single answer"),
        (r"\boxed{" + "1" * 600 + "}", None, "the reply's answer is too long"),
    ],
)
def test_replies_are_read_with_care(tmp_path: Path, said: str, answer: str | None, reason: str | None) -> None:
    with serving(answer=lambda question: said) as server:
        (read,) = read_solutions([("What?", "So.")], model(server.url), tmp_path / "replies.jsonl", longest=500)
    assert (read.answer, read.reason) == (answer, reason)


def test_votes(tmp_path: Path) -> None:
    def vote(question: str, number: int) -> str:
        return r"say:\boxed{2}" if "first" in question and number == 2 else ""

    settings = model("http://localhost", votes=3, concurrency=1, temperature=0.7)
    with serving(vote, answer=lambda question: r"\boxed{1}") as server:
        ask_at(f"{server.url}/v1")
        first, second = read_solutions(
            [("first", "s"), ("second", "s")], settings, tmp_path / "replies.jsonl", longest=9
        )
    assert (first.answer, second.answer) == ("1", "1")
    assert sorted(server.tries.values()) == [3, 3]

    with serving(lambda question, number: rf"say:\boxed{{{number}}}") as server:
        ask_at(f"{server.url}/v1")
        (split,) = read_solutions([("third", "s")], settings, tmp_path / "other.jsonl", longest=9)
    assert split.reason == "replies disagree (3 answers in 3 replies)"


def test_the_judge_answers_or_abstains(tmp_path: Path) -> None:
    words = {"a": "Same.", "b": "They are different", "c": "same or different?"}
    with serving(answer=lambda question: words[question.split()[1]]) as server:
        judge = judge_by(model(server.url), tmp_path / "replies.jsonl")
        assert judge([("a", "x"), ("b", "x"), ("c", "x")]) == [True, False, None]


def test_retry_after_in_seconds_and_as_a_date() -> None:
    later = time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(time.time() + 100))
    assert retry_after({"retry-after": "2.5"}) == 2.5
    assert 97 < (retry_after({"retry-after": later}) or 0) < 101
    assert retry_after({"retry-after": "soon"}) is None
    assert retry_after({}) is None
