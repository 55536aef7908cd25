// The component: the state of one mosaic, and what it tells the server.

const mosaics = new WeakMap();

class MosaicCanvas {
  constructor(root) {
    this.root = root;
    this.find = (selector) => root.querySelector(selector);
    this.canvas = this.find("canvas");
    this.stage = this.find(".stage");
    this.hover = this.focus = null;
    this.marked = { row: null, column: null };
    this.canvas.onpointermove = (event) => this.point(event);
    this.canvas.onpointerleave = () => this.point(null);
    this.canvas.onclick = (event) => this.click(event);
    root.onkeydown = (event) => this.press(event);
    root.onblur = () => this.focusOn(null);
    this.observer = new ResizeObserver(() => this.resize());
    this.observer.observe(this.stage);
  }

  // A message from the server, a rerun of the page, or another theme.
  receive({ data, setTriggerValue }) {
    this.send = setTriggerValue;
    this.theme = mosaicTheme(this.root);
    if (data !== this.data) {
      this.scene = decodeMosaic(data);
      this.palette = packedColours(this.scene);
      this.pictures = new MosaicPictures(this.scene, this.palette);
      this.root.setAttribute("aria-label", this.scene.label);
      this.hover = null;
      if (this.focus !== null && this.focus >= this.scene.count) this.focus = null;
      this.find(".tip").hidden = true;
    }
    this.data = data;
    this.resize();
  }

  resize() {
    const width = this.stage.clientWidth;
    if (!this.scene || width === 0) return; // hidden; the observer calls again when it is shown
    this.ratio = window.devicePixelRatio || 1;
    const context = this.canvas.getContext("2d");
    context.font = `600 ${LETTERS}px ${this.theme.font}`;
    this.layout = new Layout(this.scene, width, (text) => context.measureText(text).width);
    const height = Math.ceil(this.layout.height);
    this.stage.style.height = `${height}px`;
    const pixels = [Math.round(width * this.ratio), Math.round(height * this.ratio)];
    if (this.canvas.width !== pixels[0] || this.canvas.height !== pixels[1]) [this.canvas.width, this.canvas.height] = pixels;
    this.draw();
  }

  draw() {
    if (this.frame) return;
    this.frame = requestAnimationFrame(() => {
      this.frame = 0;
      paintMosaic(this);
      const data = this.root.dataset; // what tests read
      data.ready = "true";
      data.count = this.scene.count;
      data.selected = this.scene.selected ?? "";
    });
  }

  point(event) {
    const place = event ? this.layout.at(event.offsetX, event.offsetY) : null;
    this.canvas.classList.toggle("over", place !== null && this.scene.is_clickable);
    this.show(place);
  }

  // Where a tile (or a cell of it) is on the canvas, in CSS pixels: for tests.
  boxOf(index) {
    return this.layout.box(index);
  }

  show(place) {
    const tip = this.find(".tip");
    tip.hidden = place === null;
    this.hover = place;
    this.marked = place === null ? { row: null, column: null } : { row: place.row, column: place.column };
    if (place !== null) this.fill(place);
    this.draw();
  }

  fill(place) {
    const { scene } = this;
    const { index } = place, [height, width] = scene.tile;
    const i = Math.floor(place.shareY * height), j = Math.floor(place.shareX * width);
    const cell = index * height * width + i * width + j;
    place.number = scene.numbers[cell];
    const words = [scene.notes[index], this.cellWords(i, j)].filter(Boolean).join("\n");
    const title = scene.titles[index] ?? `${scene.row_words[place.row]} ${scene.pair} ${scene.column_words[place.column]}`;
    const isSaid = scene.value_kind !== "";
    this.find(".name").textContent = title;
    this.find(".value").hidden = !isSaid;
    if (isSaid) this.find(".value b").textContent = numberText(scene.values[cell], scene.value_kind);
    this.find(".swatch").style.background = cssColour(this.palette[place.number]);
    this.find(".note").textContent = words;
    this.root.dataset.hover = JSON.stringify({ index, cell: [i, j], title, value: scene.values[cell], words });
    this.placeTip(place);
  }

  cellWords(i, j) {
    const { cell_rows: rows, cell_columns: columns } = this.scene;
    return rows.length ? `${rows[i]} · ${columns[j]}` : "";
  }

  placeTip({ index, shareX, shareY }) {
    const tip = this.find(".tip");
    const [x, y, width, height] = this.layout.box(index);
    const [atX, atY] = [x + shareX * width, y + (this.scene.tile[0] > 1 ? shareY : 1) * height];
    const { clientWidth, clientHeight } = this.stage;
    const left = Math.min(Math.max(2, atX - tip.offsetWidth / 2), Math.max(2, clientWidth - tip.offsetWidth - 2));
    const isRoom = atY + 14 + tip.offsetHeight <= clientHeight + 6;
    const top = isRoom ? atY + 12 : (this.scene.tile[0] > 1 ? atY : y) - tip.offsetHeight - 10;
    tip.style.transform = `translate(${left}px, ${top}px)`;
  }

  click(event) {
    const place = this.layout.at(event.offsetX, event.offsetY);
    if (place && this.scene.is_clickable) this.choose(place.index);
  }

  choose(index) {
    this.send("chosen", { scene: this.scene.id, index });
  }

  press(event) {
    const { across } = this.layout;
    const steps = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: across, ArrowUp: -across };
    if (event.key === "Escape") this.focusOn(null);
    if (event.key === "Enter" && this.focus !== null && this.scene.is_clickable) this.choose(this.focus);
    if (!steps[event.key]) return;
    event.preventDefault();
    const next = this.focus === null ? (this.scene.selected ?? 0) : this.focus + steps[event.key];
    if (next >= 0 && next < this.scene.count) this.focusOn(next);
  }

  focusOn(index) {
    this.focus = index;
    const across = this.layout?.across ?? 1;
    const place = { index, shareX: 0.5, shareY: 0.5, row: Math.floor(index / across), column: index % across };
    if (this.layout) this.show(index === null ? null : place);
  }

  close() {
    this.observer.disconnect();
    cancelAnimationFrame(this.frame);
  }
}

export default function (component) {
  const { parentElement } = component;
  const root = parentElement.querySelector(".mosaic");
  if (!root) return undefined;
  let mosaic = mosaics.get(root);
  if (!mosaic) {
    mosaic = new MosaicCanvas(root);
    mosaics.set(root, mosaic);
    root.mosaic = mosaic;
  }
  mosaic.receive(component);
  return () => {
    mosaic.close();
    mosaics.delete(root);
  };
}
