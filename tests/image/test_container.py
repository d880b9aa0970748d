"""Containers of the image: another user, a read-only root, no capabilities, a network of their own.

None of them reaches AWS: `tests/run deploy` has a service that does.
"""

import contextlib
import json
import pathlib
import shutil
import subprocess
import sys
from collections.abc import Iterator

import pytest
import trustme

from conftest import Built
from engine import Container, Image, libraries
from image import FINAL, ROOT

CERTIFICATES = "/etc/ssl/certs/ca-certificates.crt"
SETTINGS = {
    "DEMAND_ENV_BASE": "dev-image",
    "DEMAND_ALLOWED_HOSTS": "localhost,127.0.0.1",
    "DEMAND_AUTH__TOKENS_FILE": "/data/tokens.json",
    "DEMAND_DATA_SYNC__IMAGE": "demand:1",
    "AWS_REGION": "us-west-2",
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "testing",
    "AWS_EC2_METADATA_DISABLED": "true",
    # Nobody listens there.
    "AWS_ENDPOINT_URL": "http://127.0.0.1:9",
}


@pytest.fixture
def data(image: Image, tmp_path: pathlib.Path) -> pathlib.Path:
    """A new volume: an engine gives it the owner and mode that its directory has in the image."""
    volume = tmp_path / "data"
    volume.mkdir()
    as_in_image = (image.root / "data").stat()
    shutil.chown(volume, as_in_image.st_uid, as_in_image.st_gid)
    volume.chmod(as_in_image.st_mode)
    return volume


@contextlib.contextmanager
def serve(
    image: Image, data: pathlib.Path, extra: dict[str, pathlib.Path] | None = None
) -> Iterator[Container]:
    """The image's own command, once it listens."""
    volumes = {"/data": data, **(extra or {})}
    command = FINAL.words("CMD")
    with image.start(command, environment=SETTINGS, volumes=volumes) as container:
        container.wait_for(f"listening on http://0.0.0.0:{FINAL.one('EXPOSE')}")
        yield container


def test_the_program_needs_no_library_that_the_base_has_not(built: Built) -> None:
    """Debian's slim images have libc6 and libgcc-s1, since their other programs need them."""
    needed = libraries(built.path("/src/target/release/demand"))
    names = {library.name.partition(".so")[0] for library in needed}
    assert {name.partition("-")[0] for name in names} <= {"ld", "libc", "libgcc_s", "libm"}


def test_it_does_not_start_before_somebody_says_who_may_call(
    image: Image, data: pathlib.Path
) -> None:
    settings = {
        name: value for name, value in SETTINGS.items() if not name.startswith("DEMAND_AUTH__")
    }
    volumes = {"/data": data}
    ran = image.run(FINAL.words("CMD"), environment=settings, volumes=volumes)
    assert ran.returncode == 2, ran.stdout + ran.stderr
    assert "tokens" in ran.stderr, ran.stderr


def test_the_service_lives_and_ends_when_asked(image: Image, data: pathlib.Path) -> None:
    before = files(image.root)
    with serve(image, data) as container:
        healthy = container.exec(FINAL.words("HEALTHCHECK"))
        assert healthy.returncode == 0, healthy.stdout + healthy.stderr
        ready = container.exec(["demand", "health"])
        assert ready.returncode == 1, "AWS does not answer, which is no reason to end it"

        made = container.exec(["demand", "token", "new", "ana", "--scope", "demands:read"])
        assert made.returncode == 0, made.stderr
        assert container.exec(["demand", "list"]).returncode != 0
        listed = container.exec(["demand", "list"], {"DEMAND_TOKEN": made.stdout.strip()})
        assert listed.returncode == 0, listed.stderr

        script = "while read -r line; do echo $line; done < /proc/1/status"
        status = container.exec(["sh", "-c", script])
        for line in ["Uid: 1000 1000 1000 1000", "CapBnd: 0000000000000000", "NoNewPrivs: 1"]:
            assert line in status.stdout.splitlines(), status.stdout
        left = container.exec(["sh", "-c", "echo /tmp/* /tmp/.[!.]*"])
        assert left.stdout == "/tmp/* /tmp/.[!.]*\n"
        assert container.stop() == 0
    written = sorted(str(path.relative_to(data)) for path in data.rglob("*"))
    kept = ["demand.sqlite3", "demand.sqlite3.lock", "tokens.json", "tokens.json.lock"]
    assert written == kept
    assert files(image.root) == before


def test_the_worker_does_what_a_job_tells_it(image: Image, tmp_path: pathlib.Path) -> None:
    """The call that submits `stage_in`, as the document's example has it, with its input on EFS."""
    plan = json.loads((ROOT / "openapi/examples/plan.json").read_text())
    (step,) = [step for step in plan["submission"]["steps"] if step["step"] == "stage_in"]
    overrides = step["submit_job"]["containerOverrides"]
    environment = {each["name"]: each["value"] for each in overrides["environment"]}
    task = environment["DEMAND_TASK"].replace("s3://lab/words.txt", "/opt/efs/shared/words.txt")
    register = step["job_definition"]["register"]["containerProperties"]
    volumes = {}
    for mount in register["mountPoints"]:
        volume = tmp_path / mount["sourceVolume"]
        volume.mkdir()
        shutil.chown(volume, *image.user())
        volumes[mount["containerPath"]] = volume
    (volumes["/opt/efs/shared"] / "words.txt").write_text("hello\n")

    environment["DEMAND_TASK"] = task
    ran = image.run(overrides["command"], environment=environment, volumes=volumes)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    scratch = volumes["/opt/efs/scratch"]
    destination = json.loads(task)["data_sync_requests"][0]["destination_path"]
    brought = scratch / destination.partition(":/scratch/")[2]
    assert brought.read_text() == "hello\n"
    assert (scratch / "shout-1" / ".demand.env").is_file()


def test_nothing_else_can_be_written(image: Image, data: pathlib.Path) -> None:
    directories = [
        f"/{path.relative_to(image.root)}"
        for path in [image.root, *image.root.rglob("*")]
        if path.is_dir() and not path.is_symlink()
    ]
    script = 'for each; do if [ -w "$each" ]; then echo "$each"; fi; done'
    ran = image.run(["sh", "-c", script, "sh", *directories], volumes={"/data": data})
    assert ran.returncode == 0, ran.stderr
    assert sorted(ran.stdout.split()) == ["/data", "/tmp"]
    # Without a read-only root neither, but for what Debian lets everybody write.
    ran = image.run(
        ["sh", "-c", script, "sh", *directories], volumes={"/data": data}, read_only=False
    )
    assert sorted(ran.stdout.split()) == ["/data", "/tmp", "/var/tmp"]


SERVER = """
import http.server, ssl, sys

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        print(self.path, flush=True)
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

server = http.server.HTTPServer(("127.0.0.1", 8443), Handler)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(sys.argv[1])
server.socket = context.wrap_socket(server.socket, server_side=True)
print("listening", flush=True)
server.serve_forever()
"""


@pytest.mark.parametrize("trusted", [True, False])
def test_certificates_are_looked_for_where_the_image_has_them(
    image: Image, data: pathlib.Path, tmp_path: pathlib.Path, trusted: bool
) -> None:
    authority = trustme.CA()
    bundle, certificate = tmp_path / "bundle.pem", tmp_path / "certificate.pem"
    authority.cert_pem.write_to_path(bundle)
    authority.issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(certificate)
    with serve(image, data, {CERTIFICATES: bundle} if trusted else None) as container:
        server = subprocess.Popen(
            [*container.enter("--net"), sys.executable, "-c", SERVER, certificate],
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        try:
            assert server.stdout is not None and server.stdout.readline() == "listening\n"
            url = "https://localhost:8443"
            asked = container.exec(["demand", "health", "--live", "--url", url])
            assert (asked.returncode == 0) == trusted, asked.stdout + asked.stderr
            # The AWS SDK has a client of its own.
            endpoint = {"AWS_ENDPOINT_URL": url}
            container.exec(["demand", "sync", "s3://lab/words", "/data/words"], endpoint)
        finally:
            server.kill()
        called = server.stdout.read().split()
    assert any(path.startswith("/health/live") for path in called) == trusted
    assert any(path.startswith("/lab") for path in called) == trusted, called


def files(root: pathlib.Path) -> set[tuple[str, int]]:
    return {
        (str(path.relative_to(root)), path.lstat().st_mtime_ns)
        for path in root.rglob("*")
        if not path.is_dir()
    }
