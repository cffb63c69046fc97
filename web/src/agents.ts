// Names of agents. An agent whose name the server does not tell, or not to this user, is shown by id.

import { get } from "./api.ts";
import type { Agent } from "./types.ts";

let loading: Promise<Map<string, string>> | null = null;

/** Names by agent id; loaded once, empty if that fails. */
export function agentNames(): Promise<Map<string, string>> {
  loading ??= get<{ agents: Agent[] }>("/agents")
    .then(({ agents }) => new Map(agents.map(({ agent, name }) => [agent, name || agent])))
    .catch(() => new Map<string, string>());
  return loading;
}
