"""One request to a chat model: any endpoint that speaks OpenAI's chat completions, or Gemini. Three ways to fail."""

import email.utils
import time
from dataclasses import dataclass
from typing import Any, Protocol

from deepscaler.errors import UserError
from deepscaler.hub import first_line
from deepscaler.redaction import redacted
from deepscaler.settings.curation import LanguageModel
from deepscaler.settings.site import ChatService

WRONG_SETTINGS = frozenset({401, 402, 403, 404, 405})
"""Statuses that every other request would get too: a wrong key, model or address, no credit."""
BUSY = frozenset({408, 409, 425, 429})
OPENAI = "https://api.openai.com/v1"
GEMINI = "https://generativelanguage.googleapis.com"


@dataclass(frozen=True)
class Question:
    """What is asked: the instruction, and the text it is about. `vote` numbers equal questions."""

    instruction: str
    text: str
    vote: int = 0


@dataclass(frozen=True)
class Answered:
    text: str
    input_tokens: Any
    """As the server says; None where it does not."""
    output_tokens: Any


class Transient(Exception):
    """The request may succeed later. `charged`: the server may have done, and billed, the work."""

    def __init__(self, reason: str, wait: float | None = None, charged: bool = False) -> None:
        super().__init__(reason)
        self.reason, self.wait, self.charged = reason, wait, charged


class Rejected(Exception):
    """The server refuses this one request for good: too long, or against its rules."""


class Endpoint(Protocol):
    address: str
    """For messages."""

    async def ask(self, question: Question) -> Answered: ...

    async def close(self) -> None: ...


def connect(settings: LanguageModel, service: ChatService, key: str) -> Endpoint:
    return (OpenAIEndpoint if settings.api == "openai" else GeminiEndpoint)(settings, service, key)


class OpenAIEndpoint:
    """POST {base_url}/chat/completions"""

    def __init__(self, settings: LanguageModel, service: ChatService, key: str) -> None:
        from openai import AsyncOpenAI

        from deepscaler.curation.llm.transport import bounded_client

        self.settings, self.service, self.key = settings, service, key
        self.address = service.base_url or settings.api
        self.client = AsyncOpenAI(
            api_key=key,
            base_url=service.base_url or OPENAI,  # else the client would follow $OPENAI_BASE_URL
            timeout=settings.timeout_seconds,
            max_retries=0,
            http_client=bounded_client(settings.timeout_seconds, longest_reply(settings)),
        )

    async def ask(self, question: Question) -> Answered:
        import openai

        try:
            reply = await self.client.chat.completions.create(
                model=self.settings.model,
                messages=[
                    {"role": "system", "content": question.instruction},
                    {"role": "user", "content": question.text},
                ],
                temperature=self.settings.temperature,
                max_tokens=self.settings.max_output_tokens,
            )
            return read_openai(reply)
        except openai.APITimeoutError:
            raise Transient("no reply in time", charged=True) from None
        except openai.APIConnectionError as error:
            reason = redacted(first_line(error.__cause__ or error), self.key)
            raise Transient(f"connection lost: {reason}", charged=True) from None
        except openai.APIStatusError as error:
            reason = redacted(first_line(error), self.key)
            raise by_status(error.status_code, reason, error.response.headers, self.service, self.address) from None
        except (openai.APIError, ValueError) as error:
            raise Transient(f"reply is not the API's: {redacted(first_line(error), self.key)}", charged=True) from None

    async def close(self) -> None:
        await self.client.close()


def read_openai(reply: Any) -> Answered:
    """A chat completion's text and usage; a reply of any other shape is transient."""
    try:
        text = reply.choices[0].message.content
        counts = (getattr(reply.usage, name, None) for name in ("prompt_tokens", "completion_tokens"))
    except (AttributeError, IndexError, TypeError):
        raise Transient("reply has no choices", charged=True) from None
    if not isinstance(text, str) or not text.strip():
        raise Transient("reply is empty", charged=True)
    return Answered(text, *counts)


class GeminiEndpoint:
    """google-genai's generate_content"""

    def __init__(self, settings: LanguageModel, service: ChatService, key: str) -> None:
        from google import genai
        from google.genai import types

        from deepscaler.curation.llm.transport import bounded_client

        self.settings, self.service, self.key = settings, service, key
        self.address = service.base_url or settings.api
        self.client = genai.Client(
            api_key=key,
            vertexai=False,
            http_options=types.HttpOptions(
                base_url=service.base_url or GEMINI,  # else the client would follow $GOOGLE_GEMINI_BASE_URL
                timeout=int(settings.timeout_seconds * 1000),
                httpx_async_client=bounded_client(settings.timeout_seconds, longest_reply(settings)),
            ),
        )

    async def ask(self, question: Question) -> Answered:
        from google.genai import errors, types

        try:
            reply = await self.client.aio.models.generate_content(
                model=self.settings.model,
                contents=question.text,
                config=types.GenerateContentConfig(
                    system_instruction=question.instruction,
                    temperature=self.settings.temperature,
                    max_output_tokens=self.settings.max_output_tokens,
                ),
            )
        except errors.APIError as error:
            headers = getattr(error.response, "headers", {})
            reason = redacted(first_line(error), self.key)
            raise by_status(error.code, reason, headers, self.service, self.address) from None
        except TimeoutError:
            raise Transient("no reply in time", charged=True) from None
        except Exception as error:  # the transport's errors differ with the transport that google-genai picks
            timed_out = "timeout" in type(error).__name__.lower()
            lost = f"connection lost: {redacted(first_line(error), self.key)}"
            reason = "no reply in time" if timed_out else lost
            raise Transient(reason, charged=True) from None
        usage = reply.usage_metadata
        text = reply.text if reply.candidates else None
        if reply.prompt_feedback and reply.prompt_feedback.block_reason:
            raise Rejected(f"blocked: {reply.prompt_feedback.block_reason}")
        if not text or not text.strip():
            raise Transient("reply is empty", charged=True)
        if not usage or not usage.candidates_token_count or (usage.thoughts_token_count or 0) < 0:
            return Answered(text, None, None)
        outputs = usage.candidates_token_count + (usage.thoughts_token_count or 0)
        return Answered(text, usage.prompt_token_count, outputs)

    async def close(self) -> None:
        await self.client.aio.aclose()


def longest_reply(settings: LanguageModel) -> int:
    """Bytes of a whole reply; a token is rarely more than a dozen characters, each of which JSON may write as six."""
    return (1 << 20) + 100 * settings.max_output_tokens


def by_status(status: int, reason: str, headers: Any, service: ChatService, address: str) -> Exception:
    """What an HTTP status means for this request and for all others."""
    if 300 <= status < 400:
        hint = "it is not followed: the key and the problems would go there too; set the site's `base_url`"
        return UserError(f"the endpoint sends requests elsewhere ({status})", address, hint)
    if status in BUSY or status >= 500:
        return Transient(f"{status}: {reason[:200]}", retry_after(headers))
    if status in WRONG_SETTINGS:
        hint = f"see `model`, the site's `language_models` and ${service.key_variable}"
        return UserError(f"the endpoint answers {status}: {reason[:200]}", address, hint)
    return Rejected(f"{status}: {reason[:200]}")


def retry_after(headers: Any) -> float | None:
    """Seconds that a server asks to wait, given as a number or as a date."""
    value = headers.get("retry-after") if headers else None
    if not value:
        return None
    try:
        return max(0.0, float(value))
    except ValueError:
        pass
    try:
        return max(0.0, email.utils.parsedate_to_datetime(value).timestamp() - time.time())
    except ValueError:
        return None
