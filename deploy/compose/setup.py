"""Makes in moto what a service with the settings of deploy/compose.yaml needs.

    python deploy/compose/setup.py ENDPOINT

Needs boto3. Jobs succeed at once from then on, and run nothing. What was made before stays.
"""

import json
import sys
import urllib.request

import boto3

ENV_BASE = "dev-compose"
REGION = "us-west-2"
BUCKETS = ["payloads", "lab"]


def main() -> None:
    endpoint = sys.argv[1].rstrip("/")

    def client(service: str):
        return boto3.client(
            service,
            endpoint_url=endpoint,
            region_name=REGION,
            aws_access_key_id="testing",
            aws_secret_access_key="testing",
        )

    without_docker(endpoint)
    queues = client("batch").describe_job_queues(jobQueues=[f"{ENV_BASE}-on-demand"])["jobQueues"]
    if queues:
        print(f"{endpoint} has what {ENV_BASE} needs")
        return
    for bucket in BUCKETS:
        location = {"LocationConstraint": REGION}
        client("s3").create_bucket(Bucket=bucket, CreateBucketConfiguration=location)
    role = client("iam").create_role(RoleName="data-sync", AssumeRolePolicyDocument="{}")
    make_file_systems(client("efs"), client("ec2"))
    client("sqs").create_queue(QueueName=f"{ENV_BASE}-demand-events")
    make_queues(client("batch"), role["Role"]["Arn"])
    print(f"made what {ENV_BASE} needs in {endpoint}")


def without_docker(endpoint: str) -> None:
    """Tells moto to run no containers."""
    body = json.dumps({"batch": {"use_docker": False}}).encode()
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(f"{endpoint}/moto-api/config", body, headers)
    urllib.request.urlopen(request, timeout=10).close()


def make_queues(batch, role: str) -> None:
    environment = batch.create_compute_environment(
        computeEnvironmentName=ENV_BASE, type="UNMANAGED", state="ENABLED", serviceRole=role
    )
    order = [{"order": 1, "computeEnvironment": environment["computeEnvironmentArn"]}]
    for name in ("on-demand", "data-sync"):
        batch.create_job_queue(
            jobQueueName=f"{ENV_BASE}-{name}",
            state="ENABLED",
            priority=1,
            computeEnvironmentOrder=order,
        )


def make_file_systems(efs, ec2) -> None:
    """One for each role, with the tags the service finds it by."""
    subnet = ec2.describe_subnets()["Subnets"][0]["SubnetId"]
    user = {"Uid": 1000, "Gid": 1000}
    owner = {"OwnerUid": 1000, "OwnerGid": 1000, "Permissions": "0755"}
    for role in ("scratch", "shared"):
        env_base = {"Key": "env_base", "Value": ENV_BASE}
        system = efs.create_file_system(
            CreationToken=role,
            Encrypted=True,
            Tags=[{"Key": "Name", "Value": f"{ENV_BASE}-{role}"}, env_base],
        )["FileSystemId"]
        efs.create_mount_target(FileSystemId=system, SubnetId=subnet)
        efs.create_access_point(
            ClientToken=role,
            FileSystemId=system,
            PosixUser=user,
            RootDirectory={"Path": f"/{role}", "CreationInfo": owner},
            Tags=[{"Key": "Name", "Value": role}, env_base],
        )


if __name__ == "__main__":
    main()
