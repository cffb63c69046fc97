// Requests to the server. A request outlasts a lost connection and an ended session: it is sent again once
// the server answers or the user has signed in, and its caller notices neither. A change is not sent again
// after a lost connection, since it is unknown whether it arrived.

import { noteServerDate } from "./server-clock.ts";
import type { Session } from "./types.ts";

/** An answer that is a problem (RFC 9457); status 0 without an answer. */
export class Problem extends Error {
  readonly status: number;

  constructor(status: number, title: string) {
    super(title);
    this.status = status;
  }
}

export type Connection = "up" | "down";

const BASE = "api/v1";
const RETRY_MS = 1000;
const ANSWER_TIMEOUT_MS = 10_000;

let session: Session | null = null;
let connection: Connection = "up";
let signIn: (() => Promise<void>) | null = null;
let signingIn: Promise<void> | null = null;
let waiting: Promise<void> | null = null;
const watchers = new Set<(now: Connection) => void>();

export const currentSession = (): Session | null => session;
export const currentConnection = (): Connection => connection;

/** Calls `watcher` when the connection is lost and when it is back; returns the function that ends this. */
export function watchConnection(watcher: (now: Connection) => void): () => void {
  watchers.add(watcher);
  return () => watchers.delete(watcher);
}

addEventListener("offline", () => void checkConnection());

/** Sets the function that asks the user to sign in and resolves once that is done. */
export function onSignInNeeded(ask: () => Promise<void>): void {
  signIn = ask;
}

/** Resolves once there is a session; all callers wait for the same sign-in. */
export function renewSession(): Promise<void> {
  session = null;
  signingIn ??= signIn!().finally(() => (signingIn = null));
  return signingIn;
}

export function url(path: string, query: Record<string, string | undefined> = {}): string {
  const parameters = new URLSearchParams();
  for (const [key, value] of Object.entries(query)) if (value) parameters.append(key, value);
  const text = parameters.toString();
  return `${BASE}${path}${text && `?${text}`}`;
}

export const get = <T>(
  path: string,
  query?: Record<string, string | undefined>,
  signal?: AbortSignal,
): Promise<T> => request<T>("GET", url(path, query), undefined, signal);
export const post = <T>(path: string, body: unknown): Promise<T> => request<T>("POST", url(path), body);
export const remove = (path: string): Promise<void> => request<void>("DELETE", url(path));

/** Why the server is not healthy; empty if it is, or if it does not answer, which shows elsewhere. */
export async function serverProblems(signal?: AbortSignal): Promise<string[]> {
  const response = await tryFetch("GET", url("/health"), undefined, signal);
  if (!response || response.status !== 503) return [];
  const problem = await response.json().catch(() => null);
  return Array.isArray(problem?.problems) ? problem.problems.map(String) : [];
}

/** Posts and returns the bytes of the answer. */
export async function postForFile(path: string, body: unknown): Promise<Blob> {
  return (await send("POST", url(path), body)).blob();
}

async function request<T>(method: string, address: string, body?: unknown, signal?: AbortSignal): Promise<T> {
  const response = await send(method, address, body, signal);
  return (response.status === 204 ? undefined : await response.json()) as T;
}

async function send(
  method: string,
  address: string,
  body?: unknown,
  signal?: AbortSignal,
): Promise<Response> {
  for (;;) {
    const response = await tryFetch(method, address, body, signal);
    if (response === null || response.status === 502 || response.status === 503) {
      const isBack = waitForServer();
      if (method !== "GET") throw new Problem(0, "No connection to the server; nothing was changed.");
      await isBack;
      signal?.throwIfAborted();
      continue;
    }
    if (response.status === 401 && signIn) {
      await renewSession();
      continue;
    }
    if (!response.ok) throw new Problem(response.status, await title(response));
    return response;
  }
}

/** Returns null without an answer. */
async function tryFetch(
  method: string,
  address: string,
  body: unknown,
  signal?: AbortSignal,
): Promise<Response | null> {
  const headers: Record<string, string> = { accept: "application/json" };
  if (body !== undefined) headers["content-type"] = "application/json";
  if (method !== "GET" && session?.csrf_token) headers["x-csrf-token"] = session.csrf_token;
  try {
    const limit = method === "GET" ? AbortSignal.timeout(ANSWER_TIMEOUT_MS) : undefined;
    const either = signal && limit ? AbortSignal.any([signal, limit]) : (signal ?? limit);
    const sent = Date.now();
    const response = await fetch(address, {
      method,
      headers,
      body: body === undefined ? null : JSON.stringify(body),
      signal: either ?? null,
      credentials: "same-origin",
    });
    noteServerDate(response.headers.get("date"), sent, Date.now());
    return response;
  } catch (error) {
    if (signal?.aborted) throw error;
    return null;
  }
}

async function title(response: Response): Promise<string> {
  try {
    const problem = await response.json();
    if (typeof problem.detail === "string") return `${problem.title}: ${problem.detail}`;
    if (typeof problem.title === "string") return problem.title;
  } catch {
    // The body is not our server's.
  }
  return `The server answered with status ${response.status}.`;
}

/**
 * Asks the server whether it is there, and if not, until it is. For callers that had no answer themselves.
 */
export async function checkConnection(): Promise<void> {
  if (waiting) return;
  const response = await tryFetch("GET", url("/session"), undefined);
  if (!response || response.status >= 500) await waitForServer();
}

function waitForServer(): Promise<void> {
  waiting ??= (async () => {
    setConnection("down");
    for (;;) {
      await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
      const response = await tryFetch("GET", url("/session"), undefined);
      if (response && response.status < 500) break;
    }
    waiting = null;
    setConnection("up");
  })();
  return waiting;
}

function setConnection(now: Connection): void {
  if (connection === now) return;
  connection = now;
  for (const watcher of [...watchers]) watcher(now);
}

/** Returns the session, or null if nobody is signed in. */
export async function loadSession(): Promise<Session | null> {
  for (;;) {
    const response = await tryFetch("GET", url("/session"), undefined);
    if (response?.ok) return (session = (await response.json()) as Session);
    if (response && response.status < 500) return (session = null);
    await waitForServer();
  }
}

/** Signs in; throws a Problem if the server refuses. */
export async function openSession(name: string, password: string): Promise<Session> {
  const response = await tryFetch("POST", url("/session"), { name, password });
  if (!response) throw new Problem(0, "No connection to the server.");
  if (!response.ok) {
    const isRefused = response.status === 401 || response.status === 403;
    throw new Problem(response.status, isRefused ? "Wrong name or password." : await title(response));
  }
  const opened = (await response.json().catch(() => null)) as Session | null;
  session = opened?.csrf_token ? opened : await loadSession();
  if (!session) throw new Problem(0, "The browser kept no session. Allow cookies for this page.");
  return session;
}

export async function closeSession(): Promise<void> {
  await tryFetch("DELETE", url("/session"), undefined);
  session = null;
}
