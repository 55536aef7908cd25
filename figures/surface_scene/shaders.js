// What the graphics card runs. Positions are computed here from the heights alone: 4 bytes a cell go up, and no more.

const SHARED = `#version 300 es
precision highp float;
precision highp int;
precision highp sampler2D;
`;

const CELLS = `${SHARED}
uniform sampler2D heights, colours;
uniform mat4 matrix;
uniform ivec2 size;    // columns, rows
uniform vec2 cell;     // shares of the ground that a cell has; the last one may be cut
uniform vec2 ground;   // half its width and depth
uniform float raise;   // of a height of 1
out vec3 colour;

float heightOf(ivec2 at) { return texelFetch(heights, at, 0).r; }
vec3 colourOf(ivec2 at) { return texelFetch(colours, at, 0).rgb; }

// The middle of a cell on the ground; of a single row or column, its two borders.
vec2 spot(ivec2 at) {
  vec2 share = (vec2(at) * cell + min(vec2(1), vec2(at + 1) * cell)) / 2.0;
  return (2.0 * share - 1.0) * ground;
}
`;

const SURFACE_VERTEX = `${CELLS}
out vec3 place, upright;
out vec2 lattice;
out float hole;

float beside(ivec2 at, float own) {
  float h = heightOf(clamp(at, ivec2(0), size - 1));
  return h > ${HOLE / 10}.0 ? own : h;
}

void main() {
  // A strip of triangles between two rows; each strip is an instance.
  ivec2 corner = ivec2(gl_VertexID >> 1, gl_InstanceID + (gl_VertexID & 1));
  ivec2 at = min(corner, size - 1);
  float h = heightOf(at);
  hole = h > ${HOLE / 10}.0 ? 1.0 : 0.0;
  h = hole > 0.0 ? 0.0 : h;
  vec2 on = spot(at);
  if (size.x == 1) on.x = corner.x == 0 ? -ground.x : ground.x;
  if (size.y == 1) on.y = corner.y == 0 ? -ground.y : ground.y;
  vec2 slope = vec2(beside(at + ivec2(1, 0), h) - beside(at - ivec2(1, 0), h),
                    beside(at + ivec2(0, 1), h) - beside(at - ivec2(0, 1), h)) * raise;
  vec2 apart = vec2(min(at + 1, size - 1) - max(at - 1, ivec2(0))) * 2.0 * ground * cell;
  slope /= max(apart, vec2(1e-9));
  slope /= 1.0 + 0.4 * length(slope);   // steep is steep: among spikes, all would be equally dark
  upright = normalize(vec3(-slope.x, 1.0, -slope.y));
  lattice = vec2(corner);
  place = vec3(on.x, h * raise, on.y);
  colour = colourOf(at);
  gl_Position = matrix * vec4(place, 1.0);
}
`;

const SURFACE_FRAGMENT = `${SHARED}
uniform vec3 eye, light, ink;
uniform float mesh;    // cells between two lines; 0 for none
in vec3 colour, place, upright;
in vec2 lattice;
in float hole;
out vec4 painted;

void main() {
  if (hole > 0.0) discard;
  vec3 n = normalize(upright);
  if (dot(n, eye - place) < 0.0) n = -n;
  // What faces the light has its colour as it is; slopes are darker, and never lighter.
  float shade = min(1.0, 0.5 + 0.58 * max(0.0, dot(n, light)));
  vec3 shown = colour * shade;
  if (mesh > 0.0) {
    vec2 at = lattice / mesh, width = fwidth(at);
    vec2 far = abs(fract(at - 0.5) - 0.5) / max(width, vec2(1e-6));
    vec2 line = (1.0 - min(far, vec2(1))) * (1.0 - smoothstep(0.15, 0.45, width));
    shown = mix(shown, ink, 0.55 * max(line.x, line.y));
  }
  painted = vec4(shown, 1);
}
`;

const POINTS_VERTEX = `${CELLS}
uniform float dot_size, least;   // pixels: of a cell at distance 1, and at least
void main() {
  ivec2 at = ivec2(gl_VertexID % size.x, gl_VertexID / size.x);
  float h = heightOf(at);
  vec2 on = spot(at);
  colour = colourOf(at);
  gl_Position = h > ${HOLE / 10}.0 ? vec4(2, 2, 2, 1) : matrix * vec4(on.x, h * raise, on.y, 1.0);
  gl_PointSize = clamp(dot_size / gl_Position.w, least, 26.0);
}
`;

const POINTS_FRAGMENT = `${SHARED}
in vec3 colour;
out vec4 painted;
void main() {
  if (length(gl_PointCoord - 0.5) > 0.5) discard;
  painted = vec4(colour, 1);
}
`;

// Of every box only the three faces that look towards the eye.
const BARS_VERTEX = `${CELLS}
uniform vec3 eye;
uniform float fill;    // of a cell's width and depth
out float shade;
out vec2 face;
out vec2 extent;
const vec2 CORNERS[6] = vec2[6](vec2(-1, -1), vec2(1, -1), vec2(1, 1), vec2(-1, -1), vec2(1, 1), vec2(-1, 1));

void main() {
  ivec2 at = ivec2(gl_InstanceID % size.x, gl_InstanceID / size.x);
  float h = heightOf(at);
  vec2 on = spot(at), half_side = ground * cell * fill;
  float low = min(0.0, h) * raise, high = max(0.0, h) * raise;
  vec2 corner = CORNERS[gl_VertexID % 6];
  int side = gl_VertexID / 6;
  vec2 towards = vec2(eye.x > on.x ? 1 : -1, eye.z > on.y ? 1 : -1);
  vec3 place;
  if (side == 0) place = vec3(on.x + corner.x * half_side.x, eye.y < low ? low : high, on.y + corner.y * half_side.y);
  if (side == 1) place = vec3(on.x + towards.x * half_side.x, corner.x < 0.0 ? low : high, on.y + corner.y * half_side.y);
  if (side == 2) place = vec3(on.x + corner.x * half_side.x, corner.y < 0.0 ? low : high, on.y + towards.y * half_side.y);
  shade = side == 0 ? 1.0 : side == 1 ? 0.82 : 0.66;
  face = corner;
  colour = colourOf(at);
  gl_Position = h > ${HOLE / 10}.0 ? vec4(2, 2, 2, 1) : matrix * vec4(place, 1.0);
}
`;

const BARS_FRAGMENT = `${SHARED}
uniform vec3 ink;
uniform float mesh;
in vec3 colour;
in float shade;
in vec2 face;
out vec4 painted;
void main() {
  vec3 shown = colour * shade;
  if (mesh > 0.0) {
    vec2 width = fwidth(face);
    vec2 line = (1.0 - min((1.0 - abs(face)) / max(width, vec2(1e-6)), vec2(1))) * (1.0 - smoothstep(0.2, 0.6, width));
    shown = mix(shown, ink, 0.6 * max(line.x, line.y));
  }
  painted = vec4(shown, 1);
}
`;

const PLAIN_VERTEX = `${SHARED}
uniform mat4 matrix;
uniform float dot_size;
in vec3 place;
in vec4 tint;
out vec4 colour;
void main() {
  colour = tint;
  gl_Position = matrix * vec4(place, 1.0);
  gl_PointSize = dot_size;
}
`;

const PLAIN_FRAGMENT = `${SHARED}
uniform bool is_round;
in vec4 colour;
out vec4 painted;
void main() {
  if (is_round && length(gl_PointCoord - 0.5) > 0.5) discard;
  painted = colour;
}
`;
