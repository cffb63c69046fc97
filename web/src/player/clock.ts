// Two clocks of one recording: media time, which counts from the start of the recording and runs through gaps, and the
// player's time, in which a playlist lines its pieces up. Where the playlist dates its pieces, those dates tell one from the
// other; where it does not, it is taken to run on media time.
//
// Milliseconds here, seconds only in `start` and `duration`, as hls.js has them.

export interface Piece {
  /** Seconds, the player's time. */
  start: number;
  /** Seconds. */
  duration: number;
  /** Milliseconds of UTC at its first frame, if the playlist says it. */
  programDateTime: number | null;
}

/** Seconds of the player's time at which the picture of this media time is shown. */
export function toPlayer(pieces: readonly Piece[], zeroUtcMs: number, mediaMs: number): number {
  const utc = zeroUtcMs + mediaMs;
  let best: Piece | undefined;
  for (const piece of pieces) {
    if (piece.programDateTime === null) return Math.max(0, mediaMs / 1000);
    if (best && piece.programDateTime > utc) break;
    best = piece;
  }
  if (!best) return Math.max(0, mediaMs / 1000);
  const into = (utc - best.programDateTime!) / 1000;
  // In a gap there is nothing: the end of what came before.
  return best.start + Math.min(Math.max(0, into), best.duration);
}

/** Milliseconds of media time that this moment of the player shows. */
export function toMedia(pieces: readonly Piece[], zeroUtcMs: number, seconds: number): number {
  let best: Piece | undefined;
  for (const piece of pieces) {
    if (piece.programDateTime === null) return seconds * 1000;
    if (best && piece.start > seconds) break;
    best = piece;
  }
  if (!best) return seconds * 1000;
  return best.programDateTime! - zeroUtcMs + (seconds - best.start) * 1000;
}
