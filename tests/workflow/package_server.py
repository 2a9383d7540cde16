"""A package index on loopback, over small wheels made on the spot, that can cut connections."""

import base64
import hashlib
import threading
import zipfile
from collections import Counter
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit


def make_wheel(folder: Path, name: str, version: str, files: Mapping[str, bytes] | None = None) -> Path:
    """A wheel with one module, or with these files; those below NAME-VERSION.data/scripts/ become commands."""
    stem = f"{name}-{version}"
    content = {
        **(files or {f"{name}.py": f"version = {version!r}\n".encode()}),
        f"{stem}.dist-info/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n".encode(),
        f"{stem}.dist-info/WHEEL": b"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    digests = {
        path: base64.urlsafe_b64encode(hashlib.sha256(body).digest()).rstrip(b"=").decode()
        for path, body in content.items()
    }
    record = f"{stem}.dist-info/RECORD"
    lines = [f"{path},sha256={digests[path]},{len(body)}" for path, body in content.items()]
    wheel = folder / f"{stem}-py3-none-any.whl"
    folder.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(wheel, "w") as archive:
        for path, body in {**content, record: ("\n".join([*lines, f"{record},,"]) + "\n").encode()}.items():
            info = zipfile.ZipInfo(path)
            info.external_attr = 0o100755 << 16
            archive.writestr(info, body)
    return wheel


def pin(*wheels: Path) -> str:
    """Lines of a lock."""
    lines = []
    for wheel in wheels:
        name, version = wheel.name.split("-")[:2]
        lines.append(f"{name}=={version} --hash=sha256:{hashlib.sha256(wheel.read_bytes()).hexdigest()}\n")
    return "".join(lines)


class Index:
    """Serves a folder of wheels; also when asked as a proxy, for whatever host."""

    def __init__(self, folder: Path, credentials: str = "") -> None:
        self.folder, self.credentials = folder, credentials
        self.cut: set[str] = set()
        """Wheels of these names break off in the middle."""
        self.served: Counter[str] = Counter()
        self.hosts: set[str] = set()
        index = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                index.answer(self)

            def do_HEAD(self) -> None:
                self.send_error(405)

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def port(self) -> int:
        return self.server.server_address[1]

    @property
    def url(self) -> str:
        at = f"{self.credentials}@" if self.credentials else ""
        return f"http://{at}127.0.0.1:{self.port}/simple"

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        url = urlsplit(request.path)
        self.hosts.add(url.hostname or "")
        expected = "Basic " + base64.b64encode(self.credentials.encode()).decode()
        if self.credentials and request.headers.get("Authorization") != expected:
            request.send_response(401)
            request.send_header("WWW-Authenticate", 'Basic realm="packages"')
            request.end_headers()
            return
        name = unquote(url.path).strip("/").split("/")[-1]
        if "/simple/" in url.path:
            wheels = [
                wheel.name for wheel in self.folder.iterdir() if wheel.name.split("-")[0].replace("_", "-") == name
            ]
            links = "".join(f'<a href="/files/{wheel}">{wheel}</a>\n' for wheel in wheels)
            self.send(request, links.encode(), "text/html", 200 if wheels else 404)
        elif (self.folder / name).is_file():
            self.served[name] += 1
            body = (self.folder / name).read_bytes()
            self.send(request, body, "application/octet-stream", 200, half=name.split("-")[0] in self.cut)
        else:
            request.send_error(404)

    def send(self, request: BaseHTTPRequestHandler, body: bytes, kind: str, status: int, half: bool = False) -> None:
        request.send_response(status)
        request.send_header("Content-Type", kind)
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        request.wfile.write(body[: len(body) // 2] if half else body)

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
