// The server's clock, from the dates of its answers: the age of a live picture must not depend on the clock
// of the PC that shows it. A date has whole seconds; several of them narrow the offset down to the time that
// an answer takes.

/** Bounds of the server's clock minus ours, in milliseconds. */
let least = Number.NEGATIVE_INFINITY;
let most = Number.POSITIVE_INFINITY;

/** Notes the `Date` of an answer, and when its request was sent and its head received, by our clock. */
export function noteServerDate(date: string | null, sent: number, received: number): void {
  const at = Date.parse(date ?? "");
  if (Number.isNaN(at)) return;
  const [low, high] = [at - received, at + 1000 - sent];
  // One of the clocks was set: what was known is void.
  if (low > most || high < least) [least, most] = [low, high];
  else [least, most] = [Math.max(least, low), Math.min(most, high)];
}

/** Milliseconds since 1970 by the server's clock; by ours until the server has answered. */
export function serverNow(): number {
  return Date.now() + (Number.isFinite(least + most) ? (least + most) / 2 : 0);
}
