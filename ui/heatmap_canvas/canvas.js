// The component: state of one canvas, what the person does, and what is asked of the server.

const QUIET_MS = 120; // after the last move, before the server is asked
const PATIENCE_MS = 350; // during a long move, it is asked this often all the same, if finer numbers are wanted
const KEPT_TILES = 6;
const instances = new WeakMap();

class HeatmapCanvas {
  constructor(root) {
    this.root = root;
    this.find = (selector) => root.querySelector(selector);
    this.canvas = this.find("canvas");
    this.stage = this.find(".stage");
    this.tiles = [];
    this.arrivals = 0;
    this.sequence = 0;
    this.pointers = new Map();
    this.listen();
    this.join();
    this.observer = new ResizeObserver(() => this.resize());
    this.observer.observe(this.stage);
  }

  // A message from the server, a rerun of the page, or another theme.
  receive({ data, setStateValue, setTriggerValue }) {
    this.send = setStateValue;
    this.trigger = setTriggerValue;
    this.theme = readTheme(this.root);
    if (data !== this.data) this.take(decodeMessage(data));
    this.data = data;
    this.resize();
  }

  take({ header, tiles, lists }) {
    const [rows, columns] = header.matrix;
    if (!this.header || header.tensor_id !== this.header.tensor_id) {
      this.tiles = [];
      this.takeLines({});
      this.contents = null;
      this.hide();
      this.view = new View(rows, columns);
    }
    if (!this.header || header.view_id !== this.header.view_id) {
      this.view.set(header.view);
      this.sequence = header.answers;
    }
    this.header = header;
    this.palette = new Palette(header);
    this.selected = header.selected;
    if (header.answers === this.sequence) this.root.dataset.roundTrip = performance.now() - this.askedAt;
    for (const tile of tiles) this.keep(tile);
    if (lists.row_numbers || lists.column_numbers) this.takeLines(lists);
    this.isEmpty = rows === 0 || columns === 0;
    this.takeEdges(header, lists);
    this.takeRectangle(header);
    this.describe();
  }

  // The overview stays; of the others the latest few, in the order they are drawn: the finest on top.
  keep(message) {
    const tile = this.tiles.find((known) => known.id === message.id) || new Tile(message);
    tile.arrival = ++this.arrivals;
    const overview = (known) => known.id === this.header.tensor_id;
    const all = [...this.tiles.filter((known) => known !== tile), tile];
    const finer = all.filter((known) => !overview(known)).sort((a, b) => b.arrival - a.arrival).slice(0, KEPT_TILES);
    finer.sort((a, b) => b.rowStep * b.columnStep - a.rowStep * a.columnStep);
    this.tiles = [...all.filter(overview), ...finer];
  }

  overview() {
    return this.tiles.find((tile) => tile.id === this.header.tensor_id);
  }

  describe() {
    const { name, dtype, shape, matrix, height } = this.header;
    this.find(".name").textContent = name;
    this.find(".facts").textContent = `${dtype} · ${shape.length ? shape.map(grouped).join(" × ") : "scalar"}`;
    this.find(".title").title = name;
    this.find(".empty").hidden = !this.isEmpty;
    this.find(".tools").hidden = this.isEmpty;
    this.boxHeight = height;
    this.root.dataset.shape = matrix.join(",");
    this.root.dataset.tileSeq = this.header.answers;
    const named = this.selected && [this.number("row", this.selected[0]), this.number("column", this.selected[1])];
    this.root.dataset.selected = named ? named.join(",") : "";
    this.contents = this.overview() ? this.overview().contents() : this.contents;
    const found = this.contents ? this.contents.specials : [false, false, false];
    const legend = this.find(".legend");
    legend.replaceChildren();
    ["NaN", "+Inf", "−Inf"].forEach((label, k) => {
      if (!found[k]) return;
      const entry = document.createElement("span"), swatch = document.createElement("i");
      swatch.className = "swatch";
      swatch.style.background = this.palette.css([NaN, Infinity, -Infinity][k]);
      entry.append(swatch, label);
      legend.append(entry);
    });
  }

  resize() {
    if (!this.header) return;
    const width = this.stage.clientWidth;
    if (width === 0) return; // hidden; the observer calls again when it is shown
    const [rows, columns] = this.header.matrix;
    this.ratio = window.devicePixelRatio || 1;
    const beside = this.edgeAxes(), room = EDGE + EDGE_GAP;
    this.margin = { ...MARGIN };
    if (beside.column) this.margin.top += room;
    if (beside.row) this.margin.bar += room;
    if (beside.row) this.margin.right += room;
    const { margin, boxHeight } = this;
    const fitted = this.isEmpty ? null : fitPlot(rows, columns, width, boxHeight, margin);
    const height = this.isEmpty ? 120 : Math.min(boxHeight, Math.max(60, fitted.height) + margin.top + margin.bottom);
    this.plot = fitted;
    this.stage.style.height = `${height}px`;
    const pixels = [Math.round(width * this.ratio), Math.round(height * this.ratio)];
    if (this.canvas.width !== pixels[0] || this.canvas.height !== pixels[1]) [this.canvas.width, this.canvas.height] = pixels;
    if (this.hover || this.hoverEdge) this.pointAt(this.lastPoint); // finer numbers may have come
    this.draw();
    // The page kept its state, but this canvas is new; or it stands, and its edges may be read now.
    if (!this.isEmpty && (!this.overview() || this.lacksEdges())) this.ask(0);
    else if (this.isCoarse() && this.wanted() !== this.asked) this.ask(QUIET_MS); // once: the answer is bounded
  }

  // The finest tile that has all of the view.
  finest() {
    return [...this.tiles].reverse().find((tile) => tile.covers(this.view));
  }

  // Whether the visible part could be shown finer than the tiles at hand allow.
  isCoarse() {
    const tile = this.finest();
    if (this.isEmpty || !tile) return false;
    const { plot, view, ratio } = this;
    const step = (span, pixels) => Math.max(1, Math.ceil(span / (pixels * ratio * 0.95)));
    const down = step(view.r1 - view.r0, plot.height), across = step(view.c1 - view.c0, plot.width);
    return tile.rowStep > down || tile.columnStep > across;
  }

  draw() {
    if (this.frame) return;
    this.frame = requestAnimationFrame(() => {
      this.frame = 0;
      paint(this);
      this.report();
    });
  }

  // The status line, and attributes that tests read.
  report() {
    const data = this.root.dataset;
    data.ready = "true";
    if (this.isEmpty) return;
    const [r0, r1, c0, c1] = this.view.whole();
    const { rows, columns } = this.view;
    const spans = [this.windowText("row", [r0, r1], rows), this.windowText("column", [c0, c1], columns)];
    this.find(".window").textContent = spans.join(" · ");
    const tile = this.finest();
    let step = [1, 1];
    if (tile) {
      const level = tile.level(this.view, this.plot.width * this.ratio, this.plot.height * this.ratio);
      step = [tile.rowStep * level.down, tile.columnStep * level.across];
    }
    const isExact = step[0] * step[1] === 1;
    this.find(".scale").textContent = isExact
      ? "every cell is one entry"
      : `a cell shows the largest |w| of ${grouped(step[0])} × ${grouped(step[1])} entries`;
    this.find(".fit").disabled = this.find(".out").disabled = this.view.isFull;
    data.view = [r0, r1, c0, c1].join(",");
    data.exact = String(isExact);
    data.pending = String(Boolean(this.timer) || this.header.answers < this.sequence);
    data.edges = this.edges ? this.edges.title : "";
    data.plot = [this.plot.x, this.plot.y, this.plot.width, this.plot.height].map((n) => n.toFixed(1)).join(",");
  }

  moved() {
    this.draw();
    this.ask(QUIET_MS);
    this.tellView();
  }

  ask(delay) {
    const now = performance.now();
    this.firstAsk = this.timer ? this.firstAsk : now;
    clearTimeout(this.timer);
    // Every answer redraws the page around the canvas, so none is asked for while the tiles at hand are fine enough.
    const patience = this.isCoarse() ? this.firstAsk + PATIENCE_MS - now : delay;
    this.timer = setTimeout(() => this.request(), Math.max(0, Math.min(delay, patience)));
  }

  // The window and the pixels it has, as text: what the server is asked about.
  wanted() {
    const { view, plot, ratio } = this;
    const window = [view.r0, view.r1, view.c0, view.c1];
    return JSON.stringify({ window, pixels: [Math.round(plot.height * ratio), Math.round(plot.width * ratio)] });
  }

  request() {
    this.timer = 0;
    this.sequence += 1;
    this.asked = this.wanted();
    this.askedAt = performance.now();
    if (this.header.edges) this.askedEdges = this.header.view_id + this.header.edges.id;
    this.send("view", {
      view_id: this.header.view_id,
      ...JSON.parse(this.asked),
      sequence: this.sequence,
      overview: this.overview() ? this.header.tensor_id : "",
      edges: this.edges ? this.edges.id : "",
    });
  }

  select(cell) {
    const window = cell ? [...cell.rows, ...cell.columns] : null;
    this.selected = cell && cell.isExact ? [cell.rows[0], cell.columns[0], cell.text] : null;
    this.send("cell", { view_id: this.header.view_id, window });
    this.draw();
  }

  close() {
    this.part();
    this.observer.disconnect();
    clearTimeout(this.timer);
    cancelAnimationFrame(this.frame);
  }
}

Object.assign(HeatmapCanvas.prototype, Lines, EdgeStrips, Rectangle, Group, Gestures);

export default function (component) {
  const { parentElement } = component;
  const root = parentElement.querySelector(".heatmap");
  if (!root) return undefined;
  let canvas = instances.get(root);
  if (!canvas) {
    canvas = new HeatmapCanvas(root);
    instances.set(root, canvas);
  }
  canvas.receive(component);
  return () => {
    canvas.close();
    instances.delete(root);
  };
}
