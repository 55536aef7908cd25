// The film: its frames, which one is shown, and the clock. Knows nothing of pixels.

const SPEEDS = [1, 2, 4, 8, 12, 24];
const USUAL_SPEED = 4;

class Film {
  constructor(changed) {
    this.changed = changed; // called whenever another frame is to be shown, or playing begins or ends
    this.index = 0;
    this.isPlaying = false;
    this.isLooping = true;
    this.speed = matchMedia("(prefers-reduced-motion: reduce)").matches ? SPEEDS[0] : USUAL_SPEED;
  }

  load(count, index) {
    this.pause();
    this.count = count;
    this.index = Math.min(Math.max(0, index), Math.max(0, count - 1));
  }

  go(index) {
    this.index = Math.min(Math.max(0, index), this.count - 1);
    this.changed();
  }

  step(by) {
    this.pause();
    const next = this.index + by;
    this.go(this.isLooping ? (next + this.count) % this.count : next);
  }

  toggle() {
    if (this.isPlaying) this.pause();
    else this.play();
  }

  play() {
    if (this.count < 2) return;
    if (!this.isLooping && this.index === this.count - 1) this.index = 0;
    this.isPlaying = true;
    this.since = performance.now();
    const tick = (now) => {
      if (!this.isPlaying) return;
      const period = 1000 / this.speed;
      const due = Math.floor((now - this.since) / period);
      if (due > 0) {
        // After a long pause of the browser, one frame and no leap.
        this.since = due > 2 ? now : this.since + due * period;
        this.advance();
      }
      this.request = requestAnimationFrame(tick);
    };
    this.request = requestAnimationFrame(tick);
    this.changed();
  }

  advance() {
    if (this.index === this.count - 1 && !this.isLooping) {
      this.pause();
      return;
    }
    this.go((this.index + 1) % this.count);
  }

  pause() {
    cancelAnimationFrame(this.request);
    if (!this.isPlaying) return;
    this.isPlaying = false;
    this.changed();
  }
}
