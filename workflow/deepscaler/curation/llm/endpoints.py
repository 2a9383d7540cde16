"""One request to a chat model: any endpoint that speaks OpenAI's chat completions, or Gemini. Three ways to fail."""

import email.utils
import time
import urllib.parse
from dataclasses import dataclass
from typing import Any, Protocol

from deepscaler.errors import UserError
from deepscaler.hub import first_line
from deepscaler.settings.curation import LanguageModel

WRONG_SETTINGS = frozenset({401, 402, 403, 404, 405})
"""Statuses that every other request would get too: a wrong key, model or address, no credit."""
BUSY = frozenset({408, 409, 425, 429})


@dataclass(frozen=True)
class Question:
    """What is asked: the instruction, and the text it is about. `vote` numbers equal questions."""

    instruction: str
    text: str
    vote: int = 0


@dataclass(frozen=True)
class Answered:
    text: str
    input_tokens: int
    output_tokens: int


class Transient(Exception):
    """The request may succeed later. `charged`: the server may have done, and billed, the work."""

    def __init__(self, reason: str, wait: float | None = None, charged: bool = False) -> None:
        super().__init__(reason)
        self.reason, self.wait, self.charged = reason, wait, charged


class Rejected(Exception):
    """The server refuses this one request for good: too long, or against its rules."""


class Endpoint(Protocol):
    async def ask(self, question: Question) -> Answered: ...

    async def close(self) -> None: ...


def connect(settings: LanguageModel, key: str) -> Endpoint:
    return OpenAIEndpoint(settings, key) if settings.api == "openai" else GeminiEndpoint(settings, key)


class OpenAIEndpoint:
    """POST {base_url}/chat/completions"""

    def __init__(self, settings: LanguageModel, key: str) -> None:
        from openai import AsyncOpenAI, DefaultAsyncHttpxClient

        self.settings = settings
        self.client = AsyncOpenAI(
            api_key=key,
            base_url=settings.base_url,
            timeout=settings.timeout_seconds,
            max_retries=0,
            http_client=DefaultAsyncHttpxClient(follow_redirects=False),
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
            raise Transient(f"connection lost: {first_line(error.__cause__ or error)}", charged=True) from None
        except openai.APIStatusError as error:
            raise by_status(error.status_code, first_line(error), error.response.headers, self.settings) from None
        except (openai.APIError, ValueError) as error:
            raise Transient(f"reply is not the API's: {first_line(error)}", charged=True) from None

    async def close(self) -> None:
        await self.client.close()


def read_openai(reply: Any) -> Answered:
    """A chat completion's text and usage; a reply of any other shape is transient."""
    try:
        text = reply.choices[0].message.content
        usage = reply.usage
        counts = (usage.prompt_tokens, usage.completion_tokens) if usage else (0, 0)
    except (AttributeError, IndexError, TypeError):
        raise Transient("reply has no choices", charged=True) from None
    if not isinstance(text, str) or not text.strip():
        raise Transient("reply is empty", charged=True)
    return Answered(text, int(counts[0] or 0), int(counts[1] or 0))


class GeminiEndpoint:
    """google-genai's generate_content"""

    def __init__(self, settings: LanguageModel, key: str) -> None:
        from google import genai
        from google.genai import types
        from openai import DefaultAsyncHttpxClient  # httpx's client, which google-genai takes, too

        self.settings = settings
        self.http = DefaultAsyncHttpxClient(follow_redirects=False)
        options = types.HttpOptions(
            base_url=settings.base_url, timeout=int(settings.timeout_seconds * 1000), httpx_async_client=self.http
        )
        self.client = genai.Client(api_key=key, http_options=options)

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
            raise by_status(error.code, first_line(error), headers, self.settings) from None
        except TimeoutError:
            raise Transient("no reply in time", charged=True) from None
        except Exception as error:  # the transport's errors differ with the transport that google-genai picks
            timed_out = "timeout" in type(error).__name__.lower()
            reason = "no reply in time" if timed_out else f"connection lost: {first_line(error)}"
            raise Transient(reason, charged=True) from None
        usage = reply.usage_metadata
        text = reply.text if reply.candidates else None
        if reply.prompt_feedback and reply.prompt_feedback.block_reason:
            raise Rejected(f"blocked: {reply.prompt_feedback.block_reason}")
        if not text or not text.strip():
            raise Transient("reply is empty", charged=True)
        outputs = (usage.candidates_token_count or 0) + (usage.thoughts_token_count or 0) if usage else 0
        return Answered(text, (usage.prompt_token_count or 0) if usage else 0, outputs)

    async def close(self) -> None:
        await self.client.aio.aclose()
        await self.http.aclose()


def by_status(status: int, reason: str, headers: Any, settings: LanguageModel) -> Exception:
    """What an HTTP status means for this request and for all others."""
    if status in BUSY or status >= 500:
        return Transient(f"{status}: {reason[:200]}", retry_after(headers))
    if 300 <= status < 400:
        target = urllib.parse.urlsplit(headers.get("location", "") if headers else "").netloc
        hint = "no redirect is followed, for the questions and the key are for the named server: see `base_url`"
        what = f"the endpoint answers {status}, a redirect to {target or 'nowhere'}"
        return UserError(what, settings.base_url or settings.api, hint)
    if status in WRONG_SETTINGS:
        hint = f"see `model`, `base_url` and ${settings.key_variable}"
        return UserError(f"the endpoint answers {status}: {reason[:200]}", settings.base_url or settings.api, hint)
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
