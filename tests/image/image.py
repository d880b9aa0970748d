"""The Dockerfile and what `docker build` would send with it, read as Docker reads them."""

import json
import pathlib
import re
import shlex
import subprocess
from dataclasses import dataclass, field

from dockerfile_parse import DockerfileParser

ROOT = pathlib.Path(__file__).parents[2]
FILE = ROOT / "Dockerfile"
RUN_LAST = {"CMD", "ENTRYPOINT", "HEALTHCHECK", "STOPSIGNAL", "USER", "EXPOSE", "VOLUME"}
"""What says how a container is run, rather than what is in it."""


@dataclass
class Stage:
    base: str
    name: str
    instructions: list[tuple[str, str]] = field(default_factory=list)

    def all(self, instruction: str) -> list[str]:
        return [value for name, value in self.instructions if name == instruction]

    def one(self, instruction: str) -> str:
        (value,) = self.all(instruction)
        return value

    def pairs(self, instruction: str) -> dict[str, str]:
        """Of ENV, ARG or LABEL."""
        words = [word for value in self.all(instruction) for word in shlex.split(value)]
        return dict(word.split("=", 1) for word in words)

    def words(self, instruction: str) -> list[str]:
        """Of what is written as a JSON array, without options and keyword before it."""
        value = self.one(instruction)
        return json.loads(value[value.index("[") :])

    def runs(self) -> list[list[str]]:
        """The words of each command in RUN; commands are put together by `&&` alone."""
        return [
            shlex.split(command) for value in self.all("RUN") for command in value.split("&&")
        ]


@dataclass
class Copy:
    sources: list[str]
    destination: str
    stage: str | None

    @classmethod
    def parse(cls, value: str) -> "Copy":
        words = value.split()
        stage = None
        while words[0].startswith("--"):
            option, _, told = words.pop(0).partition("=")
            assert option == "--from", f"these tests know nothing of COPY {option}"
            stage = told
        return cls(words[:-1], words[-1], stage)


def stages() -> list[Stage]:
    with FILE.open("rb") as file:
        structure = DockerfileParser(fileobj=file).structure
    arguments: dict[str, str] = {}
    found: list[Stage] = []
    for each in structure:
        name, value = each["instruction"], each["value"]
        if name == "FROM":
            value = re.sub(r"\$\{(\w+)\}", lambda named: arguments[named[1]], value)
            base, _, stage = value.partition(" AS ")
            found.append(Stage(base, stage))
        elif name != "COMMENT" and found:
            found[-1].instructions.append((name, value))
        elif name == "ARG":
            key, _, default = value.partition("=")
            arguments[key] = default
    return found


BUILD, FINAL = stages()


def ignored(path: str) -> bool:
    """By .dockerignore: the last pattern counts that matches the path or a directory above it."""
    parents = [str(parent) for parent in pathlib.PurePosixPath(path).parents][:-1]
    verdict = False
    for line in (ROOT / ".dockerignore").read_text().splitlines():
        pattern = line.strip()
        if not pattern or pattern.startswith("#"):
            continue
        kept = pattern.startswith("!")
        expression = re.escape(pattern.lstrip("!").strip("/"))
        expression = expression.replace(r"\*\*/", "(.*/)?").replace(r"\*\*", ".*")
        expression = expression.replace(r"\*", "[^/]*").replace(r"\?", "[^/]")
        if any(re.fullmatch(expression, each) for each in [path, *parents]):
            verdict = not kept
    return verdict


def tracked() -> list[str]:
    """What a clone has, as it is in the work tree."""
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, text=True, capture_output=True, check=True
    )
    return [path for path in listed.stdout.split("\0") if path and (ROOT / path).is_file()]


def context() -> list[str]:
    """What COPY can reach in a clone."""
    return [path for path in tracked() if not ignored(path)]


def reached(copy: Copy) -> list[str]:
    """The files of the context that this copies."""
    return [
        path
        for path in context()
        if any(path == source or path.startswith(f"{source}/") for source in copy.sources)
    ]
