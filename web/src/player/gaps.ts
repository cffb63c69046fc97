// Gaps in a reel during playback: which one a moment lies in, and what is said about it. Pure.
//
// All times are moments: milliseconds since the interaction began.

import { stretchLength } from "../format.ts";
import type { Stretch } from "./follow.ts";

export interface Gap extends Stretch {
  /** Why there is no footage, in words. */
  why: string;
}

/** Shorter gaps are a picture that stands a little longer. */
const LEAST_MS = 100;

/** Returns the gap that a moment lies in. */
export const gapAt = (gaps: readonly Gap[], at: number): Gap | null =>
  gaps.find(({ from, to }) => to - from >= LEAST_MS && from <= at && at < to) ?? null;

/** Returns the first gap that begins between two moments. */
export const gapBetween = (gaps: readonly Gap[], after: number, until: number): Gap | null =>
  gaps.find(({ from, to }) => to - from >= LEAST_MS && after < from && from <= until) ?? null;

/** What is announced when playback jumps over the rest of a gap. */
export const jumpText = ({ from, to, why }: Gap): string =>
  `${stretchLength(to - from)} without footage: ${why}`;
