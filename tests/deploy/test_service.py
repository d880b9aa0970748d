"""The service, told what its container is told, in the account that the templates make."""

import pathlib
import subprocess
import time
from typing import Any

import pytest
import requests

from conftest import DOMAIN, ENV_BASE, PATIENCE, Account, Demand, binary


@pytest.fixture
def demand(account: Account, tmp_path: pathlib.Path) -> Demand:
    return Demand(account.container(), account.endpoint, tmp_path)


def test_the_preflight_finds_all_it_needs(account: Account, demand: Demand) -> None:
    checked = demand.run("check")
    assert checked.returncode == 0, checked.stdout + checked.stderr
    storage = account.outputs["storage"]
    for words in [
        f"job queue `{ENV_BASE}-on-demand`",
        f"job queue `{ENV_BASE}-spot`",
        f"job queue `{ENV_BASE}-data-sync`",
        "EFS catalogue: 2 file systems, 3 access points",
        f"scratch volume: {storage['ScratchFileSystemId']}",
        f"shared volume: {storage['SharedFileSystemId']}",
        f"mount targets of {storage['ScratchFileSystemId']}: 2 available",
        f"mount targets of {storage['SharedFileSystemId']}: 2 available",
        f"payload prefix s3://{storage['PayloadBucketName']}/payloads is writable",
        f"queue of events {account.outputs['batch']['EventsQueueUrl']}",
    ]:
        assert any(
            line.startswith("ok ") and words in line for line in checked.stdout.splitlines()
        ), f"{words}\n{checked.stdout}"
    # moto does not simulate policies, so whether roles may be passed cannot be told.
    warnings = [line for line in checked.stdout.splitlines() if line.startswith("warning")]
    assert len(warnings) == 2, checked.stdout
    for role in ("DataSyncRoleArn", "DemandRoleArn"):
        arn = account.outputs["batch"][role]
        (warning,) = [line for line in warnings if arn in line]
        assert "cannot tell whether it may be passed" in warning


def test_it_is_ready_and_runs_a_demand(account: Account, demand: Demand) -> None:
    with demand.serve() as url:
        # As the load balancer asks: by an address, which it was not told.
        by_address = {"Host": "10.64.8.5:8080"}
        for health in ("live", "ready"):
            answer = requests.get(f"{url}/health/{health}", headers=by_address, timeout=PATIENCE)
            assert answer.status_code == 200, answer.text
        for host, status in [("127.0.0.1", 401), (DOMAIN, 401), ("elsewhere.example.net", 421)]:
            answer = requests.get(f"{url}/demands", headers={"Host": host}, timeout=PATIENCE)
            assert answer.status_code == status, answer.text

        # The first token is made beside the running service.
        scopes = ["--scope", "demands:write", "--scope", "demands:read"]
        made = demand.run("token", "new", "ana", *scopes)
        assert made.returncode == 0, made.stderr
        caller = {"Authorization": f"Bearer {made.stdout.strip()}"}
        posted = requests.post(
            f"{url}/demands", json=request(account, "run-1"), headers=caller, timeout=PATIENCE
        )
        assert posted.status_code == 201, posted.text
        status = until_over(url, "run-1", caller)
        assert status["status"] == "COMPLETED", status
        jobs = account.client("batch").list_jobs(
            jobQueue=f"{ENV_BASE}-data-sync", filters=[{"name": "JOB_NAME", "values": ["*"]}]
        )["jobSummaryList"]
        assert len(jobs) == 2, "inputs and outputs are moved on the queue for that"


CONTAINER = """
set -euo pipefail
root=$1 binary=$2
shift 2
mount --make-rprivate /
mount --rbind / "$root"
mount --options remount,bind,ro "$root"
mount --types tmpfs tmpfs "$root/mnt"
mkdir "$root/mnt/data"
chown 1000:1000 "$root/mnt/data"
touch "$root/mnt/demand"
mount --bind "$binary" "$root/mnt/demand"
cd /
exec chroot "$root" setpriv --reuid 1000 --regid 1000 --clear-groups --no-new-privs \\
  --bounding-set=-all --inh-caps=-all /mnt/demand "$@"
"""
"""What the task definition asks of ECS: no root, no capabilities, and nothing writable but the data.
ECS adds a /tmp in memory."""


def test_it_writes_to_its_volume_only(account: Account, tmp_path: pathlib.Path) -> None:
    if subprocess.run(["unshare", "--mount", "true"], capture_output=True, check=False).returncode:
        pytest.skip("only root can make a root file system read-only")
    program = ["unshare", "--mount", "bash", "-c", CONTAINER, "bash", str(tmp_path), binary()]
    data = pathlib.Path("/mnt/data")
    demand = Demand(account.container(), account.endpoint, data, program)
    with demand.serve() as url:
        ready = requests.get(f"{url}/health/ready", timeout=PATIENCE)
        assert ready.status_code == 200, ready.text


def test_it_refuses_what_its_roles_could_not_do(account: Account, demand: Demand) -> None:
    batch = account.outputs["batch"]
    made = demand.run("token", "new", "ana", "--scope", "demands:write")
    caller = {"Authorization": f"Bearer {made.stdout.strip()}"}
    platform = {"job_queue_name": f"{ENV_BASE}-data-sync", "job_role": batch["DataSyncRoleArn"]}
    bad = request(account, "run-2")
    bad["execution_platform"] = {"aws_batch": platform}
    bad["execution_image"] = "elsewhere.example.net/tool:1"
    bad["execution_parameters"]["params"] = {
        "words": "s3://somebody-elses/words.txt",
        "loud": "loud.txt @ s3://lab-reads/loud.txt",
    }
    with demand.serve() as url:
        plan = requests.post(f"{url}/demands/plan", json=bad, headers=caller, timeout=PATIENCE)
    assert plan.status_code == 422, plan.text
    refused = {error["detail"] for error in plan.json()["errors"] if error["code"] == "not_allowed"}
    for rule in ("job_queues", "job_roles", "images", "input_prefixes", "output_prefixes"):
        assert any(f"policy.{rule}" in detail for detail in refused), (rule, refused)


def request(account: Account, execution_id: str) -> dict[str, Any]:
    return {
        "execution_id": execution_id,
        "execution_type": "shout",
        "execution_image": "public.ecr.aws/lab/shout:1",
        "execution_parameters": {
            "command": ["tr a-z A-Z < ${WORDS} > ${LOUD}"],
            "params": {
                "words": "s3://lab-reads/words.txt",
                "loud": "loud.txt @ s3://lab-results/loud.txt",
            },
            "inputs": ["words"],
            "outputs": ["loud"],
        },
        "execution_platform": {
            "aws_batch": {
                "job_queue_name": f"{ENV_BASE}-spot",
                "job_role": account.outputs["batch"]["DemandRoleArn"],
            }
        },
    }


def until_over(url: str, execution_id: str, caller: dict[str, str]) -> dict[str, Any]:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        answer = requests.get(
            f"{url}/demands/{execution_id}?wait=20", headers=caller, timeout=PATIENCE
        )
        assert answer.status_code == 200, answer.text
        status = answer.json()
        if status["phase"] == "DONE":
            return status
    raise AssertionError(status)
