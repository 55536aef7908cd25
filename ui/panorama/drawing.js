// Drawing: tiles, then the labels around them, then the colour bar. All from the state, at most once a frame.

const LABEL = 11.5; // CSS pixels of letters
const MINOR = 10.5;

function drawPanorama(state) {
  const { canvas, ratio, scene, view, theme } = state;
  const context = canvas.getContext("2d");
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, canvas.width / ratio, canvas.height / ratio);
  if (state.isEmpty) return;
  const { box } = view;
  context.save();
  context.beginPath();
  context.rect(box.x - 2, box.y - 2, box.width + 4, box.height + 4);
  context.clip();
  for (const index of state.visible()) drawTile(context, state, index);
  drawCaptions(context, state);
  drawOutlines(context, state);
  context.restore();
  drawRowLabels(context, state);
  drawColumnLabels(context, state);
  drawScrollBars(context, state);
  drawBar(context, state);
}

// A tile's rectangle on whole device pixels, a little apart from its neighbours.
function tileBox({ view, scene, ratio }, index) {
  const [x, y, width, height] = scene.tiles[index];
  const snap = (n) => Math.round(n * ratio) / ratio;
  const apart = (extent) => (extent < 3 ? 0 : extent < 10 ? 1 / ratio : Math.min(2, extent * 0.08));
  const [gapX, gapY] = [apart(width * view.scaleX), apart(height * view.scaleY)];
  const [x0, y0] = [snap(view.x(x)), snap(view.y(y))];
  return [x0, y0, Math.max(1 / ratio, snap(view.x(x + width) - gapX) - x0), Math.max(1 / ratio, snap(view.y(y + height) - gapY) - y0)];
}

function drawTile(context, state, index) {
  const { scene, pictures, ratio, theme } = state;
  const [x, y, width, height] = tileBox(state, index);
  context.globalAlpha = scene.dim.has(index) ? 0.16 : 1;
  const single = scene.grids[index] && scene.are_values ? pictures.single(index) : null;
  if (!scene.grids[index] || (scene.are_values && single === null)) {
    hatch(context, theme, x, y, width, height);
  } else if (scene.are_values) {
    context.fillStyle = css(single);
    context.fillRect(x, y, width, height);
    drawMark(context, state, scene.marks[index], single, [x, y, width, height]);
  } else {
    context.imageSmoothingEnabled = false;
    context.drawImage(pictures.at(index, width * ratio, height * ratio), x, y, width, height);
  }
  context.globalAlpha = 1;
}

// Nothing to show: slanted lines, the same in both themes.
function hatch(context, theme, x, y, width, height) {
  context.save();
  context.beginPath();
  context.rect(x, y, width, height);
  context.clip();
  context.fillStyle = theme.panel;
  context.fillRect(x, y, width, height);
  context.strokeStyle = theme.text;
  context.globalAlpha *= 0.3;
  context.lineWidth = 1;
  context.beginPath();
  for (let k = -Math.ceil(height / 6) * 6; k < width; k += 6) {
    context.moveTo(x + k, y + height);
    context.lineTo(x + k + height, y);
  }
  context.stroke();
  context.restore();
}

function drawMark(context, { theme }, text, packed, [x, y, width, height]) {
  if (!text || height < 12 || width < 18) return;
  context.font = `${Math.min(LABEL, height * 0.62)}px ${theme.font}`;
  if (context.measureText(text).width > width - 4) return;
  const [r, g, b] = [packed & 255, (packed >> 8) & 255, (packed >> 16) & 255];
  context.fillStyle = 0.299 * r + 0.587 * g + 0.114 * b > 140 ? "#10161d" : "#ffffff";
  context.textAlign = "center";
  context.textBaseline = "middle";
  context.fillText(text, x + width / 2, y + height / 2 + 0.5);
}

function drawCaptions(context, { scene, view, theme }) {
  context.font = `${MINOR}px ${theme.font}`;
  context.textAlign = "left";
  context.textBaseline = "alphabetic";
  context.fillStyle = theme.text;
  context.globalAlpha = 0.8;
  for (const [text, x, y, width, height] of scene.captions) {
    if (height * view.scaleY < 10) continue;
    context.fillText(cut(context, text, width * view.scaleX - 3), view.x(x), view.y(y + height) - 5);
  }
  context.globalAlpha = 1;
}

function drawOutlines(context, state) {
  const { scene, theme, hover, focus } = state;
  const around = (index, colour, width, halo) => {
    const [x, y, w, h] = tileBox(state, index);
    const half = width / 2;
    context.strokeStyle = halo;
    context.lineWidth = width + 2;
    context.strokeRect(x - half, y - half, w + width, h + width);
    context.strokeStyle = colour;
    context.lineWidth = width;
    context.strokeRect(x - half, y - half, w + width, h + width);
  };
  if (scene.selected !== null) around(scene.selected, theme.primary, 2.5, theme.background);
  const marked = hover ?? focus;
  if (marked !== null) around(marked, theme.text, 1.5, theme.background);
}

function drawRowLabels(context, { scene, view, theme, marked }) {
  if (!scene.rows.length) return;
  const { box, labels, labelEnd } = view;
  if (labelEnd > box.x + box.width) return;
  if (labelEnd > view.x(view.split) + 1) { // over tiles
    context.fillStyle = theme.background;
    context.globalAlpha = 0.92;
    context.fillRect(labelEnd - labels - box.x, box.y - 2, labels + box.x, box.height + 4);
  }
  context.textBaseline = "middle";
  context.textAlign = "right";
  let free = -Infinity;
  scene.rows.forEach(([label, title, y, height], k) => {
    const [from, to] = [Math.max(box.y, view.y(y)), Math.min(box.y + box.height, view.y(y + height))];
    const middle = (from + to) / 2, isMinor = label !== title;
    const room = isMinor ? MINOR : LABEL;
    if (to - from < 5 || middle - room / 2 < free - 1) return;
    free = middle + room / 2;
    context.font = `${k === marked.row ? "600 " : ""}${room}px ${theme.font}`;
    context.fillStyle = theme.text;
    context.globalAlpha = k === marked.row ? 1 : isMinor ? 0.55 : 0.85;
    const mark = scene.row_marks[k] ? ` ${scene.row_marks[k]}` : "", width = context.measureText(mark).width;
    context.fillText(cut(context, label, labels - 14 - width), labelEnd - 9 - width, middle);
    context.globalAlpha = 0.6;
    context.fillText(mark, labelEnd - 9, middle);
  });
  context.globalAlpha = 1;
}

function drawColumnLabels(context, { scene, view, theme, marked }) {
  if (!scene.columns.length) return;
  const { box, labelEnd } = view;
  context.font = `${LABEL}px ${theme.font}`;
  context.fillStyle = theme.text;
  context.textBaseline = "alphabetic";
  context.textAlign = "right";
  context.globalAlpha = 0.55;
  context.fillText("layer", labelEnd - 9, box.y - 8);
  context.textAlign = "center";
  const widest = Math.max(...scene.columns.map((column) => context.measureText(String(column[1])).width));
  const step = niceStep((widest + 8) / view.scaleX);
  let stack = null;
  scene.columns.forEach(([name, layer, x, width], k) => {
    const middle = view.x(x + width / 2);
    if (name !== stack) {
      drawStack(context, view, theme, name, x);
      stack = name;
    }
    if ((layer % step !== 0 && k !== marked.column) || middle < labelEnd || middle > box.x + box.width) return;
    const isNear = marked.column !== null && k !== marked.column && Math.abs(k - marked.column) * view.scaleX < widest + 6;
    if (isNear) return;
    context.globalAlpha = k === marked.column ? 1 : 0.8;
    context.font = `${k === marked.column ? "600 " : ""}${LABEL}px ${theme.font}`;
    context.fillText(String(layer), middle, box.y - 8);
  });
  context.globalAlpha = 1;
}

function drawStack(context, view, theme, name, x) {
  const at = view.x(x);
  if (!name || at > view.box.x + view.box.width) return;
  context.save();
  context.textAlign = "left";
  context.globalAlpha = 1;
  context.font = `600 ${LABEL}px ${theme.font}`;
  context.fillText(name, Math.max(at, view.labelEnd), view.box.y - 25);
  context.restore();
}

// 1, 2, 5, 10, …: layers between two labels.
function niceStep(least) {
  let step = 1;
  for (const factors = [2, 2.5, 2]; step < least; factors.push(factors.shift())) step *= factors[0];
  return step;
}

// When zoomed: which part of the whole is seen.
function drawScrollBars(context, { view, theme }) {
  if (view.isFull && !view.isWide) return;
  const { box } = view;
  const bar = (x, y, width, height, colour) => {
    context.fillStyle = colour;
    context.fillRect(x, y, width, height);
  };
  const whole = [view.width, view.height];
  bar(box.x, box.y + box.height + 4, box.width, 3, theme.border);
  bar(box.x + (view.left / whole[0]) * box.width, box.y + box.height + 4, Math.min(1, box.width / whole[0]) * box.width, 3, theme.primary);
  if (whole[1] <= box.height + 1) return;
  bar(box.x - 8, box.y, 3, box.height, theme.border);
  bar(box.x - 8, box.y + (view.top / whole[1]) * box.height, 3, (box.height / whole[1]) * box.height, theme.primary);
}

function drawBar(context, { scene, view, theme, pictures }) {
  const { box } = view;
  const y = box.y + box.height + 19, height = 10;
  const width = Math.min(320, box.width * 0.5), x = box.x;
  for (let k = 0; k < width; k++) {
    context.fillStyle = css(pictures.palette[Math.min(255, Math.floor(((k + 0.5) / width) * 256))]);
    context.fillRect(x + k, y, 1.5, height);
  }
  context.strokeStyle = theme.border;
  context.lineWidth = 1;
  context.strokeRect(x - 0.5, y - 0.5, width + 1, height + 1);
  context.font = `${MINOR}px ${theme.font}`;
  context.fillStyle = theme.text;
  context.textBaseline = "top";
  const last = scene.bar.length - 1;
  scene.bar.forEach((text, k) => {
    context.textAlign = k === 0 ? "left" : k === last ? "right" : "center";
    context.fillText(text, x + (k / last) * width, y + height + 5);
  });
  context.textAlign = "left";
  context.textBaseline = "middle";
  context.globalAlpha = 0.65;
  const title = cut(context, scene.bar_title, box.width - width - 130);
  context.fillText(title, x + width + 12, y + height / 2 + 0.5);
  context.globalAlpha = 1;
  let at = x + width + 14;
  for (const number of scene.found) { // what is no number, in a second line
    const name = ["NaN", "+Inf", "−Inf"][number - 256];
    context.fillStyle = css(pictures.palette[number]);
    context.fillRect(at, y + height + 6, 9, 9);
    context.fillStyle = theme.text;
    context.fillText(name, at + 13, y + height + 11);
    at += 26 + context.measureText(name).width;
  }
}

// Text that fits, with an ellipsis where it does not.
function cut(context, text, room) {
  if (room < 8) return "";
  if (context.measureText(text).width <= room) return text;
  let [fits, fails] = [0, text.length];
  while (fails - fits > 1) {
    const middle = (fits + fails) >> 1;
    if (context.measureText(text.slice(0, middle).trimEnd() + "…").width <= room) fits = middle;
    else fails = middle;
  }
  return fits ? text.slice(0, fits).trimEnd() + "…" : "";
}

function themeOf(element) {
  const style = getComputedStyle(element);
  const get = (name, otherwise) => style.getPropertyValue(name).trim() || otherwise;
  return {
    text: get("--st-text-color", "#222"),
    background: get("--st-background-color", "#fff"),
    panel: get("--st-secondary-background-color", "#eee"),
    border: get("--st-border-color", "#ccc"),
    primary: get("--st-primary-color", "#06c"),
    font: get("--st-font", "sans-serif"),
  };
}
