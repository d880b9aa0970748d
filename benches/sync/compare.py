"""Runs the compared clients in turn, and prints a table of medians with ratios.

The server has one core, the client another. Every run is a process of its own that brings the
objects into an empty directory, or sends a directory to an empty prefix; what was dirty before is
flushed first. Afterwards the directory, or the server's sum of the prefix, must be what it should.
"""

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import time
from collections import defaultdict
from pathlib import Path
from urllib.request import urlopen

SERVER_CORE, CLIENT_CORE = 0, 1
KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30
SETS = {"small": (10_000, 4 * KIB), "medium": (200, 4 * MIB), "large": (1, 2 * GIB)}
LABELS = {"small": "10,000 × 4 KiB", "medium": "200 × 4 MiB", "large": "1 × 2 GiB"}
# One object at a time: a run of it says enough.
SLOW = "reference"
CEILING = "ceiling"
# What the compared clients get to see; completed once the server's address is known.
ENVIRONMENT = {}

REFERENCE = """
import sys
from pathlib import Path
from aibs_informatics_aws_utils.data_sync import sync_data
from aibs_informatics_core.models.aws.s3 import S3Path
at = lambda text: S3Path(text) if text.startswith("s3://") else Path(text)
sync_data(at(sys.argv[1]), at(sys.argv[2]), max_concurrency=25, delete=False)
"""


def commands(target, python):
    release = target / "release"
    venv = Path(python).parent

    def ceiling(source, destination, up, name):
        count, size = SETS[name]
        address = ENVIRONMENT["AWS_ENDPOINT_URL"].removeprefix("http://")
        server = release / "examples" / "benchmark-s3"
        return [server, "--ceiling", address, "up" if up else "down", str(count), str(size)]

    def rclone(source, destination, up, name):
        remote = lambda path: path.replace("s3://", "bench:")
        return ["rclone", "--config", "/dev/null", "--transfers", "25", "--checkers", "25",
                "--s3-no-check-bucket", "copy", remote(source), remote(destination)]

    return {
        "demand": lambda source, destination, *_: [release / "demand", "sync", source, destination],
        # s5cmd copies what a folder holds by a wildcard.
        "s5cmd": lambda source, destination, *_: [venv / "s5cmd", "--log", "error", "cp", f"{source}*", destination],
        "rclone": rclone,
        "reference": lambda source, destination, *_: [python, "-c", REFERENCE, source, destination],
        CEILING: ceiling,
    }


def run(command, log):
    """Runs a command on the client's core; answers its seconds, CPU seconds and peak MiB."""
    command = [str(word) for word in command]
    started = time.monotonic()
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=ENVIRONMENT,
        preexec_fn=lambda: os.sched_setaffinity(0, {CLIENT_CORE}))
    _, status, usage = os.wait4(process.pid, 0)
    elapsed = time.monotonic() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        log.seek(0)
        sys.exit(f"{command} ended with {process.returncode}:\n{log.read()[-4000:]}")
    return elapsed, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def files(directory):
    paths = [path for path in Path(directory).rglob("*") if path.is_file()]
    return {path.relative_to(directory).as_posix(): path for path in paths}


def check_tree(directory, source):
    """The directory holds the same files as the one that was made beforehand."""
    found, wanted = files(directory), files(source)
    if found.keys() != wanted.keys():
        sys.exit(f"{directory}: {len(found)} files where {len(wanted)} should be")
    for name, path in found.items():
        if not same(path, wanted[name]):
            sys.exit(f"{path} is not what it should be")


def same(one, other):
    with open(one, "rb") as one, open(other, "rb") as other:
        while True:
            here, there = one.read(MIB), other.read(MIB)
            if here != there:
                return False
            if not here:
                return True


def warm(directory):
    for path in files(directory).values():
        with open(path, "rb", buffering=0) as file:
            while file.read(MIB):
                pass


def sum_of(prefix):
    return urlopen(f"{ENVIRONMENT['AWS_ENDPOINT_URL']}/-/sum?prefix={prefix}").read().decode()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--target", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--tools", default="demand,s5cmd,rclone,reference,ceiling")
    parser.add_argument("--sets", default=",".join(SETS))
    parser.add_argument("--directions", default="down,up")
    parser.add_argument("--directory", type=Path, help="where files are written (default: below target/)")
    options = parser.parse_args()
    tools, sets = options.tools.split(","), options.sets.split(",")
    directory = options.directory or options.target / "benchmark"
    directory = directory.resolve()
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    target = options.target.resolve()

    server = subprocess.Popen(
        [target / "release" / "examples" / "benchmark-s3",
         *(f"{count}:{size}:{name}" for name, (count, size) in SETS.items() if name in sets)],
        stdout=subprocess.PIPE, text=True,
        preexec_fn=lambda: os.sched_setaffinity(0, {SERVER_CORE}))
    try:
        url = "http://" + server.stdout.readline().strip()
        ENVIRONMENT.update({
            # Nothing else of the caller's environment: a proxy or a profile would be measured too.
            "PATH": os.environ["PATH"], "HOME": str(directory),
            "AWS_ENDPOINT_URL": url, "AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret",
            "AWS_REGION": "us-east-1", "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true", "S3_ENDPOINT_URL": url,
            "RCLONE_CONFIG_BENCH_TYPE": "s3", "RCLONE_CONFIG_BENCH_PROVIDER": "Other",
            "RCLONE_CONFIG_BENCH_ENV_AUTH": "true", "RCLONE_CONFIG_BENCH_ENDPOINT": url,
        })
        results = measure(options, tools, sets, directory, commands(target, sys.executable))
    finally:
        server.terminate()
        shutil.rmtree(directory, ignore_errors=True)
    print_table(results, tools)


def measure(options, tools, sets, directory, commands):
    results = defaultdict(list)
    log = open(directory / "log", "w+")
    for name in sets:
        # The first download is also the source of the uploads, and what the others must equal.
        source = directory / "source" / name
        run(commands["demand"](f"s3://bench/down/{name}/", f"{source}/", False, name), log)
        for direction in options.directions.split(","):
            for round in range(options.rounds):
                # Interleaved, and each in turn first: what drifts on the machine hits all alike.
                for tool in tools[round % len(tools):] + tools[:round % len(tools)]:
                    if tool == SLOW and round > 0:
                        continue
                    up = direction == "up"
                    prefix = f"up/{tool}-{round}-{name}/"
                    copy = directory / f"{direction}-{name}-{round}-{tool}"
                    copy.mkdir()
                    os.sync()
                    if up:
                        # rclone drops from the page cache what it has read; all find it there.
                        warm(source)
                    ends = [f"{source}/", f"s3://bench/{prefix}"] if up else [f"s3://bench/down/{name}/", f"{copy}/"]
                    result = run(commands[tool](*ends, up, name), log)
                    results[direction, name, tool].append(result)
                    print(f"{direction:4} {name:6} {tool:9} {result[0]:7.2f} s  {result[1]:7.2f} s of CPU  {result[2]:6.0f} MiB",
                          file=sys.stderr, flush=True)
                    if tool == CEILING:
                        continue
                    if up and sum_of(prefix) != sum_of(f"down/{name}/"):
                        sys.exit(f"{prefix} holds {sum_of(prefix)}")
                    if not up and round == 0:
                        check_tree(copy, source)
                    if name == "large":
                        # Many small files stay until the end: ext4 looks long for an inode
                        # where many were deleted a moment ago.
                        shutil.rmtree(copy)
    return results


def print_table(results, tools):
    print("| | " + " | ".join(tools) + " | s5cmd ÷ demand |")
    print("|---" * (len(tools) + 2) + "|")
    cells = dict.fromkeys((direction, name) for direction, name, _ in results)
    for what, column, form in (("", 0, "{:.2f} s"), ("peak memory, ", 2, "{:.0f} MiB")):
        for direction, name in cells:
            median = {tool: statistics.median(run[column] for run in results[direction, name, tool])
                      for tool in tools if results[direction, name, tool]}
            row = [form.format(median[tool]) if tool in median else "" for tool in tools]
            ratio = f"{median['s5cmd'] / median['demand']:.2f} ×" if {"s5cmd", "demand"} <= median.keys() else ""
            print(f"| {what}{LABELS[name]} {direction} | " + " | ".join(row) + f" | {ratio} |")


if __name__ == "__main__":
    main()
