"""Where packages come from, by pip's settings (pip.conf, PIP_*), for pip and for uv, which does not read them.

pip itself says what it is set to, whichever of its files says so. What counts is where packages come from and how to
get there. All else is left out: where to install (`user`, `target`, `prefix`), what to build and what not.
"""

import contextlib
import io
import os
import socket
import urllib.parse
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pip._internal.models.index import PyPI  # the index that pip takes where nothing is set

CONNECT_SECONDS = 5.0
PATIENT_SECONDS = 120.0
"""How long a connection that has been made may be silent."""


class Stop(Exception):
    """Set-up cannot go on: the reason, and what to do."""

    def __init__(self, reason: str, advice: str) -> None:
        super().__init__(reason)
        self.advice = advice


@dataclass(frozen=True)
class Source:
    """Where to look for packages. `pip_only` says why uv cannot look there, if so."""

    indexes: tuple[str, ...] = (PyPI.simple_url,)
    find_links: tuple[str, ...] = ()
    constraints: tuple[str, ...] = ()
    trusted_hosts: tuple[str, ...] = ()
    proxy: str = ""
    certificate: str = ""
    client_certificate: str = ""
    keyring: str = "auto"
    features: tuple[str, ...] = ()
    system_store: bool = False
    """Certificates are the operating system's."""
    first_seconds: float = 15.0
    """How long a server may be silent at first; as pip is set. `seconds`: later, when others have answered."""
    seconds: float = PATIENT_SECONDS
    keep_downloads: bool = True
    pip_cache: str = ""
    pip_only: str = ""
    readable: bool = True
    """Otherwise pip is left to read its settings itself."""

    def arguments(self) -> list[str]:
        """On the command line of pip or uv: what may hold blanks or commas."""
        return [part for link in self.find_links for part in ("--find-links", link)]

    def connection(self) -> dict[str, str]:
        given = {
            "HTTP_PROXY": self.proxy,
            "HTTPS_PROXY": self.proxy,
            "http_proxy": self.proxy,
            "https_proxy": self.proxy,
        }
        return {name: value for name, value in given.items() if value}

    def for_pip(self, seconds: float) -> dict[str, str]:
        if not self.readable:
            return {}
        given = {
            "PIP_CONFIG_FILE": os.devnull,
            "PIP_NO_INDEX": "" if self.indexes else "1",
            "PIP_INDEX_URL": self.indexes[0] if self.indexes else "",
            "PIP_EXTRA_INDEX_URL": " ".join(self.indexes[1:]),
            "PIP_TRUSTED_HOST": " ".join(self.trusted_hosts),
            "PIP_PROXY": self.proxy,
            "PIP_CERT": self.certificate,
            "PIP_CLIENT_CERT": self.client_certificate,
            "PIP_KEYRING_PROVIDER": "" if self.keyring == "auto" else self.keyring,
            "PIP_USE_FEATURE": " ".join(self.features),
            "PIP_TIMEOUT": f"{seconds:.0f}",
            "PIP_CACHE_DIR": self.pip_cache,
            "PIP_NO_CACHE_DIR": "" if self.keep_downloads else "1",
            "PIP_DISABLE_PIP_VERSION_CHECK": "1",
            "PIP_ROOT_USER_ACTION": "ignore",
        }
        return {name: value for name, value in given.items() if value} | self.connection()

    def for_uv(self, seconds: float) -> dict[str, str]:
        place = "SSL_CERT_DIR" if Path(self.certificate).is_dir() else "SSL_CERT_FILE"
        given = {
            "UV_NO_INDEX": "" if self.indexes else "1",
            "UV_DEFAULT_INDEX": self.indexes[0] if self.indexes else "",
            "UV_INDEX": " ".join(self.indexes[1:]),
            "UV_INSECURE_HOST": " ".join(self.trusted_hosts),
            "UV_KEYRING_PROVIDER": "subprocess" if self.keyring == "subprocess" else "",
            "UV_SYSTEM_CERTS": "1" if self.system_store else "",
            "UV_HTTP_TIMEOUT": f"{seconds:.0f}",
            "UV_HTTP_CONNECT_TIMEOUT": f"{2 * CONNECT_SECONDS:.0f}",
            "UV_HTTP_RETRIES": "3",
            "UV_PYTHON_DOWNLOADS": "never",
            "SSL_CLIENT_CERT": self.client_certificate,
            place: self.certificate,
        }
        return {name: value for name, value in given.items() if value} | self.connection()


def from_pip() -> Source:
    """As `pip install` of this interpreter would look for packages; WHEELHOUSE in place of all."""
    words = io.StringIO()
    try:
        import pip
        from pip._internal.commands import create_command

        with contextlib.redirect_stderr(words):
            options: Any = create_command("install").parse_args(["none"])[0]
    except (ImportError, AttributeError) as error:  # a pip that is built in another way: it reads its settings itself
        return Source(pip_only=f"this pip's settings cannot be read ({error})", readable=False)
    except SystemExit:
        reason = f"pip refuses its settings (pip.conf, PIP_*): {' '.join(words.getvalue().split())}"
        raise Stop(reason, "mend them: `pip config debug` lists the files") from None
    features = tuple(options.features_enabled or ())
    by_default = tuple(map(int, pip.__version__.split(".")[:2])) >= (24, 2)
    system_store = by_default and "legacy-certs" not in (options.deprecated_features_enabled or ())
    source = Source(
        indexes=() if options.no_index else (options.index_url, *options.extra_index_urls),
        find_links=tuple(options.find_links),
        constraints=tuple(options.constraints),
        trusted_hosts=tuple(options.trusted_hosts),
        proxy=options.proxy or "",
        certificate=options.cert or os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE") or "",
        client_certificate=options.client_cert or "",
        keyring=getattr(options, "keyring_provider", "auto"),
        features=features,
        system_store=system_store or "truststore" in features,
        first_seconds=options.timeout,
        seconds=max(PATIENT_SECONDS, options.timeout),
        keep_downloads=bool(options.cache_dir),
        pip_cache=options.cache_dir or "",
    )
    if wheelhouse := os.environ.get("WHEELHOUSE"):
        folder = Path(wheelhouse)
        if not any(folder.glob("*.whl")) and not any(folder.glob("*.tar.gz")):
            what = "holds no packages" if folder.is_dir() else "is not a folder"
            raise Stop(
                f"WHEELHOUSE={wheelhouse} {what}",
                "fill it where there is a network (docs/environments.md), or unset WHEELHOUSE",
            )
        source = replace(source, indexes=(), find_links=(str(folder.resolve()),))
    if source.keyring == "import":
        return replace(source, pip_only="pip's keyring-provider is `import`")
    return source


def reachable(source: Source) -> Source:
    """Without the indexes whose computer does not answer within seconds; Stop if none is left."""
    places = [
        place
        for place in (*source.indexes, *source.find_links)
        if urllib.parse.urlsplit(place).scheme in ("http", "https")
    ]
    with ThreadPoolExecutor(max_workers=max(1, len(places))) as pool:
        reasons = dict(zip(places, pool.map(lambda place: why_silent(place, source.proxy), places), strict=True))
    silent = {place: reason for place, reason in reasons.items() if reason}
    if not silent:
        return source
    indexes = tuple(place for place in source.indexes if place not in silent)
    links = tuple(place for place in source.find_links if place not in silent)
    if not indexes and not links:
        raise Stop(
            "; ".join(silent.values()),
            "see to the network, a proxy (HTTPS_PROXY) or a mirror (pip config set global.index-url URL);"
            " without a network: WHEELHOUSE, docs/environments.md",
        )
    for reason in silent.values():
        print(f"setup: {reason}: going on with the other places that pip is set to", flush=True)
    return replace(source, indexes=indexes, find_links=links)


def why_silent(place: str, proxy: str = "") -> str:
    """Why no connection to the place (or to the proxy before it) can be made; empty if one can."""
    url = urllib.parse.urlsplit(place)
    host, port = url.hostname or "", url.port or {"http": 80}.get(url.scheme, 443)
    if not proxy and not urllib.request.proxy_bypass(host):
        proxies = urllib.request.getproxies()
        proxy = proxies.get(url.scheme) or proxies.get("all", "")
    behind = ""
    if proxy:
        behind = f" (the proxy before {host})"
        url = urllib.parse.urlsplit(proxy if "://" in proxy else f"http://{proxy}")
        host, port = url.hostname or "", url.port or {"https": 443, "http": 80}.get(url.scheme, 1080)
    reason: Exception | None = None
    for _ in range(2):
        try:
            socket.create_connection((host, port), timeout=CONNECT_SECONDS).close()
            return ""
        except (OSError, UnicodeError) as error:
            reason = error
    return f"no connection to {host}:{port}{behind}: {reason}"


def refused(constraints: tuple[str, ...], pins: dict[str, str]) -> str:
    """The user's constraint that does not allow a pin, in words; empty if all are allowed. `pins`: name → version."""
    from pip._vendor.packaging.requirements import InvalidRequirement, Requirement
    from pip._vendor.packaging.utils import canonicalize_name

    for path in constraints:
        for line in Path(path).read_text(encoding="utf-8").splitlines():
            line = line.split(" #")[0].strip()
            if not line or line.startswith("#"):
                continue
            try:
                asked = Requirement(line)
            except InvalidRequirement:
                raise ValueError(f"{path}: {line}") from None
            pin = pins.get(canonicalize_name(asked.name))
            if (
                pin
                and (not asked.marker or asked.marker.evaluate())
                and not asked.specifier.contains(pin, prereleases=True)
            ):
                return f"pip's constraint {line} ({path}) does not allow {asked.name} {pin}, which the locks name"
    return ""
