// A recording's folder as HLS, for the development server. Times are read from the fragments, since the
// manifest of a live recording may be older than the footage.
//
// A piece of the playlist is a run: the fragments from one keyframe to the next, which can be shown on their
// own. During a live recording the fragments of the unfinished run are its parts (low-latency HLS).

import { readFile, readdir } from "node:fs/promises";
import { existsSync } from "node:fs";
import { join } from "node:path";

/** @import { Footage } from "../src/types.ts" */

const TICKS = 90_000;

export class Recording {
  /** `repeat` repeats the footage this many times in sequence, to make a long recording of a short one. */
  constructor(id, folder, { agent = "", repeat = 1, lost = [], codec = null, later = 0 } = {}) {
    this.id = id;
    this.folder = folder;
    this.agent = agent;
    this.repeat = repeat;
    /** Numbers of fragments of the first part that the server has lost. */
    this.lost = lost;
    /** Milliseconds by which all parts but the first begin later than they were recorded. */
    this.later = later;
    /** The codec that the server reports instead of none. */
    this.codec = codec;
    this.fragmentsByFile = new Map();
  }

  async manifest() {
    const manifest = JSON.parse(await readFile(join(this.folder, "manifest.json"), "utf8"));
    for (const { gaps } of manifest.tracks) if (gaps[0]) gaps[0].to += this.later * 1e6;
    return manifest;
  }

  /** Names of the tracks, in the order in which they are shown. */
  async tracks() {
    const names = (await this.manifest()).tracks.map((track) => track.name);
    return names.sort((a, b) => Number(a !== "video") - Number(b !== "video") || a.localeCompare(b));
  }

  /** Returns every fragment on disk: part, number, start and end in ticks, and what `times` reads. */
  async fragments(name = "") {
    const found = [];
    const track = join(this.folder, name || (await this.tracks())[0]);
    const parts = existsSync(track)
      ? (await readdir(track)).filter((name) => /^part-\d+$/.test(name)).sort()
      : [];
    for (const folder of parts) {
      const part = Number(folder.slice(5));
      const names = (await readdir(join(track, folder))).filter((name) => /^\d+\.m4s$/.test(name)).sort();
      for (const name of names) {
        const file = join(track, folder, name);
        if (!this.fragmentsByFile.has(file))
          this.fragmentsByFile.set(file, {
            part,
            number: parseInt(name),
            file,
            ...times(await readFile(file)),
          });
        found.push(this.fragmentsByFile.get(file));
      }
    }
    if (this.later) return found.map((one) => (one.part > 1 ? moved(one, (this.later * TICKS) / 1000) : one));
    if (this.repeat === 1 || found.length === 0) return found;
    const length = found.at(-1).end - found[0].start;
    return Array.from({ length: this.repeat }, (_, turn) =>
      found.map((fragment) => ({
        ...moved(fragment, turn * length),
        number: fragment.number + turn * found.length,
      })),
    ).flat();
  }

  /** Returns the runs: fragments from one keyframe to the next, in the same part. */
  async runs(track = "") {
    const runs = [];
    for (const fragment of await this.fragments(track)) {
      const last = runs.at(-1);
      if (last && !fragment.keyframe && last[0].part === fragment.part) last.push(fragment);
      else runs.push([fragment]);
    }
    return runs;
  }

  async bytes(track, part, first, last) {
    const wanted = (await this.fragments(track)).filter(
      (f) => f.part === part && f.number >= first && f.number <= last,
    );
    return Buffer.concat(
      await Promise.all(wanted.map(async (f) => shifted(await readFile(f.file), f.shift ?? 0))),
    );
  }

  /** Whether one of these fragments is lost. */
  isLost(part, first, last) {
    return part === 1 && this.lost.some((number) => first <= number && number <= last);
  }

  init(track, part) {
    return readFile(join(this.folder, track, `part-${String(part).padStart(4, "0")}`, "init.mp4"));
  }

  /** Media time zero, in milliseconds of UTC. */
  async zero() {
    const [anchor] = (await this.manifest()).anchors;
    return Date.parse(anchor.utc) - anchor.media / 1e6;
  }

  /**
   * As footage of an interaction.
   * @returns {Promise<Footage>}
   */
  async footage() {
    const manifest = await this.manifest();
    const fragments = await this.fragments();
    const zero = await this.zero();
    const end = fragments.length ? (fragments.at(-1).end / TICKS) * 1000 : 0;
    const live = manifest.outcome === null;
    const ms = ({ from, to, ...rest }) => ({
      from_ms: from / 1e6,
      to_ms: to === null ? null : to / 1e6,
      ...rest,
    });
    return {
      recording: this.id,
      agent: this.agent,
      started: new Date(zero).toISOString(),
      ended: live ? null : new Date(zero + end).toISOString(),
      live,
      tracks: await this.tracks(),
      withheld: (manifest.withheld ?? []).map(ms),
      gaps: manifest.tracks.flatMap(({ name, gaps }) => gaps.map((gap) => ({ track: name, ...ms(gap) }))),
      still: still(fragments).map((stretch) => ({ track: manifest.tracks[0].name, ...stretch })),
      parts: manifest.tracks.flatMap(({ name, parts }) =>
        parts.map(({ number, width, height }) => ({
          track: name,
          number,
          codec: this.codec,
          width,
          height,
        })),
      ),
      missing: null,
    };
  }

  async playlist(track) {
    const manifest = await this.manifest();
    const live = manifest.outcome === null;
    const zero = await this.zero();
    const runs = await this.runs(track);
    const address = (part, first, last) =>
      `../tracks/${encodeURIComponent(track)}/parts/${part}/fragments/${first === last ? first : `${first}-${last}`}`;
    // The last run of a live recording may still grow.
    const growing = live && runs.length ? runs.pop() : [];
    const seconds = (run) => (run.at(-1).end - run[0].start) / TICKS;
    const target = Math.max(2, ...runs.map((run) => Math.round(seconds(run))));
    const lines = [
      "#EXTM3U",
      "#EXT-X-VERSION:9",
      `#EXT-X-TARGETDURATION:${target}`,
      "#EXT-X-INDEPENDENT-SEGMENTS",
    ];
    if (live) {
      lines.push(
        "#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,PART-HOLD-BACK=2.4",
        "#EXT-X-PART-INF:PART-TARGET=1.1",
      );
    } else lines.push("#EXT-X-PLAYLIST-TYPE:VOD");
    let part = 0;
    const begin = (run) => {
      if (run[0].part !== part) {
        if (part) lines.push("#EXT-X-DISCONTINUITY");
        part = run[0].part;
        lines.push(`#EXT-X-MAP:URI="${address(part, 0, 0)}"`);
      }
      lines.push(`#EXT-X-PROGRAM-DATE-TIME:${new Date(zero + (run[0].start / TICKS) * 1000).toISOString()}`);
    };
    const parts = (run) =>
      run.map((f, at) => {
        const independent = at === 0 ? ",INDEPENDENT=YES" : "";
        return `#EXT-X-PART:DURATION=${((f.end - f.start) / TICKS).toFixed(6)},URI="${address(f.part, f.number, f.number)}"${independent}`;
      });
    for (const [at, run] of runs.entries()) {
      begin(run);
      // Parts are for the live edge; players do not request them further back.
      if (live && at >= runs.length - 3) lines.push(...parts(run));
      lines.push(`#EXTINF:${seconds(run).toFixed(6)},`, address(part, run[0].number, run.at(-1).number));
    }
    if (growing.length) {
      begin(growing);
      lines.push(...parts(growing));
    }
    if (!live) lines.push("#EXT-X-ENDLIST");
    return { text: `${lines.join("\n")}\n`, pieces: runs.length, parts: growing.length, live };
  }
}

/** The same fragment, later by this many ticks. */
const moved = (fragment, ticks) => ({
  ...fragment,
  shift: ticks,
  start: fragment.start + ticks,
  end: fragment.end + ticks,
});

/** Returns the stretches of two seconds or more without a new frame. */
function still(fragments) {
  const found = [];
  let since = null;
  for (const { frames } of fragments) {
    for (const at of frames) {
      if (since !== null && at - since >= 2000) found.push({ from_ms: since, to_ms: at });
      since = at;
    }
  }
  return found;
}

/**
 * Returns a fragment's start and end in ticks, its frames' times in ms, and whether it starts with a
 * keyframe.
 */
function times(bytes) {
  const box = (name) => bytes.indexOf(name, 0, "latin1") + 4;
  const start = Number(bytes.readBigUInt64BE(box("tfdt") + 4));
  const run = box("trun");
  const flags = bytes.readUInt32BE(run) & 0xffffff;
  const count = bytes.readUInt32BE(run + 4);
  let at = run + 8 + (flags & 1 ? 4 : 0);
  let first = flags & 4 ? bytes.readUInt32BE(at) : null;
  if (flags & 4) at += 4;
  let end = start;
  const frames = [];
  for (let i = 0; i < count; i++) {
    frames.push((end / TICKS) * 1000);
    end += bytes.readUInt32BE(at);
    at += 4 + (flags & 0x200 ? 4 : 0);
    if (flags & 0x400) {
      first ??= bytes.readUInt32BE(at);
      at += 4;
    }
    if (flags & 0x800) at += 4;
  }
  // Bit 16 of a sample's flags marks a non-sync sample.
  return { start, end, frames, keyframe: first !== null && (first & 0x10000) === 0 };
}

/** Moves a fragment by this many ticks, in place. */
function shifted(bytes, ticks) {
  if (ticks) {
    const at = bytes.indexOf("tfdt", 0, "latin1") + 8;
    bytes.writeBigUInt64BE(bytes.readBigUInt64BE(at) + BigInt(ticks), at);
  }
  return bytes;
}
