// An ended session, a lost connection and a restarted server, in the middle of playback.

import assert from "node:assert/strict";
import { signIn } from "../browser.mjs";
import {
  report,
  scenario,
  hourLong,
  server,
  page,
  context,
  begin,
  restartServer,
  moment,
  reaches,
  openInteraction,
} from "../harness.mjs";

export async function session() {
  const { more } = await hourLong();
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
  assert.ok(await page.evaluate(() => window.stayed), "the page was reloaded");
  report({ before, after: await moment() });
}

export async function network() {
  const { more } = await hourLong();
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
  assert.ok(await page.evaluate(() => window.stayed), "the page was reloaded");
  report({ before, after: await moment() });
}

export async function restart() {
  const { more } = await hourLong();
  await begin({ scenario: scenario(more) });
  await openInteraction("long", "?at=60000");
  await page.evaluate(() => (window.stayed = true));
  await page.selectOption(".speed", "8");
  await page.keyboard.press("Space");
  await reaches(64_000);
  // The server is away until hls.js has given up a piece of footage twice.
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
  await restartServer();
  await page.waitForFunction(() => document.querySelector(".away").childNodes.length === 0);
  const before = await moment();
  // Beyond the footage loaded before the restart, 160 s at this speed.
  await reaches(before + 200_000, 60_000);
  assert.equal(await page.locator("dialog.sign-in").count(), 0, "a new sign-in is asked for");
  assert.ok(await page.evaluate(() => window.stayed), "the page was reloaded");
  report({ before, after: await moment() });
}
