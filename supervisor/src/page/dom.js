// The only way in which elements are made here. Text becomes text nodes, never markup: names, log lines and error texts
// come from tenants and may be hostile.

const SVG = "http://www.w3.org/2000/svg";

/** An element. Properties: `class`, `on` (listeners by event), `data`; everything else is an attribute. */
export function el(tag, properties = {}, ...children) {
  return fill(document.createElement(tag), properties, children);
}

/** The same for drawings. */
export function svg(tag, properties = {}, ...children) {
  return fill(document.createElementNS(SVG, tag), properties, children);
}

function fill(element, properties, children) {
  for (const [name, value] of Object.entries(properties)) {
    if (value === null || value === undefined || value === false) continue;
    if (name === "on") {
      for (const [event, listener] of Object.entries(value)) element.addEventListener(event, listener);
    } else if (name === "data") {
      Object.assign(element.dataset, value);
    } else {
      element.setAttribute(name, value === true ? "" : value);
    }
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/** Sets the text where it differs: an element that stays as it is costs no layout. */
export function text(element, value) {
  if (element.shown !== value) {
    element.shown = value;
    element.textContent = value;
  }
}

/** The same for an attribute; `null` removes it. */
export function attribute(element, name, value) {
  if (element.getAttribute(name) === value) return;
  if (value === null) element.removeAttribute(name);
  else element.setAttribute(name, value);
}

export const byId = (id) => document.getElementById(id);

/** A button with a drawing instead of words; the words are for pointers that rest on it and for screen readers. */
export function iconButton(icon, label, listener, more = {}) {
  const drawing = svg("svg", { "aria-hidden": "true" }, svg("use", { href: `#i-${icon}` }));
  const properties = { type: "button", class: "icon", title: label, "aria-label": label, on: { click: listener } };
  return el("button", { ...properties, ...more }, drawing);
}

/** Changes drawing and words of such a button. */
export function relabel(button, icon, label) {
  attribute(button.querySelector("use"), "href", `#i-${icon}`);
  attribute(button, "title", label);
  attribute(button, "aria-label", label);
}
