"""config/README.md explains every key that a settings file can have: what it does not know the loader refuses."""

import json
import re

import pytest
from deepscaler.maintenance.key_blocks import KEY_BLOCKS, keys
from deepscaler.maintenance.schemas import SCHEMAS, schema_of

ROW = re.compile(r"^\| `([^`]+)` \| (.*?) \| (.*) \|$", re.MULTILINE)


@pytest.mark.parametrize("name", SCHEMAS)
def test_every_key_is_explained(name: str) -> None:
    rows = ROW.findall(KEY_BLOCKS[f"keys-of-{name}"]())
    assert [key for key, _, meaning in rows if not meaning] == []
    schema = json.loads(schema_of(name))
    parts = [schema, *schema["$defs"].values()]
    with_keys_only = {
        key.rpartition(".")[2] for key, kind, _ in keys(schema, schema["$defs"]) if kind.startswith("keys")
    }
    known = {key for part in parts for key in part.get("properties", {})} - with_keys_only
    assert known <= {key.rpartition(".")[2] for key, _, _ in rows}


def test_what_a_key_is() -> None:
    defs = {"Part": {"type": "object", "properties": {"inner": {"type": "integer", "description": "within"}}}}
    schema = {
        "properties": {
            "told": {"enum": ["a", "b"], "description": "x"},
            "untold": {"anyOf": [{"type": "string"}, {"type": "null"}]},
            "part": {"anyOf": [{"$ref": "#/$defs/Part"}, {"type": "null"}]},
            "parts": {"type": "array", "items": {"$ref": "#/$defs/Part"}},
            "named": {"type": "object", "additionalProperties": {"$ref": "#/$defs/Part"}},
        }
    }
    assert list(keys(schema, defs)) == [
        ("told", "`a` or `b`", "x"),
        ("untold", "string or null", ""),
        ("part", "keys or null", ""),
        ("part.inner", "integer", "within"),
        ("parts", "list of keys", ""),
        ("parts[].inner", "integer", "within"),
        ("named", "keys", ""),
        ("named.NAME.inner", "integer", "within"),
    ]
