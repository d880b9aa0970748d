"""Stands between the service and moto, and writes down every call with what it is about."""

import http.server
import json
import re
import threading
import urllib.parse
from dataclasses import dataclass
from typing import Any

import requests
from botocore.session import get_session

REGION_ACCOUNT = "us-west-2:123456789012"
HOP_BY_HOP = {"connection", "content-length", "transfer-encoding", "content-encoding", "date", "server"}


@dataclass(frozen=True)
class Asked:
    """A call, with what IAM would look at."""

    service: str
    operation: str
    resources: tuple[str, ...]
    context: tuple[tuple[str, str], ...] = ()


class Proxy(http.server.ThreadingHTTPServer):
    """One moto's proxy; `asked` is what has passed it."""

    daemon_threads = True

    def __init__(self, moto: str):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.moto = moto
        self.asked: set[Asked] = set()
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def endpoint(self) -> str:
        host, port = self.server_address[:2]
        return f"http://{host}:{port}"


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Proxy

    def _pass_on(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        headers = dict(self.headers.items())
        # `…/20260101/us-west-2/batch/aws4_request`: moto tells services apart by the same words.
        signature = self.headers.get("Authorization") or ""
        scope = re.search(r"Credential=[^/]+/\d+/[^/]+/([^/]+)/", signature)
        assert scope, "every call is signed"
        self.server.asked.add(_understood(scope[1], self.command, self.path, headers, body))
        url = self.server.moto + self.path
        try:
            answer = requests.request(self.command, url, headers=headers, data=body, timeout=60)
        except requests.ConnectionError:
            # A poll for events that was under way when all ended.
            self.close_connection = True
            return
        self.send_response(answer.status_code)
        for name, value in answer.headers.items():
            if name.lower() not in HOP_BY_HOP:
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(answer.content)))
        self.end_headers()
        self.wfile.write(answer.content)

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = _pass_on

    def log_message(self, *_: Any) -> None:
        pass


def _understood(
    service: str, method: str, path: str, headers: dict[str, str], body: bytes
) -> Asked:
    lower = {name.lower(): value for name, value in headers.items()}
    service = {"elasticfilesystem": "efs"}.get(service, service)
    if target := lower.get("x-amz-target"):
        operation, told = target.rsplit(".", 1)[1], json.loads(body or b"{}")
    elif service in ("iam", "sts"):
        form = urllib.parse.parse_qs(body.decode())
        told = {name: values[0] for name, values in form.items()}
        operation = told["Action"]
    elif service == "s3":
        bucket, _, key = urllib.parse.unquote(path.split("?")[0]).lstrip("/").partition("/")
        operation, told = f"{method.title()}Object", {"object": f"arn:aws:s3:::{bucket}/{key}"}
    else:
        operation, told = _by_path(service, method, path), json.loads(body or b"{}")
    resources, context = _about(operation, told)
    return Asked(service, operation, tuple(resources), tuple(context.items()))


def _by_path(service: str, method: str, path: str) -> str:
    """The operation of a REST API whose path this is."""
    model = get_session().get_service_model(service)
    for name in model.operation_names:
        pattern = model.operation_model(name).http
        template = re.sub(r"\{[^}]+\}", "[^/]+", pattern["requestUri"].split("?")[0])
        same = re.fullmatch(template.rstrip("/"), path.split("?")[0].rstrip("/"))
        if pattern["method"] == method and same:
            return name
    raise AssertionError(f"{service} has no operation {method} {path}")


def _about(operation: str, told: dict[str, Any]) -> tuple[list[str], dict[str, str]]:
    """The resources of the call, and the keys of conditions that it sets."""

    def batch(kind: str, name: str) -> str:
        return name if name.startswith("arn:") else f"arn:aws:batch:{REGION_ACCOUNT}:{kind}/{name}"

    match operation:
        case "SubmitJob":
            queue = batch("job-queue", told["jobQueue"])
            return [queue, batch("job-definition", told["jobDefinition"])], {}
        case "RegisterJobDefinition":
            container = told["containerProperties"]
            context = {"batch:Privileged": str(container["privileged"]).lower()}
            if role := container.get("jobRoleArn"):
                context["role"] = role
            return [batch("job-definition", told["jobDefinitionName"])], context
        case "TerminateJob":
            return [batch("job", told["jobId"])], {}
        case "GetRole":
            return [f"arn:aws:iam::123456789012:role/{told['RoleName']}"], {}
        case "SimulatePrincipalPolicy":
            return [told["PolicySourceArn"]], {}
        case "GetLogEvents":
            place = f"{told['logGroupName']}:log-stream:{told['logStreamName']}"
            return [f"arn:aws:logs:{REGION_ACCOUNT}:log-group:{place}"], {}
        case "ReceiveMessage" | "DeleteMessageBatch" | "GetQueueAttributes":
            name = told["QueueUrl"].rsplit("/", 1)[1]
            return [f"arn:aws:sqs:{REGION_ACCOUNT}:{name}"], {}
        case "PutObject" | "DeleteObject":
            return [told["object"]], {}
        case _:
            # Describe… and List…, which IAM knows for all resources only.
            return ["*"], {}
