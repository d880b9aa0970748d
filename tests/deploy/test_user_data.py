"""What the instance does at its first start, with a file in the volume's place.

Paths are moved below a directory, and programs that change a machine only say what they were told;
blkid and mkfs.ext4 are the real ones.
"""

import base64
import os
import pathlib
import shutil
import subprocess

import pytest

from conftest import Account

STUB = '#!/bin/bash\necho "$(basename "$0") $*" >> {log}\n'
NEEDED = [name for name in ("blkid", "mkfs.ext4") if shutil.which(name, path="/usr/sbin:/sbin") is None]

pytestmark = pytest.mark.skipif(
    bool(NEEDED), reason=f"missing: {', '.join(NEEDED)} (Debian: util-linux, e2fsprogs)"
)


class Machine:
    """A directory that the script takes for its machine."""

    def __init__(self, account: Account, root: pathlib.Path):
        self.root = root
        volume = account.outputs["storage"]["DataVolumeId"]
        self.volume = volume
        script = _user_data(account)
        for path in ("/etc/", "/var/lib/demand", "/usr/local/bin/", "/dev/disk/", "/opt/aws/"):
            script = script.replace(path, f"{root}{path}")
        self.script = script
        for directory in (
            "etc/ecs",
            "etc/systemd/system",
            "usr/local/bin",
            "dev/disk/by-id",
            "opt/aws/bin",
            "stubs",
        ):
            (root / directory).mkdir(parents=True)
        self.log = root / "log"
        self.log.touch()
        for name in ("aws", "dnf", "systemctl", "mount", "resize2fs", "chown", "sleep"):
            self.stub(name)
        self.stub("curl", "echo i-0123456789abcdef0\n")
        self.stub("cfn-signal", directory="opt/aws/bin")
        name = f"nvme-Amazon_Elastic_Block_Store_{volume.replace('-', '')}"
        self.device = root / "dev/disk/by-id" / name
        with self.device.open("wb") as device:
            device.truncate(32 << 20)

    def stub(self, name: str, more: str = "", directory: str = "stubs") -> None:
        path = self.root / directory / name
        path.write_text(STUB.format(log=self.log) + more)
        path.chmod(0o755)

    def start(self) -> tuple[int, list[str]]:
        """The script's exit status, and what it had done."""
        ended = subprocess.run(
            ["bash", "-c", self.script],
            env={"PATH": f"{self.root}/stubs:{os.environ['PATH']}:/usr/sbin:/sbin"},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        return ended.returncode, self.log.read_text().splitlines()

    def label(self) -> str:
        told = subprocess.run(
            ["/usr/sbin/blkid", "-s", "LABEL", "-o", "value", str(self.device)],
            capture_output=True,
            text=True,
            check=False,
        )
        return told.stdout.strip()


def _user_data(account: Account) -> str:
    ec2 = account.client("ec2")
    template = account.resources("service")["LaunchTemplate"]
    (version,) = ec2.describe_launch_template_versions(
        LaunchTemplateId=template, Versions=["$Latest"]
    )["LaunchTemplateVersions"]
    return base64.b64decode(version["LaunchTemplateData"]["UserData"]).decode()


def _signals(done: list[str]) -> list[str]:
    return [line.split()[2] for line in done if line.startswith("cfn-signal")]


@pytest.fixture
def machine(account: Account, tmp_path: pathlib.Path) -> Machine:
    return Machine(account, tmp_path)


def test_an_empty_volume_is_formatted_mounted_and_given_to_the_service(machine: Machine) -> None:
    status, done = machine.start()
    assert status == 0 and _signals(done) == ["0"], done
    assert machine.label() == "demand-data"
    (fstab,) = (machine.root / "etc/fstab").read_text().splitlines()
    assert fstab.startswith("UUID=") and f"{machine.root}/var/lib/demand ext4" in fstab
    mounted = done.index(f"mount {machine.root}/var/lib/demand")
    given = done.index(f"chown 1000:1000 {machine.root}/var/lib/demand")
    assert mounted < given
    attached = [line for line in done if line.startswith("aws ec2 attach-volume")]
    assert len(attached) == 1 and machine.volume in attached[0]
    config = (machine.root / "etc/ecs/ecs.config").read_text()
    assert config.startswith("ECS_CLUSTER=dev-marmot-demand-service-Cluster-")


def test_a_volume_with_data_is_not_formatted_again(machine: Machine) -> None:
    subprocess.run(
        ["/usr/sbin/mkfs.ext4", "-q", "-L", "before", str(machine.device)], check=True
    )
    before = machine.device.read_bytes()
    status, done = machine.start()
    assert status == 0 and _signals(done) == ["0"]
    assert machine.device.read_bytes() == before


def test_what_is_no_file_system_is_left_as_it_is(machine: Machine) -> None:
    """Such as a partition table: somebody put it there."""
    with machine.device.open("r+b") as device:
        device.seek(446)
        device.write(bytes.fromhex("80200021830000000008000000f00000"))
        device.seek(510)
        device.write(b"\x55\xaa")
    before = machine.device.read_bytes()
    machine.stub("mount", "exit 32\n")
    status, done = machine.start()
    assert status != 0 and _signals(done) == ["1"], done
    assert machine.device.read_bytes() == before


def test_a_volume_that_cannot_be_read_is_not_taken_for_an_empty_one(machine: Machine) -> None:
    machine.stub("blkid", "exit 4\n")
    status, done = machine.start()
    assert status != 0 and _signals(done) == ["1"]
    assert machine.device.read_bytes() == bytes(32 << 20)


def test_it_waits_for_the_instance_before_it_to_let_go(machine: Machine) -> None:
    tries = machine.root / "tries"
    machine.stub("aws", f'echo x >> {tries}; [ "$(wc -l < {tries})" -ge 3 ] || exit 254\n')
    status, done = machine.start()
    assert status == 0 and _signals(done) == ["0"]
    assert done.count("sleep 10") == 2


def test_without_its_volume_the_service_never_starts(machine: Machine) -> None:
    machine.stub("aws", "exit 254\n")
    status, done = machine.start()
    assert status != 0 and _signals(done) == ["1"]
    assert not any(line.startswith("mount") for line in done)
    guard = machine.root / "etc/systemd/system/ecs.service.d/data-volume.conf"
    assert f"ConditionPathIsMountPoint={machine.root}/var/lib/demand" in guard.read_text()


def test_the_volume_s_timer_tells_how_full_it_is(machine: Machine) -> None:
    status, _ = machine.start()
    assert status == 0
    script = machine.root / "usr/local/bin/demand-data-volume"
    ran = subprocess.run(
        [str(script)],
        env={"PATH": f"{machine.root}/stubs:{os.environ['PATH']}"},
        check=False,
    )
    assert ran.returncode == 0
    (told,) = [line for line in machine.log.read_text().splitlines() if "put-metric-data" in line]
    assert "--namespace Demand --metric-name DataVolumeUsed" in told
    assert "--dimensions EnvBase=dev-marmot" in told
    assert told.rsplit(" ", 1)[1].isdigit()
