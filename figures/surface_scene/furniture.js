// What stands around the cells: the zero plane with its grid, two walls with the values, pins at what is no number.

// Between which heights the cells lie, the zero plane among them: the box that is drawn about them.
function heightRange(scale, [least, most]) {
  if (!(least <= most)) return [0, 0.5]; // nothing finite
  const low = Math.min(0, scale.height(least)), high = Math.max(0, scale.height(most));
  return low === high ? [0, 0.5] : [low, high];
}

// The heights to label, with their values: round numbers on a linear scale, equal steps of height on the others.
function heightTicks(scale, [low, high]) {
  if (!scale.isEven) {
    const steps = scale.isSigned ? [-1, -0.5, 0, 0.5, 1] : [0, 0.25, 0.5, 0.75, 1];
    const shown = steps.filter((height) => height >= low - 0.01 && height <= high + 0.01);
    return shown.map((height) => ({ height, text: short(scale.valueOf(height)) }));
  }
  const least = scale.valueOf(low), most = scale.valueOf(high);
  const power = 10 ** Math.floor(Math.log10((most - least) / 4));
  const step = [1, 2, 2.5, 5, 10].map((k) => k * power).find((s) => (most - least) / s <= 5.01) || 10 * power;
  const found = [];
  for (let k = Math.ceil(least / step - 1e-6); k * step <= most + step * 1e-6; k++) {
    const value = k * step;
    found.push({ height: low + ((value - least) / (most - least)) * (high - low), text: short(value) });
  }
  return found;
}

// Whole numbers between two entries, at most `most` of them: steps of 1, 2, 5, 10, …
function entryTicks(start, stop, most) {
  let step = 1;
  for (const factors = [2, 2.5, 2]; (stop - start) / step > most; ) {
    const factor = factors[0];
    factors.push(factors.shift());
    step *= factor;
  }
  const found = [];
  for (let k = Math.ceil(start / step) * step; k < stop; k += step) found.push(k);
  return found;
}

// Where an entry lies on the ground: −half … half, its middle; cells are drawn alike, also one that covers fewer.
function entryPlace(entry, [start, , step], cells, half) {
  const cell = Math.floor((entry - start) / step);
  const inside = step === 1 ? 0.5 : (entry - start - cell * step + 0.5) / step;
  return ((2 * (cell + inside)) / cells - 1) * half;
}

function furniture(scene, frame) {
  const lines = [], heads = [];
  const { scale, raise, theme, range } = scene;
  const [x, z] = scene.header.ground;
  const [low, high] = range.map((h) => h * raise);
  const line = (a, b, tint) => lines.push(...a, ...tint, ...b, ...tint);
  const faint = [...theme.rgb.text, 0.13], clear = [...theme.rgb.text, 0.4];
  const wallX = frame.eye[0] > 0 ? -x : x, wallZ = frame.eye[2] > 0 ? -z : z; // the far sides
  for (const { height } of heightTicks(scale, range)) {
    const y = height * raise;
    line([-x, y, wallZ], [x, y, wallZ], faint);
    line([wallX, y, -z], [wallX, y, z], faint);
  }
  for (const [a, b] of [[wallX, -wallZ], [-wallX, wallZ], [wallX, wallZ]]) line([a, low, b], [a, high, b], faint);
  if (scene.style.shape !== "bars") {
    // Bars that hang down cover the zero plane themselves.
    for (const across of scene.ticks.columns) line([across.at, 0, -z], [across.at, 0, z], faint);
    for (const along of scene.ticks.rows) line([-x, 0, along.at], [x, 0, along.at], faint);
  }
  const corners = [[-x, 0, -z], [x, 0, -z], [x, 0, z], [-x, 0, z]];
  corners.forEach((corner, k) => line(corner, corners[(k + 1) % 4], clear));
  const floor = corners.map(([a, , b]) => [a, low, b]);
  if (low < 0) floor.forEach((corner, k) => line(corner, floor[(k + 1) % 4], faint));
  const { edgeX, edgeZ } = scene.ticks, out = 0.025;
  for (const { at } of scene.ticks.columns) line([at, low, edgeZ], [at, low, edgeZ + Math.sign(edgeZ) * out], clear);
  for (const { at } of scene.ticks.rows) line([edgeX, low, at], [edgeX + Math.sign(edgeX) * out, low, at], clear);
  pins(scene, line, heads);
  return { lines, heads };
}

// A pin through every NaN and ±Inf, and a line up to each of the largest cells: seen at any size.
function pins(scene, line, heads) {
  const { full, scale, palette, raise } = scene;
  const { specials, outliers } = full.standouts();
  const tint = (value) => [...palette.rgb(value).map((c) => c / 255), 1];
  const place = (index, height) => {
    const row = Math.floor(index / full.columns);
    const [x, z] = scene.onGround(full, row, index - row * full.columns);
    return [x, height * raise, z];
  };
  for (const index of outliers) {
    const value = full.values[index];
    if (scene.style.shape !== "points") line(place(index, 0), place(index, scale.height(value)), tint(value));
  }
  for (const index of specials) {
    const value = full.values[index], top = value === -Infinity ? -scale.infinite : scale.infinite;
    line(place(index, 0), place(index, top), tint(value));
    heads.push(...place(index, top), ...tint(value));
  }
}
