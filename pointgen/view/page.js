// The page: what the camera, the choices and the clock ask to be drawn.

const large = $("#large"), stage = $("#large .view"), grid = $("main"), header = $("header");
const HOME = { azimuth: 135, elevation: 28, zoom: 1, x: 0, y: 0 };
const WAY_SECONDS = 4, SPIN_DEGREES = 30;  // a second
// While a picture moves, a machine that does not follow (one without a graphics card, say) goes down
// this list: device pixels for each CSS pixel at most, whether edges are smoothed, and whether every
// second point is left out.
const QUALITIES = [
  { most: 2, smoothly: true, sparse: false },
  { most: 1, smoothly: false, sparse: false },
  { most: 0.7, smoothly: false, sparse: false },
  { most: 0.6, smoothly: false, sparse: true },
];
const LATE = 40;  // milliseconds from one picture to the next

const camera = { ...HOME };
const pace = { quality: 0, late: 0, before: 0, until: 0, timer: 0 };
let enlarged = -1, waiting = false, playing = false;

function clamp(value, low, high) { return Math.min(high, Math.max(low, value)); }

// ---- when to draw ----

function request() {
  if (!waiting) { waiting = true; requestAnimationFrame(draw); }
}

function stir() {  // something moves now, and probably goes on for a moment
  pace.until = performance.now() + 150;
  request();
}

function settle() {  // nothing moves: the next picture is as good as it gets
  pace.until = 0;
  request();
}

function since(now) {  // milliseconds from the picture before; 0 if nothing moved then
  const passed = pace.before ? now - pace.before : 0;
  return passed < 1000 ? passed : 0;
}

function quality(now, moving) {
  if (moving && since(now)) {
    const late = Math.min(2, Math.floor(since(now) / LATE));
    pace.late = late ? pace.late + late : Math.max(0, pace.late - 1);
    if (pace.late >= 4 && pace.quality < QUALITIES.length - 1) {
      pace.quality += 1;
      pace.late = 0;
    }
  }
  pace.before = moving ? now : 0;
  clearTimeout(pace.timer);
  if (moving && pace.quality) pace.timer = setTimeout(settle, 200);
  return QUALITIES[moving ? pace.quality : 0];
}

function advance(now) {
  const seconds = Math.min(since(now), 100) / 1000;
  if ($("#spin").checked) camera.azimuth += SPIN_DEGREES * seconds;
  if (playing) setTime(Number($("#time").value) + seconds / WAY_SECONDS);
  if (playing && Number($("#time").value) >= 1) play(false);
  return $("#spin").checked || playing;
}

function draw(now) {
  waiting = false;
  const running = advance(now);
  const { most, smoothly, sparse } = quality(now, running || now < pace.until);
  const ratio = Math.min(window.devicePixelRatio || 1, most);
  const [palette, size, time] = ["#colour", "#size", "#time"].map((id) => $(id).value);
  const look = { palette, size: Number(size), time: Number(time), surfaces: $("#surfaces").checked, sparse };
  canvas.style.transform = `translate(${window.scrollX}px, ${window.scrollY}px)`;
  begin(ratio, smoothly);
  if (enlarged >= 0) drawCloud(data.clouds[enlarged], stage.getBoundingClientRect(), camera, look, ratio);
  else for (const cloud of data.clouds) {
    const area = cloud.view.getBoundingClientRect();
    if (area.bottom > 0 && area.top < canvas.clientHeight) drawCloud(cloud, area, camera, look, ratio);
  }
  finish(smoothly);
  if (running) request();
}

// ---- the way from noise to shape ----

function setTime(time) {
  $("#time").value = clamp(time, 0, 1);
  $("output").textContent = Number($("#time").value).toFixed(2);
}

function play(wanted) {
  if (wanted && Number($("#time").value) >= 1) setTime(0);
  playing = wanted;
  $("#play").textContent = playing ? "❚❚" : "▶\uFE0E";
  $("#play").setAttribute("aria-label", playing ? "Pause" : "Play");
  if (playing) request(); else settle();
}

// ---- turning, moving, zooming ----

const pointers = new Map();
let travelled = 0, spread = 0;

function distance() {
  const [a, b] = [...pointers.values()];
  return Math.hypot(a.x - b.x, a.y - b.y);
}

function down(event) {
  if (!pointers.size) travelled = 0;
  pointers.set(event.pointerId, { x: event.clientX, y: event.clientY });
  if (pointers.size === 2) spread = distance();
  event.target.setPointerCapture(event.pointerId);  // goes on where the pointer leaves the page
}

function move(event) {
  const before = pointers.get(event.pointerId);
  if (!before) return;
  const [dx, dy] = [event.clientX - before.x, event.clientY - before.y];
  travelled += Math.abs(dx) + Math.abs(dy);
  pointers.set(event.pointerId, { x: event.clientX, y: event.clientY });
  if (pointers.size === 2) {
    zoom(distance() / Math.max(spread, 1));
    spread = distance();
    shift(dx / 2, dy / 2);  // each finger has its half
  } else if (event.shiftKey || event.buttons & 6) {  // right or middle button
    shift(dx, dy);
  } else if (pointers.size === 1) {
    // a finger that moves along the gallery scrolls it; everything else may also tilt
    turn(-0.5 * dx, event.pointerType !== "touch" || enlarged >= 0 ? 0.5 * dy : 0);
  }
  stir();
}

function turn(azimuth, elevation) {
  camera.azimuth += azimuth;
  camera.elevation = clamp(camera.elevation + elevation, -90, 90);
}

function zoom(factor) {
  camera.zoom = clamp(camera.zoom * factor, 0.2, 20);
}

function shift(dx, dy) {  // the middle of the scene follows the pointer
  const { width, height } = (enlarged >= 0 ? stage : data.clouds[0].view).getBoundingClientRect();
  const unit = MARGIN / data.reach * camera.zoom * Math.min(width, height) / 2;
  camera.x += dx / unit;
  camera.y -= dy / unit;
}

function up(event) {
  if (!pointers.delete(event.pointerId) || event.type === "pointercancel" || travelled > 6) return;
  const card = event.target.closest(".card");
  if (card && event.button === 0) enlarge([...grid.children].indexOf(card));
}

function wheel(event) {
  // in a gallery that scrolls, the wheel scrolls it, unless Ctrl is held (as a trackpad's pinch does)
  const scrolls = document.documentElement.scrollHeight > window.innerHeight + 1;
  if (enlarged < 0 && scrolls && !event.ctrlKey) return;
  event.preventDefault();
  const lines = event.deltaMode === 1 ? 30 : 1;
  zoom(Math.exp(-event.deltaY * lines * (event.ctrlKey ? 0.01 : 0.0015)));
  stir();
}

const KEYS = {
  "+": () => zoom(1.25), "=": () => zoom(1.25), "-": () => zoom(0.8), 0: () => reset(),
  ShiftArrowLeft: () => turn(-5, 0), ShiftArrowRight: () => turn(5, 0),
  ShiftArrowUp: () => turn(0, 5), ShiftArrowDown: () => turn(0, -5),
};
const KEYS_ENLARGED = {
  Escape: () => enlarge(-1),
  ArrowLeft: () => enlarge(enlarged - 1 + data.clouds.length),
  ArrowRight: () => enlarge(enlarged + 1),
};

function key(event) {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const { target } = event, name = (event.shiftKey && event.key.length > 1 ? "Shift" : "") + event.key;
  const card = target.closest?.(".card"), slides = target.matches?.("input[type=range]");
  if (!slides && target.closest?.("select, input")) return;
  if (event.key === " ") {
    if ($("#way").hidden || target.closest?.("button")) return;
    play(!playing);
  } else if (slides) return;
  else if (enlarged < 0 && card && name === "Enter") enlarge([...grid.children].indexOf(card));
  else if (enlarged >= 0 && KEYS_ENLARGED[name]) KEYS_ENLARGED[name]();
  else if (KEYS[name]) { KEYS[name](); stir(); }
  else return;
  event.preventDefault();
}

function reset() {
  Object.assign(camera, HOME);
  settle();
}

// ---- one shape ----

function caption(index) { return data.clouds[index].caption || `shape ${index + 1}`; }

function enlarge(index) {
  const from = enlarged;
  enlarged = index < 0 ? -1 : index % data.clouds.length;
  large.hidden = enlarged < 0;
  document.body.classList.toggle("enlarged", enlarged >= 0);
  if (enlarged >= 0) {
    $("#shape").value = enlarged;
    if (from < 0) large.focus();
  } else if (from >= 0) grid.children[from].focus({ preventScroll: true });
  pace.quality = 0;  // more or fewer points than before
  fit();
}

function fit() {
  large.style.top = `${header.offsetHeight}px`;
  settle();
}

function ply(body) {  // in data units, as exact as the page is
  const { count, low, side, at, triangles = 0 } = body, bytes = content(body);
  const names = at.colours ? ["red", "green", "blue"] : [];
  const head = new TextEncoder().encode([
    "ply", "format binary_little_endian 1.0", `element vertex ${count}`,
    ...["x", "y", "z"].map((name) => `property float ${name}`),
    ...names.map((name) => `property uchar ${name}`),
    ...(triangles ? [`element face ${triangles}`, "property list uchar uint vertex_indices"] : []),
    "end_header", ""].join("\n"));
  const stride = 12 + names.length;
  const file = new Uint8Array(head.length + stride * count + 13 * triangles);
  const from = new DataView(bytes.buffer), to = new DataView(file.buffer, head.length);
  file.set(head);
  for (let point = 0; point < count; point++) {
    for (let axis = 0; axis < 3; axis++) {
      const share = from.getUint16(6 * point + 2 * axis, true) / 65535;
      to.setFloat32(stride * point + 4 * axis, low[axis] + share * side[axis], true);
    }
    for (let channel = 0; channel < names.length; channel++)
      to.setUint8(stride * point + 12 + channel, bytes[at.colours + 3 * point + channel]);
  }
  for (let triangle = 0; triangle < triangles; triangle++) {
    const place = stride * count + 13 * triangle;
    to.setUint8(place, 3);
    for (let corner = 0; corner < 3; corner++) {
      const number = 3 * triangle + corner;
      const vertex = body.wide ? from.getUint32(at.rest + 4 * number, true)
        : from.getUint16(at.rest + 2 * number, true);
      to.setUint32(place + 1 + 4 * corner, vertex, true);
    }
  }
  return file;
}

function download() {
  const link = document.createElement("a");
  const cloud = data.clouds[enlarged];
  link.href = URL.createObjectURL(new Blob([ply($("#surfaces").checked && cloud.surface || cloud)]));
  link.download = caption(enlarged).replace(/[^\p{L}\p{N} ()+,.-]/gu, "_").replace(/^\./, "_") + ".ply";
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

// ---- filling the page ----

function follow() {  // #azimuth=30&elevation=20&zoom=1.5&shape=2&time=0.5
  const wanted = new URLSearchParams(location.hash.slice(1));
  const number = (name) => parseFloat(wanted.get(name));
  for (const name of ["azimuth", "elevation", "zoom"])
    if (Number.isFinite(number(name))) camera[name] = number(name);
  if (Number.isFinite(number("time"))) setTime(number("time"));
  const shape = Math.trunc(number("shape"));
  if (shape >= 1 && shape <= data.clouds.length) enlarge(shape - 1);
  settle();
}

// where the bytes of a body begin: after the places the start of a way, light, colours, and the rest,
// which are the bends of a way or the triangles of a surface
function lay(body) {
  const { count, way, coloured } = body;
  const light = (way ? 12 : 6) * count;
  const colours = coloured ? light + count : 0;
  body.at = { start: 6 * count, light, colours, rest: light + (coloured ? 4 : 1) * count };
}

function card(cloud, index, captioned) {
  const card = document.createElement("div"), name = document.createElement("div");
  cloud.view = document.createElement("div");
  card.className = "card"; cloud.view.className = "view"; name.className = "name";
  card.tabIndex = 0;
  card.setAttribute("role", "button");
  card.setAttribute("aria-label", `Enlarge ${caption(index)}`);
  name.textContent = name.title = cloud.caption;
  card.append(cloud.view);
  if (captioned) card.append(name);
  return card;
}

function fill() {
  const points = data.clouds.reduce((sum, cloud) => sum + cloud.count, 0);
  const shapes = data.clouds.length;
  $("#count").textContent = `${shapes} shape${shapes === 1 ? "" : "s"}, ${points.toLocaleString("en")} points`;
  grid.classList.toggle("few", shapes <= 4);
  const captioned = data.clouds.some((cloud) => cloud.caption);
  bodies().forEach(lay);
  data.clouds.forEach((cloud, index) => {
    grid.append(card(cloud, index, captioned));
    $("#shape").append(new Option(caption(index), index));
  });
  for (const id of ["#last", "#next", "#shape"]) $(id).hidden = shapes === 1;
  $("#way").hidden = !data.clouds.some((cloud) => cloud.way);
  $("#surfaces").parentElement.hidden = !data.clouds.some((cloud) => cloud.surface);
  if (data.clouds.some((cloud) => cloud.coloured)) $("#colour").value = "given";
  else $("#colour option[value=given]").remove();
  if (data.palette) $("#colour").value = data.palette;
}

function listen() {
  const on = (place, kinds, action, options) =>
    kinds.split(" ").forEach((kind) => place.addEventListener(kind, action, options));
  for (const place of [grid, stage]) {
    on(place, "pointerdown", down);
    on(place, "wheel", wheel, { passive: false });
    on(place, "contextmenu", (event) => event.preventDefault());  // the right button moves
    on(place, "mousedown", (event) => { if (event.button === 1) event.preventDefault(); });
  }
  on(window, "pointermove", move);
  on(window, "pointerup pointercancel", up);
  on(window, "keydown", key);
  on(window, "scroll", stir, { passive: true });
  on(window, "resize", fit);
  on(window, "hashchange", follow);
  on(window.matchMedia("(prefers-color-scheme: dark)"), "change", settle);
  on($("#size"), "input", stir);
  on($("#colour"), "input", settle);
  on($("#spin"), "input", settle);
  on($("#surfaces"), "input", settle);
  on($("#time"), "input", () => { playing && play(false); setTime(Number($("#time").value)); stir(); });
  on($("#play"), "click", () => play(!playing));
  on($("#reset"), "click", reset);
  on($("#close"), "click", () => enlarge(-1));
  on($("#next"), "click", KEYS_ENLARGED.ArrowRight);
  on($("#last"), "click", KEYS_ENLARGED.ArrowLeft);
  on($("#shape"), "input", () => enlarge(Number($("#shape").value)));
  on($("#download"), "click", download);
  on(canvas, "webglcontextlost", (event) => event.preventDefault());
  on(canvas, "webglcontextrestored", () => { prepare(); settle(); });
}

if (gl) {
  fill(); play(false); prepare(); listen(); follow();
} else {
  for (const part of ["header", "main", "footer", "canvas"]) $(part).hidden = true;
  $("#trouble").hidden = false;
}
