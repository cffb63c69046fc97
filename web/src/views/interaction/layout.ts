// Turns the server's answer into what the stage and the timeline show. All times become moments: milliseconds
// since the interaction began. Pure.

import { gapCause, SEGMENT_ROLES, stretchLength } from "../../format.ts";
import type { Span } from "../../player/follow.ts";
import { jumpText } from "../../player/gaps.ts";
import type { Reel } from "../../player/stage.ts";
import type { Bar, Lane, Mark } from "../../timeline.ts";
import type { Footage, Interaction, Segment } from "../../types.ts";

/** Wanted footage of an agent that does not exist, and why. */
export interface Absence {
  agent: string;
  from: number;
  to: number;
  why: string;
}

export interface Layout {
  reels: Reel[];
  spans: Span[];
  lanes: Lane[];
  marks: Mark[];
  absences: Absence[];
  /** Names of the agents in the order in which they joined. */
  agents: string[];
  length: number;
  name(agent: string): string;
}

export function layOut(data: Interaction, names: Map<string, string>, now: number): Layout {
  const zero = Date.parse(data.started);
  const name = (agent: string): string => names.get(agent) ?? agent;
  const moment = (utc: string): number => Date.parse(utc) - zero;
  const ends = [...data.segments.map((s) => s.to), ...data.footage.map((f) => f.ended), data.ended].map(
    (utc) => (utc ? moment(utc) : 0),
  );
  // The length that the list shows, and never less than a segment.
  const length =
    data.duration_ms !== null && !data.live
      ? Math.max(1, data.duration_ms, ...data.segments.map(({ to }) => (to ? moment(to) : 0)))
      : Math.max(1000, ...ends, data.live ? now - zero : 0);
  const reels: Reel[] = [];
  for (const footage of data.footage.filter((footage) => !footage.missing)) {
    const first = reels.length;
    // Without a track there is no footage yet: the player says so.
    for (const track of footage.tracks.length ? footage.tracks : ["video"])
      reels.push(reel(footage, track, first, zero, name, length));
  }
  const spans = data.segments.flatMap((segment) => span(segment, reels, moment, length));
  const absences = data.segments.flatMap((segment) => absencesOf(segment, data.live, reels, moment));
  const agents = [
    ...new Set([...data.segments.map((s) => s.agent), ...data.footage.map((f) => f.agent), ...data.agents]),
  ];
  return {
    reels,
    spans,
    length,
    name,
    absences,
    agents: agents.map(name),
    lanes: agents.map((agent) => lane(agent, name(agent), data, { reels, absences }, moment, length)),
    marks: data.notes.map((note) => {
      const from = reels.find((reel) => reel.recording === note.recording)?.from ?? 0;
      return {
        at: from + note.at_ms,
        text: `${note.author}: ${[note.label, note.text].filter(Boolean).join(" – ")}`,
      };
    }),
  };
}

function reel(
  footage: Footage,
  track: string,
  first: number,
  zero: number,
  name: (agent: string) => string,
  length: number,
): Reel {
  const zeroUtcMs = Date.parse(footage.started);
  const from = zeroUtcMs - zero;
  const shift = ({
    from_ms,
    to_ms,
  }: {
    from_ms: number;
    to_ms: number | null;
  }): { from: number; to: number } => ({
    from: from + from_ms,
    to: to_ms === null ? length : from + to_ms,
  });
  return {
    recording: footage.recording,
    track,
    first,
    codecs: footage.parts.filter((part) => part.track === track).flatMap((part) => part.codec ?? []),
    agent: footage.agent,
    name: name(footage.agent),
    zeroUtcMs,
    from,
    to: Math.min(length, footage.ended ? Date.parse(footage.ended) - zero : length),
    live: footage.live,
    gaps: footage.gaps
      .filter((gap) => gap.track === track)
      .map((gap) => ({ ...shift(gap), why: gapCause(gap.cause) })),
    still: footage.still.filter((still) => still.track === track).map(shift),
    withheld: footage.withheld.map((stretch) => ({
      ...shift(stretch),
      text: `${stretch.capture === "paused" ? "Paused" : "Masked"}: ${stretch.why}`,
    })),
  };
}

/**
 * The stretches of a segment that no reel has. Within a reel they are gaps. While it is live, the last
 * seconds are always on their way.
 */
function absencesOf(
  segment: Segment,
  isLive: boolean,
  reels: Reel[],
  moment: (utc: string) => number,
): Absence[] {
  const own = reels.filter((reel) => reel.recording === segment.recording);
  return segment.account
    .filter(({ state }) => state === "missing" || (state === "on_its_way" && !isLive))
    .map(({ from, to, state, why }) => ({ from: moment(from), to: moment(to), state, why }))
    .filter(({ from, to }) => !own.some((reel) => reel.from <= from && to <= reel.to))
    .map(({ from, to, state, why }) => ({
      agent: segment.agent,
      from,
      to,
      why: state === "missing" ? why : `on its way: ${why}`,
    }));
}

/** Returns the stretch of a segment that has footage, if any. */
function span(segment: Segment, reels: Reel[], moment: (utc: string) => number, length: number): Span[] {
  const reel = reels.findIndex((reel) => reel.recording === segment.recording);
  const found = reels[reel];
  if (!found) return [];
  const from = Math.max(moment(segment.from), found.from);
  const to = Math.min(segment.to ? moment(segment.to) : length, found.to);
  return to > from ? [{ reel, role: segment.role, from, to }] : [];
}

function lane(
  agent: string,
  name: string,
  data: Interaction,
  { reels, absences }: Pick<Layout, "reels" | "absences">,
  moment: (utc: string) => number,
  end: number,
): Lane {
  const own = data.footage.filter((footage) => footage.agent === agent);
  const segments = data.segments.filter((segment) => segment.agent === agent);
  const screen = own.flatMap((footage): Bar[] => {
    const found = reels.find((reel) => reel.recording === footage.recording);
    if (!found) return [];
    const inside = (
      kind: string,
      stretch: { from: number; to: number },
      text: string,
      detail: string,
    ): Bar => ({ ...stretch, kind, text, detail });
    return [
      inside("footage", found, found.live ? "Screen, live" : "Screen", footage.recording),
      ...found.still.map((stretch) =>
        inside("still", stretch, "Still", `nothing moved for ${stretchLength(stretch.to - stretch.from)}`),
      ),
      ...reels
        .filter((reel) => reel.recording === footage.recording)
        .flatMap(({ gaps, track }) =>
          gaps.map((gap) =>
            inside("gap", gap, track === found.track ? "Gap" : `Gap, ${track}`, jumpText(gap)),
          ),
        ),
      ...found.withheld.map((stretch, index) =>
        inside(
          footage.withheld[index]!.capture,
          stretch,
          stretch.text.split(":")[0]!,
          footage.withheld[index]!.why,
        ),
      ),
    ];
  });
  // Segments of one agent that overlap lack the same footage.
  const seen = new Set<string>();
  for (const { from, to, why } of absences.filter((absence) => absence.agent === agent)) {
    const key = `${from} ${to} ${why}`;
    if (!seen.has(key)) screen.push({ from, to, kind: "missing", text: "Missing", detail: why });
    seen.add(key);
  }
  const bars = segments.map((segment): Bar & { call: string | null } => ({
    from: moment(segment.from),
    to: segment.to ? moment(segment.to) : end,
    kind: segment.role,
    text: SEGMENT_ROLES[segment.role] ?? segment.role,
    detail: [segment.call && `call ${segment.call}`, segment.why].filter(Boolean).join(", "),
    call: segment.call,
  }));
  const rows = pack(bars);
  const holds = data.calls.flatMap((call) =>
    call.held
      .filter((hold) => !hold.agent || hold.agent === agent)
      .flatMap((hold): Bar[] => {
        const [from, to] = [moment(hold.from), hold.to ? moment(hold.to) : end];
        // An agent who was not in the call at that time did not hold it.
        const bar = bars.find((bar) => bar.call === call.call && bar.from < to && from < bar.to);
        return bar
          ? [{ from, to, kind: "hold", text: "Hold", detail: `call ${call.call} on hold`, row: bar.row ?? 0 }]
          : [];
      }),
  );
  const first = reels.findIndex((reel) => reel.agent === agent);
  const place = segments.find((segment) => segment.place)?.place ?? "";
  return { name, place, reel: first < 0 ? null : first, screen, segments: [...bars, ...holds], rows };
}

/** Puts each bar into the first row in which it overlaps no earlier bar; returns the number of rows. */
function pack(bars: Bar[]): number {
  const ends: number[] = [];
  for (const bar of bars) {
    const free = ends.findIndex((end) => end <= bar.from);
    bar.row = free < 0 ? ends.length : free;
    ends[bar.row] = bar.to;
  }
  return Math.max(1, ends.length);
}
