"""Where alerts are sent: addresses of the site, some of which stand in a file or in an environment variable."""

import os
from pathlib import Path

from deepscaler.errors import UserError
from deepscaler.files import read_text
from deepscaler.settings.load import site

WHERE = "config/site.local.yaml"


def addresses() -> list[str]:
    """Every address as apprise understands it. Errors name its place in `alerts`, never the address.

    Raises:
        UserError: a variable is not set, a file can't be read, or one of them is empty.
    """
    return [resolved(entry.get_secret_value(), number) for number, entry in enumerate(site().alerts, 1)]


def resolved(entry: str, number: int) -> str:
    kind, _, name = entry.partition(":")
    if kind == "env":
        address = os.environ.get(name, "")
    elif kind == "file":
        try:
            address = read_text(Path(name))
        except (OSError, UserError):
            raise UserError(f"the file of address {number} of `alerts` can't be read", WHERE) from None
    else:
        address = entry
    if not address.strip():
        raise UserError(f"address {number} of `alerts` is empty", WHERE, "set the variable or the file that it names")
    return address.strip()
