// The numbers at one fineness, and what the graphics card needs of them: heights and colours.

const HOLE = 1e9; // the height that stands for NaN, which graphics cards do not treat alike
const SHOWN_OUTLIERS = 256; // largest cells that also get a line of their own, so that none falls between two pixels
const CELLS_AN_OUTLIER = 256; // fewer in a small grid, whose cells are seen anyway
const SHOWN_SPECIALS = 4096;

// Whether a wins over b in a pooled cell: NaN, then the larger magnitude, then the positive one; as engine.pooling.
function wins(a, b) {
  if (b !== b) return false;
  const x = Math.abs(a), y = Math.abs(b);
  return x > y || a !== a || (x === y && a > b);
}

class Level {
  constructor(values, rows, columns, down, across, whole) {
    Object.assign(this, { values, rows, columns, down, across });
    this.whole = whole || [rows, columns]; // of the finest level: a coarse cell at the border may cover fewer
  }

  // The level with at most so many cells: cells are joined by their signed extreme, never dropped.
  coarser(mostCells) {
    let down = 1, across = 1;
    const count = () => Math.ceil(this.rows / down) * Math.ceil(this.columns / across);
    while (count() > mostCells) {
      if (Math.ceil(this.rows / down) >= Math.ceil(this.columns / across)) down *= 2;
      else across *= 2;
    }
    if (down * across === 1) return this;
    const rows = Math.ceil(this.rows / down), columns = Math.ceil(this.columns / across);
    const values = new Float32Array(rows * columns);
    for (let i = 0; i < this.rows; i++) {
      const row = Math.floor(i / down) * columns;
      for (let j = 0; j < this.columns; j++) {
        const value = this.values[i * this.columns + j], k = row + Math.floor(j / across);
        if ((i % down === 0 && j % across === 0) || wins(value, values[k])) values[k] = value;
      }
    }
    return new Level(values, rows, columns, this.down * down, this.across * across, this.whole);
  }

  // Heights (HOLE for NaN) and colours; made once for a scale and a palette.
  dress(scale, palette) {
    if (this.heightSignature !== scale.signature) {
      this.heights = new Float32Array(this.values.length);
      for (let i = 0; i < this.heights.length; i++) {
        const value = this.values[i];
        this.heights[i] = value !== value ? HOLE : scale.height(value);
      }
      this.heightSignature = scale.signature;
      this.stamp = Symbol("heights");
    }
    if (this.colourSignature !== palette.signature) {
      this.colours = new Uint32Array(this.values.length);
      for (let i = 0; i < this.colours.length; i++) this.colours[i] = palette.colour(this.values[i]);
      this.colourSignature = palette.signature;
      this.colourStamp = Symbol("colours");
    }
    return this;
  }

  // A cell's middle on the ground, as shares 0 … 1 across and along; the shaders' rule.
  share(row, column) {
    const [rows, columns] = this.whole;
    const middle = (k, factor, count) => (k * factor + Math.min(count, (k + 1) * factor)) / (2 * count);
    return [middle(column, this.across, columns), middle(row, this.down, rows)];
  }

  // The smallest and the largest finite number; ∞ and −∞ where there is none.
  extremes() {
    if (this.ends) return this.ends;
    this.ends = [Infinity, -Infinity];
    for (const value of this.values) {
      if (value < this.ends[0] && value > -Infinity) this.ends[0] = value;
      if (value > this.ends[1] && value < Infinity) this.ends[1] = value;
    }
    return this.ends;
  }

  // What stands out: cells with NaN or ±Inf, and the finite ones of largest magnitude.
  standouts() {
    if (this.found) return this.found;
    const specials = [], counts = [0, 0, 0];
    const { values } = this;
    for (let i = 0; i < values.length; i++) {
      const value = values[i];
      if (Number.isFinite(value)) continue;
      counts[value !== value ? 0 : value > 0 ? 1 : 2] += 1;
      if (specials.length < SHOWN_SPECIALS) specials.push(i);
    }
    this.found = { specials, counts, outliers: largest(values, Math.min(SHOWN_OUTLIERS, values.length / CELLS_AN_OUTLIER)) };
    return this.found;
  }
}

// Indices of the `count` finite numbers of largest magnitude: one pass with a threshold that rises.
function largest(values, count) {
  let kept = [], least = -1;
  count = Math.floor(count);
  const magnitude = (i) => Math.abs(values[i]);
  const trim = () => {
    kept.sort((a, b) => magnitude(b) - magnitude(a));
    kept = kept.slice(0, count);
    if (kept.length === count) least = magnitude(kept[count - 1]);
  };
  for (let i = 0; i < values.length; i++) {
    const size = Math.abs(values[i]);
    if (size > least && size < Infinity && size > 0) kept.push(i);
    if (kept.length >= 4 * count) trim();
  }
  trim();
  return kept;
}
