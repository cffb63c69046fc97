// The address: `#/interactions?agent=ann` and the like. What is looked for stands behind the `#`, so that a customer's number
// in a filter reaches no proxy's log with the address of the page.

export interface Route {
  /** The first word of the path. */
  view: string;
  /** The rest of it. */
  id: string;
  query: URLSearchParams;
}

export function parse(hash: string): Route {
  const [path = "", query = ""] = hash.replace(/^#\/?/, "").split("?", 2);
  const [view = "", ...rest] = path.split("/");
  return { view: view || "interactions", id: decode(rest.join("/")), query: new URLSearchParams(query) };
}

export function href(view: string, id = "", query: Record<string, string> | URLSearchParams = {}): string {
  const text = new URLSearchParams(query).toString();
  return `#/${view}${id && `/${encodeURIComponent(id)}`}${text && `?${text}`}`;
}

/** Changes the address of what is shown already, without a step in the history and without showing it anew. */
export function replace(address: string): void {
  history.replaceState(null, "", address);
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
