"""The table of settings in deploy/README.md has every key of deploy/demand.toml, with its default."""

import re

import pytest

from templates import ROOT

EXAMPLE = re.compile(r"\bexamples?\b", re.IGNORECASE)


def settings() -> dict[str, str]:
    """Defaults by key, as the file has them: `none` where what it has is an example."""
    found: dict[str, str] = {}
    section, comment, of_section = "", "", ""
    for line in (ROOT / "deploy" / "demand.toml").read_text().splitlines():
        if header := re.fullmatch(r"#?\[([\w.]+)\]", line):
            section = f"{header[1]}."
            # What is said of a section is said of its keys, as far as they say nothing themselves.
            of_section, comment = comment, ""
        elif pair := re.fullmatch(r"(#?)(\w+) = (.+)", line):
            told = comment or of_section
            is_required = not pair[1]
            default = "required" if is_required else "none" if EXAMPLE.search(told) else pair[3]
            found[section + pair[2]] = default
        elif line.startswith("# "):
            comment += line
        elif not line:
            comment = ""
    return found


def table() -> dict[str, str]:
    text = (ROOT / "deploy" / "README.md").read_text()
    (rows,) = re.findall(r"^\| key \| default .*\n\|.*\n((?:\|.*\n)+)", text, re.MULTILINE)
    cells = [re.split(r"(?<!\\) \| ", row.strip("| \n")) for row in rows.splitlines()]
    return {cell[0].strip("`"): cell[1].strip("`") for cell in cells}


def test_every_key_is_in_the_table_and_no_other() -> None:
    assert list(table()) == list(settings())


@pytest.mark.parametrize("key", settings())
def test_the_table_tells_its_default(key: str) -> None:
    assert table()[key] == settings()[key]
