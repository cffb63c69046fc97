// Whose screen is shown at a moment of an interaction, where nobody chose: that of the agent who has the customer. Pure.
//
// All times are milliseconds since the interaction began ("moments").

import type { SegmentRole } from "../types.ts";

export interface Span {
  lane: number;
  role: SegmentRole;
  from: number;
  to: number;
}

/** Who has the customer comes first; wrap-up last, since by then somebody else may have the call. */
const RANK: Record<SegmentRole, number> = {
  primary: 4,
  digital: 3,
  conference: 2,
  consult: 1,
  after_call_work: 0,
};

/**
 * The lane to show at `at`, or none. Of two that rank the same it stays with `current`, so that a conference does not
 * jump between its agents; else the one that came last is shown, since that is who took the call over.
 */
export function laneAt(spans: readonly Span[], at: number, current: number | null): number | null {
  let best: Span | null = null;
  for (const span of spans) {
    if (at < span.from || at >= span.to) continue;
    if (!best || isBetter(span, best, current)) best = span;
  }
  return best && best.lane;
}

function isBetter(span: Span, than: Span, current: number | null): boolean {
  if (RANK[span.role] !== RANK[than.role]) return RANK[span.role] > RANK[than.role];
  if ((span.lane === current) !== (than.lane === current)) return span.lane === current;
  return span.from > than.from;
}

export interface Turn {
  at: number;
  lane: number;
}

/** The next moment after `at` at which another lane is to be shown, or at which there is footage again. */
export function nextTurn(spans: readonly Span[], at: number, current: number | null): Turn | null {
  const edges = [...new Set(spans.flatMap((span) => [span.from, span.to]))].filter((edge) => edge > at);
  for (const edge of edges.sort((a, b) => a - b)) {
    const lane = laneAt(spans, edge, current);
    if (lane !== null && (lane !== current || laneAt(spans, edge - 1, current) === null))
      return { at: edge, lane };
  }
  return null;
}

/** Whom to go to when the footage of `current` ends at `at`: who has the customer then, or who does next. */
export function turnAfter(spans: readonly Span[], at: number, current: number): Turn | null {
  const others = spans.filter(({ lane }) => lane !== current);
  const lane = laneAt(others, at, null);
  return lane === null ? nextTurn(others, at, null) : { at, lane };
}

export interface Stretch {
  from: number;
  to: number;
}
