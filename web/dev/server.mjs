// A development server for the player: the API of docs/player.md over recordings that lie in folders, with interactions out of a
// JSON file. It has neither accounts nor storage worth the name and is not shipped; deskreel-server is the real one.
//
//   node web/dev/server.mjs <scenario.json> [port]
//
// The scenario: `{ "recordings": { "<id>": { "folder", "agent", "place", "repeat" } }, "interactions": [...], "many": 1000 }`; an
// interaction is as in the API, with `footage` a list of recordings' ids. `many` adds so many that have no footage, for the list.
//
// On standard input it takes a word a line, for tests: `expire` ends all sessions.

import { createServer } from "node:http";
import { readFile, writeFile, mkdtemp } from "node:fs/promises";
import { execFile } from "node:child_process";
import { createInterface } from "node:readline";
import { tmpdir } from "node:os";
import { dirname, join, extname, normalize } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { randomBytes } from "node:crypto";
import { Recording } from "./recording.mjs";

const [file, port = "0"] = process.argv.slice(2);
const dist = join(dirname(fileURLToPath(import.meta.url)), "..", "dist");
const scenario = JSON.parse(await readFile(file, "utf8"));
const recordings = new Map(
  Object.entries(scenario.recordings).map(([id, r]) => [id, new Recording(id, r.folder, r)]),
);
const USERS = { sue: "supervisor", ada: "administrator", ann: "agent" };
/** They outlive a restart, as those of the real server do. */
const kept = `${file}.sessions`;
const sessions = new Map(JSON.parse(await readFile(kept, "utf8").catch(() => "[]")));
const keep = () => writeFile(kept, JSON.stringify([...sessions]));

const POLICY =
  "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; font-src 'self'; media-src 'self' blob:; " +
  "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'";

const many = Array.from({ length: scenario.many ?? 0 }, (_, i) => {
  const agents = ["ann", "bob", "cleo", "dan", "eve", "fritz"];
  const started = Date.parse("2026-11-20T16:00:00Z") - i * 97_000;
  const ms = 30_000 + ((i * 7919) % 900_000);
  return {
    interaction: `c-${100_000 - i}`,
    started: new Date(started).toISOString(),
    ended: new Date(started + ms).toISOString(),
    duration_ms: ms,
    media: i % 5 ? "voice" : "chat",
    direction: i % 3 ? "inbound" : "outbound",
    agents: [agents[i % 6], ...(i % 4 ? [] : [agents[(i + 1) % 6]])],
    calls: [`${70_000 + i}`],
    labels: i % 11 ? [] : ["training"],
    has_footage: ["all", "all", "some", "all", "none"][i % 5],
    live: false,
    attached: {},
  };
});
const interactions = [...scenario.interactions, ...many].sort((a, b) => b.started.localeCompare(a.started));

class Refused extends Error {
  constructor(status, title) {
    super(title);
    this.status = status;
  }
}

function summary(i) {
  const calls = i.calls.map((call) => (typeof call === "string" ? call : call.call));
  const { segments, footage, notes, attached, ...rest } = i;
  const live = (footage ?? []).some((id) => scenario.recordings[id]?.live);
  return { ...rest, calls, live };
}

function list(query) {
  const q = (name) => query.get(name);
  const attached = [...query].filter(([key]) => key.startsWith("attached."));
  const found = interactions.filter(
    (i) =>
      (!q("agent") || i.agents.includes(q("agent"))) &&
      (!q("call") || summary(i).calls.includes(q("call"))) &&
      (!q("media") || i.media === q("media")) &&
      (!q("direction") || i.direction === q("direction")) &&
      (!q("label") || i.labels.includes(q("label"))) &&
      (!q("from") || i.started >= q("from")) &&
      (!q("to") || i.started < q("to")) &&
      (!q("min_ms") || i.duration_ms >= Number(q("min_ms"))) &&
      (!q("max_ms") || i.duration_ms <= Number(q("max_ms"))) &&
      attached.every(([key, value]) => i.calls.some((call) => call.attached?.[key.slice(9)] === value)),
  );
  const at = Number(q("cursor") ?? 0);
  const limit = Math.min(500, Number(q("limit") ?? 100));
  const next = at + limit < found.length ? String(at + limit) : null;
  return { interactions: found.slice(at, at + limit).map(summary), next };
}

function interaction(id) {
  const found = interactions.find((i) => i.interaction === id);
  if (!found) throw new Refused(404, "There is no such interaction");
  found.notes ??= [];
  return found;
}

function recording(id) {
  const found = recordings.get(id);
  if (!found) throw new Refused(404, "There is no such recording");
  return found;
}

async function whole(id) {
  const i = interaction(id);
  const footage = await Promise.all(
    (i.footage ?? []).map((id) => (typeof id === "string" ? recording(id).footage() : id)),
  );
  return { ...summary(i), calls: i.calls, segments: i.segments ?? [], footage, notes: i.notes };
}

/** `[method, pattern, answer]`; an answer that is no plain object is sent as it is. */
const routes = [
  ["GET", /^\/interactions$/, (_, { query }) => list(query)],
  ["GET", /^\/interactions\/([^/]+)$/, ([id]) => whole(id)],
  [
    "POST",
    /^\/interactions\/([^/]+)\/labels$/,
    ([id], { body }) => (interaction(id).labels.push(body.label), { label: body.label }),
  ],
  [
    "DELETE",
    /^\/interactions\/([^/]+)\/labels\/([^/]+)$/,
    ([id, label]) => {
      const i = interaction(id);
      i.labels = i.labels.filter((l) => l !== label);
    },
  ],
  [
    "POST",
    /^\/interactions\/([^/]+)\/notes$/,
    ([id], { body, session }) => {
      const note = {
        id: randomBytes(4).toString("hex"),
        author: session.name,
        created: new Date().toISOString(),
        label: null,
        ...body,
      };
      interaction(id).notes.push(note);
      return note;
    },
  ],
  [
    "DELETE",
    /^\/interactions\/([^/]+)\/notes\/([^/]+)$/,
    ([id, note]) => {
      const i = interaction(id);
      i.notes = i.notes.filter((n) => n.id !== note);
    },
  ],
  ["POST", /^\/interactions\/([^/]+)\/export$/, (_, { body }) => clip(body)],
  ["GET", /^\/recordings\/([^/]+)\/hls\/video\.m3u8$/, playlist],
  [
    "GET",
    /^\/recordings\/([^/]+)\/tracks\/video\/parts\/(\d+)\/fragments\/0$/,
    async ([id, part]) => recording(id).init(Number(part)),
  ],
  [
    "GET",
    /^\/recordings\/([^/]+)\/tracks\/video\/parts\/(\d+)\/fragments\/(\d+)(?:-(\d+))?$/,
    ([id, part, first, last]) => recording(id).bytes(Number(part), Number(first), Number(last ?? first)),
  ],
  ["GET", /^\/agents$/, () => ({ agents: scenario.agents ?? [] })],
  ["GET", /^\/groups$/, () => ({ groups: scenario.groups ?? [] })],
  ["GET", /^\/live$/, async () => ({ recordings: await live() })],
  ["GET", /^\/recorders$/, () => ({ recorders: scenario.recorders ?? [] })],
  [
    "GET",
    /^\/completeness$/,
    () => scenario.completeness ?? { expected: 0, captured: 0, uploaded: 0, missing: [] },
  ],
];

async function live() {
  const found = [];
  for (const [id, r] of Object.entries(scenario.recordings)) {
    if (!r.live) continue;
    const i = interactions.find((i) => i.footage?.includes(id));
    found.push({
      recording: id,
      agent: r.agent,
      place: r.place ?? null,
      started: new Date(await recording(id).zero()).toISOString(),
      interaction: i?.interaction ?? null,
      capture: r.capture ?? "live",
    });
  }
  return found;
}

/** Waits, where the player asks for what is not there yet (low-latency HLS). */
async function playlist([id], { query }) {
  const [piece, part] = [Number(query.get("_HLS_msn") ?? -1), Number(query.get("_HLS_part") ?? 0)];
  for (let turn = 0; ; turn++) {
    const now = await recording(id).playlist();
    const isThere = now.pieces > piece || (now.pieces === piece && now.parts > part);
    if (!now.live || piece < 0 || isThere || turn > 40) return { hls: now.text };
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

/** Of one recording, from keyframe to keyframe; the real server cuts at the frame, and over all agents. */
async function clip({ recording: id, from_ms = 0, to_ms }) {
  if (!id) throw new Refused(422, "This server makes clips of one recording");
  const footage = recording(id);
  const runs = await footage.runs();
  const folder = await mkdtemp(join(tmpdir(), "clip-"));
  const wanted = runs.filter(
    (run) => run.at(-1).end / 90 > from_ms && (to_ms === undefined || run[0].start / 90 < to_ms),
  );
  if (!wanted.length) throw new Refused(422, "There is no footage in this stretch");
  const { part } = wanted[0][0];
  const parts = wanted.filter(([f]) => f.part === part);
  const bytes = await footage.bytes(part, parts[0][0].number, parts.at(-1).at(-1).number);
  await writeFile(join(folder, "in.mp4"), Buffer.concat([await footage.init(part), bytes]));
  await promisify(execFile)("ffmpeg", [
    "-v",
    "error",
    "-i",
    join(folder, "in.mp4"),
    "-c",
    "copy",
    join(folder, "out.mp4"),
  ]);
  return { mp4: await readFile(join(folder, "out.mp4")) };
}

function session(request) {
  const id = /deskreel_session=(\w+)/.exec(request.headers.cookie ?? "")?.[1];
  return sessions.get(id);
}

async function api(request, path, query, body) {
  if (path === "/session" && request.method === "POST") {
    if (!USERS[body.name] || body.password !== "secret") throw new Refused(401, "Name or password is wrong");
    const id = randomBytes(16).toString("hex");
    sessions.set(id, {
      name: body.name,
      role: USERS[body.name],
      groups: [],
      csrf_token: randomBytes(16).toString("hex"),
    });
    await keep();
    return {
      json: sessions.get(id),
      headers: { "set-cookie": `deskreel_session=${id}; HttpOnly; SameSite=Strict; Path=/` },
    };
  }
  const own = session(request);
  if (!own) throw new Refused(401, "Sign in first");
  if (request.method !== "GET" && request.headers["x-csrf-token"] !== own.csrf_token)
    throw new Refused(403, "The token is missing");
  if (path === "/session") return request.method === "DELETE" ? void (sessions.clear(), await keep()) : own;
  for (const [method, pattern, answer] of routes) {
    const match = method === request.method && pattern.exec(path);
    if (match)
      return answer(
        match.slice(1).map((part) => part && decodeURIComponent(part)),
        { query, body, session: own },
      );
  }
  throw new Refused(404, "There is no such path");
}

const TYPES = {
  ".html": "text/html",
  ".js": "text/javascript",
  ".css": "text/css",
  ".svg": "image/svg+xml",
  ".woff2": "font/woff2",
  ".txt": "text/plain",
};

async function page(path) {
  const name = path === "/" ? "index.html" : normalize(path).replace(/^(\.\.[/\\])+/, "");
  const body = await readFile(join(dist, name)).catch(() => null);
  if (!body) throw new Refused(404, "There is no such file");
  return { body, type: TYPES[extname(name)] ?? "application/octet-stream" };
}

const server = createServer(async (request, response) => {
  const { pathname, searchParams } = new URL(request.url, "http://localhost");
  const always = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-store",
  };
  const send = (status, type, body, more = {}) =>
    response.writeHead(status, { ...always, "content-type": type, ...more }).end(body);
  try {
    if (!pathname.startsWith("/api/v1/")) {
      const { body, type } = await page(pathname);
      return send(200, type, body);
    }
    const chunks = await request.toArray();
    const body = chunks.length ? JSON.parse(Buffer.concat(chunks)) : {};
    const answer = await api(request, pathname.slice(7), searchParams, body);
    if (answer === undefined) response.writeHead(204, always).end();
    else if (answer.hls) send(200, "application/vnd.apple.mpegurl", answer.hls);
    else if (answer.mp4 || Buffer.isBuffer(answer)) send(200, "video/mp4", answer.mp4 ?? answer);
    else send(200, "application/json", JSON.stringify(answer.json ?? answer), answer.headers);
  } catch (error) {
    const status = error.status ?? 500;
    if (status === 500) console.error(error);
    send(status, "application/problem+json", JSON.stringify({ title: error.message, status }));
  }
});
server.listen(Number(port), "127.0.0.1", () => console.log(`http://127.0.0.1:${server.address().port}`));
createInterface({ input: process.stdin }).on(
  "line",
  (word) => word === "expire" && (sessions.clear(), void keep()),
);
