// The interface between the page and its views.

import type { Route } from "../route.ts";

/** A view that is shown. */
export interface View {
  /** Ends its requests and timers; the page removes its elements. */
  end(): void;
  /** Shows another address of the same view in place; returns false if it has to be opened again. */
  go?(route: Route): boolean;
}

/** Builds a view inside `main`. */
export type OpenView = (main: HTMLElement, route: Route) => View;
