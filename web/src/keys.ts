// Keyboard shortcuts. Each view sets its keys, and `?` lists exactly those. Single-character keys can be
// turned off, for people who speak to their computer (WCAG 2.1.4).

import { fill, h, icon } from "./dom.ts";

export interface Key {
  /** KeyboardEvent.key, or with Shift as in `Shift+ArrowLeft`. */
  keys: string[];
  /** The keys as the help shows them, if not `keys`. */
  shown?: string[];
  does: string;
  group: string;
  run: (event: KeyboardEvent) => void;
}

const STORAGE_KEY = "single-keys";
let keys: Key[] = [];

export function setKeys(now: Key[]): void {
  keys = now;
}

const singleKeysAreOn = (): boolean => localStorage.getItem(STORAGE_KEY) !== "off";

export function listenForKeys(): void {
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
    if (document.querySelector("dialog[open]") || belongsToElement(event)) return;
    if (event.key.length === 1 && event.key !== "?" && !singleKeysAreOn()) return;
    if (event.key === "?") {
      event.preventDefault();
      showKeys();
      return;
    }
    const name = event.shiftKey && event.key.length > 1 ? `Shift+${event.key}` : event.key;
    const key = keys.find((key) => key.keys.includes(name) || key.keys.includes(name.toLowerCase()));
    if (!key) return;
    event.preventDefault();
    key.run(event);
  });
}

/** Whether the focused element uses the key itself. */
function belongsToElement(event: KeyboardEvent): boolean {
  const on = event.target as HTMLElement;
  if (on.closest("input:not([type=checkbox]):not([type=range]), textarea, select")) return true;
  if (event.key === " " || event.key === "Enter") return on.closest("button, a, summary, input") !== null;
  return on.closest("[role=slider]") !== null && /^(Arrow|Home|End|Page)/.test(event.key) && !event.shiftKey;
}

export function showKeys(): void {
  const groups = [...new Set(keys.map((key) => key.group))];
  const dialog = h("dialog", { class: "sheet keys", aria: { labelledby: "keys-title" } });
  const toggle = h("input", {
    type: "checkbox",
    checked: singleKeysAreOn(),
    on: { change: () => localStorage.setItem(STORAGE_KEY, toggle.checked ? "on" : "off") },
  });
  fill(
    dialog,
    h(
      "header",
      { class: "sheet-head" },
      h("h2", { id: "keys-title" }, "Keyboard shortcuts"),
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
              .map((key) => h("div", {}, h("dt", {}, ...keyCaps(key)), h("dd", {}, key.does))),
          ),
        ),
      ),
    ),
    h("label", { class: "check" }, toggle, "Single-character shortcuts are on"),
  );
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
}

const KEY_CAPS: Record<string, string> = {
  " ": "Space",
  ArrowLeft: "←",
  ArrowRight: "→",
  ArrowUp: "↑",
  ArrowDown: "↓",
  "Shift+ArrowLeft": "⇧ ←",
  "Shift+ArrowRight": "⇧ →",
};

const keyCaps = (key: Key): Node[] =>
  (key.shown ?? key.keys).map((name) => h("kbd", {}, KEY_CAPS[name] ?? name));
