// From where the scene is seen: an orbit about a point of the ground, and where things are on the screen.

const FIELD = 30; // degrees from the bottom of the picture to its top
const WIDE = 1.5; // a narrower picture is seen from the same place with a wider field, so that nothing is cut off
const HOME = { azimuth: -32, elevation: 36 };
const AROUND = { left: 62, right: 30, top: 26, bottom: 46 }; // CSS pixels for labels

class OrbitCamera {
  constructor() {
    this.set([HOME.azimuth, HOME.elevation, 4, 0, 0]);
  }

  // Look at a box from the usual side, so near that it fills the picture with its labels.
  fit([x, z], [low, high], width, height) {
    this.set([HOME.azimuth, HOME.elevation, 4, 0, 0]);
    const corners = [-x, x].flatMap((a) => [-z, z].flatMap((b) => [[a, low, b], [a, high, b]]));
    const room = [width - AROUND.left - AROUND.right, height - AROUND.top - AROUND.bottom].map((n) => Math.max(60, n));
    for (let k = 0; k < 12; k++) {
      const frame = this.frame(width, height);
      const seen = corners.map((corner) => frame.project(...corner)).filter(Boolean);
      const span = (axis) => [Math.min(...seen.map((p) => p[axis])), Math.max(...seen.map((p) => p[axis]))];
      const [[left, right], [top, bottom]] = [span(0), span(1)];
      this.pan(AROUND.left + room[0] / 2 - (left + right) / 2, AROUND.top + room[1] / 2 - (top + bottom) / 2, frame);
      this.distance *= Math.max((right - left) / room[0], (bottom - top) / room[1]);
      this.clamp();
    }
  }

  // Move the point looked at, so that the ground follows the pointer by so many CSS pixels.
  pan(right, down, frame) {
    const unit = 1 / frame.pixelsPerUnit(this.distance);
    const tilt = Math.max(0.35, Math.abs(frame.back[1]));
    const [sin, cos] = [Math.sin, Math.cos].map((f) => f((this.azimuth * Math.PI) / 180));
    const x = -right * unit, z = (-down * unit * Math.sign(this.elevation || 1)) / tilt;
    this.across += cos * x + sin * z;
    this.along += -sin * x + cos * z;
    this.clamp();
  }

  set([azimuth, elevation, distance, across, along]) {
    Object.assign(this, { azimuth, elevation, distance, across, along });
    this.clamp();
  }

  get numbers() {
    const round = (x, digits) => Number(x.toFixed(digits)) + 0;
    return [round(this.azimuth, 1), round(this.elevation, 1), round(this.distance, 3), round(this.across, 3), round(this.along, 3)];
  }

  clamp() {
    const inside = (x, low, high) => Math.min(high, Math.max(low, x));
    this.azimuth = ((((this.azimuth + 180) % 360) + 360) % 360) - 180;
    this.elevation = inside(this.elevation, -89, 89);
    this.distance = inside(this.distance, 0.2, 12);
    this.across = inside(this.across, -1.5, 1.5);
    this.along = inside(this.along, -1.5, 1.5);
  }

  // The camera for a picture of width × height CSS pixels: axes, eye and the matrix to the screen.
  frame(width, height) {
    const radians = (degrees) => (degrees * Math.PI) / 180;
    const [a, e] = [radians(this.azimuth), radians(this.elevation)];
    const back = [Math.sin(a) * Math.cos(e), Math.sin(e), Math.cos(a) * Math.cos(e)]; // from the point to the eye
    const right = [Math.cos(a), 0, -Math.sin(a)];
    const up = [-Math.sin(a) * Math.sin(e), Math.cos(e), -Math.cos(a) * Math.sin(e)];
    const middle = [this.across, 0, this.along];
    const eye = middle.map((x, k) => x + this.distance * back[k]);
    const aspect = width / height;
    const zoom = Math.min(1, aspect / WIDE) / Math.tan(radians(FIELD) / 2);
    const near = Math.max(0.01, this.distance / 50), far = this.distance + 8;
    const dot = (u, v) => u[0] * v[0] + u[1] * v[1] + u[2] * v[2];
    const rows = [
      [...right.map((x) => (x * zoom) / aspect), (-dot(right, eye) * zoom) / aspect],
      [...up.map((x) => x * zoom), -dot(up, eye) * zoom],
      [...back.map((x) => (x * (near + far)) / (near - far)), (-dot(back, eye) * (near + far) + 2 * near * far) / (near - far)],
      [...back.map((x) => -x), dot(back, eye)],
    ];
    const matrix = new Float32Array(16);
    for (let row = 0; row < 4; row++) for (let k = 0; k < 4; k++) matrix[4 * k + row] = rows[row][k];
    const light = right.map((x, k) => back[k] - 0.45 * x + 0.7 * up[k]);
    const length = Math.hypot(...light);
    return new Frame({ width, height, aspect, zoom, eye, right, up, back, rows, matrix, light: light.map((x) => x / length) });
  }
}

class Frame {
  constructor(fields) {
    Object.assign(this, fields);
  }

  // A point's place in CSS pixels and its distance; null behind the eye.
  project(x, y, z) {
    const { rows, width, height } = this;
    const w = rows[3][0] * x + rows[3][1] * y + rows[3][2] * z + rows[3][3];
    if (w <= 0.005) return null;
    const across = (rows[0][0] * x + rows[0][1] * y + rows[0][2] * z + rows[0][3]) / w;
    const upward = (rows[1][0] * x + rows[1][1] * y + rows[1][2] * z + rows[1][3]) / w;
    return [((across + 1) / 2) * width, ((1 - upward) / 2) * height, w];
  }

  // The line of sight through a pixel: a direction from the eye; its length is 1 along the view.
  ray(px, py) {
    const across = (((px / this.width) * 2 - 1) * this.aspect) / this.zoom;
    const upward = (1 - (py / this.height) * 2) / this.zoom;
    return this.right.map((x, k) => x * across + this.up[k] * upward - this.back[k]);
  }

  // CSS pixels that one unit of length has at a distance.
  pixelsPerUnit(distance) {
    return (this.zoom * this.height) / (2 * distance);
  }
}
