"""The recording server under the load of a large site: connected recorders, arriving fragments, and how soon a recorder
is told to record. Compared with nginx, which only writes files."""

import contextlib
import http.client
import json
import os
import shutil
import subprocess
import time

from measure import NotMeasured, Row, rollup

RECORDERS = 2000
UPLOADING = 200
# Bytes of a second of a busy screen.
FRAGMENT = 65536
# Calls that begin at the same moment.
AGENTS = 100
FILE = """
version = 1
name = "bench"
[server]
listen = "127.0.0.1:0"
scheme = "http"
database = "sqlite://{folder}/index.db"
storage = "file://{folder}/footage"
[policy]
plugin = "policy.voice-all-calls"
late = "1s"
"""
NGINX = """
user root;
daemon off;
pid {folder}/nginx.pid;
error_log stderr error;
worker_processes auto;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    tcp_nodelay on;
    client_max_body_size 64m;
    client_body_temp_path {folder}/incoming;
    keepalive_requests 100000000;
    server {{
        listen 127.0.0.1:{port};
        root {folder}/files;
        dav_methods PUT;
        create_full_put_path on;
    }}
}}
"""


def run(binaries, folder, quick):
    rounds, seconds = (3, 3) if quick else (7, 6)
    simulator = binaries / "examples/simulated-recorders"
    with server(binaries, folder) as (process, url), nginx(folder) as (other, files):
        admin, tokens = enrol(url, binaries, folder)
        resident = [memory(process.pid)]
        with lines(simulator, url, tokens, admin) as recorders:
            time.sleep(3)
            resident.append(memory(process.pid))
            alone = [recorders.call(AGENTS) for _ in range(3 * rounds)]
            with uploads(simulator, url, tokens, 1000, 5 * seconds) as live:
                time.sleep(2)
                beside = [recorders.call(AGENTS) for _ in range(3 * rounds)]
                resident.append(memory(process.pid))
                live = live()
            single = [recorders.call(1) for _ in range(10 * rounds)]
            many = [recorders.call(1000) for _ in range(rounds)]
            with uploads(simulator, url, tokens, 0, seconds) as flat:
                time.sleep(1)
                under = [recorders.call(AGENTS) for _ in range(rounds)]
                flat()
            resident.append(memory(process.pid))
        ours, theirs = [], []
        turns = [(ours, url, None), (theirs, other, files)]
        for _ in range(rounds):
            for done, address, synced in turns:
                with uploads(simulator, address, tokens, 0, seconds, synced) as finished:
                    done.append(finished())
            # Gigabytes that are not read again. Deleting them is part of no measurement.
            empty(folder / "footage")
            empty(files)
            os.sync()
            turns.reverse()
    per_second = lambda done: [one["uploads"] / one["seconds"] for one in done]
    start = lambda rounds: [ms for one in rounds for ms in one["start_ms"]]
    return [
        Row("server: resident, idle", "MB", resident[:1]),
        Row(f"server: resident, {RECORDERS} recorders connected", "MB", resident[1:2], aim=300),
        Row(f"server: resident, {UPLOADING} of them uploading", "MB", resident[2:3], aim=300),
        Row("server: resident, uploads without pause", "MB", resident[3:4], aim=300),
        Row(f"server: call to command, {AGENTS} agents at once, p99", "ms", start(alone), percentile=99, aim=100),
        Row(f"server: the same, {UPLOADING} uploading a fragment a second, p99", "ms", start(beside), percentile=99, aim=100),
        Row(f"server: the same, {UPLOADING} uploading without pause, p99", "ms", start(under), percentile=99),
        Row("server: the same, 1 agent, p99", "ms", start(single), percentile=99),
        Row("server: the same, 1000 agents, p99", "ms", start(many), percentile=99),
        Row("server: a live fragment's upload, p99", "ms", live["ms"], percentile=99),
        Row("server: fragments a second", "/s", per_second(ours)),
        Row("nginx and fsync: fragments a second", "/s", per_second(theirs)),
        Row("server: ingest, nginx and fsync / server", "x", [b / a for a, b in zip(per_second(ours), per_second(theirs))], aim=1 / 0.6),
    ]


def empty(folder):
    for one in folder.iterdir():
        shutil.rmtree(one)


def memory(pid):
    return rollup(pid)["Rss"]


class Lines:
    """Connects recorders that wait for commands."""

    def __init__(self, process):
        self.process = process

    def call(self, agents):
        self.process.stdin.write(f"{agents}\n")
        self.process.stdin.flush()
        return answer(self.process)


def answer(process):
    line = process.stdout.readline()
    if not line:
        raise NotMeasured(f"simulated-recorders: {process.stderr.read()}")
    return json.loads(line)


@contextlib.contextmanager
def lines(simulator, url, tokens, admin):
    with program([simulator, "link", url, tokens, admin]) as process:
        answer(process)
        yield Lines(process)


@contextlib.contextmanager
def uploads(simulator, url, tokens, every_ms, seconds, files=None):
    """Returns a function that waits for their end and returns their results."""
    load = [FRAGMENT, UPLOADING, every_ms, seconds, *([files] if files else [])]
    with program([simulator, "upload", url, tokens, *load]) as process:
        yield lambda: answer(process)


@contextlib.contextmanager
def program(command):
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    process = subprocess.Popen([str(word) for word in command], **pipes)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def enrol(url, binaries, folder):
    """The files with an administrator's token and with the tokens of all recorders."""
    file, password = folder / "server.toml", "correct horse"
    add = [binaries / "deskreel-server", "user", "add", file, "root", "--role", "administrator"]
    subprocess.run([str(word) for word in add], input=password, text=True, check=True)
    site = http.client.HTTPConnection(url.removeprefix("http://"))

    def ask(path, body, headers={}):
        site.request("POST", f"/api/v1{path}", json.dumps(body), {"Content-Type": "application/json", **headers})
        answer = site.getresponse()
        text, status = answer.read(), answer.status
        if status >= 300:
            raise NotMeasured(f"{path}: {status} {text.decode()}")
        return answer, json.loads(text)

    answer, who = ask("/session", {"name": "root", "password": password})
    headers = {"Cookie": answer.getheader("set-cookie").split(";")[0], "X-CSRF-Token": who["csrf_token"]}
    _, program = ask("/tokens", {"name": "bench", "role": "administrator"}, headers)
    admin, tokens = folder / "admin", folder / "tokens"
    admin.write_text(program["token"])
    tokens.mkdir()
    for number in range(1, RECORDERS + 1):
        _, made = ask("/enrolments", {"place": f"seat-{number}"}, headers)
        _, recorder = ask("/enrol", made)
        (tokens / f"seat-{number}").write_text(recorder["token"])
    return admin, tokens


@contextlib.contextmanager
def server(binaries, folder):
    (folder / "server.toml").write_text(FILE.format(folder=folder))
    command = [binaries / "deskreel-server", "serve", "--log", "json", folder / "server.toml"]
    log = folder / "server.log"
    with log.open("w") as stderr:
        # Its log of each command is written to a file, as a service's is.
        process = subprocess.Popen([str(word) for word in command], stderr=stderr)
    try:
        yield process, f"http://{said(process, log)}"
    finally:
        process.terminate()
        process.wait()


def said(process, log):
    """The address, once the server listens."""
    limit = time.monotonic() + 30
    while time.monotonic() < limit and process.poll() is None:
        for line in log.read_text().splitlines():
            one = json.loads(line) if line.startswith("{") else {}
            if one.get("message") == "the server listens":
                return one["address"]
        time.sleep(0.05)
    raise NotMeasured(f"the server does not start: {log.read_text()}")


@contextlib.contextmanager
def nginx(folder):
    """Its address, and the folder of the files that it has stored."""
    # A port that is free now.
    port = 18080 + os.getpid() % 10000
    below = folder / "nginx"
    for name in ("files", "incoming"):
        (below / name).mkdir(parents=True)
    (below / "nginx.conf").write_text(NGINX.format(folder=below, port=port))
    process = subprocess.Popen(["/usr/sbin/nginx", "-p", str(below), "-c", str(below / "nginx.conf")])
    try:
        limit = time.monotonic() + 10
        while not answers(port):
            if process.poll() is not None or time.monotonic() > limit:
                raise NotMeasured("nginx does not start (script/setup installs it)")
            time.sleep(0.05)
        yield f"http://127.0.0.1:{port}", below / "files"
    finally:
        process.terminate()
        process.wait()


def answers(port):
    site = http.client.HTTPConnection("127.0.0.1", port)
    try:
        site.connect()
        return True
    except OSError:
        return False
