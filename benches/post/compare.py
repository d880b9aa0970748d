#!/usr/bin/env python3
"""Compares what a POST costs two builds of the service, in CPU time of the service's process.

    benches/post/compare.py BEFORE AFTER [--rounds 5] [--demands 2000] [--plan]

BEFORE and AFTER are binaries. Each round starts both in turn, in local mode on a database of its
own, and sends the same demands one after another. The only slot for jobs is taken by one that
sleeps, so that no command runs: what is measured is answering, planning, storing and submitting;
with --plan answering and planning alone, of which anything added is a larger part.
"""

import argparse
import http.client
import json
import os
import signal
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

TICK = os.sysconf("SC_CLK_TCK")


def demand(number, command):
    return {
        "execution_id": f"demand-{number}",
        "execution_type": "benchmark",
        "execution_image": "alpine:3",
        "execution_parameters": {
            "command": [command],
            "params": {"reads": "s3://lab/reads.txt", "out": "out.txt @ s3://lab/out.txt"},
            "inputs": ["reads"],
            "outputs": ["out"],
        },
        "execution_metadata": {"user": "ada", "tags": {"project": "benchmark"}},
        "execution_platform": {"aws_batch": {"job_queue_name": "queue"}},
    }


def cpu(pid):
    """Seconds that all threads of the process have used, user and system."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICK


def post(connection, body, path="/demands"):
    connection.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
    answer = connection.getresponse()
    answer.read()
    assert answer.status in (200, 201), answer.status


def settled(pid):
    """The process's CPU time once it has nothing left to do."""
    used = cpu(pid)
    while True:
        time.sleep(1)
        now = cpu(pid)
        # An idle service still looks at its jobs now and then.
        if now - used < 0.03:
            return now
        used = now


def measure(binary, demands, path):
    """Microseconds of CPU that each of the demands cost."""
    with tempfile.TemporaryDirectory() as directory:
        service = subprocess.Popen(
            [binary, "serve", "--local", "--listen", "127.0.0.1:0", "--data-dir", directory],
            env={"PATH": os.environ["PATH"], "DEMAND_LOCAL__SLOTS": "1", "RUST_LOG": "info"},
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        )
        try:
            address = service.stdout.readline().removeprefix("listening on http://").strip()
            connection = http.client.HTTPConnection(address, timeout=60)
            sleeper = demand("sleeper", "sleep 600")
            sleeper["execution_parameters"] = {"command": ["sleep 600"]}
            post(connection, sleeper)
            for number in range(100):
                post(connection, demand(f"warm-{number}", "true"), path)
            before = settled(service.pid)
            for number in range(demands):
                post(connection, demand(number, "true"), path)
            after = settled(service.pid)
            # The job outlives the service, and would write into the directory as it goes.
            for method, path in [("POST", "/cancel"), ("GET", "?wait=50")]:
                connection.request(method, f"/demands/demand-sleeper{path}")
                connection.getresponse().read()
            return (after - before) / demands * 1e6
        finally:
            service.send_signal(signal.SIGTERM)
            service.wait(60)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("before", type=Path)
    parser.add_argument("after", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--demands", type=int, default=2000)
    parser.add_argument("--plan", action="store_true")
    options = parser.parse_args()
    path = "/demands/plan" if options.plan else "/demands"
    costs = {options.before: [], options.after: []}
    for round_number in range(options.rounds):
        # Who comes first changes, so that what warms up or fills up favours neither.
        order = list(costs) if round_number % 2 == 0 else list(costs)[::-1]
        for binary in order:
            cost = measure(binary.resolve(), options.demands, path)
            costs[binary].append(cost)
            print(f"round {round_number + 1}  {binary}  {cost:.0f} µs", flush=True)
    before, after = (statistics.median(costs[it]) for it in (options.before, options.after))
    ratios = [a / b for b, a in zip(costs[options.before], costs[options.after], strict=True)]
    print(f"medians: {before:.0f} µs, {after:.0f} µs; ratio of medians {after / before:.3f}, "
          f"of rounds {min(ratios):.3f} to {max(ratios):.3f}")


if __name__ == "__main__":
    main()
