// How finely a scene is drawn while it moves: as finely as this machine manages, found out by timing every picture.

const RUNGS = [
  { cells: Infinity, sharpness: 1 },
  { cells: 1 << 18, sharpness: 1 },
  { cells: 1 << 16, sharpness: 1 },
  { cells: 1 << 14, sharpness: 1 },
  { cells: 1 << 14, sharpness: 0.6 },
  { cells: 1 << 12, sharpness: 0.5 },
];
const FIRST_RUNG = 2; // until pictures were timed, more cells count as slow
const QUICK_MS = 9, SLOW_MS = 30; // between them lies a picture that may stay as it is
const SMOOTH_MS = 90; // at rest, edges are smoothed where the plain picture took no longer; that takes some times as long

class Fineness {
  constructor(full) {
    this.levels = [full];
    this.at = full.values.length > RUNGS[FIRST_RUNG].cells ? FIRST_RUNG : 0;
    this.isSmoothAtRest = false;
    this.isSmoothMoving = false;
  }

  get full() {
    return this.levels[0];
  }

  // The level of a rung, made from the next finer one when it is first wanted.
  level(rung) {
    for (let k = this.levels.length; k <= rung; k++) this.levels.push(this.levels[k - 1].coarser(RUNGS[k].cells));
    return this.levels[rung];
  }

  atRest() {
    return { level: this.full, sharpness: 1, isSmooth: this.isSmoothAtRest };
  }

  moving() {
    return { level: this.level(this.at), sharpness: RUNGS[this.at].sharpness, isSmooth: this.isSmoothMoving };
  }

  // A picture at rest took so long: whether it is worth drawing again with smooth edges.
  learnAtRest(ms) {
    this.isSmoothAtRest = ms <= SMOOTH_MS;
    return this.isSmoothAtRest;
  }

  learnMoving(ms) {
    if (ms > SLOW_MS) {
      if (this.isSmoothMoving) this.isSmoothMoving = false;
      else this.at = Math.min(RUNGS.length - 1, this.at + 1);
    } else if (ms < QUICK_MS) {
      if (this.at > 0) this.at -= 1;
      else this.isSmoothMoving = true;
    }
  }
}
