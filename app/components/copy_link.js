// A button; where there is no clipboard for the page, the address is shown and selected instead.

export default function ({ data, parentElement }) {
  const link = (parentElement.link ??= new CopyLink(parentElement));
  link.data = data;
  link.rest();
  return () => link.remove();
}

class CopyLink {
  constructor(root) {
    this.button = root.appendChild(document.createElement("button"));
    this.button.type = "button";
    this.button.className = "copy-link";
    this.said = root.appendChild(document.createElement("span"));
    this.said.className = "copy-link-said";
    this.said.setAttribute("role", "status");
    this.field = root.appendChild(document.createElement("input"));
    this.field.readOnly = true;
    this.field.className = "copy-link-address";
    this.field.setAttribute("aria-label", "Link to this view");
    this.field.hidden = true;
    this.button.addEventListener("click", () => this.copy());
  }

  rest() {
    this.button.textContent = this.data.label;
  }

  async copy() {
    const address = location.href;
    const copied = await this.write(address);
    this.said.textContent = copied ? this.data.done : this.data.failed;
    this.field.hidden = copied;
    if (copied) return;
    this.field.value = address;
    this.field.focus();
    this.field.select();
  }

  async write(text) {
    try {
      await navigator.clipboard.writeText(text);
      return true;
    } catch {
      // A page without encryption has no clipboard; the older way needs a field that is on the page.
      this.field.hidden = false;
      this.field.value = text;
      this.field.select();
      return document.execCommand("copy");
    }
  }

  remove() {
    for (const each of [this.button, this.said, this.field]) each.remove();
  }
}
