"""Loading plugins: reading and hashing a library, then loading it and comparing its binary interface."""

import json
import subprocess

from measure import Row

PLUGINS = 20


def run(binaries, folder, quick):
    load = [binaries / "examples/bench", "load-plugins", str(PLUGINS)]
    runs = [json.loads(subprocess.run(load, check=True, capture_output=True).stdout) for _ in range(3 if quick else 10)]
    sums = [[sum(times) for times in run] for run in runs]
    return [
        Row("plugins: first of a process", "ms", [run[0] for run in sums], aim=5),
        Row(f"plugins: each of {PLUGINS}", "ms", [time for run in sums for time in run], aim=5),
        Row(f"plugins: slowest of {PLUGINS}", "ms", [max(run) for run in sums], aim=5),
        Row("plugins: of each, until it is read and hashed", "ms", [examine for run in runs for examine, _ in run]),
    ]
