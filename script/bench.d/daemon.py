"""The service on an agent PC: the time from a command on its API to the first frame and from the stop to a sealed
manifest, and its cost while nothing happens."""

import contextlib
import datetime
import http.client
import json
import os
import pathlib
import subprocess
import threading
import time

from measure import NotMeasured, Row

TOKEN = "the-token-of-the-benchmark-and-nobody-else"
STARTS = 100
# 30 frames a second, like a busy screen: at a low rate the first frame waits for its turn.
FILE = """
version = 1
name = "bench"
[source.screen]
plugin = "source.synthetic"
mode = "counter"
width = 1280
height = 720
fps = 30
max_fps = 30
[encoder.video]
from = "screen"
plugin = "encoder.x264"
[recording]
tracks = ["video"]
directory = "{folder}/recordings"
[feed.desktop]
plugin = "feed.desktop"
scheme = "http"
listen = "127.0.0.1:0"
token_file = "{folder}/token"
"""


def run(binaries, folder, quick):
    with daemon(binaries, folder) as (process, port):
        cpu, rss, own = idle(process.pid, 5 if quick else 30)
        ann = Ann(port)
        begun, sealed = [], []
        for _ in range(10 if quick else STARTS):
            start, stop = cycle(ann, folder / "recordings")
            begun.append(start)
            sealed.append(stop)
    return [
        Row("daemon: API start to first frame, p50", "ms", begun, aim=30),
        Row("daemon: API start to first frame, p99", "ms", begun, percentile=99, aim=100),
        Row("daemon: API stop to sealed, p99", "ms", sealed, percentile=99, aim=300),
        Row("daemon: idle, resident", "MB", [rss], aim=15),
        Row("daemon: idle, of that its own", "MB", [own]),
        Row("daemon: idle, of a core", "%", [cpu], aim=0.5),
    ]


def cycle(ann, recordings):
    """Milliseconds to the first frame, by the manifest, and to the answer to the stop, when the manifest is sealed."""
    asked = time.time()
    recording = ann.command("start")["recording"]
    folder = recordings / recording
    wait_for(folder / "video/part-0001/000001.m4s")
    asked_to_stop = time.monotonic()
    ann.command("stop")
    stopped = (time.monotonic() - asked_to_stop) * 1000
    manifest = json.loads((folder / "manifest.json").read_text())
    if manifest["outcome"] is None:
        raise NotMeasured("the stop was answered before the manifest was sealed")
    anchor = manifest["anchors"][0]
    zero = datetime.datetime.fromisoformat(anchor["utc"][:26] + "+00:00").timestamp() - anchor["media"] / 1e9
    first = manifest["tracks"][0]["parts"][0]["fragments"][0]["start"] / 1e9
    return (zero + first - asked) * 1000, stopped


def idle(pid, seconds):
    """Percent of a core, resident megabytes, and those of them that are not pages of a file. Of the daemon alone: its warm
    worker is a process of its own."""
    before, started = ticks(pid), time.monotonic()
    time.sleep(seconds)
    spent = (ticks(pid) - before) / os.sysconf("SC_CLK_TCK") / (time.monotonic() - started)
    status = dict(line.split(":", 1) for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines())
    megabytes = lambda name: int(status[name].split()[0]) / 1024
    return spent * 100, megabytes("VmRSS"), megabytes("RssAnon")


def ticks(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return int(fields[11]) + int(fields[12])


def wait_for(path):
    limit = time.monotonic() + 10
    while not path.exists():
        if time.monotonic() > limit:
            raise NotMeasured(f"{path} did not come")
        time.sleep(0.005)


class Ann:
    """An agent's session over one connection, as a desktop keeps it."""

    def __init__(self, port):
        self.line = http.client.HTTPConnection("127.0.0.1", port)
        self.number = 0
        self.token = TOKEN
        self.token = self.ask("POST", "/api/v1/session", {"agent": "ann"})["token"]

    def command(self, name):
        self.number += 1
        answer = self.ask("POST", f"/api/v1/recording/{name}", {}, {"Idempotency-Key": f"bench-{self.number}"})
        if "done" not in answer:
            raise NotMeasured(f"{name}: {answer}")
        return answer["done"]

    def ask(self, method, path, body, headers={}):
        sent = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json", **headers}
        self.line.request(method, path, json.dumps(body), sent)
        answer = self.line.getresponse()
        text = answer.read()
        if answer.status >= 300:
            raise NotMeasured(f"{method} {path}: {answer.status} {text.decode()}")
        return json.loads(text)


@contextlib.contextmanager
def daemon(binaries, folder):
    (folder / "token").write_text(TOKEN)
    (folder / "token").chmod(0o600)
    (folder / "daemon.toml").write_text(FILE.format(folder=folder))
    command = [binaries / "deskreel", "run", "--log", "json", folder / "daemon.toml"]
    environment = {**os.environ, "STATE_DIRECTORY": str(folder / "state")}
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment)
    try:
        port = None
        for line in process.stderr:
            said = json.loads(line) if line.startswith("{") else {}
            if said.get("message") == "the API listens":
                port = int(said["address"].rsplit(":", 1)[1])
            if said.get("message") == "ready":
                break
        if port is None:
            raise NotMeasured("the daemon does not start")
        # Read on: a full pipe would stop the daemon.
        threading.Thread(target=process.stderr.read, daemon=True).start()
        yield process, port
    finally:
        process.terminate()
        process.wait()
