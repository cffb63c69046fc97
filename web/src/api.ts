// The way to the server. A request waits out a lost connection and an ended session: it is sent again once the server
// answers or the user has signed in, so that what calls it knows neither. Changes are sent again only where nothing was sent.

import type { Session } from "./types.ts";

/** The server's answer was a problem (RFC 9457). */
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
const ANSWER_WITHIN_MS = 10_000;

let session: Session | null = null;
let connection: Connection = "up";
let signIn: (() => Promise<void>) | null = null;
let signingIn: Promise<void> | null = null;
let returning: Promise<void> | null = null;
const watchers = new Set<(now: Connection) => void>();

export const currentSession = (): Session | null => session;
export const currentConnection = (): Connection => connection;

/** Calls `watcher` whenever the server goes away or is back; gives the way to end that. */
export function watchConnection(watcher: (now: Connection) => void): () => void {
  watchers.add(watcher);
  return () => watchers.delete(watcher);
}

addEventListener("offline", () => void lost());

/** Who asks the user to sign in, and resolves once that is done. */
export function onSignInNeeded(ask: () => Promise<void>): void {
  signIn = ask;
}

/** Resolves once there is a session; many may wait for the one sign-in. */
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

/** The bytes that a change gives, as a file. */
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
    const response = await attempt(method, address, body, signal);
    if (response === null || response.status === 502 || response.status === 503) {
      const isBack = back();
      if (method !== "GET")
        throw new Problem(0, "There is no connection to the server; nothing was changed.");
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

/** Null where no answer came. */
async function attempt(
  method: string,
  address: string,
  body: unknown,
  signal?: AbortSignal,
): Promise<Response | null> {
  const headers: Record<string, string> = { accept: "application/json" };
  if (body !== undefined) headers["content-type"] = "application/json";
  if (method !== "GET" && session?.csrf_token) headers["x-csrf-token"] = session.csrf_token;
  try {
    const limit = method === "GET" ? AbortSignal.timeout(ANSWER_WITHIN_MS) : undefined;
    const either = signal && limit ? AbortSignal.any([signal, limit]) : (signal ?? limit);
    return await fetch(address, {
      method,
      headers,
      body: body === undefined ? null : JSON.stringify(body),
      signal: either ?? null,
      credentials: "same-origin",
    });
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
    // Not from our server, then.
  }
  return `The server answered ${response.status}.`;
}

/** Whoever has reason to think that the server is away says so here: it is asked, and if need be until it answers. */
export async function lost(): Promise<void> {
  if (returning) return;
  const response = await attempt("GET", url("/session"), undefined);
  if (!response || response.status >= 500) await back();
}

function back(): Promise<void> {
  returning ??= (async () => {
    tell("down");
    for (;;) {
      await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
      const response = await attempt("GET", url("/session"), undefined);
      if (response && response.status < 500) break;
    }
    returning = null;
    tell("up");
  })();
  return returning;
}

function tell(now: Connection): void {
  if (connection === now) return;
  connection = now;
  for (const watcher of [...watchers]) watcher(now);
}

/** Null where nobody is signed in. */
export async function loadSession(): Promise<Session | null> {
  for (;;) {
    const response = await attempt("GET", url("/session"), undefined);
    if (response?.ok) return (session = (await response.json()) as Session);
    if (response && response.status < 500) return (session = null);
    await back();
  }
}

/** Signs in; throws a Problem where the server says no. */
export async function openSession(name: string, password: string): Promise<Session> {
  const response = await attempt("POST", url("/session"), { name, password });
  if (!response) throw new Problem(0, "There is no connection to the server.");
  if (!response.ok) {
    const known = response.status === 401 || response.status === 403;
    throw new Problem(response.status, known ? "Name or password is wrong." : await title(response));
  }
  const opened = (await response.json().catch(() => null)) as Session | null;
  session = opened?.csrf_token ? opened : await loadSession();
  if (!session) throw new Problem(0, "The server opened no session; are cookies allowed?");
  return session;
}

export async function closeSession(): Promise<void> {
  await attempt("DELETE", url("/session"), undefined);
  session = null;
}
