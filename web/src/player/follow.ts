// Decides whose screen is shown at a moment if the user chose none: that of the agent who has the customer.
// Pure. The server decides the same for a clip (server/src/media/turns.rs).
//
// All times are moments: milliseconds since the interaction began.

import type { SegmentRole } from "../types.ts";

/** A segment, as far as it has footage. */
export interface Span {
  /** Index of its reel. */
  reel: number;
  role: SegmentRole;
  from: number;
  to: number;
}

/**
 * The agent who has the customer ranks first; wrap-up last, since another agent may have the call by then.
 */
const RANK: Record<SegmentRole, number> = {
  primary: 7,
  digital: 6,
  conference: 5,
  consult: 4,
  barge: 3,
  coach: 2,
  monitor: 1,
  after_call_work: 0,
};

/**
 * Returns the reel to show at `at`, or null. Of two that rank the same, `current` stays, so that a conference
 * does not switch back and forth between its agents; otherwise the span that started last wins, since its
 * agent took the call over.
 */
export function reelAt(spans: readonly Span[], at: number, current: number | null): number | null {
  let best: Span | null = null;
  for (const span of spans) {
    if (at < span.from || at >= span.to) continue;
    if (!best || isBetter(span, best, current)) best = span;
  }
  return best && best.reel;
}

function isBetter(span: Span, than: Span, current: number | null): boolean {
  if (RANK[span.role] !== RANK[than.role]) return RANK[span.role] > RANK[than.role];
  if ((span.reel === current) !== (than.reel === current)) return span.reel === current;
  return span.from > than.from;
}

/** A switch to another reel. */
export interface Turn {
  at: number;
  reel: number;
}

/** Returns the next turn after `at`: to another reel, or to footage after a stretch without. */
export function nextTurn(spans: readonly Span[], at: number, current: number | null): Turn | null {
  const edges = [...new Set(spans.flatMap((span) => [span.from, span.to]))].filter((edge) => edge > at);
  for (const edge of edges.sort((a, b) => a - b)) {
    const reel = reelAt(spans, edge, current);
    if (reel !== null && (reel !== current || reelAt(spans, edge - 1, current) === null))
      return { at: edge, reel };
  }
  return null;
}

/**
 * Returns the turn when `current` ends at `at`: to the agent who has the customer then, or the next one who
 * does.
 */
export function turnAfter(spans: readonly Span[], at: number, current: number): Turn | null {
  const others = spans.filter(({ reel }) => reel !== current);
  const reel = reelAt(others, at, null);
  return reel === null ? nextTurn(others, at, null) : { at, reel };
}

export interface Stretch {
  from: number;
  to: number;
}
