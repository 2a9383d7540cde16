"""Whether the keys of the language models that curation asks are there, before anything is started.

A job that lacks its key stops by itself. But it may be days away in a queue, and what else has been submitted would
run until then.
"""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from deepscaler import settings
from deepscaler.curation.llm.client import service_of
from deepscaler.errors import UserError
from deepscaler.settings.curation import LanguageModel


def check_keys(jobs: Iterable[tuple[str, str]], environment: Mapping[str, str] = os.environ) -> None:
    """Refuse to start where a job would ask a model, its key is not set, and no replies are kept.

    `jobs` are those to be run: (rule, scale). Whether kept replies answer all is only known once the job reads them.
    """
    for rule, scale in sorted(set(jobs)):
        model = model_of(rule, scale)
        if model is None:
            continue
        variable = service_of(model.api).key_variable
        if environment.get(variable) or has_replies(rule, scale):
            continue
        raise UserError(
            f"{rule} asks {model.model}, and ${variable} is not set",
            f"config/scales/{scale}.yaml",
            "set it, or take the model out of the scale; no job was started",
        )


def model_of(rule: str, scale: str) -> LanguageModel | None:
    """The language model that a rule asks at a scale."""
    curation = settings.load_scale(scale).curation
    if curation is None:
        return None
    asked = {"extract_answers": curation.extract_answers.language_model, "deduplicate": curation.deduplicate.judge}
    return asked.get(rule)


def has_replies(rule: str, scale: str) -> bool:
    """Whether an earlier run of the scale keeps replies to a rule's questions."""
    return any((Path(settings.site().work) / scale / "data" / "replies").glob(f"{rule}*.jsonl"))
