// The keys of an interaction.

import type { Key } from "../../keys.ts";
import type { InteractionActions } from "./actions.ts";

export function interactionKeys(actions: InteractionActions): Key[] {
  const watchLane = (event: KeyboardEvent): void => {
    const lane = actions.layout?.lanes[Number(event.key) - 1];
    if (lane && lane.reel !== null) actions.stage?.watch(lane.reel);
  };
  return [
    ...group("Playback", [
      { keys: [" ", "k"], does: "Play or pause", run: () => actions.togglePlay() },
      { keys: ["ArrowLeft"], does: "5 seconds back", run: () => actions.seekBy(-5000) },
      { keys: ["ArrowRight"], does: "5 seconds forward", run: () => actions.seekBy(5000) },
      { keys: ["j"], does: "10 seconds back", run: () => actions.seekBy(-10_000) },
      { keys: ["l"], does: "10 seconds forward", run: () => actions.seekBy(10_000) },
      { keys: [","], does: "One frame back", run: () => actions.stage?.step(-1) },
      { keys: ["."], does: "One frame forward", run: () => actions.stage?.step(1) },
      { keys: ["["], does: "Slower", run: () => actions.changeSpeed(-1) },
      { keys: ["]"], does: "Faster", run: () => actions.changeSpeed(1) },
      { keys: ["s"], does: "Skip or show still parts", run: () => actions.toggleSkipping() },
      { keys: ["Home", "0"], does: "Go to the start", run: () => actions.stage?.seek(0) },
      { keys: ["End"], does: "Go to the end", run: () => actions.stage?.seek(actions.layout?.length ?? 0) },
      { keys: ["e"], does: "Go to the live picture", run: () => actions.stage?.toEdge() },
    ]),
    ...group("Agents and segments", [
      { keys: ["n", "Shift+ArrowRight"], does: "Next segment", run: () => actions.goToSegment(1) },
      { keys: ["p", "Shift+ArrowLeft"], does: "Previous segment", run: () => actions.goToSegment(-1) },
      { keys: ["f"], does: "Follow the call from agent to agent", run: () => actions.stage?.follow() },
      { keys: ["b"], does: "Show two screens side by side, or one", run: () => actions.togglePair() },
      {
        keys: ["1", "2", "3", "4", "5", "6", "7", "8", "9"],
        shown: ["1", "…", "9"],
        does: "Stay with this agent, whoever has the call",
        run: watchLane,
      },
      {
        keys: ["+", "="],
        shown: ["+"],
        does: "Zoom into the timeline",
        run: () => actions.timeline.zoomBy(1),
      },
      { keys: ["-"], does: "Zoom out of the timeline", run: () => actions.timeline.zoomBy(-1) },
    ]),
    ...group("This moment", [
      { keys: ["m"], does: "Add a note", run: () => actions.startNote() },
      { keys: ["y"], does: "Copy a link", run: () => void actions.copyLink() },
      { keys: ["i"], does: "Start a clip here", run: () => actions.markClip("from") },
      { keys: ["o"], does: "End the clip here", run: () => actions.markClip("to") },
      { keys: ["d"], does: "Download the clip, or everything", run: () => void actions.download() },
    ]),
    ...group("Page", [
      { keys: ["F"], shown: ["⇧ F"], does: "Full screen", run: () => actions.toggleFullScreen() },
      { keys: ["Backspace"], does: "Back to the list", run: () => actions.goBack() },
      { keys: ["?"], does: "Show this help", run: () => {} },
    ]),
  ];
}

const group = (group: string, keys: Omit<Key, "group">[]): Key[] => keys.map((key) => ({ group, ...key }));
