// Chromium, the development server, and a reader for the counter that source.synthetic paints, from a
// screenshot. The reader shares no code with the painter and follows plugins/source-synthetic/README.md.

import { execFileSync, spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { writeFile, mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { chromium } from "playwright-core";

export const launch = () =>
  chromium.launch({
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    headless: true,
    args: [
      "--no-sandbox",
      "--disable-gpu",
      "--disable-quic",
      "--no-first-run",
      "--disable-background-networking",
      "--disable-component-update",
      "--disable-sync",
      "--autoplay-policy=no-user-gesture-required",
    ],
  });

/** Starts the development server on a scenario. */
export async function serve(scenario) {
  const file = join(await mkdtemp(join(tmpdir(), "player-")), "scenario.json");
  await writeFile(file, JSON.stringify(scenario));
  return start(file, 0);
}

async function start(file, port) {
  const server = spawn("node", ["web/dev/server.mjs", file, String(port)], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  const [address] = await new Promise((resolve, reject) => {
    createInterface({ input: server.stdout }).once("line", (line) => resolve([line]));
    server.once("exit", () => reject(new Error("the development server has exited")));
  });
  return {
    address,
    /** Starts the server again at the same address, after `end`. */
    again: () => start(file, new URL(address).port),
    tell: (word) => server.stdin.write(`${word}\n`),
    end: () =>
      new Promise((resolve) => {
        if (server.exitCode !== null || server.signalCode !== null) resolve();
        server.once("exit", resolve);
        server.kill("SIGKILL");
      }),
  };
}

export async function signIn(page, name = process.env.NAME ?? "sue") {
  await page.fill("[name=name]", name);
  await page.fill("[name=password]", process.env.PASSWORD ?? "secret");
  await page.click("dialog button[type=submit]");
  await page.waitForSelector("dialog", { state: "detached" });
}

/**
 * Reads the counter from a screenshot of this video: `{ source, number, time_ms, at }`, `at` being the time
 * of the screenshot. Returns null without a valid counter.
 */
export async function readCounter(page, selector = ".screen.main video") {
  const place = await page.$eval(selector, (video) => {
    const box = video.getBoundingClientRect();
    const scale = Math.min(box.width / video.videoWidth, box.height / video.videoHeight);
    return {
      scale,
      x: box.x + (box.width - video.videoWidth * scale) / 2,
      y: box.y + (box.height - video.videoHeight * scale) / 2,
    };
  });
  if (!Number.isFinite(place.scale)) return null;
  const [width, height] = [Math.ceil(256 * place.scale), Math.ceil(112 * place.scale)];
  const clip = { x: Math.floor(place.x), y: Math.floor(place.y), width: width + 1, height: height + 1 };
  const png = await page.screenshot({ clip });
  const at = Date.now();
  const gray = execFileSync(
    "ffmpeg",
    ["-v", "error", "-f", "png_pipe", "-i", "-", "-f", "rawvideo", "-pix_fmt", "gray", "-"],
    { input: png },
  );
  const stride = gray.length / (height + 1);
  const bits = [];
  for (let row = 0; row < 7; row++) {
    for (let column = 0; column < 16; column++) {
      const x = Math.round(place.x - clip.x + (column + 0.5) * 16 * place.scale);
      const y = Math.round(place.y - clip.y + (row + 0.5) * 16 * place.scale);
      bits.push(gray[y * stride + x] >= 128 ? 1 : 0);
    }
  }
  const field = (from, length) => bits.slice(from, from + length).reduce((sum, bit) => sum * 2 + bit, 0);
  const bytes = Array.from({ length: 10 }, (_, i) => field(i * 8, 8));
  if (crc(bytes) !== field(80, 32)) return null;
  return { source: field(0, 16), number: fromGray(field(16, 32)), time_ms: field(48, 32), at };
}

function fromGray(gray) {
  let number = 0;
  for (let left = gray >>> 0; left; left >>>= 1) number ^= left;
  return number >>> 0;
}

function crc(bytes) {
  let crc = 0xffffffff;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0xedb88320 : crc >>> 1;
  }
  return (crc ^ 0xffffffff) >>> 0;
}
