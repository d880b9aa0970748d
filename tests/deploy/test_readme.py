"""The commands of deploy/README.md fit the templates."""

import re
import subprocess

import pytest

import templates

README = templates.ROOT / "deploy" / "README.md"
BLOCKS = re.findall(r"^```sh\n(.*?)^```", README.read_text(), re.MULTILINE | re.DOTALL)


def test_every_block_is_bash() -> None:
    for block in BLOCKS:
        parsed = subprocess.run(
            ["bash", "-n"], input=block, text=True, capture_output=True, check=False
        )
        assert parsed.returncode == 0, f"{block}{parsed.stderr}"


@pytest.mark.parametrize("name", templates.ORDER)
def test_each_template_is_deployed_with_what_it_requires(name: str) -> None:
    file = f"--template-file deploy/cloudformation/{name}.yaml"
    (command,) = [block for block in BLOCKS if file in block]
    command = command[command.index("aws cloudformation deploy") :].replace("\\\n", " ")
    command = command.splitlines()[0]
    template = templates.load(name)
    given = set(re.findall(r"(\w+)=", command[command.index("--parameter-overrides") :]))
    required = {key for key, each in template["Parameters"].items() if "Default" not in each}
    assert given == required
    types = {resource["Type"] for resource in template["Resources"].values()}
    has_roles = any(type_.startswith("AWS::IAM::") for type_ in types)
    assert ("--capabilities CAPABILITY_IAM" in command) == has_roles


def test_outputs_and_parameters_it_names_are_there() -> None:
    text = README.read_text()
    loaded = {name: templates.load(name) for name in templates.ORDER}
    for name, output in re.findall(rf"\boutput ({'|'.join(templates.ORDER)}) (\w+)", text):
        assert output in loaded[name]["Outputs"], output
    table = text[text.index("| parameter | template |") : text.index("What has no parameter")]
    for row in table.strip().splitlines()[2:]:
        parameters, name = row.split("|")[1:3]
        for parameter in re.findall(r"`(\w+)`", parameters):
            assert parameter in loaded[name.strip()]["Parameters"], parameter


def test_files_it_links_to_are_there() -> None:
    for link in re.findall(r"\]\(([^)#]+)\)", README.read_text()):
        if not link.startswith("https://"):
            assert (README.parent / link).exists(), link


@pytest.mark.parametrize("name", templates.ORDER)
def test_templates_are_small_enough_to_be_sent_without_a_bucket(name: str) -> None:
    """https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/cloudformation-limits.html"""
    assert (templates.DIRECTORY / f"{name}.yaml").stat().st_size <= 51_200
