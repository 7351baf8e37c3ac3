// The pairing form: trades the code and a fresh public key for the kiosk's identity.

import { newKeyPair, publicKeyOf, saveIdentity } from "./keys.js";
import { texts } from "./messages.js";

const form = document.getElementById("pairing");
const field = document.getElementById("code");
const note = document.getElementById("pairing-note");
const problem = document.getElementById("pairing-error");
const submit = form.querySelector("[type=submit]");
const cancel = document.getElementById("pairing-cancel");

/** The code of a scanned link: /kiosk/?code=... or /kiosk/#code=... */
export function codeInAddress() {
  const { search, hash } = window.location;
  return new URLSearchParams(search).get("code") ?? new URLSearchParams(hash.slice(1)).get("code");
}

/** Show the form until this device is paired; returns the new identity, or null if cancelled. */
export async function askForPairing(url, { why = "", mayCancel = false } = {}) {
  note.textContent = why;
  note.hidden = !why;
  cancel.hidden = !mayCancel;
  problem.textContent = "";
  field.value = codeInAddress() ?? "";
  form.hidden = false;
  (field.value ? submit : field).focus();
  try {
    for (;;) {
      if ((await nextClick()) === "cancel") return null;
      const identity = await tryToPair(url, field.value.trim());
      if (identity) return identity;
    }
  } finally {
    form.hidden = true;
    history.replaceState(null, "", window.location.pathname);
  }
}

function nextClick() {
  return new Promise((resolve) => {
    form.onsubmit = (event) => {
      event.preventDefault();
      resolve("submit");
    };
    cancel.onclick = () => resolve("cancel");
  });
}

async function tryToPair(url, code) {
  submit.disabled = true;
  problem.textContent = "";
  try {
    const pair = await newKeyPair();
    const answer = await register(url, code, await publicKeyOf(pair));
    if (answer.message) {
      problem.textContent = answer.message;
      field.focus();
      field.select();
      return null;
    }
    const identity = { ...answer, privateKey: pair.privateKey };
    await saveIdentity(identity);
    return identity;
  } finally {
    submit.disabled = false;
  }
}

async function register(url, code, publicKey) {
  try {
    const response = await fetch(url, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ code, public_key: publicKey }),
    });
    return await response.json();
  } catch {
    return { message: texts.pairing.unreachable };
  }
}
