// One interaction: its screens, its timeline, its calls, and the notes and labels that people gave it. Or one
// recording that belongs to no interaction yet; it takes no notes.

import { agentNames } from "../agents.ts";
import { get, post, postForFile, remove, type Problem } from "../api.ts";
import { fill, h, icon } from "../dom.ts";
import { duration, moment, stretchLength } from "../format.ts";
import { setKeys } from "../keys.ts";
import { SPEEDS, Stage } from "../player/stage.ts";
import { href, replace, type Route } from "../route.ts";
import { serverNow } from "../server-clock.ts";
import { notify } from "../shell.ts";
import { Timeline } from "../timeline.ts";
import type { Interaction, Recording } from "../types.ts";
import type { InteractionActions } from "./interaction/actions.ts";
import { ageText, Controls } from "./interaction/controls.ts";
import { drawHead } from "./interaction/head.ts";
import { interactionKeys } from "./interaction/keys.ts";
import { layOut, type Layout } from "./interaction/layout.ts";
import { asInteraction } from "./interaction/lone-recording.ts";
import { SidePanel } from "./interaction/side-panel.ts";
import type { View } from "./view.ts";

const LIVE_REFRESH_MS = 2000;
/** Seconds; a live picture that is older is no longer one. */
const OLD_S = 5;

export function open(main: HTMLElement, route: Route): View {
  const view = new InteractionView(main, route);
  void view.load();
  return view;
}

class InteractionView implements View, InteractionActions {
  stage: Stage | null = null;
  layout: Layout | null = null;
  readonly timeline: Timeline;
  private data: Interaction | null = null;
  private clipFrom: number | null = null;
  private clipTo: number | null = null;
  private readonly ended = new AbortController();
  private readonly head = h("header", { class: "page-head" });
  private readonly screens = h("section", { class: "stage", ariaLabel: "Screens" });
  private readonly controls: Controls;
  private readonly sidePanel: SidePanel;
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
    this.controls = new Controls(this);
    this.sidePanel = new SidePanel(this);
    main.append(
      this.head,
      h(
        "div",
        { class: "watch" },
        h("div", { class: "watch-main" }, this.screens, this.controls.element, this.timeline.element),
        this.sidePanel.element,
      ),
    );
    this.sidePanel.element.hidden = this.isLoneRecording;
    setKeys(interactionKeys(this));
  }

  /** The API's path of this interaction. */
  private get path(): string {
    return `/interactions/${encodeURIComponent(this.route.id)}`;
  }

  private get isLoneRecording(): boolean {
    return this.route.view === "recording";
  }

  async load(): Promise<void> {
    try {
      this.show(await this.fetch(), await agentNames());
    } catch (error) {
      if (this.ended.signal.aborted) return;
      const isMissing = (error as Problem).status === 404;
      const what = this.isLoneRecording ? "recording" : "interaction";
      fill(
        this.main,
        h(
          "div",
          { class: "nothing" },
          h("h1", {}, isMissing ? `This ${what} does not exist` : `This ${what} cannot be shown`),
          h("p", {}, isMissing ? "It was deleted, or you have no access to it." : (error as Error).message),
          h("a", { href: href("interactions") }, "Back to the list"),
        ),
      );
    }
  }

  private async fetch(): Promise<Interaction> {
    if (!this.isLoneRecording) return get<Interaction>(this.path, {}, this.ended.signal);
    const path = `/recordings/${encodeURIComponent(this.route.id)}`;
    return asInteraction(await get<Recording>(path, {}, this.ended.signal));
  }

  private show(data: Interaction, names: Map<string, string>): void {
    const isFirst = !this.data;
    this.data = data;
    this.layout = layOut(data, names, serverNow());
    document.title = `${data.interaction} · Deskreel`;
    if (isFirst) this.openStage(data, this.layout);
    else if (this.stage) {
      this.stage.reels = this.layout.reels;
      this.stage.spans = this.layout.spans;
      this.stage.absences = this.layout.absences;
    }
    drawHead(this.head, data, this.layout, !this.isLoneRecording, this);
    this.controls.draw();
    this.timeline.draw(this.layout.lanes, this.layout.marks, this.layout.length);
    this.showScreens();
    this.timeline.range(this.clipFrom, this.clipTo);
    this.sidePanel.draw(data, this.layout);
    if (data.live) this.timer = window.setTimeout(() => void this.load(), LIVE_REFRESH_MS);
  }

  private openStage(data: Interaction, layout: Layout): void {
    if (!layout.reels.length) {
      const why = layout.absences[0]?.why ?? data.footage.find((footage) => footage.missing)?.missing;
      const text = why ? `There is no footage: ${why}` : "No screen was recorded.";
      fill(this.screens, h("p", { class: "no-footage" }, icon("screen"), h("span", {}, text)));
      return;
    }
    const { query } = this.route;
    const wanted = query.get("at");
    const isLive = layout.reels.some((reel) => reel.live);
    const first = Math.max(0, Math.min(...layout.reels.map((reel) => reel.from)));
    const at = wanted !== null && Number.isFinite(Number(wanted)) ? Number(wanted) : isLive ? null : first;
    this.stage = new Stage(layout.reels, layout.spans, at, {
      moved: () => this.moved(),
      changed: () => this.changed(),
      noticed: notify,
    });
    this.stage.absences = layout.absences;
    const reel = layout.reels.findIndex((reel) => reel.agent === query.get("agent"));
    if (reel >= 0) this.stage.watch(reel);
    if (isLive && at === null) this.stage.play();
    fill(this.screens, this.stage.element);
    this.stage.element.addEventListener("click", () => this.togglePlay());
    this.moved();
  }

  private moved(): void {
    const at = this.stage?.moment ?? 0;
    this.timeline.move(at);
    this.showAge(this.stage?.age ?? null);
    this.controls.setPosition(`${moment(at)} / ${duration(this.layout?.length ?? 0)}`);
    this.sidePanel.move(at);
  }

  /** Says how old the live picture is. An old one is not called live in red. */
  private showAge(age: number | null): void {
    const [text, isOld] = [ageText(age), age !== null && age > OLD_S];
    for (const badge of this.main.querySelectorAll(".live-badge, .live-edge span")) {
      if (badge.textContent !== text) badge.textContent = text;
      badge.closest(".live-badge, .live-edge")?.classList.toggle("is-old", isOld);
    }
  }

  private changed(): void {
    this.controls.draw();
    this.showScreens();
    if (this.stage && !this.stage.isPlaying) this.rememberMoment();
  }

  private showScreens(): void {
    const { stage } = this;
    this.timeline.show(stage?.base(stage.main) ?? null, stage?.base(stage.side) ?? null);
  }

  /** Puts the link to what is shown into the address. */
  private rememberMoment(): void {
    replace(this.link());
  }

  private link(): string {
    const { stage } = this;
    const query: Record<string, string> = stage ? { at: String(Math.round(stage.moment)) } : {};
    if (stage && !stage.isFollowing && stage.main !== null) query["agent"] = stage.reels[stage.main]!.agent;
    return href(this.route.view, this.route.id, query);
  }

  togglePlay(): void {
    if (this.stage?.isPlaying) this.stage.pause();
    else this.stage?.play();
  }

  seekBy(ms: number): void {
    if (this.stage) this.stage.seek(this.stage.moment + ms);
  }

  goToSegment(direction: 1 | -1): void {
    if (!this.stage || !this.layout) return;
    const starts = [...new Set(this.layout.spans.map((span) => span.from))].sort((a, b) => a - b);
    const at = this.stage.moment;
    const to =
      direction > 0 ? starts.find((start) => start > at + 50) : starts.findLast((start) => start < at - 1000);
    if (to !== undefined) this.stage.seek(to);
  }

  togglePair(): void {
    const { stage } = this;
    if (!stage || stage.main === null) return;
    if (stage.side !== null) return stage.pair(null);
    const { from, to } = stage.reels[stage.main]!;
    const others = stage.reels
      .map((reel, index) => ({ reel, index }))
      .filter(({ index }) => index !== stage.main);
    const tracks = stage.tracksOf(stage.main);
    others.sort((one, other) => Number(tracks.includes(other.index)) - Number(tracks.includes(one.index)));
    const beside = others.find(({ reel }) => reel.from < to && reel.to > from) ?? others[0];
    if (beside) stage.pair(beside.index);
    else notify("No other screen was recorded.");
  }

  toggleSkipping(): void {
    if (!this.stage) return;
    this.stage.isSkipping = !this.stage.isSkipping;
    notify(this.stage.isSkipping ? "Still parts are skipped." : "Still parts are shown.");
    this.controls.draw();
  }

  changeSpeed(steps: 1 | -1): void {
    if (!this.stage) return;
    const now = SPEEDS.indexOf(this.stage.rate as (typeof SPEEDS)[number]);
    this.stage.setRate(SPEEDS[Math.min(SPEEDS.length - 1, Math.max(0, now + steps))]!);
  }

  markClip(edge: "from" | "to"): void {
    if (!this.stage) return;
    const at = this.stage.moment;
    if (edge === "from") {
      this.clipFrom = at;
      if (this.clipTo !== null && this.clipTo <= at) this.clipTo = null;
      notify(`The clip starts at ${moment(at)}. Press o where it ends, d to download.`);
    } else {
      this.clipTo = at;
      this.clipFrom = Math.min(this.clipFrom ?? 0, at);
      notify(`The clip lasts ${stretchLength(at - this.clipFrom)}. Press d to download it.`);
    }
    this.timeline.range(this.clipFrom, this.clipTo);
  }

  async copyLink(): Promise<void> {
    this.rememberMoment();
    try {
      await navigator.clipboard.writeText(new URL(this.link(), location.href).href);
      notify("The link to this moment is on the clipboard.");
    } catch {
      notify("The clipboard is not available. The address of this page is now the link to this moment.");
    }
  }

  async download(): Promise<void> {
    const { stage } = this;
    if (!stage || stage.main === null || this.isLoneRecording) return;
    const reel = stage.reels[stage.main]!;
    const whole = (at: number): number => Math.max(0, Math.round(at));
    // The call over all its agents, as the player shows it, or the one screen that the user chose.
    const wanted = stage.isFollowing
      ? {
          track: reel.track,
          from_ms: whole(this.clipFrom ?? 0),
          to_ms: this.clipTo === null ? null : whole(this.clipTo),
        }
      : {
          recording: reel.recording,
          track: reel.track,
          from_ms: whole((this.clipFrom ?? reel.from) - reel.from),
          to_ms: whole(Math.min(reel.to, this.clipTo ?? reel.to) - reel.from),
        };
    const name = stage.isFollowing ? this.route.id : `${this.route.id}-${reel.agent}`;
    notify("Preparing the clip…");
    try {
      const file = await postForFile(`${this.path}/export`, wanted);
      const address = URL.createObjectURL(file);
      h("a", { href: address, download: `${name}.mp4`.replace(/[^\w.-]+/g, "_") }).click();
      setTimeout(() => URL.revokeObjectURL(address), 60_000);
    } catch (error) {
      notify((error as Error).message, "bad");
    }
  }

  startNote(): void {
    if (this.isLoneRecording) notify("You can add notes once the recording belongs to an interaction.");
    else this.sidePanel.startNote();
  }

  toggleFullScreen(): void {
    if (document.fullscreenElement) void document.exitFullscreen();
    else void this.screens.requestFullscreen();
  }

  goBack(): void {
    if (history.length > 1) history.back();
    else location.hash = href("interactions");
  }

  async addNote(text: string): Promise<void> {
    const { stage } = this;
    const reel = stage?.main === null || !stage ? null : stage.reels[stage.main]!;
    const at = Math.round((stage?.moment ?? 0) - (reel?.from ?? 0));
    const note = { at_ms: at, recording: reel?.recording ?? null, text, label: null };
    await post(`${this.path}/notes`, note);
    await this.reload();
  }

  async removeNote(id: string): Promise<void> {
    await remove(`${this.path}/notes/${encodeURIComponent(id)}`);
    await this.reload();
  }

  async addLabel(label: string): Promise<void> {
    await post(`${this.path}/labels`, { label });
    await this.reload();
  }

  async removeLabel(label: string): Promise<void> {
    await remove(`${this.path}/labels/${encodeURIComponent(label)}`);
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
