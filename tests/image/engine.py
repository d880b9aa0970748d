"""What a container engine does with an image, as far as these tests need it: namespaces, mounts and
a user, by unshare(1), nsenter(1) and `container.py`."""

import contextlib
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import typing
from dataclasses import dataclass, field

from image import FINAL

PATIENCE = 60
"""Seconds; far beyond what anything here takes."""
UNSHARE = ["unshare", "--mount", "--net", "--pid", "--ipc", "--uts", "--fork", "--kill-child"]
DEVICES = ["null", "random", "urandom", "zero"]
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""As Debian's images set it."""


def missing() -> str | None:
    """Why there can be no containers here, if so."""
    if os.geteuid() != 0:
        return "only root can start processes as another user in a root of their own"
    tried = subprocess.run([*UNSHARE, "true"], capture_output=True, text=True, check=False)
    return f"no namespaces here: {tried.stderr}" if tried.returncode else None


@dataclass
class Image:
    root: pathlib.Path

    def base(self, programs: list[str], binary: pathlib.Path) -> None:
        """What of Debian's image is used here: a shell, `programs`, and the libraries they need.

        Those of `binary` are held to what the image has, see `libraries`.
        """
        for directory in ["dev", "etc", "proc", "root", "tmp", "usr/local/bin", "var/tmp"]:
            (self.root / directory).mkdir(parents=True)
        # mkdtemp's 0700 is not what `/` has.
        self.root.chmod(0o755)
        for directory in ["tmp", "var/tmp"]:
            (self.root / directory).chmod(0o1777)
        for directory in ["bin", "lib", "lib64", "sbin"]:
            (self.root / "usr" / directory).mkdir()
            (self.root / directory).symlink_to(f"usr/{directory}")
        for device in DEVICES:
            (self.root / "dev" / device).touch()
        (self.root / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/bash\n")
        # An engine brings this one.
        (self.root / "etc/hosts").write_text("127.0.0.1 localhost\n")
        (self.root / "etc/group").write_text("root:x:0:\n")
        for secret in ["shadow", "gshadow"]:
            (self.root / "etc" / secret).touch(0o640)
        for program in ["sh", *programs]:
            found = shutil.which(program, path=PATH)
            assert found, program
            self.add(pathlib.Path(found), found)
            self.add_libraries(pathlib.Path(found))
        self.add_libraries(binary)

    def add_libraries(self, program: pathlib.Path) -> None:
        for library in libraries(program):
            self.add(library, str(library))

    def add(self, file: pathlib.Path, destination: str) -> None:
        target = self.root / destination.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, target)

    def environment(self, user: int) -> dict[str, str]:
        """What every process has, beside what it is told."""
        entries = (self.root / "etc/passwd").read_text().splitlines()
        (home,) = [entry.split(":")[5] for entry in entries if entry.split(":")[2] == str(user)]
        return {"PATH": PATH, "HOME": home, **FINAL.pairs("ENV")}

    def user(self) -> tuple[int, int]:
        user, group = FINAL.one("USER").split(":")
        return int(user), int(group)

    def command(
        self,
        command: list[str],
        *,
        user: tuple[int, int] | None = None,
        read_only: bool = True,
        environment: dict[str, str] | None = None,
        volumes: dict[str, pathlib.Path] | None = None,
    ) -> list[str]:
        """Runs `command` as PID 1 of a container. `volumes` by where they are mounted."""
        user = user or self.user()
        settings = {
            "root": str(self.root),
            "devices": DEVICES,
            "read_only": read_only,
            "volumes": {path: str(source) for path, source in (volumes or {}).items()},
            "user": user,
            "environment": self.environment(user[0]) | (environment or {}),
            "command": command,
        }
        program = pathlib.Path(__file__).with_name("container.py")
        return [*UNSHARE, sys.executable, str(program), json.dumps(settings)]

    def run(self, command: list[str], **settings: object) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(command, **settings),
            text=True,
            capture_output=True,
            timeout=PATIENCE,
            check=False,
        )

    def start(self, command: list[str], **settings: object) -> "Container":
        log = tempfile.TemporaryFile("w+")
        process = subprocess.Popen(
            self.command(command, **settings), text=True, stdout=subprocess.PIPE, stderr=log
        )
        return Container(self, process, log, settings.get("environment") or {})


@dataclass
class Container:
    image: Image
    process: subprocess.Popen[str]
    log: typing.TextIO
    """What it writes to standard error."""
    environment: dict[str, str] = field(default_factory=dict)

    def __enter__(self) -> "Container":
        return self

    def __exit__(self, *_: object) -> None:
        # What becomes another user loses the signal that --kill-child has set for it (prctl(2)).
        for child in self.children():
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
        self.process.kill()
        self.process.wait(PATIENCE)
        self.log.close()

    def wait_for(self, line: str) -> None:
        """Its next line of output is to be this."""
        assert self.process.stdout is not None
        told = self.process.stdout.readline()
        self.log.seek(0)
        assert told == f"{line}\n", told + self.log.read()

    def pid(self) -> int:
        """Of its first process, as this machine sees it."""
        deadline = time.monotonic() + PATIENCE
        while not (found := self.children()):
            assert time.monotonic() < deadline and self.process.poll() is None
            time.sleep(0.01)
        return found[0]

    def children(self) -> list[int]:
        parent = self.process.pid
        try:
            found = pathlib.Path(f"/proc/{parent}/task/{parent}/children").read_text()
        except OSError:  # It has ended.
            return []
        return [int(child) for child in found.split()]

    def enter(self, *namespaces: str) -> list[str]:
        return ["nsenter", "--target", str(self.pid()), *namespaces]

    def exec(
        self, command: list[str], environment: dict[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """As `docker exec` does."""
        user, group = self.image.user()
        namespaces = ["--mount", "--net", "--pid", "--ipc", "--uts", "--root"]
        return subprocess.run(
            [*self.enter(*namespaces), "--setuid", str(user), "--setgid", str(group), *command],
            env=self.image.environment(user) | self.environment | (environment or {}),
            text=True,
            capture_output=True,
            timeout=PATIENCE,
            check=False,
        )

    def stop(self) -> int:
        """Its exit code, once it was asked to end as `docker stop` asks."""
        os.kill(self.pid(), signal.Signals[FINAL.one("STOPSIGNAL")])
        return self.process.wait(PATIENCE)


def libraries(program: pathlib.Path) -> list[pathlib.Path]:
    """The shared libraries it is linked to, the loader among them."""
    told = subprocess.run(["ldd", program], text=True, capture_output=True, check=True).stdout
    words = [word for line in told.splitlines() for word in line.split()]
    return [pathlib.Path(word) for word in words if word.startswith("/")]
