// Builds elements. Text from people or other systems enters the page as text only: nothing in this program
// takes markup.

type Child = Node | string | number | null | undefined | false;
type Properties<T> = {
  class?: string;
  data?: Record<string, string>;
  aria?: Record<string, string>;
  on?: { [K in keyof HTMLElementEventMap]?: (event: HTMLElementEventMap[K]) => void };
} & Partial<Omit<T, "style" | "children">>;

export function h<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  properties: Properties<HTMLElementTagNameMap[K]> & { role?: string } = {},
  ...children: Child[]
): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag);
  const { class: name, data, aria, on, ...rest } = properties;
  if (name) element.className = name;
  for (const [key, value] of Object.entries(data ?? {})) element.dataset[key] = value;
  for (const [key, value] of Object.entries(aria ?? {})) element.setAttribute(`aria-${key}`, value);
  for (const [key, listener] of Object.entries(on ?? {})) {
    element.addEventListener(key, listener as EventListener);
  }
  Object.assign(element, rest);
  append(element, ...children);
  return element;
}

/** Appends children, strings as text. */
export function append(element: Element, ...children: Child[]): void {
  for (const child of children) {
    if (child === null || child === undefined || child === false) continue;
    element.append(typeof child === "object" ? child : String(child));
  }
}

export function fill(element: Element, ...children: Child[]): void {
  element.replaceChildren();
  append(element, ...children);
}

/** One of the pictures below, in the color of the text around it. */
export function icon(name: keyof typeof PATHS): SVGSVGElement {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", "0 0 20 20");
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  path.setAttribute("d", PATHS[name]);
  svg.append(path);
  return svg;
}

// Strokes, 1.6 wide, on a grid of 20.
const PATHS = {
  play: "M6 4.5v11l9-5.5z",
  pause: "M7 4.5v11M13 4.5v11",
  back: "M4 4v4h4M4.6 8a6.2 6.2 0 1 1-.6 3.6",
  forward: "M16 4v4h-4M15.4 8a6.2 6.2 0 1 0 .6 3.6",
  previous: "M15 4.5 8 10l7 5.5zM5 4.5v11",
  next: "M5 4.5 12 10l-7 5.5zM15 4.5v11",
  frame_back: "M12 4.5 5 10l7 5.5M15 4.5v11",
  frame_forward: "M8 4.5 15 10l-7 5.5M5 4.5v11",
  follow: "M3 6h5l4 8h5M14.5 11.5 17 14l-2.5 2.5",
  pair: "M3 5h6v10H3zM11 5h6v10h-6z",
  skip: "M4 5l5 5-5 5M10 5l5 5-5 5M17 5v10",
  note: "M4 4h12v9H9l-3.5 3v-3H4z",
  label: "M3.5 10.5v-7h7l6 6-7 7zM7 7h.01",
  clip: "M4 3v14M16 3v14M4 6h12M4 14h12",
  download: "M10 3v9M6 8.5l4 4 4-4M4 16.5h12",
  link: "M8.5 11.5 12 8M7.5 9 5 11.5a2.6 2.6 0 0 0 3.7 3.7L11 12.7M9 7.3l2.5-2.5A2.6 2.6 0 0 1 15.2 8.5L12.7 11",
  full: "M4 8V4h4M12 4h4v4M16 12v4h-4M8 16H4v-4",
  keyboard: "M2.5 5.5h15v9h-15zM5.5 8.5h.01M8.5 8.5h.01M11.5 8.5h.01M14.5 8.5h.01M6 11.5h8",
  close: "M5 5l10 10M15 5 5 15",
  phone:
    "M6 3.5 8 7.5 6.5 9.2a9 9 0 0 0 4.3 4.3l1.7-1.5 4 2c-.3 2-1.5 2.6-2.6 2.5C8 16 4 11.5 3.5 6 3.4 4.9 4 3.7 6 3.5z",
  chat: "M3.5 4.5h13v8.5H10l-3.5 3v-3h-3z",
  inbound: "M15 5 6 14M6 7.5V14h6.5",
  outbound: "M5 15l9-9M7.5 6H14v6.5",
  screen: "M3 4.5h14v9H3zM7.5 16.5h5",
  warning: "M10 3.5 17.5 16h-15zM10 8v4M10 14h.01",
  search: "M9 4a5 5 0 1 1 0 10A5 5 0 0 1 9 4zM12.8 12.8 17 17",
  lock: "M5 9h10v7H5zM7 9V6.5a3 3 0 0 1 6 0V9",
  out: "M8 4H4v12h4M8 10h8.5M13.5 7l3 3-3 3",
  left: "M12 5l-5 5 5 5",
} as const;
