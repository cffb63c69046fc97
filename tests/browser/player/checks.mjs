// Runs one check of the player in a real Chromium, over real recordings. The shown frame is read from
// pixels.
//
//   node tests/browser/player/checks.mjs <check> <folder of Ann's recording> <folder of Bob's>
//     <pipeline file for a live recording> <folder of a recording of a still screen>
//
// Prints what it measured, one JSON object per line, and fails with an error. Called by
// tests/timed/player.rs, which makes the recordings, and with SERVER, NAME, PASSWORD and BEGAN in the
// environment by tests/timed/player_server.rs.

import * as connection from "./checks/connection.mjs";
import * as gaps from "./checks/gaps.mjs";
import * as live from "./checks/live.mjs";
import * as page from "./checks/page.mjs";
import * as playback from "./checks/playback.mjs";
import * as realServer from "./checks/server.mjs";
import { end, fail } from "./harness.mjs";

const checks = {
  "find-and-play": playback.findAndPlay,
  seek: playback.seek,
  "double-speed": playback.doubleSpeed,
  "hand-over": playback.handOver,
  "part-change": playback.partChange,
  "frame-step": playback.frameStep,
  "side-by-side": playback.sideBySide,
  "still-stretches": playback.stillStretches,
  hour: playback.hour,
  live: playback.live,
  gap: gaps.gap,
  "gap-played": gaps.gapPlayed,
  tracks: gaps.tracks,
  lost: gaps.lost,
  undecodable: gaps.undecodable,
  session: connection.session,
  network: connection.network,
  restart: connection.restart,
  list: page.list,
  accessibility: page.accessibility,
  keyboard: page.keyboard,
  attack: page.attack,
  origin: page.origin,
  own: page.own,
  server: realServer.watchTransfer,
  "server-live": realServer.watchLive,
  "server-rest": live.watchStillness,
};
const LIMIT_MS = 180_000;

const name = process.argv[2];
setTimeout(() => fail(new Error(`check ${name} does not end`)), LIMIT_MS).unref();
try {
  if (!checks[name])
    throw new Error(`there is no check ${name}; there are ${Object.keys(checks).join(", ")}`);
  await checks[name]();
} finally {
  await end();
}
process.exit(0);
