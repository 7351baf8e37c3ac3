// The connection to the server: proves the key, carries frames and messages, comes back by itself.

import { prove } from "./keys.js";

const VERSION = 1;
const HEAD_BYTES = 13;
const MOST_UNANSWERED = 2;
const GIVE_UP_MS = 1000;
const PING_MS = 10_000;
const SILENCE_MS = 25_000;
const FIRST_BACKOFF_MS = 500;
const LONGEST_BACKOFF_MS = 15_000;
const THROTTLED_MS = 30_000;

const CLOSE = { NOT_AUTHENTICATED: 4401, REVOKED: 4403, ELSEWHERE: 4409, THROTTLED: 4429 };

export class Stream {
  /** `on` has ready(limits), message(message), lost() and refused("revoked" | "elsewhere"). */
  constructor(url, identity, on) {
    this.url = url;
    this.identity = identity;
    this.on = on;
    this.ready = false;
    this.sequence = 0;
    this.unanswered = new Map();
    this.backoff = FIRST_BACKOFF_MS;
    this.stopped = false;
    this.online = () => this.#connectNow();
    window.addEventListener("online", this.online);
    this.#connect();
  }

  stop() {
    this.stopped = true;
    clearTimeout(this.retry);
    clearInterval(this.pinging);
    window.removeEventListener("online", this.online);
    this.socket.close();
  }

  /** Whether a frame may leave now: connected, and fewer than two without an answer. */
  hasRoom() {
    const now = performance.now();
    for (const [sequence, sentAt] of this.unanswered) {
      if (now - sentAt > GIVE_UP_MS) this.unanswered.delete(sequence);
    }
    return this.ready && this.unanswered.size < MOST_UNANSWERED;
  }

  sendFrame(jpeg, capturedMs) {
    if (!this.ready || jpeg.byteLength > this.limits.max_bytes) return;
    const frame = new Uint8Array(HEAD_BYTES + jpeg.byteLength);
    const head = new DataView(frame.buffer);
    this.sequence += 1;
    head.setUint8(0, VERSION);
    head.setUint32(1, this.sequence);
    head.setBigUint64(5, BigInt(capturedMs));
    frame.set(new Uint8Array(jpeg), HEAD_BYTES);
    this.unanswered.set(this.sequence, performance.now());
    this.socket.send(frame);
  }

  /** Nobody is there any more. */
  rest() {
    this.#say({ type: "rest" });
  }

  /** Somebody signs in without a face; asked again by the same id it has one effect. */
  signIn(attempt) {
    if (this.ready) this.#say({ type: "sign_in", ...attempt });
  }

  #connect() {
    const socket = new WebSocket(this.url);
    socket.binaryType = "arraybuffer";
    socket.onmessage = (event) => this.#take(JSON.parse(event.data));
    socket.onclose = (event) => this.#closed(event.code);
    this.socket = socket;
    this.heardAt = performance.now();
    clearInterval(this.pinging);
    this.pinging = setInterval(() => this.#ping(), PING_MS);
  }

  #connectNow() {
    if (this.socket.readyState !== WebSocket.CLOSED) return;
    clearTimeout(this.retry);
    this.#connect();
  }

  async #take(message) {
    this.heardAt = performance.now();
    switch (message.type) {
      case "challenge":
        this.#say({ type: "proof", signature: await prove(this.identity, message.nonce) });
        return;
      case "ready":
        this.ready = true;
        this.limits = message;
        this.backoff = FIRST_BACKOFF_MS;
        this.on.ready(message);
        return;
      default:
        if (message.seq !== undefined && message.type !== "decision") this.#answered(message.seq);
        this.on.message(message);
    }
  }

  #answered(sequence) {
    for (const sent of this.unanswered.keys()) {
      if (sent <= sequence) this.unanswered.delete(sent);
    }
  }

  #closed(code) {
    this.ready = false;
    this.unanswered.clear();
    clearInterval(this.pinging);
    if (this.stopped) return;
    if (code === CLOSE.NOT_AUTHENTICATED || code === CLOSE.REVOKED) {
      this.#refused("revoked");
    } else if (code === CLOSE.ELSEWHERE) {
      this.#refused("elsewhere");
    } else {
      this.on.lost();
      this.#retryIn(code === CLOSE.THROTTLED ? THROTTLED_MS : this.backoff);
      this.backoff = Math.min(LONGEST_BACKOFF_MS, this.backoff * 2);
    }
  }

  #refused(why) {
    this.stop();
    this.on.refused(why);
  }

  #retryIn(milliseconds) {
    const jitter = 0.75 + Math.random() / 2;
    this.retry = setTimeout(() => this.#connect(), milliseconds * jitter);
  }

  #ping() {
    // A network that vanished without a word closes no socket.
    if (performance.now() - this.heardAt > SILENCE_MS) this.socket.close();
    else if (this.ready) this.#say({ type: "ping" });
  }

  #say(message) {
    if (this.socket.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify(message));
  }
}
