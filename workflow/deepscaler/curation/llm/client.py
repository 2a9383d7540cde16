"""Many questions to a chat model: at once, at a bounded rate and price, tried again, and never asked twice."""

import asyncio
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from deepscaler.curation.llm.endpoints import Answered, Endpoint, Question, Rejected, Transient, connect
from deepscaler.curation.llm.replies import Replies
from deepscaler.errors import JobError, UserError
from deepscaler.files import digest_of
from deepscaler.progress import progress
from deepscaler.settings import site
from deepscaler.settings.curation import LanguageModel
from deepscaler.settings.site import ChatService

MILLION = 1_000_000
HOPELESS = 25
"""Questions in a row that fail in every try; then the rest is not tried."""
FIRST_WAIT_SECONDS = 1.0


@dataclass(frozen=True)
class Reply:
    """The model's text, or why there is none."""

    text: str | None
    reason: str | None = None


class BudgetSpent(Exception):
    """The next request could cost more than what is left."""


def ask_all(questions: list[Question], settings: LanguageModel, cache: Path, what: str = "asking") -> list[Reply]:
    """A reply to each question, in order; what `cache` has is not asked again.

    Without a key (the site's `key_variable`) the cache must answer all: what it lacks is a UserError, since going on
    with less would lose problems in silence. Questions beyond the budget, and those that the server refuses, have no
    text but a reason. A JobError when questions failed in every try: all other replies are kept, so that running again
    asks for these alone.
    """
    service = service_of(settings.api)
    key = os.environ.get(service.key_variable)
    replies = Replies(cache, key)
    keys = [key_of(question, settings) for question in questions]
    missing = {key: question for key, question in zip(keys, questions, strict=True) if key not in replies.texts}
    if missing and not key:
        raise UserError(
            f"{what}: {len(missing)} questions for {settings.model} have no reply yet, and the key is not set",
            cache,
            f"set ${service.key_variable}, or take the model out of the scale: what it would say is then missing",
        )
    reasons = {}
    if missing and key:
        reasons = asyncio.run(Asking(settings, connect(settings, service, key), replies, missing, what).run())
    asked = sum(1 for name in missing if name in replies.texts)
    print(
        f"{what}: {len(set(keys)) - len(missing)} replies cached, {asked} asked for; in all {replies.requests} requests"
        f", ${replies.dollars:.4f}"
    )
    return [Reply(replies.texts.get(name), reasons.get(name)) for name in keys]


def service_of(api: str) -> ChatService:
    """Where the site has an `api` asked."""
    services = {str(name): service for name, service in site().language_models.items()}
    if api not in services:
        raise UserError(f"language_models.{api} is not set", "config/site.yaml", "its base_url and its key_variable")
    return services[api]


def key_of(question: Question, settings: LanguageModel) -> str:
    """Equal for requests whose replies may stand for each other: not the address, rate or budget counts."""
    asked = {"instruction": question.instruction, "text": question.text, "vote": question.vote}
    model = settings.model_dump(include={"api", "model", "temperature", "max_output_tokens"})
    return digest_of({**asked, **model})[:32]


class Asking:
    """One run over the questions that the cache lacks."""

    def __init__(
        self, settings: LanguageModel, endpoint: Endpoint, replies: Replies, questions: dict[str, Question], what: str
    ) -> None:
        from aiolimiter import AsyncLimiter

        self.settings, self.endpoint, self.replies = settings, endpoint, replies
        self.questions, self.what = questions, what
        self.limiter = AsyncLimiter(1, 60 / settings.requests_per_minute)
        self.paused_until = 0.0
        self.reasons: dict[str, str] = {}
        self.failed: dict[str, str] = {}
        self.hopeless = 0

    async def run(self) -> dict[str, str]:
        """Ask; the questions without a reply, and why."""
        waiting = iter(self.questions.items())
        with progress(total=len(self.questions), what=self.what, unit="question") as bar:
            try:
                async with asyncio.TaskGroup() as group:
                    for _ in range(min(self.settings.concurrency, len(self.questions))):
                        group.create_task(self.work(waiting, bar.update))
            except ExceptionGroup as several:
                raise several.exceptions[0] from None
            finally:
                await self.endpoint.close()
        if self.failed:
            reason = next(iter(self.failed.values()))
            raise JobError(
                f"{len(self.failed)} of {len(self.questions)} questions failed in every try, the first: {reason}",
                self.endpoint.address,
                "run it again: the other replies are kept",
            )
        return self.reasons

    async def work(self, waiting: "Iterator[tuple[str, Question]]", done: object) -> None:
        """Take questions until there are none; `waiting` is shared by all workers."""
        for key, question in waiting:
            try:
                await self.try_often(key, question)
                self.hopeless = 0
            except BudgetSpent:
                self.reasons[key] = "the budget is spent"
            except Rejected as refusal:
                self.reasons[key] = f"the model's server refuses: {refusal}"
            except Transient as failure:
                self.failed[key] = failure.reason
                self.hopeless += 1
                if self.hopeless >= HOPELESS:
                    raise JobError(
                        f"{self.hopeless} questions in a row failed in every try, the last: {failure.reason}",
                        self.endpoint.address,
                        "run it again when the server answers: the replies so far are kept",
                    ) from None
            done(1)  # type: ignore[operator]

    async def try_often(self, key: str, question: Question) -> None:
        """Ask one question until there is a reply, the tries are used up, or the budget is."""
        from tenacity import (
            AsyncRetrying,
            RetryCallState,
            retry_if_exception_type,
            stop_after_attempt,
            wait_exponential_jitter,
        )

        backoff = wait_exponential_jitter(initial=FIRST_WAIT_SECONDS, max=self.settings.longest_wait_seconds)

        def wait(state: RetryCallState) -> float:
            asked = state.outcome.exception() if state.outcome else None
            least = asked.wait if isinstance(asked, Transient) and asked.wait is not None else 0.0
            return min(max(least, backoff(state)), self.settings.longest_wait_seconds)

        async for attempt in AsyncRetrying(
            stop=stop_after_attempt(self.settings.attempts),
            wait=wait,
            retry=retry_if_exception_type(Transient),
            reraise=True,
        ):
            with attempt:
                await self.try_once(key, question)

    async def try_once(self, key: str, question: Question) -> None:
        """One request, within the rate and the budget; its reply is on disk when this returns."""
        await asyncio.sleep(max(0.0, self.paused_until - time.monotonic()))
        async with self.limiter:
            price = self.within_budget(question)
            self.replies.ask(key, price)
        try:
            answered = await self.endpoint.ask(question)
        except Transient as failure:
            if failure.wait is not None:  # the server's word is for all of us
                wait = min(failure.wait, self.settings.longest_wait_seconds)
                self.paused_until = max(self.paused_until, time.monotonic() + wait)
            self.replies.add(key, None, price if failure.charged else 0.0, failure=failure.reason)
            raise
        except (Rejected, UserError) as refusal:
            self.replies.add(key, None, 0.0, failure=str(refusal))
            raise
        self.replies.add(
            key,
            answered.text,
            self.billed(answered, price),
            model=self.settings.model,
            input_tokens=answered.input_tokens,
            output_tokens=answered.output_tokens,
        )

    def within_budget(self, question: Question) -> float:
        """The highest price of a request. What is on its way counts as paid; BudgetSpent when it would be too much."""
        price = self.highest_price(question)
        dollars = self.replies.dollars + price
        if self.replies.requests >= self.settings.max_requests or dollars > self.settings.max_dollars + 1e-9:
            raise BudgetSpent
        return price

    def highest_price(self, question: Question) -> float:
        """What a request can cost at most: no tokenizer makes more tokens than there are bytes."""
        size = len((question.instruction + question.text).encode())
        return self.price(size, self.settings.max_output_tokens)

    def billed(self, answered: Answered, highest: float) -> float:
        """What a reply cost by the server's count of tokens; `highest`, which was held back, where it gives none.

        A reply has tokens, and so has its question: a count of 0 or less is none. More than `highest` is believed, up
        to all that may be spent: it ends the asking.
        """
        counts = (answered.input_tokens, answered.output_tokens)
        if not all(isinstance(count, int) and not isinstance(count, bool) and count > 0 for count in counts):
            return highest
        bound = MILLION * MILLION  # no request has so many tokens; an integer may be too large for a float
        cost = self.price(*(min(int(count), bound) for count in counts))
        return cost if cost <= highest else min(cost, max(highest, self.settings.max_dollars))

    def price(self, inputs: int, outputs: int) -> float:
        settings = self.settings
        return (inputs * settings.dollars_per_million_input + outputs * settings.dollars_per_million_output) / MILLION
