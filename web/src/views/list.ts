// The list of interactions. The filters are in the address. Only the visible rows are in the page, so that a
// hundred thousand interactions cost no more than thirty.

import { get, type Problem } from "../api.ts";
import { agentNames } from "../agents.ts";
import { fill, h, icon } from "../dom.ts";
import { clock, day, duration } from "../format.ts";
import { setKeys } from "../keys.ts";
import { href, type Route } from "../route.ts";
import type { Page, Summary } from "../types.ts";
import { Filters } from "./list/filters.ts";
import type { View } from "./view.ts";

/** Rows per request: few at first, to show them soon; more later, to send fewer requests. */
const FIRST_PAGE = 100;
const NEXT_PAGE = 500;
/** Rows above and below the visible ones. */
const MARGIN = 12;

export function open(main: HTMLElement, route: Route): View {
  return new ListView(main, route);
}

class ListView implements View {
  private rows: Summary[] = [];
  private next: string | null = null;
  private isLoading = false;
  private selected = -1;
  private names = new Map<string, string>();
  private request = new AbortController();
  private shownKey = "";
  private readonly filters: Filters;
  private readonly status = h("p", { class: "list-status", role: "status" });
  private readonly body = h("div", { class: "list-rows", role: "rowgroup" });
  private readonly scroller: HTMLElement;
  private readonly table: HTMLElement;
  private rowHeight = 44;

  constructor(main: HTMLElement, route: Route) {
    document.title = "Interactions · Deskreel";
    this.filters = new Filters(route.query, (query) => (location.hash = href("interactions", "", query)));
    const column = (name: string, title: string): HTMLElement =>
      h("span", { class: `c-${name}`, role: "columnheader" }, title);
    this.table = h(
      "div",
      { class: "list", role: "table", ariaLabel: "Interactions", aria: { rowcount: "-1" } },
      h(
        "div",
        { role: "rowgroup", class: "list-head" },
        h(
          "div",
          { role: "row", class: "list-row" },
          column("when", "Started"),
          column("agents", "Agents"),
          column("call", "Call"),
          column("media", "Kind"),
          column("labels", "Labels"),
          column("footage", "Screen"),
          column("length", "Length"),
        ),
      ),
      this.body,
    );
    this.scroller = h("div", { class: "list-scroll" }, this.table);
    main.append(
      h("h1", { class: "off-screen" }, "Interactions"),
      this.filters.element,
      this.status,
      this.scroller,
    );
    this.scroller.addEventListener("scroll", () => this.draw(), { passive: true });
    this.resized.observe(this.scroller);
    this.setListKeys();
    void agentNames().then((names) => {
      this.names = names;
      this.shownKey = "";
      this.filters.suggestAgents(names);
      this.draw();
    });
    void this.load(true);
  }

  private readonly resized = new ResizeObserver(() => {
    this.rowHeight = parseFloat(getComputedStyle(this.table).getPropertyValue("--row")) || 44;
    this.shownKey = "";
    this.draw();
  });

  private async load(isNewSearch: boolean): Promise<void> {
    if (isNewSearch) {
      this.request.abort();
      this.request = new AbortController();
      [this.rows, this.next, this.selected, this.shownKey] = [[], null, -1, ""];
      this.scroller.scrollTop = 0;
    } else if (this.isLoading || this.next === null) return;
    const { signal } = this.request;
    this.isLoading = true;
    if (isNewSearch) this.status.textContent = "Searching…";
    try {
      const query = {
        ...this.filters.apiQuery(),
        limit: String(isNewSearch ? FIRST_PAGE : NEXT_PAGE),
        cursor: this.next ?? undefined,
      };
      const page = await get<Page>("/interactions", query, signal);
      this.rows.push(...page.interactions);
      this.next = page.next;
      const count = this.rows.length.toLocaleString();
      this.status.textContent = this.rows.length
        ? `${count}${this.next ? "+" : ""} ${this.rows.length === 1 ? "interaction" : "interactions"}, newest first`
        : "";
    } catch (error) {
      if (signal.aborted) return;
      this.status.textContent = (error as Problem).message;
    } finally {
      if (!signal.aborted) this.isLoading = false;
    }
    if (!this.rows.length)
      fill(
        this.body,
        h(
          "div",
          { class: "nothing", role: "row" },
          h(
            "div",
            { role: "cell" },
            h("h2", {}, "No interactions found"),
            h(
              "p",
              {},
              this.filters.isSet
                ? "No interaction matches these filters."
                : "There are no interactions yet. They appear here as soon as calls are recorded.",
            ),
          ),
        ),
      );
    this.draw();
  }

  private draw(): void {
    const { scrollTop, clientHeight } = this.scroller;
    const first = Math.max(0, Math.floor(scrollTop / this.rowHeight) - MARGIN);
    const last = Math.min(this.rows.length, Math.ceil((scrollTop + clientHeight) / this.rowHeight) + MARGIN);
    if (last >= this.rows.length - MARGIN) void this.load(false);
    const key = `${first}-${last}-${this.selected}`;
    if (key === this.shownKey || !this.rows.length) return;
    this.shownKey = key;
    const focused = this.body.contains(document.activeElement)
      ? (document.activeElement as HTMLElement).dataset["id"]
      : undefined;
    this.body.style.height = `${this.rows.length * this.rowHeight}px`;
    fill(this.body, ...this.rows.slice(first, last).map((row, index) => this.row(row, first + index)));
    if (focused)
      this.body
        .querySelector<HTMLElement>(`[data-id="${CSS.escape(focused)}"]`)
        ?.focus({ preventScroll: true });
  }

  private row(row: Summary, index: number): HTMLElement {
    const agents = row.agents.map((agent) => this.names.get(agent) ?? agent);
    const kind = row.media === "voice" ? (row.direction === "outbound" ? "outbound" : "inbound") : "chat";
    const footage = {
      all: "Recorded",
      some: `In part: ${duration(row.coverage.missing_ms + row.coverage.on_its_way_ms)} missing`,
      on_its_way: "On its way",
      none: "None",
    }[row.has_footage];
    const cell = (name: string, ...children: Parameters<typeof h>[2][]): HTMLElement =>
      h("span", { class: `c-${name}`, role: "cell" }, ...children);
    const element = h(
      "div",
      {
        class: `list-row${index === this.selected ? " is-selected" : ""}`,
        role: "row",
        aria: { rowindex: String(index + 2) },
      },
      cell(
        "when",
        h(
          "a",
          {
            href: href("interaction", row.interaction),
            data: { id: row.interaction },
            on: { focus: () => (this.selected = index) },
          },
          h("span", { class: "day" }, day(row.started)),
          " ",
          h("span", { class: "time" }, clock(row.started)),
        ),
      ),
      cell("agents", agents.join(" → ")),
      cell(
        "call",
        h("span", { class: "mono" }, row.calls[0] ?? row.interaction),
        row.calls.length > 1 && h("span", { class: "more" }, ` +${row.calls.length - 1}`),
      ),
      cell(
        "media",
        icon(kind),
        h("span", {}, row.media === "voice" ? (row.direction ?? "voice") : row.media),
      ),
      cell(
        "labels",
        row.held && h("span", { class: "chip hold-chip", title: "Legal hold" }, icon("lock"), "hold"),
        ...row.labels.map((label) => h("span", { class: "chip" }, label)),
      ),
      cell(
        "footage",
        row.live
          ? h("span", { class: "live-badge" }, "Live")
          : h("span", { class: `footage-${row.has_footage}` }, footage),
      ),
      cell("length", row.duration_ms === null ? "–" : duration(row.duration_ms)),
    );
    element.style.transform = `translateY(${index * this.rowHeight}px)`;
    return element;
  }

  private select(index: number): void {
    if (!this.rows.length) return;
    this.selected = Math.min(this.rows.length - 1, Math.max(0, index));
    const top = this.selected * this.rowHeight;
    const { scrollTop, clientHeight } = this.scroller;
    if (top < scrollTop) this.scroller.scrollTop = top;
    if (top + 2 * this.rowHeight > scrollTop + clientHeight)
      this.scroller.scrollTop = top + 2 * this.rowHeight - clientHeight;
    this.draw();
    this.body
      .querySelector<HTMLElement>(`[data-id="${CSS.escape(this.rows[this.selected]!.interaction)}"]`)
      ?.focus({ preventScroll: true });
  }

  private setListKeys(): void {
    const screen = (): number => Math.max(1, Math.floor(this.scroller.clientHeight / this.rowHeight) - 2);
    const group = "List";
    setKeys([
      {
        group,
        keys: ["ArrowDown", "j"],
        does: "Next interaction",
        run: () => this.select(this.selected + 1),
      },
      {
        group,
        keys: ["ArrowUp", "k"],
        does: "Previous interaction",
        run: () => this.select(this.selected - 1),
      },
      { group, keys: ["PageDown"], does: "Next page", run: () => this.select(this.selected + screen()) },
      { group, keys: ["PageUp"], does: "Previous page", run: () => this.select(this.selected - screen()) },
      { group, keys: ["Home"], does: "Newest", run: () => this.select(0) },
      { group, keys: ["End"], does: "Oldest one loaded", run: () => this.select(this.rows.length - 1) },
      { group, keys: ["Enter"], does: "Open", run: () => this.select(this.selected) },
      { group: "Filters", keys: ["/"], does: "Go to the filters", run: () => this.filters.focus() },
      {
        group: "Filters",
        keys: ["x"],
        does: "Remove all filters",
        run: () => (location.hash = href("interactions")),
      },
      { group: "Page", keys: ["?"], does: "Show this help", run: () => {} },
    ]);
  }

  go(route: Route): boolean {
    this.filters.set(route.query);
    void this.load(true);
    return true;
  }

  end(): void {
    this.request.abort();
    this.resized.disconnect();
    setKeys([]);
  }
}
