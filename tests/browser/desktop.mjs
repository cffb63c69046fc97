// Acts as an agent on the page of examples/agent-desktop, in a real Chromium whose window is on the recorded
// X screen: logs in, takes a call, shows a card number while the recorder is paused, ends the call.
//
// Usage: node desktop.mjs <the page's folder> <the recorder's address>. Prints what it did and when, as the
// page saw it, one JSON object per line.
//
// The test reads from the pixels: the page's clock, a strip of black and white cells at the lower edge (32
// bits of the time in milliseconds, most significant first, between a white and a black cell), and anything
// magenta, which is the color of the card number's field.

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
// The recorder's pipeline file allows this origin, so that the port is fixed.
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
    // The page and the recorder are both on loopback: no permission prompt for access to the local network.
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
  // Reported before the click: the page resumes as soon as the number is gone.
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

/** Lets this much footage be recorded; not a wait for an event. */
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
  // Ten times a second, so that the time in a recorded picture is at most 100 ms old.
  setInterval(paint, 100);
  paint();
}
