// Tests of the page that need no browser: who is shown when, and conversions of times and addresses.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { test } from "node:test";
import { toMediaTime, toVideoTime } from "../../target/web-tests/player/media-time.js";
import { reelAt, nextTurn, turnAfter } from "../../target/web-tests/player/follow.js";
import { frameTimes } from "../../target/web-tests/player/frame-times.js";
import { layOut } from "../../target/web-tests/views/interaction/layout.js";
import { noteServerDate, serverNow } from "../../target/web-tests/server-clock.js";
import { href, parse } from "../../target/web-tests/route.js";
import { codecName } from "../../target/web-tests/player/decode.js";
import { gapAt, gapBetween, jumpText } from "../../target/web-tests/player/gaps.js";
import { clock, duration, parseDuration } from "../../target/web-tests/format.js";

// Two-step transfer: reel 0 has the customer until 30, reel 1 from then on; both consult from 20 to 30.
const TRANSFER = [
  { reel: 0, role: "primary", from: 0, to: 30_000 },
  { reel: 0, role: "consult", from: 20_000, to: 30_000 },
  { reel: 1, role: "consult", from: 20_000, to: 30_000 },
  { reel: 0, role: "after_call_work", from: 30_000, to: 40_000 },
  { reel: 1, role: "primary", from: 30_000, to: 60_000 },
];

test("the screen of the agent who has the customer is shown", () => {
  assert.equal(reelAt(TRANSFER, 25_000, null), 0);
  assert.equal(reelAt(TRANSFER, 30_000, 0), 1);
  assert.equal(reelAt(TRANSFER, 60_000, 1), null);
  assert.deepEqual(nextTurn(TRANSFER, 5000, 0), { at: 30_000, reel: 1 });
  assert.equal(nextTurn(TRANSFER, 30_000, 1), null);
});

test("a conference stays with the agent shown, and a transfer without consultation is waited for", () => {
  const conference = [
    { reel: 0, role: "primary", from: 0, to: 50 },
    { reel: 1, role: "primary", from: 20, to: 60 },
  ];
  assert.equal(reelAt(conference, 30, 0), 0);
  assert.equal(reelAt(conference, 55, 0), 1);
  const blind = [
    { reel: 0, role: "primary", from: 0, to: 100 },
    { reel: 1, role: "primary", from: 150, to: 200 },
  ];
  assert.equal(reelAt(blind, 120, 0), null);
  assert.deepEqual(nextTurn(blind, 100, 0), { at: 150, reel: 1 });
  // The same agent again, after a stretch without footage.
  const again = [{ ...blind[0] }, { ...blind[1], reel: 0 }];
  assert.deepEqual(nextTurn(again, 100, 0), { at: 150, reel: 0 });
});

test("footage that ends close to the hand-over is followed by that of the agent who has the customer then", () => {
  assert.deepEqual(turnAfter(TRANSFER, 30_014, 0), { at: 30_014, reel: 1 });
  assert.deepEqual(turnAfter(TRANSFER, 29_990, 0), { at: 29_990, reel: 1 });
  assert.equal(turnAfter(TRANSFER, 59_990, 1), null);
  const blind = [
    { reel: 0, role: "primary", from: 0, to: 100 },
    { reel: 1, role: "primary", from: 150, to: 300 },
  ];
  assert.deepEqual(turnAfter(blind, 100, 0), { at: 150, reel: 1 });
});

test("a playlist with dates converts media time through a gap, both ways", () => {
  // Four seconds, a gap of three, two seconds.
  const pieces = [
    { start: 0, duration: 2, programDateTime: 100_000 },
    { start: 2, duration: 2, programDateTime: 102_000 },
    { start: 4, duration: 2, programDateTime: 107_000 },
  ];
  for (const [media, player] of [
    [0, 0],
    [3500, 3.5],
    [7000, 4],
    [8500, 5.5],
  ]) {
    assert.equal(toVideoTime(pieces, 100_000, media), player);
    assert.equal(toMediaTime(pieces, 100_000, player), media);
  }
  assert.equal(toVideoTime(pieces, 100_000, 5000), 4, "in the gap: its start");
  const plain = pieces.map((piece) => ({ ...piece, programDateTime: null }));
  assert.equal(toVideoTime(plain, 100_000, 3500), 3.5);
  assert.equal(toMediaTime([], 0, 1.5), 1500);
});

test("frame times are read from a fragment", () => {
  const box = (name, ...content) => {
    const body = Buffer.concat(content);
    const head = Buffer.alloc(8);
    head.writeUInt32BE(body.length + 8);
    head.write(name, 4);
    return Buffer.concat([head, body]);
  };
  const word = (value) => {
    const bytes = Buffer.alloc(4);
    bytes.writeUInt32BE(value >>> 0);
    return bytes;
  };
  const words = (...values) => Buffer.concat(values.map(word));
  // tfdt version 1 at 180000 ticks; three samples with duration and composition offset, which is signed.
  const tfdt = box("tfdt", words(0x01000000, 0, 180_000));
  const trun = box("trun", words(0x01000901, 3, 0, 4500, 9000, 4500, 0, 9000, -4500));
  const fragment = Buffer.concat([
    box("moof", box("mfhd", words(0, 1)), box("traf", box("tfhd", words(0x020000, 1)), tfdt, trun)),
    box("mdat", words(1, 2)),
  ]);
  const bytes = fragment.buffer.slice(fragment.byteOffset, fragment.byteOffset + fragment.length);
  assert.deepEqual(frameTimes(bytes), [2050, 2050, 2100]);
  // Bytes that are cut off yield fewer times, and no error.
  for (let length = 0; length < fragment.length; length++) frameTimes(bytes.slice(0, length));
});

test("an interaction is laid out in moments, with missing footage and holds where they belong", () => {
  const at = (seconds) => new Date(1_000_000 + seconds * 1000).toISOString();
  const layout = layOut(
    {
      interaction: "77",
      started: at(0),
      ended: at(60),
      live: false,
      agents: ["ann", "bob"],
      labels: [],
      media: "voice",
      direction: "inbound",
      duration_ms: 60_000,
      has_footage: "some",
      notes: [
        { id: "1", at_ms: 3000, recording: "r1", author: "sue", text: "here", label: null, created: at(99) },
      ],
      segments: [
        {
          agent: "ann",
          place: "seat-12",
          recording: "r1",
          call: "77",
          role: "primary",
          from: at(0),
          to: at(30),
          offset_ms: 0,
          duration_ms: 30_000,
          why: "",
          account: [
            { from: at(0), to: at(2), state: "missing", why: "the recorder was starting" },
            { from: at(2), to: at(30), state: "stored", why: "" },
          ],
        },
        {
          agent: "ann",
          place: "seat-12",
          recording: "r1",
          call: "78",
          role: "consult",
          from: at(20),
          to: at(30),
          offset_ms: 0,
          duration_ms: 10_000,
          why: "",
          account: [{ from: at(20), to: at(30), state: "stored", why: "" }],
        },
        {
          agent: "bob",
          place: "seat-31",
          recording: null,
          call: "77",
          role: "primary",
          from: at(30),
          to: at(60),
          offset_ms: 0,
          duration_ms: 30_000,
          why: "",
          account: [{ from: at(30), to: at(60), state: "missing", why: "the recorder was away" }],
        },
      ],
      calls: [
        { call: "77", direction: null, type: null, attached: {}, held: [{ from: at(20), to: at(30) }] },
      ],
      footage: [
        {
          recording: "r1",
          agent: "ann",
          started: at(2),
          ended: at(40),
          live: false,
          tracks: ["video", "camera"],
          withheld: [],
          still: [],
          gaps: [
            { track: "video", from_ms: 1000, to_ms: 2000, cause: "disk_full" },
            { track: "camera", from_ms: 4000, to_ms: 5000, cause: "slept" },
          ],
          parts: [],
          missing: null,
        },
        {
          recording: "r2",
          agent: "bob",
          started: at(30),
          ended: at(60),
          live: false,
          tracks: [],
          withheld: [],
          still: [],
          gaps: [],
          parts: [],
          missing: "the recorder was away",
        },
      ],
    },
    new Map([["ann", "Ann Keller"]]),
    0,
  );
  assert.equal(layout.length, 60_000);
  assert.deepEqual(layout.agents, ["Ann Keller", "bob"]);
  assert.deepEqual(
    layout.spans.map(({ from, to }) => [from, to]),
    [
      [2000, 30_000],
      [20_000, 30_000],
    ],
  );
  const [ann, bob] = layout.lanes;
  assert.deepEqual(
    ann.segments.map(({ kind, row }) => [kind, row]),
    [
      ["primary", 0],
      ["consult", 1],
      ["hold", 0],
    ],
  );
  assert.deepEqual(
    ann.screen.filter(({ kind }) => kind === "gap").map(({ from, text, detail }) => [from, text, detail]),
    [
      [3000, "Gap", "1.0 s without footage: the disk was full"],
      [6000, "Gap, camera", "1.0 s without footage: the PC slept"],
    ],
  );
  assert.deepEqual(
    layout.reels.map(({ track, first, gaps }) => [track, first, gaps.length]),
    [
      ["video", 0, 1],
      ["camera", 0, 1],
    ],
  );
  assert.deepEqual(
    ann.screen.filter(({ kind }) => kind === "missing").map(({ from, to, detail }) => [from, to, detail]),
    [[0, 2000, "the recorder was starting"]],
  );
  assert.equal(bob.reel, null);
  assert.equal(bob.screen[0].detail, "the recorder was away");
  assert.equal(
    bob.segments.some(({ kind }) => kind === "hold"),
    false,
    "Bob was not in the call then",
  );
  assert.equal(layout.marks[0].at, 5000);
});

test("an interaction is as long in the player as in the list", () => {
  const at = (seconds) => new Date(1_000_000 + seconds * 1000).toISOString();
  const footage = {
    recording: "r1",
    agent: "ann",
    started: at(-2),
    ended: at(62),
    live: false,
    tracks: ["video"],
    withheld: [],
    still: [],
    gaps: [],
    parts: [],
    missing: null,
  };
  const segment = {
    agent: "ann",
    place: null,
    recording: "r1",
    call: "77",
    role: "primary",
    from: at(0),
    to: at(60),
    offset_ms: 2000,
    duration_ms: 60_000,
    why: "",
    account: [],
  };
  const data = {
    interaction: "77",
    started: at(0),
    ended: at(60),
    duration_ms: 60_000,
    live: false,
    agents: ["ann"],
    labels: [],
    media: "voice",
    direction: null,
    has_footage: "all",
    held: false,
    notes: [],
    calls: [],
    segments: [segment],
    footage: [footage],
  };
  const layout = layOut(data, new Map(), 0);
  // The footage goes on after the call, until the recorder learns of its end.
  assert.deepEqual([layout.length, layout.reels[0].to], [60_000, 60_000]);
  // A segment is never cut off.
  const longer = layOut({ ...data, segments: [{ ...segment, to: at(61) }] }, new Map(), 0);
  assert.equal(longer.length, 61_000);
});

test("addresses are written and parsed back", () => {
  const evil = 'a/b?c#d&"<';
  const { view, id, query } = parse(href("interaction", evil, { at: "5", agent: evil }));
  assert.deepEqual([view, id, query.get("at"), query.get("agent")], ["interaction", evil, "5", evil]);
  assert.equal(parse("").view, "interactions");
  assert.equal(parse("#/interaction/%").id, "%");
});

test("durations are parsed and formatted", () => {
  for (const [text, ms] of [
    ["62", 62_000],
    ["1:02", 62_000],
    ["1:01:02", 3_662_000],
  ])
    assert.equal(parseDuration(text), ms);
  for (const text of ["", "1:", "a", "1:2:3:4"]) assert.equal(parseDuration(text), null);
  assert.equal(duration(3_662_999), "1:01:02");
});

test("a moment lies in the gap that has it, and playback meets each gap at its start", () => {
  const gaps = [
    { from: 1000, to: 1050, why: "too short" },
    { from: 15_000, to: 79_000, why: "the screen disappeared" },
  ];
  assert.equal(gapAt(gaps, 1020), null);
  assert.equal(gapAt(gaps, 14_999), null);
  assert.equal(gapAt(gaps, 15_000), gaps[1]);
  assert.equal(gapAt(gaps, 78_999), gaps[1]);
  assert.equal(gapAt(gaps, 79_000), null);
  assert.equal(gapBetween(gaps, 900, 1100), null);
  assert.equal(gapBetween(gaps, 14_990, 79_020), gaps[1]);
  assert.equal(gapBetween(gaps, 15_000, 15_100), null, "it is in it");
  assert.equal(jumpText(gaps[1]), "1:04 min without footage: the screen disappeared");
});

test("codecs have names for people", () => {
  for (const [codec, name] of [
    ["avc1.64001f", "H.264"],
    ["avc1.F40028", "H.264 4:4:4"],
    ["avc1.6e0028", "H.264 with 10 bits"],
    ["hvc1.1.6.L93.90", "H.265"],
    ["av01.0.04M.08", "AV1"],
  ])
    assert.equal(codecName(codec), name);
});

/** Writes times as a browser in this place does. */
function clocksIn(place, times) {
  const format = new URL("../../target/web-tests/format.js", import.meta.url);
  const script = `import { clock } from ${JSON.stringify(format.href)};
    console.log(JSON.stringify(${JSON.stringify(times)}.map((time) => clock(time))));`;
  const options = { env: { ...process.env, TZ: place }, encoding: "utf8" };
  return JSON.parse(execFileSync(process.execPath, ["--input-type=module", "--eval", script], options));
}

test("a time that the clocks show twice has its zone, and no other one has", () => {
  for (const [place, ...times] of [
    ["Europe/Berlin", "2026-10-25T00:30:00Z", "2026-10-25T01:30:00Z", "2026-10-24T23:30:00Z"],
    ["America/New_York", "2026-11-01T05:30:00Z", "2026-11-01T06:30:00Z", "2026-11-01T07:30:00Z"],
    ["Australia/Lord_Howe", "2026-04-04T14:45:00Z", "2026-04-04T15:15:00Z", "2026-04-04T15:45:00Z"],
  ]) {
    const [first, second, ...once] = clocksIn(place, [
      ...times,
      "2026-03-29T01:30:00Z",
      "2026-07-01T12:00:00Z",
    ]);
    assert.equal(first.slice(0, 8), second.slice(0, 8), place);
    assert.notEqual(first, second, place);
    for (const other of once) assert.match(other, /^\d\d:\d\d:\d\d$/, place);
  }
});

test("the dates of a few answers tell the server's clock, and a clock that is set starts it over", () => {
  const date = (ms) => new Date(Math.floor(ms / 1000) * 1000).toUTCString();
  const offset = 600_000;
  const begun = Date.now();
  for (let at = begun; at < begun + 5000; at += 130) noteServerDate(date(at + 10 + offset), at, at + 20);
  assert.ok(Math.abs(serverNow() - Date.now() - offset) < 150, `${serverNow() - Date.now()}`);
  noteServerDate(date(begun), begun, begun + 20);
  assert.ok(Math.abs(serverNow() - Date.now()) < 1100, `${serverNow() - Date.now()}`);
  noteServerDate(null, begun, begun);
  assert.ok(Math.abs(serverNow() - Date.now()) < 1100);
});
