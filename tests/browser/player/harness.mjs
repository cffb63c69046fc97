// Shared by all checks: the recordings, the browser with the page, and assertions about the picture.

import assert from "node:assert/strict";
import { Recording } from "../../../web/dev/recording.mjs";
import { launch, readCounter, serve, signIn } from "./browser.mjs";
import { call, directory, recordingIn, transfer } from "./scenario.mjs";

const [annFolder, bobFolder, pipelineArgument, stillArgument] = process.argv.slice(3);
/** The pipeline file to record with while the page watches. */
export const livePipeline = pipelineArgument;
/** The folder with a recording of a screen on which nothing happens. */
export const stillFolder = stillArgument;
/** Address of the real server, if there is one. Then there are no recordings in folders. */
const realServer = process.env.SERVER;
export const ann = realServer ? null : await recordingIn(annFolder);
export const bob = realServer ? null : await recordingIn(bobFolder);
/** Seconds of Ann's footage, as tests/timed/player.rs records it: her worker is killed at about 9 s. */
export const TIMES = { ask: 14, over: 18, end: 24, wrap: 21 };
/** Source ids of their counters. */
export const ANN = 1;
export const BOB = 2;
/** Between two pictures at 20 frames per second. */
export const FRAME_MS = 50;
/** Anchors and dates have whole milliseconds. */
const CLOCK_MS = 2;

/** Prints what a check has measured. */
export const report = (measured) => console.log(JSON.stringify(measured));

/** The scenario of most checks: a transfer from Ann to Bob. */
export function scenario(more = {}) {
  const recordings = {
    [ann.id]: { folder: ann.folder, agent: "ann" },
    [bob.id]: { folder: bob.folder, agent: "bob" },
  };
  return { ...directory, recordings, interactions: [transfer(ann, bob, TIMES)], ...more };
}

/** An hour of footage: Bob's, repeated. `more` is for `scenario`. */
export async function hourLong() {
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

/** Returns which frame of which part a recording has at a media time, according to its files. */
export async function expected(recording, mediaMs) {
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
export let server;
export let page;
export let context;

/** Starts the server and the browser and opens the page; signs in, except with `as: null`. */
export async function begin(options = {}) {
  server = realServer
    ? { address: realServer, end: async () => {} }
    : await serve(options.scenario ?? scenario());
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
  await page.goto(server.address);
  if (options.as !== null) await signIn(page, options.as);
}

export async function end() {
  await browser?.close();
  await server?.end();
}

/** Starts the server again, at the same address, after `server.end()`. */
export async function restartServer() {
  server = await server.again();
}

/** Ends the check with an error, also from outside its own calls. */
export function fail(error) {
  console.error(error);
  // The server and the browser would outlive this process and hold the pipe that the test reads.
  void Promise.all([server?.end(), browser?.close()]).finally(() => process.exit(1));
}

/** The moment that the page says it shows, in milliseconds. */
export const moment = () => page.$eval(".slider", (slider) => Number(slider.getAttribute("aria-valuenow")));

/** Waits until the picture of the last seek is there. */
export const settled = (selector = ".screen.main video") =>
  page.waitForFunction((selector) => {
    const video = document.querySelector(selector);
    return video && video.readyState >= 2 && !video.seeking && !video.closest(".is-waiting");
  }, selector);

/** Waits two animation frames: the compositor then shows the picture that the video has. */
export const painted = () =>
  page.evaluate(
    () =>
      new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(done, 100)))),
  );

/** Pauses, and waits until the picture is that of the moment that the page says it shows. */
export async function stop() {
  await page.keyboard.press("Space");
  await page.waitForFunction(() =>
    [...document.querySelectorAll(".screen video")].every((video) => video.paused && !video.seeking),
  );
  await settled();
  await painted();
}

export async function seekTo(ms) {
  await page.evaluate((ms) => (location.hash = location.hash.replace(/\?.*|$/, `?at=${ms}`)), ms);
  await page.waitForFunction(
    (ms) => Math.abs(Number(document.querySelector(".slider").getAttribute("aria-valuenow")) - ms) < 2,
    ms,
  );
  await settled();
  await painted();
}

/** Asserts that exactly the frame of moment `at` is shown. */
export async function assertShows(recording, source, at, selector) {
  const offset = recording.zero - ann.zero;
  const wanted = await expected(recording, at - offset);
  const shown = await readCounter(page, selector);
  assert.ok(shown, `no counter can be read at ${at} ms`);
  assert.equal(shown.source, source, `another agent's screen is shown at ${at} ms`);
  assert.equal(
    shown.number,
    wanted.number,
    `frame ${shown.number} is shown at ${at} ms, not frame ${wanted.number} of part ${wanted.part}`,
  );
  return { ...shown, part: wanted.part };
}

/** Waits until playback has reached moment `ms`; the error describes the screens if it does not. */
export const reaches = (ms, timeout = 30_000) =>
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
      throw new Error(
        `${error.message} The moment is ${await moment()} ms, not ${ms}: ${JSON.stringify(screens)}`,
      );
    });

export const openInteraction = async (id = "77", query = "") => {
  await page.goto(`${server.address}/#/interaction/${id}${query}`);
  // In a gap it is hidden.
  await page.waitForSelector(".screen.main video", { state: "attached" });
  await settled();
  await painted();
};
