// Which cell a pixel shows: the line of sight is followed through the cells, without asking the graphics card.

const PIN_REACH = 5; // CSS pixels
const SMALL_CELL = 4; // CSS pixels: where cells are smaller, the largest one nearby is meant
const AROUND_POINTER = Array.from({ length: 12 }, (_, k) => {
  const angle = (k * Math.PI) / 6, reach = k % 2 ? 1.5 : 3; // CSS pixels
  return [reach * Math.cos(angle), reach * Math.sin(angle)];
});

function pick(scene, frame, px, py) {
  const { level, shape } = scene.drawn();
  const look = { surface: hitSurface, bars: hitBars, points: hitPoint }[shape];
  let best = look(scene, level, frame, px, py);
  for (const [right, down] of shape === "points" ? [] : AROUND_POINTER) {
    const other = look(scene, level, frame, px + right, py + down);
    if (other && (!best || isMeant(scene, level, frame, other, best))) best = other;
  }
  const pin = hitPin(scene, frame, px, py);
  if (pin && (!best || pin.depth <= best.depth + 0.02)) return scene.cellAt(scene.full, pin.index);
  return best && scene.cellAt(level, best.index);
}

// Whether a cell some pixels beside the pointer is meant rather than the one under it: it stands clearly in front (the
// tip of a spike is hard to meet), or cells are too small to be told apart and it is the larger one.
function isMeant(scene, level, frame, other, best) {
  const [x, z] = scene.header.ground;
  const side = Math.max((2 * x) / level.columns, (2 * z) / level.rows);
  if (other.depth < best.depth - 2 * side) return true;
  const isSmall = side * frame.pixelsPerUnit(best.depth) < SMALL_CELL;
  return isSmall && Math.abs(level.values[other.index]) > Math.abs(level.values[best.index]);
}

// The line of sight in cells and heights: u across columns, v along rows; cell k lies between k and k + 1.
function sight(scene, level, frame, px, py) {
  const [x, z] = scene.header.ground;
  const direction = frame.ray(px, py), { eye } = frame;
  const perX = level.whole[1] / level.across / (2 * x), perZ = level.whole[0] / level.down / (2 * z);
  return {
    from: [(eye[0] + x) * perX, eye[1] / scene.raise, (eye[2] + z) * perZ],
    step: [direction[0] * perX, direction[1] / scene.raise, direction[2] * perZ],
    extent: [2 * x * perX, 2 * z * perZ],
  };
}

// Visit the cells (column, row, entered, left) below the line of sight between two heights, near ones first.
function march({ from, step, extent }, visit) {
  let enter = 0, leave = Infinity;
  for (const [axis, low, high] of [[0, 0, extent[0]], [1, -1.2, 1.2], [2, 0, extent[1]]]) {
    if (Math.abs(step[axis]) < 1e-12) {
      if (from[axis] < low || from[axis] > high) return null;
      continue;
    }
    const [a, b] = [(low - from[axis]) / step[axis], (high - from[axis]) / step[axis]];
    enter = Math.max(enter, Math.min(a, b));
    leave = Math.min(leave, Math.max(a, b));
  }
  if (!(enter < leave)) return null;
  const last = [Math.ceil(extent[0]) - 1, Math.ceil(extent[1]) - 1];
  const start = (axis, k) => Math.min(last[k], Math.max(0, Math.floor(from[axis] + step[axis] * (enter + 1e-9))));
  let u = start(0, 0), v = start(2, 1), t = enter;
  const next = (axis, at) => (Math.abs(step[axis]) < 1e-12 ? Infinity : (at + (step[axis] > 0 ? 1 : 0) - from[axis]) / step[axis]);
  while (u >= 0 && v >= 0 && u <= last[0] && v <= last[1] && t < leave) {
    const [alongU, alongV] = [next(0, u), next(2, v)];
    const until = Math.min(alongU, alongV, leave);
    const hit = visit(u, v, t, until);
    if (hit) return hit;
    if (alongU <= alongV) u += Math.sign(step[0]);
    else v += Math.sign(step[2]);
    t = Math.max(t, until);
  }
  return null;
}

function hitBars(scene, level, frame, px, py) {
  const line = sight(scene, level, frame, px, py);
  return march(line, (column, row, enter, leave) => {
    const index = row * level.columns + column, height = level.heights[index];
    if (height >= HOLE / 10) return null;
    const [a, b] = [enter, leave].map((t) => line.from[1] + line.step[1] * t);
    const low = Math.min(0, height), high = Math.max(0, height);
    return Math.max(a, b) >= low && Math.min(a, b) <= high ? { index, depth: enter } : null;
  });
}

function hitSurface(scene, level, frame, px, py) {
  const line = sight(scene, level, frame, px, py);
  const { rows, columns, heights } = level;
  // Corners are the cells' middles; a single row or column is drawn between its two borders.
  if (columns > 1) line.from[0] -= 0.5;
  if (rows > 1) line.from[2] -= 0.5;
  line.extent = [Math.max(1, columns - 1), Math.max(1, rows - 1)];
  const index = (column, row) => Math.min(rows - 1, row) * columns + Math.min(columns - 1, column);
  return march(line, (column, row, enter, leave) => {
    const corners = [[0, 0], [1, 0], [0, 1], [1, 1]].map(([a, b]) => index(column + a, row + b));
    const [a, b, e, f] = corners.map((k) => heights[k]);
    const at = (t) => [line.from[0] + line.step[0] * t - column, line.from[2] + line.step[2] * t - row];
    const above = (t, isFar) => {
      const [s, q] = at(t);
      const ground = isFar ? f + (e - f) * (1 - s) + (b - f) * (1 - q) : a + (b - a) * s + (e - a) * q;
      return line.from[1] + line.step[1] * t - ground;
    };
    // The two triangles meet where s + q = 1.
    const speed = line.step[0] + line.step[2], [s0, q0] = at(0);
    const middle = Math.abs(speed) < 1e-12 ? enter : Math.min(leave, Math.max(enter, (1 - s0 - q0) / speed));
    for (const [from, to] of [[enter, middle], [middle, leave]]) {
      if (!(to > from)) continue;
      const [s, q] = at((from + to) / 2), isFar = s + q > 1;
      if ((isFar ? [e, b, f] : [a, b, e]).some((h) => h >= HOLE / 10)) continue;
      const [before, after] = [above(from, isFar), above(to, isFar)];
      if (before * after > 0) continue;
      const t = from + (before === after ? 0 : ((to - from) * before) / (before - after));
      const [sHit, qHit] = at(t);
      const nearest = corners[(qHit > 0.5 ? 2 : 0) + (sHit > 0.5 ? 1 : 0)];
      return { index: steepest(scene, level, isFar ? corners.slice(1) : corners.slice(0, 3), nearest, line.from[1] + line.step[1] * t), depth: t };
    }
    return null;
  });
}

// On the flank of a spike the spike is meant, not its foot.
function steepest(scene, level, corners, nearest, height) {
  const side = (2 * scene.header.ground[0]) / level.columns;
  const sizes = corners.map((k) => Math.abs(level.heights[k]));
  const most = Math.max(...sizes), least = Math.min(...sizes);
  const isSpike = (most - least) * scene.raise > 3 * side && Math.abs(height) > least + 0.15 * (most - least);
  return isSpike ? corners[sizes.indexOf(most)] : nearest;
}

function hitPoint(scene, level, frame, px, py) {
  const { rows, columns, heights } = level;
  const [x, z] = scene.header.ground;
  const side = 2 * Math.min(x / columns, z / rows);
  let found = null;
  for (let row = 0, index = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++, index++) {
      if (heights[index] >= HOLE / 10) continue;
      const [across, along] = scene.onGround(level, row, column);
      const at = frame.project(across, heights[index] * scene.raise, along);
      if (!at || (found && at[2] >= found.depth)) continue;
      const reach = Math.max(4, Math.min(13, (side * frame.pixelsPerUnit(at[2])) / 2));
      if (Math.abs(at[0] - px) <= reach && Math.hypot(at[0] - px, at[1] - py) <= reach) found = { index, depth: at[2] };
    }
  }
  return found;
}

// The lines that stand out of the cells: at what is no number, and at the largest ones.
function hitPin(scene, frame, px, py) {
  const { full } = scene, { specials, outliers } = full.standouts();
  let found = null;
  for (const index of scene.style.shape === "points" ? specials : [...specials, ...outliers]) {
    const cell = scene.cellAt(full, index), top = cell.value !== cell.value ? scene.scale.infinite : cell.height;
    const [a, b] = [0, top].map((height) => scene.where({ ...cell, height }, frame));
    if (!a || !b) continue;
    const [dx, dy] = [b[0] - a[0], b[1] - a[1]];
    const share = Math.min(1, Math.max(0, ((px - a[0]) * dx + (py - a[1]) * dy) / Math.max(1e-9, dx * dx + dy * dy)));
    const depth = a[2] + share * (b[2] - a[2]);
    const isNear = Math.hypot(a[0] + share * dx - px, a[1] + share * dy - py) <= PIN_REACH;
    if (isNear && (!found || depth < found.depth)) found = { index, depth };
  }
  return found;
}
