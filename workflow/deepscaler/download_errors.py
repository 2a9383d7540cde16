"""Why a download failed, and the hint that fits: the same for the hub's client, for httpx below it, and for urllib.

These have no classes in common, and the hub's client wraps one in another ("cannot find the file in the cache"). So the
whole chain of causes is looked at: an HTTP status says most, then the operating system's error, then the words.
"""

import errno
import os
import ssl
from collections.abc import Iterator
from pathlib import Path

from deepscaler.errors import DeepscalerError, JobError, UserError
from deepscaler.files import FULL

RESUMES = "run it again: it resumes"
TOKEN_FILE = Path("~/.cache/huggingface/token")
NO_NETWORK = (
    "no network here? Where only a login node has one: `network: login` in config/site.local.yaml; where none has: "
    "`hub`, a folder of what is wanted (docs/environments.md)"
)
WORDS: tuple[tuple[tuple[str, ...], str, str], ...] = (
    (
        ("certificate_verify_failed", "certificate verify failed", "[ssl"),
        "the server's certificate is not trusted here",
        "behind a proxy that opens TLS, name your site's certificates: SSL_CERT_FILE=/path/to/ca.pem",
    ),
    (
        ("proxyerror", "proxy", "tunnel connection failed"),
        "the proxy does not let it through",
        "see HTTPS_PROXY, HTTP_PROXY and NO_PROXY in your shell, with name and password where it wants them",
    ),
    (
        (
            "name or service not known",
            "name resolution",
            "nodename nor servname",
            "getaddrinfo",
            "no address associated",
        ),
        "the server's name is not found",
        NO_NETWORK,
    ),
    (("connection refused", "network is unreachable", "no route to host"), "no connection to the server", NO_NETWORK),
    (("timed out", "timeout"), "the server does not answer in time", f"{RESUMES}; if it stays so, {NO_NETWORK}"),
    (
        ("consistency check", "incomplete", "peer closed", "connection reset", "broken pipe"),
        "the connection broke",
        RESUMES,
    ),
)
"""What an error's text says, whoever wrote it → (cause, hint)."""


def explained(error: BaseException, what: str, where: object = None, repository: str | None = None) -> DeepscalerError:
    """The error for people: bad input where a setting, a token or a pin is at fault; else a job that can be repeated.

    `what` is what was wanted (`acme/tiny@main`), `repository` its name on the Hugging Face hub, where it is from there.
    """
    errors = list(chain(error))
    for found in errors:
        if isinstance(found, DeepscalerError):
            return found
    for found in errors:
        if isinstance(found, OSError) and found.errno in FULL:
            full = "your disk quota is used up" if found.errno == errno.EDQUOT else "the disk is full"
            return JobError(f"could not fetch {what}: {full}", found.filename or where, "make room and run it again")
    kinds = {kind.__name__ for found in errors for kind in type(found).__mro__}
    if "OfflineModeIsEnabled" in kinds:
        return UserError(f"could not fetch {what}: downloads are switched off", where, "unset HF_HUB_OFFLINE")
    if "HFValidationError" in kinds:
        return UserError(
            f"{what} is no repository's name: {first_line(error)}", where, "owner/name, as on the hub's page"
        )
    status = next((code for found in errors if (code := status_of(found))), None)
    if status:
        return by_status(status, kinds, errors, what, where, repository)
    text = " ".join(f"{type(found).__name__}: {found}" for found in errors).lower()
    if any(isinstance(found, ssl.SSLCertVerificationError) for found in errors):
        text = "certificate verify failed"
    for words, cause, hint in WORDS:
        if any(word in text for word in words):
            return JobError(f"could not fetch {what}: {cause} ({first_line(errors[-1])})", where, hint)
    return JobError(f"could not fetch {what}: {first_line(errors[-1])}", where, RESUMES)


def chain(error: BaseException) -> Iterator[BaseException]:
    """An error, what it was raised from, and so on to the first one."""
    seen: set[int] = set()
    following: BaseException | None = error
    while following is not None and id(following) not in seen:
        seen.add(id(following))
        yield following
        reason = getattr(following, "reason", None)  # urllib's
        inner = reason if isinstance(reason, BaseException) else None
        following = following.__cause__ or inner or (None if following.__suppress_context__ else following.__context__)


def status_of(error: BaseException) -> int | None:
    """The HTTP status in an error of httpx, of the hub's client or of urllib."""
    status = getattr(getattr(error, "response", None), "status_code", None) or getattr(error, "code", None)
    return status if isinstance(status, int) and status >= 400 else None


def by_status(
    status: int, kinds: set[str], errors: list[BaseException], what: str, where: object, repository: str | None
) -> DeepscalerError:
    """The error for an HTTP status. `kinds`: the names of the errors' classes: the hub's client's are more exact."""
    page = f"https://huggingface.co/{repository}" if repository else "its page"
    answer = f"the server answered {status}"
    if "GatedRepoError" in kinds:
        return UserError(
            f"{what} is gated ({answer})", where, f"accept its conditions at {page}, and log in: `hf auth login`"
        )
    if status == 401 and repository:
        source = token_source()
        if source:
            hint = f"the token in {source} is not valid (any more): `hf auth login`; what is public needs none"
        else:
            hint = f"see that {page} exists; if it is private or gated: `hf auth login`"
        return UserError(f"the hub refuses to give {what} ({answer})", where, hint)
    if status in (401, 403):
        hint = (
            "your token lacks the right to read it: huggingface.co/settings/tokens"
            if repository
            else "see that it is public"
        )
        return UserError(f"no permission to fetch {what} ({answer})", where, hint)
    if "RevisionNotFoundError" in kinds:
        return UserError(f"the hub has no {what}", where, f"its pin is not (any more) a commit of {page}/commits/main")
    if status == 404:
        missing = f"the hub has no {what}" if repository else f"no such file: {what}"
        return UserError(f"{missing} ({answer})", where, f"renamed or removed? See {page}")
    if status == 407:
        return JobError(f"could not fetch {what}: {WORDS[1][1]} ({answer})", where, WORDS[1][2])
    if status == 416:
        hint = "a half file of an earlier try is longer than the file: remove the folder's .cache/, and run it again"
        return JobError(f"could not fetch {what}: {answer}", where, hint)
    if status == 429:
        wait = retry_after(errors)
        hint = f"too many requests from here: run it again {f'in {wait} s' if wait else 'in some minutes'}: it resumes"
        if repository and not token_source():
            hint += "; logged in (`hf auth login`) you may ask more"
        return JobError(f"could not fetch {what}: {answer}", where, hint)
    if status >= 500:
        return JobError(
            f"could not fetch {what}: {answer}", where, "trouble on its side: run it again later, it resumes"
        )
    return JobError(f"could not fetch {what}: {first_line(errors[0])}", where, RESUMES)


def token_source() -> str | None:
    """Where the hub's client takes its token from, or None where it has none."""
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"):
        if os.environ.get(name):
            return name
    home = os.environ.get("HF_HOME")
    file = Path(os.environ.get("HF_TOKEN_PATH") or (Path(home) / "token" if home else TOKEN_FILE)).expanduser()
    return str(file) if file.is_file() else None


def retry_after(errors: list[BaseException]) -> int | None:
    """Seconds that the server asks to wait."""
    for error in errors:
        headers = getattr(getattr(error, "response", None), "headers", None) or getattr(error, "headers", None) or {}
        value = headers.get("Retry-After", "")
        if value.isdigit():
            return int(value)
    return None


def first_line(error: BaseException) -> str:
    text = str(error).strip()
    return text.splitlines()[0] if text else type(error).__name__
