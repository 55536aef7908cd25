// From a number to its place on a scale and to its colour; the same rules as engine.colour_scales.

class Scale {
  // kind: a linear scale has equal steps, so that the place of a number is guessed at once and only checked.
  constructor(knots, kind) {
    this.knots = Float64Array.from(knots);
    this.stepsPerUnit = kind === "linear" ? 256 / (knots[256] - knots[0]) : 0;
  }

  // How many inner knots are at most the value: by a guess, or by halving, 8 steps for 255 knots. 0 for NaN.
  number(value) {
    const { knots, stepsPerUnit } = this;
    let count = 0;
    if (stepsPerUnit > 0 && stepsPerUnit < Infinity && value === value) {
      count = Math.min(255, Math.max(0, Math.floor((value - knots[0]) * stepsPerUnit)));
      while (count < 255 && value >= knots[count + 1]) count += 1;
      while (count > 0 && value < knots[count]) count -= 1;
      return count;
    }
    for (let step = 128; step > 0; step >>= 1) if (value >= knots[count + step]) count += step;
    return count;
  }

  // How far along the scale a number lies, 0 … 1, and the number at a share of it.
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
}

// Heights: −1 … 1 on a signed scale, else 0 … 1; engine.surfaces.heights.
class HeightScale extends Scale {
  constructor({ knots, kind, is_signed, infinite }) {
    super(knots, kind);
    Object.assign(this, { kind, isSigned: is_signed, infinite });
    this.signature = kind + knots;
    this.isEven = kind === "linear";
  }

  height(value) {
    if (value === Infinity) return this.infinite;
    if (value === -Infinity) return -this.infinite;
    const { knots } = this;
    // Equal steps need no search: a million cells are placed in some milliseconds.
    const share = this.isEven
      ? Math.min(1, Math.max(0, (value - knots[0]) / (knots[256] - knots[0])))
      : this.position(value);
    return this.isSigned ? 2 * share - 1 : share;
  }

  valueOf(height) {
    return this.valueAt(this.isSigned ? (height + 1) / 2 : height);
  }
}

class Palette extends Scale {
  constructor({ knots, scale, colours, special_colours }) {
    super(knots, scale);
    this.signature = colours + knots;
    const pack = (r, g, b) => ((255 << 24) | (b << 16) | (g << 8) | r) >>> 0;
    this.packed = new Uint32Array(256);
    for (let i = 0; i < 256; i++) {
      const [r, g, b] = [0, 2, 4].map((at) => parseInt(colours.substr(6 * i + at, 2), 16));
      this.packed[i] = pack(r, g, b);
    }
    [this.nan, this.posinf, this.neginf] = special_colours.map((rgb) => pack(...rgb));
  }

  colour(value) {
    if (value !== value) return this.nan;
    if (value === Infinity) return this.posinf;
    if (value === -Infinity) return this.neginf;
    return this.packed[this.number(value)];
  }

  css(value) {
    const [r, g, b] = this.rgb(value);
    return `rgb(${r} ${g} ${b})`;
  }

  rgb(value) {
    const c = this.colour(value);
    return [c & 255, (c >> 8) & 255, (c >> 16) & 255];
  }
}

function short(value) {
  if (value === 0 || Math.abs(value) < 1e-300) return "0";
  const text = value.toPrecision(3);
  return Math.abs(value) >= 1e-3 && Math.abs(value) < 1e5 ? String(Number(text)) : Number(text).toExponential();
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

function grouped(number) {
  return number.toLocaleString("en-US");
}

function spanText(what, [start, stop]) {
  return stop - start === 1 ? `${what} ${grouped(start)}` : `${what}s ${grouped(start)}–${grouped(stop - 1)}`;
}
