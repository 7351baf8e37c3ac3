// Tells whether something moves before the camera, so that an empty room sends nothing.

const WIDTH = 64;
const HEIGHT = 48;
const BRIGHTER = 16; // of 255: more than a camera's noise
const CHANGED = 0.008; // share of the picture
const LINGER_MS = 2000;

export class Motion {
  constructor(video) {
    this.video = video;
    const canvas = document.createElement("canvas");
    canvas.width = WIDTH;
    canvas.height = HEIGHT;
    this.context = canvas.getContext("2d", { willReadFrequently: true });
    this.before = null;
    this.movedAt = -Infinity;
  }

  /** Look again; whether something moved within the last two seconds. */
  stirs() {
    const now = performance.now();
    const grey = this.#grey();
    if (this.before === null || differs(grey, this.before)) this.movedAt = now;
    this.before = grey;
    return now - this.movedAt < LINGER_MS;
  }

  #grey() {
    this.context.drawImage(this.video, 0, 0, WIDTH, HEIGHT);
    const { data } = this.context.getImageData(0, 0, WIDTH, HEIGHT);
    const grey = new Uint8Array(WIDTH * HEIGHT);
    for (let at = 0; at < grey.length; at += 1) {
      grey[at] = (data[4 * at] + 2 * data[4 * at + 1] + data[4 * at + 2]) >> 2;
    }
    return grey;
  }
}

function differs(one, other) {
  let changed = 0;
  for (let at = 0; at < one.length; at += 1) {
    if (Math.abs(one[at] - other[at]) > BRIGHTER) changed += 1;
  }
  return changed > CHANGED * one.length;
}
