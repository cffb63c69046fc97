// Times and words for people: the browser's time zone and date order, English words.

const DAY = new Intl.DateTimeFormat(undefined, { year: "numeric", month: "short", day: "numeric" });
const CLOCK = new Intl.DateTimeFormat(undefined, {
  hour: "2-digit",
  minute: "2-digit",
  second: "2-digit",
  hourCycle: "h23",
});

const CLOCK_AND_ZONE = new Intl.DateTimeFormat(undefined, {
  hour: "2-digit",
  minute: "2-digit",
  second: "2-digit",
  hourCycle: "h23",
  timeZoneName: "short",
});

export const day = (utc: string | number): string => DAY.format(new Date(utc));
export const clock = (utc: string | number): string => {
  const time = new Date(utc);
  return (isRepeated(time) ? CLOCK_AND_ZONE : CLOCK).format(time);
};

/** Whether the clocks show this time twice, since they are set back. */
function isRepeated(time: Date): boolean {
  const offset = (ms: number): number => -new Date(ms).getTimezoneOffset();
  const own = offset(time.getTime());
  // Far enough to see the change, and near enough to see no other one.
  return [-CHANGE_MS, CHANGE_MS].some((far) => {
    const by = (own - offset(time.getTime() + far)) * 60_000;
    return by * far > 0 && offset(time.getTime() + by) * 60_000 + by === own * 60_000;
  });
}

const CHANGE_MS = 4 * 3600 * 1000;

/** `4:07` or `1:02:09`. */
export function duration(ms: number): string {
  const seconds = Math.max(0, Math.floor(ms / 1000));
  const [h, m, s] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60, seconds % 60];
  const two = (n: number): string => String(n).padStart(2, "0");
  return h > 0 ? `${h}:${two(m)}:${two(s)}` : `${m}:${two(s)}`;
}

/** `4:07.3`: a duration with tenths, for moments. */
export const moment = (ms: number): string => `${duration(ms)}.${Math.floor((Math.max(0, ms) % 1000) / 100)}`;

/** `2.4 s` or `3:10 min`, for the length of a stretch. */
export const stretchLength = (ms: number): string =>
  ms < 60_000 ? `${(ms / 1000).toFixed(1)} s` : `${duration(ms)} min`;

/** Milliseconds of `62`, `1:02` or `1:02:09`. */
export function parseDuration(text: string): number | null {
  if (!/^\d+(:\d{1,2}){0,2}$/.test(text.trim())) return null;
  return (
    text
      .trim()
      .split(":")
      .reduce((sum, part) => sum * 60 + Number(part), 0) * 1000
  );
}

export const SEGMENT_ROLES: Record<string, string> = {
  primary: "Call",
  consult: "Consult",
  conference: "Conference",
  monitor: "Monitoring",
  coach: "Whisper",
  barge: "Barge-in",
  after_call_work: "Wrap-up",
  digital: "Digital",
};

const GAP_CAUSES: Record<string, string> = {
  start: "the recording started late",
  worker_died: "the recording process died",
  worker_hung: "the recording process hung",
  worker_failed: "the recording process failed",
  encoder_failed: "the encoder failed",
  encoder_hung: "the encoder hung",
  source_changed: "the screen size changed",
  slept: "the PC slept",
  locked: "the session was locked",
  source_failed: "the display was gone",
  source_ended: "the screen disappeared",
  backlog: "the encoder was too slow",
  disk_full: "the disk was full",
};

export const gapCause = (name: string): string => GAP_CAUSES[name] ?? words(name);

/** A name from the API as words. */
export const words = (name: string): string => name.replaceAll("_", " ");

export const capital = (text: string): string => text.charAt(0).toUpperCase() + text.slice(1);
