// Draws every chart in the colours of the reader's theme, again when that changes, and in light colours on paper.
"use strict";
const SWAPS = JSON.parse(document.getElementById("swaps").textContent);
const CONFIG = JSON.parse(document.getElementById("config").textContent);
const night = matchMedia("(prefers-color-scheme: dark)");
const figures = [...document.querySelectorAll("figure[data-name]")];
const drawn = new Map();

function draw(figure, dark) {
  if (drawn.get(figure) === dark) return;
  let text = figure.querySelector("script").textContent;
  if (dark) for (const [light, other] of SWAPS) text = text.replaceAll(light, other);
  const {data, layout} = JSON.parse(text);
  const image = {filename: figure.dataset.name, scale: 2, format: "png"};
  drawn.set(figure, dark);
  Plotly.react(figure.querySelector(".plot"), data, layout, {...CONFIG, toImageButtonOptions: image});
}

// One chart at a time: a page with many can be scrolled while they are drawn.
function drawAll(from = 0) {
  if (from >= figures.length) return;
  draw(figures[from], night.matches);
  setTimeout(drawAll, 0, from + 1);
}

drawAll();
night.addEventListener("change", () => drawAll());
addEventListener("beforeprint", () => figures.forEach((figure) => draw(figure, false)));
addEventListener("afterprint", () => drawAll());
