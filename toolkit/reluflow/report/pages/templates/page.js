"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const tip = document.getElementById("tip");
  const svgSpace = "http://www.w3.org/2000/svg";
  const alphabet = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-_";
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  const make = (tag, text = "") => Object.assign(document.createElement(tag), { textContent: text });
  document.documentElement.classList.add("js");

  // One tooltip for everything; it keeps inside the window.
  function showTip(parts, x, y) {
    tip.replaceChildren(...parts);
    tip.hidden = false;
    const box = tip.getBoundingClientRect();
    const left = x + 16 + box.width > innerWidth ? x - 16 - box.width : x + 16;
    const top = y + 16 + box.height > innerHeight ? y - 16 - box.height : y + 16;
    tip.style.left = `${Math.max(4, left)}px`;
    tip.style.top = `${Math.max(4, top)}px`;
  }
  const hideTip = () => { tip.hidden = true; };

  // Charts over sites: the same site is marked in all of them.
  const plots = all(".plot");
  const cursors = plots.map((plot) => {
    const cursor = make("span");
    cursor.className = "cursor";
    cursor.hidden = true;
    plot.append(cursor);
    return cursor;
  });
  let current = -1;
  function mark(index) {
    current = index;
    const n = data.sites.length;
    for (const cursor of cursors) {
      cursor.hidden = index < 0;
      cursor.style.display = index < 0 ? "none" : "";
      cursor.style.left = `${(100 * index) / n}%`;
      cursor.style.width = `${100 / n}%`;
    }
  }
  function siteTip(index, x, y) {
    const site = data.sites[index];
    const rows = site.tip.map((value, i) => {
      const row = make("div");
      row.append(make("span", data.labels[i]), make("b", value));
      return row;
    });
    showTip([make("strong", `${index + 1}  ${site.name}`), make("em", site.sub), ...rows], x, y);
  }
  function openSite(index) {
    const item = document.getElementById(`site-${index + 1}`);
    if (!item) return;
    item.hidden = false;
    for (const details of all(":scope > details", item)) details.open = true;
    history.replaceState(null, "", `#site-${index + 1}`);
    item.scrollIntoView({ block: "start" });
  }
  function clear() { mark(-1); hideTip(); }
  for (const plot of plots) {
    const at = (event) => {
      const box = plot.getBoundingClientRect();
      const n = data.sites.length;
      return Math.min(n - 1, Math.max(0, Math.floor(((event.clientX - box.left) / box.width) * n)));
    };
    let touched = false;
    plot.addEventListener("pointermove", (event) => { mark(at(event)); siteTip(current, event.clientX, event.clientY); });
    plot.addEventListener("pointerdown", (event) => { touched = event.pointerType === "touch"; mark(at(event)); siteTip(current, event.clientX, event.clientY); });
    plot.addEventListener("pointerleave", clear);
    plot.addEventListener("click", (event) => { if (!touched) { const index = at(event); clear(); openSite(index); } });
    plot.addEventListener("blur", clear);
    plot.addEventListener("keydown", (event) => {
      const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
      const n = data.sites.length;
      if (step) {
        mark(current < 0 ? (step > 0 ? 0 : n - 1) : Math.min(n - 1, Math.max(0, current + step)));
        const box = plot.getBoundingClientRect();
        siteTip(current, box.left + (box.width * (current + 0.5)) / n, box.top);
        event.preventDefault();
      } else if (event.key === "Enter" && current >= 0) {
        const index = current;
        clear();
        openSite(index);
      } else if (event.key === "Escape") clear();
    });
  }
  mark(-1);

  // Cells: units of a site, bits of a pattern. Drawn when a site is opened.
  const cell = (i, columns) => `M${i % columns} ${Math.floor(i / columns)}h.88v.88h-.88z`;
  const columnsOf = (n, place) => {
    const room = place.clientWidth / 7;
    const fitting = [128, 64, 32, 16].filter((c) => c <= room && (c < 128 || n > 1024));
    return Math.min(n, fitting[0] || 16);
  };
  function drawing(n, columns, paths, size) {
    const rows = Math.ceil(n / columns);
    const svg = document.createElementNS(svgSpace, "svg");
    svg.setAttribute("viewBox", `0 0 ${columns} ${rows}`);
    svg.setAttribute("width", columns * size);
    svg.setAttribute("aria-hidden", "true");
    for (const [attribute, value, indices] of paths) {
      if (!indices.length) continue;
      const path = document.createElementNS(svgSpace, "path");
      if (attribute === "style") path.style.fill = value;
      else path.setAttribute(attribute, value);
      path.setAttribute("d", indices.map((i) => cell(i, columns)).join(""));
      svg.append(path);
    }
    return svg;
  }
  const ramp = data.ramp;
  function shareOf(site, i) {
    return (alphabet.indexOf(site.shares[2 * i]) * 64 + alphabet.indexOf(site.shares[2 * i + 1])) / 4095;
  }
  function fill(share) {
    if (share === 0) return "var(--red)";
    if (share === 1) return "var(--pink)";
    return ramp[Math.round(share * (ramp.length - 1))];
  }
  function drawUnits(place, site) {
    const groups = new Map();
    for (let i = 0; i < site.units; i++) {
      const color = fill(shareOf(site, i));
      if (!groups.has(color)) groups.set(color, []);
      groups.get(color).push(i);
    }
    const columns = columnsOf(site.units, place);
    const svg = drawing(site.units, columns, [...groups].map(([color, indices]) => ["style", color, indices]), site.units > 32 ? 12 : 16);
    svg.addEventListener("pointermove", (event) => {
      const box = svg.getBoundingClientRect();
      const size = box.width / columns;
      const i = Math.floor((event.clientY - box.top) / size) * columns + Math.floor((event.clientX - box.left) / size);
      if (i < 0 || i >= site.units) return hideTip();
      const share = shareOf(site, i);
      const text = share === 0 ? "never active" : share === 1 ? "always active" : `active in ${(100 * share).toFixed(1)} % of the samples`;
      return showTip([make("strong", `unit ${i}`), make("span", text)], event.clientX, event.clientY);
    });
    svg.addEventListener("pointerleave", hideTip);
    place.append(svg);
  }
  function drawBits(place, site) {
    const digits = site.bits[Number(place.dataset.bits)];
    const on = [];
    const off = [];
    for (let i = 0; i < site.units; i++) {
      ((parseInt(digits[i >> 2], 16) >> (3 - (i & 3))) & 1 ? on : off).push(i);
    }
    place.append(drawing(site.units, columnsOf(site.units, place), [["class", "on", on], ["class", "off", off]], site.units > 32 ? 10 : 14));
  }
  function draw(item) {
    if (item.dataset.drawn) return;
    item.dataset.drawn = "1";
    const site = data.sites[Number(item.dataset.site)];
    for (const place of all("[data-units]", item)) drawUnits(place, site);
    for (const place of all("[data-bits]", item)) drawBits(place, site);
  }
  const items = all(".flow > li");
  for (const item of items) {
    for (const details of all(":scope > details", item)) {
      details.addEventListener("toggle", () => { if (details.open) draw(item); });
      if (details.open) draw(item);
    }
  }

  // Tools of the graph section.
  const setAll = (open) => { for (const details of all(".flow > li:not([hidden]) > details")) details.open = open; };
  document.getElementById("open-all")?.addEventListener("click", () => setAll(true));
  document.getElementById("close-all")?.addEventListener("click", () => setAll(false));
  document.getElementById("filter")?.addEventListener("input", (event) => {
    const wanted = event.target.value.trim().toLowerCase();
    for (const item of items) {
      const site = data.sites[Number(item.dataset.site)];
      item.hidden = !`${site.name} ${site.sub}`.toLowerCase().includes(wanted);
    }
    const left = items.filter((item) => !item.hidden).length;
    document.getElementById("shown").textContent = wanted ? `${left} of ${items.length} sites` : "";
  });
  function followHash() {
    const match = /^#site-(\d+)$/.exec(location.hash);
    if (match) openSite(Number(match[1]) - 1);
  }
  addEventListener("hashchange", followHash);
  followHash();
  let closed = [];
  addEventListener("beforeprint", () => {
    closed = all(".flow > li > details:not([open])");
    for (const details of closed) { details.open = true; draw(details.parentElement); }
  });
  addEventListener("afterprint", () => { for (const details of closed) details.open = false; });

  // Sortable table: numbers by value, missing ones last.
  for (const table of all("table.sortable")) {
    const heads = all("thead th", table);
    heads.forEach((head, column) => head.firstElementChild.addEventListener("click", () => {
      const numeric = head.classList.contains("number");
      const first = numeric ? "descending" : "ascending";
      const second = numeric ? "ascending" : "descending";
      const order = head.getAttribute("aria-sort") === first ? second : first;
      for (const other of heads) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", order);
      const sign = order === "ascending" ? 1 : -1;
      const key = (row) => {
        const text = numeric ? row.cells[column].dataset.v : row.cells[column].textContent;
        return numeric ? Number(text) : text;
      };
      const compare = (a, b) => {
        const [x, y] = [key(a), key(b)];
        if (!numeric) return sign * x.localeCompare(y, undefined, { numeric: true });
        if (Number.isNaN(x) || Number.isNaN(y)) return Number.isNaN(x) - Number.isNaN(y);
        return sign * (x - y);
      };
      table.tBodies[0].append(...[...table.tBodies[0].rows].sort(compare));
    }));
  }
})();
