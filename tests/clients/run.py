"""Makes clients of openapi/openapi.json by generators that are in common use, checks their types,
and lets a program with each of them work with the running service.

    python tests/clients/run.py DEMAND

DEMAND is the binary. What is generated lies in target/clients, and is kept until the document, a
generator or this file changes.
"""

import hashlib
import os
import re
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent.resolve()
sys.path.append(str(HERE.parent))

from guarded import guarded  # noqa: E402

CHECKOUT = HERE.parent.parent
DOCUMENT = CHECKOUT / "openapi/openapi.json"
# The programs name this place, so it does not move with CARGO_TARGET_DIR.
GENERATED = CHECKOUT / "target/clients"
BUILT = Path(os.environ.get("CARGO_TARGET_DIR", CHECKOUT / "target")).resolve() / "clients"
PYTHON = Path(sys.executable)
NODE_TOOLS = HERE / "openapi-typescript/node_modules/.bin"
# Far beyond what a program takes; reaching it means that something hangs.
PATIENCE = 120

# What generators print when all is well. That openapi-generator makes up a name is only
# information to it; here it is a type that the document should have named.
ORDINARY = [
    r"✨ openapi-typescript ",
    r"🚀 .* → ",
    r"Generating /",
    r"\[main\] INFO  (?!.*Inline schema created)",
    r"#",
    r"$",
]

# Warnings that are not about anything to be mended here.
EXPECTED = {
    "OpenAPI 3.1 support is still in beta": "said of every document of 3.1",
    "Failed to get the schema name: null": "said of every document that has a schema",
    "type cannot be used as a field/variable name": "RFC 9457 and AWS name it so; it is r#type",
    "self cannot be used as a field/variable name": "a link's usual name; it is param_self",
    "vec<string> cannot be used as a field/variable name": "no name in the crate comes of it",
    "cannot be used as a model name. Renamed to ApplicationSlash": "no media type is a model",
    "cannot be used as a model name. Renamed to TextSlash": "no media type is a model",
}

# pydantic's at import: its models have a method of this name, which nobody calls.
REGISTER = 'ignore:Field name "register" in "JobDefinition" shadows:UserWarning'


@dataclass
class Client:
    """A generator, what checks its client and the program, and the program."""

    name: str
    generate: list
    check: list
    program: list

    def source(self):
        return HERE / self.name

    def generated(self):
        return GENERATED / self.name

    def environment(self):
        # openapi-python-client calls ruff by name.
        return os.environ | {
            "PATH": f"{PYTHON.parent}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": str(self.generated()),
            "MYPYPATH": str(self.generated()),
            "PYTHONDONTWRITEBYTECODE": "1",
            "RUSTFLAGS": "--deny warnings",
        }


def openapi_generator(generator, output, **options):
    return [
        PYTHON.parent / "openapi-generator-cli", "generate", "--generator-name", generator,
        "--input-spec", DOCUMENT, "--output", output,
        "--global-property", "apiDocs=false,modelDocs=false,apiTests=false,modelTests=false",
        "--additional-properties", ",".join(f"{key}={value}" for key, value in options.items()),
    ]


def mypy(program, cache):
    return [PYTHON, "-m", "mypy", "--config-file", HERE / "mypy.ini", "--cache-dir", cache, program]


def clients():
    name = "openapi-typescript"
    yield Client(
        name,
        [NODE_TOOLS / "openapi-typescript", DOCUMENT, "--root-types",
         "--root-types-no-schema-prefix", "--output", GENERATED / name / "demand-api.d.ts"],
        [NODE_TOOLS / "tsc", "--project", HERE / name],
        ["node", GENERATED / name / "example.js"],
    )

    name = "openapi-python-client"
    program = HERE / name / "example.py"
    yield Client(
        name,
        [PYTHON.parent / "openapi-python-client", "generate", "--path", DOCUMENT, "--meta", "none",
         "--config", HERE / name / "config.yaml", "--fail-on-warning",
         "--output-path", GENERATED / name / "demand_client"],
        mypy(program, BUILT / f"mypy-{name}"),
        [PYTHON, "-W", "error", program],
    )

    name = "openapi-generator-python"
    program = HERE / name / "example.py"
    yield Client(
        name,
        openapi_generator("python", GENERATED / name, packageName="demand_client",
                          generateSourceCodeOnly="true"),
        mypy(program, BUILT / f"mypy-{name}"),
        [PYTHON, "-W", "error", "-W", REGISTER, program],
    )

    name = "openapi-generator-rust"
    yield Client(
        name,
        # Of one version, which Cargo.lock has; without TLS, which loopback does not need.
        openapi_generator("rust", GENERATED / name, packageName="demand-client",
                          packageVersion="0.0.0", library="reqwest", reqwestDefaultFeatures="",
                          avoidBoxedModels="true", preferUnsignedInt="true",
                          useSingleRequestParameter="true"),
        ["cargo", "build", "--locked", "--manifest-path", HERE / name / "Cargo.toml",
         "--target-dir", BUILT / "build"],
        [BUILT / "build/debug/demand-client-example"],
    )


class Failed(Exception):
    """Why a client is no good."""


def run(command, environment, timeout=None):
    """What a command prints; it must succeed."""
    try:
        ended = subprocess.run(
            command, cwd=CHECKOUT, env=environment, check=False, timeout=timeout,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, encoding="utf-8")
    except subprocess.TimeoutExpired as hung:
        raise Failed(f"it does not end within {timeout} s") from hung
    if ended.returncode != 0:
        raise Failed(f"{Path(command[0]).name} ended with {ended.returncode}:\n{ended.stdout}")
    return ended.stdout


def generate(client):
    """Makes the client, unless what would make it has made it already."""
    stamp = client.generated() / "stamp"
    if stamp.exists() and stamp.read_text() == made_of():
        return
    shutil.rmtree(client.generated(), ignore_errors=True)
    client.generated().mkdir(parents=True)
    printed = run(client.generate, client.environment())
    warnings = [
        line for line in printed.splitlines()
        if not any(re.match(ordinary, line) for ordinary in ORDINARY)
        and not any(expected in line for expected in EXPECTED)
    ]
    if warnings:
        raise Failed("\n".join(["the generator says what is not expected:", *warnings]))
    packages = client.source() / "node_modules"
    if packages.exists():
        # Node looks for them from where the compiled program is.
        (client.generated() / "node_modules").symlink_to(packages)
    stamp.write_text(made_of())


def made_of():
    """A hash of all that decides what is generated."""
    sources = [DOCUMENT, Path(__file__), HERE / "requirements.txt",
               HERE / "openapi-typescript/package-lock.json",
               HERE / "openapi-python-client/config.yaml"]
    return hashlib.sha256(b"".join(source.read_bytes() for source in sources)).hexdigest()


def prepare(client):
    generate(client)
    run(client.check, client.environment())


def work(client, url, token):
    environment = client.environment() | {"DEMAND_URL": url, "DEMAND_TOKEN": token}
    run(client.program, environment, timeout=PATIENCE)


def succeeds(client, what, action, *arguments):
    """Whether it does; tells how long it took, or why it fails."""
    started = time.monotonic()
    try:
        action(client, *arguments)
    except Failed as why:
        print(f"{client.name}: {why}", flush=True)
        return False
    print(f"{client.name}: {what} in {time.monotonic() - started:.1f} s", flush=True)
    return True


def main():
    demand = Path(sys.argv[1]).resolve()
    made = list(clients())
    with ThreadPoolExecutor() as threads:
        prepared = list(threads.map(lambda client: succeeds(client, "made", prepare), made))
    if not all(prepared):
        sys.exit(1)

    with guarded(demand, "clients", ["demands:read", "demands:write"]) as service:
        worked = [succeeds(client, "worked", work, service.url, service.token) for client in made]
    sys.exit(0 if all(worked) else 1)


main()
