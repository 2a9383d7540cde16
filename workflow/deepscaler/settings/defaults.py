"""Default values: config/defaults/{scale,recipe}.yaml, laid beneath every scale and recipe. The models have none."""

from pathlib import Path
from typing import Any, get_origin

from pydantic import BaseModel

from deepscaler.errors import UserError, nearest
from deepscaler.settings.base import inner_model

EACH = "each"
"""Stands for every entry of a mapping, e.g. `training.layout`."""


def beneath(values: dict[str, Any], defaults: dict[str, Any], model: type[BaseModel], where: Path) -> dict[str, Any]:
    """`values`, and the defaults of what they lack; an optional part that they lack stays away.

    `where` is the file of the defaults: a key there that the model does not know is a UserError.
    """
    merged = dict(values)
    for key, default in defaults.items():
        field = model.model_fields.get(key)
        if field is None:
            guess = nearest(key, list(model.model_fields))
            raise UserError(f"unknown setting {key!r}", where, f"did you mean {guess!r}?" if guess else None)
        if not isinstance(default, dict):
            merged.setdefault(key, default)
            continue
        part, given = inner_model(field.annotation), values.get(key)
        if get_origin(field.annotation) is dict:
            if isinstance(given, dict):
                merged[key] = {name: over(entry, default[EACH], part, where) for name, entry in given.items()}
        elif key in values or field.is_required():
            merged[key] = over(values.get(key, {}), default, part, where)
    return merged


def over(value: Any, defaults: dict[str, Any], model: type[BaseModel], where: Path) -> Any:
    """A section over its defaults; what is no section is left for the model to refuse."""
    return beneath(value, defaults, model, where) if isinstance(value, dict) else value
