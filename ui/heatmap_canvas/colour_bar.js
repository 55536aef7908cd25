// The colour bar: the palette, and numbers beside it that suit the scale.

const BAR_WIDTH = 12;
const LABEL_ROOM = 15; // CSS pixels between two labels

function paintColourBar(context, state, palette) {
  const { plot, hover, theme, contents, header, ratio } = state;
  const x = plot.x + plot.width + state.margin.bar, y = plot.y, height = Math.max(plot.height, 60);
  context.drawImage(palette.strip(Math.round(height * ratio)), x, y, BAR_WIDTH, height);
  context.strokeStyle = theme.border;
  context.strokeRect(x - 0.5, y - 0.5, BAR_WIDTH + 1, height + 1);
  context.font = `11px ${theme.font}`;
  context.fillStyle = theme.text;
  context.textAlign = "left";
  context.textBaseline = "middle";
  for (const { share, value } of barTicks(header.scale, palette, height)) {
    const at = y + (1 - share) * height;
    const isBeyond = contents && ((share === 1 && contents.most > value) || (share === 0 && contents.least < value));
    const sign = isBeyond ? (share === 1 ? "≥ " : "≤ ") : "";
    context.fillText(sign + short(value), x + BAR_WIDTH + 8, Math.min(Math.max(at, y + 5), y + height - 5));
    line(context, x + BAR_WIDTH + 1, at, x + BAR_WIDTH + 4, at);
  }
  const pointed = state.hoverEdge ? null : hover;
  if (!pointed || !Number.isFinite(pointed.value)) return;
  const at = y + (1 - palette.position(pointed.value)) * height;
  context.beginPath();
  context.moveTo(x - 1, at);
  context.lineTo(x - 7, at - 4);
  context.lineTo(x - 7, at + 4);
  context.closePath();
  context.fillStyle = theme.text;
  context.fill();
}

// Where numbers stand beside the bar, from 0 (low) to 1: both ends, and between them round numbers on a linear scale,
// zero and powers of ten on a logarithmic one, and equal shares of the entries on a rank scale.
function barTicks(scale, palette, height) {
  const low = palette.knots[0], high = palette.knots[256];
  const ends = [{ share: 0, value: low }, { share: 1, value: high }];
  let inner;
  if (scale === "linear") inner = roundNumbers(low, high, height / 60);
  else if (scale === "symmetric log") inner = powersOfTen(low, high);
  else inner = (height < 120 ? [0.5] : [0.5, 0.25, 0.75, 0.125, 0.875]).map((share) => palette.valueAt(share));
  const kept = [...ends];
  for (const value of inner) {
    const share = palette.position(value);
    if (kept.every((other) => Math.abs(other.share - share) * height >= LABEL_ROOM)) kept.push({ share, value });
  }
  return kept.sort((a, b) => a.share - b.share);
}

// Multiples of 1, 2 or 5 · 10ᵏ between two numbers, about `count` of them, zero first.
function roundNumbers(low, high, count) {
  const rough = (high - low) / Math.max(2, count);
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((each) => each >= rough * 0.999);
  const found = [];
  for (let k = Math.ceil(low / step); k * step <= high; k++) found.push(Number((k * step).toPrecision(12)));
  return found.sort((a, b) => Math.abs(a) - Math.abs(b));
}

// Zero and ±10ᵏ, the largest first, as far as a symmetric logarithm can tell them apart.
function powersOfTen(low, high) {
  const most = Math.max(Math.abs(low), Math.abs(high));
  const found = [0];
  for (let k = Math.floor(Math.log10(most)); 10 ** k > most / 1000; k--) {
    for (const value of [10 ** k, -(10 ** k)]) if (value > low && value < high) found.push(Number(value.toPrecision(1)));
  }
  return found;
}

function short(value) {
  if (value === 0 || Math.abs(value) < 1e-300) return "0";
  const text = value.toPrecision(3);
  const isPlain = Math.abs(value) >= 1e-3 && Math.abs(value) < 1e5;
  return (isPlain ? String(Number(text)) : Number(text).toExponential()).replace("-", "−").replace("e−", "e-");
}
