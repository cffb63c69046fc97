// The player on the real server; called by tests/timed/player_server.rs.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readCounter } from "../browser.mjs";
import {
  FRAME_MS,
  report,
  server,
  page,
  begin,
  moment,
  settled,
  painted,
  stop,
  seekTo,
  reaches,
} from "../harness.mjs";

/** After a two-step transfer. Ann's counter has source id 11, Bob's 22. */
export async function watchTransfer() {
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
  const footage = new Map(told.footage.map((footage) => [footage.agent, Date.parse(footage.started) - zero]));
  const over =
    Date.parse(told.segments.find(({ agent, role }) => agent === "bob" && role === "primary").from) - zero;
  const shows = async (agent, source) => {
    const [shown, at] = [await readCounter(page), await moment()];
    assert.equal(shown?.source, source, `at ${at} ms`);
    const off = at - footage.get(agent) - shown.time_ms;
    assert.ok(off >= -FRAME_MS && off <= 2 * FRAME_MS, `the picture is ${off} ms off, at ${at} ms`);
    report({ agent, at, off_ms: Math.round(off) });
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
  // A clip across the hand-over is one file of exactly the marked length.
  await page.locator(".slider").focus();
  await seekTo(over - 1000);
  await page.keyboard.press("i");
  await seekTo(over + 1000);
  await page.keyboard.press("o");
  const [download] = await Promise.all([page.waitForEvent("download"), page.keyboard.press("d")]);
  assert.equal(download.suggestedFilename(), "77.mp4");
  const probe = ["-v", "error", "-show_entries", "format=duration", "-of", "csv=p=0", await download.path()];
  const seconds = Number(execFileSync("ffprobe", probe, { encoding: "utf8" }));
  assert.ok(Math.abs(seconds - 2) < 0.01, `the clip lasts ${seconds} s`);
  await page.goto(`${server.address}/#/operations`);
  await page.waitForSelector(".state-good");
  assert.equal(await page.locator("tbody tr .state-good").count(), 2);
  await page.click("[aria-label='Sign out']");
  await page.waitForSelector("dialog.sign-in");
}

/** While seat-2 is being recorded. */
export async function watchLive() {
  await begin();
  await page.goto(`${server.address}/#/live`);
  await page.click(".card:has-text('seat-2') a");
  await page.waitForSelector(".screen.main video");
  await page.waitForFunction(() => document.querySelector(".screen.main video").currentTime > 0);
  // The call is still going on; the lanes show both agents with all segments so far.
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
  report({
    looks: delays.length,
    worst_ms: Math.round(Math.max(...delays)),
    least_ms: Math.round(Math.min(...delays)),
  });
  assert.ok(delays.length > 10, `only ${delays.length} pictures of Bob's screen could be read`);
  assert.ok(Math.max(...delays) <= 4000);
}
