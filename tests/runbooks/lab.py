"""A service on the stand-in for AWS, with a proxy between them, and all that can be seen of it."""

import contextlib
import os
import pathlib
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import boto3
import requests

from proxy import Proxy, nothing

ROOT = pathlib.Path(__file__).resolve().parents[2]
PATIENCE = 60
"""Seconds; far beyond what anything here takes."""

SETTINGS = {
    "DEMAND_LISTEN": "127.0.0.1:0",
    "DEMAND_LOG__FORMAT": "json",
    # What takes minutes on AWS takes seconds here; the words are the same.
    "DEMAND_LIFECYCLE__OBSERVE_MIN": "100ms",
    "DEMAND_LIFECYCLE__OBSERVE_MAX": "1s",
    "DEMAND_LIFECYCLE__LOST_GRACE": "1s",
}


def binary() -> str:
    """The service as `cargo` built it."""
    path = os.environ.get("DEMAND")
    assert path, "DEMAND names the binary; tests/run runbooks sets it"
    return str(pathlib.Path(path).resolve())


def until(what: str, condition: Callable[[], Any], patience: float = PATIENCE) -> Any:
    """What the condition gives once it holds."""
    deadline = time.monotonic() + patience
    while not (found := condition()):
        assert time.monotonic() < deadline, f"not in time: {what}"
        time.sleep(0.05)
    return found


def demand(execution_id: str, command: str = "true", **more: Any) -> dict[str, Any]:
    """A demand that brings and takes nothing."""
    return {
        "execution_id": execution_id,
        "execution_type": "practice",
        "execution_image": "public.ecr.aws/docker/library/bash:5",
        "execution_parameters": {"command": [command]},
        "execution_platform": {"aws_batch": {"job_queue_name": "queue"}},
        **more,
    }


@dataclass
class Seen:
    """What an operator sees, by where: the left column of the tables in the runbooks."""

    texts: dict[str, list[str]] = field(default_factory=dict)

    def add(self, where: str, text: str) -> str:
        self.texts.setdefault(where, []).append(text)
        return text


class StandIn:
    """AWS, and the proxy before it."""

    def __init__(self, directory: pathlib.Path, *options: str):
        self.directory = directory
        self._out = (directory / "stand_in.out").open("w")
        program = [sys.executable, ROOT / "deploy" / "stand_in.py", directory]
        self._process = subprocess.Popen(
            [*program, "--demand", binary(), *options], stdout=self._out, stderr=self._out
        )
        self.proxy: Proxy | None = None
        try:
            until("the stand-in", (directory / "demand.toml").exists)
        except BaseException:
            self.close()
            raise
        exports = re.findall(r"(AWS_\w+)=(\S*)", (directory / "aws.env").read_text())
        self.environment = dict(exports)
        self.proxy = Proxy(self.environment["AWS_ENDPOINT_URL"])

    def client(self, service: str) -> Any:
        """AWS as an operator reaches it, past the proxy."""
        return boto3.client(
            service,
            endpoint_url=self.environment["AWS_ENDPOINT_URL"],
            region_name=self.environment["AWS_REGION"],
            aws_access_key_id=self.environment["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=self.environment["AWS_SECRET_ACCESS_KEY"],
        )

    def close(self) -> None:
        self._process.terminate()
        self._process.wait(PATIENCE)
        self._out.close()
        if self.proxy:
            self.proxy.shutdown()
            self.proxy.server_close()


class Lab:
    """The services of one test, on one database, and what was seen of them."""

    def __init__(self, aws: StandIn, directory: pathlib.Path):
        self.aws = aws
        assert aws.proxy
        self.proxy = aws.proxy
        self.directory = directory
        self.database = directory / "demand.sqlite3"
        self.seen = Seen()
        self._log = directory / "service.log"
        self.process: subprocess.Popen[str] | None = None
        self.url = ""
        self.before = ""

    # The service

    def environment(self, **settings: str) -> dict[str, str]:
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(self.directory),
            **self.aws.environment,
            **SETTINGS,
            "AWS_ENDPOINT_URL": self.proxy.endpoint,
            "DEMAND_CONFIG": str(self.aws.directory / "demand.toml"),
            "DEMAND_STORE__PATH": str(self.database),
            "DEMAND_URL": self.url,
            **settings,
        }

    @contextlib.contextmanager
    def service(self, *before: str, **settings: str) -> Iterator[None]:
        """A service until the end of the block; `before` is what its command is started by."""
        self.start(*before, **settings)
        try:
            yield
        finally:
            self.stop()

    def start(self, *before: str, **settings: str) -> None:
        with self._log.open("a") as log:
            self.process = subprocess.Popen(
                [*before, binary(), "serve"],
                env=self.environment(**settings),
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line.startswith("listening on "), self._log.read_text()
        self.url = line.removeprefix("listening on ").strip()
        self.before = self.metrics()

    def stop(self, signal_: signal.Signals = signal.SIGTERM) -> None:
        process, self.process = self.process, None
        if process is not None:
            process.send_signal(signal_)
            process.wait(PATIENCE)
            assert process.stdout is not None
            process.stdout.close()

    def cli(self, *arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
        """Runs `demand …` beside the service."""
        return subprocess.run(
            [binary(), *arguments],
            env=self.environment(**settings),
            text=True,
            capture_output=True,
            timeout=PATIENCE,
            check=False,
        )

    def leave(self) -> None:
        """Ends whatever a test began, so that the next finds AWS as it was."""
        self.proxy.rule = nothing
        self.stop()
        batch = self.aws.client("batch")
        every = [{"name": "JOB_NAME", "values": ["*"]}]
        for page in batch.get_paginator("list_jobs").paginate(jobQueue="queue", filters=every):
            for job in page["jobSummaryList"]:
                if job["status"] not in ("SUCCEEDED", "FAILED"):
                    batch.terminate_job(jobId=job["jobId"], reason="the test is over")

    # What there is to see

    def submit(self, request: dict[str, Any]) -> str:
        posted = requests.post(f"{self.url}/demands", json=request, timeout=PATIENCE)
        assert posted.status_code == 201, posted.text
        return posted.json()["execution_id"]

    def document(self, execution_id: str) -> dict[str, Any]:
        answer = requests.get(f"{self.url}/demands/{execution_id}", timeout=PATIENCE)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def ended(self, execution_id: str) -> dict[str, Any]:
        return until(
            f"the end of {execution_id}",
            lambda: (d := self.document(execution_id))["phase"] == "DONE" and d,
        )

    def events(self, execution_id: str) -> list[dict[str, Any]]:
        answer = requests.get(f"{self.url}/demands/{execution_id}/events", timeout=PATIENCE)
        return answer.json()["events"]

    def log(self) -> str:
        return self._log.read_text()

    def metrics(self) -> str:
        return requests.get(f"{self.url}/metrics", timeout=PATIENCE).text

    def ready(self) -> bool:
        return requests.get(f"{self.url}/health/ready", timeout=PATIENCE).status_code == 200

    def look(self, execution_id: str) -> None:
        """Keeps what there is to see of a demand and of the service now."""
        self.seen.add("demand status", self.cli("status", execution_id).stdout)
        for where, path in (("status document", ""), ("event", "/events")):
            answer = requests.get(f"{self.url}/demands/{execution_id}{path}", timeout=PATIENCE)
            self.seen.add(where, answer.text)
        self.look_at_service()

    def look_at_service(self) -> None:
        health = self.cli("health")
        self.seen.add("demand health", health.stdout + health.stderr)
        ready = requests.get(f"{self.url}/health/ready", timeout=PATIENCE)
        self.seen.add("/health/ready", f"{ready.status_code} {ready.text}")
        self.seen.add("metric", self.metrics())
        self.seen.add("log", self.log())
