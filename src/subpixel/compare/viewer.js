const data = JSON.parse(document.getElementById("data").textContent);
const $ = (id) => document.getElementById(id);
const { views, frames, crop } = data;
const reference = views.findIndex((view) => view.reference);
const state = { left: 0, right: reference, frame: 0, split: 0.5, zoom: 1, x: crop.width / 2, y: crop.height / 2 };
const names = views.map((view) => view.label + (view.reference ? " (reference)" : ""));
const decibels = (value) => (value === "inf" ? "∞" : value == null ? "–" : value.toFixed(2));

// ---------------------------------------------------------------- pictures

const canvas = $("picture");
const context = canvas.getContext("2d", { alpha: false });
const images = new Map();
const shown = { left: null, right: null };

/** The decoded picture of a view at a stored frame; decoded once, the furthest ones are dropped. */
function image(view, frame) {
  const key = `${view}/${frame}`;
  if (!images.has(key)) {
    const picture = new Image();
    picture.src = views[view].images[frame];
    images.set(key, picture.decode().then(() => picture));
    if (images.size > 24) images.delete(images.keys().next().value);
  }
  return images.get(key);
}

async function load() {
  const { left, right, frame } = state;
  const pair = await Promise.all([image(left, frame), image(right, frame)]);
  if (state.left !== left || state.right !== right || state.frame !== frame) return;
  [shown.left, shown.right] = pair;
  draw();
  document.body.dataset.frame = frame;
  if (frame + 1 < frames.length) for (const view of [left, right]) image(view, frame + 1);
}

/** Canvas pixels per picture pixel that show the whole picture. */
const fitZoom = () => Math.min(canvas.width / crop.width, canvas.height / crop.height);

/** Whole factors show every pixel as a square; others, which would make some pixels larger than others, are smoothed. */
const smooth = () => !Number.isInteger(state.zoom);

/** Top left corner of the picture on the canvas; a picture larger than the canvas leaves no gap. */
function corner() {
  const place = (centre, length, space) => {
    const size = length * state.zoom;
    if (size <= space) return (space - size) / 2;
    return Math.min(0, Math.max(space - size, space / 2 - centre * state.zoom));
  };
  return [Math.round(place(state.x, crop.width, canvas.width)), Math.round(place(state.y, crop.height, canvas.height))];
}

function draw() {
  if (!shown.left) return;
  const { width, height } = canvas;
  const [x, y] = corner();
  const edge = Math.round(state.split * width);
  context.fillStyle = getComputedStyle($("stage")).backgroundColor;
  context.fillRect(0, 0, width, height);
  context.imageSmoothingEnabled = smooth();
  context.imageSmoothingQuality = "high";
  for (const [picture, from, to] of [[shown.left, 0, edge], [shown.right, edge, width]]) {
    context.save();
    context.beginPath();
    context.rect(from, 0, to - from, height);
    context.clip();
    context.drawImage(picture, x, y, crop.width * state.zoom, crop.height * state.zoom);
    context.restore();
  }
}

function resize() {
  const ratio = window.devicePixelRatio || 1;
  const width = Math.round($("stage").clientWidth * ratio);
  const wanted = (crop.height * width) / crop.width;
  const wasFit = !canvas.dataset.ready || state.zoom <= fitZoom();
  canvas.width = width;
  const room = Math.max(160, window.innerHeight * 0.5, window.innerHeight - 250); // the controls stay in sight
  canvas.height = Math.round(Math.min(wanted, room * ratio));
  $("stage").style.height = `${canvas.height / ratio}px`;
  canvas.dataset.ready = "yes";
  if (wasFit) state.zoom = fitZoom();
  setZoom(state.zoom);
  plot();
}

// ---------------------------------------------------------------- state

function setFrame(frame) {
  state.frame = Math.min(frames.length - 1, Math.max(0, frame));
  const { index, type, seconds } = frames[state.frame];
  const parts = [`Frame ${index} / ${data.total - 1}`, type, seconds != null && `${seconds.toFixed(2)} s`];
  $("frame").value = state.frame;
  $("frame").setAttribute("aria-valuetext", parts.filter(Boolean).join(", "));
  $("frame-text").textContent = parts.filter(Boolean).join(" · ");
  $("previous").disabled = state.frame === 0;
  $("next").disabled = state.frame === frames.length - 1;
  tags();
  plotNow();
  load();
}

function setViews(left, right) {
  Object.assign(state, { left, right });
  $("left").value = left;
  $("right").value = right;
  tags();
  plot();
  load();
}

function setSplit(split) {
  state.split = Math.min(1, Math.max(0, split));
  const percent = Math.round(state.split * 100);
  $("split").style.left = `${state.split * 100}%`;
  $("split").setAttribute("aria-valuenow", percent);
  $("split").setAttribute("aria-valuetext", `${percent} % left, ${100 - percent} % right`);
  draw();
}

/** Zoom so that the picture point under (px, py) of the canvas stays there. */
function setZoom(zoom, px = canvas.width / 2, py = canvas.height / 2) {
  const [x, y] = corner();
  const [left, top] = [(px - x) / state.zoom, (py - y) / state.zoom];
  state.zoom = Math.min(64, Math.max(fitZoom(), zoom));
  moveTo(left + (canvas.width / 2 - px) / state.zoom, top + (canvas.height / 2 - py) / state.zoom);
  $("zoom-text").textContent = `${Math.round(state.zoom * 100)} %`;
  $("zoom-text").title = smooth() ? "smoothed; whole factors show the pixels" : "pixel for pixel";
  $("stage").classList.toggle("zoomed", state.zoom > fitZoom());
}

/** Centre the view on a picture point, as far as the borders allow. */
function moveTo(x, y) {
  const inside = (value, length, space) => {
    const half = space / 2 / state.zoom;
    return length <= 2 * half ? length / 2 : Math.min(length - half, Math.max(half, value));
  };
  state.x = inside(x, crop.width, canvas.width);
  state.y = inside(y, crop.height, canvas.height);
  draw();
}

function stepZoom(direction, px, py) {
  const ladder = [0.25, 0.33, 0.5, 1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64];
  const next = direction > 0 ? ladder.find((z) => z > state.zoom * 1.001) : ladder.findLast((z) => z < state.zoom * 0.999);
  setZoom(next ?? (direction > 0 ? 64 : fitZoom()), px, py);
}

function tags() {
  for (const side of ["left", "right"]) {
    const view = views[state[side]];
    const value = view.stored && view.stored[state.frame];
    $(`${side}-tag`).textContent = names[state[side]] + (value == null ? "" : `  ${decibels(value)} dB`);
  }
  canvas.setAttribute("aria-label", `Left: ${$("left-tag").textContent}. Right: ${$("right-tag").textContent}.`);
}

// ---------------------------------------------------------------- pointers and keys

const toCanvas = (event) => {
  const box = canvas.getBoundingClientRect();
  return [((event.clientX - box.left) / box.width) * canvas.width, ((event.clientY - box.top) / box.height) * canvas.height];
};

function bindPointers() {
  const fingers = new Map();
  const follow = (event) => setSplit(toCanvas(event)[0] / canvas.width);
  const knob = $("split");
  knob.addEventListener("pointerdown", (event) => { knob.setPointerCapture(event.pointerId); event.preventDefault(); knob.focus({ focusVisible: false }); });
  knob.addEventListener("pointermove", (event) => { if (knob.hasPointerCapture(event.pointerId)) follow(event); });

  canvas.addEventListener("pointerdown", (event) => {
    canvas.setPointerCapture(event.pointerId);
    fingers.set(event.pointerId, toCanvas(event));
    if (fingers.size > 1 || state.zoom > fitZoom()) $("stage").classList.add("panning");
    else follow(event);
  });
  canvas.addEventListener("pointermove", (event) => {
    readPixel(event);
    if (!fingers.has(event.pointerId)) return;
    const before = [...fingers.values()];
    fingers.set(event.pointerId, toCanvas(event));
    const after = [...fingers.values()];
    if (after.length >= 2) pinch(before, after);
    else if (!$("stage").classList.contains("panning")) follow(event);
    else moveTo(state.x - (after[0][0] - before[0][0]) / state.zoom, state.y - (after[0][1] - before[0][1]) / state.zoom);
  });
  for (const name of ["pointerup", "pointercancel"]) {
    canvas.addEventListener(name, (event) => {
      if (fingers.size === 2 && state.zoom > 1) setZoom(Math.max(fitZoom(), Math.round(state.zoom)));
      fingers.delete(event.pointerId);
      if (fingers.size === 0) $("stage").classList.remove("panning");
    });
  }
  canvas.addEventListener("pointerleave", () => { $("pixel").textContent = "\u00a0"; });
  canvas.addEventListener("dblclick", (event) => setZoom(state.zoom > fitZoom() ? fitZoom() : Math.max(4, 2 * fitZoom()), ...toCanvas(event)));
  $("stage").addEventListener("wheel", wheel, { passive: false });
}

function pinch([a, b], [c, d]) {
  const spread = (p, q) => Math.hypot(p[0] - q[0], p[1] - q[1]) || 1;
  const middle = (p, q) => [(p[0] + q[0]) / 2, (p[1] + q[1]) / 2];
  const [from, to] = [middle(a, b), middle(c, d)];
  moveTo(state.x - (to[0] - from[0]) / state.zoom, state.y - (to[1] - from[1]) / state.zoom);
  setZoom((state.zoom * spread(c, d)) / spread(a, b), ...to);
}

let wheeled = 0;
function wheel(event) {
  // Scrolling down over the whole picture scrolls the page, as it would anywhere else.
  if (event.deltaY > 0 && state.zoom <= fitZoom() && !event.ctrlKey) return;
  event.preventDefault();
  wheeled += event.deltaY;
  if (Math.abs(wheeled) < 40) return;
  stepZoom(-wheeled, ...toCanvas(event));
  wheeled = 0;
}

const probe = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
function readPixel(event) {
  if (event.pointerType !== "mouse" || !shown.left) return;
  const [px, py] = toCanvas(event);
  const [x, y] = corner();
  const [column, row] = [Math.floor((px - x) / state.zoom), Math.floor((py - y) / state.zoom)];
  if (column < 0 || row < 0 || column >= crop.width || row >= crop.height) { $("pixel").textContent = "\u00a0"; return; }
  const [left, right] = [shown.left, shown.right].map((picture) => {
    probe.drawImage(picture, column, row, 1, 1, 0, 0, 1, 1);
    return [...probe.getImageData(0, 0, 1, 1).data.slice(0, 3)].join(" ");
  });
  $("pixel").textContent = `x ${column + crop.x}, y ${row + crop.y}: left RGB ${left}, right RGB ${right}`;
}

function bindKeys() {
  const act = {
    ArrowLeft: (event) => (event.shiftKey ? setSplit(state.split - 0.02) : setFrame(state.frame - 1)),
    ArrowRight: (event) => (event.shiftKey ? setSplit(state.split + 0.02) : setFrame(state.frame + 1)),
    "+": () => stepZoom(1), "=": () => stepZoom(1), "-": () => stepZoom(-1), 0: () => setZoom(fitZoom()),
    x: () => setViews(state.right, state.left),
    " ": () => setSplit(state.split === 1 ? 0 : 1),
  };
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("select, input")) return;
    if (event.key === " " && event.target.closest("button, summary, .scroll")) return;
    const digit = /^Digit([1-9])$/.exec(event.code);
    if (digit && digit[1] <= views.length) {
      const view = digit[1] - 1;
      setViews(event.shiftKey ? state.left : view, event.shiftKey ? view : state.right);
    } else if (event.target === $("split") && splitKey(event)) {
      event.preventDefault();
    } else if (act[event.key] && !event.target.closest(".scroll")) {
      act[event.key](event);
      event.preventDefault();
    }
  });
}

function splitKey({ key }) {
  const to = { ArrowLeft: state.split - 0.02, ArrowRight: state.split + 0.02, Home: 0, End: 1 }[key];
  if (to !== undefined) setSplit(to);
  return to !== undefined;
}

function bindControls() {
  for (const side of ["left", "right"]) {
    names.forEach((name, index) => $(side).add(new Option(name, index)));
    $(side).addEventListener("change", () => setViews(Number($("left").value), Number($("right").value)));
  }
  $("frame").max = frames.length - 1;
  $("frame").addEventListener("input", () => setFrame(Number($("frame").value)));
  $("previous").addEventListener("click", () => setFrame(state.frame - 1));
  $("next").addEventListener("click", () => setFrame(state.frame + 1));
  $("swap").addEventListener("click", () => setViews(state.right, state.left));
  $("in").addEventListener("click", () => stepZoom(1));
  $("out").addEventListener("click", () => stepZoom(-1));
  $("fit").addEventListener("click", () => setZoom(fitZoom()));
}
