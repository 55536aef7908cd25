// Where things are: the plot in its box, the window of the matrix it shows, and the numbers along its axes.

const MARGIN = { left: 62, right: 84, top: 10, bottom: 26, bar: 16 }; // bar: from the plot to the colour bar
const LARGEST_CELL = 96; // CSS pixels: a vector is a thick stripe, not a wall
const LEAST_SHARE = 0.5; // of the box, along both axes, that square cells must fill to be preferred

// The plot's rectangle: square cells where the matrix then fills at least half of the box each way, else the whole box.
function fitPlot(rows, columns, boxWidth, boxHeight, margin) {
  const width = Math.max(40, boxWidth - margin.left - margin.right);
  const height = Math.max(40, boxHeight - margin.top - margin.bottom);
  const side = Math.min(width / columns, height / rows);
  const isSquare = columns * side >= LEAST_SHARE * width && rows * side >= LEAST_SHARE * height;
  const extent = (count, room) => Math.min(isSquare ? count * side : room, count * LARGEST_CELL);
  const [plotWidth, plotHeight] = [extent(columns, width), extent(rows, height)];
  return { x: margin.left + (width - plotWidth) / 2, y: margin.top, width: plotWidth, height: plotHeight };
}

class View {
  constructor(rows, columns) {
    this.rows = rows;
    this.columns = columns;
    this.fit();
  }

  fit() {
    [this.r0, this.r1, this.c0, this.c1] = [0, this.rows, 0, this.columns];
  }

  set(window) {
    [this.r0, this.r1, this.c0, this.c1] = window;
    this.clamp();
  }

  get isFull() {
    return this.r1 - this.r0 > this.rows - 1e-6 && this.c1 - this.c0 > this.columns - 1e-6;
  }

  // Zoom by `factor` (> 1 is closer) about a point given as shares of the plot. The axis whose cells are smaller on the
  // screen comes first, until cells are square; then both. So a tall matrix opens up before it spreads.
  zoom(factor, shareX, shareY, plot) {
    let alongX = factor, alongY = factor;
    if (factor > 1) {
      const ratio = plot.width / (this.c1 - this.c0) / (plot.height / (this.r1 - this.r0));
      const first = Math.min(factor, ratio > 1 ? ratio : 1 / ratio);
      if (ratio > 1) alongX = factor / first;
      else alongY = factor / first;
    }
    const smallest = (count, extent) => Math.min(count, Math.max(1, extent / LARGEST_CELL));
    const scaled = (start, stop, share, k, least, count) => {
      const span = Math.min(count, Math.max(least, (stop - start) / k));
      const at = start + (stop - start) * share;
      return [at - span * share, at - span * share + span];
    };
    [this.c0, this.c1] = scaled(this.c0, this.c1, shareX, alongX, smallest(this.columns, plot.width), this.columns);
    [this.r0, this.r1] = scaled(this.r0, this.r1, shareY, alongY, smallest(this.rows, plot.height), this.rows);
    this.clamp();
  }

  pan(rows, columns) {
    this.r0 += rows;
    this.r1 += rows;
    this.c0 += columns;
    this.c1 += columns;
    this.clamp();
  }

  clamp() {
    const inside = (start, stop, count) => {
      const span = Math.min(stop - start, count);
      const from = Math.min(Math.max(0, start), count - span);
      return [from, from + span];
    };
    [this.r0, this.r1] = inside(this.r0, this.r1, this.rows);
    [this.c0, this.c1] = inside(this.c0, this.c1, this.columns);
  }

  // Whole entries that are visible: [r0, r1, c0, c1].
  whole() {
    const round = (start, stop, count) => [
      Math.max(0, Math.floor(start + 1e-6)),
      Math.min(count, Math.max(Math.floor(start + 1e-6) + 1, Math.ceil(stop - 1e-6))),
    ];
    return [...round(this.r0, this.r1, this.rows), ...round(this.c0, this.c1, this.columns)];
  }
}

// Whole numbers to label between start and stop, at least `room` pixels apart: steps of 1, 2, 5, 10, …
function ticks(start, stop, pixels, room) {
  const least = ((stop - start) * room) / pixels;
  let step = 1;
  for (const factors = [2, 2.5, 2]; step < least; ) {
    const factor = factors[0];
    factors.push(factors.shift());
    step *= factor;
  }
  const labels = [];
  for (let k = Math.ceil((start - 0.5) / step) * step; k + 0.5 <= stop; k += step) {
    if (k + 0.5 >= start) labels.push(k || 0); // no −0
  }
  return labels;
}

const GROUPED = new Intl.NumberFormat("en-US");

function grouped(number) {
  return GROUPED.format(number);
}

function spanText(what, [start, stop]) {
  return stop - start === 1 ? `${what} ${grouped(start)}` : `${what}s ${grouped(start)}–${grouped(stop - 1)}`;
}
