"""The cost of a still screen, with and without dropping unchanged frames."""

import pipeline
from measure import Row, cost, ratios


def run(binaries, folder, quick):
    seconds, rounds = (5, 2) if quick else (20, 3)
    economic, full = [], []
    for number in range(rounds):
        for changes_only, percents in ((True, economic), (False, full)):
            source = pipeline.STILL.format(changes_only=str(changes_only).lower())
            file = pipeline.write(folder / f"{number}-{changes_only}", source)
            spent = cost([binaries / "deskreel", "record", file, "--duration", f"{seconds}s"])
            percents.append(spent.cpu / spent.wall * 100)
    return [
        Row("still screen: CPU of a core, changes only", "%", economic),
        Row("still screen: CPU of a core, every frame", "%", full),
        ratios("still screen: changes only / every frame", economic, full),
    ]
