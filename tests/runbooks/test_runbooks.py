"""Each runbook of deploy/README.md: its trouble is provoked, what it says is seen, and its cure
cures."""

import concurrent.futures
import pathlib
import shutil
import sqlite3
import subprocess
import uuid

import pytest
import requests

import handbook
import proxy
from handbook import holds
from lab import PATIENCE, Lab, demand, until

HEADINGS = [
    "Stuck RUNNABLE",
    "Throttled",
    "Image unavailable",
    "EFS mount failed",
    "Job lost",
    "Disk full",
    "Queue disabled",
    "Database locked",
    "Expired credentials",
    "A flood of demands",
]


def test_there_is_one_for_each_trouble_and_each_is_whole() -> None:
    assert list(handbook.runbooks()) == HEADINGS
    for heading, text in handbook.runbooks().items():
        parts = [part for part in handbook.PARTS if f"**{part}**" in text]
        assert parts == handbook.PARTS, heading
        assert handbook.rows(heading)


def has_event(lab: Lab, execution_id: str, kind: str) -> bool:
    return any(event["type"] == kind for event in lab.events(execution_id))


def status_of(lab: Lab, execution_id: str) -> str:
    """The first step's."""
    return lab.document(execution_id)["steps"][0]["status"]


def test_stuck_runnable(lab: Lab) -> None:
    """One slot, and a command in it that goes on: no room, as without instances."""
    with lab.service():
        lab.submit(demand("occupier", "sleep 1000"))
        until("the slot is taken", lambda: status_of(lab, "occupier") == "RUNNING")
        lab.submit(demand("stuck"))
        until("it waits", lambda: status_of(lab, "stuck") == "RUNNABLE")
        lab.look("stuck")
        lab.seen.add("demand list", lab.cli("list", "--status", "IN_PROGRESS").stdout)
        holds("Stuck RUNNABLE", lab.seen, lab.before)
        assert lab.cli("cancel", "occupier").returncode == 0
        assert lab.ended("stuck")["status"] == "COMPLETED"
        assert lab.ended("occupier")["status"] == "ABORTED"


def test_throttled(lab: Lab) -> None:
    lab.proxy.rule = proxy.throttled
    with lab.service():
        lab.submit(demand("throttled"))
        until("it is deferred", lambda: has_event(lab, "throttled", "submission_deferred"))
        lab.look("throttled")
        holds("Throttled", lab.seen, lab.before)
        lab.proxy.rule = proxy.nothing
        assert lab.ended("throttled")["status"] == "COMPLETED"


def test_image_unavailable(lab: Lab) -> None:
    with lab.service():
        lab.submit(demand("no-image", execution_image="unavailable/tool:1"))
        assert lab.ended("no-image")["status"] == "FAILED"
        lab.look("no-image")
        holds("Image unavailable", lab.seen, lab.before)


def test_efs_mount_failed(lab: Lab) -> None:
    """The stand-in mounts nothing outside of its directory, and its file system loses its mount
    target."""
    efs = lab.aws.client("efs")
    (system,) = efs.describe_file_systems()["FileSystems"]
    (target,) = efs.describe_mount_targets(FileSystemId=system["FileSystemId"])["MountTargets"]
    elsewhere = {"access_point": "scratch", "container_path": "/opt/elsewhere"}
    with lab.service():
        lab.submit(demand("no-mount", file_system_configurations={"scratch": [elsewhere]}))
        assert lab.ended("no-mount")["status"] == "FAILED"
        lab.look("no-mount")
        efs.delete_mount_target(MountTargetId=target["MountTargetId"])
        lab.seen.add("demand check", lab.cli("check").stdout)
        holds("EFS mount failed", lab.seen, lab.before)
        efs.create_mount_target(FileSystemId=system["FileSystemId"], SubnetId=target["SubnetId"])
        assert lab.cli("check").returncode == 0


def test_job_lost(lab: Lab) -> None:
    """Batch says of a job that runs that it knows none such."""
    with lab.service():
        lab.submit(demand("lost", "sleep 1000"))
        until("it runs", lambda: status_of(lab, "lost") == "RUNNING")
        lab.proxy.rule = proxy.forgetful
        lost = lab.ended("lost")
        assert lost["status"] == "FAILED"
        lab.look("lost")
        holds("Job lost", lab.seen, lab.before)
        lab.proxy.rule = proxy.nothing
        batch = lab.aws.client("batch")
        for step in lost["steps"]:
            batch.terminate_job(jobId=step["job_id"], reason="lost")


def test_queue_disabled(lab: Lab) -> None:
    batch = lab.aws.client("batch")
    batch.update_job_queue(jobQueue="queue", state="DISABLED")
    try:
        with lab.service():
            lab.submit(demand("refused"))
            assert lab.ended("refused")["status"] == "FAILED"
            lab.look("refused")
            lab.seen.add("demand check", lab.cli("check").stdout)
            holds("Queue disabled", lab.seen, lab.before)
            batch.update_job_queue(jobQueue="queue", state="ENABLED")
            assert lab.cli("retry", "--wait", "refused").returncode == 0
            until("it is ready", lab.ready)
    finally:
        batch.update_job_queue(jobQueue="queue", state="ENABLED")


def test_database_locked(lab: Lab) -> None:
    with lab.service():
        second = lab.cli("serve")
        assert second.returncode == 1
        lab.seen.add("second service", second.stderr)
        other = sqlite3.connect(lab.database, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        posted = requests.post(f"{lab.url}/demands", json=demand("locked-out"), timeout=PATIENCE)
        lab.seen.add("answer", f"{posted.status_code} {posted.text}")
        lab.look_at_service()
        holds("Database locked", lab.seen, lab.before)
        other.execute("ROLLBACK")
        until("it is ready", lab.ready)
        lab.submit(demand("let-in"))
        assert lab.ended("let-in")["status"] == "COMPLETED"
    other.close()


def test_expired_credentials(lab: Lab) -> None:
    with lab.service():
        lab.submit(demand("under-way", "sleep 1000"))
        until("it runs", lambda: status_of(lab, "under-way") == "RUNNING")
        lab.proxy.rule = proxy.expired
        lab.submit(demand("waits"))
        until("it is deferred", lambda: has_event(lab, "waits", "submission_deferred"))
        until("observing fails", lambda: "observing failed" in lab.log())
        until("events fail", lambda: "no events for now" in lab.log())
        lab.look("waits")
        lab.seen.add("demand check", lab.cli("check").stdout)
        holds("Expired credentials", lab.seen, lab.before)
        lab.proxy.rule = proxy.nothing
        assert lab.cli("cancel", "under-way").returncode == 0
        assert lab.ended("waits")["status"] == "COMPLETED"
        assert lab.ended("under-way")["status"] == "ABORTED"


def test_a_flood_of_demands(lab: Lab) -> None:
    """More requests at once than are taken, and more jobs than there are slots."""

    def post(number: int) -> tuple[int, str]:
        body = demand(f"flood-{number}")
        # One connection each, closed at once: idle ones would keep others from being accepted.
        with requests.post(f"{lab.url}/demands", json=body, timeout=PATIENCE) as posted:
            headers = "\n".join(f"{name}: {value}" for name, value in posted.headers.items())
            return posted.status_code, f"{posted.status_code}\n{headers}\n{posted.text}"

    with lab.service(DEMAND_HTTP__MAX_CONCURRENCY="4"):
        with concurrent.futures.ThreadPoolExecutor(16) as pool:
            answers = list(pool.map(post, range(200)))
        lab.look_at_service()
        taken = [number for number, (status, _) in enumerate(answers) if status == 201]
        lab.seen.add("answer", next(text for status, text in answers if status != 201))
        lab.seen.add("demand list", lab.cli("list", "--phase", "ACCEPTED").stdout)
        holds("A flood of demands", lab.seen, lab.before)
        assert taken
        for number in taken:
            assert lab.ended(f"flood-{number}")["status"] == "COMPLETED"


SMALL_DISK = """
set -eu
mount -t tmpfs -o size=16m tmpfs "$1"
shift
exec "$@"
"""
UNSHARED = ["unshare", "--map-root-user", "--mount"]


def may_mount() -> bool:
    if shutil.which("unshare") is None:
        return False
    tried = [*UNSHARED, "mount", "-t", "tmpfs", "tmpfs", "/mnt"]
    return subprocess.run(tried, capture_output=True, check=False).returncode == 0


class Disk:
    """A small disk with the database on it, in a mount namespace of the service's own."""

    def __init__(self, lab: Lab):
        self.lab = lab
        self.path = lab.directory / "data"
        self.path.mkdir()
        lab.database = self.path / "demand.sqlite3"
        self.before = [*UNSHARED, "bash", "-c", SMALL_DISK, "bash", str(self.path)]

    def fill(self) -> pathlib.Path:
        """Puts a file there that leaves no room. The namespace is reached by the process in it."""
        assert self.lab.process is not None
        ballast = pathlib.Path(f"/proc/{self.lab.process.pid}/root{self.path}/ballast")
        with ballast.open("wb", buffering=0) as file:
            try:
                while True:
                    file.write(bytes(4096))
            except OSError:
                pass
        return ballast

    def refused(self) -> str | None:
        """The answer to a demand, if it is none of success: the write-ahead log has room for some."""
        request = demand(f"full-{uuid.uuid4().hex}")
        posted = requests.post(f"{self.lab.url}/demands", json=request, timeout=PATIENCE)
        return f"{posted.status_code} {posted.text}" if posted.status_code >= 500 else None


mounts = pytest.mark.skipif(not may_mount(), reason="this user may not mount")


@mounts
def test_disk_full(lab: Lab) -> None:
    disk = Disk(lab)
    with lab.service(*disk.before):
        disk.fill()
        lab.seen.add("answer", until("a demand is refused", disk.refused))
        lab.look_at_service()
        holds("Disk full", lab.seen, lab.before)


@mounts
def test_it_recovers_by_itself_once_there_is_room_again(lab: Lab) -> None:
    disk = Disk(lab)
    with lab.service(*disk.before):
        ballast = disk.fill()
        until("a demand is refused", disk.refused)
        ballast.unlink()
        until("it is ready", lab.ready, patience=3)
