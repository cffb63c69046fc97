// Keys. Each view says which keys it has, and `?` shows exactly those. Keys of one character can be turned off, for people who
// speak to their computer (WCAG 2.1.4).

import { fill, h, icon } from "./dom.ts";

export interface Key {
  /** As in KeyboardEvent.key, or `Shift+ArrowLeft`. */
  keys: string[];
  /** What is shown, where it differs. */
  shown?: string[];
  does: string;
  group: string;
  run: (event: KeyboardEvent) => void;
}

const STORED = "single-keys";
let keys: Key[] = [];

export function setKeys(now: Key[]): void {
  keys = now;
}

const areOn = (): boolean => localStorage.getItem(STORED) !== "off";

export function listen(): void {
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
    if (document.querySelector("dialog[open]") || isTyping(event)) return;
    if (event.key.length === 1 && event.key !== "?" && !areOn()) return;
    if (event.key === "?") {
      event.preventDefault();
      show();
      return;
    }
    const name = event.shiftKey && event.key.length > 1 ? `Shift+${event.key}` : event.key;
    const key = keys.find((key) => key.keys.includes(name) || key.keys.includes(name.toLowerCase()));
    if (!key) return;
    event.preventDefault();
    key.run(event);
  });
}

/** Where a key has a meaning of its own. */
function isTyping(event: KeyboardEvent): boolean {
  const on = event.target as HTMLElement;
  if (on.closest("input:not([type=checkbox]):not([type=range]), textarea, select")) return true;
  if (event.key === " " || event.key === "Enter") return on.closest("button, a, summary, input") !== null;
  return on.closest("[role=slider]") !== null && /^(Arrow|Home|End|Page)/.test(event.key) && !event.shiftKey;
}

export function show(): void {
  const groups = [...new Set(keys.map((key) => key.group))];
  const dialog = h("dialog", { class: "sheet keys", aria: { labelledby: "keys-title" } });
  const toggle = h("input", {
    type: "checkbox",
    checked: areOn(),
    on: { change: () => localStorage.setItem(STORED, toggle.checked ? "on" : "off") },
  });
  fill(
    dialog,
    h(
      "header",
      { class: "sheet-head" },
      h("h2", { id: "keys-title" }, "Keyboard"),
      h("button", { class: "quiet", ariaLabel: "Close", on: { click: () => dialog.close() } }, icon("close")),
    ),
    h(
      "div",
      { class: "key-groups" },
      ...groups.map((group) =>
        h(
          "section",
          {},
          h("h3", {}, group),
          h(
            "dl",
            {},
            ...keys
              .filter((key) => key.group === group)
              .map((key) => h("div", {}, h("dt", {}, ...caps(key)), h("dd", {}, key.does))),
          ),
        ),
      ),
    ),
    h("label", { class: "check" }, toggle, "Keys of one character are on"),
  );
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
}

const NAMES: Record<string, string> = {
  " ": "Space",
  ArrowLeft: "←",
  ArrowRight: "→",
  ArrowUp: "↑",
  ArrowDown: "↓",
  "Shift+ArrowLeft": "⇧ ←",
  "Shift+ArrowRight": "⇧ →",
};

const caps = (key: Key): Node[] => (key.shown ?? key.keys).map((name) => h("kbd", {}, NAMES[name] ?? name));
