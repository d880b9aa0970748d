"""deploy/compose.yaml, by its parts started by hand: there need be no Docker here."""

import pathlib
import re
import subprocess
import sys
from typing import Any

import compose_pydantic
import pytest
import requests
import yaml

from conftest import PATIENCE, Demand, moto
from templates import ROOT
from test_service import until_over

FILE = ROOT / "deploy" / "compose.yaml"


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    return yaml.safe_load(FILE.read_text())


def test_it_is_what_the_compose_specification_takes(compose: dict[str, Any]) -> None:
    compose_pydantic.ComposeSpecification.model_validate(compose)
    compose["services"]["demand"]["stop_grace"] = "60s"
    with pytest.raises(ValueError, match="stop_grace"):
        compose_pydantic.ComposeSpecification.model_validate(compose)
    del compose["services"]["demand"]["stop_grace"]


def test_its_moto_is_the_one_of_the_tests(compose: dict[str, Any]) -> None:
    for requirements in ("tests/requirements.txt", "tests/deploy/requirements.txt"):
        pinned = re.search(r"^moto==(.+)$", (ROOT / requirements).read_text(), re.MULTILINE)
        assert pinned
        for service in ("moto", "setup"):
            assert compose["services"][service]["image"] == f"motoserver/moto:{pinned[1]}"


def test_nothing_is_reached_from_outside_of_this_machine(compose: dict[str, Any]) -> None:
    for service in compose["services"].values():
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))


def test_the_container_is_closed_as_on_aws(compose: dict[str, Any]) -> None:
    demand = compose["services"]["demand"]
    assert demand["read_only"] is True and demand["user"] == "1000:1000"
    assert demand["cap_drop"] == ["ALL"] and demand["tmpfs"] == ["/tmp"]
    assert demand["volumes"] == ["data:/data"]
    assert demand["healthcheck"]["test"] == ["CMD", "demand", "health"]


def test_files_it_mounts_are_there(compose: dict[str, Any]) -> None:
    mounted = [
        volume.split(":")[0]
        for service in compose["services"].values()
        for volume in service.get("volumes", [])
        if volume.startswith(".")
    ]
    assert mounted == ["./compose/setup.py"]
    assert all((FILE.parent / path).is_file() for path in mounted)


def test_its_parts_make_a_service_that_takes_demands(
    compose: dict[str, Any], tmp_path: pathlib.Path
) -> None:
    service = compose["services"]["demand"]
    told = service["environment"]
    with moto() as endpoint:
        setup = [sys.executable, ROOT / "deploy" / "compose" / "setup.py", endpoint]
        # Twice: `docker compose up` runs it again beside a moto that was left running.
        for _ in range(2):
            subprocess.run(setup, check=True, capture_output=True, timeout=PATIENCE)
        # Only where moto is differs from the container's environment.
        variables = [
            {"name": name, "value": value.replace("http://moto:5000", endpoint)}
            for name, value in told.items()
        ]
        container = {"command": service["command"], "environment": variables}
        demand = Demand(container, endpoint, tmp_path)
        checked = demand.run("check")
        assert checked.returncode == 0, checked.stdout + checked.stderr
        with demand.serve() as url:
            ready = requests.get(f"{url}/health/ready", timeout=PATIENCE)
            assert ready.status_code == 200, ready.text
            posted = requests.post(f"{url}/demands", json=REQUEST, timeout=PATIENCE)
            assert posted.status_code == 201, posted.text
            assert until_over(url, "run-1", {})["status"] == "COMPLETED"


REQUEST = {
    "execution_id": "run-1",
    "execution_type": "shout",
    "execution_image": "public.ecr.aws/docker/library/bash:5",
    "execution_parameters": {
        "command": ["tr a-z A-Z < ${WORDS} > ${LOUD}"],
        "params": {"words": "s3://lab/words.txt", "loud": "loud.txt @ s3://lab/loud.txt"},
        "inputs": ["words"],
        "outputs": ["loud"],
    },
    "execution_platform": {"aws_batch": {"job_queue_name": "dev-compose-on-demand"}},
}
