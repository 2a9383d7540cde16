"""Secrets taken out of text that others wrote, before it is kept or shown: a server may send a key back.

What counts as a secret is the value of an environment variable with a name like `HF_TOKEN`, `OPENAI_API_KEY` or
`WANDB_API_KEY`, and whatever the caller names.
"""

import os
import re
from collections.abc import Mapping

NAMES = re.compile(
    r"(?:TOKEN|SECRET|PASSWORD|PASSWD|PASSPHRASE|CREDENTIAL|APIKEY|(?:^|_)KEY|_(?:PASS|PWD|PAT))S?(?:_|$)",
    re.IGNORECASE,
)
SHORTEST = 8
"""Characters of a value that is taken for a secret by its variable's name: `1` or `true` would blank whole texts."""
REDACTED = "[a secret]"


def redacted(text: str, *secrets: str | None, environment: Mapping[str, str] = os.environ) -> str:
    """The text without any secret of this process's environment, and without those given."""
    found = {value for name, value in environment.items() if len(value) >= SHORTEST and NAMES.search(name)}
    for secret in sorted(found | {secret for secret in secrets if secret}, key=len, reverse=True):
        if secret in text:
            text = text.replace(secret, REDACTED)
    return text
