// What the keys do on an interaction.

import type { Key } from "../../keys.ts";
import type { InteractionView } from "../interaction.ts";

export function playerKeys(view: InteractionView): Key[] {
  const key = (
    group: string,
    keys: string[],
    does: string,
    run: (event: KeyboardEvent) => void,
    shown?: string[],
  ): Key => (shown ? { group, keys, does, run, shown } : { group, keys, does, run });
  return [
    key("Playback", [" ", "k"], "Play or pause", () => view.toggle()),
    key("Playback", ["ArrowLeft"], "5 seconds back", () => view.by(-5000)),
    key("Playback", ["ArrowRight"], "5 seconds on", () => view.by(5000)),
    key("Playback", ["j"], "10 seconds back", () => view.by(-10_000)),
    key("Playback", ["l"], "10 seconds on", () => view.by(10_000)),
    key("Playback", [","], "One frame back", () => view.stage?.step(-1)),
    key("Playback", ["."], "One frame on", () => view.stage?.step(1)),
    key("Playback", ["["], "Slower", () => view.speed(-1)),
    key("Playback", ["]"], "Faster", () => view.speed(1)),
    key("Playback", ["s"], "Skip still stretches, or not", () => view.skip()),
    key("Playback", ["Home", "0"], "To the beginning", () => view.stage?.seek(0)),
    key("Playback", ["End"], "To the end", () => view.stage?.seek(view.layout?.length ?? 0)),
    key("Playback", ["e"], "To the live picture", () => view.stage?.toEdge()),
    key("Agents and segments", ["n", "Shift+ArrowRight"], "Next segment", () => view.segment(1)),
    key("Agents and segments", ["p", "Shift+ArrowLeft"], "Segment before", () => view.segment(-1)),
    key("Agents and segments", ["f"], "Follow the call from agent to agent", () => view.stage?.follow()),
    key("Agents and segments", ["b"], "Two screens side by side, or one", () => view.pair()),
    key(
      "Agents and segments",
      ["1", "2", "3", "4", "5", "6", "7", "8", "9"],
      "Watch this agent, whoever has the call",
      (event) => {
        const lane = view.layout?.lanes[Number(event.key) - 1];
        if (lane && lane.reel !== null) view.stage?.watch(lane.reel);
      },
      ["1", "…", "9"],
    ),
    key("Agents and segments", ["+", "="], "Look closer at the timeline", () => view.timeline.zoomBy(1), [
      "+",
    ]),
    key("Agents and segments", ["-"], "See more of the timeline", () => view.timeline.zoomBy(-1)),
    key("This moment", ["m"], "Write a note", () => view.write()),
    key("This moment", ["y"], "Copy a link to it", () => void view.copyLink()),
    key("This moment", ["i"], "A clip begins here", () => view.mark("from")),
    key("This moment", ["o"], "The clip ends here", () => view.mark("to")),
    key("This moment", ["d"], "Download the clip, or all of this screen", () => void view.download()),
    key("Page", ["F"], "Full screen", () => view.full(), ["⇧ F"]),
    key("Page", ["Backspace"], "Back to the list", () => view.back()),
    key("Page", ["?"], "This help", () => {}),
  ];
}
