// A recording that belongs to no interaction yet, in the shape of an interaction, so that the same view shows
// it.

import type { Interaction, Recording } from "../../types.ts";

export function asInteraction(recording: Recording): Interaction {
  const { recording: id, place, ended, live } = recording;
  const agent = recording.agent ?? place ?? id;
  const started = recording.started ?? new Date().toISOString();
  const footage = {
    recording: id,
    agent,
    started,
    ended,
    live,
    tracks: recording.tracks,
    withheld: [],
    gaps: recording.gaps,
    still: [],
    parts: recording.parts,
    missing: null,
  };
  return {
    interaction: id,
    started,
    ended,
    duration_ms: null,
    media: "",
    direction: null,
    agents: [agent],
    calls: [],
    labels: [],
    has_footage: "all",
    coverage: { wanted_ms: 0, stored_ms: 0, withheld_ms: 0, on_its_way_ms: 0, missing_ms: 0 },
    live,
    held: false,
    segments: [],
    footage: [footage],
    notes: [],
  };
}
