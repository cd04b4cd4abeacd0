// The controls that the world around this workspace adds. It renders them; what they do is decided elsewhere.

import { el, toast } from "./dom.js";
import { post } from "./store.js";

let print = "";

export function drawPanel(holder, groups) {
  const now = JSON.stringify(groups);
  if (now === print && holder.childElementCount) return;
  print = now;
  holder.replaceChildren(...groups.map((group) => el("section", { class: "panel-group", "aria-label": group.title },
    el("h3", {}, group.title),
    group.help && el("p", { class: "hint" }, group.help),
    (group.controls || []).map(control))));
}

function control(item) {
  const draw = { button: drawButton, toggle: drawToggle, select: drawSelect }[item.kind];
  return draw ? draw(item) : null;
}

async function use(item, value, node) {
  node.setAttribute("aria-busy", "true");
  try {
    const answer = await post(`panel/${encodeURIComponent(item.id)}`, { value });
    if (answer.note) toast(answer.note);
  } catch (problem) {
    toast(problem.message, "bad");
  } finally {
    node.removeAttribute("aria-busy");
  }
}

function drawButton(item) {
  const node = el("button", {
    type: "button", class: `button ${item.danger ? "danger" : ""}`, data: { control: item.id },
    onclick: () => use(item, item.value ?? null, node),
  }, item.label);
  return el("div", { class: "control" }, node, item.help && el("p", { class: "hint" }, item.help));
}

function drawToggle(item) {
  const node = el("input", {
    type: "checkbox", role: "switch", class: "switch", checked: Boolean(item.value), data: { control: item.id },
    onchange: () => use(item, node.checked, node),
  });
  return el("label", { class: `control toggle ${item.danger ? "danger" : ""}` },
    el("span", {}, item.label, item.help && el("span", { class: "hint" }, item.help)), node);
}

function drawSelect(item) {
  const node = el("select", { class: "select", data: { control: item.id }, onchange: () => use(item, node.value, node) }, options(item));
  return el("label", { class: "control" }, el("span", {}, item.label), node, item.help && el("span", { class: "hint" }, item.help));
}

// Options with a group stand together under its name, in the order in which the groups first appear.
function options(item) {
  const all = (item.options || []).map((option) => (typeof option === "object" ? option : { value: option, label: option }));
  const one = (option) => el("option", { value: option.value, selected: option.value === item.value }, option.label ?? option.value);
  const groups = [...new Set(all.map((option) => option.group || ""))];
  return groups.map((group) => {
    const nodes = all.filter((option) => (option.group || "") === group).map(one);
    return group ? el("optgroup", { label: group }, nodes) : nodes;
  });
}
