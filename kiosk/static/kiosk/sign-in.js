// Signing in without a face: keypad, keyboard or badge; and the PIN that look-alikes are asked for.

import { texts } from "./messages.js";

const IDLE_MS = 30_000;
const ANSWER_MS = 8_000;

const element = (id) => document.getElementById(id);
const form = element("sign-in");
const number = element("sign-in-number");
const pin = element("sign-in-pin");

export class SignIn {
  /** `send(message)` says whether the message left. */
  constructor(send) {
    this.send = send;
    this.asked = null; // the presentation that a PIN is asked for
    this.pending = null; // the attempt without an answer
    this.field = number;
    element("sign-in-open").onclick = () => this.#open(null);
    element("sign-in-cancel").onclick = () => this.close();
    element("sign-in-letters").onclick = () => this.#letters(number.inputMode === "none");
    form.onsubmit = (event) => this.#submit(event);
    form.oninput = () => this.#touched();
    for (const field of [number, pin]) field.onfocus = () => (this.field = field);
    for (const key of form.querySelectorAll("[data-key]")) {
      key.onpointerdown = (event) => event.preventDefault(); // the field keeps the focus
      key.onclick = () => this.#press(key.dataset.key);
    }
  }

  get isOpen() {
    return !form.hidden;
  }

  /** Take in a decision; whether it is said here, so that nothing is left to announce. */
  take(decision) {
    if (this.pending && decision.presentation === this.pending.attempt) return this.#answered(decision);
    if (decision.ask_pin_ms && !this.#isTyped) {
      this.#open(decision.presentation, decision.ask_pin_ms);
      return true;
    }
    // Who types does not want to hear that the camera knows nobody.
    if (decision.outcome !== "ACCEPTED") return this.isOpen;
    if (!this.#isTyped) this.close();
    return false;
  }

  badge(text) {
    if (this.pending) return;
    this.#clear();
    this.#try({ badge: text });
  }

  /** The connection is back: ask again for the answer that was lost, by the same id. */
  resend() {
    if (this.pending) this.send(this.pending);
  }

  close() {
    clearTimeout(this.closing);
    this.#forget();
    this.asked = null;
    this.#clear();
    form.hidden = true;
    element("sign-in-open").hidden = false;
  }

  #open(asked, milliseconds = IDLE_MS) {
    this.#forget();
    this.asked = asked;
    this.#clear();
    this.#letters(false);
    form.dataset.asked = String(Boolean(asked));
    element("sign-in-number-field").hidden = Boolean(asked);
    element("sign-in-title").textContent = asked ? texts.sign_in.asked : texts.sign_in.title;
    this.#say("");
    element("sign-in-open").hidden = true;
    form.hidden = false;
    (asked ? pin : number).focus();
    clearTimeout(this.closing);
    this.closing = setTimeout(() => this.close(), milliseconds);
    form.style.setProperty("--asked-for", `${milliseconds}ms`);
  }

  get #isTyped() {
    return this.isOpen && Boolean(number.value || pin.value || this.pending);
  }

  #touched() {
    if (this.asked) return; // the time for an answer runs on
    clearTimeout(this.closing);
    this.closing = setTimeout(() => this.close(), IDLE_MS);
  }

  #press(key) {
    this.field.value = key === "back" ? this.field.value.slice(0, -1) : (this.field.value + key).slice(0, this.field.maxLength);
    this.field.focus();
    this.#touched();
  }

  /** The system's own keyboard, for numbers with letters. */
  #letters(shown) {
    number.inputMode = shown ? "text" : "none";
    element("sign-in-letters").setAttribute("aria-pressed", String(shown));
    if (!shown) return;
    number.blur();
    number.focus();
  }

  #submit(event) {
    event.preventDefault();
    if (this.pending) return;
    const name = number.value.trim();
    if (!this.asked && !name) number.focus();
    else if (!/^\d+$/.test(pin.value)) {
      pin.value = "";
      pin.focus();
    } else this.#try(this.asked ? { pin: pin.value } : { number: name, pin: pin.value });
  }

  #try(said) {
    const attempt = crypto.randomUUID();
    this.pending = { attempt, ...said };
    if (this.asked) this.pending.presentation = this.asked;
    pin.value = "";
    this.#say(texts.sign_in.checking);
    form.setAttribute("aria-busy", "true");
    this.send(this.pending);
    this.waiting = setInterval(() => {
      this.#say(texts.sign_in.unanswered);
      this.resend();
    }, ANSWER_MS);
  }

  #answered(decision) {
    const said = this.isOpen && ["SIGN_IN_FAILED", "THROTTLED", "ERROR"].includes(decision.outcome);
    this.#forget();
    if (!said) {
      this.close();
      return false;
    }
    this.#say(decision.reason ?? "");
    this.#touched();
    pin.focus();
    return true;
  }

  #forget() {
    clearInterval(this.waiting);
    this.pending = null;
    form.removeAttribute("aria-busy");
  }

  #clear() {
    number.value = "";
    pin.value = "";
  }

  #say(text) {
    element("sign-in-note").textContent = text;
  }
}
