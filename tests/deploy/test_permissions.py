"""Roles allow what the code calls, and nothing else."""

import json
import pathlib
import time
from collections.abc import Iterator
from typing import Any

import pytest
import requests

import calls
import policies
from conftest import ENV_BASE, PATIENCE, Account, Demand
from proxy import Asked, Proxy
from test_service import request, until_over


def documents(account: Account, arn: str) -> list[dict[str, Any]]:
    """The policies of a role; none of ours has managed ones."""
    iam, name = account.client("iam"), arn.rsplit("/", 1)[1]
    assert iam.list_attached_role_policies(RoleName=name)["AttachedPolicies"] == []
    return [
        iam.get_role_policy(RoleName=name, PolicyName=policy)["PolicyDocument"]
        for policy in iam.list_role_policies(RoleName=name)["PolicyNames"]
    ]


@pytest.fixture
def service_policies(account: Account) -> list[dict[str, Any]]:
    return documents(account, account.outputs["service"]["TaskRoleArn"])


def test_every_crate_of_the_sdk_is_looked_through() -> None:
    assert calls.crates() == set(calls.SERVICES)


def test_the_service_may_do_what_it_calls_and_nothing_else(
    service_policies: list[dict[str, Any]],
) -> None:
    assert policies.actions(service_policies) == calls.actions(calls.of_service())


def test_jobs_that_move_data_may_do_what_the_worker_calls_and_nothing_else(
    account: Account,
) -> None:
    granted = policies.actions(documents(account, account.outputs["batch"]["DataSyncRoleArn"]))
    assert granted == calls.actions(calls.of_worker())


def test_jobs_that_move_data_reach_the_named_buckets_only(account: Account) -> None:
    granted = documents(account, account.outputs["batch"]["DataSyncRoleArn"])
    payloads = account.outputs["storage"]["PayloadBucketName"]
    for action, resource, allowed in [
        ("s3:ListBucket", "lab-reads", True),
        ("s3:ListBucket", "lab-results", True),
        ("s3:ListBucket", payloads, False),
        ("s3:GetObject", "lab-reference/genome.fa", True),
        ("s3:GetObject", "lab-results/a/b.txt", True),
        ("s3:GetObject", "lab-reads-of-others/a.txt", False),
        ("s3:GetObject", f"{payloads}/payloads/job.json", True),
        ("s3:GetObject", f"{payloads}/other", False),
        ("s3:PutObject", "lab-results/a.txt", True),
        ("s3:PutObject", "lab-reads/a.txt", False),
        ("s3:PutObject", f"{payloads}/payloads/job.json", False),
        ("s3:DeleteObject", "lab-reads/a.txt", False),
        ("s3:DeleteObject", "lab-results/a.txt", True),
    ]:
        told = policies.allows(granted, action, f"arn:aws:s3:::{resource}", {})
        assert told == allowed, f"{action} {resource}"


def test_the_service_passes_the_two_roles_to_jobs_only(
    account: Account, service_policies: list[dict[str, Any]]
) -> None:
    batch = account.outputs["batch"]
    for role, service, allowed in [
        (batch["DataSyncRoleArn"], "ecs-tasks.amazonaws.com", True),
        (batch["DemandRoleArn"], "ecs-tasks.amazonaws.com", True),
        (batch["DataSyncRoleArn"], "ec2.amazonaws.com", False),
        (account.outputs["service"]["TaskRoleArn"], "ecs-tasks.amazonaws.com", False),
    ]:
        context = {"iam:PassedToService": service}
        assert policies.allows(service_policies, "iam:PassRole", role, context) == allowed
    definition = f"arn:aws:batch:us-west-2:123456789012:job-definition/{ENV_BASE}-align"
    for privileged, allowed in [("true", False), ("false", True)]:
        context = {"batch:Privileged": privileged}
        register = "batch:RegisterJobDefinition"
        assert policies.allows(service_policies, register, definition, context) == allowed


@pytest.fixture
def proxy(account: Account) -> Iterator[Proxy]:
    proxy = Proxy(account.endpoint)
    yield proxy
    proxy.shutdown()


def test_what_a_running_service_asks_for_is_allowed(
    account: Account,
    proxy: Proxy,
    service_policies: list[dict[str, Any]],
    tmp_path: pathlib.Path,
) -> None:
    """On the very resources it names: preflight, a demand with a task too large for its job, its
    logs, an event, a cancellation."""
    demand = Demand(account.container(), proxy.endpoint, tmp_path)
    assert demand.run("check").returncode == 0
    made = demand.run("token", "new", "ana", "--scope", "demands:admin")
    caller = {"Authorization": f"Bearer {made.stdout.strip()}"}
    small, large = request(account, "small"), request(account, "large")
    parameters = large["execution_parameters"]
    for number in range(60):
        name = f"reads_{number}"
        parameters["params"][name] = f"s3://lab-reads/{'x' * 100}/{number}.fastq"
        parameters["inputs"].append(name)
    with demand.serve() as url:
        for each in (small, large):
            posted = requests.post(f"{url}/demands", json=each, headers=caller, timeout=PATIENCE)
            assert posted.status_code == 201, posted.text
        requests.post(f"{url}/demands/large/cancel", headers=caller, timeout=PATIENCE)
        for each in (small, large):
            until_over(url, each["execution_id"], caller)
        logs = f"{url}/demands/small/logs?step=execute"
        assert requests.get(logs, headers=caller, timeout=PATIENCE).status_code == 200
        detail = {"jobQueue": account.outputs["batch"]["SpotQueueArn"], "jobId": "1"}
        entry = {"Source": "aws.batch", "DetailType": "Batch Job State Change"}
        account.client("events").put_events(Entries=[{**entry, "Detail": json.dumps(detail)}])
        deadline = time.monotonic() + PATIENCE
        while not any(asked.operation == "DeleteMessageBatch" for asked in proxy.asked):
            assert time.monotonic() < deadline, "the event is received"
            time.sleep(0.1)
    asked = {(each.service, each.operation) for each in proxy.asked}
    # moto's jobs are over before they can be ended, and no submission's outcome was in doubt.
    seldom = {("batch", "TerminateJob"), ("batch", "ListJobs")}
    assert asked | seldom >= calls.of_service(), calls.of_service() - asked
    for each in proxy.asked:
        refused = _refused(service_policies, each)
        assert not refused, f"{each}: {refused}"


def _refused(granted: list[dict[str, Any]], asked: Asked) -> list[str]:
    """What IAM would miss, by action and resource."""
    context = dict(asked.context)
    role = context.pop("role", None)
    call = (asked.service, asked.operation)
    # The identity that `demand check` asks about is moto's user here; on AWS it is this role.
    if asked.operation == "SimulatePrincipalPolicy":
        return []
    wanted = [
        (action, resource)
        for action in calls.actions({call}) - {"iam:PassRole"}
        for resource in asked.resources
        if not (action == "batch:TagResource" and ":job-queue/" in resource)
    ]
    refused = [
        f"{action} on {resource}"
        for action, resource in wanted
        if not policies.allows(granted, action, resource, context)
        # Jobs have no ARN before they are submitted.
        and not (asked.operation == "SubmitJob" and action == "batch:TagResource")
    ]
    passing = {"iam:PassedToService": "ecs-tasks.amazonaws.com"}
    if role and not policies.allows(granted, "iam:PassRole", role, passing):
        refused.append(f"iam:PassRole on {role}")
    return refused
