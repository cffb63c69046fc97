"""Decisions on a day of a large contact center: the cost of an event through real policy plugins, on one core."""

import day
from measure import Row, cost

# 10,000 agents over ten hours; a tenth of them for a first impression.
AGENTS, EVENTS = 10_000, 1_000_000

FILE = """
version = 1
name = "bench"
[source.screen]
plugin = "source.synthetic"
[encoder.video]
from = "screen"
plugin = "encoder.x264"
[recording]
tracks = ["video"]
[policy]
{policy}
"""

STACKS = {
    "voice-first-call": 'plugin = "policy.voice-first-call"',
    "recording-when, voice-first-call": """
plugin = ["policy.recording-when", "policy.voice-first-call"]
record_calls = 'call.queue in ["sales", "support", "billing"]'
""",
    "recording-when, voice-all-calls, after-call-work": """
plugin = ["policy.recording-when", "policy.voice-all-calls", "policy.after-call-work"]
record_calls = 'call.queue in ["sales", "support", "billing"]'
""",
}


def run(binaries, folder, quick):
    share = 10 if quick else 1
    log, events = folder / "day.jsonl", EVENTS // share
    day.write(log, AGENTS // share, events)
    times, memory = {name: [] for name in STACKS}, []
    for _ in range(1 if quick else 3):
        for name, policy in STACKS.items():
            file = folder / "replay.toml"
            file.write_text(FILE.format(policy=policy))
            spent = cost([binaries / "deskreel", "replay", "--pipeline", file, log, "--summary"])
            times[name].append(spent.cpu / events * 1e6)
            memory += spent.rss
    # The same as 200,000 events a second.
    rows = [Row(f"replay: an event through {name}", "us", values, aim=5) for name, values in times.items()]
    # A short run ends before the first sample.
    return rows + ([Row("replay: resident", "MB", memory)] if memory else [])
