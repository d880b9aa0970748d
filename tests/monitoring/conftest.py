"""A Prometheus server that watches two services: one on this machine, one on a stand-in for AWS."""

import contextlib
import http.server
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

import pytest
import requests
import yaml

ROOT = pathlib.Path(__file__).parents[2]
MONITORING = ROOT / "deploy" / "monitoring"
T = TypeVar("T")
PATIENCE = 60
"""Seconds; far beyond what anything here takes."""


def until(look: Callable[[], T | None], what: str) -> T:
    """Looks until there is something."""
    deadline = time.monotonic() + PATIENCE
    while (found := look()) is None:
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        time.sleep(0.05)
    return found


@contextlib.contextmanager
def started(command: list[str], says: str, **other: Any) -> Iterator[str]:
    """Runs a program, and tells what the group of `says` matches in its output."""
    with tempfile.TemporaryFile("w+") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, text=True, **other)

        def said() -> str | None:
            log.seek(0)
            text = log.read()
            assert process.poll() is None, text
            match = re.search(says, text)
            return match and match[1]

        try:
            yield until(said, f"{command[0]} to say {says}")
        finally:
            process.terminate()
            process.wait(PATIENCE)


@dataclass
class Service:
    """A service that asks its callers for tokens."""

    url: str
    queue: str
    bucket: str
    token: str
    """Of a user who submits demands."""

    @property
    def address(self) -> str:
        return self.url.removeprefix("http://")

    def metrics(self) -> str:
        answer = requests.get(f"{self.url}/metrics", headers=self._caller(), timeout=PATIENCE)
        assert answer.status_code == 200, answer.text
        return answer.text

    def run(self, execution_id: str, command: str) -> str:
        """Submits a demand, waits for its end, and tells its status."""
        self.submit(execution_id, command)

        def ended() -> str | None:
            document = self.look(f"{execution_id}?wait=20")
            return document["status"] if document["phase"] == "DONE" else None

        return until(ended, f"the end of {execution_id}")

    def submit(self, execution_id: str, command: str) -> None:
        demand = {
            "execution_id": execution_id,
            "execution_type": "shout",
            "execution_image": "public.ecr.aws/docker/library/bash:5",
            "execution_parameters": {
                "command": [f"echo {execution_id} > ${{OUT}}; {command}"],
                "params": {"out": f"out.txt @ s3://{self.bucket}/{execution_id}.txt"},
                "outputs": ["out"],
            },
            "execution_platform": {"aws_batch": {"job_queue_name": self.queue}},
        }
        answer = requests.post(
            f"{self.url}/demands", json=demand, headers=self._caller(), timeout=PATIENCE
        )
        assert answer.status_code == 201, answer.text

    def look(self, execution_id: str) -> dict[str, Any]:
        answer = requests.get(
            f"{self.url}/demands/{execution_id}", headers=self._caller(), timeout=PATIENCE
        )
        assert answer.status_code == 200, answer.text
        return answer.json()

    def _caller(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"}


@dataclass
class Prometheus:
    url: str
    config: pathlib.Path
    """What it was started with: the example of deploy/, with other targets."""

    def is_ready(self) -> bool | None:
        return requests.get(f"{self.url}/-/ready", timeout=PATIENCE).ok or None

    def get(self, path: str, **parameters: str) -> Any:
        answer = requests.get(f"{self.url}/api/v1/{path}", params=parameters, timeout=PATIENCE)
        told = answer.json()
        assert told["status"] == "success", f"{parameters}: {told['error']}"
        assert not told.get("warnings"), f"{parameters}: {told['warnings']}"
        return told["data"]

    def query(self, expression: str) -> list[dict[str, Any]]:
        """The series that an expression gives now."""
        return self.get("query", query=expression)["result"]


def binary() -> str:
    """The service as `cargo` built it."""
    path = os.environ.get("DEMAND")
    assert path, "DEMAND names the binary; tests/run monitoring sets it"
    return str(pathlib.Path(path).resolve())


def token(tokens: pathlib.Path, name: str, *scopes: str) -> str:
    options = [word for scope in scopes for word in ("--scope", scope)]
    made = subprocess.run(
        [binary(), "token", "new", name, *options, "--tokens-file", str(tokens)],
        text=True,
        capture_output=True,
        timeout=PATIENCE,
        check=True,
    )
    return made.stdout.strip()


@dataclass
class Tokens:
    file: pathlib.Path
    user: str
    prometheus: pathlib.Path
    """The file with the token of Prometheus, which may only look."""


@pytest.fixture(scope="session")
def tokens(tmp_path_factory: pytest.TempPathFactory) -> Tokens:
    directory = tmp_path_factory.mktemp("tokens")
    file, of_prometheus = directory / "tokens.json", directory / "demand-token"
    user = token(file, "ana", "demands:read", "demands:write")
    of_prometheus.write_text(token(file, "prometheus", "demands:read"))
    return Tokens(file, user, of_prometheus)


@pytest.fixture(scope="session")
def local(tmp_path_factory: pytest.TempPathFactory, tokens: Tokens) -> Iterator[Service]:
    """The service of `demand serve --local`."""
    directory = tmp_path_factory.mktemp("local")
    command = [binary(), "serve", "--local", "--listen", "127.0.0.1:0"]
    command += ["--data-dir", str(directory / "data"), "--tokens-file", str(tokens.file)]
    with started(command, r"listening on (\S+)", cwd=directory) as url:
        yield Service(url, "local", "lab", tokens.user)


class Moto:
    """The stand-in for AWS, whose jobs are processes."""

    def __init__(self, root: pathlib.Path):
        command = [sys.executable, str(ROOT / "tests" / "moto" / "server.py")]
        command += ["--root", str(root), "--demand", binary()]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self.process.stdout is not None
        self.endpoint = self.process.stdout.readline().removeprefix("listening on ").strip()
        self.seeded = json.loads(self.process.stdout.readline())

    def end(self) -> None:
        # The end of its input is its sign to end, and to end its jobs.
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait(PATIENCE)


@contextlib.contextmanager
def service_on_batch(root: pathlib.Path, tokens: Tokens) -> Iterator[tuple[Service, Moto]]:
    moto = Moto(root)
    try:
        config = root / "demand.toml"
        config.write_text(settings(root, moto.seeded, tokens))
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(root),
            "AWS_ENDPOINT_URL": moto.endpoint,
            "AWS_REGION": moto.seeded["region"],
            "AWS_ACCESS_KEY_ID": "testing",
            "AWS_SECRET_ACCESS_KEY": "testing",
            "AWS_EC2_METADATA_DISABLED": "true",
        }
        command = [binary(), "serve", "--listen", "127.0.0.1:0", "--config", str(config)]
        with started(command, r"listening on (\S+)", env=environment) as url:
            yield Service(url, "queue", moto.seeded["buckets"][0], tokens.user), moto
    finally:
        moto.end()


def settings(root: pathlib.Path, seeded: dict[str, Any], tokens: Tokens) -> str:
    volumes = "\n".join(
        f"{role} = [{{ file_system = '{seeded['file_system']['name']}', access_point = '{role}', "
        f"container_path = '{root / 'efs' / role}' }}]"
        for role in ("scratch", "shared")
    )
    return (
        f"env_base = '{seeded['env_base']}'\n"
        f"[store]\npath = '{root / 'demand.sqlite3'}'\n"
        f"[auth]\ntokens_file = '{tokens.file}'\n"
        "[lifecycle]\nobserve_min = '100ms'\nobserve_max = '1s'\n"
        "[data_sync]\nimage = 'demand'\n"
        f"[file_system_configurations]\n{volumes}\ntmp = []\n"
    )


@pytest.fixture(scope="session")
def on_batch(tmp_path_factory: pytest.TempPathFactory, tokens: Tokens) -> Iterator[Service]:
    """The service as on AWS Batch."""
    with service_on_batch(tmp_path_factory.mktemp("batch"), tokens) as (service, _):
        yield service


class Expired(http.server.BaseHTTPRequestHandler):
    """AWS, as it answers whoever comes with expired credentials."""

    def do_POST(self) -> None:
        body = b'{"message": "The security token included in the request is expired"}'
        self.send_response(403)
        self.send_header("x-amzn-errortype", "ExpiredTokenException")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture(scope="session")
def refused(tmp_path_factory: pytest.TempPathFactory, tokens: Tokens) -> str:
    """What a service tells whose credentials have expired while a job ran."""
    with service_on_batch(tmp_path_factory.mktemp("refused"), tokens) as (service, moto):
        service.submit("long", "sleep 1000")
        until(lambda: service.look("long")["phase"] == "EXECUTING" or None, "the job to run")
        moto.end()
        at = ("127.0.0.1", int(moto.endpoint.rsplit(":", 1)[1]))
        with http.server.ThreadingHTTPServer(at, Expired) as expired:
            threading.Thread(target=expired.serve_forever).start()
            try:

                def failed() -> str | None:
                    metrics = service.metrics()
                    none_yet = 'demand_reconcile_failures_total{loop="observing"} 0'
                    return None if none_yet in metrics else metrics

                return until(failed, "a failure to be counted")
            finally:
                expired.shutdown()


def example(tokens: Tokens, *services: Service) -> dict[str, Any]:
    """The configuration of deploy/, for these services and in a hurry."""
    config = yaml.safe_load((MONITORING / "prometheus.yml").read_text())
    for time_of in ("scrape_interval", "scrape_timeout", "evaluation_interval"):
        config["global"][time_of] = "1s"
    config["rule_files"] = [str(MONITORING / file) for file in config["rule_files"]]
    (scrape,) = config["scrape_configs"]
    scrape["scheme"] = "http"
    scrape["authorization"]["credentials_file"] = str(tokens.prometheus)
    scrape["static_configs"] = [{"targets": [service.address for service in services]}]
    return config


@pytest.fixture(scope="session")
def prometheus(
    tmp_path_factory: pytest.TempPathFactory, tokens: Tokens, local: Service, on_batch: Service
) -> Iterator[Prometheus]:
    """Prometheus, which has seen demands complete and fail on both services."""
    directory = tmp_path_factory.mktemp("prometheus")
    config = directory / "prometheus.yml"
    config.write_text(yaml.safe_dump(example(tokens, local, on_batch)))
    command = ["prometheus", f"--config.file={config}", f"--storage.tsdb.path={directory / 'data'}"]
    command += ["--web.listen-address=127.0.0.1:0"]
    says = r'msg="Listening on".*? address=(\S+)'
    with started(command, says, cwd=directory) as address:
        watching = Prometheus(f"http://{address}", config)
        until(watching.is_ready, "Prometheus to be ready")

        def everywhere(expression: str) -> None:
            until(
                lambda: len(watching.query(f"count by (instance) ({expression})")) == 2 or None,
                expression,
            )

        everywhere("up == 1")
        # rate() compares: what it shall show happens once more after it was first seen.
        for nth in ("first", "second"):
            for service in (local, on_batch):
                assert service.run(f"good-{nth}", "true") == "COMPLETED"
                assert service.run(f"bad-{nth}", "exit 3") == "FAILED"
            ended = 1 if nth == "first" else 2
            everywhere(f'demand_executions_ended_total{{status="FAILED"}} == {ended}')
        yield watching
