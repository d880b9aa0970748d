"""The stage `build`: what COPY brings suffices, and dependencies are a layer of their own."""

import re
import shlex
import subprocess

from conftest import Built
from image import ROOT, context
from test_dockerfile import PACKAGE


def test_what_is_copied_makes_the_program(built: Built) -> None:
    binary = built.path("/src/target/release/demand")
    told = subprocess.run([binary, "--version"], text=True, capture_output=True, check=True)
    assert told.stdout.strip() == f"demand {PACKAGE['version']}"


def test_it_is_made_of_nothing_else(built: Built) -> None:
    """Of no file outside of the copy, for one, though the checkout is all around it here."""
    dependencies = built.path("/src/target/release/demand.d").read_text()
    _, _, listed = dependencies.partition(": ")
    made_of = {path.removeprefix(f"{built.directory}/") for path in shlex.split(listed)}
    assert {"src/main.rs", "openapi/description.md"} <= made_of
    assert made_of <= set(context()), made_of - set(context())
    # sqlx reads the whole directory.
    migrations = [path for path in context() if path.startswith("migrations/")]
    assert migrations and len(migrations) == len(list((ROOT / "migrations").iterdir()))


def test_sources_change_nothing_in_the_layer_of_dependencies(built: Built) -> None:
    dependencies, program = built.outputs
    assert PACKAGE["name"] in crates(dependencies)
    assert crates(program) == [PACKAGE["name"]]


def crates(output: str) -> list[str]:
    return re.findall(r"^ *Compiling (\S+) ", output, re.MULTILINE)
