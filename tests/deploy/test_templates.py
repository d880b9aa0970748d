"""What the templates say, and where only their text can be looked at."""

import pathlib
import re
import subprocess
import sys
from typing import Any

import pytest
import yaml
from moto.cloudformation.parsing import resource_class_from_type

import templates

PRECIOUS = re.compile(r"AWS::(EC2::Volume|EFS::FileSystem|S3::Bucket|Logs::LogGroup)")
"""Types of resources that hold what cannot be made again."""


def test_the_linter_finds_nothing() -> None:
    """With all its rules, informational ones included. Exceptions are in the templates, each with
    its reason."""
    linted = subprocess.run(
        [
            pathlib.Path(sys.executable).parent / "cfn-lint",
            "--include-checks",
            "I",
            "--regions",
            "us-west-2",
            "us-east-1",
            "eu-west-1",
            "--",
            *(str(templates.DIRECTORY / f"{name}.yaml") for name in templates.ORDER),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert linted.returncode == 0, linted.stdout + linted.stderr


@pytest.mark.parametrize("name", templates.ORDER)
def test_every_parameter_is_described_and_shown_in_a_group(name: str) -> None:
    template = templates.load(name)
    groups = template["Metadata"]["AWS::CloudFormation::Interface"]["ParameterGroups"]
    shown = [parameter for group in groups for parameter in group["Parameters"]]
    assert sorted(shown) == sorted(template["Parameters"])
    for key, parameter in template["Parameters"].items():
        assert parameter["Description"].endswith("."), key
        if "AllowedPattern" in parameter:
            assert parameter["ConstraintDescription"], key
            default = parameter.get("Default")
            assert default is None or re.fullmatch(parameter["AllowedPattern"], default), key
    for key, output in template["Outputs"].items():
        assert output["Description"].endswith("."), key


def test_no_exception_is_without_its_reason() -> None:
    for name in templates.ORDER:
        lines = (templates.DIRECTORY / f"{name}.yaml").read_text().splitlines()
        for number, line in enumerate(lines):
            if "ignore_checks" in line:
                assert lines[number - 1].strip().startswith("#"), f"{name}: {line}"


def test_moto_makes_all_but_what_is_named() -> None:
    used = {
        resource["Type"]
        for name in templates.ORDER
        for resource in templates.load(name)["Resources"].values()
    }
    unknown = {type_ for type_ in used if resource_class_from_type(type_) is None}
    assert unknown == set(templates.UNKNOWN_TO_MOTO)


def test_every_import_is_exported_by_a_template_before() -> None:
    exported: set[str] = set()
    for name in templates.ORDER:
        template = templates.load(name)
        for imported in _find(template["Resources"], "Fn::ImportValue"):
            assert imported["Fn::Sub"] in exported, f"{name}: {imported}"
        exports = [output["Export"] for output in template["Outputs"].values() if "Export" in output]
        exported.update(export["Name"]["Fn::Sub"] for export in exports)


def test_what_cannot_be_made_again_outlives_its_stack() -> None:
    for name in templates.ORDER:
        for key, resource in templates.load(name)["Resources"].items():
            if not PRECIOUS.fullmatch(resource["Type"]):
                continue
            kept = "Snapshot" if resource["Type"] == "AWS::EC2::Volume" else "Retain"
            assert name == "storage", f"{key} is not in the stack that is kept"
            assert resource["DeletionPolicy"] == resource["UpdateReplacePolicy"] == kept, key
    vault = templates.load("storage")["Resources"]["BackupVault"]
    assert vault["DeletionPolicy"] == vault["UpdateReplacePolicy"] == "Retain"


def test_the_volume_is_encrypted_and_in_its_instance_s_zone() -> None:
    """moto passes both over."""
    template = templates.load("storage")
    zone = {"Ref": "DataAvailabilityZone"}
    volume = template["Resources"]["DataVolume"]["Properties"]
    assert volume["Encrypted"] is True and volume["AvailabilityZone"] == zone
    (assertion,) = template["Rules"]["VolumeNextToItsInstance"]["Assertions"]
    of_subnet = {"Fn::ValueOf": ["SubnetA", "AvailabilityZone"]}
    assert assertion["Assert"] == {"Fn::Contains": [[zone], of_subnet]}
    assert template["Outputs"]["ServiceSubnetId"]["Value"] == {"Ref": "SubnetA"}


def test_the_volume_is_backed_up_daily() -> None:
    resources = templates.load("storage")["Resources"]
    (rule,) = resources["BackupPlan"]["Properties"]["BackupPlan"]["BackupPlanRule"]
    assert rule["Lifecycle"]["DeleteAfterDays"] == {"Ref": "BackupRetentionDays"}
    assert rule["TargetBackupVault"] == {"Ref": "BackupVault"}
    (resource,) = resources["BackupSelection"]["Properties"]["BackupSelection"]["Resources"]
    assert resource["Fn::Sub"].endswith(":volume/${DataVolume}")


@pytest.mark.parametrize("queue", ["EventsQueue", "EventsDeadLetterQueue"])
def test_only_the_rule_sends_to_the_queues_of_events(queue: str) -> None:
    policy = templates.load("batch")["Resources"][f"{queue}Policy"]["Properties"]
    assert policy["Queues"] == [{"Ref": queue}]
    (allowed,) = [
        statement
        for statement in policy["PolicyDocument"]["Statement"]
        if statement["Effect"] == "Allow"
    ]
    assert allowed["Principal"] == {"Service": "events.amazonaws.com"}
    assert allowed["Action"] == "sqs:SendMessage"
    rule = {"Fn::GetAtt": ["EventsRule", "Arn"]}
    assert allowed["Condition"] == {"ArnEquals": {"aws:SourceArn": rule}}


def test_every_alarm_tells_the_topic_when_it_begins_and_ends() -> None:
    alarms = {
        key: resource["Properties"]
        for key, resource in templates.load("service")["Resources"].items()
        if resource["Type"] == "AWS::CloudWatch::Alarm"
    }
    topic = [{"Ref": "AlarmTopicArn"}]
    for key, alarm in alarms.items():
        assert alarm["AlarmActions"] == alarm["OKActions"] == topic, key
        assert alarm["AlarmDescription"], key
    metrics = {(alarm["Namespace"], alarm["MetricName"]) for alarm in alarms.values()}
    assert metrics >= {
        ("AWS/ApplicationELB", "HealthyHostCount"),
        ("AWS/ApplicationELB", "HTTPCode_Target_5XX_Count"),
        ("AWS/SQS", "ApproximateAgeOfOldestMessage"),
        ("AWS/SQS", "ApproximateNumberOfMessagesVisible"),
        ("AWS/EC2", "StatusCheckFailed"),
        ("AWS/Backup", "NumberOfBackupJobsFailed"),
        ("Demand", "DataVolumeUsed"),
    }


def test_the_load_balancer_gives_up_between_the_service_s_own_times() -> None:
    source = (templates.ROOT / "src" / "http" / "server.rs").read_text()
    kept_alive = re.search(r"const HEAD: Duration = Duration::from_secs\((\d+)\)", source)
    example = (templates.ROOT / "deploy" / "demand.toml").read_text()
    longest = re.search(r'^#timeout = "(\d+)s"$', example, re.MULTILINE)
    grace = re.search(r'^#shutdown_grace = "(\d+)s"$', example, re.MULTILINE)
    assert kept_alive and longest and grace
    resources = templates.load("service")["Resources"]
    attributes = {
        attribute["Key"]: attribute["Value"]
        for attribute in resources["LoadBalancer"]["Properties"]["LoadBalancerAttributes"]
    }
    idle = int(attributes["idle_timeout.timeout_seconds"])
    assert int(longest[1]) < idle < int(kept_alive[1])
    (container,) = resources["TaskDefinition"]["Properties"]["ContainerDefinitions"]
    assert container["StopTimeout"] > int(grace[1])


def test_settings_are_keys_of_the_service() -> None:
    """A misspelt one would stop the service; one that only a condition sets is not met otherwise."""
    (container,) = templates.load("service")["Resources"]["TaskDefinition"]["Properties"][
        "ContainerDefinitions"
    ]
    names = set()
    for variable in container["Environment"]:
        pair = variable["Fn::If"][1] if "Fn::If" in variable else variable
        names.add(pair["Name"])
    example = (templates.ROOT / "deploy" / "demand.toml").read_text()
    known, section = {"AWS_REGION"}, ""
    for line in example.splitlines():
        if table := re.fullmatch(r"#?\[([a-z_.]+)\]", line):
            section = table[1].replace(".", "__") + "__"
        elif key := re.match(r"#?([a-z_]+) = ", line):
            known.add(f"DEMAND_{section}{key[1]}".upper())
    assert names <= known, names - known


def test_comments_name_files_that_are_there() -> None:
    for name in templates.ORDER:
        text = (templates.DIRECTORY / f"{name}.yaml").read_text()
        for path in re.findall(r"\b(?:src|deploy|tests)/[\w/.]+\w", text):
            assert (templates.ROOT / path).exists(), f"{name}: {path}"


def test_descriptions_of_rules_have_characters_that_ec2_takes() -> None:
    """https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_IpRange.html"""
    for name in templates.ORDER:
        for resource in templates.load(name)["Resources"].values():
            if not resource["Type"].startswith("AWS::EC2::SecurityGroup"):
                continue
            for key in ("Description", "GroupDescription"):
                for text in _find(resource["Properties"], key):
                    assert re.fullmatch(r"[a-zA-Z0-9 ._\-:/()#,@\[\]+=&;{}!$*]{1,255}", text), text


def test_a_name_fits_wherever_it_is_put() -> None:
    """Names of stacks and exports have letters, digits and hyphens only."""
    patterns = {
        templates.load(name)["Parameters"]["EnvBase"]["AllowedPattern"] for name in templates.ORDER
    }
    (pattern,) = patterns
    for name, fits in [
        ("dev", True),
        ("prod-marmot2", True),
        ("lab", False),
        ("dev-", False),
        ("dev-my_lab", False),
        ("dev-a-b", False),
    ]:
        assert bool(re.fullmatch(pattern, name)) == fits, name


def test_the_templates_are_plain_yaml() -> None:
    """CloudFormation takes no aliases, and its console shows nothing but ASCII well."""
    for name in templates.ORDER:
        text = (templates.DIRECTORY / f"{name}.yaml").read_text()
        assert text.isascii()
        assert not [
            event
            for event in yaml.parse(text)
            if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None)
        ]


def _find(node: Any, key: str) -> list[Any]:
    if isinstance(node, dict):
        found = [node[key]] if key in node else []
        return found + [each for value in node.values() for each in _find(value, key)]
    if isinstance(node, list):
        return [each for value in node for each in _find(value, key)]
    return []
