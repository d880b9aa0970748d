"""Puts generated requests, good and bad, to the running service, and holds every answer to the
OpenAPI document.

    python tests/contract/run.py DEMAND [MAX_EXAMPLES [SCHEMATHESIS OPTION …]]

DEMAND is the binary. The seed is fixed, so that a run can be repeated; `--seed N` takes another.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent


def main():
    demand = Path(sys.argv[1]).resolve()
    examples = sys.argv[2] if len(sys.argv) > 2 else "300"
    with tempfile.TemporaryDirectory() as directory:
        tokens = Path(directory) / "tokens.json"
        token = subprocess.run(
            [demand, "token", "new", "contract", "--scope", "demands:admin", "--tokens-file", tokens],
            check=True, stdout=subprocess.PIPE, text=True).stdout.strip()
        log = open(Path(directory) / "log", "w+")
        service = subprocess.Popen(
            [demand, "serve", "--local", "--listen", "127.0.0.1:0", "--data-dir", "data",
             "--tokens-file", tokens],
            cwd=directory, stdout=subprocess.PIPE, stderr=log, text=True)
        try:
            url = service.stdout.readline().removeprefix("listening on ").strip()
            tested = subprocess.run(
                [Path(sys.executable).parent / "schemathesis", "--config-file",
                 HERE / "schemathesis.toml", "run", f"{url}/openapi.json",
                 "--header", f"Authorization: Bearer {token}", "--max-examples", examples,
                 "--seed", "1", "--continue-on-failure", "--request-timeout", "60",
                 *sys.argv[3:]],
                cwd=directory, check=False)
        finally:
            service.terminate()
            service.wait()
        log.seek(0)
        failed = [line for line in log if "a request failed" in line or "panicked" in line]
    sys.stdout.writelines(failed)
    sys.exit(tested.returncode or (1 if failed else 0))


main()
