"""The time from the command to the first keyframe on disk."""

import json
import os
import select
import signal
import subprocess
import time

import pipeline
from measure import NotMeasured, Row

# Seconds between two looks for the file: the precision of the times.
LOOK = 0.0005
# The most seconds that a start may take.
LIMIT = 10


def run(binaries, folder, quick):
    count = 8 if quick else 30
    cold = [cold_start(binaries, folder / f"cold-{number}") for number in range(count)]
    file = pipeline.write(folder / "warm", pipeline.MOTION)
    bench = [binaries / "examples/bench", "warm-start", file, str(count)]
    warm = json.loads(subprocess.run(bench, check=True, stdout=subprocess.PIPE).stdout)
    on_disk = [times["on disk"] for times in cold]
    return [
        Row("cold start: keyframe on disk, p50", "ms", on_disk, aim=250),
        Row("cold start: keyframe on disk, p99", "ms", on_disk, percentile=99),
        Row("cold start: of this, until the folder is there", "ms", [times["began"] for times in cold]),
        Row("cold start: of this, worker and first frame", "ms", [t["on disk"] - t["began"] for t in cold]),
        Row("warm start: keyframe on disk, p50", "ms", warm, aim=50),
        Row("warm start: keyframe on disk, p99", "ms", warm, percentile=99),
    ]


def cold_start(binaries, folder):
    """Milliseconds from the start of the process to its report, and until the first fragment has its name."""
    file = pipeline.write(folder, pipeline.MOTION)
    command = [binaries / "deskreel", "record", file, "--json"]
    start = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.PIPE)
    try:
        times, fragment, text = {}, None, b""
        while "on disk" not in times:
            told, _, _ = select.select([process.stdout], [], [], LOOK)
            now = (time.monotonic() - start) * 1e3
            if fragment is not None and os.path.exists(fragment):
                times["on disk"] = now
            if told:
                read = os.read(process.stdout.fileno(), 1 << 16)
                if not read:
                    raise NotMeasured("deskreel ended before it recorded")
                *lines, text = (text + read).split(b"\n")
                for event in map(json.loads, lines):
                    times.setdefault(event["event"], now)
                    if event["event"] == "began":
                        fragment = os.path.join(event["folder"], "video/part-0001/000001.m4s")
            if now > LIMIT * 1e3:
                raise NotMeasured(f"no keyframe within {LIMIT} s")
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=LIMIT)
        return times
    finally:
        process.kill()
        process.wait()
