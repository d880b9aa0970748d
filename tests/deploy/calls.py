"""The calls of AWS's APIs that the sources make, and what IAM wants for each.

An operation is found where the SDK's client is asked for it, `.describe_jobs()`, or where its types
are named, `aws_sdk_batch::operation::submit_job`. So a call that somebody adds is found here before a
role on AWS refuses it.
"""

import functools
import pathlib
import re

import botocore.session
from botocore import xform_name

from templates import ROOT

SERVICES = {
    "batch": ("batch", "batch"),
    "cloudwatchlogs": ("logs", "logs"),
    "efs": ("efs", "elasticfilesystem"),
    "iam": ("iam", "iam"),
    "s3": ("s3", "s3"),
    "sqs": ("sqs", "sqs"),
    "sts": ("sts", "sts"),
}
"""Of each crate `aws-sdk-…` the name that botocore has for the service, and IAM's prefix."""

SERVER = "local"
"""The folder of src/ that answers S3's calls in local mode, and makes none."""

WORKER = "sync"
"""The folder of src/ that runs in jobs; all the rest is the service."""

ACTIONS = {
    # One permission for one message or many.
    ("sqs", "DeleteMessageBatch"): ["sqs:DeleteMessage"],
    # Nobody can be denied it.
    ("sts", "GetCallerIdentity"): [],
    # S3 has fewer permissions than operations
    # (https://docs.aws.amazon.com/AmazonS3/latest/userguide/using-with-s3-policy-actions.html).
    ("s3", "ListObjectsV2"): ["s3:ListBucket"],
    ("s3", "HeadObject"): ["s3:GetObject"],
    ("s3", "DeleteObjects"): ["s3:DeleteObject"],
    ("s3", "CreateMultipartUpload"): ["s3:PutObject"],
    ("s3", "UploadPart"): ["s3:PutObject"],
    ("s3", "UploadPartCopy"): ["s3:GetObject", "s3:PutObject"],
    ("s3", "CompleteMultipartUpload"): ["s3:PutObject"],
    # A copy takes the source's tags along, if it has any.
    ("s3", "CopyObject"): [
        "s3:GetObject",
        "s3:GetObjectTagging",
        "s3:PutObject",
        "s3:PutObjectTagging",
    ],
}
"""Where IAM's action is not the operation's own name."""

WITH_A_CALL = {
    ("batch", "SubmitJob"): ["batch:TagResource"],
    ("batch", "RegisterJobDefinition"): ["batch:TagResource", "iam:PassRole"],
}
"""What IAM wants beside the operation's own action: both carry tags, a definition names a role."""

NOT_IN_JOBS = {
    # For mounts that the variables EFS_MOUNT_POINT_… name. Jobs of demands are told theirs in full.
    ("efs", "DescribeAccessPoints"),
}
"""Calls of the worker that its jobs do not make."""

Call = tuple[str, str]


def of_service() -> set[Call]:
    """What the service calls, `demand check` included."""
    return _in(path for path in _sources() if path.parts[0] not in (SERVER, WORKER))


def of_worker() -> set[Call]:
    """What the worker calls in jobs."""
    return _in(path for path in _sources() if path.parts[0] == WORKER) - NOT_IN_JOBS


def actions(calls: set[Call]) -> set[str]:
    """What IAM must allow whoever makes them."""
    prefixes = {service: prefix for service, prefix in SERVICES.values()}
    needed: set[str] = set()
    for call in calls:
        service, operation = call
        needed.update(ACTIONS.get(call, [f"{prefixes[service]}:{operation}"]))
        needed.update(WITH_A_CALL.get(call, []))
    return needed


def crates() -> set[str]:
    """The SDK's crates that the project has."""
    manifest = (ROOT / "Cargo.toml").read_text()
    return set(re.findall(r"^aws-sdk-([a-z0-9]+) ?=", manifest, re.MULTILINE))


def _sources() -> list[pathlib.Path]:
    source = ROOT / "src"
    return sorted(path.relative_to(source) for path in source.rglob("*.rs"))


def _in(paths) -> set[Call]:
    calls: set[Call] = set()
    for path in paths:
        text = (ROOT / "src" / path).read_text()
        for name in re.findall(r"\.\s*([a-z][a-z0-9_]+)\(\)", text):
            services = _operations().get(name, {})
            assert len(services) < 2, f"{path}: {name} is an operation of {sorted(services)}"
            calls.update(services.items())
        for crate, name in re.findall(r"aws_sdk_(\w+)::operation::(\w+)", text):
            service, _ = SERVICES[crate]
            calls.add((service, _operations()[name][service]))
    return calls


@functools.cache
def _operations() -> dict[str, dict[str, str]]:
    """By the name that Rust's SDK gives it, the services that have the operation, and its name."""
    loader = botocore.session.get_session()
    found: dict[str, dict[str, str]] = {}
    for service, _ in SERVICES.values():
        for operation in loader.get_service_model(service).operation_names:
            found.setdefault(xform_name(operation), {})[service] = operation
    return found
