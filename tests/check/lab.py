"""Makes in moto what a service needs. Usage: lab.py ENDPOINT

Queues `gpu` (enabled) and `closed` (disabled), a file system with access points `scratch` and
`shared` and a mount target, 120 more file systems, a bucket `payloads`, a role `data-sync`, a queue
of events.
"""

import json
import sys

import boto3

REGION = "us-west-2"
ENV_BASE = "dev-marmot"
TRUST = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"Service": "ecs-tasks.amazonaws.com"},
                "Action": "sts:AssumeRole",
            }
        ],
    }
)


def client(service):
    return boto3.client(
        service,
        endpoint_url=sys.argv[1],
        region_name=REGION,
        aws_access_key_id="test",
        aws_secret_access_key="test",
    )


def tags(name):
    return [{"Key": "Name", "Value": name}, {"Key": "env_base", "Value": ENV_BASE}]


role = client("iam").create_role(RoleName="data-sync", AssumeRolePolicyDocument=TRUST)["Role"]

batch = client("batch")
environment = batch.create_compute_environment(
    computeEnvironmentName="lab", type="UNMANAGED", state="ENABLED", serviceRole=role["Arn"]
)["computeEnvironmentArn"]
for name, state in [("gpu", "ENABLED"), ("closed", "DISABLED")]:
    batch.create_job_queue(
        jobQueueName=name,
        state=state,
        priority=1,
        computeEnvironmentOrder=[{"order": 1, "computeEnvironment": environment}],
    )

efs = client("efs")
for number in range(120):
    efs.create_file_system(CreationToken=f"other-{number}", Tags=tags(f"other-{number}"))
file_system = efs.create_file_system(CreationToken="lab", Tags=tags("lab"))["FileSystemId"]
for name, user in [("scratch", None), ("shared", {"Uid": 1000, "Gid": 1000})]:
    efs.create_access_point(
        ClientToken=name,
        FileSystemId=file_system,
        Tags=tags(name),
        RootDirectory={
            "Path": f"/{name}",
            "CreationInfo": {"OwnerUid": 0, "OwnerGid": 0, "Permissions": "0755"},
        },
        **({"PosixUser": user} if user else {}),
    )
subnet = client("ec2").describe_subnets()["Subnets"][0]["SubnetId"]
efs.create_mount_target(FileSystemId=file_system, SubnetId=subnet)

client("s3").create_bucket(
    Bucket="payloads", CreateBucketConfiguration={"LocationConstraint": REGION}
)
client("sqs").create_queue(QueueName="events")
