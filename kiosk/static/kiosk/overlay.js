// Boxes that follow the faces. The picture is shown like a mirror, so the boxes are mirrored, too.

const LINGER_MS = 1000;

export class Overlay {
  constructor(layer) {
    this.layer = layer;
  }

  /** Draw a "faces" message: boxes in pixels of a frame of width × height. */
  show({ width, height, faces }) {
    while (this.layer.children.length < faces.length) this.layer.append(newBox());
    while (this.layer.children.length > faces.length) this.layer.lastChild.remove();
    faces.forEach((face, at) => this.#place(this.layer.children[at], face, width, height));
    clearTimeout(this.clearing);
    this.clearing = setTimeout(() => this.clear(), LINGER_MS);
  }

  clear() {
    this.layer.replaceChildren();
  }

  #place(box, { box: [x1, y1, x2, y2], state }, width, height) {
    const { clientWidth, clientHeight } = this.layer;
    // The video covers the layer (object-fit: cover): what hangs over is cut off evenly.
    const scale = Math.max(clientWidth / width, clientHeight / height);
    const right = (clientWidth - width * scale) / 2 + x1 * scale;
    const top = (clientHeight - height * scale) / 2 + y1 * scale;
    box.style.right = `${right}px`;
    box.style.top = `${top}px`;
    box.style.width = `${(x2 - x1) * scale}px`;
    box.style.height = `${(y2 - y1) * scale}px`;
    box.dataset.state = state;
  }
}

function newBox() {
  const box = document.createElement("div");
  box.className = "face";
  return box;
}
