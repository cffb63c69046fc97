// What the server's API says, as far as the player reads it. docs/player.md names the routes. Fields that are not here are
// ignored, and a missing optional one costs only what it would have shown.

export type Id = string;
/** RFC 3339, UTC. */
export type Utc = string;
export type AccountRole = "administrator" | "supervisor" | "agent";
export type Role = "primary" | "consult" | "conference" | "after_call_work" | "digital";

export interface Session {
  name: string;
  role: AccountRole;
  groups?: string[];
  csrf_token: string;
}

export interface Summary {
  interaction: Id;
  started: Utc;
  /** Null while it goes on. */
  ended: Utc | null;
  duration_ms: number | null;
  media: string;
  direction: string | null;
  agents: Id[];
  calls: Id[];
  labels: string[];
  has_footage: "all" | "some" | "none";
  live: boolean;
  held?: boolean;
}

export interface Page {
  interactions: Summary[];
  next: string | null;
}

export interface Segment {
  agent: Id;
  place: string | null;
  recording: Id | null;
  call: Id | null;
  role: Role;
  from: Utc;
  to: Utc | null;
  offset_ms: number;
  duration_ms: number | null;
  why: string;
}

export interface Stretch {
  from_ms: number;
  to_ms: number | null;
}

export interface Footage {
  recording: Id;
  agent: Id;
  /** Media time zero. */
  started: Utc;
  ended: Utc | null;
  live: boolean;
  /** Media time, as all stretches here. */
  withheld: (Stretch & { capture: "masked" | "paused"; why: string })[];
  gaps: (Stretch & { cause: string })[];
  /** Where nothing moved on the screen, once it is closed; not every server says it. */
  still?: Stretch[];
  parts: unknown[];
  /** Why there is none, if there is none. */
  missing: string | null;
}

export interface Call {
  call: Id;
  direction: string | null;
  type: string | null;
  attached: Record<string, unknown>;
  held: { from: Utc; to: Utc | null; agent?: Id }[];
}

export interface Note {
  id: Id;
  /** Media time of its recording, or since the interaction began where it has none. */
  at_ms: number;
  recording: Id | null;
  author: string;
  text: string;
  label: string | null;
  created: Utc;
}

export interface Interaction extends Omit<Summary, "calls"> {
  segments: Segment[];
  calls: Call[];
  footage: Footage[];
  notes: Note[];
}

export interface Recording {
  recording: Id;
  agent: Id | null;
  place: string | null;
  started: Utc | null;
  ended: Utc | null;
  live: boolean;
}

export interface LiveRecording {
  recording: Id;
  /** Null while nobody has said whose it is. */
  agent: Id | null;
  place: string | null;
  started: Utc | null;
  interaction: Id | null;
  capture: "live" | "masked" | "paused";
}

export interface Recorder {
  recorder: Id;
  place: string | null;
  connected: boolean;
  /** When it was last heard of. */
  seen: Utc | null;
  /** It may no longer connect. */
  revoked?: boolean;
  version: string | null;
  clock_offset_ms: number | null;
  doing: string | null;
}

export interface Completeness {
  expected: number;
  captured: number;
  uploaded: number;
  missing: { recording: Id | null; agent: Id | null; interaction: Id | null; at: Utc; why: string }[];
}
