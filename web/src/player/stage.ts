// The screens of an interaction: one, which follows the customer from agent to agent, or two side by side in
// step. The stage owns the moment that is shown. It makes a deck for each recording that is needed, the next
// one early enough that a hand-over shows no empty picture.
//
// All times are moments: milliseconds since the interaction began.

import { h, icon } from "../dom.ts";
import { clock } from "../format.ts";
import { serverNow } from "../server-clock.ts";
import { Deck } from "./deck.ts";
import { reelAt, nextTurn, turnAfter, type Span, type Stretch } from "./follow.ts";
import { gapAt, gapBetween, jumpText, type Gap } from "./gaps.ts";
import { drawTrouble } from "./trouble.ts";

export interface Reel {
  recording: string;
  track: string;
  /** Index of the reel of this recording's first track, which follows the call. */
  first: number;
  codecs: string[];
  agent: string;
  name: string;
  zeroUtcMs: number;
  /** Moments of its media time zero and of its end, which moves while it is live. */
  from: number;
  to: number;
  live: boolean;
  gaps: Gap[];
  still: Stretch[];
  withheld: (Stretch & { text: string })[];
}

export interface StageEvents {
  moved(): void;
  changed(): void;
  /** Reports what the picture does not show by itself: a switch, a jump. */
  noticed(text: string): void;
}

/** How long before a turn its deck is made, at normal speed. */
const PRELOAD_AHEAD_MS = 6000;
const MAX_DECKS = 3;
/** Shorter still stretches are not skipped. */
const LEAST_SKIP_MS = 1500;
/** How much of a still stretch is shown before something moves. */
const STILL_MARGIN_MS = 400;
/** Below this distance the side screen plays at the same speed; above the other one it seeks. */
const IN_STEP_MS = 50;
const OUT_OF_STEP_MS = 500;
/** Above this lag a live picture plays faster; above the other one it jumps to the edge. */
const BEHIND_S = 0.4;
/** How long the reason for a gap is shown during playback; then it jumps over the rest. */
const GAP_SHOWN_MS = 2000;
/** How long before a gap playback stops, so that the browser shows nothing from after it. */
const BEFORE_GAP_MS = 60;
/** How long before lost footage a browser may stop, since it wants to have more. */
const BEFORE_LOST_MS = 500;
const FAR_BEHIND_S = 1.2;
/** Between two jumps to the edge: the buffer is empty after one. */
const JUMP_EVERY_MS = 2000;
const STUCK_EVERY_MS = 800;
export const SPEEDS = [0.5, 1, 1.5, 2, 4, 8] as const;

/** Wanted footage of an agent that does not exist. */
interface AbsentFootage {
  agent: string;
  from: number;
  to: number;
  why: string;
}

interface Tile {
  deck: Deck;
  element: HTMLElement;
  note: HTMLElement;
  trouble: HTMLElement;
  used: number;
}

export class Stage {
  readonly element = h("div", { class: "screens" });
  reels: Reel[];
  spans: Span[];
  absences: AbsentFootage[] = [];
  moment: number;
  isPlaying = false;
  isFollowing = true;
  isSkipping = false;
  rate = 1;
  /** Index of the reel that is shown, and of the one beside it. */
  main: number | null = null;
  side: number | null = null;
  /** Whether it stays at the live edge. */
  isAtEdge: boolean;
  private tiles = new Map<number, Tile>();
  /** Whether it was paused and the picture at which it stops is not known yet. */
  private isStopping = false;
  /** The track that people chose of a recording, as a reel, by the recording's first reel. */
  private chosen = new Map<number, number>();
  /** Whether people chose what is beside the main screen; otherwise it is the recording's other track. */
  private isSideChosen = false;
  /** Stretches that the server has lost, by reel. */
  private lost = new Map<number, Gap[]>();
  /** Time for which the present gap was played, in real milliseconds. */
  private gapPlayed = 0;
  /** The time of the last animation frame. */
  private ticked = 0;
  private uses = 0;
  /** When it last went to the live edge. */
  private jumped = 0;
  /** When the picture that is shown at the live edge was captured, by the server's clock. */
  private shownUtcMs: number | null = null;
  private timer = 0;
  private readonly empty = h("p", { class: "no-footage" });
  private readonly events: StageEvents;

  constructor(reels: Reel[], spans: Span[], at: number | null, events: StageEvents) {
    this.reels = reels;
    this.spans = spans;
    this.events = events;
    this.isAtEdge = at === null;
    this.moment = at ?? Math.max(0, ...reels.filter((reel) => reel.live).map((reel) => reel.to));
    this.element.append(this.empty);
    this.main = this.chooseReel(this.moment);
    this.arrange();
    const tick = (now: number): void => {
      this.timer = requestAnimationFrame(tick);
      this.tick(Math.max(0, now - this.ticked));
      this.ticked = now;
    };
    this.ticked = performance.now();
    tick(this.ticked);
  }

  /** The first reel of a reel's recording. */
  base(reel: number | null): number | null {
    return reel === null ? null : (this.reels[reel]?.first ?? reel);
  }

  /** The reel of a recording that is shown: its first one, or the one that people chose. */
  private screenOf(base: number): number {
    return this.chosen.get(base) ?? base;
  }

  /** The reels of a reel's recording, one for each track. */
  tracksOf(reel: number | null): number[] {
    const base = this.base(reel);
    return [...this.reels.keys()].filter((index) => this.reels[index]!.first === base);
  }

  /** Shows another track of the recording that is shown. */
  chooseTrack(reel: number): void {
    if (this.main === null) return;
    this.chosen.set(this.base(reel)!, reel);
    if (this.side === reel) this.side = this.main;
    this.main = reel;
    this.refresh();
  }

  private gapOf(reel: number | null, at = this.moment): Gap | null {
    const found = reel === null ? undefined : this.reels[reel];
    return found ? gapAt(this.gapsOf(reel!), at) : null;
  }

  private gapsOf(reel: number): Gap[] {
    return [...this.reels[reel]!.gaps, ...(this.lost.get(reel) ?? [])];
  }

  private reelHas(reel: number | null, at: number): boolean {
    const found = reel === null ? undefined : this.reels[reel];
    return !!found && found.from <= at && (at < found.to || found.live);
  }

  /** Returns the reel to show at a moment. */
  private chooseReel(at: number): number | null {
    if (!this.isFollowing && this.main !== null) return this.main;
    const followed = reelAt(this.spans, at, this.base(this.main));
    if (followed !== null) return this.screenOf(followed);
    if (this.reelHas(this.main, at)) return this.main;
    const any = this.reels.findIndex((_, index) => this.reelHas(index, at));
    return any >= 0 ? this.screenOf(this.base(any)!) : (this.main ?? (this.reels.length ? 0 : null));
  }

  get deck(): Deck | null {
    return this.main === null ? null : (this.tiles.get(this.main)?.deck ?? null);
  }

  seek(at: number): void {
    const end = Math.max(0, ...this.reels.map((reel) => reel.to));
    this.isAtEdge = false;
    this.isStopping = false;
    this.moment = Math.min(Math.max(0, at), end);
    this.main = this.chooseReel(this.moment);
    this.gapPlayed = 0;
    this.arrange();
    for (const [index, tile] of this.tiles) {
      if (index !== this.main && index !== this.side) continue;
      // In a gap, what follows it is loaded, and hidden.
      const shown = this.gapOf(index)?.to ?? this.moment;
      tile.deck.seek(Math.max(0, shown - this.reels[index]!.from));
    }
    this.events.moved();
  }

  toEdge(): void {
    const edge = this.deck?.edge;
    if (edge === null || edge === undefined || this.main === null) return;
    this.jumped = performance.now();
    this.seek(this.reels[this.main]!.from + edge);
    this.isAtEdge = true;
    this.play();
  }

  play(): void {
    const end = Math.max(0, ...this.reels.map((reel) => reel.to));
    if (!this.reels.some((reel) => reel.live) && this.moment >= end - 100)
      this.seek(Math.min(...this.reels.map((reel) => reel.from)));
    this.isPlaying = true;
    this.events.changed();
  }

  pause(): void {
    this.isStopping = this.isPlaying;
    this.isPlaying = false;
    this.isAtEdge = false;
    for (const { deck } of this.tiles.values()) deck.pause();
    this.events.changed();
  }

  setRate(rate: number): void {
    this.rate = rate;
    this.events.changed();
  }

  /** Stays with this reel, even if another agent gets the customer. */
  watch(base: number): void {
    const reel = this.screenOf(base);
    this.isFollowing = false;
    if (this.side === reel) this.side = this.main;
    this.main = reel;
    this.refresh();
  }

  follow(): void {
    this.isFollowing = true;
    this.refresh();
  }

  pair(reel: number | null): void {
    this.side = reel === this.main ? null : reel;
    this.isSideChosen = true;
    this.refresh();
  }

  private refresh(): void {
    const wasAtEdge = this.isAtEdge;
    this.seek(this.moment);
    this.isAtEdge = wasAtEdge;
    this.events.changed();
  }

  step(direction: 1 | -1): void {
    this.pause();
    const deck = this.deck;
    const gap = this.gapOf(this.main);
    if (gap) {
      this.seek(direction > 0 ? gap.to : Math.max(0, gap.from - 1));
      return;
    }
    if (!deck || this.main === null || !deck.isShowing) return;
    this.seek(this.reels[this.main]!.from + deck.neighbor(direction));
  }

  /**
   * Runs with every animation frame: updates the moment, turns to the next reel, keeps two screens in step.
   */
  private tick(elapsed: number): void {
    const main = this.main === null ? null : this.tiles.get(this.main);
    if (!main || this.main === null) return;
    const reel = this.reels[this.main]!;
    const gap = this.gapOf(this.main);
    if (gap && !this.isPlaying) {
      if (this.isStopping) this.events.changed();
      this.isStopping = false;
    }
    if (!this.isPlaying) {
      // The shown picture may be one ahead of the time at which the browser stopped; a seek aligns them.
      if (this.isStopping && main.deck.isShowing && main.deck.video.paused) {
        this.seek(Math.max(this.moment, reel.from + main.deck.at));
        this.events.changed();
      }
      this.reveal();
      return;
    }
    main.deck.rate = this.isAtEdge ? this.edgeRate(main.deck) : this.rate;
    if (gap) this.cross(gap, elapsed);
    else {
      main.deck.play();
      if (main.deck.isShowing) this.moveTo(Math.max(this.moment, reel.from + main.deck.at));
    }
    this.reveal();
    this.keepInStep();
    this.preloadNext();
    this.advance(reel, main.deck);
    this.events.moved();
  }

  /** Age of the picture at the live edge in seconds; null elsewhere, and before the first picture. */
  get age(): number | null {
    const { deck } = this;
    if (!this.isAtEdge || !deck || this.main === null) return null;
    // While the video seeks, the picture from before stays.
    if (deck.isShowing) this.shownUtcMs = this.reels[this.main]!.zeroUtcMs + deck.at;
    return this.shownUtcMs === null ? null : Math.max(0, (serverNow() - this.shownUtcMs) / 1000);
  }

  /**
   * Returns the speed at the live edge: a little faster if the picture lags behind. Jumps if it lags far
   * behind.
   */
  private edgeRate(deck: Deck): number {
    const { lag, isStalled } = deck;
    if (isStalled && performance.now() - this.jumped > STUCK_EVERY_MS) this.toEdge();
    if (lag > FAR_BEHIND_S && deck.isShowing && performance.now() - this.jumped > JUMP_EVERY_MS)
      this.toEdge();
    return lag > BEHIND_S ? 1.1 : 1;
  }

  /** Follows the picture of the main screen, up to the next gap. */
  private moveTo(at: number): void {
    const isStarved = !!this.deck?.isStarved;
    const ahead = isStarved ? BEFORE_LOST_MS : this.isAtEdge ? 0 : BEFORE_GAP_MS * this.rate;
    const gap = gapBetween(this.gapsOf(this.main!), this.moment, at + ahead);
    this.moment = gap?.from ?? at;
    this.gapPlayed = 0;
    if (!gap) return;
    this.deck?.pause();
    this.deck?.seek(gap.to - this.reels[this.main!]!.from);
  }

  /** Lets the clock run in a gap, and jumps to its end once the reason was shown for long enough. */
  private cross(gap: Gap, elapsed: number): void {
    this.gapPlayed += elapsed;
    this.moment += elapsed * this.rate;
    if (this.moment < gap.to && this.gapPlayed >= GAP_SHOWN_MS) {
      this.events.noticed(jumpText(gap));
      this.moment = gap.to;
    }
    if (this.moment < gap.to) return;
    this.moment = gap.to;
    const reel = this.reels[this.main!]!;
    if (Math.abs((this.deck?.at ?? 0) - (gap.to - reel.from)) > IN_STEP_MS)
      this.deck?.seek(gap.to - reel.from);
  }

  /** Turns to another reel, skips a stretch without footage or a still one, or stops at the end. */
  private advance(reel: Reel, deck: Deck): void {
    if (this.isFollowing) {
      const next = reelAt(this.spans, this.moment, this.base(this.main));
      if (next !== null && next !== this.base(this.main)) {
        this.events.noticed(`Now showing ${this.reels[next]!.name}`);
        this.show(this.screenOf(next));
        return;
      }
    }
    const isInGap = this.gapOf(this.main) !== null && this.moment < reel.to - 40;
    const isOver = !reel.live && !isInGap && (this.moment >= reel.to - 40 || deck.video.ended);
    if (isOver) {
      const next = this.isFollowing ? turnAfter(this.spans, reel.to, this.base(this.main)!) : null;
      if (next && next.at - this.moment > 200)
        this.events.noticed(`${((next.at - this.moment) / 1000).toFixed(0)} s without footage skipped`);
      if (next && this.reels[next.reel]) {
        this.moment = next.at;
        this.show(this.screenOf(next.reel));
      } else this.pause();
      return;
    }
    if (!this.isSkipping || !deck.isShowing || this.isAtEdge || isInGap) return;
    const next = deck.changesAt;
    if (next === null) return;
    const to = reel.from + next - STILL_MARGIN_MS;
    if (to - this.moment >= LEAST_SKIP_MS) this.seek(to);
  }

  private show(reel: number): void {
    const old = this.deck;
    this.main = reel;
    this.shownUtcMs = null;
    if (this.side === reel) this.side = null;
    this.arrange();
    const { deck } = this.tiles.get(reel)!;
    const at = (this.gapOf(reel)?.to ?? this.moment) - this.reels[reel]!.from;
    if (Math.abs(deck.at - at) > 20) deck.seek(Math.max(0, at));
    if (old && old !== deck) old.pause();
    this.events.changed();
  }

  private preloadNext(): void {
    if (!this.isFollowing) return;
    const next = nextTurn(this.spans, this.moment, this.base(this.main));
    if (!next || next.at - this.moment > PRELOAD_AHEAD_MS * this.rate) return;
    const reel = this.screenOf(next.reel);
    if (!this.tiles.has(reel)) this.tile(reel, next.at);
  }

  private keepInStep(): void {
    const tile = this.side === null ? undefined : this.tiles.get(this.side);
    if (!tile || this.side === null) return;
    const reel = this.reels[this.side]!;
    const at = this.moment - reel.from;
    const off = tile.deck.at - at;
    if (!this.reelHas(this.side, this.moment) || this.gapOf(this.side)) tile.deck.pause();
    else if (Math.abs(off) > OUT_OF_STEP_MS * Math.max(1, this.rate)) {
      if (!tile.deck.video.seeking) tile.deck.seek(at);
      tile.deck.play();
    } else {
      // A little slower or faster until both agree; a jump would be visible.
      tile.deck.rate = this.rate * (Math.abs(off) < IN_STEP_MS ? 1 : off > 0 ? 0.9 : 1.1);
      tile.deck.play();
    }
  }

  private tile(reel: number, at: number): Tile {
    const found = this.tiles.get(reel);
    if (found) {
      found.used = ++this.uses;
      return found;
    }
    const { live, from, name } = this.reels[reel]!;
    const shown = this.gapOf(reel, at)?.to ?? at;
    const deck = new Deck(this.reels[reel]!, this.isAtEdge && live ? null : Math.max(0, shown - from));
    const title = this.tracksOf(reel).length > 1 ? `${name} · ${this.reels[reel]!.track}` : name;
    deck.video.setAttribute("aria-label", `Screen of ${title}`);
    const note = h("p", { class: "withheld-note" });
    const trouble = h("p", { class: "trouble", role: "alert" });
    const element = h(
      "figure",
      { class: "screen" },
      deck.video,
      note,
      trouble,
      h("figcaption", {}, icon("screen"), title),
    );
    trouble.addEventListener("click", (event) => event.stopPropagation());
    deck.onTrouble = (now) => {
      element.classList.toggle("is-stuck", now !== null);
      drawTrouble(trouble, now);
    };
    deck.onLost = (begin, end) => this.lose(reel, from + begin, from + end);
    const tile = { deck, element, note, trouble, used: ++this.uses };
    this.tiles.set(reel, tile);
    this.element.append(element);
    this.dropDecks();
    return tile;
  }

  /** Notes a stretch that the server has lost, which is then a gap like any other. */
  private lose(reel: number, from: number, to: number): void {
    const lost = this.lost.get(reel) ?? [];
    if (lost.some((gap) => gap.from === from)) return;
    this.lost.set(reel, [...lost, { from, to, why: "the server has lost it" }]);
    // The picture waits for it, so that nothing else moves on.
    if (this.gapOf(reel)) this.seek(this.moment);
  }

  /** Ends the decks that have been unused for longest. */
  private dropDecks(): void {
    const idle = [...this.tiles].filter(([reel]) => reel !== this.main && reel !== this.side);
    idle.sort((a, b) => a[1].used - b[1].used);
    for (const [reel, tile] of idle.slice(0, Math.max(0, this.tiles.size - MAX_DECKS))) {
      tile.deck.end();
      tile.element.remove();
      this.tiles.delete(reel);
    }
  }

  private arrange(): void {
    if (!this.isSideChosen) this.side = this.tracksOf(this.main).find((reel) => reel !== this.main) ?? null;
    for (const reel of [this.main, this.side]) if (reel !== null) this.tile(reel, this.moment);
    this.reveal();
  }

  /** Shows a screen once it has a picture; until then the previous one stays. */
  private reveal(): void {
    const main = this.main === null ? undefined : this.tiles.get(this.main);
    const isReady = !!main?.deck.isShowing || this.gapOf(this.main) !== null;
    const wasShown = this.element.querySelector(".screen.main");
    for (const [index, { deck, element, note }] of this.tiles) {
      const reel = this.reels[index]!;
      const isMain =
        index === this.main ? isReady || !wasShown || wasShown === element : element === wasShown && !isReady;
      const gap = this.gapOf(index);
      const isSide = !isMain && index === this.side;
      element.classList.toggle("main", isMain);
      element.classList.toggle("side", isSide);
      element.classList.toggle("is-waiting", (isMain || isSide) && !deck.isShowing && !gap);
      const has = this.reelHas(index, this.moment);
      element.classList.toggle("is-away", (isMain || isSide) && (!has || gap !== null));
      if (index !== this.main && index !== this.side) deck.pause();
      const withheld = reel.withheld.find(({ from, to }) => from <= this.moment && this.moment < to);
      const now = clock(reel.zeroUtcMs - reel.from + this.moment);
      const text = gap ? `${now}: no footage, ${gap.why}` : has ? (withheld?.text ?? "") : this.whyAway(reel);
      if (note.textContent !== text) note.textContent = text;
    }
    this.element.classList.toggle("is-pair", this.side !== null);
    this.empty.hidden = this.tiles.size > 0;
  }

  /** Why a reel has no picture at this moment. */
  private whyAway(reel: Reel): string {
    const covers = ({ agent, from, to }: AbsentFootage): boolean =>
      agent === reel.agent && from <= this.moment && this.moment < to;
    const why = this.absences.find(covers)?.why;
    return `${reel.name} was not recorded at this moment${why ? `: ${why}` : ""}`;
  }

  end(): void {
    cancelAnimationFrame(this.timer);
    for (const { deck } of this.tiles.values()) deck.end();
  }
}
