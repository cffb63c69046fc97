// Live views of a screen that moves, rests and moves again, on the real server; called by
// tests/timed/player_server.rs. The counter on the screen shows the time of day at which it was painted.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { readCounter } from "../browser.mjs";
import { begin, context, page, painted, report, server } from "../harness.mjs";

const DAY_MS = 86_400_000;
/** Greatest age of a live picture. */
const OLDEST_MS = 3000;
/** Greatest time to the first picture of a screen at rest: 0.3 s where nothing else runs. */
const FIRST_PICTURE_MS = 2000;
/** A screen that has not changed for this long is at rest. */
const REST_MS = 1200;
const POLL_MS = 200;

/** Opens the live view of a place; returns how long its first picture takes. */
async function open(page, place) {
  await page.goto(`${server.address}/#/live`);
  const card = page.locator(`.card:has-text('${place}') a`);
  await card.waitFor();
  const begun = Date.now();
  await card.click();
  await page.waitForFunction(
    () => {
      const video = document.querySelector(".screen.main video");
      return video && video.readyState >= 2 && video.videoWidth > 0;
    },
    null,
    { polling: "raf" },
  );
  return Date.now() - begun;
}

/** The state of the live view: the age that it says, and the media time that it shows and has. */
const look = (page) =>
  page.evaluate(() => {
    const video = document.querySelector(".screen.main video");
    const badge = document.querySelector(".live-edge");
    return {
      text: badge.textContent,
      isOld: badge.classList.contains("is-old"),
      isPressed: badge.getAttribute("aria-pressed") === "true",
      ahead: video.buffered.length ? video.buffered.end(video.buffered.length - 1) - video.currentTime : 0,
    };
  });

/** Asks for the playlist without waiting, several times a second. */
async function pollPlaylist(recording, until) {
  const address = `${server.address}/api/v1/recordings/${recording}/hls/video.m3u8`;
  const heads = new Set();
  let count = 0;
  while (!until.done) {
    const text = await (await context.request.get(address)).text();
    if (!text.includes("EXT-X-ENDLIST")) {
      judge(text);
      heads.add(
        text
          .split("\n")
          .filter((line) => /TARGETDURATION|PART-INF|SERVER-CONTROL/.test(line))
          .join(" "),
      );
      count++;
    }
    await new Promise((done) => setTimeout(done, POLL_MS));
  }
  assert.deepEqual(heads.size, 1, `the playlist changes its constants: ${[...heads].join("\n")}`);
  return { polls: count, constants: [...heads][0] };
}

/** The rules of RFC 8216bis for the durations of a live playlist. */
function judge(text) {
  const number = (name) => Number(text.match(new RegExp(`${name}[:=]([0-9.]+)`))[1]);
  const [target, partTarget] = [number("TARGETDURATION"), number("PART-TARGET")];
  assert.ok(number("PART-HOLD-BACK") >= 2 * partTarget, text);
  for (const [, duration] of text.matchAll(/#EXTINF:([0-9.]+)/g))
    assert.ok(Math.round(Number(duration)) <= target, text);
  for (const [, duration] of text.matchAll(/#EXT-X-PART:DURATION=([0-9.]+)/g))
    assert.ok(Number(duration) <= partTarget, text);
}

/** FFmpeg's reader, which is not ours, takes the playlist and finds the video. */
async function probe(recording) {
  const cookies = (await context.cookies()).map(({ name, value }) => `${name}=${value}`).join("; ");
  const address = `${server.address}/api/v1/recordings/${recording}/hls/video.m3u8`;
  const { stdout, stderr } = await promisify(execFile)("ffprobe", [
    ...["-v", "warning", "-headers", `Cookie: ${cookies}\r\n`, "-show_entries", "stream=codec_name"],
    ...["-of", "csv=p=0", "-i", address],
  ]);
  assert.match(stdout, /h264/, `ffprobe finds no video: ${stderr}`);
  return stderr.trim();
}

export async function watchStillness() {
  const restMs = Number(process.env.REST_S) * 1000;
  await begin();
  const firstPicture = await open(page, "seat-1");
  const recording = await page.evaluate(
    async () => (await (await fetch("api/v1/live")).json()).recordings[0].recording,
  );
  const until = { done: false };
  const polled = pollPlaylist(recording, until);
  polled.catch(() => {});

  const looks = [];
  const second = await context.newPage();
  let joined = null;
  let rested = null;
  let movedAgain = null;
  let last = null;
  while (movedAgain === null || Date.now() - movedAgain < 8000) {
    await painted();
    const [shown, state] = [await readCounter(page), await look(page)];
    if (!shown) continue;
    const age = ((shown.at % DAY_MS) - shown.time_ms + DAY_MS) % DAY_MS;
    if (last?.time !== shown.time_ms) {
      if (rested !== null && movedAgain === null) movedAgain = shown.time_ms;
      if (movedAgain !== null && movedAgain < DAY_MS) movedAgain += shown.at - (shown.at % DAY_MS);
      last = { time: shown.time_ms, at: shown.at };
    }
    const isStill = shown.at - last.at > REST_MS;
    if (isStill && rested === null) rested = last.at;
    looks.push({ at: shown.at, age, isStill, ...state });
    // A viewer who joins in the middle of the rest.
    if (joined === null && rested !== null && shown.at - rested > restMs / 2) {
      joined = await open(second, "seat-1");
      await second.close();
    }
    assert.ok(rested === null || shown.at - rested < restMs + 20_000, "the screen does not move again");
  }
  const ffprobe = await probe(recording);
  until.done = true;
  const { polls, constants } = await polled;

  // While the screen rests the picture cannot tell the age; the page says it, and is judged by it.
  const settled = looks.filter(({ at }) => at - looks[0].at > 3000);
  const moving = settled.filter(({ at, isStill }) => !isStill && (at < rested || at >= movedAgain));
  const fresh = moving.filter(({ at }) => at < rested - REST_MS || at >= movedAgain + OLDEST_MS);
  const ages = fresh.map(({ age }) => age);
  // While the video seeks, the page says no age.
  const said = settled
    .map(({ text }) => text.match(/Live, (\d+) s ago/)?.[1])
    .filter(Boolean)
    .map(Number);
  report({
    first_picture_ms: firstPicture,
    first_picture_at_rest_ms: joined,
    looks: looks.length,
    worst_moving_ms: Math.round(Math.max(...ages)),
    least_moving_ms: Math.round(Math.min(...ages)),
    worst_said_s: Math.max(...said),
    playlist_polls: polls,
    constants,
    ffprobe,
  });
  assert.ok(fresh.length > 4, `only ${fresh.length} pictures could be read`);
  assert.ok(
    settled.every(({ isPressed, isOld }) => isPressed && !isOld),
    JSON.stringify(settled),
  );
  assert.ok(Math.max(...ages) <= OLDEST_MS, `the picture is up to ${Math.max(...ages)} ms old`);
  assert.ok(Math.max(...said) <= OLDEST_MS / 1000, `the page says ${said}`);
  assert.ok(joined <= FIRST_PICTURE_MS, `the first picture at rest takes ${joined} ms`);
}
