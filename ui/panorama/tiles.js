// Pictures of tiles, at as many cells as the screen has pixels for.

class TilePictures {
  constructor(scene) {
    this.scene = scene;
    this.palette = paletteOf(scene);
    this.kept = new Map();
  }

  // A canvas with one pixel a cell, shrunk so that every cell has a device pixel: no outlier falls between two.
  at(index, width, height) {
    const [rows, columns, offset] = this.scene.grids[index];
    const down = shrinkFactor(rows, height), across = shrinkFactor(columns, width);
    const key = `${index},${down},${across}`;
    if (!this.kept.has(key)) this.kept.set(key, this.make(rows, columns, offset, down, across));
    return this.kept.get(key);
  }

  make(rows, columns, offset, down, across) {
    const canvas = document.createElement("canvas");
    canvas.height = Math.ceil(rows / down);
    canvas.width = Math.ceil(columns / across);
    const context = canvas.getContext("2d");
    const image = context.createImageData(canvas.width, canvas.height);
    const pixels = new Uint32Array(image.data.buffer);
    const best = new Int32Array(pixels.length).fill(-1);
    for (let i = 0; i < rows; i++) {
      for (let j = 0; j < columns; j++) {
        const number = this.scene.cells[offset + i * columns + j];
        const k = Math.floor(i / down) * canvas.width + Math.floor(j / across);
        const strength = this.strength(number);
        if (strength > best[k]) {
          best[k] = strength;
          pixels[k] = this.palette[number];
        }
      }
    }
    context.putImageData(image, 0, 0);
    return canvas;
  }

  // The order of engine.pooling, on colours: NaN, then what is infinite, then the larger magnitude, then the positive.
  strength(number) {
    if (number === 256) return 4000;
    if (number > 256) return 3000;
    return this.scene.is_signed ? Math.abs(2 * number - 255) + (number > 127 ? 0.5 : 0) * 2 : number;
  }

  // The colour of a tile that is one number; null where the number is undefined.
  single(index) {
    const number = this.scene.cells[this.scene.grids[index][2]];
    return number === 256 ? null : this.palette[number];
  }
}

function shrinkFactor(cells, pixels) {
  let factor = 1;
  while (Math.ceil(cells / factor) > 1 && Math.ceil(cells / factor) > pixels + 0.01) factor *= 2;
  return factor;
}
