"""Stands between the service and the stand-in for AWS, and fails calls as AWS would."""

import http.client
import http.server
import json
import threading
import urllib.parse
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

HOP_BY_HOP = {"connection", "content-length", "transfer-encoding", "date", "server"}


@dataclass(frozen=True)
class Answer:
    """What the proxy answers in AWS's place."""

    status: int
    body: str
    error: str = ""

    def headers(self) -> dict[str, str]:
        named = {"x-amzn-errortype": self.error} if self.error else {}
        kind = "text/xml" if self.body.startswith("<") else "application/json"
        return {"Content-Type": kind, **named}


Rule = Callable[[str, str], Answer | None]
"""Of a request's path and `X-Amz-Target`: what is answered to it, or nothing where AWS answers."""


def nothing(_path: str, _target: str) -> Answer | None:
    return None


def throttled(path: str, _target: str) -> Answer | None:
    """As AWS Batch has no room for submissions:
    https://docs.aws.amazon.com/batch/latest/APIReference/CommonErrors.html"""
    if path in ("/v1/submitjob", "/v1/registerjobdefinition"):
        words = json.dumps({"message": "Too Many Requests"})
        return Answer(429, words, "TooManyRequestsException")
    return None


def expired(path: str, target: str) -> Answer | None:
    """As AWS refuses credentials whose session is over: in the words of each protocol."""
    words = "The security token included in the request is expired"
    if target:
        error = {"__type": "ExpiredTokenException", "message": words}
        return Answer(403, json.dumps(error))
    if path == "/":
        told = f"<Error><Code>ExpiredToken</Code><Message>{words}</Message></Error>"
        return Answer(403, f"<ErrorResponse>{told}</ErrorResponse>")
    return Answer(403, json.dumps({"message": words}), "ExpiredTokenException")


def forgetful(path: str, _target: str) -> Answer | None:
    """As AWS Batch answers of jobs that it no longer knows."""
    return Answer(200, '{"jobs": []}') if path == "/v1/describejobs" else None


class Proxy(http.server.ThreadingHTTPServer):
    """In front of `upstream`; `rule` says what fails at present."""

    daemon_threads = True

    def __init__(self, upstream: str):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.upstream = urllib.parse.urlsplit(upstream).netloc
        self.rule: Rule = nothing
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Proxy

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        target = self.headers.get("X-Amz-Target") or ""
        if made_up := self.server.rule(self.path.split("?")[0], target):
            self._send(made_up.status, made_up.headers(), made_up.body.encode())
            return
        connection = http.client.HTTPConnection(self.server.upstream, timeout=60)
        try:
            connection.request(self.command, self.path, body, dict(self.headers.items()))
            answer = connection.getresponse()
            content = answer.read()
        except OSError:
            # A poll for events that was under way when all ended.
            self.close_connection = True
            return
        finally:
            connection.close()
        headers = {k: v for k, v in answer.getheaders() if k.lower() not in HOP_BY_HOP}
        try:
            self._send(answer.status, headers, content)
        except OSError:
            self.close_connection = True

    def _send(self, status: int, headers: dict[str, str], content: bytes) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = _answer

    def log_message(self, *_: Any) -> None:
        pass
