// SPDX-License-Identifier: MIT
// xterm.js makes style elements and style attributes, which our policy refuses: it has no 'unsafe-inline'. The same styles may come
// as style sheets and properties that script sets itself. So they are handed on as such; nothing else of the page notices.
const create = document.createElement.bind(document);
const { setAttribute } = Element.prototype;

document.createElement = (name, ...rest) => {
  if (name !== "style") return create(name, ...rest);
  const sheet = new CSSStyleSheet(), placeholder = create("template");
  Object.defineProperty(placeholder, "textContent", { set: (css) => sheet.replaceSync(css) });
  placeholder.remove = () => {
    document.adoptedStyleSheets = document.adoptedStyleSheets.filter((other) => other !== sheet);
    Element.prototype.remove.call(placeholder);
  };
  document.adoptedStyleSheets = [...document.adoptedStyleSheets, sheet];
  return placeholder;
};

Element.prototype.setAttribute = function (name, value) {
  if (name === "style") this.style.cssText = value;
  else setAttribute.call(this, name, value);
};
