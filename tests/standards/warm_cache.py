"""usage: warm_cache.py CACHE CONTEXT.jsonld URL...    fills roc-validator's cache with rocrate's context

With the cache warmed, `rocrate-validator validate --offline --cache-path CACHE` asks no network. Run by the
environment `standards`.
"""

import io
import sys
from pathlib import Path

import requests
from requests.adapters import BaseAdapter
from requests_cache import CachedSession
from urllib3 import HTTPResponse


class OneFile(BaseAdapter):
    """Answers every request with the same file."""

    def __init__(self, content: bytes) -> None:
        super().__init__()
        self.content = content

    def send(self, request, **_ignored):
        raw = HTTPResponse(
            io.BytesIO(self.content), {"content-type": "application/ld+json"}, 200, preload_content=False
        )
        response = requests.adapters.HTTPAdapter().build_response(request, raw)
        assert response.content == self.content
        return response

    def close(self) -> None:
        pass


if __name__ == "__main__":
    cache, context, *urls = sys.argv[1:]
    # the shipped context is 1.3's; of what crates of 1.1 use, Bioschemas' terms alone had other addresses
    text = Path(context).read_text(encoding="utf-8")
    for term in ("input", "output"):
        text = text.replace(f"https://bioschemas.org/terms/{term}", f"https://bioschemas.org/properties/{term}")
    text = text.replace("https://bioschemas.org/terms/", "https://bioschemas.org/")
    session = CachedSession(cache, backend="sqlite", expire_after=-1)
    session.mount("https://", OneFile(text.encode()))
    for url in urls:
        session.get(url).raise_for_status()
