// One interaction: its screens, its timeline, what is known of its calls, and what people wrote about it. Or a recording alone,
// which belongs to no interaction yet: then there is nothing to write on.

import { get, post, postForFile, remove, type Problem } from "../api.ts";
import { currentSession } from "../api.ts";
import { fill, h, icon } from "../dom.ts";
import { clock, day, duration, length, moment, words } from "../format.ts";
import { setKeys } from "../keys.ts";
import { SPEEDS, Stage } from "../player/stage.ts";
import { href, replace, type Route } from "../route.ts";
import { say } from "../shell.ts";
import { Timeline } from "../timeline.ts";
import type { Interaction, Recording } from "../types.ts";
import { agentNames } from "../agents.ts";
import { layOut, type Layout } from "./interaction/layout.ts";
import { playerKeys } from "./interaction/keys.ts";
import { Side } from "./interaction/side.ts";
import type { View } from "./view.ts";

const LIVE_REFRESH_MS = 2000;

export function open(main: HTMLElement, route: Route): View {
  const view = new InteractionView(main, route);
  void view.load();
  return view;
}

export class InteractionView implements View {
  stage: Stage | null = null;
  layout: Layout | null = null;
  data: Interaction | null = null;
  clipFrom: number | null = null;
  clipTo: number | null = null;
  readonly timeline: Timeline;
  private readonly ended = new AbortController();
  private readonly head = h("header", { class: "page-head" });
  private readonly screens = h("section", { class: "stage", ariaLabel: "Screens" });
  private readonly controls = h("div", { class: "controls", role: "toolbar", ariaLabel: "Playback" });
  private readonly side: Side;
  private readonly now = h("output", { class: "now" });
  private readonly main: HTMLElement;
  private readonly route: Route;
  private timer = 0;

  constructor(main: HTMLElement, route: Route) {
    this.main = main;
    this.route = route;
    this.timeline = new Timeline({
      seek: (at) => this.stage?.seek(at),
      watch: (reel) => this.stage?.watch(reel),
      pair: (reel) => this.stage?.pair(this.stage.side === reel ? null : reel),
    });
    this.side = new Side(this);
    main.append(
      this.head,
      h(
        "div",
        { class: "watch" },
        h("div", { class: "watch-main" }, this.screens, this.controls, this.timeline.element),
        this.side.element,
      ),
    );
    this.side.element.hidden = this.isAlone;
    setKeys(playerKeys(this));
  }

  get id(): string {
    return this.route.id;
  }

  private get isAlone(): boolean {
    return this.route.view === "recording";
  }

  async load(): Promise<void> {
    try {
      this.take(await this.ask(), await agentNames());
    } catch (error) {
      if (this.ended.signal.aborted) return;
      const missing = (error as Problem).status === 404;
      fill(
        this.main,
        h(
          "div",
          { class: "nothing" },
          h("h1", {}, missing ? "There is no such interaction" : "It cannot be shown"),
          h("p", {}, missing ? "It was deleted, or you may not see it." : (error as Error).message),
          h("a", { href: href("interactions") }, "Back to the list"),
        ),
      );
    }
  }

  private async ask(): Promise<Interaction> {
    const id = encodeURIComponent(this.id);
    if (!this.isAlone) return get<Interaction>(`/interactions/${id}`, {}, this.ended.signal);
    return alone(await get<Recording>(`/recordings/${id}`, {}, this.ended.signal));
  }

  private take(data: Interaction, known: Map<string, string>): void {
    const isFirst = !this.data;
    this.data = data;
    this.layout = layOut(data, known, Date.now());
    document.title = `${data.interaction} · Deskreel`;
    if (isFirst) this.openStage(this.layout);
    else if (this.stage) {
      this.stage.reels = this.layout.reels;
      this.stage.spans = this.layout.spans;
    }
    this.drawHead(data, this.layout);
    this.drawControls();
    this.timeline.draw(this.layout.lanes, this.layout.marks, this.layout.length);
    this.timeline.show(this.stage?.main ?? null, this.stage?.side ?? null);
    this.timeline.range(this.clipFrom, this.clipTo);
    this.side.draw(data, this.layout);
    if (data.live) this.timer = window.setTimeout(() => void this.load(), LIVE_REFRESH_MS);
  }

  private openStage(layout: Layout): void {
    if (!layout.reels.length) {
      const why = this.data!.footage.find((footage) => footage.missing)?.missing;
      fill(
        this.screens,
        h(
          "p",
          { class: "no-footage" },
          icon("screen"),
          h("span", {}, why ? `There is no footage: ${why}` : "No screen was recorded."),
        ),
      );
      return;
    }
    const { query } = this.route;
    const asked = query.get("at");
    const isLive = layout.reels.some((reel) => reel.live);
    const first = Math.max(0, Math.min(...layout.reels.map((reel) => reel.from)));
    const at = asked !== null && Number.isFinite(Number(asked)) ? Number(asked) : isLive ? null : first;
    this.stage = new Stage(layout.reels, layout.spans, at, {
      moved: () => this.moved(),
      changed: () => this.changed(),
      said: say,
    });
    const reel = layout.reels.findIndex((reel) => reel.agent === query.get("agent"));
    if (reel >= 0) this.stage.watch(reel);
    if (isLive && at === null) this.stage.play();
    fill(this.screens, this.stage.element);
    this.stage.element.addEventListener("click", () => this.toggle());
    this.moved();
  }

  private drawHead(data: Interaction, layout: Layout): void {
    const back = h(
      "button",
      {
        class: "quiet",
        ariaLabel: "Back to the list",
        title: "Back (Backspace)",
        on: { click: () => this.back() },
      },
      icon("left"),
    );
    fill(
      this.head,
      back,
      h(
        "div",
        { class: "page-title" },
        h("h1", {}, layout.agents.join(" → ") || data.interaction),
        h(
          "p",
          { class: "facts" },
          data.live && h("span", { class: "live-badge" }, "Live"),
          h("span", {}, `${day(data.started)}, ${clock(data.started)}`),
          h("span", {}, duration(layout.length)),
          h(
            "span",
            {},
            [data.direction, data.media]
              .filter(Boolean)
              .map((text) => words(text!))
              .join(" "),
          ),
          h("span", { class: "mono" }, data.interaction),
        ),
      ),
      h(
        "button",
        {
          class: "plain",
          title: "Copy a link to this moment (y)",
          on: { click: () => void this.copyLink() },
        },
        icon("link"),
        h("span", {}, "Copy link"),
      ),
      !this.isAlone &&
        h(
          "button",
          {
            class: "plain",
            title: "Download the clip, or all: of the call, or of the screen you chose (d)",
            on: { click: () => void this.download() },
          },
          icon("download"),
          h("span", { class: "download-text" }, "Download"),
        ),
    );
    if (currentSession()?.role === "agent") {
      this.head.append(
        h(
          "p",
          { class: "notice-own" },
          "Your screen was recorded during this contact. You see your own recordings.",
        ),
      );
    }
  }

  private drawControls(): void {
    const button = (
      name: Parameters<typeof icon>[0],
      label: string,
      key: string,
      run: () => void,
      extra = "",
    ): HTMLElement =>
      h(
        "button",
        { class: `tool ${extra}`, title: `${label} (${key})`, ariaLabel: label, on: { click: run } },
        icon(name),
      );
    const { stage } = this;
    if (!stage) {
      fill(this.controls);
      this.controls.hidden = true;
      return;
    }
    const toggle = (
      name: Parameters<typeof icon>[0],
      label: string,
      key: string,
      on: boolean,
      run: () => void,
      disabled = false,
    ): HTMLElement =>
      h(
        "button",
        {
          class: "tool word",
          title: `${label} (${key})`,
          disabled,
          aria: { pressed: String(on) },
          on: { click: run },
        },
        icon(name),
        h("span", {}, label),
      );
    const speed = h("select", {
      class: "speed",
      ariaLabel: "Speed",
      title: "Speed ([ and ])",
      on: { change: () => stage.setRate(Number(speed.value)) },
    });
    for (const rate of SPEEDS)
      speed.append(h("option", { value: String(rate), selected: rate === stage.rate }, `${rate}×`));
    const focused = this.controls.contains(document.activeElement)
      ? document.activeElement!.getAttribute("title")
      : null;
    const isLive = stage.reels.some((reel) => reel.live);
    fill(
      this.controls,
      h(
        "div",
        { class: "tools" },
        button("previous", "Segment before", "p", () => this.segment(-1)),
        button("frame_back", "One frame back", ",", () => stage.step(-1)),
        button(
          stage.isPlaying ? "pause" : "play",
          stage.isPlaying ? "Pause" : "Play",
          "Space",
          () => this.toggle(),
          "play",
        ),
        button("frame_forward", "One frame on", ".", () => stage.step(1)),
        button("next", "Next segment", "n", () => this.segment(1)),
      ),
      this.now,
      speed,
      isLive &&
        h(
          "button",
          {
            class: "tool word live-edge",
            title: "Go to the live picture (e)",
            aria: { pressed: String(stage.isAtEdge) },
            on: { click: () => stage.toEdge() },
          },
          h("span", {}, "Live"),
        ),
      h(
        "div",
        { class: "tools end" },
        toggle("follow", "Follow the call", "f", stage.isFollowing, () =>
          stage.isFollowing ? stage.watch(stage.main!) : stage.follow(),
        ),
        toggle("pair", "Side by side", "b", stage.side !== null, () => this.pair(), stage.reels.length < 2),
        toggle("skip", "Skip still", "s", stage.isSkipping, () => this.skip()),
        button("clip", "Clip begins here", "i", () => this.mark("from")),
        button("note", "Note on this moment", "m", () => this.write()),
        button("full", "Full screen", "Shift f", () => this.full()),
      ),
    );
    if (focused) this.controls.querySelector<HTMLElement>(`[title="${CSS.escape(focused)}"]`)?.focus();
  }

  private moved(): void {
    const at = this.stage?.moment ?? 0;
    this.timeline.move(at);
    const text = `${moment(at)} / ${duration(this.layout?.length ?? 0)}`;
    if (this.now.textContent !== text) this.now.textContent = text;
    this.side.move(at);
  }

  private changed(): void {
    this.drawControls();
    this.timeline.show(this.stage?.main ?? null, this.stage?.side ?? null);
    if (this.stage && !this.stage.isPlaying) this.remember();
  }

  /** The address leads back to what is shown. */
  private remember(): void {
    replace(this.link());
  }

  private link(): string {
    const { stage } = this;
    const query: Record<string, string> = stage ? { at: String(Math.round(stage.moment)) } : {};
    if (stage && !stage.isFollowing && stage.main !== null) query["agent"] = stage.reels[stage.main]!.agent;
    return href(this.route.view, this.id, query);
  }

  toggle(): void {
    if (this.stage?.isPlaying) this.stage.pause();
    else this.stage?.play();
  }

  by(ms: number): void {
    if (this.stage) this.stage.seek(this.stage.moment + ms);
  }

  /** The segment that begins before, or after, what is shown. */
  segment(direction: 1 | -1): void {
    if (!this.stage || !this.layout) return;
    const starts = [...new Set(this.layout.spans.map((span) => span.from))].sort((a, b) => a - b);
    const at = this.stage.moment;
    const to =
      direction > 0 ? starts.find((start) => start > at + 50) : starts.findLast((start) => start < at - 1000);
    if (to !== undefined) this.stage.seek(to);
  }

  pair(): void {
    const { stage } = this;
    if (!stage || stage.main === null) return;
    if (stage.side !== null) return stage.pair(null);
    const { from, to } = stage.reels[stage.main]!;
    const others = stage.reels
      .map((reel, index) => ({ reel, index }))
      .filter(({ index }) => index !== stage.main);
    const beside = others.find(({ reel }) => reel.from < to && reel.to > from) ?? others[0];
    if (beside) stage.pair(beside.index);
    else say("No other screen was recorded.");
  }

  skip(): void {
    if (!this.stage) return;
    this.stage.isSkipping = !this.stage.isSkipping;
    say(this.stage.isSkipping ? "Still stretches are skipped." : "Still stretches are shown.");
    this.drawControls();
  }

  speed(steps: 1 | -1): void {
    if (!this.stage) return;
    const now = SPEEDS.indexOf(this.stage.rate as (typeof SPEEDS)[number]);
    this.stage.setRate(SPEEDS[Math.min(SPEEDS.length - 1, Math.max(0, now + steps))]!);
  }

  mark(edge: "from" | "to"): void {
    if (!this.stage) return;
    const at = this.stage.moment;
    if (edge === "from") {
      this.clipFrom = at;
      if (this.clipTo !== null && this.clipTo <= at) this.clipTo = null;
      say(`The clip begins at ${moment(at)}. Press o where it ends, d to download.`);
    } else {
      this.clipTo = at;
      this.clipFrom = Math.min(this.clipFrom ?? 0, at);
      say(`The clip lasts ${length(at - this.clipFrom)}. Press d to download it.`);
    }
    this.timeline.range(this.clipFrom, this.clipTo);
  }

  async copyLink(): Promise<void> {
    this.remember();
    try {
      await navigator.clipboard.writeText(new URL(this.link(), location.href).href);
      say("The link to this moment is on the clipboard.");
    } catch {
      say("The address of this page is now the link to this moment.");
    }
  }

  async download(): Promise<void> {
    const { stage } = this;
    if (!stage || stage.main === null || this.isAlone) return;
    const reel = stage.reels[stage.main]!;
    const whole = (at: number): number => Math.max(0, Math.round(at));
    // What the player shows by itself, over all agents; or the one screen that somebody chose.
    const wanted = stage.isFollowing
      ? { from_ms: whole(this.clipFrom ?? 0), to_ms: this.clipTo === null ? null : whole(this.clipTo) }
      : {
          recording: reel.recording,
          from_ms: whole((this.clipFrom ?? reel.from) - reel.from),
          to_ms: whole(Math.min(reel.to, this.clipTo ?? reel.to) - reel.from),
        };
    const name = stage.isFollowing ? this.id : `${this.id}-${reel.agent}`;
    say("The clip is being cut…");
    try {
      const file = await postForFile(`/interactions/${encodeURIComponent(this.id)}/export`, wanted);
      const address = URL.createObjectURL(file);
      h("a", { href: address, download: `${name}.mp4`.replace(/[^\w.-]+/g, "_") }).click();
      setTimeout(() => URL.revokeObjectURL(address), 60_000);
    } catch (error) {
      say((error as Error).message, "bad");
    }
  }

  write(): void {
    if (this.isAlone) say("Notes can be written once the recording belongs to an interaction.");
    else this.side.write();
  }

  full(): void {
    if (document.fullscreenElement) void document.exitFullscreen();
    else void this.screens.requestFullscreen();
  }

  back(): void {
    if (history.length > 1) history.back();
    else location.hash = href("interactions");
  }

  async addNote(text: string, label: string): Promise<void> {
    const { stage } = this;
    const reel = stage?.main === null || !stage ? null : stage.reels[stage.main]!;
    const at = Math.round((stage?.moment ?? 0) - (reel?.from ?? 0));
    await post(`/interactions/${encodeURIComponent(this.id)}/notes`, {
      at_ms: at,
      recording: reel?.recording ?? null,
      text,
      label: label || null,
    });
    await this.reload();
  }

  async removeNote(id: string): Promise<void> {
    await remove(`/interactions/${encodeURIComponent(this.id)}/notes/${encodeURIComponent(id)}`);
    await this.reload();
  }

  async label(name: string, isOn: boolean): Promise<void> {
    const path = `/interactions/${encodeURIComponent(this.id)}/labels`;
    if (isOn) await post(path, { label: name });
    else await remove(`${path}/${encodeURIComponent(name)}`);
    await this.reload();
  }

  private async reload(): Promise<void> {
    clearTimeout(this.timer);
    await this.load();
  }

  go(route: Route): boolean {
    const at = route.query.get("at");
    if (at !== null && this.stage) this.stage.seek(Number(at));
    return this.stage !== null;
  }

  end(): void {
    this.ended.abort();
    clearTimeout(this.timer);
    setKeys([]);
    this.stage?.end();
  }
}

function alone(recording: Recording): Interaction {
  const { recording: id, place, ended, live } = recording;
  const agent = recording.agent ?? place ?? id;
  const started = recording.started ?? new Date().toISOString();
  const footage = {
    recording: id,
    agent,
    started,
    ended,
    live,
    withheld: [],
    gaps: [],
    still: [],
    parts: [],
    missing: null,
  };
  return {
    interaction: id,
    started,
    ended,
    duration_ms: null,
    media: "",
    direction: null,
    agents: [agent],
    calls: [],
    labels: [],
    has_footage: "all",
    live,
    held: false,
    segments: [],
    footage: [footage],
    notes: [],
  };
}
