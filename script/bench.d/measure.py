"""The cost of processes, and the rows of the printed table."""

import dataclasses
import os
import pathlib
import platform
import statistics
import subprocess
import threading
import time


class NotMeasured(Exception):
    """Something could not be measured; the message says why."""


@dataclasses.dataclass
class Row:
    """One measure, from all its runs."""

    name: str
    unit: str
    values: list
    # The aim: the most that the median may be.
    aim: float = None
    # A percentile to print and judge instead of the median.
    percentile: int = 50

    def value(self):
        ordered = sorted(self.values)
        if self.percentile == 50:
            return statistics.median(ordered)
        # By nearest rank: of 30 values, the 99th percentile is the greatest.
        rank = -(-len(ordered) * self.percentile // 100)
        return ordered[rank - 1]

    def is_met(self):
        """None without an aim."""
        return None if self.aim is None else self.value() <= self.aim

    def as_json(self):
        numbers = {"value": self.value(), "min": min(self.values), "max": max(self.values), "runs": len(self.values)}
        return {"name": self.name, "unit": self.unit, **numbers, "aim": self.aim, "met": self.is_met()}


def ratios(name, ours, theirs, **more):
    """Each run divided by the one beside it."""
    return Row(name, "x", [a / b for a, b in zip(ours, theirs)], **more)


def table(machine, rows):
    width = max(len(row.name) for row in rows)
    lines = [machine, "", f"{'':{width}}        value      min      max  runs"]
    for row in rows:
        digits = 3 if row.unit == "x" else 1
        numbers = "".join(f" {number:8.{digits}f}" for number in (row.value(), min(row.values), max(row.values)))
        aim = "" if row.aim is None else f"  {'' if row.is_met() else 'MISSED: '}at most {row.aim:g}"
        lines.append(f"{row.name:{width}}  {row.unit:>2}{numbers} {len(row.values):5}{aim}")
    return "\n".join(lines)


def machine():
    models = [line for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    model = models[0].split(":", 1)[1].strip() if models else platform.machine()
    gstreamer = subprocess.run(["gst-launch-1.0", "--version"], capture_output=True, text=True, check=True).stdout
    load = os.getloadavg()[0]
    return f"{os.cpu_count()} x {model}, Linux {platform.release()}, {gstreamer.splitlines()[1]}, load {load:.1f}"


@dataclasses.dataclass
class Cost:
    """The cost of a process and its children. Times in seconds, memory in megabytes (millions of bytes)."""

    cpu: float
    wall: float
    # Sums over the processes, once a second: resident memory, and the same with shared pages divided among
    # their users.
    rss: list
    pss: list

    def steady_rss(self):
        return statistics.median(self.rss[len(self.rss) // 2 :])

    def steady_pss(self):
        return statistics.median(self.pss[len(self.pss) // 2 :])


def cost(command):
    """Runs a command to its end."""
    start = time.monotonic()
    process = subprocess.Popen([str(word) for word in command], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    rss, pss, ended = [], [], threading.Event()

    def sample():
        while not ended.wait(1):
            memory = [rollup(pid) for pid in tree(process.pid)]
            rss.append(sum(m["Rss"] for m in memory))
            pss.append(sum(m["Pss"] for m in memory))

    sampler = threading.Thread(target=sample)
    sampler.start()
    said = process.stderr.read().decode(errors="replace")
    # Includes the processes that it has waited for.
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.monotonic() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    ended.set()
    sampler.join()
    if process.returncode != 0:
        raise NotMeasured(f"{command[0]} ended with {process.returncode}: {said}")
    # The last sample may have been taken while they ended.
    return Cost(usage.ru_utime + usage.ru_stime, wall, rss[:-1] or rss, pss[:-1] or pss)


def tree(pid):
    """A process and all its descendants."""
    pids = [pid]
    for pid in pids:
        for children in pathlib.Path(f"/proc/{pid}/task").glob("*/children"):
            pids += [int(child) for child in read(children).split()]
    return pids


def rollup(pid):
    """Memory of a process by kind, in megabytes. None if it has ended."""
    memory = {"Rss": 0, "Pss": 0}
    for line in read(pathlib.Path(f"/proc/{pid}/smaps_rollup")).splitlines()[1:]:
        kind, kibibytes = line.split(":")
        memory[kind] = int(kibibytes.split()[0]) * 1024 / 1e6
    return memory


def read(path):
    try:
        return path.read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""
