"""The server's Batch as a client sees it: jobs that run, wait, fail, end, run again and log."""

import json
import pathlib
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

SERVER = pathlib.Path(__file__).with_name("server.py")
PATIENCE = 60


class Lab:
    """A running server and clients of it."""

    def __init__(self, endpoint: str, seeded: dict[str, Any], root: pathlib.Path):
        self.endpoint, self.seeded, self.root = endpoint, seeded, root
        self.batch = self.client("batch")

    def client(self, service: str) -> Any:
        return boto3.client(
            service,
            endpoint_url=self.endpoint,
            region_name=self.seeded["region"],
            aws_access_key_id="testing",
            aws_secret_access_key="testing",
        )

    def define(self, name: str = "bash", **other: Any) -> str:
        container = {
            "image": "bash:5",
            "command": ["true"],
            "resourceRequirements": [
                {"type": "MEMORY", "value": "64"},
                {"type": "VCPU", "value": "1"},
            ],
            **other.pop("container", {}),
        }
        answer = self.batch.register_job_definition(
            jobDefinitionName=name, type="container", containerProperties=container, **other
        )
        return f"{answer['jobDefinitionName']}:{answer['revision']}"

    def submit(self, command: str, definition: str | None = None, **other: Any) -> str:
        overrides = {"command": ["/bin/bash", "-c", command], **other.pop("overrides", {})}
        request = {
            "jobName": "job",
            "jobQueue": "queue",
            "jobDefinition": definition or self.define(),
            "containerOverrides": overrides,
            **other,
        }
        return self.batch.submit_job(**request)["jobId"]

    def job(self, job_id: str) -> dict[str, Any]:
        return self.batch.describe_jobs(jobs=[job_id])["jobs"][0]

    def until(self, job_id: str, wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        deadline = time.monotonic() + PATIENCE
        while not wanted(job := self.job(job_id)):
            assert time.monotonic() < deadline, job
            time.sleep(0.02)
        return job

    def ended(self, job_id: str) -> dict[str, Any]:
        return self.until(job_id, lambda job: job["status"] in ("SUCCEEDED", "FAILED"))

    def running(self, job_id: str) -> dict[str, Any]:
        return self.until(job_id, lambda job: job["status"] == "RUNNING")

    def log(self, stream: str) -> list[str]:
        events = self.client("logs").get_log_events(
            logGroupName="/aws/batch/job", logStreamName=stream, startFromHead=True
        )["events"]
        return [event["message"] for event in events]


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    root = tmp_path_factory.mktemp("moto")
    options = ["--event-queue", "changes", "--timeout-scale", "0.01", "--demand", "/bin/echo"]
    process = subprocess.Popen(
        [sys.executable, str(SERVER), "--root", str(root), *options],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None and process.stdout is not None
    endpoint = process.stdout.readline().removeprefix("listening on ").strip()
    yield Lab(endpoint, json.loads(process.stdout.readline()), root)
    process.stdin.close()
    assert process.wait(timeout=PATIENCE) == 0


def refused(call: Callable[[], Any]) -> str:
    with pytest.raises(ClientError) as raised:
        call()
    assert raised.value.response["Error"]["Code"] == "ClientException"
    return raised.value.response["Error"]["Message"]


def test_a_command_runs_with_its_environment_and_nothing_else(lab: Lab) -> None:
    container = {"environment": [{"name": "A", "value": "of the definition"}]}
    container["environment"].append({"name": "B", "value": "of the definition"})
    definition = lab.define("environment", container=container, tags={"k": "v"})
    variables = [{"name": "B", "value": "of the job"}]
    job_id = lab.submit("env; exit 0", definition, overrides={"environment": variables})
    job = lab.ended(job_id)
    assert job["status"] == "SUCCEEDED"
    assert job["statusReason"] == "Essential container in task exited"
    assert job["container"]["exitCode"] == 0
    assert job["createdAt"] <= job["startedAt"] <= job["stoppedAt"] < time.time() * 1000 + 1000
    assert job["startedAt"] > 1_000_000_000_000, "milliseconds"
    (attempt,) = job["attempts"]
    assert attempt["container"]["exitCode"] == 0
    assert attempt["container"]["logStreamName"] == job["container"]["logStreamName"]
    log = lab.log(job["container"]["logStreamName"])
    for expected in [
        "A=of the definition",
        "B=of the job",
        f"AWS_ENDPOINT_URL={lab.endpoint}",
        f"AWS_BATCH_JOB_ID={job_id}",
    ]:
        assert expected in log
    assert not any(line.startswith("PYTEST_") for line in log)


def test_the_programs_of_the_image_stand_in_for_its_words(lab: Lab) -> None:
    job_id = lab.submit("", overrides={"command": ["demand", "sync", "--task"]})
    assert lab.log(lab.ended(job_id)["container"]["logStreamName"]) == ["sync --task"]


def test_a_failed_command_is_told_with_its_code(lab: Lab) -> None:
    job = lab.ended(lab.submit("echo out; echo; echo err >&2; exit 3"))
    assert (job["status"], job["container"]["exitCode"]) == ("FAILED", 3)
    assert job["statusReason"] == "Essential container in task exited"
    assert lab.log(job["container"]["logStreamName"]) == ["out", "err"]


def test_a_job_waits_for_those_it_depends_on(lab: Lab) -> None:
    go = lab.root / "go"
    first = lab.submit(f"while [ ! -e {go} ]; do sleep 0.02; done; touch {lab.root}/first")
    second = lab.submit(f"test -e {lab.root}/first", dependsOn=[{"jobId": first}])
    lab.running(first)
    assert lab.until(second, lambda job: job["status"] == "PENDING")["dependsOn"]
    go.touch()
    assert lab.ended(second)["status"] == "SUCCEEDED"
    assert lab.job(first)["status"] == "SUCCEEDED"


def test_the_dependents_of_a_failed_job_never_run(lab: Lab) -> None:
    first = lab.submit("exit 1")
    second = lab.submit("true", dependsOn=[{"jobId": first}])
    third = lab.submit("true", dependsOn=[{"jobId": second}])
    for job in (lab.ended(second), lab.ended(third)):
        assert (job["status"], job["statusReason"]) == ("FAILED", "Dependent Job failed")
        assert job["attempts"] == [] and "startedAt" not in job


def test_terminate_ends_the_whole_process_group(lab: Lab) -> None:
    pids = lab.root / "pids"
    job_id = lab.submit(f"sleep 1000 & echo $! > {pids}; echo $$ >> {pids}; wait")
    waiting = lab.submit("true", dependsOn=[{"jobId": job_id}])
    lab.until(job_id, lambda _: pids.exists() and len(pids.read_text().split()) == 2)
    lab.batch.terminate_job(jobId=waiting, reason="not needed")
    assert lab.job(waiting)["status"] == "PENDING", "until what it waits for has ended"
    lab.batch.terminate_job(jobId=job_id, reason="enough")
    job = lab.ended(job_id)
    assert (job["status"], job["statusReason"]) == ("FAILED", "enough")
    assert job["container"]["exitCode"] == 143 and job["isTerminated"]
    for pid in pids.read_text().split():
        stat = pathlib.Path(f"/proc/{pid}/stat")
        assert not stat.exists() or stat.read_text().rsplit(")", 1)[1].split()[0] == "Z"
    job = lab.ended(waiting)
    assert (job["status"], job["statusReason"]) == ("FAILED", "not needed")
    assert job["isCancelled"] and job["attempts"] == []
    lab.batch.terminate_job(jobId=job_id, reason="again")
    lab.batch.terminate_job(jobId="unknown", reason="again")
    assert lab.job(job_id)["statusReason"] == "enough"


def test_a_job_that_waits_for_room_is_cancelled_at_once(lab: Lab) -> None:
    busy = [lab.submit("sleep 1000") for _ in range(4)]
    for job_id in busy:
        lab.running(job_id)
    waiting = lab.submit("true")
    lab.until(waiting, lambda job: job["status"] == "RUNNABLE")
    lab.batch.cancel_job(jobId=waiting, reason="no room")
    assert lab.ended(waiting)["statusReason"] == "no room"
    lab.batch.cancel_job(jobId=busy[0], reason="CancelJob does nothing to a running job")
    assert lab.job(busy[0])["status"] == "RUNNING"
    for job_id in busy:
        lab.batch.terminate_job(jobId=job_id, reason="done")
        lab.ended(job_id)


def test_a_job_is_tried_again_as_its_strategy_says(lab: Lab) -> None:
    tries = lab.root / "tries"
    strategy = {
        "attempts": 3,
        "evaluateOnExit": [
            {"onExitCode": "7", "action": "RETRY"},
            {"onStatusReason": "*", "action": "EXIT"},
        ],
    }
    command = f'echo x >> {tries}; [ "$(wc -l < {tries})" = 2 ] || exit 7'
    job = lab.ended(lab.submit(command, retryStrategy=strategy))
    assert job["status"] == "SUCCEEDED"
    assert [attempt["container"]["exitCode"] for attempt in job["attempts"]] == [7, 0]
    streams = {attempt["container"]["logStreamName"] for attempt in job["attempts"]}
    assert len(streams) == 2
    job = lab.ended(lab.submit("exit 8", retryStrategy=strategy))
    assert len(job["attempts"]) == 1
    job = lab.ended(lab.submit("exit 8", retryStrategy={"attempts": 2}))
    assert len(job["attempts"]) == 2


def test_a_container_that_cannot_start_is_told_with_the_reason(lab: Lab) -> None:
    for container, reason in [
        ({"image": "unavailable/x:1"}, "CannotPullContainerError"),
        (
            {
                "volumes": [{"name": "v", "efsVolumeConfiguration": {"fileSystemId": "fs-1"}}],
                "mountPoints": [{"sourceVolume": "v", "containerPath": "/opt/elsewhere"}],
            },
            "ResourceInitializationError",
        ),
    ]:
        job = lab.ended(lab.submit("true", lab.define("unstartable", container=container)))
        assert (job["status"], job["statusReason"]) == ("FAILED", "Task failed to start")
        assert job["container"]["reason"].startswith(reason)
        assert "exitCode" not in job["container"]
        assert "logStreamName" not in job["attempts"][0]["container"]


def test_a_job_that_takes_too_long_is_ended_and_not_tried_again(lab: Lab) -> None:
    job_id = lab.submit(
        "sleep 1000", timeout={"attemptDurationSeconds": 60}, retryStrategy={"attempts": 3}
    )
    job = lab.ended(job_id)
    assert job["statusReason"] == "Job attempt duration exceeded timeout"
    assert len(job["attempts"]) == 1


def test_jobs_are_listed_by_name_whatever_their_case_and_state(lab: Lab) -> None:
    ids = [lab.submit(command, jobName="Named-Job") for command in ("true", "exit 1", "true")]
    lab.submit("true", jobName="named-job-2")
    for job_id in ids:
        lab.ended(job_id)
    pages = lab.batch.get_paginator("list_jobs").paginate(
        jobQueue="queue",
        filters=[{"name": "JOB_NAME", "values": ["named-job"]}],
        PaginationConfig={"PageSize": 2},
    )
    pages = [page["jobSummaryList"] for page in pages]
    assert [len(page) for page in pages] == [2, 1]
    assert [job["jobId"] for page in pages for job in page] == ids[::-1]
    summary = pages[0][0]
    assert (summary["jobName"], summary["status"]) == ("Named-Job", "SUCCEEDED")
    running = lab.batch.list_jobs(jobQueue="queue")["jobSummaryList"]
    assert all(job["status"] == "RUNNING" for job in running)


def test_tags_are_kept_on_definitions_and_jobs(lab: Lab) -> None:
    definition = lab.define("tagged", tags={"hash": "abc"})
    job = lab.job(lab.submit("true", definition, tags={"user": "ana"}))
    assert job["tags"] == {"user": "ana"}
    found = lab.batch.describe_job_definitions(jobDefinitionName="tagged", status="ACTIVE")
    assert [each["tags"] for each in found["jobDefinitions"]] == [{"hash": "abc"}]
    assert job["jobDefinition"] == found["jobDefinitions"][0]["jobDefinitionArn"]


def test_what_aws_refuses_is_refused(lab: Lab) -> None:
    definition = lab.define()
    assert "100" in refused(lambda: lab.batch.describe_jobs(jobs=[str(n) for n in range(101)]))
    strategy = {"attempts": 11}
    point = {"fileSystemId": "fs-1", "authorizationConfig": {"accessPointId": "fsap-1"}}
    volumes = [{"name": "v", "efsVolumeConfiguration": point}]
    for call in [
        lambda: lab.submit("true", definition, jobName="no/name"),
        lambda: lab.submit("true", definition, jobName="n" * 129),
        lambda: lab.submit("true", "unknown:1"),
        lambda: lab.submit("true", definition, jobQueue="unknown"),
        lambda: lab.submit("true", definition, dependsOn=[{"jobId": "unknown"}]),
        lambda: lab.submit("true", definition, retryStrategy=strategy),
        lambda: lab.submit("true", definition, timeout={"attemptDurationSeconds": 59}),
        lambda: lab.submit("x" * 31 * 1024, definition),
        lambda: lab.define("no/name"),
        lambda: lab.define("volumes", container={"volumes": volumes}),
        lambda: lab.define("large", container={"command": ["x" * 25 * 1024]}),
    ]:
        refused(call)
    job = lab.ended(lab.submit("x" * 9000, definition))
    assert job["statusReason"] == "Container Overrides length must be at most 8192"


def test_changes_are_told_in_the_envelope_of_eventbridge(lab: Lab) -> None:
    job_id = lab.submit("true")
    sqs, url = lab.client("sqs"), lab.seeded["event_queue_url"]
    statuses: list[str] = []
    deadline = time.monotonic() + PATIENCE
    while "SUCCEEDED" not in statuses:
        assert time.monotonic() < deadline
        answer = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=1)
        for message in answer.get("Messages", []):
            event = json.loads(message["Body"])
            assert event["detail-type"] == "Batch Job State Change"
            assert event["source"] == "aws.batch"
            assert event["resources"] == [event["detail"]["jobArn"]]
            if event["detail"]["jobId"] == job_id:
                statuses.append(event["detail"]["status"])
            sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    assert statuses == ["SUBMITTED", "RUNNABLE", "STARTING", "RUNNING", "SUCCEEDED"]


def test_what_demands_need_is_there(lab: Lab) -> None:
    systems = lab.client("efs").describe_file_systems()["FileSystems"]
    assert [system["Name"] for system in systems] == [lab.seeded["file_system"]["name"]]
    points = lab.client("efs").describe_access_points()["AccessPoints"]
    assert {point["Name"] for point in points} == {"scratch", "shared", "tmp"}
    assert {"Key": "env_base", "Value": "dev-test"} in points[0]["Tags"]
    system = lab.seeded["file_system"]["id"]
    targets = lab.client("efs").describe_mount_targets(FileSystemId=system)["MountTargets"]
    assert [target["LifeCycleState"] for target in targets] == ["available"]
    queues = lab.batch.describe_job_queues()["jobQueues"]
    assert [(queue["jobQueueName"], queue["status"]) for queue in queues] == [("queue", "VALID")]
    buckets = lab.client("s3").list_buckets()["Buckets"]
    assert [bucket["Name"] for bucket in buckets] == ["lab"]
