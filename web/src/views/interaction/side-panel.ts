// The panel beside the screens: moments and notes, labels, and the calls with their attached data.

import { currentSession } from "../../api.ts";
import { fill, h, icon } from "../../dom.ts";
import { duration, moment, words } from "../../format.ts";
import { notify } from "../../shell.ts";
import type { Interaction } from "../../types.ts";
import type { InteractionActions } from "./actions.ts";
import type { Layout } from "./layout.ts";

interface MomentEntry {
  at: number;
  element: HTMLElement;
}

/** Kinds of stretches that are not listed. */
const UNLISTED = ["footage", "still"];
/** Kinds of stretches that are listed with their reason. */
const WITH_REASON = ["gap", "missing", "paused", "masked"];

export class SidePanel {
  readonly element = h("aside", { class: "side-panel", ariaLabel: "Notes and details" });
  private readonly moments = h("ol", { class: "moments" });
  private readonly labels = h("div", { class: "labels" });
  private readonly calls = h("div", { class: "calls" });
  private readonly form: HTMLFormElement;
  private readonly text = h("textarea", {
    name: "text",
    rows: 2,
    placeholder: "What is happening here?",
    ariaLabel: "Note on this moment",
    maxLength: 2000,
  });
  private readonly noteMoment = h("span", { class: "when" });
  private entries: MomentEntry[] = [];
  private readonly actions: InteractionActions;

  constructor(actions: InteractionActions) {
    this.actions = actions;
    this.form = h(
      "form",
      { class: "note-form" },
      this.text,
      h(
        "div",
        { class: "row" },
        this.noteMoment,
        h("button", { type: "submit", class: "main small" }, "Add note"),
      ),
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

  /** Pauses and starts a note on the moment that is shown. */
  startNote(): void {
    this.actions.stage?.pause();
    this.text.focus();
  }

  private async add(): Promise<void> {
    const text = this.text.value.trim();
    if (!text) return;
    try {
      await this.actions.addNote(text);
      this.text.value = "";
      this.text.blur();
    } catch (error) {
      notify((error as Error).message, "bad");
    }
  }

  draw(data: Interaction, layout: Layout): void {
    const notes = data.notes.map((note, index): MomentEntry => {
      const { at } = layout.marks[index]!;
      const erase = h(
        "button",
        {
          class: "quiet small",
          ariaLabel: `Remove the note by ${note.author}`,
          on: { click: () => void this.attempt(this.actions.removeNote(note.id)) },
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
      [...lane.screen.filter((bar) => !UNLISTED.includes(bar.kind)), ...lane.segments].map(
        (bar): MomentEntry => {
          const text = WITH_REASON.includes(bar.kind) ? `${bar.text}: ${bar.detail}` : bar.text;
          return { at: bar.from, element: this.entry(bar.from, bar.kind, text, lane.name) };
        },
      ),
    );
    this.entries = [...bars, ...notes].sort((a, b) => a.at - b.at);
    // While the focus is in a list it is not redrawn, so that the user keeps their place.
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
        { class: "moment-go", on: { click: () => this.actions.stage?.seek(Math.max(0, at)) } },
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
      const label = input.value.trim();
      input.blur();
      if (label) void this.attempt(this.actions.addLabel(label));
    });
    const chip = (label: string): HTMLElement =>
      h(
        "span",
        { class: "chip" },
        label,
        h(
          "button",
          {
            ariaLabel: `Remove label ${label}`,
            on: {
              click: (event) => (
                (event.currentTarget as HTMLElement).blur(),
                void this.attempt(this.actions.removeLabel(label))
              ),
            },
          },
          icon("close"),
        ),
      );
    // Agents see labels and cannot change them.
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
      call.held.length > 0 && h("p", { class: "by" }, `${call.held.length} × on hold`),
    );
  }

  private async attempt(change: Promise<void>): Promise<void> {
    try {
      await change;
    } catch (error) {
      notify((error as Error).message, "bad");
    }
  }

  /** Marks the last entry that has started at this moment. */
  move(at: number): void {
    const text = `at ${moment(at)}`;
    if (this.noteMoment.textContent !== text) this.noteMoment.textContent = text;
    const now = this.entries.findLast((entry) => entry.at <= at + 50);
    for (const entry of this.entries) entry.element.classList.toggle("is-now", entry === now);
  }
}
