"""The templates as moto's CloudFormation can take them: what it cannot is named here, with why."""

import ipaddress
import pathlib
from typing import Any

import yaml

ROOT = pathlib.Path(__file__).parents[2]
DIRECTORY = ROOT / "deploy" / "cloudformation"
ORDER = ["network", "storage", "batch", "service"]

UNKNOWN_TO_MOTO = {
    "AWS::Backup::BackupPlan": "moto has AWS Backup, but makes nothing of it for CloudFormation",
    "AWS::Backup::BackupSelection": "likewise",
    "AWS::Backup::BackupVault": "likewise",
    "AWS::CloudWatch::Alarm": "moto has alarms, but makes none for CloudFormation",
    "AWS::EC2::SecurityGroupEgress": "moto knows rules of ingress only",
    "AWS::S3::BucketPolicy": "moto has policies of buckets, but makes none for CloudFormation",
    "AWS::SQS::QueuePolicy": "moto has policies of queues, but makes none for CloudFormation",
}
"""Types of resources that moto passes over. The tests look at the template's own text for them."""


class Loader(yaml.SafeLoader):
    """YAML with CloudFormation's short forms, made into the long ones."""


def _function(loader: Loader, suffix: str, node: yaml.Node) -> dict[str, Any]:
    if isinstance(node, yaml.ScalarNode):
        value: Any = loader.construct_scalar(node)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    else:
        value = loader.construct_mapping(node, deep=True)
    if suffix == "GetAtt" and isinstance(value, str):
        value = value.split(".", 1)
    return {suffix if suffix in ("Ref", "Condition") else f"Fn::{suffix}": value}


Loader.add_multi_constructor("!", _function)


def load(name: str) -> dict[str, Any]:
    """The template as it is, in long forms."""
    text = (DIRECTORY / f"{name}.yaml").read_text()
    return yaml.load(text, Loader)


def for_moto(name: str, batch_role: str) -> dict[str, Any]:
    """The template with what moto lacks put in its place."""
    template = load(name)
    # moto does not know Fn::Cidr.
    if name == "network":
        vpc = ipaddress.ip_network(template["Parameters"]["VpcCidr"]["Default"])
        quarters = [str(quarter) for quarter in vpc.subnets(new_prefix=32 - 10)]
        template = _replaced(template, lambda node: quarters if "Fn::Cidr" in node else None)
    for resource in template["Resources"].values():
        # moto knows no service-linked roles, which is what Batch takes where none is named.
        if resource["Type"] == "AWS::Batch::ComputeEnvironment":
            resource["Properties"]["ServiceRole"] = batch_role
    return template


def _replaced(node: Any, replace: Any) -> Any:
    if isinstance(node, dict):
        replacement = replace(node)
        if replacement is not None:
            return replacement
        return {key: _replaced(value, replace) for key, value in node.items()}
    if isinstance(node, list):
        return [_replaced(value, replace) for value in node]
    return node
