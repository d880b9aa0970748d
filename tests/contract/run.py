"""Puts generated requests, good and bad, to the running service, and holds every answer to the
OpenAPI document.

    python tests/contract/run.py DEMAND [MAX_EXAMPLES [SCHEMATHESIS OPTION …]]

DEMAND is the binary. The seed is fixed, so that a run can be repeated; `--seed N` takes another.
"""

import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path.append(str(HERE.parent))

from guarded import guarded  # noqa: E402


def main():
    demand = Path(sys.argv[1]).resolve()
    examples = sys.argv[2] if len(sys.argv) > 2 else "300"
    with guarded(demand, "contract", ["demands:admin"]) as service:
        tested = subprocess.run(
            [Path(sys.executable).parent / "schemathesis", "--config-file",
             HERE / "schemathesis.toml", "run", f"{service.url}/openapi.json",
             "--header", f"Authorization: Bearer {service.token}", "--max-examples", examples,
             "--seed", "1", "--continue-on-failure", "--request-timeout", "60",
             *sys.argv[3:]],
            cwd=service.directory, check=False)
    sys.exit(tested.returncode)


main()
