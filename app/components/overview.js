// A strip with a bar for each block and a window over those in sight; shown where the chart below is wider than its box.

export default function ({ data, parentElement, setTriggerValue }) {
  const overview = (parentElement.overview ??= new Overview(parentElement));
  overview.update(data, setTriggerValue);
  return () => overview.remove();
}

class Overview {
  constructor(root) {
    this.root = root;
    this.strip = root.appendChild(document.createElement("div"));
    this.strip.className = "overview";
    // For the mouse and the finger; the keyboard has the blocks themselves.
    this.strip.setAttribute("aria-hidden", "true");
    this.bars = this.strip.appendChild(document.createElement("div"));
    this.bars.className = "overview-bars";
    this.sight = this.strip.appendChild(document.createElement("div"));
    this.sight.className = "overview-sight";
    this.strip.hidden = true;
    this.listening = new AbortController();
    const { signal } = this.listening;
    this.strip.addEventListener("click", event => this.choose(event));
    document.addEventListener("viz-chosen", ({ detail }) => detail.chart === this.data.chart && this.mark(detail.name), { signal });
    document.addEventListener("viz-position", ({ detail }) => detail.chart === this.data.chart && detail.name && this.mark(detail.name), { signal });
    document.addEventListener("scroll", event => event.target === this.box && this.look(), { signal, capture: true });
    window.addEventListener("resize", () => this.look(), { signal });
    this.timer = setInterval(() => this.look(), 500);
  }

  update(data, tell) {
    this.data = data;
    this.tell = tell;
    this.bars.replaceChildren(...data.bars.map(({ name, label, left, width, height }) => {
      const bar = document.createElement("div");
      bar.title = label;
      bar.dataset.name = name;
      Object.assign(bar.style, { left: `${100 * left}%`, width: `${100 * width}%`, height: `${15 + 85 * height}%` });
      return bar;
    }));
    this.mark(data.chosen);
    this.look();
  }

  get box() {
    return document.querySelector(`.st-key-scroll-${this.data.chart}`);
  }

  look() {
    const box = this.box;
    this.strip.hidden = !box || box.scrollWidth <= box.clientWidth + 1;
    if (this.strip.hidden) return;
    this.sight.style.left = `${100 * box.scrollLeft / box.scrollWidth}%`;
    this.sight.style.width = `${100 * box.clientWidth / box.scrollWidth}%`;
  }

  mark(name) {
    for (const bar of this.bars.children) bar.classList.toggle("overview-open", bar.dataset.name === name);
  }

  choose(event) {
    const strip = this.strip.getBoundingClientRect(), share = (event.clientX - strip.left) / strip.width;
    const middle = bar => Math.abs(bar.left + bar.width / 2 - share);
    const nearest = this.data.bars.reduce((best, bar) => (middle(bar) < middle(best) ? bar : best));
    this.box?.scrollTo({ left: (nearest.left + nearest.width / 2) * this.box.scrollWidth - this.box.clientWidth / 2 });
    this.mark(nearest.name);
    this.tell("chosen", nearest.name);
  }

  remove() {
    this.listening.abort();
    clearInterval(this.timer);
    this.strip.remove();
    delete this.root.overview;
  }
}
