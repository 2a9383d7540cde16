"""A key that curation will need is asked for before anything is started."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from deepscaler import settings
from deepscaler.controller.language_model_keys import check_keys
from deepscaler.errors import UserError
from deepscaler.settings import load
from synthetic_run import checkout

MODEL = "{ api: openai, model: reader }"
SITE = "language_models: { openai: { base_url: null, key_variable: READER_KEY } }\n"
JOBS = [("sample", "asking"), ("extract_answers", "asking"), ("deduplicate", "asking")]


@pytest.fixture
def asking(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A checkout with a scale whose curation asks a model."""
    folder = checkout(root, tmp_path)
    text = f"extends: mini\ncuration: {{ extract_answers: {{ language_model: {MODEL} }} }}\n"
    (folder / "config/scales/asking.yaml").write_text(text, encoding="utf-8")
    (folder / "config/site.local.yaml").write_text(SITE, encoding="utf-8")
    monkeypatch.setenv("DEEPSCALER_ROOT", str(folder))
    monkeypatch.chdir(folder)
    for cached in (load.load_scale, load.site):
        cached.cache_clear()
    yield folder
    for cached in (load.load_scale, load.site):
        cached.cache_clear()


def test_a_missing_key_is_named_with_the_rule_and_the_scale(asking: Path) -> None:
    with pytest.raises(UserError, match=r"extract_answers asks reader, and \$READER_KEY is not set.*asking\.yaml"):
        check_keys(JOBS, {})
    check_keys(JOBS, {"READER_KEY": "x"})
    check_keys([("sample", "asking"), ("extract_answers", "mini")], {})


def test_kept_replies_may_be_enough(asking: Path) -> None:
    replies = Path(settings.site().work) / "asking/data/replies"
    replies.mkdir(parents=True)
    (replies / "deduplicate.jsonl").write_text("", encoding="utf-8")
    with pytest.raises(UserError, match="no job was started"):
        check_keys(JOBS, {})
    (replies / "extract_answers-mini-amc.jsonl").write_text("", encoding="utf-8")
    check_keys(JOBS, {})
