// The graphics card's side: programs, textures and draws. It knows no tensor, only levels and a frame.

const SAMPLES = 4;
const MOST_SMOOTH = 1 << 22; // pixels: 128 MiB on the card; more are dense enough by themselves

class Renderer {
  constructor(canvas) {
    this.canvas = canvas;
    // Smooth edges take a software renderer four times as long, so they are no property of the canvas (see target).
    const wishes = { antialias: false, powerPreference: "high-performance" };
    this.gl = canvas.getContext("webgl2", wishes);
    if (!this.gl) throw new Error("no WebGL2");
    this.make();
  }

  // Everything that is lost with the context.
  make() {
    const { gl } = this;
    this.programs = {
      surface: program(gl, SURFACE_VERTEX, SURFACE_FRAGMENT),
      points: program(gl, POINTS_VERTEX, POINTS_FRAGMENT),
      bars: program(gl, BARS_VERTEX, BARS_FRAGMENT),
      plain: program(gl, PLAIN_VERTEX, PLAIN_FRAGMENT),
    };
    this.textures = new Map(); // level -> {heights, colours, stamp, colourStamp}
    this.nothing = gl.createVertexArray(); // cells need no vertex buffer
    this.buffer = gl.createBuffer();
    this.smooth = null;
    this.lines = gl.createVertexArray();
    gl.bindVertexArray(this.lines);
    gl.bindBuffer(gl.ARRAY_BUFFER, this.buffer);
    const { place, tint } = this.programs.plain.attributes;
    for (const [at, count, offset] of [[place, 3, 0], [tint, 4, 12]]) {
      gl.enableVertexAttribArray(at);
      gl.vertexAttribPointer(at, count, gl.FLOAT, false, 28, offset);
    }
  }

  get isLost() {
    return this.gl.isContextLost();
  }

  // Draw one picture: the cells, then what stands around them.
  draw(level, picture) {
    const { gl } = this;
    const { frame, ratio, background } = picture;
    const size = [gl.drawingBufferWidth, gl.drawingBufferHeight];
    const isSmooth = picture.isSmooth && size[0] * size[1] <= MOST_SMOOTH;
    gl.bindFramebuffer(gl.FRAMEBUFFER, isSmooth ? this.target(...size) : null);
    gl.viewport(0, 0, ...size);
    gl.clearColor(...background, 1);
    gl.clear(gl.COLOR_BUFFER_BIT | gl.DEPTH_BUFFER_BIT);
    gl.viewport(0, 0, Math.round(frame.width * ratio), Math.round(frame.height * ratio));
    gl.enable(gl.DEPTH_TEST);
    gl.depthFunc(gl.LEQUAL);
    if (level.values.length) this.drawCells(level, picture);
    this.drawFurniture(picture);
    if (!isSmooth) return;
    gl.bindFramebuffer(gl.READ_FRAMEBUFFER, this.smooth.frame);
    gl.bindFramebuffer(gl.DRAW_FRAMEBUFFER, null);
    gl.blitFramebuffer(0, 0, ...size, 0, 0, ...size, gl.COLOR_BUFFER_BIT, gl.NEAREST);
    gl.bindFramebuffer(gl.FRAMEBUFFER, null);
  }

  // Where a picture with smooth edges is drawn before it is copied to the canvas.
  target(width, height) {
    const { gl } = this;
    if (this.smooth && this.smooth.width === width && this.smooth.height === height) return this.smooth.frame;
    this.dropTarget();
    const frame = gl.createFramebuffer(), buffers = [gl.RGBA8, gl.DEPTH_COMPONENT24].map((format) => {
      const buffer = gl.createRenderbuffer();
      gl.bindRenderbuffer(gl.RENDERBUFFER, buffer);
      gl.renderbufferStorageMultisample(gl.RENDERBUFFER, SAMPLES, format, width, height);
      return buffer;
    });
    gl.bindFramebuffer(gl.FRAMEBUFFER, frame);
    [gl.COLOR_ATTACHMENT0, gl.DEPTH_ATTACHMENT].forEach((place, k) =>
      gl.framebufferRenderbuffer(gl.FRAMEBUFFER, place, gl.RENDERBUFFER, buffers[k]),
    );
    this.smooth = { frame, buffers, width, height };
    return frame;
  }

  dropTarget() {
    if (!this.smooth) return;
    this.gl.deleteFramebuffer(this.smooth.frame);
    for (const buffer of this.smooth.buffers) this.gl.deleteRenderbuffer(buffer);
    this.smooth = null;
  }

  drawCells(level, picture) {
    const { gl } = this;
    const { frame, shape, ratio, ground } = picture;
    const { rows, columns, whole } = level;
    const { heights, colours } = this.uploaded(level);
    const used = this.programs[shape];
    gl.useProgram(used.program);
    gl.bindVertexArray(this.nothing);
    gl.activeTexture(gl.TEXTURE1);
    gl.bindTexture(gl.TEXTURE_2D, colours);
    gl.activeTexture(gl.TEXTURE0);
    gl.bindTexture(gl.TEXTURE_2D, heights);
    const at = used.uniforms;
    gl.uniform1i(at.heights, 0);
    gl.uniform1i(at.colours, 1);
    gl.uniformMatrix4fv(at.matrix, false, frame.matrix);
    gl.uniform2i(at.size, columns, rows);
    const share = [level.across / whole[1], level.down / whole[0]];
    gl.uniform2f(at.cell, ...share);
    gl.uniform2f(at.ground, ...ground);
    gl.uniform1f(at.raise, picture.raise);
    gl.uniform3f(at.eye, ...frame.eye);
    gl.uniform3f(at.light, ...frame.light);
    gl.uniform3f(at.ink, ...picture.ink);
    gl.uniform1f(at.mesh, picture.mesh);
    gl.enable(gl.POLYGON_OFFSET_FILL); // lines that lie on a face win over it
    gl.polygonOffset(1, 1);
    if (shape === "surface") gl.drawArraysInstanced(gl.TRIANGLE_STRIP, 0, 2 * Math.max(2, columns), Math.max(1, rows - 1));
    if (shape === "bars") {
      gl.uniform1f(at.fill, Math.max(rows, columns) > 160 ? 1 : 0.86);
      gl.drawArraysInstanced(gl.TRIANGLES, 0, 18, rows * columns);
    }
    if (shape === "points") {
      const side = 2 * Math.min(ground[0] * share[0], ground[1] * share[1]);
      gl.uniform1f(at.dot_size, side * frame.pixelsPerUnit(1) * ratio);
      gl.uniform1f(at.least, 1.5 * ratio);
      gl.drawArrays(gl.POINTS, 0, rows * columns);
    }
    gl.disable(gl.POLYGON_OFFSET_FILL);
  }

  // Lines and the heads of pins: few, and written anew for every picture.
  drawFurniture({ frame, furniture, ratio }) {
    const { gl } = this;
    const { program, uniforms } = this.programs.plain;
    gl.useProgram(program);
    gl.bindVertexArray(this.lines);
    gl.bindBuffer(gl.ARRAY_BUFFER, this.buffer);
    gl.uniformMatrix4fv(uniforms.matrix, false, frame.matrix);
    gl.enable(gl.BLEND);
    gl.blendFuncSeparate(gl.SRC_ALPHA, gl.ONE_MINUS_SRC_ALPHA, gl.ONE, gl.ONE_MINUS_SRC_ALPHA); // nothing of the page shows
    gl.depthMask(false);
    for (const [mode, name] of [[gl.LINES, "lines"], [gl.POINTS, "heads"]]) {
      const numbers = furniture[name];
      if (!numbers.length) continue;
      gl.uniform1i(uniforms.is_round, mode === gl.POINTS ? 1 : 0);
      gl.uniform1f(uniforms.dot_size, 7 * ratio);
      gl.bufferData(gl.ARRAY_BUFFER, new Float32Array(numbers), gl.STREAM_DRAW);
      gl.drawArrays(mode, 0, numbers.length / 7);
    }
    gl.depthMask(true);
    gl.disable(gl.BLEND);
  }

  // A level's textures; written when its heights or colours are new, forgotten when it is.
  uploaded(level) {
    const { gl } = this;
    let known = this.textures.get(level);
    if (!known) {
      known = { heights: gl.createTexture(), colours: gl.createTexture() };
      this.textures.set(level, known);
    }
    const write = (texture, format, layout, type, data) => {
      gl.bindTexture(gl.TEXTURE_2D, texture);
      gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MIN_FILTER, gl.NEAREST);
      gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MAG_FILTER, gl.NEAREST);
      gl.texImage2D(gl.TEXTURE_2D, 0, format, level.columns, level.rows, 0, layout, type, data);
    };
    if (known.stamp !== level.stamp) write(known.heights, gl.R32F, gl.RED, gl.FLOAT, level.heights);
    if (known.colourStamp !== level.colourStamp) {
      const bytes = new Uint8Array(level.colours.buffer);
      write(known.colours, gl.RGBA8, gl.RGBA, gl.UNSIGNED_BYTE, bytes);
    }
    [known.stamp, known.colourStamp] = [level.stamp, level.colourStamp];
    return known;
  }

  // Only these levels stay on the card.
  keep(levels) {
    for (const [level, { heights, colours }] of this.textures) {
      if (levels.includes(level)) continue;
      this.gl.deleteTexture(heights);
      this.gl.deleteTexture(colours);
      this.textures.delete(level);
    }
  }

  // Wait until the card has drawn all it was told. A read is the only wait that every browser keeps.
  finish() {
    const { gl } = this;
    gl.readPixels(0, 0, 1, 1, gl.RGBA, gl.UNSIGNED_BYTE, new Uint8Array(4));
  }

  close() {
    const { gl } = this;
    this.keep([]);
    this.dropTarget();
    for (const { program } of Object.values(this.programs)) gl.deleteProgram(program);
    gl.deleteBuffer(this.buffer);
    gl.deleteVertexArray(this.lines);
    gl.deleteVertexArray(this.nothing);
    const end = gl.getExtension("WEBGL_lose_context"); // browsers keep few contexts: give it back now, not some day
    if (end) end.loseContext();
  }
}

function program(gl, vertexText, fragmentText) {
  const made = gl.createProgram();
  for (const [kind, text] of [[gl.VERTEX_SHADER, vertexText], [gl.FRAGMENT_SHADER, fragmentText]]) {
    const shader = gl.createShader(kind);
    gl.shaderSource(shader, text);
    gl.compileShader(shader);
    gl.attachShader(made, shader);
    gl.deleteShader(shader); // lives as long as the program
  }
  gl.linkProgram(made);
  if (!gl.getProgramParameter(made, gl.LINK_STATUS) && !gl.isContextLost()) {
    const logs = gl.getAttachedShaders(made).map((shader) => gl.getShaderInfoLog(shader));
    throw new Error([gl.getProgramInfoLog(made), ...logs].join("\n"));
  }
  const names = (count, get, place) => {
    const found = {};
    for (let i = 0; i < (gl.getProgramParameter(made, count) || 0); i++) {
      const { name } = get.call(gl, made, i);
      found[name] = place.call(gl, made, name);
    }
    return found;
  };
  return {
    program: made,
    uniforms: names(gl.ACTIVE_UNIFORMS, gl.getActiveUniform, gl.getUniformLocation),
    attributes: names(gl.ACTIVE_ATTRIBUTES, gl.getActiveAttrib, gl.getAttribLocation),
  };
}
