// Beside the screens: what was written about moments, labels, and what is known of the calls.

import { currentSession } from "../../api.ts";
import { fill, h, icon } from "../../dom.ts";
import { capital, duration, moment, words } from "../../format.ts";
import { say } from "../../shell.ts";
import type { Interaction } from "../../types.ts";
import type { InteractionView } from "../interaction.ts";
import type { Layout } from "./layout.ts";

interface Entry {
  at: number;
  element: HTMLElement;
}

/** Stretches that are no news, and those of which one wants to read why. */
const COMMON = ["footage", "still"];
const IN_FULL = ["gap", "missing", "paused", "masked"];

export class Side {
  readonly element = h("aside", { class: "side-panel", ariaLabel: "Notes and details" });
  private readonly moments = h("ol", { class: "moments" });
  private readonly labels = h("div", { class: "labels" });
  private readonly calls = h("div", { class: "calls" });
  private readonly form: HTMLFormElement;
  private readonly text = h("textarea", {
    name: "text",
    rows: 2,
    placeholder: "What happens here?",
    ariaLabel: "Note on this moment",
    maxLength: 2000,
  });
  private readonly when = h("span", { class: "when" });
  private entries: Entry[] = [];
  private readonly view: InteractionView;

  constructor(view: InteractionView) {
    this.view = view;
    this.form = h(
      "form",
      { class: "note-form" },
      this.text,
      h("div", { class: "row" }, this.when, h("button", { type: "submit", class: "main small" }, "Add note")),
    );
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      void this.add();
    });
    this.text.addEventListener("keydown", (event) => {
      if (event.key === "Enter" && !event.shiftKey) {
        event.preventDefault();
        this.form.requestSubmit();
      }
      if (event.key === "Escape") this.text.blur();
    });
    this.element.append(
      h("section", {}, h("h2", {}, "Moments"), this.moments, this.form),
      h("section", {}, h("h2", {}, "Labels"), this.labels),
      h("section", {}, h("h2", {}, "Calls"), this.calls),
    );
  }

  /** Begins a note on what is shown. */
  write(): void {
    this.view.stage?.pause();
    this.text.focus();
  }

  private async add(): Promise<void> {
    const text = this.text.value.trim();
    if (!text) return;
    try {
      await this.view.addNote(text, "");
      this.text.value = "";
      this.text.blur();
    } catch (error) {
      say((error as Error).message, "bad");
    }
  }

  draw(data: Interaction, layout: Layout): void {
    const notes = data.notes.map((note, index): Entry => {
      const { at } = layout.marks[index]!;
      const erase = h(
        "button",
        {
          class: "quiet small",
          ariaLabel: `Remove the note of ${note.author}`,
          on: { click: () => void this.attempt(this.view.removeNote(note.id)) },
        },
        icon("close"),
      );
      return {
        at,
        element: this.entry(
          at,
          "note",
          h("div", { class: "note-text" }, note.label && h("b", {}, note.label), note.text),
          note.author,
          erase,
        ),
      };
    });
    const bars = layout.lanes.flatMap((lane) =>
      [...lane.screen.filter((bar) => !COMMON.includes(bar.kind)), ...lane.segments].map((bar): Entry => {
        const text = IN_FULL.includes(bar.kind) ? `${bar.text}: ${bar.detail}` : bar.text;
        return { at: bar.from, element: this.entry(bar.from, bar.kind, text, lane.name) };
      }),
    );
    this.entries = [...bars, ...notes].sort((a, b) => a.at - b.at);
    // A person who reads it with a screen reader, or is about to click, keeps their place.
    if (!this.moments.contains(document.activeElement))
      fill(this.moments, ...this.entries.map(({ element }) => element));
    if (!this.labels.contains(document.activeElement)) this.drawLabels(data);
    fill(this.calls, ...data.calls.map((call) => this.call(call)));
  }

  private entry(
    at: number,
    kind: string,
    text: Node | string,
    who: string,
    more: Node | null = null,
  ): HTMLElement {
    return h(
      "li",
      { class: `moment ${kind}` },
      h(
        "button",
        { class: "moment-go", on: { click: () => this.view.stage?.seek(Math.max(0, at)) } },
        h("span", { class: "when" }, duration(at)),
        h("span", { class: "what" }, text),
        h("span", { class: "by" }, who),
      ),
      more,
    );
  }

  private drawLabels(data: Interaction): void {
    const input = h("input", {
      name: "label",
      placeholder: "Add a label",
      ariaLabel: "Add a label",
      maxLength: 100,
    });
    const form = h("form", { class: "label-form" }, input);
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      const name = input.value.trim();
      input.blur();
      if (name) void this.attempt(this.view.label(name, true));
    });
    const chip = (label: string): HTMLElement =>
      h(
        "span",
        { class: "chip" },
        label,
        h(
          "button",
          {
            ariaLabel: `Remove the label ${label}`,
            on: {
              click: (event) => (
                (event.currentTarget as HTMLElement).blur(), void this.attempt(this.view.label(label, false))
              ),
            },
          },
          icon("close"),
        ),
      );
    // Agents see labels and set none.
    const mayChange = currentSession()?.role !== "agent";
    const plain = (label: string): HTMLElement => h("span", { class: "chip" }, label);
    fill(
      this.labels,
      ...data.labels.map(mayChange ? chip : plain),
      mayChange && form,
      !mayChange && !data.labels.length && h("span", { class: "by" }, "None"),
    );
  }

  private call(call: Interaction["calls"][number]): HTMLElement {
    const attached = Object.entries(call.attached);
    return h(
      "div",
      { class: "call" },
      h(
        "p",
        {},
        icon(call.direction === "outbound" ? "outbound" : "inbound"),
        h("span", { class: "mono" }, call.call),
        h(
          "span",
          { class: "by" },
          [...new Set([call.direction, call.type])]
            .filter(Boolean)
            .map((text) => words(text!))
            .join(", "),
        ),
      ),
      attached.length > 0 &&
        h("dl", {}, ...attached.map(([key, value]) => h("div", {}, h("dt", {}, key), h("dd", {}, value)))),
      call.held.length > 0 && h("p", { class: "by" }, capital(`${call.held.length} × on hold`)),
    );
  }

  private async attempt(change: Promise<void>): Promise<void> {
    try {
      await change;
    } catch (error) {
      say((error as Error).message, "bad");
    }
  }

  /** Marks the last entry that has begun. */
  move(at: number): void {
    const text = `at ${moment(at)}`;
    if (this.when.textContent !== text) this.when.textContent = text;
    const now = this.entries.findLast((entry) => entry.at <= at + 50);
    for (const entry of this.entries) entry.element.classList.toggle("is-now", entry === now);
  }
}
