// A tile: a grid of numbers over a window of the matrix, and pictures of it at the sizes the screen asks for.

// How a number becomes a colour; the same rule as engine.colour_scales.
class Palette {
  constructor(header) {
    const table = decodeColours(header.colours);
    const pack = (r, g, b) => ((255 << 24) | (b << 16) | (g << 8) | r) >>> 0;
    this.knots = Float64Array.from(header.knots);
    this.signature = header.colours + header.knots;
    this.packed = new Uint32Array(256);
    for (let i = 0; i < 256; i++) this.packed[i] = pack(table[3 * i], table[3 * i + 1], table[3 * i + 2]);
    [this.nan, this.posinf, this.neginf] = header.special_colours.map((rgb) => pack(...rgb));
  }

  colour(value) {
    if (value !== value) return this.nan;
    if (value === Infinity) return this.posinf;
    if (value === -Infinity) return this.neginf;
    return this.packed[this.number(value)];
  }

  // How many inner knots are at most the value, by halving: 8 steps for 255 knots.
  number(value) {
    const { knots } = this;
    let count = 0;
    for (let step = 128; step > 0; step >>= 1) if (value >= knots[count + step]) count += step;
    return count;
  }

  // How far along the scale a number lies, and the number at a share of it: engine.colour_scales' positions, values_at.
  position(value) {
    const { knots } = this;
    const k = this.number(value), span = knots[k + 1] - knots[k];
    return Math.min(1, Math.max(0, (k + (span > 0 ? (value - knots[k]) / span : 0)) / 256));
  }

  valueAt(share) {
    const { knots } = this;
    const k = Math.min(255, Math.floor(share * 256));
    return knots[k] + (share * 256 - k) * (knots[k + 1] - knots[k]);
  }

  css(value) {
    return packedCss(this.colour(value));
  }

  cssOf(number) {
    return packedCss(this.packed[number]);
  }

  // The colour bar, one pixel wide, the high end on top; kept, because it is drawn with every frame.
  strip(height) {
    if (!this.bar || this.bar.height !== height) {
      this.bar = document.createElement("canvas");
      [this.bar.width, this.bar.height] = [1, height];
      const context = this.bar.getContext("2d");
      for (let k = 0; k < height; k++) {
        context.fillStyle = this.cssOf(Math.min(255, Math.floor((1 - (k + 0.5) / height) * 256)));
        context.fillRect(0, k, 1, 1);
      }
    }
    return this.bar;
  }
}

function packedCss(c) {
  return `rgb(${c & 255} ${(c >> 8) & 255} ${(c >> 16) & 255})`;
}

// Whether a wins over b in a pooled cell: NaN, then the larger magnitude, then the positive one; as engine.pooling.
function wins(a, b) {
  if (b !== b) return false;
  const x = Math.abs(a), y = Math.abs(b);
  return x > y || a !== a || (x === y && a > b);
}

class Tile {
  constructor({ id, rows, columns, shape, values, stored }) {
    this.id = id;
    [this.rowStart, this.rowStop, this.rowStep] = rows;
    [this.columnStart, this.columnStop, this.columnStep] = columns;
    [this.height, this.width] = shape;
    this.values = values;
    this.stored = stored;
    this.levels = new Map();
  }

  meets(view) {
    return this.rowStart < view.r1 && this.rowStop > view.r0 && this.columnStart < view.c1 && this.columnStop > view.c0;
  }

  covers(view) {
    const slack = 1e-6; // views are fractions, and rounding must not lose a tile
    return (
      this.rowStart <= view.r0 + slack && this.rowStop >= view.r1 - slack &&
      this.columnStart <= view.c0 + slack && this.columnStop >= view.c1 - slack
    );
  }

  holds(row, column) {
    return row >= this.rowStart && row < this.rowStop && column >= this.columnStart && column < this.columnStop;
  }

  // The tile shrunk so that every cell gets a pixel of its own: a screen smaller than the tile hides no outlier either.
  level(view, plotWidth, plotHeight) {
    const shrink = (cells, span, viewSpan, pixels) => {
      let factor = 1;
      while (Math.ceil(cells / factor) > 1 && Math.ceil(cells / factor) > (span / viewSpan) * pixels + 0.01) factor *= 2;
      return factor;
    };
    const down = shrink(this.height, this.rowStop - this.rowStart, view.r1 - view.r0, plotHeight);
    const across = shrink(this.width, this.columnStop - this.columnStart, view.c1 - view.c0, plotWidth);
    const key = `${down},${across}`;
    if (!this.levels.has(key)) this.levels.set(key, this.shrunk(down, across));
    return this.levels.get(key);
  }

  shrunk(down, across) {
    if (down === 1 && across === 1) return { values: this.values, height: this.height, width: this.width, down, across };
    const height = Math.ceil(this.height / down), width = Math.ceil(this.width / across);
    const values = new Float32Array(height * width);
    for (let i = 0; i < this.height; i++) {
      const row = Math.floor(i / down) * width;
      for (let j = 0; j < this.width; j++) {
        const value = this.values[i * this.width + j];
        const k = row + Math.floor(j / across);
        const isFirst = i % down === 0 && j % across === 0;
        if (isFirst || wins(value, values[k])) values[k] = value;
      }
    }
    return { values, height, width, down, across };
  }

  picture(level, palette) {
    if (level.picture && level.signature === palette.signature) return level.picture;
    const canvas = level.picture || document.createElement("canvas");
    canvas.width = level.width;
    canvas.height = level.height;
    const context = canvas.getContext("2d");
    const image = context.createImageData(level.width, level.height);
    const pixels = new Uint32Array(image.data.buffer);
    for (let i = 0; i < pixels.length; i++) pixels[i] = palette.colour(level.values[i]);
    context.putImageData(image, 0, 0);
    level.picture = canvas;
    level.signature = palette.signature;
    return canvas;
  }

  // What a point of the picture stands for: its entries, their number, and whether it is one entry.
  cell(row, column, level) {
    const i = Math.min(level.height - 1, Math.floor(((row - this.rowStart) / (this.rowStop - this.rowStart)) * level.height));
    const j = Math.min(
      level.width - 1,
      Math.floor(((column - this.columnStart) / (this.columnStop - this.columnStart)) * level.width),
    );
    const span = (start, stop, step, k) => [start + k * step, Math.min(stop, start + (k + 1) * step)];
    const rows = span(this.rowStart, this.rowStop, this.rowStep * level.down, i);
    const columns = span(this.columnStart, this.columnStop, this.columnStep * level.across, j);
    const value = level.values[i * level.width + j];
    const isExact = rows[1] - rows[0] === 1 && columns[1] - columns[0] === 1;
    const isStored = this.stored !== null && level.values === this.values;
    const text = isStored ? String(this.stored[i * level.width + j]) : shortest(value);
    return { rows, columns, value, text, isExact };
  }

  // What it holds: whether NaN, +Inf and −Inf occur, and the smallest and largest finite cell.
  contents() {
    if (!this.found) {
      const found = { specials: [false, false, false], least: Infinity, most: -Infinity };
      for (const value of this.values) {
        if (value !== value) found.specials[0] = true;
        else if (value === Infinity) found.specials[1] = true;
        else if (value === -Infinity) found.specials[2] = true;
        else {
          if (value < found.least) found.least = value;
          if (value > found.most) found.most = value;
        }
      }
      this.found = found;
    }
    return this.found;
  }
}

// The shortest decimal that reads back as the same float32.
function shortest(value) {
  if (value !== value) return "NaN";
  if (!Number.isFinite(value)) return value > 0 ? "+Inf" : "-Inf";
  if (Object.is(value, -0)) return "-0";
  for (let digits = 1; digits < 9; digits++) {
    const text = value.toPrecision(digits);
    if (Math.fround(Number(text)) === value) return String(Number(text));
  }
  return String(Number(value.toPrecision(9)));
}
