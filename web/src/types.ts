// Short names for what the server's API returns. openapi.d.ts is generated from server/src/api/openapi.json
// by `npm run types`; this file only narrows what that document leaves open.

import type { components } from "./openapi.d.ts";

type Schemas = components["schemas"];

/** RFC 3339, UTC. */
type Utc = Schemas["Time"];

export type Session = Schemas["Session"];
export type Agent = Schemas["Agent"];
export type Group = Schemas["Group"];
export type Summary = Schemas["Summary"];
export type Footage = Schemas["Footage"];
export type Note = Schemas["Note"];
export type Recording = Schemas["Recording"];
export type LiveRecording = Schemas["Live"];
export type Recorder = Schemas["Recorder"];
export type Identification = Schemas["Identification"];
export type UnresolvedName = Schemas["UnresolvedName"];
export type Completeness = Schemas["Completeness"];
export type Page = Schemas["InteractionPage"];

export type SegmentRole =
  | "primary"
  | "consult"
  | "conference"
  | "monitor"
  | "coach"
  | "barge"
  | "after_call_work"
  | "digital";
export type Segment = Schemas["Segment"] & { role: SegmentRole };

export type Call = Omit<Schemas["Call"], "held"> & { held: { from: Utc; to: Utc | null; agent?: string }[] };

export type Interaction = Omit<Schemas["Interaction"], "segments" | "calls"> & {
  segments: Segment[];
  calls: Call[];
};
