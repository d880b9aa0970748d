"""The embedded S3 of local mode, used through boto3: a client nobody here wrote."""

import os
import pathlib
import shlex
import subprocess

import boto3
import pytest
from botocore.exceptions import ClientError

BUCKET = "lab"


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    data = tmp_path_factory.mktemp("service") / "data"
    command = [os.environ["DEMAND"], "serve", "--local", "--listen", "127.0.0.1:0"]
    process = subprocess.Popen(
        [*command, "--data-dir", str(data)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline().startswith("listening on ")
    yield data
    process.terminate()
    assert process.wait(timeout=60) == 0


@pytest.fixture
def s3(service):
    """A client set up as a user would: from the variables in s3.env."""
    lines = (service / "s3.env").read_text().splitlines()
    exports = [shlex.split(line)[1] for line in lines if line.startswith("export ")]
    env = dict(export.split("=", 1) for export in exports)
    client = boto3.client(
        "s3",
        endpoint_url=env["AWS_ENDPOINT_URL_S3"],
        aws_access_key_id=env["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=env["AWS_SECRET_ACCESS_KEY"],
        region_name=env["AWS_REGION"],
    )
    if BUCKET not in [bucket["Name"] for bucket in client.list_buckets()["Buckets"]]:
        client.create_bucket(
            Bucket=BUCKET,
            CreateBucketConfiguration={"LocationConstraint": env["AWS_REGION"]},
        )
    return client


def keys(s3, **arguments):
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, **arguments)
    return [item["Key"] for page in pages for item in page.get("Contents", [])]


def test_what_was_put_is_a_file_in_the_buckets_directory(s3, service):
    s3.put_object(Bucket=BUCKET, Key="a/b c/ü.txt", Body=b"hello")
    assert (service / "s3" / BUCKET / "a/b c/ü.txt").read_bytes() == b"hello"
    assert s3.get_object(Bucket=BUCKET, Key="a/b c/ü.txt")["Body"].read() == b"hello"
    assert s3.head_object(Bucket=BUCKET, Key="a/b c/ü.txt")["ContentLength"] == 5


def test_a_file_put_there_by_hand_is_an_object(s3, service):
    path = service / "s3" / BUCKET / "by/hand.txt"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("by hand")
    assert "by/hand.txt" in keys(s3, Prefix="by/")
    assert s3.get_object(Bucket=BUCKET, Key="by/hand.txt")["Body"].read() == b"by hand"


def test_lists_are_paged_in_order_and_folded_at_delimiters(s3):
    names = [f"many/{n % 7}/{n:04}" for n in range(1200)]
    for name in names:
        s3.put_object(Bucket=BUCKET, Key=name, Body=b"")
    assert keys(s3, Prefix="many/") == sorted(names)
    folded = s3.list_objects_v2(Bucket=BUCKET, Prefix="many/", Delimiter="/")
    assert [p["Prefix"] for p in folded["CommonPrefixes"]] == [f"many/{n}/" for n in range(7)]


def test_a_prefix_is_no_folder(s3):
    for key in ["run1/a", "run10/b", "run1.txt"]:
        s3.put_object(Bucket=BUCKET, Key=key, Body=b"x")
    assert keys(s3, Prefix="run1") == ["run1.txt", "run1/a", "run10/b"]


def test_ranges_and_conditions_are_honoured(s3):
    tag = s3.put_object(Bucket=BUCKET, Key="digits", Body=b"0123456789")["ETag"]
    part = s3.get_object(Bucket=BUCKET, Key="digits", Range="bytes=2-4")
    assert part["Body"].read() == b"234"
    assert part["ContentRange"] == "bytes 2-4/10"
    assert s3.get_object(Bucket=BUCKET, Key="digits", IfMatch=tag)["ETag"] == tag
    with pytest.raises(ClientError) as refused:
        s3.get_object(Bucket=BUCKET, Key="digits", IfMatch='"other"')
    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 412


def test_a_large_file_goes_up_and_down_in_parts(s3, tmp_path):
    up, down = tmp_path / "up", tmp_path / "down"
    up.write_bytes(os.urandom(20 * 1024 * 1024))
    s3.upload_file(str(up), BUCKET, "large")
    s3.download_file(BUCKET, "large", str(down))
    assert down.read_bytes() == up.read_bytes()


def test_what_was_deleted_is_gone_and_deleting_it_again_is_no_error(s3, service):
    s3.put_object(Bucket=BUCKET, Key="gone/x", Body=b"x")
    s3.delete_object(Bucket=BUCKET, Key="gone/x")
    s3.delete_object(Bucket=BUCKET, Key="gone/x")
    assert keys(s3, Prefix="gone/") == []
    with pytest.raises(ClientError) as missing:
        s3.get_object(Bucket=BUCKET, Key="gone/x")
    assert missing.value.response["Error"]["Code"] == "NoSuchKey"


def test_keys_that_would_leave_the_bucket_reach_nothing_outside(s3, service):
    outside = service / "s3" / "escaped"
    for key in ["../escaped", "a/../../escaped"]:
        with pytest.raises(ClientError):
            s3.put_object(Bucket=BUCKET, Key=key, Body=b"x")
    assert not pathlib.Path(outside).exists()


def test_other_credentials_are_refused(s3):
    stranger = boto3.client(
        "s3",
        endpoint_url=s3.meta.endpoint_url,
        aws_access_key_id="stranger",
        aws_secret_access_key="stranger",
        region_name="us-west-2",
    )
    with pytest.raises(ClientError) as refused:
        stranger.list_objects_v2(Bucket=BUCKET)
    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403
