// The filters of the list. What is set is in the address and nowhere else, so that a list can be sent to a colleague.

import { get } from "../../api.ts";
import { fill, h, icon } from "../../dom.ts";
import { parseDuration } from "../../format.ts";
import type { Group } from "../../types.ts";

interface Field {
  name: string;
  title: string;
  input: HTMLInputElement | HTMLSelectElement;
  /** Shown without asking for more. */
  first: boolean;
}

const MEDIA = ["voice", "chat", "email"];
const ROLES: [string, string][] = [
  ["primary", "Call"],
  ["consult", "Consult"],
  ["conference", "Conference"],
  ["after_call_work", "Wrap-up"],
  ["digital", "Digital"],
];

export class Filters {
  readonly element: HTMLElement;
  private readonly fields: Field[];
  private readonly chips = h("div", { class: "filter-chips" });
  private readonly agents = h("datalist", { id: "agents" });
  private readonly groups = h("datalist", { id: "groups" });
  private readonly more = h("div", { class: "filter-row more-filters", hidden: true });
  private readonly open = h(
    "button",
    {
      type: "button",
      class: "plain small",
      aria: { expanded: "false" },
      on: { click: () => this.unfold(this.more.hidden === true) },
    },
    "More filters",
  );
  private query = new URLSearchParams();
  private readonly changed: (query: URLSearchParams) => void;

  constructor(query: URLSearchParams, changed: (query: URLSearchParams) => void) {
    this.changed = changed;
    const text = (
      name: string,
      title: string,
      first: boolean,
      more: { type?: string; placeholder?: string; pattern?: string; spellcheck?: boolean } = {},
      list = "",
    ): Field => {
      const input = h("input", { name, autocomplete: "off", ...more });
      if (list) input.setAttribute("list", list);
      return { name, title, input, first };
    };
    const choice = (name: string, title: string, options: [string, string][]): Field => ({
      name,
      title,
      first: false,
      input: h(
        "select",
        { name },
        h("option", { value: "" }, "Any"),
        ...options.map(([value, label]) => h("option", { value }, label)),
      ),
    });
    const own = (names: string[]): [string, string][] =>
      names.map((name) => [name, name.charAt(0).toUpperCase() + name.slice(1)]);
    this.fields = [
      text("agent", "Agent", true, {}, "agents"),
      text("call", "Call", true, { spellcheck: false }),
      text("label", "Label", true),
      text("from", "From", true, { type: "date" }),
      text("to", "To", true, { type: "date" }),
      text("group", "Group", false, {}, "groups"),
      choice("media", "Media", own(MEDIA)),
      choice("direction", "Direction", own(["inbound", "outbound", "internal"])),
      choice("role", "Segment", ROLES),
      text("attached", "Attached data", false, { placeholder: "key=value", spellcheck: false }),
      text("tag", "Tag", false, { placeholder: "name or name=value", spellcheck: false }),
      text("min", "At least", false, { placeholder: "m:ss", pattern: "\\d+(:\\d{1,2}){0,2}" }),
      text("max", "At most", false, { placeholder: "m:ss", pattern: "\\d+(:\\d{1,2}){0,2}" }),
    ];
    const label = ({ title, input }: Field): HTMLElement =>
      h("label", { class: "filter" }, h("span", {}, title), input);
    this.more.append(...this.fields.filter((field) => !field.first).map(label));
    const form = h(
      "form",
      { class: "filters", role: "search", ariaLabel: "Filters" },
      h(
        "div",
        { class: "filter-row" },
        ...this.fields.filter((field) => field.first).map(label),
        h("button", { type: "submit", class: "main small" }, icon("search"), "Find"),
        this.open,
      ),
      this.more,
      this.agents,
      this.groups,
    );
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.changed(this.written());
    });
    // A choice has no Enter of its own.
    form.addEventListener("change", (event) => {
      const on = event.target as HTMLInputElement;
      if (on instanceof HTMLSelectElement || on.type === "date") this.changed(this.written());
    });
    this.element = h("div", { class: "filter-bar" }, form, this.chips);
    this.set(query);
    void get<{ groups: Group[] }>("/groups")
      .then(({ groups }) => fill(this.groups, ...groups.map(({ group }) => h("option", { value: group }))))
      .catch(() => {});
  }

  get isSet(): boolean {
    return [...this.query].length > 0;
  }

  focus(): void {
    this.fields[0]!.input.focus();
  }

  /** Agents to choose from. */
  offer(known: Map<string, string>): void {
    fill(this.agents, ...[...known].map(([id, name]) => h("option", { value: id }, name)));
  }

  set(query: URLSearchParams): void {
    this.query = query;
    for (const { name, input } of this.fields) input.value = query.get(name) ?? "";
    const set = this.fields.filter(({ name }) => query.get(name));
    if (set.some((field) => !field.first)) this.unfold(true);
    fill(
      this.chips,
      ...set.map(({ name, title }) =>
        h(
          "span",
          { class: "chip" },
          `${title}: ${query.get(name)}`,
          h(
            "button",
            {
              ariaLabel: `Take the filter ${title} off`,
              on: { click: () => this.changed(without(query, name)) },
            },
            icon("close"),
          ),
        ),
      ),
    );
    this.chips.hidden = set.length === 0;
  }

  private unfold(isOpen: boolean): void {
    this.more.hidden = !isOpen;
    this.open.setAttribute("aria-expanded", String(isOpen));
  }

  private written(): URLSearchParams {
    const query = new URLSearchParams();
    for (const { name, input } of this.fields) if (input.value.trim()) query.set(name, input.value.trim());
    return query;
  }

  /** As the API wants it. Days are those of this time zone. */
  asked(): Record<string, string | undefined> {
    const value = (name: string): string | undefined => this.query.get(name) ?? undefined;
    const asked: Record<string, string | undefined> = {};
    for (const name of ["agent", "call", "label", "group", "media", "direction", "role", "tag"])
      asked[name] = value(name);
    const midnight = (text: string | undefined, days: number): string | undefined => {
      if (!text) return undefined;
      const date = new Date(`${text}T00:00:00`);
      if (Number.isNaN(date.getTime())) return undefined;
      date.setDate(date.getDate() + days);
      return date.toISOString();
    };
    asked["from"] = midnight(value("from"), 0);
    asked["to"] = midnight(value("to"), 1);
    const [key, ...rest] = (value("attached") ?? "").split("=");
    if (key) asked[`attached.${key}`] = rest.join("=");
    for (const name of ["min", "max"]) {
      const ms = parseDuration(value(name) ?? "");
      if (ms !== null) asked[`${name}_ms`] = String(ms);
    }
    return asked;
  }
}

function without(query: URLSearchParams, name: string): URLSearchParams {
  const rest = new URLSearchParams(query);
  rest.delete(name);
  return rest;
}
