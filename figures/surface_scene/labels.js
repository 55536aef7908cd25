// Words and numbers over the picture: axes, colour bar, and rings about the cells that are named.

const BAR_ROOM = 92; // CSS pixels at the right for the colour bar

function findTicks(scene, frame) {
  const { rows, columns, cells, ground } = scene.header;
  const [x, z] = ground;
  const edgeX = frame.eye[0] > 0 ? x : -x, edgeZ = frame.eye[2] > 0 ? z : -z; // the near sides
  const length = (a, b) => {
    const [p, q] = [frame.project(...a), frame.project(...b)];
    return p && q ? Math.hypot(p[0] - q[0], p[1] - q[1]) : 0;
  };
  const along = (range, count, half, room, from, to) =>
    entryTicks(range[0], range[1], Math.max(2, length(from, to) / room)).map((entry) => ({
      entry,
      at: entryPlace(entry, range, count, half),
    }));
  return {
    columns: along(columns, cells[1], x, 64, [-x, 0, edgeZ], [x, 0, edgeZ]),
    rows: along(rows, cells[0], z, 46, [edgeX, 0, -z], [edgeX, 0, z]),
    edgeX,
    edgeZ,
  };
}

function paintLabels(context, scene, frame) {
  const { theme } = scene;
  context.font = `11px ${theme.font}`;
  context.fillStyle = theme.text;
  context.textBaseline = "middle";
  scene.taken = []; // rectangles of the labels so far: one that would lie on another is left out
  paintTitles(context, scene, frame);
  paintValues(context, scene, frame);
  paintEntries(context, scene, frame);
  paintColourBar(context, scene, frame);
  for (const [cell, isKept] of [[scene.hover, false], [scene.chosen, true]]) {
    if (cell) paintRing(context, scene, frame, cell, isKept);
  }
}

// A label with a halo, so that it reads on anything; not where another one is, nor outside.
function label(context, scene, frame, text, x, y) {
  const { theme, taken } = scene, width = context.measureText(text).width;
  const left = { left: x, right: x - width, center: x - width / 2 }[context.textAlign];
  const box = [left - 2, y - 7, left + width + 2, y + 7];
  if (box[0] < 2 || box[2] > frame.width + 6 || box[1] < 2 || box[3] > frame.height - 2) return;
  if (taken.some((other) => box[0] < other[2] && other[0] < box[2] && box[1] < other[3] && other[1] < box[3])) return;
  taken.push(box);
  context.lineJoin = "round";
  context.lineWidth = 3;
  context.strokeStyle = theme.background;
  context.strokeText(text, x, y);
  context.fillText(text, x, y);
}

// A label at a place of the scene, moved outwards on the screen by some pixels.
function labelAt(context, scene, frame, text, place, outwards, pixels) {
  const at = frame.project(...place), beyond = frame.project(...place.map((x, k) => x + 0.1 * outwards[k]));
  if (!at || !beyond) return;
  const [dx, dy] = [beyond[0] - at[0], beyond[1] - at[1]], length = Math.max(1, Math.hypot(dx, dy));
  label(context, scene, frame, text, at[0] + (dx / length) * pixels * 1.3, at[1] + (dy / length) * pixels);
}

function paintTitles(context, scene, frame) {
  const { edgeX, edgeZ } = scene.ticks, low = scene.range[0] * scene.raise;
  const [rows, columns] = scene.header.sorted, title = (what, order) => (order ? `${what} ${order}` : what);
  context.textAlign = "center";
  context.font = `600 11px ${scene.theme.font}`;
  labelAt(context, scene, frame, title("columns", columns), [0, low, edgeZ], [0, 0, Math.sign(edgeZ)], 44);
  if (scene.header.cells[0] > 1) labelAt(context, scene, frame, title("rows", rows), [edgeX, low, 0], [Math.sign(edgeX), 0, 0], 52);
  context.font = `11px ${scene.theme.font}`;
}

function paintEntries(context, scene, frame) {
  const { edgeX, edgeZ, columns, rows } = scene.ticks, low = scene.range[0] * scene.raise;
  context.textAlign = "center";
  for (const { entry, at } of columns) {
    labelAt(context, scene, frame, grouped(entry), [at, low, edgeZ], [0, 0, Math.sign(edgeZ)], 17);
  }
  for (const { entry, at } of scene.header.cells[0] > 1 ? rows : []) {
    labelAt(context, scene, frame, grouped(entry), [edgeX, low, at], [Math.sign(edgeX), 0, 0], 18);
  }
}

function paintValues(context, scene, frame) {
  const { scale, raise, range } = scene;
  const [x, z] = scene.header.ground;
  const wallX = frame.eye[0] > 0 ? -x : x, wallZ = frame.eye[2] > 0 ? -z : z;
  const posts = [[wallX, -wallZ], [-wallX, wallZ]].filter(([a, b]) => frame.project(a, 0, b));
  if (!posts.length) return;
  const [postX, postZ] = posts.sort((p, q) => frame.project(p[0], 0, p[1])[0] - frame.project(q[0], 0, q[1])[0])[0];
  context.textAlign = "right";
  for (const { height, text } of heightTicks(scale, range)) {
    const at = frame.project(postX, height * raise, postZ);
    if (at) label(context, scene, frame, text, at[0] - 7, at[1]);
  }
}

function paintColourBar(context, scene, frame) {
  const { palette, theme, full } = scene;
  const x = frame.width + 16, y = 18, width = 12, height = Math.max(60, frame.height - 44);
  for (let k = 0; k < height; k++) {
    context.fillStyle = palette.css(palette.valueAt(1 - (k + 0.5) / height));
    context.fillRect(x, y + k, width, 1.5);
  }
  context.lineWidth = 1;
  context.strokeStyle = theme.border;
  context.strokeRect(x - 0.5, y - 0.5, width + 1, height + 1);
  context.fillStyle = theme.text;
  context.textAlign = "left";
  const [least, most] = full.extremes();
  for (let k = 0; k < 5; k++) {
    const value = palette.valueAt(1 - k / 4);
    const isBeyond = (k === 0 && most > value) || (k === 4 && least < value);
    const at = Math.min(Math.max(y + (k / 4) * height, y + 5), y + height - 5);
    context.fillText((isBeyond ? (k === 0 ? "≥ " : "≤ ") : "") + short(value), x + width + 7, at);
  }
  const { hover } = scene;
  if (!hover || !Number.isFinite(hover.value)) return;
  const at = y + (1 - palette.position(hover.value)) * height;
  context.beginPath();
  context.moveTo(x - 1, at);
  context.lineTo(x - 7, at - 4);
  context.lineTo(x - 7, at + 4);
  context.closePath();
  context.fill();
}

// A ring about a cell's top; a kept one also has a line down to the zero plane.
function paintRing(context, scene, frame, cell, isKept) {
  const { theme } = scene;
  const at = scene.where(cell, frame), foot = scene.where({ ...cell, height: 0 }, frame);
  if (!at || !foot) return;
  const draw = () => {
    context.beginPath();
    context.arc(at[0], at[1], isKept ? 6 : 4.5, 0, 2 * Math.PI);
    context.stroke();
  };
  context.strokeStyle = theme.background;
  context.lineWidth = 4;
  draw();
  context.strokeStyle = isKept ? theme.primary : theme.text;
  context.lineWidth = 2;
  draw();
  if (!isKept) return;
  context.setLineDash([3, 3]);
  context.lineWidth = 1;
  context.beginPath();
  context.moveTo(at[0], at[1] + (foot[1] > at[1] ? 6 : -6));
  context.lineTo(foot[0], foot[1]);
  context.stroke();
  context.setLineDash([]);
}
