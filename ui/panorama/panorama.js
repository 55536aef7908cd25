// The component: the state of one panorama, and what it tells the server.

const panoramas = new WeakMap();

class PanoramaCanvas {
  constructor(root) {
    this.root = root;
    this.find = (selector) => root.querySelector(selector);
    this.canvas = this.find("canvas");
    this.stage = this.find(".stage");
    this.view = new Viewport();
    this.pointers = new Map();
    this.origin = this.hover = this.focus = null;
    this.marked = { row: null, column: null };
    this.listen();
    this.observer = new ResizeObserver(() => this.resize());
    this.observer.observe(this.stage);
  }

  // A message from the server, a rerun of the page, or another theme.
  receive({ data, setTriggerValue }) {
    this.send = setTriggerValue;
    this.theme = themeOf(this.root);
    if (data !== this.data) {
      this.scene = decodeScene(data);
      this.pictures = new TilePictures(this.scene);
      this.isEmpty = this.scene.tiles.length === 0;
      this.find(".empty").hidden = !this.isEmpty;
      this.find(".tools").hidden = this.isEmpty;
      this.hover = this.focus = null;
      this.find(".tip").hidden = true;
    }
    this.data = data;
    this.resize();
  }

  resize() {
    const width = this.stage.clientWidth;
    if (!this.scene || width === 0) return; // hidden; the observer calls again when it is shown
    this.ratio = window.devicePixelRatio || 1;
    const { scene } = this;
    const words = scene.rows.map((row, k) => `${row[0]} ${scene.row_marks[k] ?? ""}`);
    const labels = words.length ? this.widest(words, Math.min(250, width * 0.3)) + 16 : 0;
    const hasStacks = scene.columns.some((column) => column[0]);
    const top = scene.columns.length ? (hasStacks ? ROOM.stackTop : ROOM.top) : 12;
    const box = { x: ROOM.side, y: top, width: Math.max(60, width - 2 * ROOM.side) };
    const split = scene.columns.length ? scene.columns[0][2] : 0;
    if (!this.isEmpty) this.view.resize(scene.size, box, split, labels);
    const height = this.isEmpty ? 120 : top + box.height + ROOM.bottom;
    this.stage.style.height = `${height}px`;
    const pixels = [Math.round(width * this.ratio), Math.round(height * this.ratio)];
    if (this.canvas.width !== pixels[0] || this.canvas.height !== pixels[1]) [this.canvas.width, this.canvas.height] = pixels;
    this.draw();
  }

  widest(texts, most) {
    const context = this.canvas.getContext("2d");
    context.font = `${LABEL}px ${this.theme.font}`;
    return Math.min(most, Math.max(0, ...texts.map((text) => context.measureText(text).width)));
  }

  // The tiles that the window shows, by index.
  visible() {
    const { box } = this.view;
    const [left, top] = this.view.at(box.x, box.y), [right, bottom] = this.view.at(box.x + box.width, box.y + box.height);
    const found = [];
    this.scene.tiles.forEach(([x, y, width, height], index) => {
      if (x < right && x + width > left && y < bottom && y + height > top) found.push(index);
    });
    return found;
  }

  draw() {
    if (this.frame) return;
    this.frame = requestAnimationFrame(() => {
      this.frame = 0;
      drawPanorama(this);
      this.report();
    });
  }

  // Attributes that tests read.
  report() {
    const data = this.root.dataset;
    data.ready = "true";
    if (this.isEmpty) return;
    this.find(".fit").disabled = this.find(".out").disabled = this.view.isFull;
    data.zoom = this.view.zoomed.toFixed(3);
    data.count = this.scene.tiles.length;
    data.selected = this.scene.selected === null ? "" : this.scene.names[this.scene.selected];
    data.focus = this.focus === null ? "" : this.scene.names[this.focus];
  }

  // Where a tensor's tile is on the canvas, in CSS pixels: for tests.
  boxOf(name) {
    return tileBox(this, this.scene.names.indexOf(name));
  }

  open(index) {
    this.send("open", this.scene.names[index]);
  }

  close() {
    this.observer.disconnect();
    cancelAnimationFrame(this.frame);
  }
}

Object.assign(PanoramaCanvas.prototype, Moves);

export default function (component) {
  const { parentElement } = component;
  const root = parentElement.querySelector(".panorama");
  if (!root) return undefined;
  let panorama = panoramas.get(root);
  if (!panorama) {
    panorama = new PanoramaCanvas(root);
    panoramas.set(root, panorama);
    root.panorama = panorama;
  }
  panorama.receive(component);
  return () => {
    panorama.close();
    panoramas.delete(root);
  };
}
