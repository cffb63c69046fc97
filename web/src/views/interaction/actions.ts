// The actions of an interaction view, for its head, its controls, its keys and its side panel.

import type { Stage } from "../../player/stage.ts";
import type { Timeline } from "../../timeline.ts";
import type { Layout } from "./layout.ts";

export interface InteractionActions {
  /** Null while nothing is loaded, and if there is no footage. */
  readonly stage: Stage | null;
  /** Null while nothing is loaded. */
  readonly layout: Layout | null;
  readonly timeline: Timeline;
  togglePlay(): void;
  seekBy(ms: number): void;
  /** Seeks to the segment that starts before or after the moment that is shown. */
  goToSegment(direction: 1 | -1): void;
  togglePair(): void;
  toggleSkipping(): void;
  changeSpeed(steps: 1 | -1): void;
  markClip(edge: "from" | "to"): void;
  copyLink(): Promise<void>;
  download(): Promise<void>;
  /** Starts a note on the moment that is shown. */
  startNote(): void;
  toggleFullScreen(): void;
  goBack(): void;
  addNote(text: string): Promise<void>;
  removeNote(id: string): Promise<void>;
  addLabel(label: string): Promise<void>;
  removeLabel(label: string): Promise<void>;
}
