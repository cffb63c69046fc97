// The interactions of the player's checks: a two-step transfer from Ann to Bob over two real recordings, a
// call whose recording is missing, and one with everything that an attacker would write into names and
// attached data.

import { readFile, readdir } from "node:fs/promises";
import { join } from "node:path";

/** Must be shown as text everywhere. */
export const EVIL = `<img src=x onerror="window.pwned=1"><script>window.pwned=1</script>"'>`;

/** Returns the recording in a folder that has exactly one. */
export async function recordingIn(folder) {
  const id = (await readdir(folder)).find((name) => /^\d{8}T\d{6}Z-/.test(name));
  const manifest = JSON.parse(await readFile(join(folder, id, "manifest.json"), "utf8"));
  const [anchor] = manifest.anchors;
  return { id, folder: join(folder, id), manifest, zero: Date.parse(anchor.utc) - anchor.media / 1e6 };
}

/**
 * Ann has the customer from the start of her footage, consults Bob at `ask`, and hands over at `over`; her
 * wrap-up lasts until `wrap`. All are seconds since the interaction began, which is when Ann's footage
 * starts.
 */
export function transfer(ann, bob, { ask, over, end, wrap }) {
  const at = (seconds) => new Date(ann.zero + seconds * 1000).toISOString();
  const segment = (agent, recording, role, call, from, to, why) => ({
    agent,
    place: agent === "ann" ? "seat-12" : "seat-31",
    recording: recording.id,
    call,
    role,
    from: at(from),
    to: at(to),
    offset_ms: Math.round(ann.zero + from * 1000 - recording.zero),
    duration_ms: (to - from) * 1000,
    why,
    account: [],
  });
  return {
    interaction: "77",
    started: at(0),
    ended: at(end),
    duration_ms: end * 1000,
    media: "voice",
    direction: "inbound",
    agents: ["ann", "bob"],
    labels: ["complaint", "training"],
    has_footage: "all",
    coverage: { wanted_ms: 60000, stored_ms: 60000, withheld_ms: 0, on_its_way_ms: 0, missing_ms: 0 },
    calls: [
      {
        call: "77",
        direction: "inbound",
        type: "inbound",
        attached: { customer: "K-204711", product: "Home insurance", queue: "Claims" },
        held: [{ from: at(ask), to: at(over), agent: "ann" }],
      },
      { call: "78", direction: "internal", type: "consult", attached: {}, held: [] },
    ],
    segments: [
      segment("ann", ann, "primary", "77", 0, over, "call 77 is established"),
      segment("ann", ann, "consult", "78", ask, over, "consultation beside call 77"),
      segment("bob", bob, "consult", "78", ask, over, "consulted by ann"),
      segment("ann", ann, "after_call_work", "77", over, Math.min(wrap, end), "after call work"),
      segment("bob", bob, "primary", "77", over, end, "transferred from ann"),
    ],
    footage: [ann.id, bob.id],
    notes: [],
  };
}

/** A call over one recording, from its start to `end` seconds; without `end` it is still going on. */
export function call(interaction, recording, agent, { end = null, ...more } = {}) {
  const at = (seconds) => new Date(recording.zero + seconds * 1000).toISOString();
  return {
    interaction,
    started: at(0),
    ended: end === null ? null : at(end),
    duration_ms: end === null ? null : end * 1000,
    media: "voice",
    direction: "inbound",
    agents: [agent],
    labels: [],
    has_footage: "all",
    coverage: { wanted_ms: 60000, stored_ms: 60000, withheld_ms: 0, on_its_way_ms: 0, missing_ms: 0 },
    calls: [{ call: interaction, direction: "inbound", type: "inbound", attached: {}, held: [] }],
    segments: [
      {
        agent,
        place: "seat-7",
        recording: recording.id,
        call: interaction,
        role: "primary",
        from: at(0),
        to: end === null ? null : at(end),
        offset_ms: 0,
        duration_ms: end === null ? null : end * 1000,
        why: `call ${interaction} is established`,
        account: [],
      },
    ],
    footage: [recording.id],
    notes: [],
    ...more,
  };
}

/** A call whose recording never arrived. */
export const lost = {
  interaction: "65",
  started: "2026-11-25T09:12:00.000Z",
  ended: "2026-11-25T09:15:00.000Z",
  duration_ms: 180_000,
  media: "voice",
  direction: "inbound",
  agents: ["cleo"],
  labels: [],
  has_footage: "none",
  coverage: { wanted_ms: 60000, stored_ms: 0, withheld_ms: 0, on_its_way_ms: 0, missing_ms: 60000 },
  calls: [{ call: "65", direction: "inbound", type: "inbound", attached: {}, held: [] }],
  segments: [
    {
      agent: "cleo",
      place: "seat-3",
      recording: null,
      call: "65",
      role: "primary",
      from: "2026-11-25T09:12:00.000Z",
      to: "2026-11-25T09:15:00.000Z",
      offset_ms: 0,
      duration_ms: 180_000,
      why: "call 65 is established",
      account: [
        {
          from: "2026-11-25T09:12:00.000Z",
          to: "2026-11-25T09:15:00.000Z",
          state: "missing",
          why: "the recorder at seat-3 was away",
        },
      ],
    },
  ],
  footage: [
    {
      recording: "20261125T091200Z-000000",
      agent: "cleo",
      started: "2026-11-25T09:12:00.000Z",
      ended: "2026-11-25T09:15:00.000Z",
      live: false,
      withheld: [],
      gaps: [],
      still: [],
      parts: [],
      missing: "the recorder at seat-3 was away",
    },
  ],
  notes: [],
};

/** An interaction in which every text that comes from outside is an injection attempt. */
export function attackInteraction(recording) {
  const end = 8;
  const found = call("evil", recording, EVIL, { end, labels: [EVIL], media: EVIL, direction: EVIL });
  found.calls[0].attached = { [EVIL]: EVIL };
  found.calls[0].call = EVIL;
  found.segments[0].why = EVIL;
  found.segments[0].place = EVIL;
  found.notes.push({
    id: "1",
    at_ms: 1000,
    recording: recording.id,
    author: EVIL,
    text: EVIL,
    label: EVIL,
    created: "2026-11-26T00:00:00Z",
  });
  return found;
}

export const directory = {
  agents: [
    { agent: "ann", name: "Ann Keller" },
    { agent: "bob", name: "Bob Okafor" },
    { agent: "cleo", name: "Cleo Marin" },
    { agent: "dan", name: "Dan Weiss" },
    { agent: "eve", name: "Eve Lindqvist" },
    { agent: "fritz", name: "Fritz Adler" },
  ],
  groups: [{ group: "claims" }, { group: "sales" }],
  recorders: [
    {
      recorder: "pc-0012",
      place: "seat-12",
      connected: true,
      seen: "2026-11-25T07:58:11Z",
      version: "0.1.0",
      clock_offset_ms: 3.2,
      doing: "recording ann",
    },
    {
      recorder: "pc-0031",
      place: "seat-31",
      connected: true,
      seen: "2026-11-25T08:01:40Z",
      version: "0.1.0",
      clock_offset_ms: -11.8,
      doing: "recording bob",
    },
    {
      recorder: "pc-0007",
      place: "seat-7",
      connected: true,
      seen: "2026-11-25T08:22:05Z",
      version: "0.1.0",
      clock_offset_ms: 412.5,
      doing: "standby",
    },
    {
      recorder: "pc-0003",
      place: "seat-3",
      connected: false,
      seen: "2026-11-25T09:04:31Z",
      version: "0.1.0",
      clock_offset_ms: null,
      doing: null,
    },
  ],
  completeness: {
    expected: 1284,
    captured: 1282,
    uploaded: 1280,
    on_its_way: 1,
    coverage: { wanted_ms: 90000, stored_ms: 60000, withheld_ms: 0, on_its_way_ms: 0, missing_ms: 30000 },
    missing: [
      {
        recording: null,
        agent: "cleo",
        interaction: "65",
        at: "2026-11-25T09:12:00Z",
        wanted_ms: 60000,
        missing_ms: 60000,
        why: "the recorder at seat-3 was away",
      },
      {
        recording: "20261125T084410Z-11aa20",
        agent: "dan",
        interaction: null,
        at: "2026-11-25T08:44:10Z",
        wanted_ms: 340000,
        missing_ms: 12000,
        why: "captured, not uploaded yet: 12 of 340 fragments are missing",
      },
    ],
  },
};
