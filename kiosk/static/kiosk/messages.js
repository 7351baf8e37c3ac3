// What the page says: notices that stand until things change, greetings and refusals that pass.

export const texts = JSON.parse(document.getElementById("texts").textContent);

const STAY_MS = 4000;
const AT_LEAST_MS = 1500;
const MOST_QUEUED = 3;
const LONG_WORD = 11; // letters that fit beside the icon at full size
const ICONS = {
  insecure: "lock",
  "no-camera": "camera",
  "permission-denied": "camera",
  "camera-in-use": "camera",
  asking: "camera",
  offline: "offline",
  elsewhere: "windows",
  unsupported: "notice",
};
const GRAVE = new Set(["NO_MATCH", "PAD_FAILED", "NOT_ALLOWED"]);

const element = (id) => document.getElementById(id);
const kiosk = element("kiosk");
const action = element("notice-action");

let state = "starting"; // what is so, whatever is announced over it
let announced = null; // {kind, ...} of the greeting or refusal that is shown
let queue = [];
let timer;

/** Show a state: a notice's, or "pairing", "waiting", "looking". `act` is its button's. */
export function showState(next, act = null) {
  if (next === state) return;
  state = next;
  action.onclick = act;
  if (next in texts.live) render();
  else hush();
}

export function showPlace(site, name) {
  element("place").textContent = `${name} · ${site}`;
}

/** Show a decision: a greeting or a refusal. Several at once are shown one after the other. */
export function announce(decision) {
  if (queue.length < MOST_QUEUED) queue.push(decision);
  if (announced === null) next();
  else if (performance.now() - announced.at >= AT_LEAST_MS) next();
  else planNext();
}

function next() {
  const decision = queue.shift();
  announced = decision ? { decision, at: performance.now() } : null;
  if (announced) {
    // Filled once only: each change of the text is read out to those who do not see it.
    if (isGreeting()) fillGreeting(decision);
    else fillRefusal(decision);
    planNext();
  }
  render();
}

function planNext() {
  clearTimeout(timer);
  const stays = queue.length ? AT_LEAST_MS : STAY_MS;
  timer = setTimeout(next, Math.max(0, announced.at + stays - performance.now()));
}

/** What stands in the way is more important than what was announced. */
function hush() {
  clearTimeout(timer);
  queue = [];
  announced = null;
  render();
}

function render() {
  let shown = state;
  if (announced) shown = isGreeting() ? "greeting" : "refusal";
  kiosk.dataset.state = shown;
  element("greeting").hidden = shown !== "greeting";
  element("refusal").hidden = shown !== "refusal";
  fillLive(shown);
  fillNotice(shown);
}

const isGreeting = () => announced.decision.outcome === "ACCEPTED";

function fillGreeting({ employee, direction, at, repeat }) {
  const time = at ? at.slice(11, 16) : ""; // the site's own clock, as the server wrote it
  const when = [texts.directions[direction] ?? "", time].filter(Boolean).join(" ");
  fillBig("greeting-name", employee ?? "");
  element("greeting-repeat").replaceChildren(...(repeat ? [texts.repeat, unseen(", ")] : []));
  element("greeting-when").textContent = when;
  element("greeting").dataset.repeat = String(Boolean(repeat));
}

function fillRefusal({ outcome, reason }) {
  const usual = texts.refusals[outcome] ?? texts.refusal;
  fillBig("refusal-title", usual.title);
  element("refusal-reason").textContent = reason ?? usual.reason;
  element("refusal").dataset.outcome = outcome;
  element("refusal").dataset.grave = String(GRAVE.has(outcome));
}

/** Read out, and there for who copies the text; on the screen the line break says it. */
function unseen(text) {
  const span = document.createElement("span");
  span.className = "unseen";
  span.textContent = text;
  return span;
}

/** Big, but a long word (there are such names) smaller rather than broken. */
function fillBig(id, text) {
  const longest = Math.max(1, ...text.split(/[\s-]/).map((word) => word.length + 1));
  element(id).textContent = text;
  element(id).style.setProperty("--shrink", Math.min(1, LONG_WORD / longest));
}

function fillLive(shown) {
  const live = element("live");
  live.hidden = !(shown in texts.live);
  live.textContent = texts.live[shown] ?? "";
}

function fillNotice(shown) {
  const notice = texts.notices[shown];
  element("notice").hidden = !notice;
  if (!notice) return;
  element("notice-icon").setAttribute("href", `#icon-${ICONS[shown] ?? "clock"}`);
  element("notice-title").textContent = notice.title;
  element("notice-text").textContent = notice.text;
  action.textContent = notice.action ?? "";
  action.hidden = !notice.action || !action.onclick;
}
