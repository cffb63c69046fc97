// For operators: which recorders are disconnected, and which recordings are missing and why.

import { get, Problem, serverProblems } from "../api.ts";
import { agentNames } from "../agents.ts";
import { fill, h, icon } from "../dom.ts";
import { capital, clock, day, duration } from "../format.ts";
import { setKeys } from "../keys.ts";
import { href } from "../route.ts";
import type { Completeness, Identification, Recorder } from "../types.ts";
import { names as namesTable } from "./operations/names.ts";
import type { View } from "./view.ts";

const REFRESH_MS = 5000;
/** A recorder's clock that is further off shows pictures beside the wrong words. */
const MAX_CLOCK_OFFSET_MS = 200;

export function open(main: HTMLElement): View {
  document.title = "Operations · Deskreel";
  const figures = h("div", { class: "figures" });
  const health = h("section", { class: "panel wrong", role: "alert", hidden: true });
  const recorders = h("tbody");
  const missing = h("tbody");
  const ended = new AbortController();
  let timer = 0;
  const table = (title: string, columns: string[], body: HTMLElement): HTMLElement =>
    h(
      "section",
      { class: "panel" },
      h("h2", {}, title),
      h(
        "div",
        { class: "table-scroll", tabIndex: 0, role: "region", ariaLabel: title },
        h(
          "table",
          {},
          h("thead", {}, h("tr", {}, ...columns.map((column) => h("th", { scope: "col" }, column)))),
          body,
        ),
      ),
    );
  const panel = table("Recorders", ["Recorder", "Place", "State", "Activity", "Version", "Clock"], recorders);
  const unknown = namesTable(() => {
    clearTimeout(timer);
    void refresh();
  });
  const unknownPanel = table(
    "Names that mean no agent",
    ["Name", "Kind", "Feed", "Events", "First and last", "Belongs to"],
    unknown.rows,
  );
  main.append(
    h("div", { class: "page-head" }, h("div", { class: "page-title" }, h("h1", {}, "Operations"))),
    health,
    unknown.conflicts,
    figures,
    table("Missing recordings", ["When", "Agent", "Interaction", "Why"], missing),
    unknownPanel,
    panel,
  );
  setKeys([{ group: "Page", keys: ["?"], does: "Show this help", run: () => {} }]);

  const refresh = async (): Promise<void> => {
    try {
      const [problems, names, found, identification, complete] = await Promise.all([
        serverProblems(ended.signal),
        agentNames(),
        get<{ recorders: Recorder[] }>("/recorders", {}, ended.signal).catch(nullIfForbidden),
        get<Identification>("/identities", {}, ended.signal).catch(nullIfForbidden),
        get<Completeness>("/completeness", {}, ended.signal),
      ]);
      health.hidden = problems.length === 0;
      fill(
        health,
        h("h2", {}, "The server is not healthy"),
        ...problems.map((text) => h("p", {}, capital(text))),
      );
      panel.hidden = found === null;
      unknownPanel.hidden = identification === null;
      unknown.show(identification, names);
      const list = (found?.recorders ?? []).filter((recorder) => !recorder.revoked);
      const away = list.filter((recorder) => !recorder.connected);
      const figure = (value: number, text: string, bad = false): HTMLElement =>
        h(
          "div",
          { class: `figure${bad ? " bad" : ""}` },
          h("strong", {}, value.toLocaleString()),
          h("span", {}, text),
        );
      fill(
        figures,
        found && figure(list.length - away.length, "recorders connected"),
        found && figure(away.length, "recorders disconnected", away.length > 0),
        figure(complete.expected, "recordings expected"),
        figure(complete.captured, "captured"),
        figure(complete.uploaded, "stored"),
        figure(complete.on_its_way, "on their way"),
        identification &&
          figure(identification.unresolved.length, "unknown names", identification.unresolved.length > 0),
        figure(complete.missing.length, "missing", complete.missing.length > 0),
      );
      fill(recorders, ...[...away, ...list.filter((recorder) => recorder.connected)].map(recorderRow));
      fill(
        missing,
        ...complete.missing.map((one) =>
          h(
            "tr",
            {},
            h("td", { class: "nowrap" }, `${day(one.at)} ${clock(one.at)}`),
            h("td", {}, one.agent === null ? "–" : (names.get(one.agent) ?? one.agent)),
            h(
              "td",
              { class: "mono" },
              one.interaction ? h("a", { href: href("interaction", one.interaction) }, one.interaction) : "–",
            ),
            h("td", {}, `${duration(one.missing_ms)} of ${duration(one.wanted_ms)}: ${one.why}`),
          ),
        ),
      );
      if (!complete.missing.length)
        fill(
          missing,
          h("tr", {}, h("td", { colSpan: 4, class: "by" }, "All expected recordings are stored.")),
        );
    } catch (error) {
      if (ended.signal.aborted) return;
      fill(figures, h("p", { class: "wrong" }, (error as Error).message));
    }
    timer = window.setTimeout(refresh, REFRESH_MS);
  };
  void refresh();
  return {
    end() {
      ended.abort();
      clearTimeout(timer);
      setKeys([]);
    },
  };
}

/** Supervisors see the missing recordings of their groups; recorders are for administrators only. */
function nullIfForbidden(error: unknown): null {
  if (error instanceof Problem && error.status === 403) return null;
  throw error;
}

function recorderRow(recorder: Recorder): HTMLElement {
  const offset = recorder.clock_offset_ms;
  const isUsed = recorder.connected && !recorder.occupied_by;
  const seen = recorder.seen ? `, last seen on ${day(recorder.seen)}, ${clock(recorder.seen)}` : "";
  return h(
    "tr",
    { class: recorder.connected ? "" : "is-away" },
    h("td", { class: "mono" }, recorder.recorder),
    h("td", {}, recorder.place ?? "–"),
    h(
      "td",
      {},
      h(
        "span",
        { class: isUsed ? "state-good" : "state-bad" },
        !isUsed && icon("warning"),
        !recorder.connected
          ? `Disconnected${seen}`
          : isUsed
            ? "Connected"
            : `Not used: ${recorder.occupied_by} is connected at this place. Enrol one of them at its own place.`,
      ),
    ),
    h("td", {}, recorder.doing ?? "–"),
    h("td", { class: "mono" }, recorder.version ?? "–"),
    h(
      "td",
      { class: offset !== null && Math.abs(offset) > MAX_CLOCK_OFFSET_MS ? "number state-bad" : "number" },
      offset === null ? "–" : `${offset > 0 ? "+" : ""}${Math.round(offset)} ms`,
    ),
  );
}
