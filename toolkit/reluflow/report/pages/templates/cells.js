"use strict";
const data = JSON.parse(document.getElementById("data").textContent);
const plane = document.getElementById("plane");
const about = document.getElementById("about");
const boxes = [...document.querySelectorAll("input[data-switch]")];
const make = (name, attributes, parent) => {
  const node = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  parent.append(node);
  return node;
};
const cells = data.polygons.map((polygon, i) =>
  make("path", { d: `M${polygon}z`, "data-cell": i }, plane));
for (const [x1, y1, x2, y2] of data.boundary)
  make("line", { x1, y1, x2, y2, stroke: "#000", "stroke-width": 2, "pointer-events": "none" }, plane);
for (const [x, y] of data.points)
  make("path", { d: `M${x},${y}h0`, stroke: "#fff", "stroke-linecap": "round",
    style: "stroke-width: 9px", "pointer-events": "none" }, plane);

function colour() {
  const chosen = boxes.filter((box) => box.checked).map((box) => Number(box.dataset.switch));
  cells.forEach((cell, i) => {
    // As pattern_shades does: one pattern has one colour in the pictures and here.
    const shade = chosen.reduce((sum, k, n) =>
      sum ^ (data.shades[i][k] * (2 * n + 1) % data.palette.length), 0);
    cell.style.fill = cell.style.stroke = data.palette[shade];
  });
}
boxes.forEach((box) => box.addEventListener("change", colour));
colour();

let marked = null;
plane.addEventListener("pointermove", (event) => {
  const cell = event.target.closest("path[data-cell]");
  if (cell === marked) return;
  if (marked) { marked.classList.remove("on"); marked.style.stroke = marked.style.fill; }
  marked = cell;
  if (!cell) return;
  cell.classList.add("on");
  cell.style.stroke = "#000";
  about.textContent = data.about[Number(cell.dataset.cell)];
});

let view = [-1, -1, 2, 2];
const show = () => plane.setAttribute("viewBox", view.join(" "));
const place = (event) => {
  const box = plane.getBoundingClientRect();
  return [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height];
};
plane.addEventListener("wheel", (event) => {
  event.preventDefault();
  const [x, y] = place(event);
  const size = Math.min(2, Math.max(1e-6, view[2] * Math.exp(event.deltaY / 400)));
  view = [view[0] + x * (view[2] - size), view[1] + y * (view[3] - size), size, size];
  show();
}, { passive: false });
let held = null;
plane.addEventListener("pointerdown", (event) => { held = [place(event), view]; });
window.addEventListener("pointerup", () => { held = null; });
plane.addEventListener("pointermove", (event) => {
  if (!held) return;
  const [x, y] = place(event), [[x0, y0], old] = held;
  view = [old[0] - (x - x0) * old[2], old[1] - (y - y0) * old[3], old[2], old[3]];
  show();
});
plane.addEventListener("dblclick", () => { view = [-1, -1, 2, 2]; show(); });
