// Reads the times of the frames in a stored fragment, for steps of exactly one frame: frames come when the
// screen changes, so that no frame rate tells where the next one is. Reads `moof` boxes and skips all others.

const TICKS_PER_MS = 90;

/** Returns the presentation times in all fragments of `bytes`, in milliseconds of media time, ascending. */
export function frameTimes(bytes: ArrayBuffer): number[] {
  const view = new DataView(bytes);
  const times: number[] = [];
  for (const moof of boxes(view, 0, view.byteLength, "moof")) {
    for (const traf of boxes(view, moof.from, moof.to, "traf")) readTrack(view, traf, times);
  }
  return times.sort((a, b) => a - b);
}

interface Box {
  from: number;
  to: number;
}

function* boxes(view: DataView, from: number, to: number, wanted: string): Generator<Box> {
  for (let at = from; at + 8 <= to; ) {
    const size = view.getUint32(at);
    const end = at + size;
    // Our fragments have no box that reaches to the end of the file (size 0) or is larger than 4 GB (size 1).
    if (size < 8 || end > to) return;
    const name = String.fromCharCode(...[4, 5, 6, 7].map((i) => view.getUint8(at + i)));
    if (name === wanted) yield { from: at + 8, to: end };
    at = end;
  }
}

function readTrack(view: DataView, traf: Box, times: number[]): void {
  const [tfdt] = boxes(view, traf.from, traf.to, "tfdt");
  if (!tfdt) return;
  let decode =
    view.getUint8(tfdt.from) === 1 ? Number(view.getBigUint64(tfdt.from + 4)) : view.getUint32(tfdt.from + 4);
  const [tfhd] = boxes(view, traf.from, traf.to, "tfhd");
  const usual = tfhd ? defaultDuration(view, tfhd) : 0;
  for (const trun of boxes(view, traf.from, traf.to, "trun")) {
    const version = view.getUint8(trun.from);
    const flags = view.getUint32(trun.from) & 0xffffff;
    const count = view.getUint32(trun.from + 4);
    let at = trun.from + 8 + (flags & 1 ? 4 : 0) + (flags & 4 ? 4 : 0);
    for (let i = 0; i < count && at <= trun.to; i++) {
      const word = (flag: number): number | undefined => {
        if (!(flags & flag)) return undefined;
        at += 4;
        return at <= trun.to ? view.getUint32(at - 4) : undefined;
      };
      const duration = word(0x100) ?? usual;
      word(0x200);
      word(0x400);
      const composed = word(0x800) ?? 0;
      times.push((decode + (version === 1 ? composed | 0 : composed)) / TICKS_PER_MS);
      decode += duration;
    }
  }
}

function defaultDuration(view: DataView, tfhd: Box): number {
  const flags = view.getUint32(tfhd.from) & 0xffffff;
  if (!(flags & 8)) return 0;
  return view.getUint32(tfhd.from + 8 + (flags & 1 ? 8 : 0) + (flags & 2 ? 4 : 0));
}
