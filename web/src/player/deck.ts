// Plays one recording in a video element, through hls.js. Callers use media time in milliseconds; how the
// playlist maps to it stays in here. A lost connection and an ended session are handled here too, since
// hls.js sends its own requests.

import type HlsType from "hls.js";
import type { ErrorData, HlsConfig } from "hls.js";
import { checkConnection, currentConnection, renewSession, url, watchConnection } from "../api.ts";
import { toMediaTime, toVideoTime, type Piece } from "./media-time.ts";
import { undecodable, undecodableText } from "./decode.ts";
import { frameTimes } from "./frame-times.ts";
import { livePlaylistLoader } from "./playlist-loader.ts";
import type { Trouble } from "./trouble.ts";

/** At normal speed, longer at higher ones. Screens need few bytes, so that seconds are the limit. */
const BUFFER_S = 20;
const BACK_BUFFER_S = 60;
/** Distance of a live picture from the end of what is loaded, when the newest fragment has just arrived. */
const EDGE_S = 1.3;
/** A video that stands for this long, with this much loaded ahead of it, does not go on by itself. */
const STUCK_MS = 400;
const STUCK_AHEAD_S = 0.3;
/** How far a seek goes into a frame, so that rounding does not show the frame before. */
const INTO_FRAME_MS = 1;
const DEFAULT_FRAME_MS = 1000 / 30;
/** Time after which loaded footage that shows no picture is taken to be undecodable. */
const DECODE_LIMIT_MS = 8000;
/** Failures in sequence after which only people try again, and the delay that each adds. */
const MOST_FAILURES = 5;
const FAILURE_DELAY_MS = 1000;

/** The footage that a deck plays. */
export interface Film {
  recording: string;
  track: string;
  zeroUtcMs: number;
  live: boolean;
  /** By RFC 6381, as far as the server knows them. */
  codecs: readonly string[];
}

export class Deck {
  readonly video = document.createElement("video");
  /** Called with what to show in place of the picture, and with null once the picture is back. */
  onTrouble: (trouble: Trouble | null) => void = () => {};
  /** Called with a stretch of media time whose footage the server has lost. */
  onLost: (from: number, to: number) => void = () => {};
  private hls: HlsType | null = null;
  private pieces: readonly Piece[] = [];
  private frames = new Map<string, number[]>();
  private sorted: number[] | null = null;
  /** Media time to seek to once the playlist is loaded. */
  private wanted: number | null;
  /** The video element's time of the picture that was shown last. */
  private shown = 0;
  /** The video element's time of the last seek. */
  private sought = -1;
  private isLoaded = false;
  /** End of what is loaded, and how far it was away just before it last moved on; seconds. */
  private loadedEnd = 0;
  private leastAhead = EDGE_S;
  /** The time at which a playing video stands, and since when it does. */
  private stuckAt = -1;
  private stuckSince = 0;
  private isRepaired = false;
  private ended = false;
  private readonly unwatch: () => void;
  private readonly film: Film;
  /** Whether loading has stopped at lost footage, until a seek goes past it. */
  private isHalted = false;
  /** Whether trouble is shown that only people can end. */
  private isStuck = false;
  /** Failures since footage was last loaded. */
  private failures = 0;
  private decodeTimer = 0;

  /** Starts at the media time `at`, or, if that is null, at the live edge. */
  constructor(film: Film, at: number | null) {
    this.film = film;
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
      const text =
        "This browser cannot play recordings because it has no Media Source Extensions. Use a current browser.";
      this.stick({ text, download: this.file });
      return;
    }
    const unknown = this.film.codecs.map(undecodable).find((name) => name !== null);
    if (unknown) {
      this.stick({ text: undecodableText(unknown), download: this.file });
      return;
    }
    const settings: Partial<HlsConfig> = {
      // The work is small, and a worker from a blob: URL would need an exception in the content security
      // policy.
      enableWorker: false,
      autoStartLoad: false,
      lowLatencyMode: this.film.live,
      ...(this.film.live && {
        liveSyncDuration: EDGE_S,
        liveSyncOnStallIncrease: 0,
        pLoader: livePlaylistLoader(Hls),
      }),
      maxBufferLength: BUFFER_S,
      maxMaxBufferLength: 8 * BUFFER_S,
      backBufferLength: BACK_BUFFER_S,
      // Failed loads are repeated when the server is back, which api.ts alone finds out.
      fragLoadPolicy: { default: loadPolicy(20_000) },
      playlistLoadPolicy: { default: loadPolicy(10_000) },
      manifestLoadPolicy: { default: loadPolicy(10_000) },
    };
    const hls = (this.hls = new Hls(settings));
    const { Events } = Hls;
    hls.on(Events.MANIFEST_PARSED, () => hls.startLoad(this.wanted === null ? -1 : this.wanted / 1000));
    hls.on(Events.LEVEL_UPDATED, (_, { details }) => {
      // With the run that still grows: at the live edge, it is what is shown.
      const { fragments, fragmentHint: growing, partEnd } = details;
      this.pieces = growing
        ? [
            ...fragments,
            {
              start: growing.start,
              duration: Math.max(0, partEnd - growing.start),
              programDateTime: growing.programDateTime,
            },
          ]
        : fragments;
      if (this.isLoaded) return;
      this.isLoaded = true;
      if (this.wanted !== null) {
        const at = toVideoTime(this.pieces, this.film.zeroUtcMs, this.wanted + INTO_FRAME_MS);
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
      this.failures = 0;
      this.watchDecoding();
      if (!this.isStuck) this.onTrouble(null);
      if (this.isAhead) this.video.currentTime = this.video.currentTime;
    });
    hls.on(Events.BUFFER_CODECS, (_, { video }) => {
      const name = undecodable(video?.codec);
      if (name) this.stick({ text: undecodableText(name), download: this.file });
    });
    hls.on(Events.ERROR, (_, data) => void this.fail(data));
    hls.attachMedia(this.video);
    hls.loadSource(this.source);
  }

  /**
   * Whether the picture is of a later time than the seek asked for. Browsers settle a seek to just before the
   * buffered range on its first picture, although the earlier footage is still loading.
   */
  private get isAhead(): boolean {
    const { paused, currentTime } = this.video;
    return (
      paused && Math.abs(currentTime - this.sought) < 1e-4 && this.shown > currentTime + INTO_FRAME_MS / 1000
    );
  }

  private get source(): string {
    const { recording, track } = this.film;
    return url(`/recordings/${encodeURIComponent(recording)}/hls/${encodeURIComponent(track)}.m3u8`);
  }

  private get file(): string {
    const { recording, track } = this.film;
    return url(`/recordings/${encodeURIComponent(recording)}/movie.mp4`, { track });
  }

  /** Shows trouble that does not end by itself. */
  private stick(trouble: Trouble): void {
    this.isStuck = true;
    clearTimeout(this.decodeTimer);
    this.hls?.stopLoad();
    this.onTrouble(trouble);
  }

  private readonly retry = (): void => {
    this.isStuck = false;
    this.isRepaired = false;
    this.failures = 0;
    this.onTrouble(null);
    if (this.hls) this.resume();
    else void this.open();
  };

  /** Reports footage that is loaded at the current time and yields no picture. */
  private watchDecoding(): void {
    const hasPicture = (): boolean => this.video.readyState >= 2;
    if (this.decodeTimer || hasPicture()) return;
    this.decodeTimer = window.setTimeout(() => {
      this.decodeTimer = 0;
      const { buffered, currentTime } = this.video;
      const isLoaded = [...Array(buffered.length).keys()].some(
        (at) => buffered.start(at) <= currentTime && currentTime < buffered.end(at),
      );
      if (this.ended || hasPicture() || !isLoaded) return;
      const text = "This browser shows no picture of this recording. Download it, or use another browser.";
      this.stick({ text, download: this.file, retry: this.retry });
    }, DECODE_LIMIT_MS);
  }

  private async fail(data: ErrorData): Promise<void> {
    const status = data.response?.code ?? 0;
    if (data.type === "networkError" && status === 401) {
      this.hls?.stopLoad();
      await renewSession();
      this.resume();
      return;
    }
    // Before hls.js gives up: while the browser reports itself offline, hls.js never does.
    if (data.type === "networkError" && status === 0) void checkConnection();
    const { retry, file: download } = this;
    if (data.details === "bufferAddCodecError" && !this.isStuck)
      this.stick({ text: undecodableText(data.mimeType ?? "this footage"), download });
    if (!data.fatal || this.isStuck) return;
    if (data.type === "mediaError") {
      if (this.isRepaired) this.stick({ text: "The browser cannot decode this recording.", download, retry });
      else this.hls?.recoverMediaError();
      this.isRepaired = true;
      return;
    }
    if (status === 404 || status === 410) {
      const from = data.frag?.programDateTime;
      if (!data.frag || data.frag.sn === "initSegment" || typeof from !== "number")
        this.stick({ text: "This recording is not stored on the server.", retry });
      else {
        // The server has lost this piece alone. Loading goes on after it, once playback gets there.
        this.isHalted = true;
        const lost = from - this.film.zeroUtcMs;
        this.onLost(lost, lost + data.frag.duration * 1000);
      }
    } else if (status === 403) this.stick({ text: "You have no access to this recording.", retry });
    else if (data.type === "networkError") await this.reconnect();
    else this.stick({ text: `Playback failed (${data.details}).`, download, retry });
  }

  /** Loads again once the server is there, and gives up if it is there and does not deliver. */
  private async reconnect(): Promise<void> {
    await checkConnection();
    if (currentConnection() === "down") return;
    this.failures++;
    if (this.failures >= MOST_FAILURES)
      this.stick({ text: "The server does not deliver this footage.", retry: this.retry });
    else setTimeout(() => this.resume(), (this.failures - 1) * FAILURE_DELAY_MS);
  }

  /** Resumes loading after a stop, at the current time. */
  private resume(): void {
    if (this.ended || this.isStuck || !this.hls || currentConnection() === "down") return;
    if (this.isLoaded) this.hls.startLoad(-1);
    else this.hls.loadSource(this.source);
  }

  /** Media time of the picture that is shown. */
  get at(): number {
    if (this.wanted !== null && this.video.readyState < 2) return this.wanted;
    return toMediaTime(this.pieces, this.film.zeroUtcMs, this.video.currentTime);
  }

  /** Whether the picture of the time that was asked for is shown. */
  get isShowing(): boolean {
    return this.video.readyState >= 2 && !this.video.seeking && !this.isAhead;
  }

  /** Whether playback waits for footage that the server has lost. */
  get isStarved(): boolean {
    return this.isHalted && this.video.readyState < 3;
  }

  /** Media time at the live edge: shortly before the end of what is loaded or listed. Null until known. */
  get edge(): number | null {
    const end = Math.max(this.endS, this.hls?.latestLevelDetails?.edge ?? 0);
    // Never back.
    const at = Math.max(Math.min(this.video.currentTime, end), end - EDGE_S);
    return end > 0 ? toMediaTime(this.pieces, this.film.zeroUtcMs, at) : null;
  }

  /**
   * Whether the video stands although footage is loaded. Browsers stop where a moving picture comes to rest,
   * since they wait for several frames, and now there is one a second. A seek gets them going. Call it with
   * every animation frame.
   */
  get isStalled(): boolean {
    const { currentTime, paused, seeking } = this.video;
    const now = performance.now();
    if (currentTime !== this.stuckAt || paused || seeking || this.endS - currentTime < STUCK_AHEAD_S)
      [this.stuckAt, this.stuckSince] = [currentTime, now];
    return now - this.stuckSince > STUCK_MS;
  }

  /** End of what is loaded, in seconds of the video element's time. */
  private get endS(): number {
    const { buffered } = this.video;
    return buffered.length ? buffered.end(buffered.length - 1) : 0;
  }

  /**
   * Seconds of footage that were still ahead of the picture when the last fragment arrived: what it could be
   * nearer to the edge without a stop. Judged by what is loaded, since that is what can be shown. Call it
   * with every animation frame.
   */
  get lag(): number {
    const end = this.endS;
    if (end > this.loadedEnd + 0.05) this.leastAhead = Math.max(0, this.loadedEnd - this.video.currentTime);
    this.loadedEnd = end;
    return Math.max(this.leastAhead, end - this.video.currentTime - 2 * EDGE_S);
  }

  seek(ms: number): void {
    if (!this.isLoaded) {
      this.wanted = ms;
      return;
    }
    this.leastAhead = 0;
    this.sought = toVideoTime(this.pieces, this.film.zeroUtcMs, ms + INTO_FRAME_MS);
    this.video.currentTime = this.sought;
    if (this.isHalted) {
      this.isHalted = false;
      this.hls?.startLoad(this.sought);
    }
  }

  set rate(rate: number) {
    if (this.video.playbackRate === rate) return;
    this.video.playbackRate = rate;
    if (this.hls) this.hls.config.maxBufferLength = BUFFER_S * Math.max(1, rate);
  }

  play(): void {
    // Refused before the first click on the page, or if a seek interrupts it; the next call tries again.
    if (this.video.paused) this.video.play().catch(() => {});
  }

  pause(): void {
    if (!this.video.paused) this.video.pause();
  }

  /** Media time of the next or previous frame, from the loaded fragments. */
  neighbor(direction: 1 | -1): number {
    const at = this.at;
    const { times } = this;
    // The current frame is the last one that has started.
    let current = -1;
    while (current + 1 < times.length && times[current + 1]! <= at + INTO_FRAME_MS / 2) current++;
    const next = current >= 0 ? times[current + direction] : undefined;
    return next ?? Math.max(0, at + direction * DEFAULT_FRAME_MS);
  }

  /** Media time at which the next picture replaces this one; null if that is not loaded yet. */
  get changesAt(): number | null {
    const at = this.at;
    const next = this.times.find((time) => time > at + INTO_FRAME_MS);
    return next ?? null;
  }

  /** Media times of the frames in all loaded fragments. */
  private get times(): number[] {
    this.sorted ??= [...this.frames.values()].flat().sort((a, b) => a - b);
    return this.sorted;
  }

  end(): void {
    this.ended = true;
    clearTimeout(this.decodeTimer);
    this.unwatch();
    this.hls?.destroy();
    this.video.remove();
  }
}

function loadPolicy(firstByteMs: number): HlsConfig["fragLoadPolicy"]["default"] {
  const retry = { maxNumRetry: 1, retryDelayMs: 300, maxRetryDelayMs: 1000 };
  return { maxTimeToFirstByteMs: firstByteMs, maxLoadTimeMs: 60_000, timeoutRetry: retry, errorRetry: retry };
}
