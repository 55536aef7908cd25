// A tile as a picture of its cells, shrunk where the screen has fewer pixels, so that the largest magnitude stays.

class MosaicPictures {
  constructor(scene, palette) {
    this.scene = scene;
    this.palette = palette;
    this.made = new Map();
  }

  at(index, pixelsAcross, pixelsDown) {
    const [height, width] = this.scene.tile;
    const down = Math.max(1, Math.ceil(height / Math.max(1, Math.round(pixelsDown))));
    const across = Math.max(1, Math.ceil(width / Math.max(1, Math.round(pixelsAcross))));
    const key = `${index},${down},${across}`;
    if (!this.made.has(key)) this.made.set(key, this.make(index, down, across));
    return this.made.get(key);
  }

  make(index, down, across) {
    const { values, numbers, tile } = this.scene;
    const [height, width] = tile;
    const canvas = document.createElement("canvas");
    canvas.width = Math.ceil(width / across);
    canvas.height = Math.ceil(height / down);
    const context = canvas.getContext("2d");
    const image = context.createImageData(canvas.width, canvas.height);
    const pixels = new Uint32Array(image.data.buffer);
    const best = new Float32Array(pixels.length).fill(-1);
    for (let i = 0; i < height; i++) {
      for (let j = 0; j < width; j++) {
        const cell = index * height * width + i * width + j;
        const place = Math.floor(i / down) * canvas.width + Math.floor(j / across);
        const size = values[cell] === values[cell] ? Math.abs(values[cell]) : Infinity;
        if (size <= best[place]) continue;
        best[place] = size;
        pixels[place] = this.palette[numbers[cell]];
      }
    }
    context.putImageData(image, 0, 0);
    return canvas;
  }
}
