"""Settings as config/ has them, with some values of a test's own."""

from typing import Any, TypeVar

from deepscaler.settings import load, load_scale, systems
from deepscaler.settings.base import Strict
from deepscaler.settings.curation import Curation, LanguageModel
from deepscaler.settings.models import Prompting
from deepscaler.settings.site import Site

Section = TypeVar("Section", bound=Strict)


def changed(section: Section, **changes: Any) -> Section:
    """The section with other values, checked."""
    return type(section).model_validate({**section.model_dump(), **changes})


def curation() -> Curation:
    """The paper scale's, whose values are the defaults."""
    found = load_scale("paper").curation
    assert found
    return found


def language_model(**values: Any) -> LanguageModel:
    defaults = load.read_yaml(load.file_of("defaults", "scale"))["curation"]["extract_answers"]["language_model"]
    return LanguageModel.model_validate({**defaults, **values})


def prompting(**changes: Any) -> Prompting:
    """mini-base's: the paper's prompt."""
    return changed(systems()["mini-base"].prompting, **changes)


def site(**values: Any) -> Site:
    """A site of defaults, whatever this one's settings say."""
    return Site.model_validate({"work": "work", "gpu_model": "a100", "network": "nodes", **values})
