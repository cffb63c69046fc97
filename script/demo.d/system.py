"""The whole system on one machine: a server, two recorders on painted desktops, a two-step transfer from a telephony feed,
and the segments that result. Usage: system.py BINARIES FOLDER"""

import datetime
import http.client
import json
import os
import pathlib
import socket
import subprocess
import sys
import time

LIMIT = 60
SERVER = """
version = 1
name = "demo"
[server]
listen = "127.0.0.1:{port}"
scheme = "http"
database = "sqlite://{folder}/index.db"
storage = "file://{folder}/footage"
[feed.telephony]
plugin = "feed.jsonl"
file = "{folder}/events.jsonl"
[policy]
plugin = ["policy.voice-all-calls", "policy.after-call-work"]
late = "2s"
"""
RECORDER = """
version = 1
name = "demo-{place}"
[source.screen]
plugin = "source.synthetic"
mode = "office"
seed = {seed}
width = 1280
height = 720
[encoder.video]
from = "screen"
plugin = "encoder.x264"
[recording]
tracks = ["video"]
directory = "{folder}/{place}"
[feed.desktop]
plugin = "feed.desktop"
scheme = "http"
listen = "127.0.0.1:0"
place = "{place}"
token_file = "{folder}/desktop-token"
[link]
server = "http://127.0.0.1:{port}"
token_file = "{folder}/{place}.token"
[sink.archive]
plugin = "sink.upload"
server = "http://127.0.0.1:{port}"
token_file = "{folder}/{place}.token"
"""


def main(binaries, folder):
    folder.mkdir(parents=True, exist_ok=True)
    secret(folder / "desktop-token", "the-token-of-the-demo-and-of-nothing-else")
    (folder / "events.jsonl").write_text("")
    port = free_port()
    config = folder / "server.toml"
    config.write_text(SERVER.format(folder=folder, port=port))
    server = binaries / "deskreel-server"
    run([server, "user", "add", config, "demo", "--role", "administrator"], "demo demo demo\n")
    running = [start([server, "serve", "--log", "json", config], "the server listens", folder)[0]]
    try:
        desks = {}
        for seed, (agent, place) in enumerate([("ann", "seat-1"), ("bob", "seat-2")], 1):
            secret(folder / f"{place}.token", run([server, "enrol", config, "--place", place]).strip())
            file = folder / f"{place}.toml"
            file.write_text(RECORDER.format(folder=folder, place=place, seed=seed, port=port))
            process, listens = start([binaries / "deskreel", "run", "--log", "json", file], "the API listens", folder)
            running.append(process)
            desks[agent] = int(listens["address"].rsplit(":", 1)[1])
        people = Api(port)
        people.token_of("demo", "demo demo demo")
        wait("both recorders", lambda: sum(r["connected"] for r in people.get("/api/v1/recorders")["recorders"]) == 2)
        for agent, desk in desks.items():
            Api(desk, "the-token-of-the-demo-and-of-nothing-else").post("/api/v1/session", {"agent": agent})
        transfer(folder / "events.jsonl")
        found = wait("the interaction", lambda: whole(people.get("/api/v1/interactions/77")))
        show(found, port, f"{server} serve {config}")
    finally:
        for process in reversed(running):
            process.terminate()
        for process in running:
            process.wait()


def transfer(log):
    """Ann takes a call, consults Bob, and transfers it to him."""
    consult = {"call": "78", "parent_call": "77", "call_type": "consult"}
    tell(log, {"type": "call.established", "call": "77", "agent": "ann", "direction": "inbound"})
    time.sleep(4)
    tell(log, {"type": "call.held", "call": "77", "agent": "ann"})
    tell(log, {"type": "call.established", "agent": "ann", **consult})
    tell(log, {"type": "call.established", "agent": "bob", **consult})
    time.sleep(3)
    tell(log, {"type": "call.transferred", "primary_call": "77", "secondary_call": "78", "resulting_call": "77",
               "from_agent": "ann", "to_agent": "bob"})
    time.sleep(4)
    tell(log, {"type": "call.cleared", "call": "77", "agent": "bob"})


def tell(log, event):
    now = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"
    with log.open("a") as file:
        file.write(json.dumps({**event, "at": now}) + "\n")


def whole(found):
    """The interaction, once every segment has its whole recording. None before."""
    segments = (found or {}).get("segments", [])
    is_there = len(segments) >= 4 and all(segment["recording"] for segment in segments)
    return found if is_there and not any(footage["live"] for footage in found["footage"]) else None


def show(found, port, serve):
    print("agent  role             from     length   recording                 at")
    for segment in sorted(found["segments"], key=lambda segment: (segment["agent"], segment["from"])):
        print(f"{segment['agent']:6} {segment['role']:15}  {segment['from'][11:19]} {segment['duration_ms'] / 1000:7.1f} s  "
              f"{segment['recording']}  {segment['offset_ms'] / 1000:.1f} s")
    print(f"\nto watch it:  {serve}\n              http://127.0.0.1:{port}/ as `demo`, password `demo demo demo`")


class Api:
    def __init__(self, port, token=None):
        self.port, self.headers = port, {"Content-Type": "application/json"}
        if token:
            self.headers["Authorization"] = f"Bearer {token}"

    def token_of(self, name, password):
        answer, headers = self.ask("POST", "/api/v1/session", {"name": name, "password": password})
        self.headers |= {"Cookie": headers["Set-Cookie"].split(";")[0], "X-CSRF-Token": answer["csrf_token"]}

    def get(self, path):
        return self.ask("GET", path)[0]

    def post(self, path, body):
        return self.ask("POST", path, body)[0]

    def ask(self, method, path, body=None):
        line = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        line.request(method, path, None if body is None else json.dumps(body), self.headers)
        answer = line.getresponse()
        text = answer.read()
        if answer.status == 404:
            return None, answer.headers
        if answer.status >= 300:
            sys.exit(f"{method} {path}: {answer.status} {text.decode()}")
        return json.loads(text), answer.headers


def wait(what, look):
    limit = time.monotonic() + LIMIT
    while not (found := look()):
        if time.monotonic() > limit:
            sys.exit(f"{what} did not come within {LIMIT} s")
        time.sleep(0.2)
    return found


def start(command, message, folder):
    """Starts a program and waits until it has logged this message. The log is a file."""
    log = folder / f"{pathlib.Path(command[-1]).stem}.log"
    process = subprocess.Popen(command, stderr=log.open("w"), env={**os.environ, "STATE_DIRECTORY": str(folder / "state")})

    def line():
        if process.poll() is not None:
            sys.exit(f"{command[0]} has ended: {log.read_text()}")
        lines = (json.loads(line) for line in log.read_text().splitlines() if line.startswith("{") and line.endswith("}"))
        return next((line for line in lines if line.get("message") == message), None)

    return process, wait(f"`{message}` in {log}", line)


def run(command, said=""):
    return subprocess.run(command, input=said, check=True, capture_output=True, text=True).stdout


def secret(path, text):
    path.write_text(text)
    path.chmod(0o600)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


main(pathlib.Path(sys.argv[1]).resolve(), pathlib.Path(sys.argv[2]).resolve())
