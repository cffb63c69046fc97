// The filters of the list. Their values are in the address only, so that a list can be sent to a colleague.

import { get } from "../../api.ts";
import { fill, h, icon } from "../../dom.ts";
import { capital, parseDuration, SEGMENT_ROLES } from "../../format.ts";
import type { Group } from "../../types.ts";

interface Field {
  name: string;
  title: string;
  input: HTMLInputElement | HTMLSelectElement;
  /** Shown at once, not among "More filters". */
  isBasic: boolean;
}

const MEDIA = ["voice", "chat", "email"];

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
      isBasic: boolean,
      more: { type?: string; placeholder?: string; pattern?: string; spellcheck?: boolean } = {},
      list = "",
    ): Field => {
      const input = h("input", { name, autocomplete: "off", ...more });
      if (list) input.setAttribute("list", list);
      return { name, title, input, isBasic };
    };
    const choice = (name: string, title: string, options: [string, string][]): Field => ({
      name,
      title,
      isBasic: false,
      input: h(
        "select",
        { name },
        h("option", { value: "" }, "Any"),
        ...options.map(([value, label]) => h("option", { value }, label)),
      ),
    });
    const capitalized = (names: string[]): [string, string][] => names.map((name) => [name, capital(name)]);
    this.fields = [
      text("agent", "Agent", true, {}, "agents"),
      text("call", "Call", true, { spellcheck: false }),
      text("label", "Label", true),
      text("from", "From", true, { type: "date" }),
      text("to", "To", true, { type: "date" }),
      text("group", "Group", false, {}, "groups"),
      choice("media", "Media", capitalized(MEDIA)),
      choice("direction", "Direction", capitalized(["inbound", "outbound", "internal"])),
      choice("role", "Segment", Object.entries(SEGMENT_ROLES)),
      text("attached", "Attached data", false, { placeholder: "key=value", spellcheck: false }),
      text("tag", "Tag", false, { placeholder: "name or name=value", spellcheck: false }),
      text("min", "Shortest", false, { placeholder: "m:ss", pattern: "\\d+(:\\d{1,2}){0,2}" }),
      text("max", "Longest", false, { placeholder: "m:ss", pattern: "\\d+(:\\d{1,2}){0,2}" }),
    ];
    const label = ({ title, input }: Field): HTMLElement =>
      h("label", { class: "filter" }, h("span", {}, title), input);
    this.more.append(...this.fields.filter((field) => !field.isBasic).map(label));
    const form = h(
      "form",
      { class: "filters", role: "search", ariaLabel: "Filters" },
      h(
        "div",
        { class: "filter-row" },
        ...this.fields.filter((field) => field.isBasic).map(label),
        h("button", { type: "submit", class: "main small" }, icon("search"), "Find"),
        this.open,
      ),
      this.more,
      this.agents,
      this.groups,
    );
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.changed(this.readFields());
    });
    // Selects and dates apply at once: Enter does not submit them.
    form.addEventListener("change", (event) => {
      const on = event.target as HTMLInputElement;
      if (on instanceof HTMLSelectElement || on.type === "date") this.changed(this.readFields());
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

  /** Offers these agents in the agent field. */
  suggestAgents(names: Map<string, string>): void {
    fill(this.agents, ...[...names].map(([id, name]) => h("option", { value: id }, name)));
  }

  set(query: URLSearchParams): void {
    this.query = query;
    for (const { name, input } of this.fields) input.value = query.get(name) ?? "";
    const set = this.fields.filter(({ name }) => query.get(name));
    if (set.some((field) => !field.isBasic)) this.unfold(true);
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
              ariaLabel: `Remove filter ${title}`,
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

  private readFields(): URLSearchParams {
    const query = new URLSearchParams();
    for (const { name, input } of this.fields) if (input.value.trim()) query.set(name, input.value.trim());
    return query;
  }

  /** Returns the query for the API. Days are those of the browser's time zone. */
  apiQuery(): Record<string, string | undefined> {
    const value = (name: string): string | undefined => this.query.get(name) ?? undefined;
    const query: Record<string, string | undefined> = {};
    for (const name of ["agent", "call", "label", "group", "media", "direction", "role", "tag"])
      query[name] = value(name);
    const midnight = (text: string | undefined, days: number): string | undefined => {
      if (!text) return undefined;
      const date = new Date(`${text}T00:00:00`);
      if (Number.isNaN(date.getTime())) return undefined;
      date.setDate(date.getDate() + days);
      return date.toISOString();
    };
    query["from"] = midnight(value("from"), 0);
    query["to"] = midnight(value("to"), 1);
    const [key, ...rest] = (value("attached") ?? "").split("=");
    if (key) query[`attached.${key}`] = rest.join("=");
    for (const name of ["min", "max"]) {
      const ms = parseDuration(value(name) ?? "");
      if (ms !== null) query[`${name}_ms`] = String(ms);
    }
    return query;
  }
}

function without(query: URLSearchParams, name: string): URLSearchParams {
  const rest = new URLSearchParams(query);
  rest.delete(name);
  return rest;
}
