// Plays an agent in examples/agent-desktop, in a real Chromium whose window is on the X screen that is recorded:
// logs in, takes a call, has a card number on the screen while the recorder is paused, ends the call.
//
// Usage: node desktop.mjs <the page's folder> <the recorder's address>. Says on standard output what it did and when, one
// JSON object a line, as the page saw it.
//
// What the test reads from the pixels: the page's clock, as a strip of black and white cells at the lower edge (CLOCK_BITS
// bits of the time in milliseconds, most significant first, between a white and a black cell), and anything magenta,
// which is what the card's field is painted with.

import { createServer } from "node:http";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { chromium } from "playwright-core";

const [folder, api] = process.argv.slice(2);
const say = (what, more = {}) => console.log(JSON.stringify({ what, at: Date.now(), ...more }));

const types = { html: "text/html", css: "text/css", js: "text/javascript" };
const server = createServer(async (request, response) => {
  const name = request.url === "/" ? "index.html" : request.url.slice(1);
  try {
    const body = await readFile(join(folder, name));
    response.writeHead(200, { "content-type": types[name.split(".").pop()] ?? "text/plain" }).end(body);
  } catch {
    response.writeHead(404).end();
  }
});
// The recorder's file names this origin.
await new Promise((resolve) => server.listen(Number(process.env.PAGE_PORT), "127.0.0.1", resolve));
const origin = `http://127.0.0.1:${server.address().port}`;

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  headless: false,
  args: [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--kiosk",
    "--window-position=0,0",
    "--window-size=1280,720",
    // A page on loopback that asks loopback is no stranger; browsers ask their user for others.
    "--disable-features=LocalNetworkAccessChecks",
  ],
});
try {
  const context = await browser.newContext({ ignoreHTTPSErrors: true, viewport: null });
  const page = await context.newPage();
  page.on("console", (message) => message.type() === "error" && console.error(message.text()));
  await page.goto(origin);
  await page.addStyleTag({ content: "#card, #card * { background: #ff00ff !important; color: #ff00ff; }" });
  await page.evaluate(paintClock, 32);

  await page.fill("[name=api]", api);
  await page.fill("[name=agent]", process.env.AGENT);
  await page.fill("[name=password]", process.env.PASSWORD);
  await page.click("#log-in button");
  await page.waitForSelector("#desk:not([hidden])", { timeout: 20_000 });
  say("logged_in");

  await page.click("#answer");
  await page.waitForSelector("#recorder[data-state=recording]", { timeout: 20_000 });
  say("recording", { recording: await page.textContent("#recording") });
  await stay(2500);

  await page.click("#card-begin");
  await page.waitForSelector("#card:not([hidden])");
  say("card_shown");
  await page.fill("#card-number", "4111111111111111");
  await stay(2000);
  // Told before it is asked for: the page resumes as soon as the number is gone.
  say("card_going");
  await page.click("#card-end");
  await page.waitForSelector("#card-end:disabled");
  say("resumed");
  await stay(2500);

  await page.click("#hang-up");
  await page.waitForSelector("#recorder[data-state=idle]", { timeout: 20_000 });
  say("ended", { problem: await page.textContent("#problem") });
  await page.click("#log-out");
  await page.waitForSelector("#log-in:not([hidden])");
  say("logged_out");
} finally {
  await browser.close();
  server.close();
}

/** Footage of so long: this is the length of what happens, not a wait for something. */
function stay(ms) {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

function paintClock(bits) {
  const cell = 16;
  const canvas = document.createElement("canvas");
  canvas.width = (bits + 2) * cell;
  canvas.height = cell;
  canvas.style.cssText = "position:fixed;left:0;bottom:0;z-index:9;image-rendering:pixelated";
  document.body.append(canvas);
  const context = canvas.getContext("2d");
  const paint = () => {
    const now = Date.now();
    const set = (at, white) => {
      context.fillStyle = white ? "#fff" : "#000";
      context.fillRect(at * cell, 0, cell, cell);
    };
    set(0, true);
    for (let bit = 0; bit < bits; bit++) set(bit + 1, Math.floor(now / 2 ** (bits - 1 - bit)) % 2 === 1);
    set(bits + 1, false);
  };
  // Ten times a second: each picture that is recorded shows a time that is at most so old.
  setInterval(paint, 100);
  paint();
}
