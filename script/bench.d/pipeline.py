"""The measured pipeline files, and their recordings."""

import json

# 1080p30 at full motion. The color bars and their noise move 4 pixels to the left with every frame, so that
# every pixel changes. Painting them costs a tenth of encoding them, so the source hides little of the
# difference. x264 takes I420, so nothing is converted.
MOTION = """
plugin = "source.gst"
elements = [{ factory = "videotestsrc", properties = { is-live = true, pattern = "smpte", horizontal-speed = 4 } }]
caps = "video/x-raw,format=I420,width=1920,height=1080,framerate=30/1"
max_fps = 30
changes_only = false
"""

# A 1080p screen that does not change, captured 10 times a second.
STILL = """
plugin = "source.synthetic"
mode = "still"
width = 1920
height = 1080
fps = 10
max_fps = 10
changes_only = {changes_only}
"""


def write(folder, source):
    """Writes a pipeline file into the folder below which it records. Returns its path."""
    file = folder / "pipeline.toml"
    folder.mkdir(parents=True, exist_ok=True)
    file.write_text(f"""
version = 1
name = "bench"
[source.screen]
{source}
[encoder.video]
from = "screen"
plugin = "encoder.x264"
rate = {{ mode = "quality", quality = 23 }}
keyframe_interval = "4s"
[recording]
tracks = ["video"]
fragment = "1s"
directory = "{recordings(folder)}"
""")
    return file


def recordings(folder):
    return folder / "recordings"


def frames(folder):
    """Counts of the only recording in the folder."""
    (manifest,) = recordings(folder).glob("*/manifest.json")
    parts = [part for track in json.loads(manifest.read_text())["tracks"] for part in track["parts"]]
    return {kind: sum(part["frames"][kind] for part in parts) for kind in ("captured", "encoded", "skipped", "lost")}
