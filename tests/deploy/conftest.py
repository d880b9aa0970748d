"""An account in moto (https://docs.getmoto.org) with the stacks of the templates in it."""

import contextlib
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import boto3
import pytest
import requests

import templates

REGION = "us-west-2"
ENV_BASE = "dev-marmot"
DOMAIN = "demands.example.org"
PATIENCE = 60
"""Seconds; far beyond what anything here takes."""

KEYS = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing"}


@dataclass
class Account:
    endpoint: str
    outputs: dict[str, dict[str, str]] = field(default_factory=dict)

    def client(self, service: str) -> Any:
        return boto3.client(
            service,
            endpoint_url=self.endpoint,
            region_name=REGION,
            aws_access_key_id=KEYS["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=KEYS["AWS_SECRET_ACCESS_KEY"],
        )

    def create(self, name: str, batch_role: str, **parameters: str) -> None:
        """Makes a stack, and keeps its outputs."""
        template = templates.for_moto(name, batch_role)
        for key, parameter in template["Parameters"].items():
            # moto does not make a list of a default.
            if key not in parameters and "Default" in parameter:
                parameters[key] = str(parameter["Default"])
        cloudformation = self.client("cloudformation")
        cloudformation.create_stack(
            StackName=f"{ENV_BASE}-demand-{name}",
            TemplateBody=json.dumps(template),
            Parameters=[
                {"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()
            ],
            Capabilities=["CAPABILITY_IAM"],
        )
        (stack,) = cloudformation.describe_stacks(StackName=f"{ENV_BASE}-demand-{name}")["Stacks"]
        assert stack["StackStatus"] == "CREATE_COMPLETE", stack
        self.outputs[name] = {
            output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]
        }

    def resources(self, name: str) -> dict[str, str]:
        """Physical ids by logical ones."""
        listed = self.client("cloudformation").list_stack_resources(
            StackName=f"{ENV_BASE}-demand-{name}"
        )
        return {
            resource["LogicalResourceId"]: resource["PhysicalResourceId"]
            for resource in listed["StackResourceSummaries"]
        }

    def container(self) -> dict[str, Any]:
        """The service's container, as the task definition has it."""
        ecs = self.client("ecs")
        described = ecs.describe_task_definition(taskDefinition=f"{ENV_BASE}-demand")
        (container,) = described["taskDefinition"]["containerDefinitions"]
        return container


@contextlib.contextmanager
def moto() -> Iterator[str]:
    """The endpoint of a server of its own."""
    with tempfile.TemporaryFile("w+") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "moto.server", "--host", "127.0.0.1", "--port", "0"],
            stdout=log,
            stderr=log,
        )
        try:
            deadline = time.monotonic() + PATIENCE
            while True:
                log.seek(0)
                told = log.read()
                if listens := re.search(r"Running on (\S+)", told):
                    break
                assert process.poll() is None and time.monotonic() < deadline, told
                time.sleep(0.05)
            yield listens[1]
        finally:
            process.terminate()
            process.wait(PATIENCE)


# Of each module its own: a service's poll for events goes on in moto after the service has ended.
@pytest.fixture(scope="module")
def account() -> Iterator[Account]:
    with moto() as endpoint:
        # Jobs that are submitted succeed at once; there is no Docker to run them.
        requests.post(f"{endpoint}/moto-api/config", json={"batch": {"use_docker": False}}, timeout=5)
        account = Account(endpoint)
        role = account.client("iam").create_role(RoleName="batch", AssumeRolePolicyDocument="{}")
        batch_role = role["Role"]["Arn"]
        certificate = account.client("acm").request_certificate(DomainName=DOMAIN)["CertificateArn"]
        topic = account.client("sns").create_topic(Name="alarms")["TopicArn"]
        account.create("network", batch_role, EnvBase=ENV_BASE)
        network = account.outputs["network"]
        # moto's subnets do not tell GetAtt their zone.
        subnets = account.client("ec2").describe_subnets(SubnetIds=[network["SubnetA"]])["Subnets"]
        account.create(
            "storage",
            batch_role,
            EnvBase=ENV_BASE,
            VpcId=network["VpcId"],
            SubnetA=network["SubnetA"],
            SubnetB=network["SubnetB"],
            DataAvailabilityZone=subnets[0]["AvailabilityZone"],
        )
        account.create(
            "batch",
            batch_role,
            EnvBase=ENV_BASE,
            JobSubnetIds=network["PrivateSubnetIds"],
            InputBuckets="lab-reads,lab-reference",
            OutputBuckets="lab-results",
        )
        account.create(
            "service",
            batch_role,
            EnvBase=ENV_BASE,
            DomainName=DOMAIN,
            Image="registry.example.org/demand:1.0.0",
            LoadBalancerSubnetIds=network["PrivateSubnetIds"],
            AllowedCidr="10.0.0.0/8",
            CertificateArn=certificate,
            AlarmTopicArn=topic,
            AllowedImages="public.ecr.aws/lab,ghcr.io/lab",
            # moto has Amazon's parameters of older images only.
            InstanceImageId="/aws/service/ecs/optimized-ami/amazon-linux-2/recommended/image_id",
            # With values, since moto puts nulls where a list has conditions that do not hold.
            JwtIssuer="https://id.example.org/",
            JwtAudience="https://demands.example.org",
            JwksUrl="https://id.example.org/jwks.json",
        )
        yield account


@dataclass
class Demand:
    """The binary, with what the service's container is told."""

    container: dict[str, Any]
    endpoint: str
    data: pathlib.Path
    """What the program finds in the place of the volume."""
    program: list[str] = field(default_factory=lambda: [binary()])

    def environment(self) -> dict[str, str]:
        """The container's own, but for where AWS and this machine are."""
        told = {pair["name"]: pair["value"] for pair in self.container["environment"]}
        # /data is the volume, mounted in the container.
        for name in {"DEMAND_STORE__PATH", "DEMAND_AUTH__TOKENS_FILE"} & told.keys():
            told[name] = told[name].replace("/data/", f"{self.data}/")
        # Any free port of the same address: beyond loopback the service starts with tokens only.
        address = told.get("DEMAND_LISTEN", "127.0.0.1:8080").rsplit(":", 1)[0]
        return {
            **told,
            **KEYS,
            "DEMAND_LISTEN": f"{address}:0",
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_EC2_METADATA_DISABLED": "true",
            "HOME": str(self.data),
        }

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*self.program, *arguments],
            env=self.environment(),
            text=True,
            capture_output=True,
            timeout=PATIENCE,
            check=False,
        )

    @contextlib.contextmanager
    def serve(self) -> Iterator[str]:
        """The URL of a service that runs the container's command."""
        command = [*self.program, *self.container["command"][1:]]
        with tempfile.TemporaryFile("w+") as log:
            process = subprocess.Popen(
                command,
                env=self.environment(),
                    text=True,
                stdout=subprocess.PIPE,
                stderr=log,
            )
            try:
                assert process.stdout is not None
                line = process.stdout.readline()
                if not line.startswith("listening on "):
                    log.seek(0)
                    raise AssertionError(log.read())
                yield line.removeprefix("listening on ").strip().replace("0.0.0.0", "127.0.0.1")
            finally:
                process.terminate()
                process.wait(PATIENCE)


def binary() -> str:
    """The service as `cargo` built it."""
    path = os.environ.get("DEMAND")
    assert path, "DEMAND names the binary; tests/run deploy sets it"
    return str(pathlib.Path(path).resolve())
