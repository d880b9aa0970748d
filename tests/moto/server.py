"""moto's server with a Batch whose jobs really run, seeded with what demands need.

    python tests/moto/server.py --root DIR --demand target/debug/demand

It prints `listening on http://127.0.0.1:PORT`, then one line of JSON that tells what it was seeded
with, and serves until its standard input ends, so that it never outlives the test that started it.
Commands run on this machine as they are, without a container: the tests mount file systems at
directories below `--root`. All state is in its memory.
"""

import argparse
import json
import logging
import pathlib
import sys
from typing import Any

import boto3
from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.server import ThreadedMotoServer

import batch
from host import Host


def main() -> None:
    """Starts it, seeds it, and serves."""
    options = _options()
    # Werkzeug's line for each request.
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    root = options.root.resolve()
    root.mkdir(parents=True, exist_ok=True)
    host = Host(
        root=root,
        slots=options.slots,
        demand=options.demand,
        stop_grace=options.stop_grace,
        timeout_scale=options.timeout_scale,
    )
    batch.install(host, options.list_delay)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    address, port = server.get_host_and_port()
    host.endpoint = f"http://{address}:{port}"
    seeded = _seed(host.endpoint, options)
    host.event_queue = options.event_queue
    print(f"listening on {host.endpoint}")
    print(json.dumps(seeded), flush=True)
    try:
        sys.stdin.read()
    except KeyboardInterrupt:
        pass
    batch.batches[DEFAULT_ACCOUNT_ID][options.region].end()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    add = parser.add_argument
    add("--root", type=pathlib.Path, required=True, help="where mounts may be, and HOME of jobs")
    add("--demand", help="the program that a command's `demand` is")
    add("--region", default="us-west-2")
    add("--env-base", default="dev-test", help="tag and name prefix of the file system")
    add("--queue", action="append", help="a job queue; may be repeated [queue]")
    add("--bucket", action="append", help="a bucket; may be repeated [lab]")
    add("--event-queue", metavar="NAME", help="an SQS queue that is told of changes of jobs")
    add("--slots", type=int, default=4, help="commands at once")
    add("--stop-grace", type=float, default=5, metavar="SECONDS", help="from SIGTERM to SIGKILL")
    add("--timeout-scale", type=float, default=1, help="how long a second of a timeout is")
    add("--list-delay", type=float, default=0, help="seconds until ListJobs sees a new job")
    return parser.parse_args()


def _seed(endpoint: str, options: argparse.Namespace) -> dict[str, Any]:
    """What an operator would have set up: buckets, queues, a file system with access points."""

    def client(service: str) -> Any:
        return boto3.client(
            service,
            endpoint_url=endpoint,
            region_name=options.region,
            aws_access_key_id="testing",
            aws_secret_access_key="testing",
        )

    s3 = client("s3")
    buckets = options.bucket or ["lab"]
    for bucket in buckets:
        location = {"LocationConstraint": options.region}
        s3.create_bucket(Bucket=bucket, CreateBucketConfiguration=location)
    role = client("iam").create_role(RoleName="batch", AssumeRolePolicyDocument="{}")
    seeded = {
        "region": options.region,
        "env_base": options.env_base,
        "buckets": buckets,
        "role": role["Role"]["Arn"],
        "queues": _seed_batch(client("batch"), options, role["Role"]["Arn"]),
        **_seed_efs(client("efs"), client("ec2"), options),
    }
    if options.event_queue:
        queue = client("sqs").create_queue(QueueName=options.event_queue)
        seeded["event_queue_url"] = queue["QueueUrl"]
    return seeded


def _seed_batch(batches: Any, options: argparse.Namespace, role: str) -> dict[str, str]:
    environment = batches.create_compute_environment(
        computeEnvironmentName="machine", type="UNMANAGED", state="ENABLED", serviceRole=role
    )
    order = [{"order": 1, "computeEnvironment": environment["computeEnvironmentArn"]}]
    return {
        name: batches.create_job_queue(
            jobQueueName=name, state="ENABLED", priority=1, computeEnvironmentOrder=order
        )["jobQueueArn"]
        for name in options.queue or ["queue"]
    }


def _seed_efs(efs: Any, ec2: Any, options: argparse.Namespace) -> dict[str, Any]:
    """A file system with an access point for each role; its mount target is in a subnet of moto's
    default VPC."""

    def tags(name: str) -> list[dict[str, str]]:
        return [{"Key": "Name", "Value": name}, {"Key": "env_base", "Value": options.env_base}]

    name = f"{options.env_base}-efs"
    system = efs.create_file_system(CreationToken=name, Tags=tags(name))["FileSystemId"]
    subnet = ec2.describe_subnets()["Subnets"][0]["SubnetId"]
    efs.create_mount_target(FileSystemId=system, SubnetId=subnet)
    points = {
        role: efs.create_access_point(
            ClientToken=role,
            FileSystemId=system,
            RootDirectory={"Path": f"/{role}"},
            Tags=tags(role),
        )["AccessPointId"]
        for role in ("scratch", "shared", "tmp")
    }
    return {"file_system": {"id": system, "name": name}, "access_points": points}


if __name__ == "__main__":
    main()
