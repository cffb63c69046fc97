// The playback controls under the screens.

import { fill, h, icon } from "../../dom.ts";
import { SPEEDS, type Stage } from "../../player/stage.ts";
import type { InteractionActions } from "./actions.ts";

type IconName = Parameters<typeof icon>[0];

export class Controls {
  readonly element = h("div", { class: "controls", role: "toolbar", ariaLabel: "Playback" });
  private readonly position = h("output", { class: "now" });
  private readonly actions: InteractionActions;

  constructor(actions: InteractionActions) {
    this.actions = actions;
  }

  /** Shows the moment, as text. */
  setPosition(text: string): void {
    if (this.position.textContent !== text) this.position.textContent = text;
  }

  /** Draws the controls; a control that has the focus keeps it. */
  draw(): void {
    const { actions } = this;
    const { stage } = actions;
    this.element.hidden = !stage;
    if (!stage) {
      fill(this.element);
      return;
    }
    const active = document.activeElement;
    const focused = this.element.contains(active) ? active!.getAttribute("title") : null;
    fill(
      this.element,
      h(
        "div",
        { class: "tools" },
        button("previous", "Previous segment", "p", () => actions.goToSegment(-1)),
        button("frame_back", "One frame back", ",", () => stage.step(-1)),
        stage.isPlaying
          ? button("pause", "Pause", "Space", () => actions.togglePlay(), "play")
          : button("play", "Play", "Space", () => actions.togglePlay(), "play"),
        button("frame_forward", "One frame forward", ".", () => stage.step(1)),
        button("next", "Next segment", "n", () => actions.goToSegment(1)),
      ),
      this.position,
      speedChoice(stage),
      trackChoice(stage),
      stage.reels.some((reel) => reel.live) && liveButton(stage),
      h(
        "div",
        { class: "tools end" },
        toggle("follow", "Follow the call", "f", stage.isFollowing, () =>
          stage.isFollowing ? stage.watch(stage.main!) : stage.follow(),
        ),
        toggle(
          "pair",
          "Side by side",
          "b",
          stage.side !== null,
          () => actions.togglePair(),
          stage.reels.length < 2,
        ),
        toggle("skip", "Skip still parts", "s", stage.isSkipping, () => actions.toggleSkipping()),
        button("clip", "Start a clip here", "i", () => actions.markClip("from")),
        button("note", "Add a note at this moment", "m", () => actions.startNote()),
        button("full", "Full screen", "Shift+F", () => actions.toggleFullScreen()),
      ),
    );
    if (focused) this.element.querySelector<HTMLElement>(`[title="${CSS.escape(focused)}"]`)?.focus();
  }
}

function button(name: IconName, label: string, key: string, run: () => void, extra = ""): HTMLElement {
  return h(
    "button",
    { class: `tool ${extra}`, title: `${label} (${key})`, ariaLabel: label, on: { click: run } },
    icon(name),
  );
}

function toggle(
  name: IconName,
  label: string,
  key: string,
  isOn: boolean,
  run: () => void,
  disabled = false,
): HTMLElement {
  return h(
    "button",
    {
      class: "tool word",
      title: `${label} (${key})`,
      disabled,
      aria: { pressed: String(isOn) },
      on: { click: run },
    },
    icon(name),
    h("span", {}, label),
  );
}

function speedChoice(stage: Stage): HTMLElement {
  const speed = h("select", {
    class: "speed",
    ariaLabel: "Speed",
    title: "Speed ([ and ])",
    on: { change: () => stage.setRate(Number(speed.value)) },
  });
  for (const rate of SPEEDS) {
    speed.append(h("option", { value: String(rate), selected: rate === stage.rate }, `${rate}×`));
  }
  return speed;
}

/** Which track of the recording is shown; null if it has only one. */
function trackChoice(stage: Stage): HTMLElement | null {
  const tracks = stage.tracksOf(stage.main);
  if (tracks.length < 2) return null;
  const choice = h("select", {
    class: "track",
    ariaLabel: "Screen",
    title: "Screen of this agent",
    on: { change: () => stage.chooseTrack(Number(choice.value)) },
  });
  for (const reel of tracks) {
    const { track } = stage.reels[reel]!;
    choice.append(h("option", { value: String(reel), selected: reel === stage.main }, track));
  }
  return choice;
}

function liveButton(stage: Stage): HTMLElement {
  return h(
    "button",
    {
      class: "tool word live-edge",
      title: "Go to the live picture (e)",
      aria: { pressed: String(stage.isAtEdge) },
      on: { click: () => stage.toEdge() },
    },
    h("span", {}, ageText(stage.age)),
  );
}

/** The live badge's text: the age of the picture, in whole seconds. */
export function ageText(age: number | null): string {
  return age === null ? "Live" : `Live, ${Math.round(age)} s ago`;
}
