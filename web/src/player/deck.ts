// One recording in one video element, through hls.js. It speaks media time in milliseconds; what the playlist makes of that is
// its own affair. A lost connection and an ended session are waited out here too, since hls.js loads by itself.

import type HlsType from "hls.js";
import type { ErrorData, HlsConfig } from "hls.js";
import { currentConnection, lost, renewSession, url, watchConnection } from "../api.ts";
import { toMedia, toPlayer, type Piece } from "./clock.ts";
import { frameTimes } from "./frames.ts";

/** Bytes of screens are few: buffered by time, longer where it is used up faster. */
const BUFFER_S = 20;
const KEPT_BEHIND_S = 60;
/** Into a frame, so that rounding does not show the one before. */
const INTO_FRAME_MS = 1;
const USUAL_FRAME_MS = 1000 / 30;

export type Trouble = { text: string } | null;

export class Deck {
  readonly video = document.createElement("video");
  /** Called when there is something to tell instead of the picture, and when there no longer is. */
  onTrouble: (trouble: Trouble) => void = () => {};
  private hls: HlsType | null = null;
  private pieces: readonly Piece[] = [];
  private frames = new Map<string, number[]>();
  private sorted: number[] | null = null;
  /** Media time to be at once the playlist is there. */
  private wanted: number | null;
  /** The player's time of the picture that was shown last. */
  private shown = 0;
  /** The player's time of the last seek. */
  private sought = -1;
  private isLoaded = false;
  private isRepaired = false;
  private ended = false;
  private readonly unwatch: () => void;
  private readonly recording: string;
  private readonly zeroUtcMs: number;
  private readonly live: boolean;

  /** Starts at `at`, or, where that is null, at the edge of a recording that runs. */
  constructor(recording: string, zeroUtcMs: number, live: boolean, at: number | null) {
    this.recording = recording;
    this.zeroUtcMs = zeroUtcMs;
    this.live = live;
    this.wanted = at;
    this.video.muted = true;
    this.video.playsInline = true;
    this.video.preload = "auto";
    this.video.disablePictureInPicture = true;
    this.video.tabIndex = -1;
    const look = (_: number, { mediaTime }: VideoFrameCallbackMetadata): void => {
      this.shown = mediaTime;
      this.video.requestVideoFrameCallback(look);
    };
    this.video.requestVideoFrameCallback?.(look);
    this.unwatch = watchConnection((now) => now === "up" && this.resume());
    void this.open();
  }

  private async open(): Promise<void> {
    const { default: Hls } = await import("hls.js/light");
    if (this.ended) return;
    if (!Hls.isSupported()) {
      this.onTrouble({ text: "This browser cannot play recordings (it lacks Media Source Extensions)." });
      return;
    }
    const settings: Partial<HlsConfig> = {
      // The work is small, and a worker from a blob: URL would need a hole in the content policy.
      enableWorker: false,
      autoStartLoad: false,
      lowLatencyMode: this.live,
      maxBufferLength: BUFFER_S,
      maxMaxBufferLength: 8 * BUFFER_S,
      backBufferLength: KEPT_BEHIND_S,
      // What fails is tried again when the server is back, which the page asks for at one place.
      fragLoadPolicy: { default: policy(20_000) },
      playlistLoadPolicy: { default: policy(10_000) },
      manifestLoadPolicy: { default: policy(10_000) },
    };
    const hls = (this.hls = new Hls(settings));
    const { Events } = Hls;
    hls.on(Events.MANIFEST_PARSED, () => hls.startLoad(this.wanted === null ? -1 : this.wanted / 1000));
    hls.on(Events.LEVEL_UPDATED, (_, { details }) => {
      this.pieces = details.fragments;
      if (this.isLoaded) return;
      this.isLoaded = true;
      if (this.wanted !== null) {
        const at = toPlayer(this.pieces, this.zeroUtcMs, this.wanted + INTO_FRAME_MS);
        hls.startLoad(at);
        this.video.currentTime = at;
      }
      this.onTrouble(null);
    });
    hls.on(Events.FRAG_LOADED, (_, { frag, payload }) => {
      if (frag.sn === "initSegment" || !payload.byteLength) return;
      const times = frameTimes(payload);
      if (times.length) this.frames.set(frag.url, times);
      this.sorted = null;
    });
    hls.on(Events.FRAG_BUFFERED, () => {
      this.wanted = null;
      this.isRepaired = false;
      this.onTrouble(null);
      if (this.isAhead) this.video.currentTime = this.video.currentTime;
    });
    hls.on(Events.ERROR, (_, data) => void this.fail(data));
    hls.attachMedia(this.video);
    hls.loadSource(this.source);
  }

  /**
   * The picture is of later than was asked for: browsers take a seek to just before what is buffered for good, though what belongs
   * there is still on its way.
   */
  private get isAhead(): boolean {
    const { paused, currentTime } = this.video;
    return (
      paused && Math.abs(currentTime - this.sought) < 1e-4 && this.shown > currentTime + INTO_FRAME_MS / 1000
    );
  }

  private get source(): string {
    return url(`/recordings/${encodeURIComponent(this.recording)}/hls/video.m3u8`);
  }

  private async fail(data: ErrorData): Promise<void> {
    const status = data.response?.code ?? 0;
    if (data.type === "networkError" && status === 401) {
      this.hls?.stopLoad();
      await renewSession();
      this.resume();
      return;
    }
    // Told before hls.js gives up, which it does not while the browser itself says that it is offline.
    if (data.type === "networkError" && status === 0) void lost();
    if (!data.fatal) return;
    if (data.type === "mediaError") {
      if (this.isRepaired) this.onTrouble({ text: "The browser cannot decode this recording." });
      else this.hls?.recoverMediaError();
      this.isRepaired = true;
      return;
    }
    if (status === 404 || status === 410)
      this.onTrouble({ text: "This recording is not stored on the server." });
    else if (status === 403) this.onTrouble({ text: "You may not see this recording." });
    else if (data.type === "networkError") void lost().then(() => this.resume());
    else this.onTrouble({ text: `Playback failed (${data.details}).` });
  }

  /** Goes on loading after a stop, from wherever it is. */
  private resume(): void {
    if (this.ended || !this.hls || currentConnection() === "down") return;
    if (this.isLoaded) this.hls.startLoad(-1);
    else this.hls.loadSource(this.source);
  }

  /** Media time of what is shown. */
  get at(): number {
    if (this.wanted !== null && this.video.readyState < 2) return this.wanted;
    return toMedia(this.pieces, this.zeroUtcMs, this.video.currentTime);
  }

  /** There is a picture, and it is of the time that was asked for. */
  get isShowing(): boolean {
    return this.video.readyState >= 2 && !this.video.seeking && !this.isAhead;
  }

  /** Media time of the newest footage that can be shown; null while nothing is known. */
  get edge(): number | null {
    const position = this.hls?.liveSyncPosition;
    return position ? toMedia(this.pieces, this.zeroUtcMs, position) : null;
  }

  /** Seconds behind the newest footage that can be shown, beyond what is usual. */
  get lag(): number {
    const { latency = 0, targetLatency = null } = this.hls ?? {};
    return targetLatency === null ? 0 : latency - targetLatency;
  }

  seek(ms: number): void {
    if (!this.isLoaded) {
      this.wanted = ms;
      return;
    }
    this.sought = toPlayer(this.pieces, this.zeroUtcMs, ms + INTO_FRAME_MS);
    this.video.currentTime = this.sought;
  }

  set rate(rate: number) {
    if (this.video.playbackRate === rate) return;
    this.video.playbackRate = rate;
    if (this.hls) this.hls.config.maxBufferLength = BUFFER_S * Math.max(1, rate);
  }

  play(): void {
    // Refused where the page has had no click yet, or where a seek comes in between; the next call tries again.
    if (this.video.paused) this.video.play().catch(() => {});
  }

  pause(): void {
    if (!this.video.paused) this.video.pause();
  }

  /** Media time of the next frame, or the one before, as the fragments on hand say it. */
  neighbor(direction: 1 | -1): number {
    const at = this.at;
    const { times } = this;
    // Current frame: the last one that began.
    let current = -1;
    while (current + 1 < times.length && times[current + 1]! <= at + INTO_FRAME_MS / 2) current++;
    const next = current >= 0 ? times[current + direction] : undefined;
    return next ?? Math.max(0, at + direction * USUAL_FRAME_MS);
  }

  /** Media time at which the picture that is shown gives way to the next one; null where that is not known yet. */
  get changesAt(): number | null {
    const at = this.at;
    const next = this.times.find((time) => time > at + INTO_FRAME_MS);
    return next ?? null;
  }

  /** Of the frames in all fragments on hand. */
  private get times(): number[] {
    this.sorted ??= [...this.frames.values()].flat().sort((a, b) => a - b);
    return this.sorted;
  }

  end(): void {
    this.ended = true;
    this.unwatch();
    this.hls?.destroy();
    this.video.remove();
  }
}

function policy(withinMs: number): HlsConfig["fragLoadPolicy"]["default"] {
  const retry = { maxNumRetry: 1, retryDelayMs: 300, maxRetryDelayMs: 1000 };
  return { maxTimeToFirstByteMs: withinMs, maxLoadTimeMs: 60_000, timeoutRetry: retry, errorRetry: retry };
}
