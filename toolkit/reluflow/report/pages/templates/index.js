"use strict";
// A click on a heading sorts its table by that column, another click turns the order round.
for (const button of document.querySelectorAll(".links thead button")) {
  button.addEventListener("click", () => {
    const head = button.closest("th");
    const at = [...head.parentNode.children].indexOf(head);
    const up = head.getAttribute("aria-sort") !== "ascending";
    for (const other of head.parentNode.children) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", up ? "ascending" : "descending");
    const body = head.closest("table").tBodies[0];
    const key = (row) => row.children[at].dataset.key ?? row.children[at].textContent;
    const order = (a, b) => {
      const [x, y] = [key(a), key(b)];
      const apart = x - y;
      return Number.isNaN(apart) ? x.localeCompare(y, undefined, { numeric: true }) : apart;
    };
    const rows = [...body.rows].sort((a, b) => (up ? order(a, b) : order(b, a)));
    body.append(...rows);
  });
}
