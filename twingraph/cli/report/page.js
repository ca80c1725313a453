"use strict";
(() => {
  const nodes = JSON.parse(document.getElementById("nodes").textContent);
  const panel = document.getElementById("details");
  const make = (tag, text, className) => {
    const element = document.createElement(tag);
    if (text !== undefined && text !== null) element.textContent = text;
    if (className) element.className = className;
    return element;
  };
  const add = (title, ...children) => panel.append(make("h3", title), ...children);
  const values = (title, pairs) => {
    for (const [name, text] of pairs || []) add(name === title ? title : `${title} ${name}`, make("pre", text));
  };
  const facts = (about) => {
    const list = make("dl");
    const rows = [["component", about.component], ["where", about.platform], ["started", about.started], ["time", about.time],
      ["called at", about.place], ["part of", about.partOf], ["kept from", about.kept], ["after", about.after.join(", ")],
      ["looked at", about.lookedAt.join(", ")], ["why", about.reason]];
    for (const [name, text] of rows) if (text && text !== "-") list.append(make("dt", name), make("dd", text));
    return list;
  };
  const attempts = (rows) => {
    const table = make("table");
    const head = make("tr");
    for (const word of ["attempt", "status", "time", "cpu", "memory"]) head.append(make("th", word));
    table.append(head);
    for (const row of rows) {
      const line = make("tr");
      for (const cell of row) line.append(make("td", cell));
      table.append(line);
    }
    return table;
  };
  const items = (about) => {
    const box = make("div", null, "items");
    for (const [id, status, icon] of about.children) {
      const button = make("button", `${icon} ${id}`, `s-${status}`);
      button.title = status;
      button.addEventListener("click", () => select(id));
      box.append(button);
    }
    if (about.moreChildren) box.append(make("span", `and ${about.moreChildren} more`, "muted"));
    return box;
  };
  const select = (id) => {
    const about = Object.prototype.hasOwnProperty.call(nodes, id) ? nodes[id] : null;
    // An item has no box of its own; the box of what holds it stands for it.
    for (const element of document.querySelectorAll("[data-node]")) {
      const box = element.tagName.toLowerCase() === "g" && about ? about.partOf : null;
      element.classList.toggle("selected", element.dataset.node === id || (box !== null && element.dataset.node === box));
    }
    panel.replaceChildren();
    panel.append(make("h2", id));
    if (!about) {
      panel.append(make("p", "This page holds no details of it: the run is too large. `twingraph show` has them all.", "muted"));
      return;
    }
    panel.append(make("span", `${about.icon} ${about.status}`, `chip s-${about.status}`), facts(about));
    if (about.error) add("error", make("pre", about.error, "trace"));
    if (about.attempts.length) add("attempts", attempts(about.attempts));
    values("given", about.given);
    values("output", about.outputs);
    if (about.children.length) add(about.kind === "map" ? "items" : "nodes", items(about));
    if (about.logs) add("logs", make("pre", about.logs));
  };
  for (const element of document.querySelectorAll("[data-node]")) {
    element.addEventListener("click", () => select(element.dataset.node));
    if (element.tagName.toLowerCase() === "g") {
      element.addEventListener("keydown", (event) => {
        if (event.key === "Enter" || event.key === " ") { event.preventDefault(); select(element.dataset.node); }
      });
    }
  }
  const root = document.documentElement;
  const button = document.getElementById("theme");
  const dark = () => root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  const label = () => { button.textContent = dark() ? "Light" : "Dark"; };
  button.addEventListener("click", () => { root.dataset.theme = dark() ? "light" : "dark"; label(); });
  label();
  const first = panel.dataset.first;
  // On a narrow screen the details would cover the graph before anybody asked for them.
  if (first && innerWidth > 1000) select(first);
  const frame = document.querySelector(".graph");
  if (!frame) return;
  const svg = frame.querySelector("svg");
  const natural = { width: svg.width.baseVal.value, height: svg.height.baseVal.value };
  let scale = 1;
  const zoom = (wanted) => {
    scale = Math.min(Math.max(wanted, 0.05), 3);
    svg.setAttribute("width", natural.width * scale);
    svg.setAttribute("height", natural.height * scale);
  };
  const fitting = () => Math.min(frame.clientWidth / natural.width, 0.7 * innerHeight / natural.height, 1);
  document.getElementById("smaller").addEventListener("click", () => zoom(scale / 1.3));
  document.getElementById("larger").addEventListener("click", () => zoom(scale * 1.3));
  document.getElementById("fit").addEventListener("click", () => zoom(fitting()));
  // Readable before complete: a large graph begins at its failure, or at its first node.
  zoom(Math.max(Math.min(frame.clientWidth / natural.width, 1), 0.7));
  const start = frame.querySelector(".box.selected") || frame.querySelector(".box.failed") || frame.querySelector(".box");
  const box = start.getBoundingClientRect(), around = frame.getBoundingClientRect();
  frame.scrollLeft += box.left + box.width / 2 - around.left - around.width / 2;
  if (box.bottom > around.bottom) frame.scrollTop += box.top + box.height / 2 - around.top - around.height / 2;
})();
