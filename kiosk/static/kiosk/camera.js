// The camera: opens it, says in one word why it cannot, and takes pictures.

const RETRY_MS = 5000;
const ASKING_MS = 1000;
const WIDTH = 640;
const QUALITY = 0.85;
const WANTED = {
  audio: false,
  video: { facingMode: "user", width: { ideal: 1280 }, height: { ideal: 720 } },
};
const PROBLEMS = {
  NotAllowedError: "permission-denied",
  SecurityError: "permission-denied",
  NotFoundError: "no-camera",
  OverconstrainedError: "no-camera",
  NotReadableError: "camera-in-use",
  AbortError: "camera-in-use",
};

export class Camera {
  /** `on` has opened() and problem(state); after a problem it goes on trying. */
  constructor(video, on) {
    this.video = video;
    this.on = on;
    this.canvas = document.createElement("canvas");
    navigator.mediaDevices?.addEventListener("devicechange", () => this.#again());
    this.#watchPermission();
  }

  /** Whether there is a picture to take. */
  get running() {
    return Boolean(this.stream?.active) && this.video.readyState >= HTMLMediaElement.HAVE_CURRENT_DATA;
  }

  async open() {
    clearTimeout(this.retry);
    if (this.running || this.opening) return;
    if (!window.isSecureContext || !navigator.mediaDevices) {
      this.on.problem("insecure");
      return;
    }
    this.asked = this.opening = true;
    const asking = setTimeout(() => this.on.problem("asking"), ASKING_MS);
    try {
      this.stream = await navigator.mediaDevices.getUserMedia(WANTED);
      this.stream.getVideoTracks()[0].onended = () => this.open();
      this.video.srcObject = this.stream;
      await this.video.play();
      clearTimeout(asking);
      this.on.opened();
    } catch (error) {
      const state = PROBLEMS[error.name] ?? "no-camera";
      this.on.problem(state);
      // Asking again and again for a permission would only annoy.
      if (state !== "permission-denied") this.retry = setTimeout(() => this.open(), RETRY_MS);
    } finally {
      clearTimeout(asking);
      this.opening = false;
    }
  }

  /** A JPEG of what the camera sees now, 640 pixels wide, as an ArrayBuffer. */
  async picture() {
    const { videoWidth, videoHeight } = this.video;
    this.canvas.width = Math.min(WIDTH, videoWidth);
    this.canvas.height = Math.round((videoHeight * this.canvas.width) / videoWidth);
    this.canvas.getContext("2d").drawImage(this.video, 0, 0, this.canvas.width, this.canvas.height);
    const blob = await new Promise((done) => this.canvas.toBlob(done, "image/jpeg", QUALITY));
    return blob.arrayBuffer();
  }

  #again() {
    if (this.asked && !this.running) this.open();
  }

  async #watchPermission() {
    try {
      const permission = await navigator.permissions.query({ name: "camera" });
      permission.onchange = () => permission.state === "granted" && this.#again();
    } catch {
      // Not every browser tells; the button is there for it.
    }
  }
}
