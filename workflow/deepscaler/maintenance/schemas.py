"""JSON Schema of every settings file, for editors: workflow/schemas/, generated from the models."""

import ast
import inspect
import json
import textwrap
from itertools import pairwise
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from deepscaler.errors import UserError
from deepscaler.files import write_text
from deepscaler.settings.base import Strict
from deepscaler.settings.benchmarks import BenchmarkFile
from deepscaler.settings.corrections import CorrectionFile
from deepscaler.settings.curation import SourceFile
from deepscaler.settings.load import project_root
from deepscaler.settings.models import SystemFile
from deepscaler.settings.recipe import Recipe
from deepscaler.settings.scale import Scale
from deepscaler.settings.site import Site

# schema → (model, the one key of which the file is the value, or None where the file is the whole model)
SCHEMAS: dict[str, tuple[type[BaseModel], str | None]] = {
    "scale": (Scale, None),
    "recipe": (Recipe, None),
    "models": (SystemFile, "systems"),
    "benchmarks": (BenchmarkFile, "benchmarks"),
    "corrections": (CorrectionFile, "corrections"),
    "sources": (SourceFile, "sources"),
    "site": (Site, None),
}


def folder() -> Path:
    return project_root() / "workflow" / "schemas"


def schema_of(name: str) -> str:
    """One settings file's JSON Schema, as text."""
    model, key = SCHEMAS[name]
    schema = model.model_json_schema()
    describe(schema)
    if key:
        schema = {**schema["properties"][key], "$defs": schema["$defs"]}
    elif name in ("scale", "recipe"):  # the name is the file's; what `extends` brings need not be repeated
        del schema["properties"]["name"]
        schema["properties"]["extends"] = {"type": "string", "description": "Settings to start from: a file beside."}
        drop_required(schema)
        allow_null_entries(schema)
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "title": f"DeepScaleR {name}"}
    return json.dumps(schema, indent=2, ensure_ascii=False, sort_keys=True) + "\n"


def describe(schema: dict[str, Any]) -> None:
    """Give each key its attribute's docstring; pydantic would read them anew at every start of every job."""
    parts = {schema["title"]: schema, **schema.get("$defs", {})}
    for name, meanings in docstrings(Strict).items():
        for key, value in parts.get(name, {}).get("properties", {}).items():
            if key in meanings:
                value.setdefault("description", meanings[key])


def docstrings(model: type[BaseModel]) -> dict[str, dict[str, str]]:
    """Model → attribute → docstring, of everything that is derived from a model."""
    found: dict[str, dict[str, str]] = {}
    for derived in model.__subclasses__():
        [body] = ast.parse(textwrap.dedent(inspect.getsource(derived))).body
        assert isinstance(body, ast.ClassDef)
        found[derived.__name__] = {
            attribute.target.id: inspect.cleandoc(text.value.value)
            for attribute, text in pairwise(body.body)
            if isinstance(attribute, ast.AnnAssign)
            and isinstance(attribute.target, ast.Name)
            and isinstance(text, ast.Expr)
            and isinstance(text.value, ast.Constant)
            and isinstance(text.value.value, str)
        }
        found |= docstrings(derived)
    return found


def drop_required(schema: Any) -> None:
    if isinstance(schema, dict):
        if isinstance(schema.get("required"), list):
            del schema["required"]
        for value in schema.values():
            drop_required(value)
    elif isinstance(schema, list):
        for value in schema:
            drop_required(value)


def allow_null_entries(schema: Any) -> None:
    """Let every entry of a mapping, e.g. of `suites`, be null: so a file takes away what it got from another."""
    if isinstance(schema, dict):
        for value in schema.values():
            allow_null_entries(value)
        if isinstance(entry := schema.get("additionalProperties"), dict):
            schema["additionalProperties"] = {"anyOf": [entry, {"type": "null"}]}
        if isinstance(entries := schema.get("patternProperties"), dict):
            schema["patternProperties"] = {key: {"anyOf": [entry, {"type": "null"}]} for key, entry in entries.items()}
    elif isinstance(schema, list):
        for value in schema:
            allow_null_entries(value)


def schemas(*, check: bool = False) -> list[Path]:
    """Write every schema; with `check`, write nothing and refuse where one is not what the models say."""
    paths = [folder() / f"{name}.schema.json" for name in SCHEMAS]
    for path, name in zip(paths, SCHEMAS, strict=True):
        if not check:
            write_text(path, schema_of(name))
        elif not path.exists() or path.read_text(encoding="utf-8") != schema_of(name):
            raise UserError("this schema is not what the settings' models say", path, "run `make schemas`")
    return paths
