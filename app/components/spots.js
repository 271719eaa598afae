// Places on a Plotly chart: a frame around the chosen one, and a button on each for the keyboard. Clicks are the chart's own.

export default function ({ data, parentElement, setTriggerValue }) {
  const spots = (parentElement.spots ??= new Spots(parentElement));
  spots.update(data, setTriggerValue);
  return () => spots.remove();
}

class Spots {
  constructor(root) {
    this.root = root;
    this.layer = root.appendChild(element("div", "spots"));
    this.frame = this.layer.appendChild(element("div", "spots-frame"));
    this.group = this.layer.appendChild(element("div", "spots-buttons"));
    this.group.setAttribute("role", "group");
    this.dots = [];
    this.listening = new AbortController();
    document.addEventListener("viz-position", event => this.follow(event.detail), { signal: this.listening.signal });
    this.group.addEventListener("keydown", event => this.move(event));
    this.group.addEventListener("click", event => this.choose(event.target.dataset.name));
    this.sizes = new ResizeObserver(() => this.place());
  }

  update(data, tell) {
    this.tell = tell;
    const layout = JSON.stringify([data.places, data.tiles]);
    this.data = data;
    this.chosen = data.chosen;
    this.group.setAttribute("aria-label", data.about);
    if (layout !== this.layout) {
      this.layout = layout;
      this.places = data.places ?? laidOut(data.tiles);
      this.build();
    }
    this.watch();
    this.place();
  }

  build() {
    const focused = this.group.contains(document.activeElement) ? document.activeElement.dataset.name : null;
    this.group.replaceChildren(...this.places.map(spot => {
      const button = element("button", "spot");
      button.type = "button";
      button.dataset.name = spot.name;
      button.setAttribute("aria-label", spot.label);
      return button;
    }));
    this.buttons = new Map([...this.group.children].map(button => [button.dataset.name, button]));
    if (focused !== null) this.button(focused)?.focus();
  }

  // The chart is drawn later than this, and another one may take its place.
  watch() {
    if (this.observer) return;
    const box = this.root.closest(`.st-key-scroll-${this.data.chart}`);
    if (!box) return;
    this.observer = new MutationObserver(() => this.attach(box));
    this.observer.observe(box, { subtree: true, childList: true });
    this.attach(box);
  }

  attach(box) {
    const plot = box.querySelector(".js-plotly-plot");
    if (!plot?.on || !plot._fullLayout?.xaxis) return;
    if (plot.spots !== this) {
      plot.spots = this;
      this.plot = plot;
      plot.on("plotly_click", event => plot.spots === this && this.choose(String(event.points?.[0]?.customdata)));
      plot.on("plotly_afterplot", () => plot.spots === this && this.place());
      this.sizes.disconnect();
      this.sizes.observe(plot);
      this.place();
    }
  }

  choose(name) {
    if (!this.places.some(spot => spot.name === name)) return;
    this.chosen = name;
    this.place();
    document.dispatchEvent(new CustomEvent("viz-chosen", { detail: { chart: this.data.chart, name } }));
    this.tell("chosen", name);
  }

  // The player says where the signal is, without the server.
  follow({ chart, name, dots }) {
    if (chart !== this.data.chart) return;
    if (name !== undefined && name !== this.chosen) {
      this.chosen = name;
      this.place();
      this.show();
    }
    const axes = this.axes();
    if (!axes) return;
    while (this.dots.length < dots.length) this.dots.push(this.layer.appendChild(element("div", "spots-dot")));
    this.dots.forEach((dot, number) => {
      const at = dots[number];
      dot.hidden = !at;
      if (!at) return;
      dot.style.transform = `translate(${axes.x(at.x)}px, ${axes.y(at.y)}px)`;
      dot.style.background = at.colour;
    });
  }

  axes() {
    const layout = this.plot?.isConnected && this.plot._fullLayout;
    if (!layout?.xaxis?.l2p) return null;
    const chart = this.plot.getBoundingClientRect(), own = this.layer.getBoundingClientRect();
    const { xaxis, yaxis } = layout;
    return {
      x: value => chart.left - own.left + xaxis._offset + xaxis.l2p(value),
      y: value => chart.top - own.top + yaxis._offset + yaxis.l2p(value),
    };
  }

  place() {
    const axes = this.axes();
    this.layer.hidden = !axes;
    if (!axes) return;
    let found = false;
    for (const spot of this.places) {
      const [left, right] = [axes.x(spot.x0), axes.x(spot.x1)].sort((a, b) => a - b);
      const [top, bottom] = [axes.y(spot.y0), axes.y(spot.y1)].sort((a, b) => a - b);
      const box = { left: `${left}px`, top: `${top}px`, width: `${right - left}px`, height: `${bottom - top}px` };
      const button = this.button(spot.name), chosen = spot.name === this.chosen;
      Object.assign(button.style, box);
      button.setAttribute("aria-pressed", String(chosen));
      button.tabIndex = chosen ? 0 : -1;
      if (chosen) Object.assign(this.frame.style, box);
      found ||= chosen;
    }
    this.frame.hidden = !found;
    if (!found && this.group.firstChild) this.group.firstChild.tabIndex = 0;
  }

  // On a phone the chart scrolls along.
  show() {
    const box = this.root.closest(`.st-key-scroll-${this.data.chart}`);
    if (!box || box.scrollWidth <= box.clientWidth) return;
    box.scrollTo({ left: this.frame.offsetLeft + this.frame.offsetWidth / 2 - box.clientWidth / 2 });
  }

  move(event) {
    const columns = this.data.tiles?.columns ?? 1;
    const buttons = [...this.group.children], here = buttons.indexOf(event.target);
    const steps = {
      ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns, ArrowDown: columns,
      Home: -here, End: buttons.length - 1 - here,
    };
    if (here < 0 || !(event.key in steps) || event.altKey || event.ctrlKey || event.metaKey) return;
    // The page has a use for these keys too.
    event.preventDefault();
    event.stopPropagation();
    const next = buttons[Math.max(0, Math.min(buttons.length - 1, here + steps[event.key]))];
    buttons[here].tabIndex = -1;
    next.tabIndex = 0;
    next.focus();
  }

  button(name) {
    return this.buttons.get(name);
  }

  remove() {
    this.listening.abort();
    this.observer?.disconnect();
    this.sizes.disconnect();
    if (this.plot?.spots === this) delete this.plot.spots;
    this.layer.remove();
    delete this.root.spots;
  }
}

function laidOut({ count, columns, width, height, gap, label }) {
  return Array.from({ length: count }, (_, number) => {
    const x = (number % columns) * (width + gap), y = Math.floor(number / columns) * (height + gap);
    return { name: String(number), label: `${label} ${number}`, x0: x - 1, x1: x + width, y0: y - 1, y1: y + height };
  });
}

function element(kind, name) {
  const made = document.createElement(kind);
  made.className = name;
  return made;
}
