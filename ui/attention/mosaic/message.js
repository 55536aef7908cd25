// The message of __init__.py, read back: its header, the cells' values and the numbers of their colours.

function decodeMosaic(data) {
  const bytes = data instanceof Uint8Array ? data : new Uint8Array(data);
  const length = new DataView(bytes.buffer, bytes.byteOffset).getUint32(0, true);
  const header = JSON.parse(new TextDecoder().decode(bytes.subarray(4, 4 + length)));
  const rest = bytes.slice(4 + length).buffer; // a copy that begins at offset 0, hence aligned
  const count = header.count * header.tile[0] * header.tile[1];
  return { ...header, values: new Float32Array(rest, 0, count), numbers: new Uint16Array(rest, 4 * count, count) };
}

// The colour map as packed pixels: 256 colours, then NaN, +Inf and −Inf.
function packedColours({ colours, special_colours }) {
  const pack = (r, g, b) => ((255 << 24) | (b << 16) | (g << 8) | r) >>> 0;
  const palette = new Uint32Array(259);
  for (let k = 0; k < 256; k++) {
    palette[k] = pack(...[0, 2, 4].map((i) => parseInt(colours.substr(6 * k + i, 2), 16)));
  }
  special_colours.forEach((rgb, k) => (palette[256 + k] = pack(...rgb)));
  return palette;
}

function cssColour(packed) {
  return `rgb(${packed & 255} ${(packed >> 8) & 255} ${(packed >> 16) & 255})`;
}

// The shortest decimal that reads back as the same float32; a share as percent.
function numberText(value, kind) {
  if (value !== value) return "NaN";
  if (!Number.isFinite(value)) return value > 0 ? "+Inf" : "−Inf";
  if (kind === "share") return `${Number((100 * value).toPrecision(4))} %`;
  for (let digits = 1; digits < 9; digits++) {
    const text = value.toPrecision(digits);
    if (Math.fround(Number(text)) === value) return String(Number(text));
  }
  return String(Number(value.toPrecision(9)));
}
