// The signal walks through the network: a position from 0 to the number of blocks, and everything on the screen follows it.
// The whole part of the position is the block, the rest how far the signal has come in it.

const SHORTEST = 0.7, LONGEST = 1.8, WHOLE = 16; // seconds a block, and for all of them where that is in between
const STILL = 1.6; // seconds a block where nothing may glide
const PHASES = [[0.02, 0.3], [0.12, 0.5], [0.5, 0.72], [0.76, 0.94]]; // when each picture of an equation of four appears
const PLAIN = [[0.05, 0.5], [0.6, 0.92]];
const SYNC = 250; // milliseconds after the last movement until the server hears of it

export default function ({ data, parentElement, setTriggerValue }) {
  const player = (parentElement.player ??= new Player(parentElement));
  player.update(data, setTriggerValue);
  return () => player.remove();
}

class Player {
  constructor(root) {
    this.root = root;
    this.still = matchMedia("(prefers-reduced-motion: reduce)");
    this.position = 0;
    this.playing = false;
    this.listening = new AbortController();
    const { signal } = this.listening;
    this.build();
    document.addEventListener("keydown", event => this.key(event), { signal });
    document.addEventListener("viz-film", () => this.filmed(), { signal });
    document.addEventListener("viz-chosen", event => this.chosen(event.detail), { signal });
  }

  build() {
    this.root.querySelector(".player")?.remove();
    const box = this.root.appendChild(element("div", "player"));
    this.style = box.appendChild(element("style"));
    const bar = box.appendChild(element("div", "player-bar"));
    this.button = bar.appendChild(element("button", "player-play"));
    this.button.type = "button";
    this.button.addEventListener("click", () => this.toggle());
    this.slider = bar.appendChild(element("input", "player-depth"));
    Object.assign(this.slider, { type: "range", min: 0, step: "any", value: 0 });
    this.slider.setAttribute("aria-label", "Depth: the block that the signal has reached");
    this.slider.addEventListener("input", () => this.scrub(Number(this.slider.value)));
    this.slider.addEventListener("keydown", event => this.step(event));
    this.where = bar.appendChild(element("span", "player-where"));
    this.close = bar.appendChild(element("button", "player-close", "Close"));
    this.close.type = "button";
    this.close.addEventListener("click", () => this.shut());
    this.stage = box.appendChild(element("div", "player-stage"));
    this.equation = this.stage.appendChild(element("div", "player-equation"));
    const below = this.stage.appendChild(element("div", "player-below"));
    this.numbers = below.appendChild(element("dl", "player-numbers"));
    this.decoded = below.appendChild(element("div", "player-decoded"));
    this.stage.hidden = this.close.hidden = true;
    this.box = box;
  }

  update(data, tell) {
    this.tell = tell;
    const before = this.data;
    this.data = data;
    if (before?.identity !== data.identity) {
      this.shut({ quietly: true });
      this.waiting = false;
      this.drawn = undefined;
      this.slider.max = data.stops.length - 1;
      this.position = Math.max(0, this.index(data.opened));
    } else if (before.opened !== data.opened && !this.playing && data.opened !== this.told) {
      // Another block was opened on the page.
      this.position = this.index(data.opened);
    }
    if (data.opened === this.told) this.told = undefined;
    this.draw();
    if (this.waiting) this.filmed();
  }

  get film() {
    return window.vizFilm?.identity === this.data?.identity ? window.vizFilm : null;
  }

  get last() {
    return this.data.stops.length - 1;
  }

  index(name) {
    return this.data.stops.findIndex(stop => stop.name === name);
  }

  toggle() {
    if (this.playing) return this.pause();
    this.want(() => this.play());
  }

  scrub(position) {
    this.want(() => {
      this.halt();
      this.open();
      // Between two blocks the nearer one is shown, whole.
      this.position = Math.round(position);
      this.draw();
      this.sync();
    });
  }

  // The film is asked for once; what was wanted is done when it is here.
  want(then) {
    if (this.film) return then();
    this.waiting = then;
    this.draw();
    this.tell("wanted", true);
  }

  filmed() {
    const then = this.waiting;
    if (!then || !this.film) return;
    this.waiting = false;
    then();
  }

  play() {
    this.open();
    if (this.position >= this.last) this.position = 0;
    this.position = Math.floor(this.position);
    this.playing = true;
    this.before = undefined;
    this.draw();
    this.frame = requestAnimationFrame(now => this.tick(now));
  }

  tick(now) {
    if (!this.playing) return;
    const elapsed = this.before === undefined ? 0 : Math.min(0.25, (now - this.before) / 1000);
    this.before = now;
    this.position += elapsed / this.pace();
    if (this.position >= this.last + 0.999) {
      this.position = this.last;
      this.playing = false;
      this.draw();
      this.sync();
      return;
    }
    this.draw();
    this.frame = requestAnimationFrame(later => this.tick(later));
  }

  pace() {
    if (this.still.matches) return STILL;
    return Math.max(SHORTEST, Math.min(LONGEST, WHOLE / this.data.stops.length));
  }

  pause() {
    this.halt();
    this.position = Math.floor(this.position);
    this.draw();
    this.sync();
  }

  halt() {
    this.playing = false;
    cancelAnimationFrame(this.frame);
  }

  open() {
    this.stage.hidden = this.close.hidden = false;
    this.hide(true);
  }

  shut({ quietly = false } = {}) {
    if (this.stage.hidden) return;
    const focused = document.activeElement === this.close;
    this.halt();
    this.position = Math.floor(this.position);
    this.stage.hidden = this.close.hidden = true;
    this.hide(false);
    if (quietly) return;
    this.draw();
    this.sync();
    if (focused) this.button.focus();
  }

  // While the stage is open it stands for the equation of the page.
  hide(hidden) {
    this.style.textContent = `:root[data-playing] .st-key-${this.data.hides} { display: none; }`;
    document.documentElement.toggleAttribute("data-playing", hidden);
  }

  // The page below, and its address, follow once the signal stands still.
  sync() {
    clearTimeout(this.later);
    this.later = setTimeout(() => {
      const { name } = this.data.stops[this.position];
      if (this.playing || name === this.data.opened) return;
      this.told = name;
      this.tell("opened", name);
    }, SYNC);
  }

  // A click on the map leads the signal there.
  chosen({ chart, name }) {
    if (chart !== this.data.chart || this.index(name) < 0) return;
    this.halt();
    this.position = this.index(name);
    this.draw();
  }

  key(event) {
    if (event.altKey || event.ctrlKey || event.metaKey || event.shiftKey || event.repeat) return;
    if (event.key === "Escape" && !this.stage.hidden) return this.shut();
    const busy = "input, textarea, select, button, a, summary, [contenteditable], [role=slider], [role=radio], [role=combobox]," +
      " [role=listbox], [role=option], [role=dialog] *";
    if (event.key !== " " || (event.target instanceof Element && event.target.closest(busy))) return;
    event.preventDefault();
    this.toggle();
  }

  step(event) {
    const ways = { ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1, Home: -this.last, End: this.last };
    if (event.key === " ") {
      event.preventDefault();
      return this.toggle();
    }
    if (!(event.key in ways)) return;
    event.preventDefault();
    event.stopPropagation();
    this.scrub(Math.max(0, Math.min(this.last, Math.floor(this.position) + ways[event.key])));
  }

  draw() {
    const number = Math.min(this.last, Math.floor(this.position)), stop = this.data.stops[number];
    // Where nothing may glide, and where the signal stands, all of a block is shown at once.
    const share = this.playing && !this.still.matches ? this.position - number : 1;
    const label = this.waiting ? "Loading…" : this.playing ? "Pause" : this.position >= this.last && !this.stage.hidden ? "Play again" : "Play";
    if (this.button.textContent !== label) {
      this.button.textContent = label;
      this.button.dataset.state = this.playing ? "playing" : "still";
      this.button.title = "Space bar";
    }
    this.slider.value = this.position;
    const where = `Block ${stop.title}, ${number + 1} of ${this.data.stops.length}`;
    if (this.where.textContent !== where) {
      this.where.textContent = where;
      this.slider.setAttribute("aria-valuetext", where);
    }
    if (!this.stage.hidden && this.film) this.show(number, share);
    this.mark(number, share);
  }

  show(number, share) {
    if (this.drawn !== `${this.data.identity} ${number}`) {
      this.drawn = `${this.data.identity} ${number}`;
      this.scene(number);
    }
    const figures = [...this.equation.querySelectorAll("figure")];
    const phases = figures.length === 4 ? PHASES : PLAIN;
    figures.forEach((figure, place) => {
      const [from, to] = phases[place];
      const come = share >= 1 ? 1 : Math.max(0, Math.min(1, (share - from) / (to - from)));
      figure.style.setProperty("--hidden", `${(100 * (1 - come)).toFixed(2)}%`);
      figure.style.opacity = come > 0 ? 1 : 0.25;
    });
    const end = share >= (figures.length === 4 ? 0.94 : 0.92);
    this.decoded.style.opacity = end ? 1 : 0.45;
  }

  scene(number) {
    const stop = this.data.stops[number], scene = this.film.scenes[number];
    this.equation.replaceChildren(...stop.terms.flatMap((term, place) => {
      const figure = element("figure", "player-term");
      const canvas = figure.appendChild(element("canvas"));
      paint(canvas, scene, scene.pictures[place], this.film.palette);
      canvas.style.borderColor = term.colour;
      canvas.setAttribute("role", "img");
      canvas.setAttribute("aria-label", `${term.name} of block ${stop.title}, mean over all channels`);
      figure.appendChild(element("figcaption", "", term.name));
      return term.operator ? [element("span", "player-operator", term.operator), figure] : [figure];
    }));
    const numbers = [...stop.numbers, ["colours", `±${Number(scene.limit.toPrecision(3))}`]];
    this.numbers.replaceChildren(...numbers.map(([name, value]) => {
      const pair = element("div");
      pair.append(element("dt", "", name), element("dd", "", value));
      return pair;
    }));
    this.decoded.hidden = !scene.decoded.length;
    const head = element("p", "", number === this.last ? "The network predicts" : "If the network stopped here it would predict");
    this.decoded.replaceChildren(head, ...scene.decoded.map(([label, probability]) => {
      const row = element("div", "player-class");
      const bar = element("span", "player-bar-of");
      bar.style.width = `${100 * probability}%`;
      const track = element("span", "player-track");
      track.append(bar);
      row.append(element("span", "player-label", label), track, element("span", "player-share", `${(100 * probability).toFixed(1)}%`));
      return row;
    }));
  }

  // On the block map the frame is at the block; two dots go through it, one along the identity and one along the arc.
  mark(number, share) {
    const stop = this.data.stops[number], moving = this.playing && !this.still.matches;
    const way = Math.min(1, share / 0.6), dots = [];
    if (moving) {
      const along = stop.start + (stop.end - stop.start) * way;
      const [identity, residual] = stop.terms.length === 4 ? [stop.terms[0], stop.terms[1]] : [null, stop.terms[0]];
      if (identity) dots.push({ x: along, y: stop.line, colour: identity.colour });
      if (way < 1) {
        const bend = 3 * way * (1 - way);
        const smooth = way * way * (3 - 2 * way);
        dots.push({ x: stop.start + (stop.end - stop.start) * smooth, y: stop.line + (stop.top - stop.line) * bend, colour: residual.colour });
      } else if (!identity) dots.push({ x: along, y: stop.line, colour: residual.colour });
    }
    const open = !this.stage.hidden || this.playing;
    document.dispatchEvent(new CustomEvent("viz-position", {
      detail: { chart: this.data.chart, name: open ? stop.name : undefined, dots },
    }));
  }

  remove() {
    this.halt();
    clearTimeout(this.later);
    if (this.data) this.hide(false);
    this.listening.abort();
    this.box.remove();
    delete this.root.player;
  }
}

// Values take the colour of a scale that is symmetric about 0.
function paint(canvas, { height, width, limit }, values, palette) {
  Object.assign(canvas, { width, height });
  const context = canvas.getContext("2d"), image = context.createImageData(width, height);
  const middle = (palette.length / 3 - 1) / 2;
  values.forEach((value, place) => {
    const colour = 3 * (middle + Math.round(middle * Math.max(-1, Math.min(1, value / limit))));
    image.data.set([palette[colour], palette[colour + 1], palette[colour + 2], 255], 4 * place);
  });
  context.putImageData(image, 0, 0);
}

function element(kind, name = "", text = "") {
  const made = document.createElement(kind);
  if (name) made.className = name;
  if (text) made.textContent = text;
  return made;
}
