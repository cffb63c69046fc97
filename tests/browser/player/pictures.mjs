// Takes the screenshots of docs/images/, over recordings of painted desktops.
//
//   node tests/browser/player/pictures.mjs <folder of Ann's recording> <folder of Bob's> <folder of a live
//   one> [out]

import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { launch, serve, signIn } from "./browser.mjs";
import { call, directory, lost, recordingIn, transfer } from "./scenario.mjs";

const [annFolder, bobFolder, liveFolder, out = "docs/images"] = process.argv.slice(2);
const [ann, bob, live] = await Promise.all([annFolder, bobFolder, liveFolder].map(recordingIn));
const main = transfer(ann, bob, { ask: 42, over: 61, end: 96, wrap: 78 });
main.notes.push(
  {
    id: "1",
    at_ms: 24_300,
    recording: ann.id,
    author: "sue",
    text: "Reads out the policy number before the customer is verified.",
    label: null,
    created: "2026-11-26T08:00:00Z",
  },
  {
    id: "2",
    at_ms: 66_000,
    recording: ann.id,
    author: "sue",
    text: "Good summary for Bob.",
    label: "praise",
    created: "2026-11-26T08:00:00Z",
  },
);
const server = await serve({
  ...directory,
  many: 4000,
  recordings: {
    [ann.id]: { folder: ann.folder, agent: "ann", place: "seat-12" },
    [bob.id]: { folder: bob.folder, agent: "bob", place: "seat-31" },
    [live.id]: { folder: live.folder, agent: "cleo", place: "seat-7", live: true },
  },
  interactions: [main, lost, call("81", live, "cleo", { labels: [] })],
});
await mkdir(out, { recursive: true });
const browser = await launch();

async function pictures(name, { width, height, scheme, phone = false }, which) {
  const context = await browser.newContext({
    viewport: { width, height },
    colorScheme: scheme,
    deviceScaleFactor: phone ? 2 : 1,
    hasTouch: phone,
    locale: "en-GB",
    timezoneId: "Europe/Berlin",
  });
  const page = await context.newPage();
  page.on("console", (message) => message.type() === "error" && console.error(message.text()));
  page.on("pageerror", (error) => console.error(error));
  const shot = (what) => page.screenshot({ path: join(out, `${what}-${name}.png`) });
  await page.goto(server.address);
  if (which.includes("sign-in")) await shot("sign-in");
  await signIn(page);
  const open = async (hash, ready) => {
    await page.goto(`${server.address}/#${hash}`);
    await page.waitForSelector(ready);
  };
  if (which.includes("list")) {
    await open("/interactions", ".list-rows .list-row");
    await shot("list");
  }
  if (which.includes("interaction")) {
    await open("/interaction/77?at=52000", ".screen.main:not(.is-waiting)");
    if (!phone) {
      await page.keyboard.press("b");
      await page.waitForSelector(".screen.side:not(.is-waiting)");
    }
    await page.waitForFunction(() =>
      [...document.querySelectorAll(".screen:is(.main, .side) video")].every(
        (video) => video.readyState >= 2 && !video.seeking,
      ),
    );
    await shot("interaction");
  }
  if (which.includes("keys")) {
    await page.keyboard.press("?");
    await shot("keys");
    await page.keyboard.press("Escape");
  }
  if (which.includes("live")) {
    await open("/live", ".card");
    await shot("now");
    await open("/interaction/81", ".screen.main:not(.is-waiting)");
    await page.waitForFunction(() => document.querySelector(".screen.main video").currentTime > 0);
    await shot("live");
  }
  if (which.includes("operations")) {
    await open("/operations", ".figure");
    await shot("operations");
  }
  await context.close();
}

try {
  await pictures("light", { width: 1440, height: 900, scheme: "light" }, [
    "sign-in",
    "list",
    "interaction",
    "keys",
    "live",
    "operations",
  ]);
  await pictures("dark", { width: 1440, height: 900, scheme: "dark" }, [
    "list",
    "interaction",
    "live",
    "operations",
  ]);
  await pictures("phone", { width: 390, height: 844, scheme: "light", phone: true }, [
    "list",
    "interaction",
    "live",
  ]);
} finally {
  await browser.close();
  await server.end();
}
