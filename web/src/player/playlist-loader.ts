// Loads live playlists for hls.js, which asks the server to hold its answer until there is something new.
//
// Over HTTP/1.1 a browser has six connections to a server, for all its tabs, and each held answer takes one.
// There a loader asks without waiting, about when the next fragment is due, until the playlist has grown. A
// hidden tab asks for nothing.

import type HlsType from "hls.js";
import type {
  HlsConfig,
  Loader,
  LoaderCallbacks,
  LoaderConfiguration,
  LoaderStats,
  PlaylistLoaderContext,
} from "hls.js";
import { noteServerDate } from "../server-clock.ts";

/** From a fragment to the first question for the next; recorders send one each second. */
const NEXT_MS = 700;
const ASK_EVERY_MS = 150;
/** After this time an unchanged playlist is handed over. */
const PATIENCE_MS = 6000;

type Callbacks = LoaderCallbacks<PlaylistLoaderContext>;
type PlaylistLoader = Loader<PlaylistLoaderContext>;

/** Whether a held answer takes a connection of its own. */
function holdingIsCostly(): boolean {
  const [page] = performance.getEntriesByType("navigation") as PerformanceNavigationTiming[];
  return !/^h[23]/.test(page?.nextHopProtocol ?? "");
}

/** Returns the class of loaders for the playlist of one recording. */
export function livePlaylistLoader(Hls: typeof HlsType): NonNullable<HlsConfig["pLoader"]> {
  const Plain = Hls.DefaultConfig.loader as unknown as new (config: HlsConfig) => PlaylistLoader;
  const asks = holdingIsCostly();
  let known = "";
  let grown = 0;

  class LiveLoader implements PlaylistLoader {
    context: PlaylistLoaderContext | null = null;
    stats: LoaderStats;
    private plain: PlaylistLoader;
    private timer = 0;
    private begin: (() => void) | null = null;
    private readonly config: HlsConfig;

    constructor(config: HlsConfig) {
      this.config = config;
      this.plain = new Plain(config);
      this.stats = this.plain.stats;
      document.addEventListener("visibilitychange", this.look);
    }

    load(context: PlaylistLoaderContext, limits: LoaderConfiguration, callbacks: Callbacks): void {
      this.context = context;
      const isNext = context.deliveryDirectives != null;
      const begun = Date.now();
      this.begin = () => {
        const sent = Date.now();
        const url = address(context.url, !isNext, asks);
        this.plain.load({ ...context, url }, limits, {
          ...callbacks,
          onSuccess: (response, stats, _, xhr) => {
            noteServerDate(
              (xhr as XMLHttpRequest | null)?.getResponseHeader("date") ?? null,
              sent,
              Date.now(),
            );
            const text = String(response.data);
            if (isNext && asks && text === known && Date.now() - begun < PATIENCE_MS) {
              this.renew();
              this.timer = window.setTimeout(this.look, ASK_EVERY_MS);
              return;
            }
            if (text !== known) grown = Date.now();
            known = text;
            this.begin = null;
            callbacks.onSuccess(response, stats, context, xhr);
          },
        });
      };
      if (isNext && asks) this.timer = window.setTimeout(this.look, Math.max(0, grown + NEXT_MS - begun));
      else this.look();
    }

    /** Begins if the tab is visible, and lets go if it is hidden. */
    private readonly look = (): void => {
      clearTimeout(this.timer);
      if (!this.begin) return;
      this.renew();
      if (!document.hidden) this.begin();
    };

    /** A plain loader loads once. */
    private renew(): void {
      this.plain.destroy();
      this.plain = new Plain(this.config);
      this.stats = this.plain.stats;
    }

    abort(): void {
      this.begin = null;
      clearTimeout(this.timer);
      this.plain.abort();
    }

    destroy(): void {
      this.begin = null;
      clearTimeout(this.timer);
      document.removeEventListener("visibilitychange", this.look);
      this.plain.destroy();
    }

    getCacheAge(): number | null {
      return this.plain.getCacheAge?.() ?? null;
    }

    getResponseHeader(name: string): string | null {
      return this.plain.getResponseHeader?.(name) ?? null;
    }
  }
  return LiveLoader as unknown as NonNullable<HlsConfig["pLoader"]>;
}

/** The address to ask: without what hls.js adds if the answer must not be held, and as a viewer who joins. */
function address(wanted: string, joins: boolean, asks: boolean): string {
  const url = new URL(wanted, location.href);
  const names = [...url.searchParams.keys()];
  for (const name of names) if (asks && name.startsWith("_HLS_")) url.searchParams.delete(name);
  if (joins) url.searchParams.set("joins", "true");
  else url.searchParams.delete("joins");
  return url.href;
}
