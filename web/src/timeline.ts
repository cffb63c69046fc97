// The timeline of an interaction: a ruler to seek on, and a lane for each agent with the footage of the
// screen, the segments and the marks. A click on any of them seeks to its moment. A short stretch is a few
// pixels wide, too small for a button; without a mouse, use the list beside the screens, which has each of
// them, and the keys that go from segment to segment.
//
// All times are moments: milliseconds since the interaction began.

import { fill, h } from "./dom.ts";
import { duration, moment } from "./format.ts";

export interface Bar {
  from: number;
  to: number;
  /** CSS class: `footage`, `gap`, `paused`, `masked`, `still`, `primary`, ... */
  kind: string;
  text: string;
  detail: string;
  /** Row of a segment, from 0 at the top; segments that overlap are in different rows. */
  row?: number;
}

export interface Lane {
  name: string;
  place: string;
  /** The reel that a click on the name watches; null without footage. */
  reel: number | null;
  screen: Bar[];
  segments: Bar[];
  /** Number of rows of segments. */
  rows: number;
}

export interface Mark {
  at: number;
  text: string;
}

export interface TimelineEvents {
  seek(at: number): void;
  watch(reel: number): void;
  pair(reel: number): void;
}

const ZOOMS = [1, 2, 4, 8, 16, 32];
const STEPS_MS = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600].map((seconds) => seconds * 1000);
const TICK_PX = 90;
const ARROW_MS = 5000;

export class Timeline {
  readonly element = h("section", { class: "timeline", ariaLabel: "Timeline" });
  private readonly inner = h("div", { class: "timeline-inner" });
  private readonly scroller = h("div", { class: "timeline-scroll", tabIndex: -1 });
  private readonly ruler = h("div", { class: "ruler" });
  private readonly ticks = h("div", { class: "ticks", aria: { hidden: "true" } });
  private readonly slider = h("div", { class: "slider", role: "slider", tabIndex: 0, ariaLabel: "Position" });
  private readonly head = h("div", { class: "playhead", aria: { hidden: "true" } });
  private readonly clip = h("div", { class: "clip-range", aria: { hidden: "true" } });
  private readonly lanes = h("div", { class: "lanes" });
  private readonly marks = h("div", { class: "marks" });
  private length = 1;
  private zoom = 1;
  private at = 0;
  private readonly events: TimelineEvents;

  constructor(events: TimelineEvents) {
    this.events = events;
    this.ruler.append(this.ticks, this.slider, this.marks);
    this.inner.append(this.ruler, this.lanes, this.clip, this.head);
    this.scroller.append(this.inner);
    this.element.append(this.scroller);
    this.slider.addEventListener("pointerdown", (event) => this.drag(event));
    this.slider.addEventListener("keydown", (event) => this.key(event));
    new ResizeObserver(() => this.drawTicks()).observe(this.scroller);
  }

  /** Draws everything again; the playhead does not move. */
  draw(lanes: Lane[], marks: Mark[], length: number): void {
    this.length = Math.max(1, length);
    // During a live recording this happens while somebody uses the timeline: the focus stays.
    const focused = this.lanes.contains(document.activeElement)
      ? (document.activeElement as HTMLElement).title
      : null;
    fill(this.lanes, ...lanes.map((lane) => this.lane(lane)));
    fill(
      this.marks,
      ...marks.map((mark) => {
        const note = h("span", {
          class: "mark-note",
          role: "img",
          title: mark.text,
          ariaLabel: `${mark.text}, ${moment(mark.at)}`,
          on: { click: () => this.events.seek(mark.at) },
        });
        note.style.left = this.percent(mark.at);
        return note;
      }),
    );
    if (focused) this.lanes.querySelector<HTMLElement>(`button[title="${CSS.escape(focused)}"]`)?.focus();
    this.slider.setAttribute("aria-valuemin", "0");
    this.slider.setAttribute("aria-valuemax", String(Math.round(this.length)));
    this.drawTicks();
    this.move(this.at);
  }

  private lane(lane: Lane): HTMLElement {
    const { reel } = lane;
    const bar = (bar: Bar): HTMLElement => {
      const click = (): void => {
        if (reel !== null) this.events.watch(reel);
        this.events.seek(bar.from);
      };
      const span = `${moment(bar.from)}–${moment(bar.to)}`;
      const element = h(
        "span",
        {
          class: `stretch ${bar.kind}`,
          role: "img",
          title: `${bar.text} · ${span}${bar.detail && `\n${bar.detail}`}`,
          ariaLabel: `${bar.text}, ${span}${bar.detail && `: ${bar.detail}`}`,
          on: { click },
        },
        h("span", {}, bar.text),
      );
      element.style.left = this.percent(bar.from);
      element.style.width = this.percent(bar.to - bar.from);
      if (bar.row) element.style.setProperty("--row", String(bar.row));
      return element;
    };
    const segments = h("div", { class: "lane-segments" }, ...lane.segments.map(bar));
    segments.style.setProperty("--rows", String(lane.rows));
    return h(
      "div",
      { class: "lane", role: "group", ariaLabel: lane.name, data: { reel: String(reel ?? "") } },
      h(
        "div",
        { class: "lane-name" },
        h(
          "button",
          {
            class: "lane-watch",
            disabled: reel === null,
            title: `Watch ${lane.name}`,
            on: { click: () => reel !== null && this.events.watch(reel) },
          },
          h("span", { class: "agent" }, lane.name),
          h("span", { class: "place" }, lane.place),
        ),
        reel !== null &&
          h(
            "button",
            {
              class: "lane-pair quiet",
              title: `Show ${lane.name} side by side`,
              ariaLabel: `Show ${lane.name} side by side`,
              on: { click: () => this.events.pair(reel) },
            },
            "+",
          ),
      ),
      h(
        "div",
        { class: "lane-tracks" },
        h("div", { class: "lane-screen" }, ...lane.screen.map(bar)),
        segments,
      ),
    );
  }

  /** Moves the playhead, and scrolls if it leaves the visible stretch. */
  move(at: number): void {
    this.at = at;
    this.head.style.setProperty("--at", String(at / this.length));
    this.slider.setAttribute("aria-valuenow", String(Math.round(at)));
    this.slider.setAttribute("aria-valuetext", `${duration(at)} of ${duration(this.length)}`);
    if (this.zoom === 1) return;
    const x = (at / this.length) * this.slider.clientWidth;
    const { scrollLeft, clientWidth } = this.scroller;
    const seen = clientWidth - (this.inner.clientWidth - this.slider.clientWidth);
    if (x < scrollLeft || x > scrollLeft + seen) this.scroller.scrollLeft = x - seen * 0.2;
  }

  /** Marks the lanes whose reels are on the stage. */
  show(main: number | null, side: number | null): void {
    for (const lane of this.lanes.children) {
      const { reel } = (lane as HTMLElement).dataset;
      lane.classList.toggle("is-main", reel === String(main));
      lane.classList.toggle("is-side", reel === String(side));
    }
  }

  /** Shows the range of the clip. */
  range(from: number | null, to: number | null): void {
    this.clip.hidden = from === null;
    if (from === null) return;
    this.clip.style.setProperty("--from", String(from / this.length));
    this.clip.style.setProperty("--to", String((to ?? this.length) / this.length));
  }

  zoomBy(steps: 1 | -1): void {
    const now = ZOOMS.indexOf(this.zoom);
    this.zoom = ZOOMS[Math.min(ZOOMS.length - 1, Math.max(0, now + steps))]!;
    this.inner.style.width = `${this.zoom * 100}%`;
    this.drawTicks();
    this.move(this.at);
  }

  private drawTicks(): void {
    const width = this.slider.clientWidth;
    if (!width) return;
    const step = STEPS_MS.find((step) => (step / this.length) * width >= TICK_PX) ?? 7_200_000;
    const ticks = [];
    for (let at = 0; at <= this.length; at += step) {
      const tick = h("span", {}, duration(at));
      tick.style.left = this.percent(at);
      ticks.push(tick);
    }
    fill(this.ticks, ...ticks);
  }

  private percent(ms: number): string {
    return `${(ms / this.length) * 100}%`;
  }

  private drag(event: PointerEvent): void {
    const to = (event: PointerEvent): void => {
      const { left, width } = this.slider.getBoundingClientRect();
      this.events.seek(Math.min(1, Math.max(0, (event.clientX - left) / width)) * this.length);
    };
    event.preventDefault();
    this.slider.focus();
    this.slider.setPointerCapture(event.pointerId);
    this.slider.addEventListener("pointermove", to);
    this.slider.addEventListener(
      "lostpointercapture",
      () => this.slider.removeEventListener("pointermove", to),
      { once: true },
    );
    to(event);
  }

  private key(event: KeyboardEvent): void {
    const by: Record<string, number> = {
      ArrowLeft: -ARROW_MS,
      ArrowDown: -ARROW_MS,
      ArrowRight: ARROW_MS,
      ArrowUp: ARROW_MS,
      PageUp: 60_000,
      PageDown: -60_000,
    };
    const target =
      event.key === "Home"
        ? 0
        : event.key === "End"
          ? this.length
          : event.key in by
            ? this.at + by[event.key]!
            : null;
    if (target === null || event.shiftKey) return;
    event.preventDefault();
    this.events.seek(target);
  }
}
