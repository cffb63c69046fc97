// Names of agents. Where the server does not say them, or not to this user, an agent is called by id.

import { get } from "./api.ts";

let known: Promise<Map<string, string>> | null = null;

interface Entry {
  agent?: string;
  id?: string;
  name?: string | null;
}

export function names(): Promise<Map<string, string>> {
  known ??= get<{ agents: Entry[] } | Entry[]>("/agents")
    .then((answer) => (Array.isArray(answer) ? answer : answer.agents))
    .then(
      (entries) =>
        new Map(
          entries.map((entry) => [
            entry.agent ?? entry.id ?? "",
            entry.name || (entry.agent ?? entry.id ?? ""),
          ]),
        ),
    )
    .catch(() => new Map<string, string>());
  return known;
}
