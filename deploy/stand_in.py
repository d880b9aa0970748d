"""A stand-in for AWS on this machine, whose jobs run as processes, and the settings of a service on
it: to try the service, and to practise the runbooks of deploy/README.md.

    python deploy/stand_in.py DIRECTORY [--demand PROGRAM] [OPTION …]

Needs what tests/requirements.txt lists. Keeps everything below DIRECTORY, and writes there `aws.env`
(the variables that lead the service and the AWS CLI to it) and `demand.toml` (the service's
configuration). Options are those of tests/moto/server.py, such as `--slots 1`. It serves until it is
interrupted or terminated, and ends its jobs then; AWS's side of the state is in its memory.
"""

import argparse
import json
import pathlib
import signal
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
ENV_BASE = "dev-here"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("directory", type=pathlib.Path)
    parser.add_argument("--demand", type=pathlib.Path, default=ROOT / "target" / "debug" / "demand")
    arguments, options = parser.parse_known_args()
    if not arguments.demand.is_file():
        parser.error(f"there is no {arguments.demand}: build it (cargo build), or name it (--demand)")
    directory = arguments.directory.resolve()
    directory.mkdir(parents=True, exist_ok=True)
    # Both signals end the wait below; the end of its input then ends the server, with its jobs.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    server = subprocess.Popen(
        [
            sys.executable,
            ROOT / "tests" / "moto" / "server.py",
            *("--root", directory, "--demand", arguments.demand.resolve()),
            *("--env-base", ENV_BASE, "--event-queue", "demand-events"),
            *options,
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        # Ctrl-C is for this script alone.
        start_new_session=True,
    )
    assert server.stdin and server.stdout
    try:
        endpoint = server.stdout.readline().removeprefix("listening on ").strip()
        seeded = server.stdout.readline()
        if not seeded:
            sys.exit(server.wait())
        variables, settings = _environment(endpoint), _settings(directory, json.loads(seeded))
        (directory / "aws.env").write_text(variables)
        (directory / "demand.toml").write_text(settings)
        print(f"standing in for AWS at {endpoint}")
        print(f"wrote {directory}/aws.env and {directory}/demand.toml", flush=True)
        server.wait()
    except KeyboardInterrupt:
        pass
    finally:
        server.stdin.close()
        server.wait()


def _environment(endpoint: str) -> str:
    return (
        f"export AWS_ENDPOINT_URL={endpoint} AWS_REGION=us-west-2 AWS_DEFAULT_REGION=us-west-2\n"
        "export AWS_ACCESS_KEY_ID=testing AWS_SECRET_ACCESS_KEY=testing\n"
        "export AWS_EC2_METADATA_DISABLED=true AWS_PAGER=\n"
    )


def _settings(directory: pathlib.Path, seeded: dict) -> str:
    def volume(role: str) -> str:
        """Mounts are directories of this machine."""
        name, path = seeded["file_system"]["name"], directory / "efs" / role
        candidate = {"file_system": name, "access_point": role, "container_path": str(path)}
        pairs = ", ".join(f"{key} = {json.dumps(value)}" for key, value in candidate.items())
        return f"[{{ {pairs} }}]"

    return f"""\
env_base = "{ENV_BASE}"
listen = "127.0.0.1:8080"

[store]
path = {json.dumps(str(directory / "demand.sqlite3"))}

[lifecycle]
# The stand-in shows a job as soon as it has one.
look_up_grace = "2s"

[data_sync]
image = "demand"

[batch]
job_queues = {json.dumps(list(seeded["queues"]))}
events_queue_url = "{seeded["event_queue_url"]}"

[file_system_configurations]
scratch = {volume("scratch")}
shared = {volume("shared")}
tmp = []
"""


if __name__ == "__main__":
    main()
