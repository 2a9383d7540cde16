"""Fixtures for unit tests."""

import os
from collections.abc import Iterator
from typing import Any

import pytest
from deepscaler.curation import embed
from made_run import look_at, made_run, run

__all__ = ["look_at", "made_run", "run"]

# As the command line sets it: tests run beside each other, and threads that spin would slow all of them
os.environ.setdefault("GOMP_SPINCOUNT", "0")


@pytest.fixture(scope="session", autouse=True)
def one_embedding_model() -> Iterator[None]:
    """Load a model once, however many tests embed with it: weights that differ in any setting are loaded anew."""
    plain, loaded = embed.load, {}

    def load(settings: Any, mirror: str | None = None) -> Any:
        key = settings.model_dump_json(), mirror
        if key not in loaded:
            loaded[key] = plain(settings, mirror)
        return loaded[key]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(embed, "load", load)
        yield
