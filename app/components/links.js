// One place, all maps: a cell of a block's maps, the centre of what it sees in the photo, and the tile under the mouse in large.

const CHARTS = ["equation", "channel", "cam"]; // whose heatmaps have the block's rows and columns
const INPUT = ".photos figure > img, img[alt^=\"The network's input\"]"; // what the network sees, edge to edge
const FRAME = ".photos .frame"; // the same, inside the whole photo

export default function ({ data, parentElement }) {
  const links = (parentElement.links ??= new Links(parentElement));
  links.data = data;
  return () => links.remove();
}

class Links {
  constructor(root) {
    this.root = root;
    this.layer = document.body.appendChild(element("div", "links"));
    this.preview = this.layer.appendChild(element("div", "links-preview"));
    this.preview.append(element("div", "links-tile"), element("span", "links-name"));
    this.preview.hidden = true;
    this.marks = [];
    this.listening = new AbortController();
    const { signal } = this.listening;
    for (const kind of ["pointermove", "pointerdown"]) document.addEventListener(kind, event => this.point(event), { signal });
    for (const kind of ["scroll", "pointerleave", "blur"]) window.addEventListener(kind, () => this.clear(), { signal, capture: true });
  }

  point(event) {
    if (!(event.target instanceof Element)) return;
    const tile = this.tile(event.clientX, event.clientY);
    this.show(tile);
    const cell = this.cell(event.clientX, event.clientY) ?? (tile && { row: tile.row, column: tile.column });
    if (!cell) return this.clear({ preview: !tile });
    const boxes = [...this.maps().map(map => this.square(map, cell)), ...this.photos().map(photo => this.ring(photo, cell))];
    boxes.forEach((box, number) => {
      const mark = (this.marks[number] ??= this.layer.appendChild(element("div")));
      mark.className = box.round ? "links-ring" : "links-cell";
      mark.hidden = false;
      Object.assign(mark.dataset, { row: cell.row, column: cell.column });
      Object.assign(mark.style, { left: `${box.left}px`, top: `${box.top}px`, width: `${box.width}px`, height: `${box.height}px` });
    });
    this.marks.slice(boxes.length).forEach(mark => { mark.hidden = true; });
  }

  clear({ preview = true } = {}) {
    this.marks.forEach(mark => { mark.hidden = true; });
    if (preview) this.preview.hidden = true;
  }

  // The cell under the mouse, on a map or, by what it sees, on the photo.
  cell(x, y) {
    const map = this.maps().find(map => inside(map, x, y));
    if (map) {
      const column = Math.floor((x - map.left) / map.width * this.data.columns);
      return { row: Math.floor((y - map.top) / map.height * this.data.rows), column };
    }
    const photo = this.photos().find(photo => inside(photo, x, y));
    if (!photo) return null;
    const { side, rows, columns, down, across } = this.data;
    const nearest = (share, [start, jump], cells) => Math.max(0, Math.min(cells - 1, Math.round((share * side - 0.5 - start) / jump)));
    return {
      row: nearest((y - photo.top) / photo.height, down, rows),
      column: nearest((x - photo.left) / photo.width, across, columns),
    };
  }

  // Where maps are on the screen, edge to edge.
  maps() {
    const found = [];
    for (const chart of CHARTS) {
      const plot = document.querySelector(`.st-key-scroll-${chart} .js-plotly-plot`);
      if (!plot?._fullLayout?._plots || !plot.getClientRects().length) continue;
      const box = plot.getBoundingClientRect();
      for (const { xaxis, yaxis } of Object.values(plot._fullLayout._plots)) {
        const left = box.left + xaxis._offset + xaxis.l2p(-0.5), top = box.top + yaxis._offset + yaxis.l2p(-0.5);
        const right = box.left + xaxis._offset + xaxis.l2p(this.data.columns - 0.5);
        const bottom = box.top + yaxis._offset + yaxis.l2p(this.data.rows - 0.5);
        found.push({ left, top, width: right - left, height: bottom - top });
      }
    }
    for (const canvas of document.querySelectorAll(".player-equation canvas")) {
      const box = canvas.getBoundingClientRect(), edge = canvas.clientLeft;
      if (!box.width || canvas.height !== this.data.rows || canvas.width !== this.data.columns) continue;
      found.push({ left: box.left + edge, top: box.top + edge, width: box.width - 2 * edge, height: box.height - 2 * edge });
    }
    return found;
  }

  photos() {
    const whole = [...document.querySelectorAll(INPUT)].map(image => image.getBoundingClientRect());
    const framed = [...document.querySelectorAll(FRAME)].map(frame => frame.getBoundingClientRect());
    return [...whole, ...framed].filter(box => box.width > 0);
  }

  square(map, { row, column }) {
    const width = map.width / this.data.columns, height = map.height / this.data.rows;
    return { left: map.left + column * width, top: map.top + row * height, width, height, round: false };
  }

  // The centre of the cell's receptive field.
  ring(photo, { row, column }) {
    const { side, down, across } = this.data, size = Math.max(12, 0.12 * photo.width);
    const x = photo.left + (across[0] + column * across[1] + 0.5) / side * photo.width;
    const y = photo.top + (down[0] + row * down[1] + 0.5) / side * photo.height;
    return { left: x - size / 2, top: y - size / 2, width: size, height: size, round: true };
  }

  // The channel whose tile the mouse is on, and the cell in it.
  tile(x, y) {
    const plot = document.querySelector(".st-key-scroll-mosaic .js-plotly-plot"), layout = plot?._fullLayout;
    if (!layout?.xaxis?.l2p) return null;
    const box = plot.getBoundingClientRect(), { rows, columns, gap } = this.data;
    const across = layout.xaxis.p2l(x - box.left - layout.xaxis._offset) + 0.5;
    const down = layout.yaxis.p2l(y - box.top - layout.yaxis._offset) + 0.5;
    const image = plot._fullData.find(trace => trace.type === "image"), points = plot._fullData.at(-1);
    if (!image?.source || across < 0 || down < 0 || y < box.top || y > box.bottom) return null;
    const wide = Math.max(...points.x.slice(0, 4096)) + (columns - 1) / 2 + 1 + gap, inRow = Math.round(wide / (columns + gap));
    const at = { across: Math.floor(across / (columns + gap)), down: Math.floor(down / (rows + gap)) };
    const channel = at.down * inRow + at.across;
    const row = Math.floor(down) % (rows + gap), column = Math.floor(across) % (columns + gap);
    if (at.across >= inRow || channel >= points.customdata.length || row >= rows || column >= columns) return null;
    return { channel, row, column, at, inRow, inColumn: Math.ceil(points.customdata.length / inRow), source: image.source };
  }

  // The tile in place of the single channel beside it, as long as the mouse is on it.
  show(tile) {
    const plot = document.querySelector(".st-key-scroll-channel .js-plotly-plot"), layout = plot?._fullLayout;
    this.preview.hidden = !tile || !layout?.xaxis?.l2p;
    if (this.preview.hidden) return;
    const { rows, columns, gap } = this.data, box = plot.getBoundingClientRect();
    const left = box.left + layout.xaxis._offset + layout.xaxis.l2p(-0.5), top = box.top + layout.yaxis._offset + layout.yaxis.l2p(-0.5);
    const scale = (layout.xaxis.l2p(columns - 0.5) - layout.xaxis.l2p(-0.5)) / columns;
    const picture = this.preview.firstChild, name = this.preview.lastChild;
    Object.assign(this.preview.style, { left: `${left}px`, top: `${top}px` });
    Object.assign(picture.style, {
      width: `${columns * scale}px`, height: `${rows * scale}px`,
      backgroundImage: `url("${tile.source}")`,
      backgroundSize: `${tile.inRow * (columns + gap) * scale}px ${tile.inColumn * (rows + gap) * scale}px`,
      backgroundPosition: `${-tile.at.across * (columns + gap) * scale}px ${-tile.at.down * (rows + gap) * scale}px`,
    });
    this.preview.dataset.channel = tile.channel;
    name.textContent = `Channel ${tile.channel}, on the tiles' common scale`;
  }

  remove() {
    this.listening.abort();
    this.layer.remove();
    delete this.root.links;
  }
}

function inside(box, x, y) {
  return x >= box.left && x < box.left + box.width && y >= box.top && y < box.top + box.height;
}

function element(kind, name = "") {
  const made = document.createElement(kind);
  if (name) made.className = name;
  return made;
}
