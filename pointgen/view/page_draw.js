// Drawing: every point is a sphere on a square of pixels, or triangles make a surface; one viewport for
// each visible shape.

const $ = (selector) => document.querySelector(selector);
const data = JSON.parse($("#data").textContent);
const canvas = $("canvas");
// the smoothing of edges is done below, where it can be left out while a slow machine moves
const gl = canvas.getContext("webgl2", { antialias: false });

const PALETTES = ["position", "height", "depth", "plain", "given"];
const MARGIN = 0.88;  // share of a view that the widest shape fills
const ATTRIBUTES = { corner: 0, light: 1, given: 2, start: 3, before: 4, after: 5 };

const VERTEX = `#version 300 es
precision highp float;
const float DISTANCE = ${data.distance.toFixed(3)};  // of the camera from the origin
const float SCALE = DISTANCE * ${(MARGIN / data.reach).toFixed(4)};
layout(location = ${ATTRIBUTES.corner}) in vec3 corner;  // 0..1 in the box of the cloud
layout(location = ${ATTRIBUTES.light}) in float light;   // 0..1, how much light reaches the point
layout(location = ${ATTRIBUTES.given}) in vec3 given;    // a colour that came with the point
layout(location = ${ATTRIBUTES.start}) in vec3 start;    // 0..1 in the box of the noise
layout(location = ${ATTRIBUTES.before}) in vec3 before;  // 0..1 in the box of the bends before
layout(location = ${ATTRIBUTES.after}) in vec3 after;    // and after the present time
uniform vec3 low, box;      // lowest corner and sides of the box, in the common unit
uniform vec3 startBox[2], beforeBox[2], afterBox[2];  // lowest corner and sides
uniform float time, share;  // 0 noise to 1 shape; 0 at the bends before, 1 at those after
uniform mat3 view;          // world to camera axes
uniform vec2 shift;         // of the scene across the view
uniform float radius, zoom, pixels, aspect;
uniform int palette;
uniform vec3 stops[${data.stops.length}], plain;
out vec3 colour, seen;
out float depthStep;

vec3 within(vec3 box[2], vec3 place) { return box[0] + box[1] * place; }

vec3 ramp(float height) {
  float at = clamp(height, 0.0, 1.0) * float(stops.length() - 1);
  int below = min(int(at), stops.length() - 2);
  return mix(stops[below], stops[below + 1], at - float(below));
}

// a point keeps its colour on its way; only that of depth follows it
vec3 paint(vec3 target, float depth) {
  float side = max(max(box.x, box.y), max(box.z, 1e-9));
  if (palette == 0) {
    vec3 place = clamp(target / side + 0.5, 0.08, 1.0);
    return 0.18 + 0.82 * place / length(place);
  }
  if (palette == 1) return ramp(corner.y);
  if (palette == 2) {
    vec3 back = vec3(view[0].z, view[1].z, view[2].z);
    return ramp(0.5 + depth / max(dot(abs(back), box), 1e-9));  // from corner to corner of the box
  }
  return palette == 3 ? plain : given;
}

void main() {
  vec3 target = low + corner * box, place = target;
  float open = light;
  if (time < 1.0) {
    vec3 bend = mix(within(beforeBox, before), within(afterBox, after), share);
    place = mix(within(startBox, start), target, time) + bend;
    open = mix(1.0, light, time * time);  // noise throws no shadows
  }
  seen = view * place;
  colour = paint(target, seen.z) * (0.45 + 0.55 * open);
  float away = DISTANCE - seen.z;
  vec2 across = (seen.xy + shift) * SCALE * zoom;
  gl_Position = vec4(across.x / aspect, across.y, (away / DISTANCE - 1.0) * away, away);
  gl_PointSize = max(1.5, radius * SCALE * zoom / away * pixels);
  depthStep = radius * 0.5 / DISTANCE;
}`;

const SHADE = `
vec4 shade(vec3 colour, vec3 normal, float cover) {
  float light = 0.66 + 0.16 * normal.y + 0.30 * max(0.0, dot(normal, vec3(-0.249, 0.797, 0.548)));
  return vec4(min(colour * light * 1.12, 1.0), cover);
}`;

const SPHERE = `#version 300 es
precision highp float;
uniform float least;  // cover from which a pixel is drawn
in vec3 colour;
in float depthStep;
out vec4 pixel;
${SHADE}
void main() {
  vec2 at = vec2(2.0, -2.0) * gl_PointCoord + vec2(-1.0, 1.0);
  float rest = 1.0 - dot(at, at);
  float cover = clamp(rest / fwidth(rest) + 0.5, 0.0, 1.0);  // smooth rims: becomes the sample mask
  if (cover <= least) discard;
  vec3 normal = vec3(at, sqrt(max(rest, 0.0)));
  gl_FragDepth = gl_FragCoord.z - depthStep * normal.z;
  pixel = shade(colour, normal, cover);
}`;

const SURFACE = `#version 300 es
precision highp float;
in vec3 colour, seen;
out vec4 pixel;
${SHADE}
void main() {
  vec3 normal = normalize(cross(dFdx(seen), dFdy(seen)));  // of the flat triangle
  gl_FragDepth = 0.5 - 0.5 * seen.z / ${data.distance.toFixed(3)};  // a triangle's own is not linear
  pixel = shade(colour, normal.z < 0.0 ? -normal : normal, 1.0);
}`;

function compile(kind, source) {
  const shader = gl.createShader(kind);
  gl.shaderSource(shader, source);
  gl.compileShader(shader);
  if (!gl.getShaderParameter(shader, gl.COMPILE_STATUS)) throw new Error(gl.getShaderInfoLog(shader));
  return shader;
}

function link(fragment) {  // a program, and where its uniforms are
  const program = gl.createProgram(), uniforms = {};
  gl.attachShader(program, compile(gl.VERTEX_SHADER, VERTEX));
  gl.attachShader(program, compile(gl.FRAGMENT_SHADER, fragment));
  gl.linkProgram(program);
  if (!gl.getProgramParameter(program, gl.LINK_STATUS)) throw new Error(gl.getProgramInfoLog(program));
  gl.useProgram(program);
  for (let index = 0; index < gl.getProgramParameter(program, gl.ACTIVE_UNIFORMS); index++) {
    const name = gl.getActiveUniform(program, index).name;
    uniforms[name.replace("[0]", "")] = gl.getUniformLocation(program, name);
  }
  gl.uniform3fv(uniforms.stops, data.stops.flat());
  gl.uniform3fv(uniforms.plain, data.plain);
  return { program, uniforms };
}

// smooth: what is drawn into where edges are smoothed; half: the indices of every second point
let spheres, surfaces, smooth, half;

function prepare() {
  spheres = link(SPHERE);
  surfaces = link(SURFACE);
  gl.enable(gl.DEPTH_TEST);
  gl.enable(gl.SCISSOR_TEST);
  smooth = { frame: gl.createFramebuffer(), parts: [], width: 0, height: 0 };
  half = gl.createBuffer();
  const most = Math.max(...data.clouds.map((cloud) => cloud.count));
  gl.bindBuffer(gl.ELEMENT_ARRAY_BUFFER, half);
  gl.bufferData(gl.ELEMENT_ARRAY_BUFFER, Uint32Array.from({ length: most / 2 + 1 }, (_, i) => 2 * i),
    gl.STATIC_DRAW);
  for (const body of bodies()) body.array = null;
}

// ---- the bytes of a body, which is a cloud or its surface: see lay ----

function bodies() { return data.clouds.flatMap((cloud) => (cloud.surface ? [cloud, cloud.surface] : [cloud])); }

function content(body) {
  body.content ??= Uint8Array.from(atob(body.bytes), (letter) => letter.charCodeAt(0));
  return body.content;
}

function attribute(name, kind, from) {
  const size = name === "light" ? 1 : 3, bytes = kind === gl.UNSIGNED_SHORT ? 2 : 1;
  gl.enableVertexAttribArray(ATTRIBUTES[name]);
  gl.vertexAttribPointer(ATTRIBUTES[name], size, kind, true, size * bytes, from);
}

function upload(body) {  // when it is first seen, so that a long gallery opens at once
  body.array = gl.createVertexArray();
  body.buffer = gl.createBuffer();
  gl.bindVertexArray(body.array);
  gl.bindBuffer(gl.ELEMENT_ARRAY_BUFFER, body.triangles ? gl.createBuffer() : half);
  if (body.triangles)
    gl.bufferData(gl.ELEMENT_ARRAY_BUFFER, content(body).subarray(body.at.rest), gl.STATIC_DRAW);
  gl.bindBuffer(gl.ARRAY_BUFFER, body.buffer);
  gl.bufferData(gl.ARRAY_BUFFER, content(body), gl.STATIC_DRAW);
  attribute("corner", gl.UNSIGNED_SHORT, 0);
  if (body.way) attribute("start", gl.UNSIGNED_SHORT, body.at.start);
  attribute("light", gl.UNSIGNED_BYTE, body.at.light);
  if (body.at.colours) attribute("given", gl.UNSIGNED_BYTE, body.at.colours);
}

const STRAIGHT = [0, 0, 0, 0, 0, 0];

function travel(body, uniforms, time) {  // sets what the shader needs to place the points at this time
  gl.uniform1f(uniforms.time, body.way ? time : 1);
  if (!body.way || time >= 1) return;
  const { start, bends } = body.way, pieces = bends.length + 1;
  const at = time * pieces, before = Math.min(Math.floor(at), pieces - 1);
  gl.uniform3fv(uniforms.startBox, start);
  gl.uniform1f(uniforms.share, at - before);
  gl.bindBuffer(gl.ARRAY_BUFFER, body.buffer);
  for (const [name, frame] of [["before", before], ["after", before + 1]]) {
    const bent = frame > 0 && frame < pieces;  // both ends lie on the straight line
    gl.uniform3fv(uniforms[name + "Box"], bent ? bends[frame - 1] : STRAIGHT);
    if (bent) attribute(name, gl.UNSIGNED_BYTE, body.at.rest + 3 * body.count * (frame - 1));
    else gl.disableVertexAttribArray(ATTRIBUTES[name]);
  }
}

// ---- one picture ----

function allocate(width, height) {
  Object.assign(smooth, { width, height });
  smooth.parts.forEach((part) => gl.deleteRenderbuffer(part));
  smooth.parts = [[gl.RGBA8, gl.COLOR_ATTACHMENT0], [gl.DEPTH_COMPONENT24, gl.DEPTH_ATTACHMENT]].map(
    ([format, place]) => {
      const part = gl.createRenderbuffer();
      gl.bindRenderbuffer(gl.RENDERBUFFER, part);
      gl.renderbufferStorageMultisample(gl.RENDERBUFFER, 4, format, width, height);
      gl.framebufferRenderbuffer(gl.FRAMEBUFFER, place, gl.RENDERBUFFER, part);
      return part;
    });
}

function begin(ratio, smoothly) {
  const width = Math.max(1, Math.round(canvas.clientWidth * ratio));
  const height = Math.max(1, Math.round(canvas.clientHeight * ratio));
  if (canvas.width !== width || canvas.height !== height) [canvas.width, canvas.height] = [width, height];
  gl.bindFramebuffer(gl.FRAMEBUFFER, smoothly ? smooth.frame : null);
  if (smoothly && (smooth.width !== width || smooth.height !== height)) allocate(width, height);
  if (smoothly) gl.enable(gl.SAMPLE_ALPHA_TO_COVERAGE); else gl.disable(gl.SAMPLE_ALPHA_TO_COVERAGE);
  gl.useProgram(spheres.program);
  gl.uniform1f(spheres.uniforms.least, smoothly ? 0 : 0.5);
  const paper = getComputedStyle(document.documentElement).backgroundColor.match(/[\d.]+/g);
  gl.scissor(0, 0, width, height);
  gl.colorMask(true, true, true, true);
  gl.clearColor(paper[0] / 255, paper[1] / 255, paper[2] / 255, 1);
  gl.clear(gl.COLOR_BUFFER_BIT | gl.DEPTH_BUFFER_BIT);
  gl.colorMask(true, true, true, false);  // the cover of a pixel is no transparency of the canvas
}

function finish(smoothly) {
  if (!smoothly) return;
  const { width, height } = canvas;
  gl.bindFramebuffer(gl.DRAW_FRAMEBUFFER, null);
  gl.scissor(0, 0, width, height);
  gl.colorMask(true, true, true, true);
  gl.blitFramebuffer(0, 0, width, height, 0, 0, width, height, gl.COLOR_BUFFER_BIT, gl.NEAREST);
  gl.invalidateFramebuffer(gl.READ_FRAMEBUFFER, [gl.COLOR_ATTACHMENT0, gl.DEPTH_ATTACHMENT]);
}

function viewMatrix(camera) {  // columns of a mat3 whose rows are right, up, back
  const a = camera.azimuth * Math.PI / 180, e = camera.elevation * Math.PI / 180;
  const [ca, sa, ce, se] = [Math.cos(a), Math.sin(a), Math.cos(e), Math.sin(e)];
  return [ca, -se * sa, sa * ce, 0, ce, se, -sa, -se * ca, ca * ce];
}

// area: of the view, CSS pixels; look: palette, size of points, time and whether surfaces are shown, as
// chosen, and whether half of the points, larger ones, may stand for all
function drawCloud(cloud, area, camera, look, ratio) {
  const body = look.surfaces && cloud.surface || cloud;
  const { program, uniforms } = body.triangles ? surfaces : spheres;
  if (!body.array) upload(body);
  gl.useProgram(program);
  const frame = [area.left, canvas.clientHeight - area.bottom, area.width, area.height]
    .map((length) => Math.round(length * ratio));
  gl.viewport(...frame);
  gl.scissor(...frame);
  gl.bindVertexArray(body.array);
  travel(body, uniforms, look.time);
  const palette = look.palette === "given" && !body.at.colours ? "position" : look.palette;
  gl.uniform1i(uniforms.palette, PALETTES.indexOf(palette));
  gl.uniform3fv(uniforms.low, body.low.map((low, axis) =>
    (low - cloud.low[axis] - cloud.side[axis] / 2) / data.largest));
  gl.uniform3fv(uniforms.box, body.side.map((side) => side / data.largest));
  gl.uniformMatrix3fv(uniforms.view, false, viewMatrix(camera));
  gl.uniform2f(uniforms.shift, camera.x, camera.y);
  gl.uniform1f(uniforms.radius, cloud.radius * look.size * (look.sparse ? Math.SQRT2 : 1));
  gl.uniform1f(uniforms.zoom, camera.zoom * Math.min(area.width, area.height) / area.height);
  gl.uniform1f(uniforms.pixels, area.height * ratio);
  gl.uniform1f(uniforms.aspect, area.width / area.height);
  if (body.triangles) {
    gl.drawElements(gl.TRIANGLES, 3 * body.triangles, body.wide ? gl.UNSIGNED_INT : gl.UNSIGNED_SHORT, 0);
  } else if (look.sparse) gl.drawElements(gl.POINTS, Math.ceil(cloud.count / 2), gl.UNSIGNED_INT, 0);
  else gl.drawArrays(gl.POINTS, 0, cloud.count);
}
