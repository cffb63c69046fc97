"""The cost of Deskreel beyond GStreamer: the same elements with the same properties, recorded by `deskreel` into synced
and hashed fragments, and by gst-launch-1.0 into a fragmented MP4."""

import json
import shlex
import subprocess

import pipeline
from measure import NotMeasured, Row, cost, ratios

FPS = 30


def run(binaries, folder, quick):
    seconds, rounds = (8, 2) if quick else (20, 5)
    file = pipeline.write(folder, pipeline.MOTION)
    elements = launch_line(binaries, file, seconds * FPS)
    to_file = ["!", "mp4mux", "fragment-duration=1000", "!", "filesink", f"location={folder / 'launch.mp4'}"]
    launch = ["gst-launch-1.0", "-q", *elements]
    ours, mp4, nowhere = [], [], []
    for number in range(rounds):
        ours.append(record(binaries, folder / str(number), seconds))
        mp4.append((cost([*launch, *to_file]), seconds * FPS))
        nowhere.append((cost([*launch, "!", "fakesink"]), seconds * FPS))

    def cpu(runs):
        return [cost.cpu / frames * 1e3 for cost, frames in runs]

    def over(measure, runs):
        return [measure(a) - measure(b) for (a, _), (b, _) in zip(ours, runs)]

    return [
        Row("motion: CPU a frame, deskreel", "ms", cpu(ours)),
        Row("motion: CPU a frame, gst-launch to mp4mux", "ms", cpu(mp4)),
        Row("motion: CPU a frame, gst-launch to fakesink", "ms", cpu(nowhere)),
        ratios("motion: CPU, deskreel / gst-launch to mp4mux", cpu(ours), cpu(mp4), aim=1.03),
        ratios("motion: CPU, deskreel / gst-launch to fakesink", cpu(ours), cpu(nowhere)),
        Row("motion: resident, deskreel", "MB", [cost.steady_rss() for cost, _ in ours]),
        Row("motion: resident, gst-launch to mp4mux", "MB", [cost.steady_rss() for cost, _ in mp4]),
        Row("motion: resident above gst-launch", "MB", over(lambda c: c.steady_rss(), mp4), aim=25),
        Row("motion: resident at the peak above gst-launch", "MB", over(lambda c: max(c.rss), mp4), aim=25),
        Row("motion: the same, shared pages shared out", "MB", over(lambda c: c.steady_pss(), mp4)),
    ]


def record(binaries, folder, seconds):
    """The cost of a recording, and its frames."""
    file = pipeline.write(folder, pipeline.MOTION)
    spent = cost([binaries / "deskreel", "record", file, "--duration", f"{seconds}s"])
    frames = pipeline.frames(folder)
    if frames["lost"] > 0:
        raise NotMeasured(f"this machine is too slow: {frames['lost']} frames were lost")
    return spent, frames["encoded"]


def launch_line(binaries, file, frames):
    """The elements of the recording, as the plugins specify them, ending after this many frames."""
    bench = subprocess.run([binaries / "examples/bench", "launch-line", file], check=True, capture_output=True)
    first, *rest = shlex.split(json.loads(bench.stdout))
    return [first, f"num-buffers={frames}", *rest]
