// The right frame of the right agent, however the user gets there.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { readFile } from "node:fs/promises";
import { createInterface } from "node:readline";
import { join } from "node:path";
import { Recording } from "../../../../web/dev/recording.mjs";
import { readCounter } from "../browser.mjs";
import {
  ann,
  bob,
  stillFolder,
  livePipeline,
  TIMES,
  ANN,
  BOB,
  FRAME_MS,
  report,
  scenario,
  hourLong,
  expected,
  server,
  page,
  begin,
  fail,
  moment,
  settled,
  painted,
  stop,
  seekTo,
  assertShows,
  reaches,
  openInteraction,
} from "../harness.mjs";
import { call, lost, recordingIn, transfer } from "../scenario.mjs";

/** How far the picture may be from the moment that the page says it shows, at double speed. */
const LOOK_FRAMES = 6;

export async function findAndPlay() {
  await begin({ scenario: scenario({ interactions: [transfer(ann, bob, TIMES), lost], many: 300 }) });
  await page.fill(".filters [name=call]", "77");
  await page.press(".filters [name=call]", "Enter");
  await page.waitForFunction(() => document.querySelectorAll(".list-rows .list-row").length === 1);
  assert.match(page.url(), /call=77/);
  await page.click(".list-rows a");
  await page.waitForSelector(".screen.main video");
  await settled();
  await page.keyboard.press("Space");
  await reaches(2000);
  await stop();
  report(await assertShows(ann, ANN, await moment()));
}

export async function seek() {
  await begin();
  await openInteraction();
  for (const at of [0, 1234, 5050, 13_333, 3001, 20_007])
    await seekTo(at).then(async () =>
      report(await assertShows(at < TIMES.over * 1000 ? ann : bob, at < TIMES.over * 1000 ? ANN : BOB, at)),
    );
}

export async function doubleSpeed() {
  await begin();
  await openInteraction("77", "?at=1000");
  await page.selectOption(".speed", "2");
  await page.keyboard.press("Space");
  await reaches(1500);
  const from = { moment: await moment(), at: Date.now() };
  // Several screenshots while it plays: each shows a moment between those read before and after it.
  for (let look = 0; look < 4; look++) {
    await page.waitForFunction(
      (ms) => Number(document.querySelector(".slider").getAttribute("aria-valuenow")) >= ms,
      from.moment + look * 1400,
    );
    const before = await moment();
    const shown = await readCounter(page);
    const after = await moment();
    assert.ok(shown, "no counter can be read while it plays");
    assert.equal(shown.source, ANN);
    const first = (await expected(ann, before)).number - LOOK_FRAMES;
    const last = (await expected(ann, after)).number + LOOK_FRAMES;
    assert.ok(
      first <= shown.number && shown.number <= last,
      `frame ${shown.number} between ${before} and ${after} ms, not ${first} to ${last}`,
    );
    report({ before, after, shown });
  }
  const ratio = ((await moment()) - from.moment) / (Date.now() - from.at);
  assert.ok(ratio > 1.6 && ratio < 2.2, `it plays at ${ratio.toFixed(2)} times the speed`);
  await stop();
  report({ ratio, ...(await assertShows(ann, ANN, await moment())) });
}

export async function handOver() {
  await begin();
  await openInteraction("77", `?at=${TIMES.over * 1000 - 1500}`);
  await assertShows(ann, ANN, await moment());
  await page.evaluate(() => {
    // Collects every picture around the hand-over, to see how long the screen stands still.
    window.pictures = [];
    const look = () => {
      const video = document.querySelector(".screen.main video");
      window.pictures.push([
        performance.now(),
        document.querySelector(".lane.is-main .agent")?.textContent,
        video?.currentTime,
      ]);
      window.looking = requestAnimationFrame(look);
    };
    look();
  });
  await page.keyboard.press("Space");
  await reaches(TIMES.over * 1000 + 1000);
  // Read before stop(), which would choose the screen again.
  const pictures = await page.evaluate(() => window.pictures);
  await stop();
  assert.deepEqual([...new Set(pictures.map(([, agent]) => agent))], ["Ann Keller", "Bob Okafor"]);
  let stood = 0;
  let since = pictures[0];
  for (const picture of pictures) {
    if (picture[2] !== since[2]) {
      if (since[0] > pictures[0][0] + 300) stood = Math.max(stood, picture[0] - since[0]);
      since = picture;
    }
  }
  report({ stood_ms: Math.round(stood), ...(await assertShows(bob, BOB, await moment())) });
  assert.ok(stood < 400, `the picture stood still for ${stood} ms at the hand-over`);
}

export async function partChange() {
  const [gap] = ann.manifest.tracks[0].gaps;
  assert.equal(ann.manifest.tracks[0].parts.length, 2);
  await begin();
  await openInteraction("77", `?at=${Math.round(gap.from / 1e6) - 1500}`);
  const before = await assertShows(ann, ANN, await moment());
  assert.equal(before.part, 1);
  const begun = Date.now();
  await page.keyboard.press("Space");
  await reaches(gap.to / 1e6 + 1000);
  const took = Date.now() - begun;
  await stop();
  const after = await assertShows(ann, ANN, await moment());
  assert.equal(after.part, 2);
  report({ gap_ms: (gap.to - gap.from) / 1e6, took, before, after });
  assert.ok(took < 2500 + (gap.to - gap.from) / 1e6 + 1500, `it took ${took} ms`);
  assert.equal(await page.locator(".stretch.gap").count(), 1);
  assert.match(
    await page.getAttribute(".stretch.gap", "title"),
    /without footage: the recording process died/,
  );
  // A seek into the second part works too.
  const at = Math.round(gap.to / 1e6) + 700;
  await seekTo(at);
  assert.equal((await assertShows(ann, ANN, at)).part, 2);
}

export async function frameStep() {
  await begin();
  await openInteraction("77", "?at=4000");
  let { number } = await assertShows(ann, ANN, 4000);
  for (const [key, by] of [
    [".", 1],
    [".", 1],
    [".", 1],
    [",", -1],
    [",", -1],
    [",", -1],
    [",", -1],
  ]) {
    const before = await moment();
    await page.keyboard.press(key);
    await page.waitForFunction(
      (before) => Number(document.querySelector(".slider").getAttribute("aria-valuenow")) !== before,
      before,
    );
    await settled();
    await painted();
    const shown = await readCounter(page);
    if (process.env.DEBUG)
      report({
        key,
        before,
        now: await moment(),
        shown,
        t: await page.$eval(".screen.main video", (v) => v.currentTime),
      });
    assert.equal(shown?.number, number + by, `after ${key}`);
    number += by;
  }
  report({ number });
}

export async function sideBySide() {
  await begin();
  await openInteraction("77", `?at=${TIMES.ask * 1000}`);
  await page.keyboard.press("b");
  await page.waitForSelector(".screen.side video");
  await settled(".screen.side video");
  await painted();
  await assertShows(ann, ANN, await moment());
  await assertShows(bob, BOB, await moment(), ".screen.side video");
  await page.keyboard.press("Space");
  await reaches(TIMES.ask * 1000 + 1000);
  // Neither recording has a gap here, so that their video times always differ by the same amount as when
  // paused.
  const apart = () =>
    page.evaluate(
      () =>
        document.querySelector(".screen.main video").currentTime -
        document.querySelector(".screen.side video").currentTime,
    );
  const playing = [];
  for (let look = 1; look <= 5; look++) {
    await reaches(TIMES.ask * 1000 + 1000 + look * 400);
    playing.push(await apart());
  }
  await stop();
  const standing = await apart();
  const worst = Math.max(...playing.map((now) => Math.abs(now - standing) * 1000));
  const [one, other] = [await readCounter(page), await readCounter(page, ".screen.side video")];
  assert.deepEqual([one?.source, other?.source], [ANN, BOB]);
  const at = await moment();
  const wanted = await expected(bob, at - (bob.zero - ann.zero));
  assert.equal(other.number, wanted.number);
  report({ at, apart_while_playing_ms: Math.round(worst) });
  assert.ok(worst <= 2 * FRAME_MS, `they are ${worst} ms apart while they play`);
}

export async function stillStretches() {
  const still = await recordingIn(stillFolder);
  const seconds = still.manifest.ended / 1e9;
  const more = {
    recordings: { [still.id]: { folder: still.folder, agent: "cleo" } },
    interactions: [call("still", still, "cleo", { end: seconds })],
  };
  await begin({ scenario: scenario(more) });
  const play = async (from, to) => {
    await openInteraction("still", `?at=${from}`);
    const begun = Date.now();
    await page.keyboard.press("Space");
    await reaches(to);
    const took = Date.now() - begun;
    await stop();
    return took;
  };
  const whole = await play(1000, 4000);
  await page.keyboard.press("s");
  const skipped = await play(1000, seconds * 1000 - 3000);
  report({ three_seconds_ms: whole, skipped_ms: skipped, of_ms: seconds * 1000 - 4000 });
  assert.ok(whole > 2800, "a still stretch is skipped although skipping is off");
  assert.ok(skipped < (seconds * 1000 - 4000) / 2, `it took ${skipped} ms`);
}

export async function hour() {
  const { turnMs, more } = await hourLong();
  await begin({ scenario: scenario(more) });
  const opened = Date.now();
  await openInteraction("long");
  report({ first_picture_ms: Date.now() - opened });
  const [{ start }] = await new Recording(bob.id, bob.folder).fragments();
  const took = [];
  for (const share of [0.5, 0.913, 0.07, 0.77, 0.3333, 0.61, 0.999, 0.2, 0.45, 0.85]) {
    const ms = await page
      .evaluate(async (share) => {
        const slider = document.querySelector(".slider");
        const { left, width, top } = slider.getBoundingClientRect();
        const video = document.querySelector(".screen.main video");
        const [begun, before] = [performance.now(), video.currentTime];
        const shown = new Promise((done) => {
          // Waits for the requested frame: it starts less than 100 ms before the video's time, which has
          // jumped. The picture from before the jump may be reported once more.
          const look = () =>
            video.requestVideoFrameCallback((_, { mediaTime }) =>
              Math.abs(video.currentTime - mediaTime) < 0.1 && Math.abs(video.currentTime - before) > 1
                ? done()
                : look(),
            );
          look();
        });
        slider.dispatchEvent(
          new PointerEvent("pointerdown", {
            clientX: left + share * width,
            clientY: top + 4,
            pointerId: 1,
            bubbles: true,
          }),
        );
        await shown;
        return performance.now() - begun;
      }, share)
      .catch(fail);
    took.push(Math.round(ms));
    await settled();
    await painted();
    const at = await moment();
    // The frame of this moment or its neighbor; the neighbor of a repetition's last frame is the first one of
    // the next.
    const near = [];
    for (const ms of [at - FRAME_MS, at, at + FRAME_MS]) {
      const turn = Math.floor((ms - start / 90) / turnMs);
      near.push((await expected(bob, ms - turn * turnMs)).number);
    }
    const shown = await readCounter(page);
    assert.ok(
      near.some((number) => Math.abs(shown.number - number) <= 1),
      `frame ${shown.number}, not one of ${near}, at ${at} ms`,
    );
  }
  took.sort((a, b) => a - b);
  report({ seeks: took.length, median_ms: took[took.length >> 1], worst_ms: took.at(-1) });
  assert.ok(took.at(-1) <= 500, `a seek took ${took.at(-1)} ms: ${took}`);
}

export async function live() {
  const recorder = spawn(
    process.env.DESKREEL ?? "target/debug/deskreel",
    ["record", livePipeline, "--duration", "40s", "--json"],
    { stdio: ["ignore", "pipe", "inherit"] },
  );
  try {
    const { folder, recording } = await new Promise((resolve) => {
      let began;
      createInterface({ input: recorder.stdout }).on("line", (line) => {
        const event = JSON.parse(line);
        if (event.event === "began") began = event;
        if (event.event === "file" && event.number === 4) resolve(began);
      });
    });
    const manifest = JSON.parse(await readFile(join(folder, "manifest.json"), "utf8"));
    const zero = Date.parse(manifest.anchors[0].utc) - manifest.anchors[0].media / 1e6;
    const running = call("81", { id: recording, zero }, "cleo");
    await begin({
      scenario: scenario({
        recordings: { [recording]: { folder, agent: "cleo", live: true } },
        interactions: [running],
      }),
    });
    await page.goto(`${server.address}/#/live`);
    await page.click(".card a");
    await page.waitForSelector(".screen.main video");
    await page.waitForFunction(() => document.querySelector(".screen.main video").currentTime > 0);
    const delays = [];
    const begun = Date.now();
    while (Date.now() - begun < 14_000) {
      await painted();
      const shown = await readCounter(page);
      if (!shown) continue;
      const { start } = manifest.tracks[0].parts[0]?.fragments[0] ?? { start: 0 };
      delays.push(shown.at - (zero + start / 1e6 + shown.time_ms));
    }
    const worst = Math.max(...delays);
    report({ looks: delays.length, worst_ms: Math.round(worst), least_ms: Math.round(Math.min(...delays)) });
    assert.ok(delays.length > 10, `only ${delays.length} pictures could be read`);
    assert.ok(worst <= 4000, `the picture is up to ${Math.round(worst)} ms old`);
  } finally {
    recorder.kill("SIGINT");
  }
}
