// Everything around the views: the bar with the tabs, the line that reports a lost connection, notices, and
// the sign-in, which covers a view without ending it.

import { closeSession, currentSession, openSession, watchConnection } from "./api.ts";
import { append, fill, h, icon } from "./dom.ts";
import { showKeys } from "./keys.ts";
import { href } from "./route.ts";

const NOTICE_MS = 4000;

export interface Shell {
  main: HTMLElement;
  /** Shows the bar for the signed-in user, with the tab of this view marked. */
  showBar(view: string): void;
}

let notices: HTMLElement;

export function buildShell(): Shell {
  const bar = h("header", { class: "bar" });
  const main = h("main", { id: "main", tabIndex: -1 });
  const away = h("div", { class: "away", role: "status" });
  notices = h("div", { class: "notices", role: "status" });
  document.body.append(
    h(
      "a",
      { class: "skip", href: "#main", on: { click: (event) => (event.preventDefault(), main.focus()) } },
      "Skip to content",
    ),
    bar,
    away,
    main,
    notices,
  );
  watchConnection((now) => {
    if (now === "down") fill(away, icon("warning"), "No connection to the server. Trying again…");
    else {
      fill(away);
      notify("Connected again.");
    }
  });
  return { main, showBar: (view) => fillBar(bar, view) };
}

/** The views that the signed-in user has, with the titles of their tabs. */
export function views(): [string, string][] {
  const role = currentSession()?.role;
  const list: [string, string] = ["interactions", role === "agent" ? "My recordings" : "Interactions"];
  if (role === "agent") return [list];
  return [list, ["live", "Live"], ["operations", "Operations"]];
}

function fillBar(bar: HTMLElement, view: string): void {
  const session = currentSession();
  const tab = ([name, title]: [string, string]): HTMLElement => {
    const link = h("a", { href: href(name), class: "tab" }, title);
    if (name === view) link.setAttribute("aria-current", "page");
    return link;
  };
  fill(
    bar,
    h(
      "a",
      { class: "brand", ariaLabel: "Deskreel", href: href("interactions") },
      logo(),
      h("span", {}, "Deskreel"),
    ),
    h("nav", { ariaLabel: "Views" }, ...views().map(tab)),
    h(
      "button",
      {
        class: "quiet",
        ariaLabel: "Keyboard shortcuts",
        title: "Keyboard shortcuts (?)",
        on: { click: showKeys },
      },
      icon("keyboard"),
    ),
    h("span", { class: "who" }, session?.name ?? ""),
    h(
      "button",
      { class: "quiet", ariaLabel: "Sign out", title: "Sign out", on: { click: signOut } },
      icon("out"),
    ),
  );
}

function logo(): Element {
  const logo = icon("screen");
  logo.classList.add("mark");
  return logo;
}

async function signOut(): Promise<void> {
  await closeSession();
  location.hash = "";
  location.reload();
}

/** Shows a line for a few seconds; screen readers read it out. */
export function notify(text: string, kind: "" | "bad" = ""): void {
  const notice = h("p", { class: `notice ${kind}` }, text);
  notices.append(notice);
  setTimeout(() => notice.remove(), NOTICE_MS);
}

/** Asks for name and password above the view, until the server accepts them. */
export function signIn(reason: string): Promise<void> {
  return new Promise((resolve) => {
    const name = h("input", { name: "name", autocomplete: "username", required: true, autofocus: true });
    const password = h("input", {
      name: "password",
      type: "password",
      autocomplete: "current-password",
      required: true,
    });
    const wrong = h("p", { class: "wrong", role: "alert" });
    const button = h("button", { class: "main", type: "submit" }, "Sign in");
    const dialog = h("dialog", {
      class: `sign-in${document.querySelector("main")?.hasChildNodes() ? "" : " first"}`,
      aria: { labelledby: "sign-in-title" },
    });
    const form = h(
      "form",
      { method: "dialog" },
      h("div", { class: "sign-in-brand" }, logo(), h("span", {}, "Deskreel")),
      h("h1", { id: "sign-in-title" }, "Sign in"),
      h("p", { class: "hint" }, reason),
      h("label", {}, "Name", name),
      h("label", {}, "Password", password),
      wrong,
      button,
    );
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      button.disabled = true;
      fill(wrong);
      try {
        await openSession(name.value, password.value);
        dialog.close();
        dialog.remove();
        resolve();
      } catch (error) {
        append(wrong, (error as Error).message);
        password.select();
      } finally {
        button.disabled = false;
      }
    });
    dialog.addEventListener("cancel", (event) => event.preventDefault());
    dialog.append(form);
    document.body.append(dialog);
    dialog.showModal();
  });
}
