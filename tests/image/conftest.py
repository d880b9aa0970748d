"""The image's two stages, made of this machine's files: there need be no container engine here."""

import os
import pathlib
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

import engine
from image import BUILD, FINAL, ROOT, Copy, reached

LONG_AGO = 978_307_200
"""The beginning of 2001: a clone may be older than a cached layer."""


@dataclass
class Built:
    directory: pathlib.Path
    """The stage's working directory."""
    outputs: list[str] = field(default_factory=list)
    """What each RUN printed."""

    def path(self, path: str) -> pathlib.Path:
        """A path of the stage; what is outside of its working directory is this machine's."""
        inside = pathlib.PurePosixPath(path)
        workdir = BUILD.one("WORKDIR")
        if not inside.is_relative_to(workdir):
            return pathlib.Path(path)
        relative = str(inside.relative_to(workdir))
        return self.directory / relative.replace("target/release", "target/debug")


def as_quick(command: str) -> str:
    """A build without optimizations, which the other suites have the dependencies of.

    `--test aws` is there for its features, those that `cargo test` builds with: without it, most
    dependencies would be built once more.
    """
    return command.replace("--release", "--test aws")


@pytest.fixture(scope="session")
def built() -> Built:
    """The stage `build`, its instructions carried out one by one in a directory of its own.

    Other than in an image: this machine's toolchain, in a quick build. Dependencies come from the
    checkout's target directory (`build.build-dir`); the binary does not go there.
    """
    shared = (ROOT / os.environ.get("CARGO_TARGET_DIR", "target")).resolve()
    # Always the same place, for cargo names what it makes by it, and would leave it behind there.
    directory = shared / "image" / "src"
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    stage = Built(directory)
    environment = {key: value for key, value in os.environ.items() if key != "CARGO_TARGET_DIR"}
    environment |= {
        "CARGO_BUILD_BUILD_DIR": str(shared),
        "CARGO_INCREMENTAL": "0",
        "CARGO_PROFILE_DEV_DEBUG": "none",
        "CARGO_TERM_COLOR": "never",
    }
    for instruction, value in BUILD.instructions:
        if instruction == "COPY":
            copy_of_context(Copy.parse(value), directory)
        elif instruction == "RUN":
            ran = subprocess.run(
                ["sh", "-c", as_quick(value)],
                cwd=directory,
                env=environment,
                text=True,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                check=False,
            )
            assert ran.returncode == 0, f"RUN {value}\n{ran.stdout}"
            stage.outputs.append(ran.stdout)
        elif instruction == "ENV":
            environment |= BUILD.pairs("ENV")
        else:
            assert instruction == "WORKDIR", f"these tests know nothing of {instruction} there"
    return stage


def copy_of_context(copy: Copy, directory: pathlib.Path) -> None:
    for source in copy.sources:
        is_file = (ROOT / source).is_file()
        into = f"{copy.destination}/{source}" if is_file else copy.destination
        files = reached(Copy([source], copy.destination, None))
        assert files, f"COPY {source}: the context has none"
        for path in files:
            target = directory / (into + path.removeprefix(source))
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / path, target)
            os.utime(target, (LONG_AGO, LONG_AGO))


@pytest.fixture(scope="session")
def image(built: Built, tmp_path_factory: pytest.TempPathFactory) -> Iterator[engine.Image]:
    """The last stage, on a stand-in for its base."""
    if reason := engine.missing():
        pytest.skip(reason)
    binary = built.path("/src/target/release/demand")
    image = engine.Image(tmp_path_factory.mktemp("image"))
    image.base([command[0] for command in FINAL.runs()], binary)
    for instruction, value in FINAL.instructions:
        if instruction == "COPY":
            copy = Copy.parse(value)
            assert copy.stage == BUILD.name
            for source in copy.sources:
                image.add(built.path(source), copy.destination)
        elif instruction == "RUN":
            ran = image.run(["sh", "-c", value], user=(0, 0), read_only=False)
            assert ran.returncode == 0, ran.stdout + ran.stderr
    yield image
