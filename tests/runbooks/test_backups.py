"""What deploy/README.md says of backups, done."""

import shutil
import signal
import sqlite3
import subprocess
import threading

import pytest
import requests

import proxy
from lab import PATIENCE, Lab, demand, until


class Load:
    """Demands, one after another, until the end of the block."""

    def __init__(self, lab: Lab):
        self.lab = lab
        self.taken: list[str] = []
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._post)

    def __enter__(self) -> "Load":
        self._thread.start()
        until("some are taken", lambda: len(self.taken) >= 5)
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join(PATIENCE)

    def _post(self) -> None:
        number = 0
        while not self._over.wait(0.02):
            request = demand(f"load-{number}")
            number += 1
            try:
                posted = requests.post(f"{self.lab.url}/demands", json=request, timeout=PATIENCE)
            except requests.ConnectionError:
                return  # the service was killed
            if posted.status_code == 201:
                self.taken.append(request["execution_id"])


@pytest.mark.parametrize("how", ["VACUUM INTO", ".backup"])
def test_a_backup_under_load_is_restored_and_what_is_in_it_ends(lab: Lab, how: str) -> None:
    backup = lab.directory / "backup.sqlite3"
    lab.start()
    with Load(lab) as load:
        source = sqlite3.connect(lab.database)
        if how == "VACUUM INTO":
            source.execute("VACUUM INTO ?", [str(backup)])
        else:
            with sqlite3.connect(backup) as target:
                source.backup(target)
            target.close()
        source.close()
        lab.stop(signal.SIGKILL)
    copy = sqlite3.connect(backup)
    assert copy.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    kept = {row[0] for row in copy.execute("SELECT execution_id FROM demands")}
    copy.close()
    assert kept
    for part in lab.directory.glob("demand.sqlite3*"):
        part.unlink()
    shutil.copy(backup, lab.database)
    with lab.service():
        for execution_id in kept:
            assert lab.ended(execution_id)["status"] == "COMPLETED"
        for execution_id in set(load.taken) - kept:
            # What came after it is not known, and can be sent again.
            lab.submit(demand(execution_id))
            assert lab.ended(execution_id)["status"] == "COMPLETED"


def test_what_was_submitted_after_the_backup_runs_twice(lab: Lab) -> None:
    """Unless its first jobs are ended, as the handbook says."""
    backup, ran = lab.directory / "backup.sqlite3", lab.directory / "ran"
    lab.proxy.rule = proxy.throttled
    with lab.service():
        lab.submit(demand("twice", f"echo ran >> {ran}"))
        # Its intent alone would be looked up by the job's name, and the job be adopted.
        until("it is deferred", lambda: "submission_deferred" in str(lab.events("twice")))
        source = sqlite3.connect(lab.database)
        source.execute("VACUUM INTO ?", [str(backup)])
        lab.proxy.rule = proxy.nothing
        assert lab.ended("twice")["status"] == "COMPLETED"
    source.close()
    for part in lab.directory.glob("demand.sqlite3*"):
        part.unlink()
    shutil.copy(backup, lab.database)
    with lab.service():
        assert lab.ended("twice")["status"] == "COMPLETED"
    assert ran.read_text() == "ran\nran\n"


def test_who_looks_at_the_database_beside_the_service_loses_nothing(lab: Lab) -> None:
    lab.start()
    until("the preflight is over", lambda: "preflight: what the service needs is there" in lab.log())
    lab.submit(demand("before"))
    assert lab.ended("before")["status"] == "COMPLETED"
    look = ["sqlite3", str(lab.database), "SELECT count(*) FROM demands"]
    if shutil.which("sqlite3"):
        subprocess.run(look, check=True, capture_output=True, timeout=PATIENCE)
    else:
        other = sqlite3.connect(lab.database)
        other.execute("SELECT count(*) FROM demands").fetchone()
        other.close()
    lab.submit(demand("after"))
    lab.stop(signal.SIGKILL)
    with lab.service():
        answer = requests.get(f"{lab.url}/demands/after", timeout=PATIENCE)
        assert answer.status_code == 200, answer.text
