"use strict";
// One record per expression: [text, image, kind, labels, outcome, value, second, third, intersection, union, truth, predicted].
const data = JSON.parse(document.getElementById("data").textContent);
const PAGE = 100;
let shown = PAGE;

function figure(value) {
  return value === null || Number.isNaN(value) ? "–" : value.toFixed(3);
}

for (const choice of document.querySelectorAll("input[name=protocol]")) {
  choice.addEventListener("change", () => {
    for (const part of document.querySelectorAll("[data-protocol]")) part.hidden = part.dataset.protocol !== choice.value;
  });
}

// A click on a head sorts its table; the table of expressions is paged and keeps its order, and the row of all stays on top.
function valueOf(row, column) {
  const text = row.cells[column].textContent.trim();
  const number = Number.parseFloat(text.replace("−", "-"));
  return Number.isNaN(number) ? text : number;
}

function compareRows(column, sign) {
  return (one, other) => {
    const [a, b] = [valueOf(one, column), valueOf(other, column)];
    if (typeof a !== typeof b) return typeof a === "number" ? -1 : 1;
    return sign * (typeof a === "number" ? a - b : a.localeCompare(b));
  };
}

for (const table of document.querySelectorAll("table.figures:not(#rows)")) {
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "sort";
    button.append(...head.childNodes);
    head.replaceChildren(button);
    button.addEventListener("click", () => {
      const direction = head.getAttribute("aria-sort") === "descending" ? "ascending" : "descending";
      for (const other of heads) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", direction);
      const rows = [...table.tBodies[0].rows];
      const sorted = rows.filter((row) => !row.classList.contains("total")).sort(compareRows(column, direction === "ascending" ? 1 : -1));
      table.tBodies[0].append(...rows.filter((row) => row.classList.contains("total")), ...sorted);
    });
  });
}

const form = document.getElementById("filters");

function wanted() {
  const field = (name) => form.elements[name] ? form.elements[name].value : "";
  const number = (name, other) => field(name) === "" ? other : Number(field(name));
  return {
    words: field("text").toLowerCase().split(/\s+/).filter(Boolean),
    kind: field("kind"), label: field("label"), outcome: field("outcome"),
    low: number("low", -Infinity), high: number("high", Infinity),
  };
}

function fits(filter, text, kind, labels, outcome, value) {
  return (!filter.kind || kind === filter.kind)
    && (!filter.label || labels.includes(filter.label))
    && (!filter.outcome || outcome === filter.outcome)
    && value >= filter.low && value <= filter.high
    && filter.words.every((word) => text.includes(word));
}

function showPictures(filter) {
  let visible = 0;
  let all = 0;
  for (const gallery of document.querySelectorAll("[data-gallery]")) {
    let here = 0;
    for (const one of gallery.querySelectorAll(".case")) {
      const about = one.dataset;
      const labels = about.labels ? about.labels.split("\n") : [];
      one.hidden = !fits(filter, about.text.toLowerCase(), about.kind, labels, about.outcome, Number(about.value));
      here += one.hidden ? 0 : 1;
      all += 1;
    }
    gallery.querySelector(".empty").hidden = here > 0;
    visible += here;
  }
  return `${visible} of ${all} pictures`;
}

function mean(values) {
  return values.length ? values.reduce((sum, value) => sum + value, 0) / values.length : null;
}

function figuresOf(rows) {
  if (data.mode === "comparison") return `mean difference ${figure(mean(rows.map((row) => row[5])))}`;
  const targets = rows.filter((row) => row[10] > 0);
  const nothing = rows.filter((row) => row[10] === 0);
  const sum = (place) => targets.reduce((total, row) => total + row[place], 0);
  return `mIoU ${figure(mean(targets.map((row) => row[5])))}, oIoU ${figure(targets.length ? sum(8) / sum(9) : null)}, `
    + `N-acc ${figure(mean(nothing.map((row) => row[11] === 0 ? 1 : 0)))}, T-acc ${figure(mean(targets.map((row) => row[11] > 0 ? 1 : 0)))}`;
}

function showRows(rows) {
  const body = document.querySelector("#rows tbody");
  const lines = rows.slice(0, shown).map((row) => {
    const line = document.createElement("tr");
    const cells = [row[0], row[2], row[4], figure(row[5]), figure(row[6]), figure(row[7]), row[1]];
    cells.forEach((text, place) => {
      const cell = document.createElement(place ? "td" : "th");
      if (!place) cell.scope = "row";
      if (place === 1 || place === 2 || place === 6) cell.className = "left";
      cell.textContent = text;
      line.append(cell);
    });
    return line;
  });
  body.replaceChildren(...lines);
  document.getElementById("more").hidden = rows.length <= shown;
}

function update() {
  const filter = wanted();
  const rows = data.rows.filter((row) => fits(filter, `${row[0]} ${row[1]}`.toLowerCase(), row[2], row[3], row[4], row[5]));
  const pictures = showPictures(filter);
  document.getElementById("summary").textContent = `${pictures}; ${rows.length} of ${data.rows.length} expressions: ${figuresOf(rows)}`;
  showRows(rows);
}

if (form) {
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("input", () => { shown = PAGE; update(); });
  form.addEventListener("reset", () => { shown = PAGE; setTimeout(update); });  // fields are emptied after the event
  document.getElementById("more").addEventListener("click", () => { shown += 5 * PAGE; update(); });
  update();
}

const large = document.getElementById("large");
for (const button of document.querySelectorAll(".zoom")) {
  button.addEventListener("click", () => {
    const copies = [...button.querySelectorAll("img")].map((image) => image.cloneNode());
    document.getElementById("large-pictures").replaceChildren(...copies);
    document.getElementById("large-caption").textContent = copies.map((image) => image.alt).join(" | ");
    large.showModal();
  });
}
large.addEventListener("click", (event) => { if (event.target === large) large.close(); });
