// What a person is asked to do: a large arrow and words, as long as the server goes on asking.

import { texts } from "./messages.js";

const LINGER_MS = 2000; // each frame tells it again: what is not told any more no longer holds

const element = (id) => document.getElementById(id);
const kiosk = element("kiosk");

let shown = null; // {presentation, movement, step} on the screen
let ending;

/** Show a "prompt" message. The picture is a mirror: the person's own left is the screen's left. */
export function showPrompt({ presentation, movement, step, steps }) {
  clearTimeout(ending);
  ending = setTimeout(endPrompt, LINGER_MS);
  const same = shown?.presentation === presentation && shown.movement === movement;
  if (same && shown.step === step) return;
  shown = { presentation, movement, step };
  const turn = movement !== "AHEAD";
  element("prompt-icon").setAttribute("href", turn ? "#icon-turn" : "#icon-ahead");
  element("prompt-step").textContent = texts.prompt.step
    .replace("{step}", step)
    .replace("{steps}", steps);
  element("prompt-title").textContent = texts.movements[movement] ?? movement;
  element("prompt-instead").textContent = texts.prompt.instead;
  element("prompt").dataset.movement = movement;
  element("prompt").hidden = false;
  kiosk.dataset.asked = movement;
}

/** Nobody is asked any more; with a presentation, only if it was that one's prompt. */
export function endPrompt(presentation = null) {
  if (presentation && shown?.presentation !== presentation) return;
  clearTimeout(ending);
  shown = null;
  element("prompt").hidden = true;
  delete kiosk.dataset.asked;
}
