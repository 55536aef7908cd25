// The line below the picture: one number for every frame, with the frame that is shown.

const STRIP = { top: 12, bottom: 24, right: 150 };

function stripPlaces(count, width) {
  const left = MARGIN.left, room = Math.max(10, width - left - STRIP.right);
  return Array.from({ length: count }, (_, k) => left + (count > 1 ? (k / (count - 1)) * room : room / 2));
}

function nearestFrame(x, count, width) {
  const places = stripPlaces(count, width);
  let best = 0;
  places.forEach((place, k) => {
    if (Math.abs(place - x) < Math.abs(places[best] - x)) best = k;
  });
  return best;
}

// Draws `values` (NaN leaves a gap) over the frames; `ticks` are the frames' short names.
function paintStrip(canvas, ratio, { values, ticks, index, theme }) {
  const context = canvas.getContext("2d");
  const width = canvas.width / ratio, height = canvas.height / ratio;
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, width, height);
  const places = stripPlaces(values.length, width);
  const finite = values.filter(Number.isFinite);
  const [low, high] = stripRange(finite);
  const y = (value) => STRIP.top + (1 - (value - low) / (high - low)) * (height - STRIP.top - STRIP.bottom);
  context.font = `11px ${theme.font}`;
  context.textBaseline = "middle";
  context.textAlign = "right";
  context.lineWidth = 1;
  context.fillStyle = theme.text;
  context.strokeStyle = theme.border;
  for (const value of finite.length ? [low, (low + high) / 2, high] : []) {
    line(context, MARGIN.left - 4, y(value), width - STRIP.right + 8, y(value));
    context.globalAlpha = 0.8;
    context.fillText(short(value), MARGIN.left - 10, y(value));
    context.globalAlpha = 1;
  }
  if (!finite.length) {
    context.textAlign = "left";
    context.fillText("undefined", MARGIN.left, height / 2);
  }
  paintTicks(context, ticks, places, index, height, theme);
  context.strokeStyle = theme.primary;
  line(context, places[index], STRIP.top - 6, places[index], height - STRIP.bottom + 4);
  paintCurve(context, values, places, y, theme);
  if (Number.isFinite(values[index])) paintDot(context, places[index], y(values[index]), 4.5, theme);
}

function paintCurve(context, values, places, y, theme) {
  context.strokeStyle = theme.primary;
  context.lineWidth = 1.75;
  context.beginPath();
  let isDown = false;
  values.forEach((value, k) => {
    if (Number.isFinite(value)) context[isDown ? "lineTo" : "moveTo"](places[k], y(value));
    isDown = Number.isFinite(value);
  });
  context.stroke();
  if (values.length > 64) return;
  values.forEach((value, k) => Number.isFinite(value) && paintDot(context, places[k], y(value), 2.5, theme));
}

function paintDot(context, x, y, radius, theme) {
  context.beginPath();
  context.arc(x, y, radius, 0, 2 * Math.PI);
  context.fillStyle = theme.primary;
  context.fill();
  context.lineWidth = 1.5;
  context.strokeStyle = theme.background;
  if (radius > 3) context.stroke();
}

// The names of as many frames as have room; the shown one always, in bold, and those it would cover not.
function paintTicks(context, ticks, places, index, height, theme) {
  const at = height - 10;
  context.textAlign = "center";
  context.fillStyle = theme.text;
  context.font = `600 11px ${theme.font}`;
  const extent = (k) => {
    const half = context.measureText(ticks[k]).width / 2 + 7;
    return [places[k] - half, places[k] + half];
  };
  const taken = [extent(index)];
  context.fillText(ticks[index], places[index], at);
  context.font = `11px ${theme.font}`;
  context.globalAlpha = 0.7;
  const room = Math.max(1, ...ticks.map((tick) => context.measureText(tick).width + 14));
  const step = Math.max(1, Math.ceil(room / Math.max(1e-6, places.length > 1 ? places[1] - places[0] : room)));
  for (let k = 0; k < ticks.length; k += step) {
    const [left, right] = extent(k);
    if (taken.some(([from, to]) => left < to && right > from)) continue;
    taken.push([left, right]);
    context.fillText(ticks[k], places[k], at);
  }
  context.globalAlpha = 1;
}

function stripRange(finite) {
  if (!finite.length) return [0, 1];
  const low = Math.min(...finite), high = Math.max(...finite);
  if (low < high) return [low, high];
  const room = Math.abs(low) || 1;
  return [low - room / 2, high + room / 2];
}
