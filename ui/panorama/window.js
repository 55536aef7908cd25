// Which part of the whole is seen: the size of a tile in pixels, how far it is zoomed, and where the window lies.

const ROOM = { top: 26, stackTop: 44, side: 12, gap: 10, bottom: 58 };
const LARGEST_TILE = { width: 116, height: 52 }; // CSS pixels of an ordinary tile when all is shown
const LEAST_TILE = { width: 3, height: 20 };
const TALLEST = 880; // of the plot when all is shown; beyond, tiles get lower until they are least
const LARGEST_ZOOMED = 420;

class Viewport {
  constructor() {
    this.zoomed = 1;
    [this.left, this.top] = [0, 0];
  }

  // Fit tiles to the box; the zoom stays. Left of the layers, which begin at `split` units, is room for `labels` pixels.
  resize(size, box, split, labels) {
    const clamp = (x, least, most) => Math.min(Math.max(x, least), most);
    this.size = size;
    this.box = box;
    this.split = split;
    this.labels = labels;
    this.baseX = clamp((box.width - labels) / size[0], LEAST_TILE.width, LARGEST_TILE.width);
    const wanted = clamp(this.baseX, 36, LARGEST_TILE.height);
    this.baseY = Math.max(Math.min(wanted, TALLEST / size[1]), Math.min(LEAST_TILE.height, wanted));
    box.height = this.baseY * size[1];
    this.clamp();
  }

  // Narrow tiles first widen until they are square; then both ways alike.
  get narrow() { return Math.max(1, this.baseY / this.baseX); }
  get scaleX() { return this.baseX * this.zoomed; }
  get scaleY() { return this.baseY * Math.max(1, this.zoomed / this.narrow); }
  get isFull() { return this.zoomed <= 1.0001; }

  get width() { return this.size[0] * this.scaleX + this.labels; }
  get height() { return this.size[1] * this.scaleY; }
  get isWide() { return this.width > this.box.width + 1; }

  // Pixels from the left end of everything to a place in units.
  offset(units) { return units * this.scaleX + (units >= this.split - 1e-6 ? this.labels : 0); }
  x(units) { return this.box.x + this.offset(units) - this.left; }
  y(units) { return this.box.y + units * this.scaleY - this.top; }

  // Where the row labels end: left of the layers, or at the left edge once the layers are beyond it.
  get labelEnd() { return Math.max(this.box.x + this.labels, this.x(this.split)); }

  // Units of the layout under a point of the canvas; among the labels, the place just before the layers.
  at(x, y) {
    const pixels = x - this.box.x + this.left, edge = this.split * this.scaleX;
    const inLabels = pixels >= edge && pixels < edge + this.labels;
    const unitX = inLabels ? this.split - 2e-6 : (pixels - (pixels < edge ? 0 : this.labels)) / this.scaleX;
    return [unitX, (y - this.box.y + this.top) / this.scaleY];
  }

  has(x, y) {
    const { box } = this;
    return x >= box.x && x < box.x + box.width && y >= box.y && y < box.y + box.height;
  }

  zoom(factor, x, y) {
    const [unitX, unitY] = this.at(x, y);
    this.zoomed = Math.min(Math.max(this.zoomed * factor, 1), (LARGEST_ZOOMED / this.baseY) * this.narrow);
    this.left = this.offset(unitX) - (x - this.box.x);
    this.top = unitY * this.scaleY - (y - this.box.y);
    this.clamp();
  }

  pan(right, down) {
    this.left += right;
    this.top += down;
    this.clamp();
  }

  fit() {
    [this.zoomed, this.left, this.top] = [1, 0, 0];
  }

  // Bring a tile into the window, with a margin.
  reveal([x, y, width, height]) {
    const into = (start, extent, before, window, from) =>
      Math.min(Math.max(from, start + extent + 20 - window), Math.max(0, start - 20 - before));
    const covered = x >= this.split - 1e-6 ? this.labels : 0;
    this.left = into(this.offset(x), width * this.scaleX, covered, this.box.width, this.left);
    this.top = into(y * this.scaleY, height * this.scaleY, 0, this.box.height, this.top);
    this.clamp();
  }

  clamp() {
    this.left = Math.min(Math.max(0, this.left), Math.max(0, this.width - this.box.width));
    this.top = Math.min(Math.max(0, this.top), Math.max(0, this.height - this.box.height));
  }
}
