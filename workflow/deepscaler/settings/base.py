"""The strict base of all settings, and pydantic's complaints turned into one line for people."""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, StringConstraints, ValidationError

from deepscaler.errors import DeepscalerError, UserError, nearest

NAME_PATTERN = r"^[a-z0-9][a-z0-9._-]{0,99}$"
Name = Annotated[str, StringConstraints(pattern=NAME_PATTERN)]
"""A name that becomes a folder, a wildcard and a word of a command: lower case letters, digits, `.`, `_` and `-`."""
WORD_PATTERN = r"^[a-z0-9][a-z0-9.]{0,99}$"
Word = Annotated[str, StringConstraints(pattern=WORD_PATTERN)]
"""The name of a stage or a suite, which files join with `-` to a number or to a system: no `_` and `-`."""
SLURM_PATTERN = r"^[A-Za-z0-9_.,@+][A-Za-z0-9_.,@+-]*$"
"""An account, a partition (or several), a quality of service, a type of GPU."""
REPOSITORY = re.compile(r"(?!\.)[\w.-]+/(?!\.)[\w.-]+")
REVISION = re.compile(r"[0-9A-Za-z_][\w.-]*")
ALLOWED = {
    NAME_PATTERN: "a name begins with a lower case letter or a digit; then `.`, `_` and `-` may stand in it too",
    WORD_PATTERN: "the name of a stage or a suite has lower case letters, digits and `.` only",
    SLURM_PATTERN: "letters, digits and the characters _ . , @ + - only",
}


class Strict(BaseModel):
    """A settings section: unknown keys are refused, values are not coerced silently, instances are frozen."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, validate_default=True, protected_namespaces=(), allow_inf_nan=False
    )


def check_repository(repository: str | None, revision: str | None, files: Iterable[str]) -> None:
    """Refuse, with a ValueError, names of a repository that would be read, or written to, somewhere else."""
    own = (repository or "").startswith(("file:///", "/"))
    if repository and not own and not REPOSITORY.fullmatch(repository):
        raise ValueError(f"a repository is `owner/name`, or a folder as `file:///…`, not {repository!r}")
    if revision and not REVISION.fullmatch(revision):
        raise ValueError(f"a revision is a commit or a tag, not {revision!r}")
    for name in files:
        if not name or name.startswith("/") or ".." in name.split("/") or set(name) & set("\\\0\n\r"):
            raise ValueError(f"a file's name is a path within the repository, not {name!r}")


def check_origin(kind: str, repository: str | None, revision: str | None, files: Mapping[str, str | None]) -> None:
    """Refuse, with a ValueError, a source or test set that is fetched but does not name what to fetch."""
    check_repository(repository, revision, files)
    if kind != "synthetic" and not (repository and files):
        raise ValueError("what is fetched needs `repository` and `files`")
    if kind == "github" and not revision:
        raise ValueError("what is fetched from GitHub needs `revision`")


Model = TypeVar("Model", bound=BaseModel)


def validate(model: type[Model], value: Any, where: Path | str) -> Model:
    """`value` as a `model`, or a UserError that names the first key that is wrong, and the file."""
    try:
        return model.model_validate(value)
    except ValidationError as error:
        raise explain(model, error, where) from None


def explain(model: type[BaseModel], error: ValidationError, where: Path | str) -> DeepscalerError:
    first = error.errors(include_url=False)[0]
    key = ".".join(str(part) for part in first["loc"]) or "(top level)"
    if first["type"] == "extra_forbidden":
        known = keys_at(model, first["loc"][:-1])
        guess = nearest(str(first["loc"][-1]), known)
        hint = f"did you mean {guess!r}?" if guess else f"known keys here: {', '.join(sorted(known))}"
        return UserError(f"unknown setting {key!r}", where, hint)
    if first["type"] == "missing":
        return UserError(f"missing setting {key!r}", where)
    field = model.model_fields.get(str(first["loc"][0])) if first["loc"] else None
    untold = isinstance(first["input"], dict) or (field is not None and "SecretStr" in repr(field.annotation))
    given = "" if untold else f" (given: {repr(first['input'])[:80]})"
    message = first["msg"].removeprefix("Value error, ")
    if first["type"] == "string_pattern_mismatch":
        key, message = key.removesuffix(".[key]"), ALLOWED.get(first["ctx"]["pattern"], message)
    return UserError(f"{key}: {message}{given}", where)


def keys_at(model: type[BaseModel], path: tuple[int | str, ...]) -> list[str]:
    """The keys known at a path into a nested model; indices and dictionary keys are passed through."""
    current: Any = model
    for part in path:
        fields = getattr(current, "model_fields", None)
        if fields is not None and part in fields:
            current = inner_model(fields[part].annotation)
    return list(getattr(current, "model_fields", {}))


def inner_model(annotation: Any) -> Any:
    """The pydantic model inside `list[Model]`, `dict[str, Model]` or `Model | None`, else the annotation itself."""
    if hasattr(annotation, "model_fields"):
        return annotation
    for argument in getattr(annotation, "__args__", ()):
        found = inner_model(argument)
        if hasattr(found, "model_fields"):
            return found
    return annotation
