import { Recorder } from "./recorder.js";

const element = (id) => document.getElementById(id);
let recorder;
let call;

element("log-in").onsubmit = (event) => {
  event.preventDefault();
  const { api, agent, password } = Object.fromEntries(new FormData(event.target));
  attempt(async () => {
    recorder = await Recorder.logIn(api, agent, password, showItem);
    element("log-in").hidden = true;
    element("desk").hidden = false;
    await refresh();
  });
};

const established = () => ({ type: "call.established", call, direction: "inbound" });

const actions = {
  answer: async () => {
    call = `call-${Date.now()}`;
    await recorder.report({ type: "call.delivered", call, direction: "inbound" });
    await recorder.report(established());
    show("talking");
  },
  hold: async () => { await recorder.report({ type: "call.held", call }); show("held"); },
  retrieve: async () => { await recorder.report({ type: "call.retrieved", call }); show("talking"); },
  "hang-up": async () => { await recorder.report({ type: "call.cleared", call }); show("idle"); },
  ready: () => recorder.state("voice", "ready"),
  "log-out": async () => { await recorder.logOut(); location.reload(); },
  start: () => recorder.command("start"),
  stop: () => recorder.command("stop"),
  pause: () => recorder.command("pause"),
  mask: () => recorder.command("mask"),
  resume: () => recorder.command("resume"),
  // Show the field only after the recorder has confirmed that it captures no pixels.
  "card-begin": async () => {
    await recorder.command("pause");
    element("card").hidden = false;
    element("card-number").focus();
    element("card-begin").disabled = true;
    element("card-end").disabled = false;
  },
  // Remove the number, and wait until it has left the screen, before the recorder captures again.
  "card-end": async () => {
    element("card-number").value = "";
    element("card").hidden = true;
    await painted();
    await recorder.command("resume");
    element("card-begin").disabled = false;
    element("card-end").disabled = true;
  },
};
for (const [id, action] of Object.entries(actions)) element(id).onclick = () => attempt(action);

/** Resolves after two frames, when earlier changes are on the screen. */
const painted = () => new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve)));

async function attempt(action) {
  element("problem").textContent = "";
  try {
    await action();
  } catch (error) {
    element("problem").textContent = error.message;
  }
}

function show(state) {
  const line = element("call");
  line.dataset.state = state;
  line.textContent = state === "idle" ? "no call" : `${call}: ${state}`;
  element("answer").disabled = state !== "idle";
  element("hold").disabled = state !== "talking";
  element("retrieve").disabled = state !== "held";
  element("hang-up").disabled = state === "idle";
}

function showItem(item) {
  const { seq, type, recording, capture, why, reason } = item;
  const line = document.createElement("li");
  line.textContent = [seq, type, recording, capture, why ?? reason].filter(Boolean).join(" · ");
  element("news").prepend(line);
  attempt(refresh);
}

async function refresh() {
  const { recording } = await recorder.status();
  const live = recording?.phase === "recording";
  const hidden = live && recording.capture !== "live";
  const badge = element("recorder");
  badge.dataset.state = hidden ? "hidden" : live ? "recording" : "idle";
  const phase = recording?.phase ?? "not recording";
  badge.textContent = hidden ? `recording is ${recording.capture}` : phase;
  element("recording").textContent = recording?.recording ?? "none";
  element("capture").textContent = recording ? recording.capture : "none";
  if (element("card").hidden) element("card-begin").disabled = !live;
}
