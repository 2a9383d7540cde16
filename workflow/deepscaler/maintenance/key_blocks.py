"""The tables of config/README.md: every key of every settings file, its type and its meaning, by the models."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from deepscaler.files import parse_json
from deepscaler.maintenance.schemas import SCHEMAS, schema_of
from deepscaler.text import markdown

ENTRY = "NAME"
"""Stands for an entry's own name, as a system's or a stage's."""
Key = tuple[str, str, str]
"""Dotted key, type, meaning."""


def keys(schema: dict[str, Any], defs: dict[str, Any], above: str = "") -> Iterator[Key]:
    """The keys below a part of a schema, those of a part that several keys share at the first of them."""
    for option in options(schema, defs):
        for name, value in option.get("properties", {}).items():
            dotted = f"{above}{name}"
            yield dotted, kind(value, defs), " ".join(meaning(value, defs).split())
            yield from below(value, defs, dotted)
        entries = [*option.get("patternProperties", {}).values(), option.get("additionalProperties")]
        for value in entries:
            if isinstance(value, dict):
                yield from below(value, defs, f"{above}{ENTRY}")


def below(value: dict[str, Any], defs: dict[str, Any], dotted: str) -> Iterator[Key]:
    for option in options(value, defs):
        if option.get("type") == "array" and "items" in option:
            yield from keys(option["items"], defs, f"{dotted}[].")
        else:
            yield from keys(option, defs, f"{dotted}.")


def options(value: dict[str, Any], defs: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """What a value may be: references followed, alternatives one by one."""
    if reference := value.get("$ref"):
        value = {**defs[reference.rpartition("/")[2]], **{k: v for k, v in value.items() if k != "$ref"}}
    alternatives = [part for word in ("anyOf", "oneOf", "allOf") for part in value.get(word, ())]
    if not alternatives:
        yield value
    for part in alternatives:
        yield from options(part, defs)


def kind(value: dict[str, Any], defs: dict[str, Any]) -> str:
    """The type in words: `integer or null`, `list of string`, one of some words, or a part with keys of its own."""
    found = []
    for option in options(value, defs):
        if "const" in option or "enum" in option:
            found += [f"`{word}`" for word in option.get("enum", [option.get("const")])]
        elif option.get("type") == "array":
            found.append(f"list of {kind(option['items'], defs)}" if "items" in option else "list")
        elif option.get("type") == "object":
            found.append("keys")
        else:
            found.append(str(option.get("type", "any")))
    return " or ".join(dict.fromkeys(found))


def meaning(value: dict[str, Any], defs: dict[str, Any]) -> str:
    """A key's own description, else that of the part that it holds."""
    if text := value.get("description"):
        return str(text)
    return next((str(option["description"]) for option in options(value, defs) if option.get("description")), "")


def table(name: str) -> str:
    schema = parse_json(schema_of(name))
    defs = schema.get("$defs", {})
    rows = [row for row in dict.fromkeys(keys(schema, defs)) if not row[1].startswith("keys") or row[2]]
    return markdown(["key", "type", "meaning"], [[f"`{key}`", type_, text] for key, type_, text in rows])


KEY_BLOCKS: dict[str, Callable[[], str]] = {f"keys-of-{name}": partial(table, name) for name in SCHEMAS}
