// Entry point: loads the session, then shows the view that the address names, now and after every change.

import "./style/font.css";
import "./style/base.css";
import "./style/shell.css";
import "./style/dialog.css";
import "./style/list.css";
import "./style/interaction.css";
import "./style/stage.css";
import "./style/timeline.css";
import "./style/side-panel.css";
import { loadSession, onSignInNeeded, renewSession } from "./api.ts";
import { listenForKeys } from "./keys.ts";
import { parse, type Route } from "./route.ts";
import { buildShell, signIn, views } from "./shell.ts";
import type { OpenView, View } from "./views/view.ts";

const VIEWS: Record<string, () => Promise<OpenView>> = {
  interactions: async () => (await import("./views/list.ts")).open,
  interaction: async () => (await import("./views/interaction.ts")).open,
  recording: async () => (await import("./views/interaction.ts")).open,
  live: async () => (await import("./views/live.ts")).open,
  operations: async () => (await import("./views/operations.ts")).open,
};

const SESSION_ENDED = "Your session has ended. Sign in to continue where you were.";

const shell = buildShell();
let shown: { route: Route; view: View } | null = null;

async function show(): Promise<void> {
  const route = parse(location.hash);
  if (shown && shown.route.view === route.view && shown.route.id === route.id && shown.view.go?.(route))
    return;
  shown?.view.end();
  shown = null;
  const isPlayback = route.view === "interaction" || route.view === "recording";
  const allowed = isPlayback || views().some(([name]) => name === route.view);
  const name = allowed && VIEWS[route.view] ? route.view : "interactions";
  const open = await VIEWS[name]!();
  // The address may have changed while the code was loaded.
  if (parse(location.hash).view !== route.view) return;
  shell.showBar(route.view === "interaction" ? "interactions" : route.view === "recording" ? "live" : name);
  shell.main.className = `view-${isPlayback ? "interaction" : name}`;
  shell.main.replaceChildren();
  shown = { route, view: open(shell.main, { ...route, view: name }) };
}

listenForKeys();
let reason = "Sign in to see the recordings you have access to.";
const signedIn = await loadSession();
onSignInNeeded(async () => {
  await signIn(reason);
  reason = SESSION_ENDED;
});
if (signedIn) reason = SESSION_ENDED;
else await renewSession();
addEventListener("hashchange", () => void show());
await show();
