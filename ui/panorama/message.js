// The message of canvas.py, read back: its header, and `cells` of all tiles.

function decodeScene(data) {
  const bytes = data instanceof Uint8Array ? data : new Uint8Array(data);
  const length = new DataView(bytes.buffer, bytes.byteOffset).getUint32(0, true);
  const header = JSON.parse(new TextDecoder().decode(bytes.subarray(4, 4 + length)));
  const rest = bytes.slice(4 + length);
  const cells = new Uint16Array(rest.buffer, 0, rest.byteLength >> 1);
  const found = [256, 257, 258].filter((number) => cells.includes(number) && !(header.are_values && number === 256));
  return { ...header, dim: new Set(header.dim), cells, found };
}

// The colour map as packed pixels: 256 colours, then NaN, +Inf and −Inf.
function paletteOf({ colours, special_colours }) {
  const pack = (r, g, b) => ((255 << 24) | (b << 16) | (g << 8) | r) >>> 0;
  const palette = new Uint32Array(259);
  for (let k = 0; k < 256; k++) {
    palette[k] = pack(...[0, 2, 4].map((i) => parseInt(colours.substr(6 * k + i, 2), 16)));
  }
  special_colours.forEach((rgb, k) => (palette[256 + k] = pack(...rgb)));
  return palette;
}

function css(packed) {
  return `rgb(${packed & 255} ${(packed >> 8) & 255} ${(packed >> 16) & 255})`;
}
