"""The commands of "Run it here first" in deploy/README.md, in their order, do what it says."""

import os
import re
import subprocess
import sys

from handbook import TEXT
from lab import PATIENCE, ROOT, Lab, binary

AWS = """#!{python}
# As much of the AWS CLI as is needed.
import os, sys
import boto3
match sys.argv[1:]:
    case ["s3", "cp", source, target]:
        remote = source if target == "-" else target
        bucket, key = remote.removeprefix("s3://").split("/", 1)
        s3 = boto3.client("s3")
        if target == "-":
            sys.stdout.write(s3.get_object(Bucket=bucket, Key=key)["Body"].read().decode())
        else:
            s3.upload_file(source, bucket, key)
    case ["batch", "list-jobs", "--job-queue", queue, "--filters", "name=JOB_NAME,values=*", *_]:
        every = [{{"name": "JOB_NAME", "values": ["*"]}}]
        jobs = boto3.client("batch").list_jobs(jobQueue=queue, filters=every)["jobSummaryList"]
        for job in jobs:
            print(job["jobName"], job["status"], sep="\\t")
    case unknown:
        sys.exit(f"unknown: {{unknown}}")
"""


def test_what_is_run_here_first_runs(lab: Lab) -> None:
    (section,) = re.findall(r"^## Run it here first$(.*?)(?=^## )", TEXT, re.MULTILINE | re.DOTALL)
    blocks = re.findall(r"^```sh\n(.*?)^```", section, re.MULTILINE | re.DOTALL)
    aws, service, first, then = blocks
    # These two are what the fixture and the line below do.
    assert ".venv/bin/python deploy/stand_in.py .here\n" in aws
    assert "demand serve --config .here/demand.toml\n" in service
    tools = lab.directory / "tools"
    tools.mkdir()
    for name, text in (("aws", AWS.format(python=sys.executable)), ("demand", None)):
        if text is None:
            (tools / name).symlink_to(binary())
        else:
            (tools / name).write_text(text)
            (tools / name).chmod(0o755)
    with lab.service():
        commands = (first + then).replace(".here/", f"{lab.aws.directory}/")
        commands = commands.replace("$PWD/target/debug", str(tools))
        commands = commands.replace("http://127.0.0.1:8080", lab.url)
        ran = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", commands],
            env={"PATH": os.environ["PATH"], "HOME": str(lab.directory)},
            cwd=ROOT,
            text=True,
            capture_output=True,
            timeout=PATIENCE,
            check=False,
        )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    lines = ran.stdout.splitlines()
    for told in (
        "ready",
        "shout-1",
        'demand_executions{phase="EXECUTING"} 1',
        'demand_executions{phase="EXECUTING"} 0',
        'demand_executions_ended_total{status="COMPLETED",reason="none"} 1',
        "HELLO",
    ):
        assert told in lines, f"{told}\n{ran.stdout}"
    assert sum(line.endswith("\tSUCCEEDED") and "-shout-" in line for line in lines) == 3, ran.stdout
