"""Settings as config/ has them, with some values of a test's own. Read once: tests may have a checkout of their own."""

from typing import Any, TypeVar

from deepscaler.settings import load, load_scale, systems
from deepscaler.settings.base import Strict
from deepscaler.settings.curation import Curation, LanguageModel
from deepscaler.settings.models import Prompting
from deepscaler.settings.site import ChatService, Site

Section = TypeVar("Section", bound=Strict)

CURATION: Curation = load_scale("paper").curation
"""Its values are the defaults."""
PROMPTING: Prompting = systems()["mini-base"].prompting
"""The paper's."""
LANGUAGE_MODEL = load.read_yaml(load.file_of("defaults", "scale"))["curation"]["extract_answers"]["language_model"]


def changed(section: Section, **changes: Any) -> Section:
    """The section with other values, checked."""
    return type(section).model_validate({**section.model_dump(), **changes})


def language_model(**values: Any) -> LanguageModel:
    return LanguageModel.model_validate({**LANGUAGE_MODEL, **values})


def prompting(**changes: Any) -> Prompting:
    return changed(PROMPTING, **changes)


def site(**values: Any) -> Site:
    """A site of defaults, whatever this one's settings say."""
    services = load.read_yaml(load.project_root() / "config" / "site.yaml")["language_models"]
    base = {
        "work": "work",
        "gpu_model": "a100",
        "curve_nice": 1000,
        "alerts_from": "node",
        "exclusive": True,
        "memory_per_cpu": False,
        "network": "nodes",
        "language_models": services,
    }
    return Site.model_validate({**base, **values})


def asking(url: str | None, api: str = "openai", key_variable: str = "TEST_KEY") -> Site:
    """A site whose language models of one `api` are asked at `url`."""
    base = site()
    service = ChatService(base_url=url, key_variable=key_variable)
    return base.model_copy(update={"language_models": {**base.language_models, api: service}})
