"""A service in local mode whose callers need a token, for the suites that drive clients of others."""

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

# What the service's log has where it failed a request.
FAILURES = ("a request failed", "panicked")


@dataclass
class Guarded:
    """Where it answers, a token for it, and the directory that all of it is in."""

    url: str
    token: str
    directory: Path


@contextmanager
def guarded(demand: Path, name: str, scopes: list[str]) -> Iterator[Guarded]:
    """Starts one by the binary, with a token of this name and these scopes, and ends it. A request
    that failed in it, by what its log tells, ends this process with 1."""
    # A client that failed may leave a job at work there.
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as directory:
        tokens = Path(directory) / "tokens.json"
        granted = [argument for scope in scopes for argument in ("--scope", scope)]
        token = subprocess.run(
            [demand, "token", "new", name, *granted, "--tokens-file", tokens],
            check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True).stdout.strip()
        with open(Path(directory) / "log", "w+") as log:
            service = subprocess.Popen(
                [demand, "serve", "--local", "--listen", "127.0.0.1:0", "--data-dir", "data",
                 "--tokens-file", tokens],
                cwd=directory, stdout=subprocess.PIPE, stderr=log, text=True)
            try:
                url = service.stdout.readline().removeprefix("listening on ").strip()
                yield Guarded(url, token, Path(directory))
            finally:
                service.terminate()
                service.wait()
            log.seek(0)
            failed = [line for line in log if any(words in line for words in FAILURES)]
    if failed:
        sys.stdout.writelines(failed)
        sys.exit(1)
