// The kiosk page: pairs, opens the camera, streams, and shows what the server says.

import { listenForBadges } from "./badge.js";
import { Camera } from "./camera.js";
import { loadIdentity } from "./keys.js";
import { announce, showPlace, showState, texts } from "./messages.js";
import { Motion } from "./motion.js";
import { Overlay } from "./overlay.js";
import { askForPairing, codeInAddress } from "./pairing.js";
import { endPrompt, showPrompt } from "./prompt.js";
import { SignIn } from "./sign-in.js";
import { Stream } from "./stream.js";

const FRAME_MS = 100;
const TRACKED_MS = 2000;
const BUSY_MS = 3000;

const page = document.getElementById("kiosk");
const video = document.getElementById("camera");
const overlay = new Overlay(document.getElementById("faces"));
const motion = new Motion(video);
const camera = new Camera(video, {
  opened: () => setProblem("camera", null),
  problem: (state) => setProblem("camera", state),
});

const signIn = new SignIn((message) => stream?.signIn(message));

const problems = { camera: "starting", stream: "starting" };
let identity;
let stream = null;
let frameMs = FRAME_MS;
let faceSeenAt = -Infinity;
let resting = true;
let busyEnds;

async function start() {
  if (!window.isSecureContext || !window.crypto?.subtle) {
    showState("insecure");
    return;
  }
  try {
    identity = await loadIdentity();
  } catch {
    showState("unsupported");
    return;
  }
  if (!identity) await pair();
  else if (codeInAddress()) await pair({ why: texts.pairing.replace, mayCancel: true });
  connect();
  camera.open();
  sendFrames();
  keepScreenOn();
}

async function pair(options) {
  setProblem("stream", "pairing");
  identity = (await askForPairing(page.dataset.pair, options)) ?? identity;
}

function connect() {
  showPlace(identity.site, identity.name);
  setProblem("stream", "starting");
  const scheme = window.location.protocol === "https:" ? "wss:" : "ws:";
  const url = `${scheme}//${window.location.host}${page.dataset.stream}${identity.kiosk}`;
  stream = new Stream(url, identity, {
    ready: (limits) => {
      showPlace(limits.site, limits.kiosk);
      frameMs = limits.frame_interval_ms;
      resting = true;
      setProblem("stream", null);
      signIn.resend();
    },
    message: take,
    lost: () => setProblem("stream", "offline"),
    refused,
  });
}

async function refused(why) {
  overlay.clear();
  if (why === "elsewhere") {
    setProblem("stream", "elsewhere");
    return;
  }
  await pair({ why: texts.pairing.revoked });
  connect();
}

function take(message) {
  if (message.type === "faces") {
    setProblem("stream", null);
    if (message.faces.length) faceSeenAt = performance.now();
    overlay.show(message);
    showLive();
  } else if (message.type === "prompt") {
    showPrompt(message);
  } else if (message.type === "decision") {
    endPrompt(message.presentation);
    if (!signIn.take(message)) announce(message);
  } else if (message.type === "error" && message.code === "BUSY") {
    setProblem("stream", "busy");
    clearTimeout(busyEnds);
    busyEnds = setTimeout(() => problems.stream === "busy" && setProblem("stream", null), BUSY_MS);
  } else if (message.type === "error" || message.type === "frame_error") {
    console.warn(`${message.code}: ${message.message}`);
  }
}

const isTracked = () => performance.now() - faceSeenAt < TRACKED_MS;

/** Send a frame each 100 ms while somebody is there, the newest only; rest otherwise. */
async function sendFrames() {
  try {
    if (stream.ready && camera.running) await sendFrame();
  } finally {
    setTimeout(sendFrames, frameMs);
  }
}

async function sendFrame() {
  // Looked at in any case: the next comparison needs this picture.
  const stirs = motion.stirs();
  if (stirs || isTracked()) {
    resting = false;
    if (!stream.hasRoom()) return;
    const capturedMs = Date.now();
    stream.sendFrame(await camera.picture(), capturedMs);
  } else if (!resting) {
    resting = true;
    stream.rest();
    showLive();
  }
}

function setProblem(part, state) {
  if (problems[part] === state) return;
  problems[part] = state;
  const order = problems.stream === "pairing" ? ["pairing"] : [problems.camera, problems.stream];
  const problem = order.find((one) => one && one !== "starting");
  if (problem) {
    overlay.clear();
    showState(problem, ACTIONS[problem]);
  } else if (problems.camera || problems.stream) showState("starting");
  else showLive();
}

function showLive() {
  if (!problems.camera && !problems.stream) showState(isTracked() ? "looking" : "waiting");
}

const ACTIONS = {
  "permission-denied": () => camera.open(),
  "camera-in-use": () => camera.open(),
  elsewhere: () => connect(),
};

/** A tablet on a wall must not fall asleep. Where the browser cannot do that, its settings must. */
async function keepScreenOn() {
  if (document.visibilityState !== "visible") return;
  try {
    await navigator.wakeLock?.request("screen");
  } catch {
    // The battery is low or the page is in the background; the next turn to the front asks again.
  }
}
document.addEventListener("visibilitychange", keepScreenOn);

listenForBadges(
  () => Boolean(stream?.ready),
  (number) => signIn.badge(number),
);
start();
