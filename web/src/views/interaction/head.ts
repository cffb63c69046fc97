// The head of an interaction: its agents, its facts, and the ways out: back, copy the link, download.

import { currentSession } from "../../api.ts";
import { fill, h, icon } from "../../dom.ts";
import { clock, day, duration, words } from "../../format.ts";
import type { Interaction } from "../../types.ts";
import type { InteractionActions } from "./actions.ts";
import { ageText } from "./controls.ts";
import type { Layout } from "./layout.ts";

export function drawHead(
  head: HTMLElement,
  data: Interaction,
  layout: Layout,
  canDownload: boolean,
  actions: InteractionActions,
): void {
  const back = h(
    "button",
    {
      class: "quiet",
      ariaLabel: "Back to the list",
      title: "Back (Backspace)",
      on: { click: () => actions.goBack() },
    },
    icon("left"),
  );
  const kind = [data.direction, data.media].filter(Boolean).map((text) => words(text!));
  const facts = h(
    "p",
    { class: "facts" },
    data.live && h("span", { class: "live-badge" }, ageText(actions.stage?.age ?? null)),
    h("span", {}, `${day(data.started)}, ${clock(data.started)}`),
    h("span", {}, duration(layout.length)),
    h("span", {}, kind.join(" ")),
    h("span", { class: "mono" }, data.interaction),
  );
  const copyLink = h(
    "button",
    {
      class: "plain",
      title: "Copy a link to this moment (y)",
      on: { click: () => void actions.copyLink() },
    },
    icon("link"),
    h("span", {}, "Copy link"),
  );
  const download = h(
    "button",
    {
      class: "plain",
      title: "Download the marked clip, or all of the call or of the screen you chose (d)",
      on: { click: () => void actions.download() },
    },
    icon("download"),
    h("span", { class: "download-text" }, "Download"),
  );
  const title = h(
    "div",
    { class: "page-title" },
    h("h1", {}, layout.agents.join(" → ") || data.interaction),
    facts,
  );
  fill(head, back, title, copyLink, canDownload && download);
  if (currentSession()?.role === "agent") {
    head.append(
      h(
        "p",
        { class: "notice-own" },
        "Your screen was recorded during this interaction. You see only your own recordings.",
      ),
    );
  }
}
