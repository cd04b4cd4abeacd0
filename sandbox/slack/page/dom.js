// Makes elements. Text is always set as text: nothing that a user or the app wrote is ever parsed as HTML.

export function el(tag, props = {}, ...children) {
  const node = document.createElement(tag);
  for (const [key, value] of Object.entries(props)) {
    if (value === null || value === undefined || value === false) continue;
    if (key === "class") node.className = value;
    else if (key === "style") Object.assign(node.style, value);
    else if (key === "data") Object.assign(node.dataset, value);
    else if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else if (key in node && key !== "list" && key !== "form") node[key] = value;
    else node.setAttribute(key, value === true ? "" : value);
  }
  node.append(...children.flat(4).filter((child) => child !== null && child !== undefined && child !== false && child !== ""));
  return node;
}

export function byId(id) {
  return document.getElementById(id);
}

const COLOURS = ["#3f6f8f", "#7a5c8e", "#4d7c5b", "#a0623d", "#8a4a5d", "#56669c", "#6d7440", "#3d7d7d"];

export function avatar(user, size = "") {
  const name = user?.real_name || user?.name || "?";
  const initials = name.split(/\s+/).map((part) => part[0]).slice(0, 2).join("").toUpperCase();
  let sum = 0;
  for (const letter of name) sum += letter.codePointAt(0);
  return el("span", {
    class: `avatar ${size}`, "aria-hidden": "true", style: { background: user?.colour || COLOURS[sum % COLOURS.length] },
  }, initials);
}

export function toast(text, kind = "") {
  const note = el("div", { class: `toast ${kind}` }, text);
  byId("toasts").append(note);
  setTimeout(() => note.remove(), 6000);
}

export function clock(ts, withSeconds = false) {
  const options = { hour: "2-digit", minute: "2-digit", hourCycle: "h23", ...(withSeconds ? { second: "2-digit" } : {}) };
  return new Date(Number(ts) * 1000).toLocaleTimeString([], options);
}
