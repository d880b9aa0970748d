"""The inside of a container: mounts a root, becomes a user, runs a command. `engine.py` starts this
in namespaces of its own, as root, and tells what as JSON."""

import ctypes
import fcntl
import json
import os
import socket
import struct
import subprocess
import sys

SETTINGS = json.loads(sys.argv[1])
ROOT = SETTINGS["root"]

# From Linux's headers.
PR_CAPBSET_DROP, PR_SET_NO_NEW_PRIVS = 24, 38
SIOCGIFFLAGS, SIOCSIFFLAGS, IFF_UP = 0x8913, 0x8914, 0x1


def mount(*arguments: str) -> None:
    subprocess.run(["mount", *arguments], check=True)


def main() -> None:
    mount("--make-rprivate", "/")
    mount("--bind", ROOT, ROOT)
    for device in SETTINGS["devices"]:
        mount("--bind", f"/dev/{device}", f"{ROOT}/dev/{device}")
    mount("--types", "proc", "proc", f"{ROOT}/proc")
    # As deploy/cloudformation/service.yaml has it.
    if SETTINGS["read_only"]:
        options = "size=64m,mode=1777,noexec,nosuid,nodev"
        mount("--types", "tmpfs", "--options", options, "tmpfs", f"{ROOT}/tmp")
    for path, source in SETTINGS["volumes"].items():
        if not os.path.exists(ROOT + path):
            os.makedirs(ROOT + path)
        mount("--bind", source, ROOT + path)
    if SETTINGS["read_only"]:
        mount("--options", "remount,bind,ro", ROOT)
    up("lo")

    os.chroot(ROOT)
    os.chdir("/")
    user, group = SETTINGS["user"]
    if user != 0:
        drop(user, group)
    command = SETTINGS["command"]
    os.execvpe(command[0], command, SETTINGS["environment"])


def up(interface: str) -> None:
    """A new network has loopback only, and that is down."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        request = struct.pack("16sh", interface.encode(), 0).ljust(40, b"\0")
        (flags,) = struct.unpack_from("h", fcntl.ioctl(control, SIOCGIFFLAGS, request), 16)
        request = struct.pack("16sh", interface.encode(), flags | IFF_UP).ljust(40, b"\0")
        fcntl.ioctl(control, SIOCSIFFLAGS, request)


def drop(user: int, group: int) -> None:
    """No capabilities, no way to new ones, and no longer root."""
    libc = ctypes.CDLL(None, use_errno=True)
    capability = 0
    # The kernel refuses the first number that it has no capability of.
    while libc.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) == 0:
        capability += 1
    os.setgroups([])
    os.setgid(group)
    os.setuid(user)
    if libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl")


main()
