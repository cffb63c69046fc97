// What a deck shows in place of the picture when it cannot play, with the ways out.

import { fill, h } from "../dom.ts";

export interface Trouble {
  text: string;
  /** The recording as a file. */
  download?: string;
  retry?: () => void;
}

export function drawTrouble(element: HTMLElement, trouble: Trouble | null): void {
  fill(
    element,
    trouble?.text,
    trouble?.download && h("a", { class: "way", href: trouble.download, download: "" }, "Download"),
    trouble?.retry && h("button", { class: "way", on: { click: trouble.retry } }, "Try again"),
  );
}
