// ---------------------------------------------------------------- plot

const scored = views.flatMap((view, index) => (view.psnr ? [index] : []));
const colour = (view) => `var(--view-${view % 6})`;
const measure = () => document.querySelector("input[name=measure]:checked").value;
const area = { left: 44, right: 8, top: 12, height: 220, strip: 8 };

function svg(name, attributes, parent, text) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  if (text !== undefined) node.textContent = text;
  parent?.append(node);
  return node;
}

/** Scales of the plot: of frame numbers and of values, and the frame at a horizontal position. */
function scales() {
  const values = scored.flatMap((view) => views[view][measure()]).filter((value) => typeof value === "number");
  const width = Math.max(200, $("plot").clientWidth - area.left - area.right);
  const [low, high] = values.length ? [Math.min(...values), Math.max(...values)] : [0, 1];
  const margin = (high - low || (measure() === "psnr" ? 1 : 0.01)) * 0.08;
  const last = Math.max(1, data.total - 1);
  return {
    width, low: low - margin, high: high + margin,
    x: (frame) => area.left + (frame / last) * width,
    y: (value) => area.top + area.height * (1 - (value - low + margin) / (high - low + 2 * margin)),
    frame: (x) => Math.min(last, Math.max(0, Math.round(((x - area.left) / width) * last))),
  };
}

function ticks(low, high) {
  const raw = (high - low) / 4;
  const unit = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].find((factor) => factor * unit >= raw) * unit;
  const all = [];
  for (let value = Math.ceil(low / step) * step; value <= high; value += step) all.push(value);
  return [all, Math.max(0, -Math.floor(Math.log10(step) + 1e-9))];
}

function plot() {
  if (!scored.length) return;
  const scale = scales();
  const bottom = area.top + area.height;
  const root = svg("svg", { height: bottom + area.strip + 34, role: "img", "aria-label": `${measure().toUpperCase()} of every frame; the table has the means` });
  const [lines, digits] = ticks(scale.low, scale.high);
  for (const value of lines) {
    svg("line", { class: "grid", x1: area.left, x2: area.left + scale.width, y1: scale.y(value), y2: scale.y(value) }, root);
    svg("text", { x: area.left - 8, y: scale.y(value) + 4, "text-anchor": "end" }, root, value.toFixed(digits));
  }
  svg("text", { x: area.left, y: bottom + area.strip + 28 }, root, "0");
  svg("text", { x: area.left + scale.width, y: bottom + area.strip + 28, "text-anchor": "end" }, root, `frame ${data.total - 1}`);
  for (const view of scored) svg("path", { class: view === focus() ? "line" : "line faint", stroke: colour(view), d: path(views[view][measure()], scale) }, root);
  types(root, scale, bottom);
  for (const { index } of frames) svg("path", { class: "stored", d: `M${scale.x(index)} ${bottom + area.strip + 5}l4 7h-8z` }, root);
  for (const name of ["now", "cursor"]) svg("line", { class: name, y1: area.top, y2: bottom + area.strip, visibility: "hidden" }, root);
  $("plot").replaceChildren(root);
  plotNow();
}

/** The scored view that stands on the left, else on the right, else the first. */
const focus = () => [state.left, state.right].find((view) => scored.includes(view)) ?? scored[0];

function path(values, scale) {
  let pen = "M";
  return values.map((value, i) => {
    if (typeof value !== "number") { pen = "M"; return ""; }
    const point = `${pen}${scale.x(i * data.step).toFixed(1)} ${scale.y(value).toFixed(1)}`;
    pen = "L";
    return point;
  }).join("");
}

/** Dots on the view in focus and a strip below, coloured by frame type. */
function types(root, scale, bottom) {
  const one = scale.width / Math.max(1, data.total - 1);
  [...(data.types ?? "")].forEach((type, index) => {
    if (!"IPB".includes(type)) return;
    const fill = `var(--type-${type})`;
    const from = Math.max(area.left, scale.x(index) - one / 2);
    const to = Math.min(area.left + scale.width, scale.x(index) + one / 2);
    svg("rect", { class: "type", x: from, y: bottom + 2, width: Math.max(1, to - from), height: area.strip - 2, fill }, root);
    const value = views[focus()][measure()][index];
    if (one >= 3 && typeof value === "number") svg("circle", { cx: scale.x(index), cy: scale.y(value), r: one >= 6 ? 3 : 2, fill }, root);
  });
}

function plotLine(name, frame) {
  const line = $("plot").querySelector(`.${name}`);
  if (!line) return;
  const x = frame == null ? 0 : scales().x(frame);
  for (const end of ["x1", "x2"]) line.setAttribute(end, x);
  line.setAttribute("visibility", frame == null ? "hidden" : "visible");
}

const plotNow = () => plotLine("now", frames[state.frame].index);

function bindPlot() {
  $("plots").hidden = !scored.length;
  const at = (event) => scales().frame(event.clientX - $("plot").getBoundingClientRect().left);
  $("plot").addEventListener("pointermove", (event) => {
    const frame = at(event);
    const read = (view) => views[view][measure()][Math.floor(frame / data.step)];
    const text = (value) => (measure() === "psnr" ? `${decibels(value)} dB` : value == null ? "–" : Number(value).toFixed(4));
    const type = data.types?.[frame];
    plotLine("cursor", frame);
    $("plot-text").textContent = `Frame ${frame}${type && type !== "?" ? ` (${type})` : ""}: ` + scored.map((view) => `${views[view].label} ${text(read(view))}`).join(", ");
  });
  $("plot").addEventListener("pointerleave", () => { plotLine("cursor", null); $("plot-text").textContent = "\u00a0"; });
  $("plot").addEventListener("click", (event) => {
    const frame = at(event);
    const gaps = frames.map(({ index }) => Math.abs(index - frame));
    setFrame(gaps.indexOf(Math.min(...gaps)));
  });
  for (const input of document.querySelectorAll("input[name=measure]")) input.addEventListener("change", plot);
  legend();
}

function legend() {
  const add = (css, style, text) => {
    const entry = document.createElement("span");
    const mark = document.createElement("i");
    mark.className = css;
    Object.assign(mark.style, style);
    entry.append(mark, text);
    $("legend").append(entry);
  };
  for (const view of scored) add("", { background: colour(view) }, views[view].label);
  for (const type of "IPB") if (data.types?.includes(type)) add("dot", { background: `var(--type-${type})` }, `${type} frame of the input`);
  add("tick", {}, "stored picture; click the plot to go to the nearest");
}

// ---------------------------------------------------------------- table, profiles, overview

function table() {
  $("scores").hidden = !data.columns.length;
  const head = $("table").createTHead().insertRow();
  for (const title of ["", ...data.columns.map((column) => column.title)]) {
    head.append(Object.assign(document.createElement("th"), { scope: "col", textContent: title }));
  }
  const body = $("table").createTBody();
  for (const index of scored) {
    const row = body.insertRow();
    row.append(Object.assign(document.createElement("th"), { scope: "row", textContent: views[index].label }));
    data.columns.forEach(({ key, digits, higher }) => {
      const numbers = scored.map((view) => Number(views[view].scores[key] === "inf" ? Infinity : views[view].scores[key] ?? NaN));
      const value = numbers[scored.indexOf(index)];
      const cell = row.insertCell();
      cell.textContent = value === Infinity ? "∞" : Number.isNaN(value) ? "–" : value.toFixed(digits);
      const known = numbers.filter((number) => !Number.isNaN(number));
      if (scored.length > 1 && value === (higher ? Math.max(...known) : Math.min(...known))) cell.className = "best";
    });
  }
  $("scores-note").textContent = data.scores_note;
}

function profiles() {
  const { y, x, width, first, frames: count } = data.profile;
  $("profile-note").textContent = `Row ${y} of the picture, columns ${x} to ${x + width - 1}, in frames ${first} to ${first + count - 1} from top to bottom. ` +
    "A still scene gives straight lines; flicker shows as stripes, jitter as teeth.";
  for (const view of views) {
    const figure = document.createElement("figure");
    const picture = Object.assign(new Image(), { src: view.profile, alt: `Temporal profile of ${view.label}` });
    picture.style.aspectRatio = `${width} / ${Math.max(count, width / 3)}`;
    figure.append(picture, Object.assign(document.createElement("figcaption"), { textContent: view.label }));
    $("profile-list").append(figure);
  }
}

function overview() {
  $("place").hidden = !data.overview;
  if (!data.overview) return;
  $("overview-image").src = data.overview;
  const percent = (part, whole) => `${(100 * part) / whole}%`;
  Object.assign($("overview-box").style, {
    left: percent(crop.x, data.width), top: percent(crop.y, data.height),
    width: percent(crop.width, data.width), height: percent(crop.height, data.height),
  });
}

document.title = `${views.map((view) => view.label).join(" · ")} – comparison`;
$("summary").textContent = data.summary;
bindControls();
bindPointers();
bindKeys();
bindPlot();
table();
profiles();
overview();
resize();
setSplit(0.5);
setViews(state.left, state.right);
setFrame(0);
window.addEventListener("resize", resize);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
