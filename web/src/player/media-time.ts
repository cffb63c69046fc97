// Converts between media time, which counts from the start of a recording and runs through gaps, and the time
// of the video element, on which hls.js lines up the pieces of a playlist. The pieces' dates connect the two;
// a playlist without dates is taken to run on media time.
//
// Milliseconds here, seconds only in `start` and `duration`, as in hls.js.

export interface Piece {
  /** Seconds of the video element's time. */
  start: number;
  /** Seconds. */
  duration: number;
  /** Milliseconds of UTC at its first frame, if the playlist has dates. */
  programDateTime: number | null;
}

/** Seconds of the video element's time at which the picture of this media time is shown. */
export function toVideoTime(pieces: readonly Piece[], zeroUtcMs: number, mediaMs: number): number {
  const utc = zeroUtcMs + mediaMs;
  let best: Piece | undefined;
  for (const piece of pieces) {
    if (piece.programDateTime === null) return Math.max(0, mediaMs / 1000);
    if (best && piece.programDateTime > utc) break;
    best = piece;
  }
  if (!best) return Math.max(0, mediaMs / 1000);
  const into = (utc - best.programDateTime!) / 1000;
  // A gap has no picture: show the end of the piece before it.
  return best.start + Math.min(Math.max(0, into), best.duration);
}

/** Milliseconds of media time that are shown at this time of the video element. */
export function toMediaTime(pieces: readonly Piece[], zeroUtcMs: number, seconds: number): number {
  let best: Piece | undefined;
  for (const piece of pieces) {
    if (piece.programDateTime === null) return seconds * 1000;
    if (best && piece.start > seconds) break;
    best = piece;
  }
  if (!best) return seconds * 1000;
  return best.programDateTime! - zeroUtcMs + (seconds - best.start) * 1000;
}
