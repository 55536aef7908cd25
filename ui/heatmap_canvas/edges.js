// One number per row and per column along the edges of the picture: bars that follow zoom and pan. Where a pixel covers
// several lines, its bar is the one of largest magnitude, as in the picture itself.

const EDGE = 40; // CSS pixels the bars may be long
const EDGE_GAP = 5;

const EdgeStrips = {
  takeEdges(header, { edge_rows, edge_columns }) {
    const wanted = header.edges ? header.edges.id : "";
    if (edge_rows) this.edges = { id: wanted, title: header.edges.title, row: edgeOf(edge_rows), column: edgeOf(edge_columns) };
    else if (!this.edges || this.edges.id !== wanted) this.edges = null;
  },

  // Whether the server has edges that this canvas lacks and has not asked for yet.
  lacksEdges() {
    const { header } = this;
    return Boolean(header.edges) && !this.edges && this.askedEdges !== header.view_id + header.edges.id;
  },

  // Which strips there is room for: one beside lines of a single entry would only repeat the picture.
  edgeAxes() {
    const [rows, columns] = this.header.matrix;
    const isWanted = Boolean(this.header.edges) && !this.isEmpty;
    return { row: isWanted && rows > 1, column: isWanted && columns > 1 };
  },

  // The box of a strip.
  strip(axis) {
    const { plot } = this;
    if (axis === "row") return { x: plot.x + plot.width + EDGE_GAP, y: plot.y, width: EDGE, height: plot.height };
    return { x: plot.x, y: plot.y - EDGE_GAP - EDGE, width: plot.width, height: EDGE };
  },

  // The line under a point beside the picture: {axis, lines, value}; null if there is none.
  edgeAt({ offsetX, offsetY }) {
    if (!this.edges) return null;
    for (const axis of ["row", "column"]) {
      if (!this.edgeAxes()[axis]) continue;
      const { x, y, width, height } = this.strip(axis);
      if (offsetX < x || offsetX >= x + width || offsetY < y || offsetY >= y + height) continue;
      const along = axis === "row" ? (offsetY - y) / height : (offsetX - x) / width;
      const [from, to, extent] = this.edgeWindow(axis);
      const pixel = (to - from) / extent, start = from + Math.floor(along * extent) * pixel;
      const place = extremePlace(this.edges[axis], this.lineCount(axis), start, start + pixel);
      return { axis, ...place, covered: Math.max(1, Math.ceil(start + pixel) - Math.floor(start)) };
    }
    return null;
  },

  edgeWindow(axis) {
    const { view, plot } = this;
    return axis === "row" ? [view.r0, view.r1, plot.height] : [view.c0, view.c1, plot.width];
  },

  lineCount(axis) {
    return this.header.matrix[axis === "row" ? 0 : 1];
  },

  showEdgeTip(event) {
    const { axis, lines, value } = this.hoverEdge;
    this.find(".place").textContent = this.linesText(axis, lines);
    this.find(".value b").textContent = `${this.edges.title} ${shortest(value)}`;
    this.find(".value .swatch").style.background = this.edgeColours()[value < 0 ? 1 : 0];
    const { covered } = this.hoverEdge;
    this.find(".note").textContent = `largest |${this.edges.title}| of ${grouped(covered)} ${axis}s`;
    this.find(".note").hidden = covered === 1;
    this.placeTip(event);
    this.root.dataset.hover = JSON.stringify({ edge: axis, lines, value: shortest(value) });
  },

  // Of positive and of negative bars: those of the map, where it tells signs apart.
  edgeColours() {
    const { palette, header, theme } = this;
    const isSigned = header.is_signed_map && header.edges.title === "sum";
    return isSigned ? [palette.cssOf(218), palette.cssOf(37)] : [theme.primary, theme.primary];
  },
};

function edgeOf(values) {
  let least = 0, most = 0;
  for (const value of values) {
    if (value < least) least = value;
    if (value > most) most = value;
  }
  return { values, least, most };
}

// The value of largest magnitude among the lines from … to, and the lines it stands for; of equal ones the first.
function extremePlace({ values }, count, from, to) {
  const step = Math.ceil(count / values.length);
  const first = Math.min(values.length - 1, Math.max(0, Math.floor(Math.floor(from + 1e-6) / step)));
  const last = Math.min(values.length, Math.max(first + 1, Math.ceil(Math.ceil(to - 1e-6) / step)));
  let at = first;
  for (let k = first + 1; k < last; k++) if (Math.abs(values[k]) > Math.abs(values[at])) at = k;
  return { lines: [at * step, Math.min(count, (at + 1) * step)], value: values[at] };
}

function paintEdges(context, state) {
  if (!state.edges) return;
  const [positive, negative] = state.edgeColours();
  for (const axis of ["row", "column"]) {
    if (!state.edgeAxes()[axis]) continue;
    const bars = { [positive]: new Path2D(), [negative]: new Path2D() };
    const zero = layBars(state, axis, (value) => bars[value < 0 ? negative : positive]);
    context.globalAlpha = positive === negative ? 0.6 : 1; // a wall of one colour would drown the picture
    for (const [colour, path] of Object.entries(bars)) {
      context.fillStyle = colour;
      context.fill(path);
    }
    context.globalAlpha = 1;
    const box = state.strip(axis);
    context.strokeStyle = state.theme.border;
    if (axis === "row") line(context, zero, box.y, zero, box.y + box.height);
    else line(context, box.x, zero, box.x + box.width, zero);
  }
  paintEdgeTitle(context, state);
  if (state.hoverEdge) paintPointedLine(context, state);
}

// What the bars are, in the corner between the strips, or at the end of the only one.
function paintEdgeTitle(context, state) {
  const { plot, theme, edges } = state;
  context.font = `11px ${theme.font}`;
  context.fillStyle = theme.text;
  context.globalAlpha = 0.7;
  context.textAlign = "left";
  context.textBaseline = "bottom";
  context.fillText(edges.title, plot.x + plot.width + EDGE_GAP, plot.y - EDGE_GAP);
  context.globalAlpha = 1;
}

// Adds a bar for each device pixel, or for each line where those are wider; returns where zero is.
function layBars(state, axis, path) {
  const { ratio } = state;
  const { least, most } = state.edges[axis];
  const box = state.strip(axis), isRow = axis === "row";
  const [from, to, extent] = state.edgeWindow(axis);
  const start = isRow ? box.y : box.x;
  const span = most - least || 1;
  // Values grow to the right beside the picture, and upwards above it.
  const at = (value) => (isRow ? box.x + ((value - least) / span) * EDGE : box.y + EDGE - ((value - least) / span) * EDGE);
  const zero = at(0);
  const bar = (value, first, length) => {
    const [low, size] = [Math.min(zero, at(value)), Math.abs(at(value) - zero)];
    if (isRow) path(value).rect(low, first, size, length);
    else path(value).rect(first, low, length, size);
  };
  const perLine = extent / (to - from);
  if (perLine * ratio >= 3) {
    for (let k = Math.floor(from); k < to; k++) {
      const first = Math.max(start, start + (k - from) * perLine), stop = Math.min(start + extent, start + (k + 1 - from) * perLine);
      const { value } = extremePlace(state.edges[axis], state.lineCount(axis), k, k + 1);
      if (stop > first) bar(value, first, Math.max(0.5, stop - first - (perLine > 6 ? 1 : 0)));
    }
    return zero;
  }
  const pixels = Math.max(1, Math.round(extent * ratio)), each = (to - from) / pixels;
  for (let k = 0; k < pixels; k++) {
    const { value } = extremePlace(state.edges[axis], state.lineCount(axis), from + k * each, from + (k + 1) * each);
    bar(value, start + k / ratio, 1 / ratio);
  }
  return zero;
}

// The line a person points at beside the picture, marked across the picture.
function paintPointedLine(context, { hoverEdge, plot, view, theme }) {
  const { axis, lines } = hoverEdge;
  const [from, to] = axis === "row" ? [view.r0, view.r1] : [view.c0, view.c1];
  const extent = axis === "row" ? plot.height : plot.width;
  const first = Math.max(0, ((lines[0] - from) / (to - from)) * extent);
  const size = Math.max(1, Math.min(extent, ((lines[1] - from) / (to - from)) * extent) - first);
  context.strokeStyle = theme.text;
  context.globalAlpha = 0.75;
  if (axis === "row") context.strokeRect(plot.x, plot.y + first, plot.width, size);
  else context.strokeRect(plot.x + first, plot.y, size, plot.height);
  context.globalAlpha = 1;
}
