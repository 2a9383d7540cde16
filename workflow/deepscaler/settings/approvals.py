"""What a person has approved to spend: config/approved.local.yaml, which `deepscaler approve` writes.

It is not in git and in no scale's file, so that a scale that someone hands over approves nothing.
"""

from pathlib import Path

import yaml
from pydantic import Field

from deepscaler.errors import refuse_unknown
from deepscaler.files import write_text
from deepscaler.settings.base import Name, Strict, validate
from deepscaler.settings.yaml_files import names_in, project_root, read_yaml

HEAD = "# GPU-hours that someone approved, by scale: written by `deepscaler approve`, this computer's own, not in git\n"


class Approvals(Strict):
    gpu_hours: dict[Name, float]
    """Scale → its GPU-hours, training and sampling."""


class Hours(Strict):
    gpu_hours: float = Field(ge=0, allow_inf_nan=False)


def approvals_path() -> Path:
    return project_root() / "config" / "approved.local.yaml"


def approved_gpu_hours(scale_name: str) -> float:
    """What was approved for a scale; 0 where nobody has."""
    path = approvals_path()
    if not path.exists():
        return 0.0
    hours = validate(Approvals, {"gpu_hours": read_yaml(path)}, path).gpu_hours.get(scale_name, 0.0)
    return validate(Hours, {"gpu_hours": hours}, path).gpu_hours


def approve(scale_name: str, gpu_hours: float) -> Path:
    """Approve GPU-hours for a scale, in all; an earlier number of it is replaced. Returns the file."""
    if scale_name not in names_in("scales"):
        raise refuse_unknown("scale", scale_name, names_in("scales"), "--scale")
    hours = validate(Hours, {"gpu_hours": gpu_hours}, "--gpu-hours").gpu_hours
    path = approvals_path()
    kept = read_yaml(path) if path.exists() else {}
    write_text(path, HEAD + yaml.safe_dump({**kept, scale_name: hours}, sort_keys=True))
    return path
