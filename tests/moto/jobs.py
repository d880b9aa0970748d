"""A Batch job whose command really runs: a process group of this machine instead of a container.

States, reasons and times are those of AWS Batch
(https://docs.aws.amazon.com/batch/latest/userguide/job_states.html); the description of a job is
moto's, completed with what moto leaves out.
"""

import json
import os
import pathlib
import signal
import subprocess
import threading
import uuid
from collections.abc import Callable
from datetime import datetime, timezone
from typing import Any

from moto.batch.models import Job, datetime2int_milliseconds
from moto.sqs.models import sqs_backends

from host import Host

ENDED = ("SUCCEEDED", "FAILED")
NOT_STARTED = ("SUBMITTED", "PENDING", "RUNNABLE")
EXITED = "Essential container in task exited"
NOT_STARTABLE = "Task failed to start"

# AWS takes a submission whose overrides are longer, and fails the job.
OVERRIDES_LIMIT = 8192


class NotStartable(Exception):
    """The container runtime would not start the command; the text is its reason."""


class ProcessJob(Job):
    """A job of moto whose thread runs the command itself."""

    # moto files its models under the second part of their module's name.
    __module__ = Job.__module__

    # Set from here alone, not advanced by moto each time it is read.
    status: str = "SUBMITTED"
    all_jobs: dict[str, "ProcessJob"]  # type: ignore[assignment]

    def __init__(self, host: Host, request: dict[str, Any], **of_moto: Any):
        super().__init__(**of_moto)
        self._host = host
        self._dependencies = [self.all_jobs[d["jobId"]] for d in self.depends_on or []]
        self.retry_strategy: dict[str, Any] = (
            request.get("retryStrategy") or self.job_definition.retry_strategy or {}
        )
        self._propagate_tags = request.get("propagateTags")
        self._overrides_length = len(json.dumps(self.container_overrides, separators=(",", ":")))
        self._lock = threading.RLock()
        self._process: subprocess.Popen[bytes] | None = None
        self._ending: str | None = None  # why it was told to end
        self._cancelled = self._terminated = self._timed_out = False
        self._container_reason: str | None = None
        self.ended = threading.Event()
        self._tell()

    # What it does

    def run(self) -> None:
        if self._dependencies:
            self._enter("PENDING")
            for dependency in self._dependencies:
                dependency.ended.wait()
        with self._lock:
            if self._ending is not None:
                return self._end("FAILED", self._ending)
            if any(dependency.status == "FAILED" for dependency in self._dependencies):
                return self._end("FAILED", "Dependent Job failed")
            if self._overrides_length > OVERRIDES_LIMIT:
                return self._end(
                    "FAILED", f"Container Overrides length must be at most {OVERRIDES_LIMIT}"
                )
        for number in range(1, self.retry_strategy.get("attempts", 1) + 1):
            self._enter("RUNNABLE")
            with self._host.room:
                with self._lock:
                    if self.status in ENDED:  # cancelled while it waited
                        return
                    self._enter("STARTING")
                self._attempt(number)
            if not self._is_run_again():
                break
        with self._lock:
            reason = self._ending or self.attempts[-1]["statusReason"]
            self._end("SUCCEEDED" if self.exit_code == 0 and not self._ending else "FAILED", reason)

    def terminate(self, reason: str) -> None:
        """As TerminateJob: one that waits for another job ends only when that has."""
        with self._lock:
            if self.status in ENDED or self._ending is not None:
                return
            self._ending = reason
            self._cancelled = self.status in NOT_STARTED
            self._terminated = not self._cancelled
            if self.status == "RUNNABLE":
                self._end("FAILED", reason)
            elif self._process is not None:
                self._stop(self._process)

    def cancel(self, reason: str) -> None:
        """As CancelJob: nothing once it is starting."""
        with self._lock:
            if self.status in NOT_STARTED:
                self.terminate(reason)

    def kill(self) -> None:
        """Ends its processes at once, with the server."""
        with self._lock:
            self._ending = self._ending or "The server ended"
            if self._process is not None:
                _signal(self._process, signal.SIGKILL)

    def _attempt(self, number: int) -> None:
        """One run of the command, kept in `attempts`."""
        self.exit_code, self._container_reason, self.log_stream_name = None, None, None
        self.job_started_at = datetime.now()
        container: dict[str, Any] = {
            "containerInstanceArn": self._arn_of("container-instance"),
            "taskArn": self._arn_of("task"),
            "networkInterfaces": [],
        }
        attempt: dict[str, Any] = {"container": container, "statusReason": EXITED}
        try:
            self._execute(number, attempt)
            container["exitCode"] = self.exit_code
        except NotStartable as failed:
            self._container_reason = container["reason"] = str(failed)
            attempt["statusReason"] = NOT_STARTABLE
        if self._timed_out:
            attempt["statusReason"] = "Job attempt duration exceeded timeout"
        elif self._ending is not None:
            attempt["statusReason"] = self._ending
        attempt["stoppedAt"] = datetime2int_milliseconds(datetime.now())
        with self._lock:
            self.attempts.append(attempt)

    def _execute(self, number: int, attempt: dict[str, Any]) -> None:
        image = (self.job_definition.container_properties or {})["image"]
        if image.startswith("unavailable/"):
            raise NotStartable(
                f"CannotPullContainerError: Error response from daemon: pull access denied for "
                f"{image}, repository does not exist or may require 'docker login'"
            )
        self._mount()
        command = list(self._get_container_property("command", []))
        if command and command[0] == "demand" and self._host.demand:
            command[0] = self._host.demand
        environment = self._host.environment() | {
            variable["name"]: variable["value"]
            for variable in self._get_container_property("environment", [])
        }
        environment["AWS_BATCH_JOB_ATTEMPT"] = str(number)
        with self._lock:
            if self._ending is not None:
                raise NotStartable("DockerTimeoutError: stopped before it could start")
            try:
                process = subprocess.Popen(
                    command,
                    env=environment,
                    cwd=self._host.root,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
            except (OSError, IndexError) as error:
                raise NotStartable(
                    f"CannotStartContainerError: Error response from daemon: {error}"
                ) from error
            self._process = process
            stream = f"{self.job_definition.name}/default/{uuid.uuid4().hex}"
            self.log_stream_name = attempt["container"]["logStreamName"] = stream
            attempt["startedAt"] = datetime2int_milliseconds(self.job_started_at)
            self._enter("RUNNING")
        reader = threading.Thread(target=self._keep_log, args=(process, stream), daemon=True)
        reader.start()
        timers = []
        if duration := self._get_attempt_duration():
            scaled = duration * self._host.timeout_scale
            timers.append(_after(scaled, lambda: self._time_out(process)))
        # Not reaped yet, so that its process group is nobody else's while the rest of it is killed,
        # as a container's processes are when its first one ends.
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        with self._lock:
            _signal(process, signal.SIGKILL)
            code = process.wait()
            self._process = None
        for timer in timers:
            timer.cancel()
        reader.join(timeout=5)
        self.exit_code = 128 - code if code < 0 else code

    def _mount(self) -> None:
        """Sees that every mount is a directory of this machine, where the tests allow it."""
        properties = self.job_definition.container_properties or {}
        for mount in properties["mountPoints"]:
            path = pathlib.Path(mount["containerPath"]).resolve()
            if not path.is_relative_to(self._host.root):
                raise NotStartable(
                    "ResourceInitializationError: failed to invoke EFS utils commands to set up "
                    f"EFS volumes: {path} is not below the server's root"
                )
            path.mkdir(parents=True, exist_ok=True)

    def _keep_log(self, process: "subprocess.Popen[bytes]", stream: str) -> None:
        """Line by line, as the log driver `awslogs` does; it leaves empty lines out."""
        self._log_backend.ensure_log_group(self._log_group)
        self._log_backend.create_log_stream(self._log_group, stream)
        assert process.stdout is not None
        for line in process.stdout:
            message = line.rstrip(b"\r\n").decode(errors="replace")
            if message:
                now = int(datetime.now(timezone.utc).timestamp() * 1000)
                event = {"timestamp": now, "message": message}
                self._log_backend.put_log_events(self._log_group, stream, [event])

    def _time_out(self, process: "subprocess.Popen[bytes]") -> None:
        with self._lock:
            if self._process is process:
                self._timed_out = True
                self._stop(process)

    def _stop(self, process: "subprocess.Popen[bytes]") -> None:
        """SIGTERM, and SIGKILL if that is not enough; the lock is held."""
        _signal(process, signal.SIGTERM)

        def kill() -> None:
            with self._lock:
                if self._process is process:
                    _signal(process, signal.SIGKILL)

        _after(self._host.stop_grace, kill)

    def _is_run_again(self) -> bool:
        """https://docs.aws.amazon.com/batch/latest/APIReference/API_EvaluateOnExit.html"""
        if self.exit_code == 0 or self._ending is not None or self._timed_out:
            return False
        seen = {
            "onStatusReason": self.attempts[-1]["statusReason"],
            "onReason": self._container_reason or "",
            "onExitCode": "" if self.exit_code is None else str(self.exit_code),
        }
        for rule in self.retry_strategy.get("evaluateOnExit") or []:
            if all(_matches(rule[on], text) for on, text in seen.items() if rule.get(on)):
                return bool(rule["action"].upper() == "RETRY")
        return True

    def _enter(self, status: str) -> None:
        with self._lock:
            if self.status in ENDED:
                return
            self.status = status
        self._tell()

    def _end(self, status: str, reason: str) -> None:
        with self._lock:
            if self.status in ENDED:
                return
            self.job_stopped, self.job_stopped_at = True, datetime.now()
            self.job_stopped_reason = reason
            self.status = status
        self._tell()
        self.ended.set()

    # How it is told

    def describe(self) -> dict[str, Any]:
        with self._lock:
            detail = super().describe()
            detail["attempts"] = list(self.attempts)
            detail["isCancelled"], detail["isTerminated"] = self._cancelled, self._terminated
            detail["retryStrategy"] = self.retry_strategy
            if self._propagate_tags is not None:
                detail["propagateTags"] = self._propagate_tags
            return detail

    def describe_short(self) -> dict[str, Any]:
        with self._lock:
            summary = super().describe_short()
            if not self.attempts and self.status == "FAILED":
                del summary["startedAt"]
            return summary

    def _container_details(self) -> dict[str, Any]:
        details = super()._container_details()
        properties = self.job_definition.container_properties or {}
        details["image"] = properties["image"]
        details["mountPoints"] = properties["mountPoints"]
        details["resourceRequirements"] = self._get_container_property("resourceRequirements", [])
        details["ulimits"] = properties["ulimits"]
        if "jobRoleArn" in properties:
            details["jobRoleArn"] = properties["jobRoleArn"]
        if self.exit_code is not None:
            details["exitCode"] = self.exit_code
        if self._container_reason is not None:
            details["reason"] = self._container_reason
        return details

    def _get_container_property(self, p: str, default: Any) -> Any:
        if p != "environment":
            return super()._get_container_property(p, default)
        # moto's own adds to the submission each time it is called.
        properties = self.job_definition.container_properties or {}
        given = [*properties["environment"], *self.container_overrides.get("environment", [])]
        variables = {variable["name"]: variable["value"] for variable in given}
        variables["AWS_BATCH_JOB_ID"] = self.job_id
        variables["AWS_BATCH_JQ_NAME"] = self.job_queue.name
        return [{"name": name, "value": value} for name, value in variables.items()]

    def _tell(self) -> None:
        """https://docs.aws.amazon.com/batch/latest/userguide/batch_job_events.html"""
        if (name := self._host.event_queue) is None:
            return
        account, region = self.backend.account_id, self.backend.region_name
        message = {
            "version": "0",
            "id": str(uuid.uuid4()),
            "detail-type": "Batch Job State Change",
            "source": "aws.batch",
            "account": account,
            "time": datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "region": region,
            "resources": [self.arn],
            "detail": self.describe(),
        }
        body = json.dumps(message)
        self._host.events.put(lambda: sqs_backends[account][region].send_message(name, body))

    def _arn_of(self, kind: str) -> str:
        account, region = self.backend.account_id, self.backend.region_name
        return f"arn:aws:ecs:{region}:{account}:{kind}/{uuid.uuid4().hex}"


def _signal(process: "subprocess.Popen[bytes]", number: signal.Signals) -> None:
    try:
        os.killpg(process.pid, number)
    except ProcessLookupError:
        pass


def _after(seconds: float, action: Callable[[], None]) -> threading.Timer:
    timer = threading.Timer(seconds, action)
    timer.daemon = True
    timer.start()
    return timer


def _matches(pattern: str, text: str) -> bool:
    """Case does not matter; only a last `*` stands for anything."""
    pattern, text = pattern.lower(), text.lower()
    return text.startswith(pattern[:-1]) if pattern.endswith("*") else text == pattern
