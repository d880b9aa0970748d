"""The Dockerfile by hadolint's rules, and beside the files that it has to agree with."""

import pathlib
import re
import subprocess
import sys
import tomllib
from typing import Any

import pytest
import yaml

from image import BUILD, FILE, FINAL, ROOT, RUN_LAST, Copy, context, ignored, reached, stages

PACKAGE = tomllib.loads((ROOT / "Cargo.toml").read_text())["package"]


class CloudFormation(yaml.SafeLoader):
    """Takes `!Ref` and its like for the values they stand before."""


def untagged(loader: yaml.SafeLoader, _suffix: str, node: yaml.Node) -> Any:
    if isinstance(node, yaml.MappingNode):
        return loader.construct_mapping(node, deep=True)
    if isinstance(node, yaml.SequenceNode):
        return loader.construct_sequence(node, deep=True)
    return loader.construct_scalar(node)


CloudFormation.add_multi_constructor("!", untagged)


def template(name: str) -> dict[str, Any]:
    file = ROOT / "deploy" / "cloudformation" / f"{name}.yaml"
    return yaml.load(file.read_text(), CloudFormation)


@pytest.fixture(scope="module")
def task() -> dict[str, Any]:
    """The service's container on AWS."""
    definition = template("service")["Resources"]["TaskDefinition"]["Properties"]
    return definition["ContainerDefinitions"][0]


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    return yaml.safe_load((ROOT / "deploy" / "compose.yaml").read_text())["services"]["demand"]


def test_hadolint_finds_nothing() -> None:
    hadolint = pathlib.Path(sys.executable).with_name("hadolint")
    command = [hadolint, "--no-color", "--failure-threshold", "style", "-"]

    def lint(text: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(command, input=text, text=True, capture_output=True, check=False)

    text = FILE.read_text()
    assert "hadolint ignore" not in text
    # It does not look at images that are named by an argument.
    resolved = text.replace("${RUST_IMAGE}", BUILD.base).replace("${DEBIAN_IMAGE}", FINAL.base)
    for each in (text, resolved):
        linted = lint(each)
        assert linted.returncode == 0, linted.stdout + linted.stderr
    spoilt = lint(resolved.replace(FINAL.base, "debian:latest"))
    assert spoilt.returncode != 0 and "DL3007" in spoilt.stdout


def test_both_stages_are_of_one_release_of_debian() -> None:
    (compiled,) = re.findall(r"^rust:([\d.]+)-slim-([a-z]+)$", BUILD.base)
    assert FINAL.base == f"debian:{compiled[1]}-slim"


def test_it_is_built_with_the_version_of_rust_that_the_crate_asks_for() -> None:
    (version,) = re.findall(r"^rust:(\d+\.\d+)\.\d+-", BUILD.base)
    assert version == PACKAGE["rust-version"]


def test_dependencies_are_built_as_the_program_is() -> None:
    builds = [command for command in BUILD.runs() if "cargo" in command]
    assert len(builds) == 2 and builds[0] == builds[1], "cargo would build dependencies twice"
    assert {"cargo", "build", "--release", "--locked"} <= set(builds[0])


def test_nothing_is_sent_that_is_not_copied() -> None:
    copies = [Copy.parse(value) for value in BUILD.all("COPY")]
    assert sorted(path for copy in copies for path in reached(copy)) == sorted(context())
    for path in [".git/config", ".demand/demand.sqlite3", "target/debug/demand", "tokens.json"]:
        assert ignored(path), path
    for path in ["src/main.rs", "openapi/examples/plan.json", "Cargo.lock"]:
        assert not ignored(path), path


def test_what_says_how_it_runs_is_said_once_and_last() -> None:
    assert [stage.name for stage in stages()] == ["build", ""]
    assert not RUN_LAST & {name for name, _ in BUILD.instructions}
    for name in RUN_LAST - {"ENTRYPOINT"}:
        assert len(FINAL.all(name)) == 1, name
    assert not FINAL.all("ENTRYPOINT"), "it would swallow the commands of jobs"


def test_it_runs_the_command_that_those_who_deploy_it_run(
    task: dict[str, Any], compose: dict[str, Any]
) -> None:
    assert FINAL.words("CMD") == task["Command"] == compose["command"]


def test_its_user_is_theirs(task: dict[str, Any], compose: dict[str, Any]) -> None:
    assert FINAL.one("USER") == task["User"] == compose["user"]
    # And that of files that jobs leave on EFS.
    job_user = template("storage")["Parameters"]["JobUserId"]["Default"]
    assert FINAL.one("USER") == f"{job_user}:{job_user}"


def test_its_port_is_theirs(task: dict[str, Any], compose: dict[str, Any]) -> None:
    port = FINAL.one("EXPOSE")
    assert FINAL.pairs("ENV")["DEMAND_LISTEN"] == f"0.0.0.0:{port}"
    assert [str(mapping["ContainerPort"]) for mapping in task["PortMappings"]] == [port]
    assert [published.split(":")[-1] for published in compose["ports"]] == [port]


def test_where_it_writes_they_let_it_write(task: dict[str, Any], compose: dict[str, Any]) -> None:
    volumes = FINAL.words("VOLUME")
    assert task["ReadonlyRootFilesystem"] is True and compose["read_only"] is True
    assert [mount["ContainerPath"] for mount in task["MountPoints"]] == volumes
    assert [volume.split(":")[1] for volume in compose["volumes"]] == volumes
    in_memory = [tmpfs["ContainerPath"] for tmpfs in task["LinuxParameters"]["Tmpfs"]]
    assert in_memory == compose["tmpfs"] == ["/tmp"]


def test_its_settings_are_theirs(task: dict[str, Any], compose: dict[str, Any]) -> None:
    on_aws = {pair["Name"]: pair["Value"] for pair in task["Environment"] if "Name" in pair}
    for name, value in FINAL.pairs("ENV").items():
        assert value == on_aws[name] == compose["environment"][name], name
        assert not name.startswith("DEMAND_AUTH__"), "who may call is for them to say"


def test_its_health_is_that_of_the_load_balancer(compose: dict[str, Any]) -> None:
    command = FINAL.words("HEALTHCHECK")
    assert command == ["demand", "health", "--live"]
    checked = template("service")["Resources"]["TargetGroup"]["Properties"]["HealthCheckPath"]
    assert checked == "/health/live"
    assert compose["healthcheck"]["test"][:3] == ["CMD", *command[:2]]


def test_its_labels_are_the_crates() -> None:
    prefix = "org.opencontainers.image."
    labels = FINAL.pairs("LABEL")
    assert labels[f"{prefix}title"] == PACKAGE["name"]
    assert labels[f"{prefix}description"] == PACKAGE["description"]
    assert labels[f"{prefix}licenses"].replace('"', "") == PACKAGE["license"]
    assert FINAL.pairs("ARG")["VERSION"] == PACKAGE["version"]


def test_the_readme_builds_it_with_arguments_that_it_takes() -> None:
    text = (ROOT / "deploy" / "README.md").read_text()
    told = re.findall(r"--build-arg (\w+)=", text)
    declared = set(FINAL.pairs("ARG")) | set(re.findall(r"^ARG (\w+)=", FILE.read_text(), re.M))
    assert told and set(told) <= declared
