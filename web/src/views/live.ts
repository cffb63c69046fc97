// The agents who are being recorded, asked for every few seconds.

import { get } from "../api.ts";
import { agentNames } from "../agents.ts";
import { fill, h, icon } from "../dom.ts";
import { clock, duration } from "../format.ts";
import { setKeys } from "../keys.ts";
import { href } from "../route.ts";
import type { LiveRecording } from "../types.ts";
import type { View } from "./view.ts";

const REFRESH_MS = 3000;
const CAPTURE_STATES = { live: "Recording", paused: "Paused", masked: "Masked" };

export function open(main: HTMLElement): View {
  document.title = "Live · Deskreel";
  const status = h("p", { class: "list-status", role: "status" });
  const cards = h("ul", { class: "cards" });
  const ended = new AbortController();
  main.append(
    h(
      "div",
      { class: "page-head" },
      h("div", { class: "page-title" }, h("h1", {}, "Live recordings"), status),
    ),
    cards,
  );
  setKeys([{ group: "Page", keys: ["?"], does: "Show this help", run: () => {} }]);

  const refresh = async (): Promise<void> => {
    const names = await agentNames();
    try {
      const answer = await get<{ recordings: LiveRecording[] }>("/live", {}, ended.signal);
      draw(answer.recordings, names);
    } catch (error) {
      if (ended.signal.aborted) return;
      status.textContent = (error as Error).message;
    }
    timer = window.setTimeout(refresh, REFRESH_MS);
  };
  let timer = 0;
  let drawn = "";
  const draw = (recordings: LiveRecording[], names: Map<string, string>): void => {
    const count = recordings.length;
    status.textContent = count ? `${count} ${count === 1 ? "agent is" : "agents are"} being recorded` : "";
    const now = JSON.stringify(recordings);
    if (now !== drawn) {
      const focused = (document.activeElement as HTMLElement | null)?.getAttribute("href");
      fill(cards, ...recordings.map((recording) => card(recording, names)));
      if (!count)
        fill(
          cards,
          h(
            "li",
            { class: "nothing" },
            h("h2", {}, "Nobody is being recorded"),
            h("p", {}, "Recordings appear here as soon as they start."),
          ),
        );
      if (focused) cards.querySelector<HTMLElement>(`[href="${CSS.escape(focused)}"]`)?.focus();
    }
    drawn = now;
    for (const element of cards.querySelectorAll<HTMLElement>("[data-since]")) {
      element.textContent = duration(Date.now() - Number(element.dataset["since"]));
    }
  };
  void refresh();
  return {
    end() {
      ended.abort();
      clearTimeout(timer);
      setKeys([]);
    },
  };
}

function card(recording: LiveRecording, names: Map<string, string>): HTMLElement {
  const { agent, started } = recording;
  const name = agent === null ? (recording.place ?? recording.recording) : (names.get(agent) ?? agent);
  const inner = [
    h(
      "span",
      { class: `card-state ${recording.capture}` },
      h("i", { class: "dot", aria: { hidden: "true" } }),
      CAPTURE_STATES[recording.capture] ?? "Recording",
    ),
    h("strong", {}, name),
    h("span", { class: "by" }, recording.place ?? ""),
    started !== null &&
      h(
        "span",
        { class: "card-time" },
        h(
          "span",
          { data: { since: String(Date.parse(started)) } },
          duration(Date.now() - Date.parse(started)),
        ),
        h("span", { class: "by" }, `since ${clock(started)}`),
      ),
  ];
  const { interaction } = recording;
  const address =
    interaction === null
      ? href("recording", recording.recording)
      : href("interaction", interaction, agent === null ? {} : { agent });
  return h(
    "li",
    { class: "card" },
    h(
      "a",
      { class: "card-inner", href: address },
      ...inner,
      h("span", { class: "card-go" }, icon("play"), "Watch live"),
    ),
  );
}
