"""A generated day of a contact center, as a log of events. The same numbers make the same log."""

import json
import random

START_MS = 8 * 3_600_000
GROUPS = ["sales", "support", "billing", "retention"]


def write(file, agents, events, seed=1):
    """Writes this many events of this many agents, in order of time, over ten hours."""
    source = random.Random(seed)
    rows = [row for agent in range(agents) for row in log_in(source, agent)]
    calls = 0
    while len(rows) < events:
        calls += 1
        rows += call(source, calls, source.randrange(agents), source.randrange(agents))
    rows.sort(key=lambda row: row[0])
    with open(file, "w", encoding="utf-8") as out:
        for at, kind, fields in rows[:events]:
            out.write(json.dumps({"type": kind, "at": clock(at), **fields}, separators=(",", ":")) + "\n")


def clock(ms):
    seconds, ms = divmod(START_MS + ms, 1000)
    return f"2026-01-05T{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}.{ms:03}Z"


def log_in(source, agent):
    at = source.randrange(600_000)
    groups = source.sample(GROUPS, 2)
    seat = {"agent": name(agent), "place": f"PC-{agent}", "devices": [f"{20000 + agent}"], "groups": groups}
    return [(at, "agent.logged_in", seat), (at + 5, "agent.state", state(agent, "ready"))]


def call(source, number, agent, other):
    """About ten events: delivered, established, recorded, sometimes held or transferred, cleared, wrapped up."""
    at = 600_000 + source.randrange(35_000_000)
    length = source.randrange(20_000, 600_000)
    ids = {"call": f"c{number}", "agent": name(agent)}
    attached = {"queue": source.choice(GROUPS), "customer": f"{source.randrange(10**8):08}"}
    about = {"device": f"{20000 + agent}", "direction": "inbound", "attached": attached}
    rows = [
        (at, "call.delivered", {**ids, **about}),
        (at + 6_000, "call.established", {**ids, **about}),
        (at + 6_020, "recording.started", ids),
    ]
    end = at + 6_000 + length
    if source.random() < 0.3:
        rows += [(at + 12_000, "call.held", ids), (at + 16_000, "call.retrieved", ids)]
    if source.random() < 0.1 and other != agent:
        theirs = {"call": f"c{number}", "agent": name(other)}
        half = at + 6_000 + length // 2
        moved = {"primary_call": f"c{number}", "resulting_call": f"c{number}", "from_agent": name(agent), "to_agent": name(other)}
        rows += [(half, "call.transferred", moved), (half + 3_000, "call.established", theirs)]
        rows += [(half + 3_020, "recording.started", theirs)]
        ids, agent, end = theirs, other, end + 3_000
    rows += [
        (end, "recording.stopped", ids),
        (end + 1, "call.cleared", ids),
        (end + 30, "agent.state", state(agent, "not_ready", work_mode="after_call_work")),
        (end + 30_000, "agent.state", state(agent, "ready")),
    ]
    return rows


def state(agent, word, **more):
    return {"agent": name(agent), "media": "voice", "state": word, **more}


def name(agent):
    return f"agent{agent:05}"
