// Names in events that mean no agent, and names that several agents have. An administrator says whose a name
// is, and the server maps the earlier events again.

import { post } from "../../api.ts";
import { fill, h } from "../../dom.ts";
import { capital, clock, day } from "../../format.ts";
import type { Identification, UnresolvedName } from "../../types.ts";

const COLUMNS = 6;

export interface Names {
  conflicts: HTMLElement;
  rows: HTMLElement;
  /** `null`: hidden from this user. */
  show(found: Identification | null, agents: Map<string, string>): void;
}

/** `changed` is called after an assignment. */
export function names(changed: () => void): Names {
  const conflicts = h("section", { class: "panel wrong", role: "alert", hidden: true });
  const agentList = h("datalist", { id: "agents-to-assign" });
  const rows = h("tbody");
  let shown = "";
  return {
    conflicts,
    rows,
    show(found, agents) {
      const all = found?.unresolved ?? [];
      conflicts.hidden = !found?.conflicts.length;
      fill(
        conflicts,
        h("h2", {}, "Several agents have the same name"),
        h("p", {}, "Events with these names belong to nobody."),
        ...(found?.conflicts ?? []).map(({ text }) => h("p", {}, `${capital(text)}.`)),
      );
      // What somebody types must not vanish.
      if (rows.contains(document.activeElement) && all.length) return;
      const state = JSON.stringify([all, [...agents]]);
      if (state === shown) return;
      shown = state;
      fill(agentList, ...[...agents].map(([agent, name]) => h("option", { value: agent }, name)));
      const none = "Every name in the events means an agent.";
      const empty = h("tr", {}, h("td", { colSpan: COLUMNS, class: "by" }, none));
      fill(rows, ...(all.length ? all.map((one) => row(one, agentList, changed)) : [empty]));
      rows.firstElementChild?.lastElementChild?.append(agentList);
    },
  };
}

function row(one: UnresolvedName, agentList: HTMLElement, changed: () => void): HTMLElement {
  const input = h("input", { required: true, maxLength: 200, placeholder: "Agent" });
  input.setAttribute("list", agentList.id);
  input.setAttribute("aria-label", `Agent of ${one.name}`);
  const button = h("button", { class: "small" }, "Assign");
  const wrong = h("span", { class: "state-bad", role: "alert" });
  const form = h("form", { class: "assign-form" }, input, button, wrong);
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    button.disabled = true;
    try {
      await post("/identities", { kind: one.kind, name: one.name, agent: input.value.trim() });
      input.blur();
      changed();
    } catch (error) {
      wrong.textContent = (error as Error).message;
      button.disabled = false;
    }
  });
  const at = (time: string): string => `${day(time)} ${clock(time)}`;
  return h(
    "tr",
    {},
    h("td", { class: "mono" }, one.name),
    h("td", {}, one.kind === "device" ? "Device" : "Agent"),
    h("td", {}, one.feed || "–"),
    h("td", { class: "number" }, one.events.toLocaleString()),
    h("td", { class: "nowrap" }, `${at(one.first)} – ${at(one.last)}`),
    h("td", {}, form),
  );
}
