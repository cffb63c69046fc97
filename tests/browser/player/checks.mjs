// One check of the player in a real Chromium, over real recordings. What is right is read from pixels where there is a picture.
//
//   node tests/browser/player/checks.mjs <check> <folder of Ann's recording> <folder of Bob's> <pipeline file for a live one>
//     <folder of a recording of a screen that stands still>
//
// Says on standard output what it measured, one JSON object a line; ends with an error where something is wrong. Called by
// tests/timed/player.rs, which makes the recordings.

import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { readFile } from "node:fs/promises";
import { createInterface } from "node:readline";
import { join } from "node:path";
import { Recording } from "../../../web/dev/recording.mjs";
import { launch, readCounter, serve, signIn } from "./browser.mjs";
import { attack, call, directory, EVIL, lost, recordingIn, transfer } from "./scenario.mjs";

const [check, annFolder, bobFolder, livePipeline, stillFolder] = process.argv.slice(2);
/** With the real server there are no folders: it is asked. */
const real = process.env.SERVER;
const ann = real ? null : await recordingIn(annFolder);
const bob = real ? null : await recordingIn(bobFolder);
/** Seconds since Ann's footage began, as tests/timed/player.rs records it: her worker is killed at about 9 s. */
const TIMES = { ask: 14, over: 18, end: 24, wrap: 21 };
const ANN = 1;
const BOB = 2;
/** Between two pictures at 20 a second. */
const FRAME_MS = 50;
/** Anchors and dates are told to the millisecond. */
const CLOCK_MS = 2;

/** What the compositor may be apart from what the page knows, at double speed. */
const LOOK_FRAMES = 6;

const say = (what) => console.log(JSON.stringify(what));

function scenario(more = {}) {
  const rest = {
    [ann.id]: { folder: ann.folder, agent: "ann" },
    [bob.id]: { folder: bob.folder, agent: "bob" },
  };
  return { ...directory, recordings: rest, interactions: [transfer(ann, bob, TIMES)], ...more };
}

/** Bob's footage over and over: an hour. */
async function hour() {
  const once = await new Recording(bob.id, bob.folder).fragments();
  const turnMs = (once.at(-1).end - once[0].start) / 90;
  const repeat = Math.ceil(3_600_000 / turnMs);
  const entry = { folder: bob.folder, agent: "bob", repeat };
  return {
    turnMs,
    more: {
      recordings: { [bob.id]: entry },
      interactions: [call("long", bob, "bob", { end: Math.floor((turnMs * repeat) / 1000) })],
    },
  };
}

/** Which frame of which part a recording shows at a media time, as its files say. */
async function expected(recording, mediaMs) {
  const fragments = await new Recording(recording.id, recording.folder).fragments();
  let found = null;
  const counts = new Map();
  for (const { part, frames } of fragments) {
    for (const at of frames) {
      const number = counts.get(part) ?? 0;
      counts.set(part, number + 1);
      if (at <= mediaMs + CLOCK_MS) found = { part, number, at };
    }
  }
  return found;
}

let browser;
let server;
let page;
let context;

async function begin(options = {}) {
  server = real ? { address: real, end: async () => {} } : await serve(options.scenario ?? scenario());
  browser = await launch();
  context = await browser.newContext({
    viewport: { width: 1280, height: 900 },
    locale: "en-GB",
    timezoneId: "UTC",
    acceptDownloads: true,
    ...options.context,
  });
  page = await context.newPage();
  page.setDefaultTimeout(15_000);
  page.on("pageerror", (error) => fail(error));
  page.on(
    "console",
    (message) => message.text().includes("Content Security Policy") && fail(new Error(message.text())),
  );
  await page.goto(`${server.address}/${options.hash ?? ""}`);
  await signIn(page, options.as);
}

/** A mistake of the page ends the check, wherever it is. */
function fail(error) {
  console.error(error);
  // It would outlive this and hold the pipe that the test reads.
  void Promise.all([server?.end(), browser?.close()]).finally(() => process.exit(1));
}

const moment = () => page.$eval(".slider", (slider) => Number(slider.getAttribute("aria-valuenow")));

const settled = (selector = ".screen.main video") =>
  page.waitForFunction((selector) => {
    const video = document.querySelector(selector);
    return video && video.readyState >= 2 && !video.seeking && !video.closest(".is-waiting");
  }, selector);

/** Two pictures after the last seek: what the compositor shows is then what the video has. */
const painted = () =>
  page.evaluate(
    () =>
      new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(done, 100)))),
  );

/** Stops, and waits until what is shown is the moment that is told. */
async function stop() {
  await page.keyboard.press("Space");
  await page.waitForFunction(() =>
    [...document.querySelectorAll(".screen video")].every((video) => video.paused && !video.seeking),
  );
  await settled();
  await painted();
}

async function seekTo(ms) {
  await page.evaluate((ms) => (location.hash = location.hash.replace(/\?.*|$/, `?at=${ms}`)), ms);
  await page.waitForFunction(
    (ms) => Math.abs(Number(document.querySelector(".slider").getAttribute("aria-valuenow")) - ms) < 2,
    ms,
  );
  await settled();
  await painted();
}

/** Asserts that exactly the frame of this moment is shown. */
async function assertShows(recording, source, at, selector) {
  const offset = recording.zero - ann.zero;
  const wanted = await expected(recording, at - offset);
  const shown = await readCounter(page, selector);
  assert.ok(shown, `no counter can be read at ${at} ms`);
  assert.equal(shown.source, source, `another agent's screen at ${at} ms`);
  assert.equal(
    shown.number,
    wanted.number,
    `at ${at} ms frame ${wanted.number} of part ${wanted.part} should be seen, not ${shown.number}`,
  );
  return { ...shown, part: wanted.part };
}

/** Waits until the moment is this far; if it does not come, says what stands in its way. */
const reaches = (ms, timeout = 30_000) =>
  page
    .waitForFunction(
      (ms) => Number(document.querySelector(".slider")?.getAttribute("aria-valuenow")) >= ms,
      ms,
      { timeout, polling: 50 },
    )
    .catch(async (error) => {
      const screens = await page.$$eval(".screen", (screens) =>
        screens.map((screen) => {
          const { currentTime, paused, seeking, readyState, error, buffered } =
            screen.querySelector("video") ?? {};
          const ranges = [...Array(buffered?.length ?? 0).keys()].map((at) => [
            buffered.start(at),
            buffered.end(at),
          ]);
          return {
            is: screen.className,
            text: screen.textContent,
            currentTime,
            paused,
            seeking,
            readyState,
            error: error?.message,
            ranges,
          };
        }),
      );
      throw new Error(`${error.message} It is ${await moment()} ms, of ${ms}: ${JSON.stringify(screens)}`);
    });

const openInteraction = async (id = "77", query = "") => {
  await page.goto(`${server.address}/#/interaction/${id}${query}`);
  await page.waitForSelector(".screen.main video");
  await settled();
  await painted();
};

const checks = {
  async "find-and-play"() {
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
    say(await assertShows(ann, ANN, await moment()));
  },

  async seek() {
    await begin();
    await openInteraction();
    for (const at of [0, 1234, 5050, 13_333, 3001, 20_007])
      await seekTo(at).then(async () =>
        say(await assertShows(at < TIMES.over * 1000 ? ann : bob, at < TIMES.over * 1000 ? ANN : BOB, at)),
      );
  },

  async "double-speed"() {
    await begin();
    await openInteraction("77", "?at=1000");
    await page.selectOption(".speed", "2");
    await page.keyboard.press("Space");
    await reaches(1500);
    const from = { moment: await moment(), at: Date.now() };
    // Several looks while it plays: the picture is of a moment between the one before the look and the one after it.
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
      say({ before, after, shown });
    }
    const ratio = ((await moment()) - from.moment) / (Date.now() - from.at);
    assert.ok(ratio > 1.6 && ratio < 2.2, `it plays at ${ratio.toFixed(2)}`);
    await stop();
    say({ ratio, ...(await assertShows(ann, ANN, await moment())) });
  },

  async "hand-over"() {
    await begin();
    await openInteraction("77", `?at=${TIMES.over * 1000 - 1500}`);
    await assertShows(ann, ANN, await moment());
    await page.evaluate(() => {
      // Every picture of the time around it: how long the screen stood still.
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
    // Before it is stopped, which would choose the screen anew.
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
    say({ stood_ms: Math.round(stood), ...(await assertShows(bob, BOB, await moment())) });
    assert.ok(stood < 400, `the picture stood still for ${stood} ms at the hand-over`);
  },

  async "part-change"() {
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
    say({ gap_ms: (gap.to - gap.from) / 1e6, took, before, after });
    assert.ok(took < 2500 + (gap.to - gap.from) / 1e6 + 1500, `it took ${took} ms`);
    assert.equal(await page.locator(".stretch.gap").count(), 1);
    assert.match(
      await page.getAttribute(".stretch.gap", "title"),
      /without footage: the recording process died/,
    );
    // And by a seek into the second part.
    const at = Math.round(gap.to / 1e6) + 700;
    await seekTo(at);
    assert.equal((await assertShows(ann, ANN, at)).part, 2);
  },

  async "frame-step"() {
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
        say({
          key,
          before,
          now: await moment(),
          shown,
          t: await page.$eval(".screen.main video", (v) => v.currentTime),
        });
      assert.equal(shown?.number, number + by, `after ${key}`);
      number += by;
    }
    say({ number });
  },

  async "side-by-side"() {
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
    // Both are of a recording without a gap here, so that their clocks are always as far apart as when they stand still.
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
    say({ at, apart_while_playing_ms: Math.round(worst) });
    assert.ok(worst <= 2 * FRAME_MS, `they are ${worst} ms apart while they play`);
  },

  async hour() {
    const { turnMs, more } = await hour();
    await begin({ scenario: scenario(more) });
    const opened = Date.now();
    await openInteraction("long");
    say({ first_picture_ms: Date.now() - opened });
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
            // The frame that was asked for: its time is at most a frame before the video's, which has jumped. The picture from before the
            // jump may be told once more.
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
      // The frame of this moment, or its neighbor: behind the last one of a turn that is the first one of the next.
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
    say({ seeks: took.length, median_ms: took[took.length >> 1], worst_ms: took.at(-1) });
    assert.ok(took.at(-1) <= 500, `a seek took ${took.at(-1)} ms: ${took}`);
  },

  async live() {
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
      say({ looks: delays.length, worst_ms: Math.round(worst), least_ms: Math.round(Math.min(...delays)) });
      assert.ok(delays.length > 10, `only ${delays.length} pictures could be read`);
      assert.ok(worst <= 4000, `the picture is up to ${Math.round(worst)} ms old`);
    } finally {
      recorder.kill("SIGINT");
    }
  },

  async attack() {
    const evil = attack(bob);
    const recordings = { [bob.id]: { folder: bob.folder, agent: EVIL } };
    const agents = [{ agent: EVIL, name: EVIL }];
    const completeness = {
      expected: 1,
      captured: 0,
      uploaded: 0,
      missing: [{ recording: null, agent: EVIL, interaction: EVIL, at: evil.started, why: EVIL }],
    };
    const recorders = [
      {
        recorder: EVIL,
        place: EVIL,
        connected: false,
        seen: null,
        version: EVIL,
        clock_offset_ms: 1,
        doing: EVIL,
      },
    ];
    await begin({
      scenario: scenario({
        recordings,
        interactions: [evil],
        agents,
        completeness,
        recorders,
        groups: [{ group: EVIL }],
      }),
    });
    const clean = async (where) => {
      const found = await page.evaluate(() => [
        window.pwned,
        document.querySelectorAll("body script, main img, main iframe").length,
      ]);
      assert.deepEqual(found, [undefined, 0], `${where}: it got in`);
      assert.ok(
        await page.evaluate((evil) => document.querySelector("main").textContent.includes(evil), EVIL),
        `${where}: it is not shown`,
      );
    };
    await page.waitForSelector(".list-rows .list-row");
    await clean("list");
    await page.goto(`${server.address}/#/interactions?agent=${encodeURIComponent(EVIL)}`);
    await page.waitForSelector(".filter-chips .chip");
    await clean("filter");
    await openInteraction("evil");
    await page.fill(".note-form textarea", EVIL);
    await page.click(".note-form button");
    await page.waitForFunction(() => document.querySelectorAll(".moment.note").length === 2);
    await page.fill(".label-form input", `${EVIL}2`);
    await page.press(".label-form input", "Enter");
    await page.waitForFunction(() => document.querySelectorAll(".labels .chip").length === 2);
    await clean("interaction");
    await page.goto(`${server.address}/#/operations`);
    await page.waitForSelector("tr.is-away");
    await clean("operations");
    say({ shown_as_text: 5 });
  },

  async session() {
    const { more } = await hour();
    await begin({ scenario: scenario(more) });
    await openInteraction("long", "?at=60000");
    await page.evaluate(() => (window.stayed = true));
    await page.selectOption(".speed", "8");
    await page.keyboard.press("Space");
    await reaches(64_000);
    server.tell("expire");
    await page.waitForSelector("dialog.sign-in", { timeout: 30_000 });
    assert.match(
      await page.textContent("dialog.sign-in"),
      /Your session has ended\. Sign in to continue where you were\./,
    );
    const before = await moment();
    await signIn(page);
    await reaches(before + 40_000);
    assert.ok(await page.evaluate(() => window.stayed), "the page was loaded anew");
    say({ before, after: await moment() });
  },

  async network() {
    const { more } = await hour();
    await begin({ scenario: scenario(more) });
    await openInteraction("long", "?at=60000");
    await page.evaluate(() => (window.stayed = true));
    await page.selectOption(".speed", "8");
    await page.keyboard.press("Space");
    await reaches(64_000);
    await context.setOffline(true);
    await page.waitForSelector(".away:has-text('No connection to the server. Trying again')", {
      timeout: 30_000,
    });
    await context.setOffline(false);
    await page.waitForFunction(() => document.querySelector(".away").childNodes.length === 0);
    const before = await moment();
    await reaches(before + 40_000);
    assert.ok(await page.evaluate(() => window.stayed), "the page was loaded anew");
    say({ before, after: await moment() });
  },

  async restart() {
    const { more } = await hour();
    await begin({ scenario: scenario(more) });
    await openInteraction("long", "?at=60000");
    await page.evaluate(() => (window.stayed = true));
    await page.selectOption(".speed", "8");
    await page.keyboard.press("Space");
    await reaches(64_000);
    // Away for so long that the piece of footage that was asked for is given up: once and once again.
    const fails = () =>
      page.waitForEvent("requestfailed", {
        predicate: (request) => /fragments/.test(request.url()),
        timeout: 30_000,
      });
    const givenUp = fails().then(fails);
    await server.end();
    await page.waitForSelector(".away:has-text('No connection to the server. Trying again')", {
      timeout: 30_000,
    });
    await givenUp;
    server = await server.again();
    await page.waitForFunction(() => document.querySelector(".away").childNodes.length === 0);
    const before = await moment();
    // Beyond what was loaded before: 160 s ahead at this speed.
    await reaches(before + 200_000, 60_000);
    assert.equal(await page.locator("dialog.sign-in").count(), 0, "the session is the same");
    assert.ok(await page.evaluate(() => window.stayed), "the page was loaded anew");
    say({ before, after: await moment() });
  },

  async list() {
    const many = 100_000;
    await begin({ scenario: scenario({ interactions: [], many }) });
    await page.waitForSelector(".list-rows .list-row");
    await page.fill(".filters [name=agent]", "bob");
    await page.press(".filters [name=agent]", "Enter");
    await page.waitForSelector(".filter-chips .chip");
    await page.waitForFunction(() =>
      [...document.querySelectorAll(".list-rows .c-agents")].every((cell) =>
        cell.textContent.includes("Bob Okafor"),
      ),
    );
    assert.match(page.url(), /agent=bob/);
    await page.reload();
    await page.waitForSelector(".list-rows .list-row");
    assert.equal(await page.inputValue(".filters [name=agent]"), "bob");
    await page.click(".filter-chips button");
    await page.waitForSelector(".filter-chips", { state: "hidden" });
    await page.waitForSelector(".list-rows .list-row");
    const begun = Date.now();
    await page.evaluate(() => {
      window.longest = 0;
      new PerformanceObserver((list) =>
        list.getEntries().forEach((entry) => (window.longest = Math.max(window.longest, entry.duration))),
      ).observe({ type: "longtask" });
    });
    await page.waitForFunction(
      (many) => {
        const scroller = document.querySelector(".list-scroll");
        scroller.scrollTop = scroller.scrollHeight;
        return document.querySelector(".list-status").textContent.startsWith(many.toLocaleString());
      },
      many,
      { timeout: 120_000, polling: 20 },
    );
    // The status is written before the last rows are drawn: how long the list is now is not known until then.
    await page.waitForFunction(() => {
      const scroller = document.querySelector(".list-scroll");
      scroller.scrollTop = scroller.scrollHeight;
      return [...document.querySelectorAll(".list-rows .list-row")].some((row) =>
        row.textContent.includes("169999"),
      );
    });
    await page.evaluate(() => (document.querySelector(".list-scroll").scrollTop = 2_000_000));
    await page.waitForSelector(".list-rows .list-row:has-text('120000')");
    const rows = await page.locator(".list-rows .list-row").count();
    const heap = await page.evaluate(() => Math.round(performance.memory.usedJSHeapSize / 1e6));
    say({
      rows_in_page: rows,
      all_loaded_ms: Date.now() - begun,
      longest_task_ms: await page.evaluate(() => window.longest),
      heap_mb: heap,
    });
    assert.ok(rows < 80, `${rows} rows are in the page`);
    assert.ok((await page.evaluate(() => window.longest)) < 500);
  },

  async accessibility() {
    const axe = await readFile("tests/browser/node_modules/axe-core/axe.min.js", "utf8");
    let looked = 0;
    for (const [scheme, width] of [
      ["light", 1280],
      ["dark", 1280],
      ["light", 390],
    ]) {
      server = await serve(scenario({ interactions: [transfer(ann, bob, TIMES), lost], many: 300 }));
      browser ??= await launch();
      context = await browser.newContext({
        viewport: { width, height: 900 },
        colorScheme: scheme,
        locale: "en-GB",
        reducedMotion: "reduce",
      });
      page = await context.newPage();
      page.setDefaultTimeout(15_000);
      const judge = async (where) => {
        await page.evaluate(axe);
        const { violations } = await page.evaluate(() =>
          window.axe.run(document, {
            runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"],
          }),
        );
        const told = violations.map(
          ({ id, help, nodes }) =>
            `${id}: ${help}: ${nodes
              .slice(0, 3)
              .map((node) => `${node.html} (${node.failureSummary})`)
              .join(" | ")}`,
        );
        assert.deepEqual(told, [], `${where}, ${scheme}, ${width} wide`);
        looked++;
      };
      await page.goto(server.address);
      await page.waitForSelector("dialog.sign-in");
      await judge("sign-in");
      await signIn(page);
      await page.waitForSelector(".list-rows .list-row");
      await judge("list");
      await page.click("text=More filters");
      await judge("more filters");
      await page.goto(`${server.address}/#/interactions?call=none`);
      await page.waitForSelector(".nothing");
      await judge("empty list");
      await page.goto(`${server.address}/#/interaction/77?at=${TIMES.ask * 1000}`);
      await settled();
      await page.keyboard.press("b");
      await page.waitForSelector(".screen.side video");
      await judge("interaction");
      await page.keyboard.press("?");
      await page.waitForSelector("dialog.keys");
      await judge("keys");
      await page.keyboard.press("Escape");
      await page.goto(`${server.address}/#/interaction/65`);
      await page.waitForSelector(".no-footage");
      await judge("missing footage");
      await page.goto(`${server.address}/#/live`);
      await page.waitForSelector(".cards .nothing");
      await judge("live");
      await page.goto(`${server.address}/#/operations`);
      await page.waitForSelector(".figure");
      await judge("operations");
      if (width < 500) {
        const wide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
        assert.ok(wide <= 0, `the page is ${wide} px wider than a phone`);
      }
      await context.close();
      await server.end();
    }
    say({ pages_judged: looked, violations: 0 });
  },

  async keyboard() {
    await begin({ scenario: scenario({ interactions: [transfer(ann, bob, TIMES), lost], many: 300 }) });
    await page.waitForSelector(".list-rows .list-row");
    await page.keyboard.press("/");
    assert.equal(await page.evaluate(() => document.activeElement.name), "agent");
    await page.keyboard.type("bob");
    await page.keyboard.press("Enter");
    await page.waitForSelector(".filter-chips .chip");
    await page.evaluate(() => document.activeElement.blur());
    await page.keyboard.press("j");
    await page.keyboard.press("Enter");
    await page.waitForSelector(".screen.main video");
    await settled();
    const at = async (key, wanted) => {
      await page.keyboard.press(key);
      await page.waitForFunction(
        (wanted) =>
          Math.abs(Number(document.querySelector(".slider").getAttribute("aria-valuenow")) - wanted) < 40,
        wanted,
      );
    };
    await at("l", 10_000);
    await at("j", 0);
    await at("ArrowRight", 5000);
    await at("n", TIMES.ask * 1000);
    await at("n", TIMES.over * 1000);
    await at("p", TIMES.ask * 1000);
    await page.keyboard.press("2");
    await page.waitForSelector(".lane.is-main:has-text('Bob Okafor')");
    await page.keyboard.press("f");
    await page.waitForSelector(".lane.is-main:has-text('Ann Keller')");
    await page.keyboard.press("]");
    assert.equal(await page.inputValue(".speed"), "1.5");
    await page.keyboard.press("m");
    await page.keyboard.type("Here it is.");
    await page.keyboard.press("Enter");
    await page.waitForSelector(".moment.note:has-text('Here it is.')");
    await page.waitForSelector(".mark-note");
    await page.keyboard.press("y");
    await page.waitForFunction((ms) => location.hash.includes(`at=${ms}`), TIMES.ask * 1000);
    await page.keyboard.press("i");
    await at("l", TIMES.ask * 1000 + 10_000);
    await page.keyboard.press("o");
    await page.keyboard.press("1");
    const [download] = await Promise.all([page.waitForEvent("download"), page.keyboard.press("d")]);
    assert.match(download.suggestedFilename(), /^77-ann\.mp4$/);
    // What is off is off: keys of one character may be spoken.
    await page.keyboard.press("?");
    await page.click("dialog.keys label.check");
    await page.keyboard.press("Escape");
    const before = await moment();
    await page.keyboard.press("j");
    await page.keyboard.press("Shift+ArrowLeft");
    await page.waitForFunction(
      (before) => Number(document.querySelector(".slider").getAttribute("aria-valuenow")) < before,
      before,
    );
    assert.ok(Math.abs((await moment()) - TIMES.over * 1000) < 40, `${await moment()}`);
    say({ download: download.suggestedFilename() });
  },

  /** The real server, after a two-step transfer; Ann's counter has the source id 11, Bob's 22. */
  async server() {
    await begin();
    await page.waitForSelector(".list-rows .list-row");
    await page.fill(".filters [name=attached]", "product=loan").catch(async () => {
      await page.click("text=More filters");
      await page.fill(".filters [name=attached]", "product=loan");
    });
    await page.click("text=Find");
    await page.waitForSelector(".filter-chips .chip");
    await page.waitForFunction(() => document.querySelectorAll(".list-rows .list-row").length === 1);
    await page.click(".list-rows a");
    await page.waitForSelector(".screen.main video");
    await settled();
    const told = await page.evaluate(async () => (await fetch("api/v1/interactions/77")).json());
    const zero = Date.parse(told.started);
    const footage = new Map(
      told.footage.map((footage) => [footage.agent, Date.parse(footage.started) - zero]),
    );
    const over =
      Date.parse(told.segments.find(({ agent, role }) => agent === "bob" && role === "primary").from) - zero;
    const shows = async (agent, source) => {
      const [shown, at] = [await readCounter(page), await moment()];
      assert.equal(shown?.source, source, `at ${at} ms`);
      const off = at - footage.get(agent) - shown.time_ms;
      assert.ok(off >= -FRAME_MS && off <= 2 * FRAME_MS, `the picture is ${off} ms off, at ${at} ms`);
      say({ agent, at, off_ms: Math.round(off) });
    };
    for (const at of [footage.get("ann") + 3000, footage.get("ann") + 1500]) {
      await seekTo(Math.round(at));
      await shows("ann", 11);
    }
    await seekTo(over - 1000);
    await page.keyboard.press("Space");
    await reaches(over + 1000);
    await stop();
    await shows("bob", 22);
    await page.fill(".note-form textarea", "Handed over.");
    await page.click(".note-form button");
    await page.waitForSelector(".moment.note:has-text('Handed over.')");
    await page.fill(".label-form input", "praise");
    await page.press(".label-form input", "Enter");
    await page.waitForSelector(".labels .chip:has-text('praise')");
    await page.click(".labels .chip button");
    await page.waitForSelector(".labels .chip", { state: "detached" });
    // A clip over the hand-over is one file, as long as it was told to be.
    await page.locator(".slider").focus();
    await seekTo(over - 1000);
    await page.keyboard.press("i");
    await seekTo(over + 1000);
    await page.keyboard.press("o");
    const [download] = await Promise.all([page.waitForEvent("download"), page.keyboard.press("d")]);
    assert.equal(download.suggestedFilename(), "77.mp4");
    const probe = [
      "-v",
      "error",
      "-show_entries",
      "format=duration",
      "-of",
      "csv=p=0",
      await download.path(),
    ];
    const seconds = Number(execFileSync("ffprobe", probe, { encoding: "utf8" }));
    assert.ok(Math.abs(seconds - 2) < 0.01, `the clip lasts ${seconds} s`);
    await page.goto(`${server.address}/#/operations`);
    await page.waitForSelector(".state-good");
    assert.equal(await page.locator("tbody tr .state-good").count(), 2);
    await page.click("[aria-label='Sign out']");
    await page.waitForSelector("dialog.sign-in");
  },

  /** The real server, while seat-2 is recorded. */
  async "server-live"() {
    await begin();
    await page.goto(`${server.address}/#/live`);
    await page.click(".card:has-text('seat-2') a");
    await page.waitForSelector(".screen.main video");
    await page.waitForFunction(() => document.querySelector(".screen.main video").currentTime > 0);
    // The call goes on, and all of it that has been is there: both agents, and what each of them did.
    const drawn = () =>
      [...document.querySelectorAll(".lane")].map((lane) =>
        [
          lane.querySelector(".agent").textContent,
          ...[...lane.querySelectorAll(".lane-segments .stretch")].map(({ classList }) => classList[1]),
        ].join(" "),
      );
    const expected = ["ann primary consult hold", "bob consult primary"];
    const limit = Date.now() + 15_000;
    let lanes = await page.evaluate(drawn);
    while (JSON.stringify(lanes) !== JSON.stringify(expected) && Date.now() < limit) {
      await painted();
      lanes = await page.evaluate(drawn);
    }
    assert.deepEqual(lanes, expected);
    const delays = [];
    const begun = Date.now();
    while (Date.now() - begun < 8000) {
      await painted();
      const shown = await readCounter(page);
      if (shown?.source === 22) delays.push(shown.at - Number(process.env.BEGAN) - shown.time_ms);
    }
    say({
      looks: delays.length,
      worst_ms: Math.round(Math.max(...delays)),
      least_ms: Math.round(Math.min(...delays)),
    });
    assert.ok(delays.length > 10, `only ${delays.length} pictures of Bob's screen could be read`);
    assert.ok(Math.max(...delays) <= 4000);
  },

  async "still-stretches"() {
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
    say({ three_seconds_ms: whole, skipped_ms: skipped, of_ms: seconds * 1000 - 4000 });
    assert.ok(whole > 2800, "without being asked nothing is skipped");
    assert.ok(skipped < (seconds * 1000 - 4000) / 2, `it took ${skipped} ms`);
  },

  async origin() {
    const asked = new Set();
    await begin();
    page.on("request", (request) => asked.add(new URL(request.url()).origin));
    await openInteraction();
    await page.goto(`${server.address}/#/operations`);
    await page.waitForSelector(".figure");
    await page.reload();
    await page.waitForSelector(".figure");
    const others = [...asked].filter((origin) => origin !== server.address && origin !== "null");
    assert.deepEqual(others, []);
    const policy = (await (await fetch(server.address)).headers).get("content-security-policy");
    assert.ok(!policy.includes("unsafe"), policy);
    say({ asked: [...asked] });
  },

  async own() {
    const own = call("90", ann, "ann", { end: 20 });
    await begin({ scenario: scenario({ interactions: [own] }), as: "ann" });
    await page.waitForSelector(".list-rows .list-row");
    assert.deepEqual(await page.locator(".tab").allTextContents(), ["My recordings"]);
    await openInteraction("90");
    assert.match(await page.textContent(".notice-own"), /Your screen was recorded/);
    await page.goto(`${server.address}/#/operations`);
    await page.waitForSelector(".list-rows .list-row");
    say({ views: 1 });
  },
};

setTimeout(() => fail(new Error("it does not come to an end")), 180_000).unref();
try {
  if (!checks[check])
    throw new Error(`there is no check ${check}; there are ${Object.keys(checks).join(", ")}`);
  await checks[check]();
} finally {
  await browser?.close();
  await server?.end();
}
process.exit(0);
