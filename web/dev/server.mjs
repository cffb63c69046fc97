// A development server for the page: the API of docs/player.md over recordings in folders, with interactions
// from a JSON file. Its accounts and storage are placeholders. It does not ship; deskreel-server is the real
// one. `npm test` checks its answers against the types of the API.
//
//   node web/dev/server.mjs <scenario.json> [port]
//
// The scenario: `{ "recordings": { "<id>": { "folder", "agent", "place", "repeat", "lost", "later",
// "codec" } },
// "interactions": [...], "many": 1000 }`. An interaction is as in the API, with the ids of its recordings as
// `footage`. `many` adds this many interactions without footage, for the list.
//
// Reads one command per line from standard input, for tests: `expire` ends all sessions.

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

/**
 * @import { Completeness, Interaction, LiveRecording, Note } from "../src/types.ts"
 * @import { Page, Session, Summary } from "../src/types.ts"
 * @typedef {{ query: URLSearchParams, body: any, session: Session }} Context
 * @typedef {(captured: string[], context: Context) => any} Handler
 */

const [file, port = "0"] = process.argv.slice(2);
const dist = join(dirname(fileURLToPath(import.meta.url)), "..", "dist");
const scenario = JSON.parse(await readFile(file, "utf8"));
const recordings = new Map(
  Object.entries(scenario.recordings).map(([id, r]) => [id, new Recording(id, r.folder, r)]),
);
/** @type {Record<string, Session["role"]>} */
const USERS = { sue: "supervisor", ada: "administrator", ann: "agent" };
const sessionsFile = `${file}.sessions`;
/**
 * Sessions by cookie. They outlast a restart, as those of the real server do.
 * @type {Map<string, Session>}
 */
const sessions = new Map(JSON.parse(await readFile(sessionsFile, "utf8").catch(() => "[]")));
const saveSessions = () => writeFile(sessionsFile, JSON.stringify([...sessions]));

const POLICY =
  "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; font-src 'self'; media-src 'self' blob:; " +
  "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'";

/** @type {Summary["has_footage"][]} */
const FOOTAGE_CYCLE = ["all", "all", "some", "all", "none"];

/** @returns {Summary} */
function fillerInteraction(_, i) {
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
    coverage: { wanted_ms: 0, stored_ms: 0, withheld_ms: 0, on_its_way_ms: 0, missing_ms: 0 },
    has_footage: FOOTAGE_CYCLE[i % 5],
    live: false,
    held: false,
  };
}
const many = Array.from({ length: scenario.many ?? 0 }, fillerInteraction);
/** The interactions of the scenario and the many, newest first. */
const interactions = [...scenario.interactions, ...many].sort((a, b) => b.started.localeCompare(a.started));

class HttpError extends Error {
  constructor(status, title) {
    super(title);
    this.status = status;
  }
}

/** @returns {Summary} */
function summary(i) {
  const calls = i.calls.map((call) => (typeof call === "string" ? call : call.call));
  const { segments, footage, notes, ...rest } = i;
  const live = (footage ?? []).some((id) => scenario.recordings[id]?.live);
  return { held: false, ...rest, calls, live };
}

/** @returns {Page} */
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
  if (!found) throw new HttpError(404, "This interaction does not exist");
  found.notes ??= [];
  return found;
}

function recording(id) {
  const found = recordings.get(id);
  if (!found) throw new HttpError(404, "This recording does not exist");
  return found;
}

/** @returns {Promise<Interaction>} */
async function fullInteraction(id) {
  const i = interaction(id);
  const footage = await Promise.all(
    (i.footage ?? []).map((id) => (typeof id === "string" ? recording(id).footage() : id)),
  );
  return { ...summary(i), calls: i.calls, segments: i.segments ?? [], footage, notes: i.notes };
}

/**
 * `[method, pattern, handler]`. The handler gets what the pattern captured. It returns JSON, a Buffer,
 * `{ hls }`, `{ mp4 }`, or nothing for 204.
 * @type {[string, RegExp, Handler][]}
 */
const routes = [
  ["GET", /^\/interactions$/, (_, { query }) => list(query)],
  ["GET", /^\/interactions\/([^/]+)$/, ([id]) => fullInteraction(id)],
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
      /** @type {Note} */
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
  ["GET", /^\/recordings\/([^/]+)\/hls\/([^/]+)\.m3u8$/, playlist],
  [
    "GET",
    /^\/recordings\/([^/]+)\/tracks\/([^/]+)\/parts\/(\d+)\/fragments\/0$/,
    async ([id, track, part]) => recording(id).init(track, Number(part)),
  ],
  [
    "GET",
    /^\/recordings\/([^/]+)\/tracks\/([^/]+)\/parts\/(\d+)\/fragments\/(\d+)(?:-(\d+))?$/,
    ([id, track, part, first, last = first]) => {
      const numbers = [part, first, last].map(Number);
      if (recording(id).isLost(...numbers)) throw new HttpError(410, "This footage is not stored any more");
      return recording(id).bytes(track, ...numbers);
    },
  ],
  ["GET", /^\/agents$/, () => ({ agents: scenario.agents ?? [] })],
  ["GET", /^\/groups$/, () => ({ groups: scenario.groups ?? [] })],
  ["GET", /^\/live$/, async () => ({ recordings: await live() })],
  ["GET", /^\/recorders$/, () => ({ recorders: scenario.recorders ?? [] })],
  ["GET", /^\/identities$/, () => scenario.identities ?? { conflicts: [], unresolved: [] }],
  [
    "GET",
    /^\/completeness$/,
    /** @returns {Completeness} */
    () => scenario.completeness ?? { expected: 0, captured: 0, uploaded: 0, missing: [] },
  ],
];

/** @returns {Promise<LiveRecording[]>} */
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

/**
 * Waits if the request names a piece or part that does not exist yet (low-latency HLS).
 * @type {Handler}
 */
async function playlist([id, track], { query }) {
  const [piece, part] = [Number(query.get("_HLS_msn") ?? -1), Number(query.get("_HLS_part") ?? 0)];
  for (let turn = 0; ; turn++) {
    const now = await recording(id).playlist(track);
    const isThere = now.pieces > piece || (now.pieces === piece && now.parts > part);
    if (!now.live || piece < 0 || isThere || turn > 40) return { hls: now.text };
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

/**
 * Returns a clip of one recording, cut at keyframes. The real server cuts at frames, and across all agents.
 */
async function clip({ recording: id, track, from_ms = 0, to_ms }) {
  if (!id) throw new HttpError(422, "This server cuts clips of one recording only");
  const footage = recording(id);
  track ??= (await footage.tracks())[0];
  const runs = await footage.runs(track);
  const folder = await mkdtemp(join(tmpdir(), "clip-"));
  const wanted = runs.filter(
    (run) => run.at(-1).end / 90 > from_ms && (to_ms === undefined || run[0].start / 90 < to_ms),
  );
  if (!wanted.length) throw new HttpError(422, "This stretch has no footage");
  const { part } = wanted[0][0];
  const parts = wanted.filter(([f]) => f.part === part);
  const bytes = await footage.bytes(track, part, parts[0][0].number, parts.at(-1).at(-1).number);
  await writeFile(join(folder, "in.mp4"), Buffer.concat([await footage.init(track, part), bytes]));
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

function currentSession(request) {
  const id = /deskreel_session=(\w+)/.exec(request.headers.cookie ?? "")?.[1];
  return id ? sessions.get(id) : undefined;
}

async function api(request, path, query, body) {
  if (path === "/session" && request.method === "POST") {
    if (!USERS[body.name] || body.password !== "secret") throw new HttpError(401, "Wrong name or password");
    const id = randomBytes(16).toString("hex");
    sessions.set(id, {
      name: body.name,
      role: USERS[body.name],
      groups: [],
      agent: USERS[body.name] === "agent" ? body.name : null,
      csrf_token: randomBytes(16).toString("hex"),
    });
    await saveSessions();
    return {
      json: sessions.get(id),
      headers: { "set-cookie": `deskreel_session=${id}; HttpOnly; SameSite=Strict; Path=/` },
    };
  }
  const session = currentSession(request);
  if (!session) throw new HttpError(401, "Sign in first");
  if (request.method !== "GET" && request.headers["x-csrf-token"] !== session.csrf_token)
    throw new HttpError(403, "The CSRF token is missing or wrong");
  if (path === "/session")
    return request.method === "DELETE" ? void (sessions.clear(), await saveSessions()) : session;
  for (const [method, pattern, handle] of routes) {
    const match = method === request.method ? pattern.exec(path) : null;
    if (match)
      return handle(
        match.slice(1).map((part) => part && decodeURIComponent(part)),
        { query, body, session },
      );
  }
  throw new HttpError(404, "This path does not exist");
}

const MEDIA_TYPES = {
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
  if (!body) throw new HttpError(404, "This file does not exist");
  return { body, type: MEDIA_TYPES[extname(name)] ?? "application/octet-stream" };
}

const server = createServer(async (request, response) => {
  const { pathname, searchParams } = new URL(request.url ?? "/", "http://localhost");
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
      send(200, type, body);
      return;
    }
    const chunks = await request.toArray();
    const body = chunks.length ? JSON.parse(Buffer.concat(chunks).toString()) : {};
    const answer = await api(request, pathname.slice(7), searchParams, body);
    if (answer === undefined) response.writeHead(204, always).end();
    else if (answer.hls) send(200, "application/vnd.apple.mpegurl", answer.hls);
    else if (answer.mp4 || Buffer.isBuffer(answer)) send(200, "video/mp4", answer.mp4 ?? answer);
    else send(200, "application/json", JSON.stringify(answer.json ?? answer), answer.headers);
  } catch (error) {
    const status = error instanceof HttpError ? error.status : 500;
    if (status === 500) console.error(error);
    send(
      status,
      "application/problem+json",
      JSON.stringify({ title: error instanceof Error ? error.message : String(error), status }),
    );
  }
});
server.listen(Number(port), "127.0.0.1", () => {
  const address = server.address();
  if (address && typeof address === "object") console.log(`http://127.0.0.1:${address.port}`);
});
createInterface({ input: process.stdin }).on(
  "line",
  (word) => word === "expire" && (sessions.clear(), void saveSessions()),
);
