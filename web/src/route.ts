// Addresses: `#/interactions?agent=ann` and the like. The query is after the `#`, so that a customer's
// number in a filter never reaches a proxy's log with the address of the page.

export interface Route {
  /** The first word of the path. */
  view: string;
  /** The rest of the path. */
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

/** Changes the address without adding to the history and without showing the view again. */
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
