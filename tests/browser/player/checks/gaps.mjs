// What the page shows where there is nothing to show: in gaps, of lost footage, and of codecs that the
// browser cannot decode. And recordings with several tracks.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdir, mkdtemp, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { readCounter } from "../browser.mjs";
import {
  ann,
  bob,
  ANN,
  BOB,
  report,
  scenario,
  expected,
  server,
  page,
  begin,
  end,
  moment,
  settled,
  painted,
  stop,
  reaches,
  openInteraction,
} from "../harness.mjs";
import { call } from "../scenario.mjs";

/** How much later Ann's second part is than it was recorded, so that her gap is long enough to watch. */
const LATER_MS = 64_000;
/** How long the page shows a gap before it jumps, and how much longer that may take here. */
const SHOWN_MS = 2000;
const SLACK_MS = 4000;
/** Requests for a lost piece of footage: one each time that playback wants it, and one for a retry. */
const MOST_REQUESTS = 4;

const note = () => page.textContent(".screen.main .withheld-note");
const isVisible = () =>
  page.$eval(".screen.main video", (video) => getComputedStyle(video).visibility === "visible");

function withLongGap() {
  const [gap] = ann.manifest.tracks[0].gaps;
  const [from, to] = [gap.from / 1e6, gap.to / 1e6 + LATER_MS];
  const recordings = { [ann.id]: { folder: ann.folder, agent: "ann", later: LATER_MS } };
  const interactions = [call("gap", ann, "ann", { end: 24 + LATER_MS / 1000 })];
  return { from, to, more: scenario({ recordings, interactions }) };
}

export async function gap() {
  const { from, to, more } = withLongGap();
  await begin({ scenario: more });
  // A seek into the gap lands there, says why, and shows no picture of another time.
  const within = Math.round(from + 20_000);
  await openInteraction("gap", `?at=${within}`);
  assert.ok(Math.abs((await moment()) - within) < 2, `${await moment()} is not ${within}`);
  const clock = new Date(ann.zero + within).toISOString().slice(11, 19);
  assert.equal(await note(), `${clock}: no footage, the recording process died`);
  assert.equal(await isVisible(), false);
  assert.equal(await readCounter(page), null, "a picture is shown in the gap");
  assert.equal(await page.locator(".screen.main.is-waiting").count(), 0, "it looks as if it would load");
  // Steps lead out of it, in both directions.
  await page.keyboard.press(".");
  await page.waitForFunction(
    () => getComputedStyle(document.querySelector(".screen.main video")).visibility === "visible",
  );
  await settled();
  await painted();
  const after = await readCounter(page);
  assert.equal(after?.number, (await expected(ann, to - LATER_MS + 1)).number);
  // Playing, the clock runs, and then it jumps and says so.
  await page.evaluate(
    (at) => (location.hash = `${location.hash.replace(/\?.*|$/, "")}?at=${at}`),
    within + 500,
  );
  await page.waitForFunction(() =>
    document.querySelector(".screen.main .withheld-note").textContent.includes("no footage"),
  );
  const begun = Date.now();
  await page.keyboard.press("Space");
  await page.waitForFunction(
    (before) =>
      document.querySelector(".screen.main .withheld-note").textContent !== before &&
      document.querySelector(".screen.main .withheld-note").textContent.includes("no footage"),
    await note(),
  );
  await page.waitForSelector(".notice:has-text('without footage: the recording process died')");
  await reaches(to + 500);
  const took = Date.now() - begun;
  assert.ok(took < SHOWN_MS + SLACK_MS, `it took ${took} ms`);
  await stop();
  const shown = await readCounter(page);
  assert.equal(shown?.source, ANN);
  assert.equal(shown.number, (await expected(ann, (await moment()) - LATER_MS)).number);
  report({ gap_ms: to - from, took, shown });
}

export async function gapPlayed() {
  const { from, to, more } = withLongGap();
  await begin({ scenario: more });
  await openInteraction("gap", `?at=${Math.round(from) - 1500}`);
  await page.evaluate(() => {
    window.looks = [];
    const look = () => {
      const video = document.querySelector(".screen.main video");
      const at = Number(document.querySelector(".slider").getAttribute("aria-valuenow"));
      window.looks.push([at, getComputedStyle(video).visibility === "visible", video.currentTime]);
      requestAnimationFrame(look);
    };
    look();
  });
  await page.keyboard.press("Space");
  await reaches(to + 500);
  const looks = await page.evaluate(() => window.looks);
  await stop();
  const inside = looks.filter(([at]) => at > from + 1 && at < to - 1);
  assert.ok(inside.length > 20, `${inside.length} looks into the gap`);
  assert.equal(inside.filter(([, isVisible]) => isVisible).length, 0, "a picture is shown in the gap");
  // Before the gap, no picture from after it.
  const last = looks.filter(([at, isVisible]) => isVisible && at < from).at(-1);
  assert.ok(last[2] < from / 1000, `${last}`);
  assert.equal((await readCounter(page))?.number, (await expected(ann, (await moment()) - LATER_MS)).number);
  report({ looks: looks.length, inside: inside.length });
}

export async function tracks() {
  // Ann's and Bob's footage as two screens of one agent.
  const folder = await mkdtemp(join(tmpdir(), "tracks-"));
  const [left, right] = [ann, bob].map((one) => one.manifest.tracks[0]);
  const both = [
    { ...right, name: "right" },
    { ...left, name: "left" },
  ];
  await writeFile(join(folder, "manifest.json"), JSON.stringify({ ...ann.manifest, tracks: both }));
  await symlink(join(ann.folder, "video"), join(folder, "left"));
  await symlink(join(bob.folder, "video"), join(folder, "right"));
  const recordings = { [ann.id]: { folder, agent: "ann" } };
  await begin({ scenario: scenario({ recordings, interactions: [call("two", ann, "ann", { end: 20 })] }) });
  await openInteraction("two", "?at=4000");
  await settled(".screen.side video");
  await painted();
  const sources = async () => [
    (await readCounter(page))?.source,
    (await readCounter(page, ".screen.side video"))?.source,
  ];
  assert.deepEqual(await sources(), [ANN, BOB], "both screens are shown");
  const names = await page.$$eval(".screen:is(.main, .side) figcaption", (all) =>
    all.map((one) => one.textContent),
  );
  assert.deepEqual(names.sort(), ["Ann Keller · left", "Ann Keller · right"]);
  assert.deepEqual(await page.$$eval(".track option", (all) => all.map((one) => one.textContent)), [
    "left",
    "right",
  ]);
  await page.selectOption(".track", { label: "right" });
  await page.waitForSelector(".screen.main:has-text('right')");
  await settled();
  await settled(".screen.side video");
  await painted();
  assert.deepEqual(await sources(), [BOB, ANN], "the other one is the main screen");
  // One alone, as a choice.
  await page.keyboard.press("b");
  await page.waitForSelector(".screen.side", { state: "detached" }).catch(() => {});
  await page.waitForFunction(() => !document.querySelector(".screens.is-pair"));
  await settled();
  await painted();
  assert.equal((await readCounter(page))?.source, BOB);
  // The gap of one of them is on the timeline with its name.
  assert.match(
    await page.getAttribute(".stretch.gap", "title"),
    /without footage: the recording process died/,
  );
  const asked = page.waitForRequest((request) => request.url().endsWith("/export"));
  await page.keyboard.press("d");
  assert.equal((await asked).postDataJSON().track, "right");
  report({ tracks: names });
}

export async function lost() {
  const fragment = 4;
  const recordings = { [ann.id]: { folder: ann.folder, agent: "ann", lost: [fragment] } };
  await begin({ scenario: scenario({ recordings, interactions: [call("lost", ann, "ann", { end: 20 })] }) });
  let requests = 0;
  page.on("response", (response) => response.status() === 410 && requests++);
  await openInteraction("lost", "?at=500");
  await page.keyboard.press("Space");
  await page.waitForFunction(() =>
    document
      .querySelector(".screen.main .withheld-note")
      .textContent.includes("no footage, the server has lost it"),
  );
  assert.equal(await isVisible(), false);
  const from = await moment();
  await reaches(from + 3500);
  await stop();
  const shown = await readCounter(page);
  assert.equal(shown?.number, (await expected(ann, await moment())).number, "playback goes on after it");
  report({ from, requests });
  assert.ok(requests <= MOST_REQUESTS, `${requests} requests for what is lost`);
}

/** A recording of three seconds in a codec that this browser cannot decode. */
async function inH265() {
  const folder = await mkdtemp(join(tmpdir(), "h265-"));
  const part = join(folder, "video", "part-0001");
  await mkdir(part, { recursive: true });
  const film = execFileSync("ffmpeg", [
    ..."-v error -f lavfi -i testsrc2=size=320x180:rate=10 -frames:v 30 -pix_fmt yuv420p".split(" "),
    ..."-c:v libx265 -tag:v hvc1 -x265-params log-level=none:keyint=10:bframes=0".split(" "),
    ..."-video_track_timescale 90000 -frag_duration 1000000 -movflags +empty_moov+default_base_moof".split(
      " ",
    ),
    ..."-f mp4 -".split(" "),
  ]);
  const files = [[]];
  for (let at = 0; at < film.length; ) {
    const size = film.readUInt32BE(at);
    const name = film.toString("latin1", at + 4, at + 8);
    if (name === "moof") files.push([]);
    if (["ftyp", "moov", "moof", "mdat"].includes(name)) files.at(-1).push(film.subarray(at, at + size));
    at += size;
  }
  for (const [number, boxes] of files.entries()) {
    const name = number ? `${String(number).padStart(6, "0")}.m4s` : "init.mp4";
    await writeFile(join(part, name), Buffer.concat(boxes));
  }
  const tracks = [{ name: "video", gaps: [], parts: [{ number: 1, width: 320, height: 180 }] }];
  const manifest = {
    anchors: [{ media: 0, utc: "2026-11-25T08:00:00.000Z" }],
    outcome: {},
    withheld: [],
    tracks,
  };
  await writeFile(join(folder, "manifest.json"), JSON.stringify(manifest));
  return { id: "20261125T080000Z-aaaaaa", folder, zero: Date.parse("2026-11-25T08:00:00Z") };
}

export async function undecodable() {
  const film = await inH265();
  // The server usually knows the codec; of a running recording, the page learns it from the footage.
  for (const codec of ["hvc1.1.6.L60.90", null]) {
    const recordings = { [film.id]: { folder: film.folder, agent: "ann", codec } };
    await begin({
      scenario: scenario({ recordings, interactions: [call("h265", film, "ann", { end: 3 })] }),
    });
    await page.goto(`${server.address}/#/interaction/h265`);
    const text = await page.textContent(".screen.main .trouble:has-text('cannot decode')");
    assert.match(text, /^This browser cannot decode H\.265\. Download the recording, or open this page/);
    assert.match(await page.getAttribute(".screen.main .trouble a", "href"), /movie\.mp4\?track=video$/);
    const spinner = await page.$eval(".screen.main", (screen) => getComputedStyle(screen, "::after").display);
    assert.equal(spinner, "none", "it looks as if it would load");
    report({ codec, text });
    await end();
  }
}
