// Buttons, menus and inputs. In a message a use is sent at once; in a modal values wait for the submission.

import { confirmDialog } from "./dialogs.js";
import { el } from "./dom.js";
import { textObject } from "./mrkdwn.js";
import { persons, store } from "./store.js";

// context: { use(item, block, value) -> Promise, isInput, values: Map, errors }
export function element(item, block, context) {
  const draw = DRAW[item.type];
  return draw ? draw(item, block, context) : el("span", { class: "hint" }, `(${item.type}: not drawn here)`);
}

const words = (object) => (object ? object.text : "");

async function use(item, block, context, value, node) {
  if (context.isInput && !block.dispatch_action) return true;
  if (item.confirm && !await confirmDialog(item.confirm)) return false;
  node?.setAttribute("aria-busy", "true");
  try {
    await context.use(item, block, value);
  } finally {
    node?.removeAttribute("aria-busy");
  }
  return true;
}

// Notes what an element holds, for the submission of a modal.
function note(context, block, item, value) {
  context.values?.set(`${block.block_id}\u0000${item.action_id}`, value);
}

function button(item, block, context) {
  const node = el("button", {
    type: "button", class: `button ${item.style || ""}`, "aria-label": item.accessibility_label,
    data: { action: item.action_id },
    onclick: async () => {
      if (node.getAttribute("aria-busy")) return;
      if (item.url && /^https?:/.test(item.url)) window.open(item.url, "_blank", "noopener");
      await use(item, block, context, undefined, node);
    },
  }, textObject(item.text));
  return node;
}

function optionNodes(item) {
  const one = (option) => el("option", { value: option.value }, words(option.text));
  const groups = (item.option_groups || []).map((group) => el("optgroup", { label: words(group.label) }, group.options.map(one)));
  return [...(item.options || []).map(one), ...groups];
}

function select(item, block, context, options, initial) {
  const isMultiple = item.type.startsWith("multi_");
  const node = el("select", {
    class: "select", multiple: isMultiple, "aria-label": context.isInput ? null : words(item.placeholder) || "Choose",
    data: { action: item.action_id },
    onchange: async () => {
      const chosen = isMultiple ? [...node.selectedOptions].map((option) => option.value) : node.value;
      note(context, block, item, chosen);
      const isDone = await use(item, block, context, chosen, node);
      if (!isDone) node.value = "";
    },
  }, !isMultiple && el("option", { value: "", disabled: !block.optional, selected: true }, words(item.placeholder) || "Choose…"), options);
  const chosen = [initial].flat().filter(Boolean);
  if (chosen.length) {
    for (const option of node.options) option.selected = chosen.includes(option.value);
    note(context, block, item, isMultiple ? chosen : chosen[0]);
  }
  return node;
}

function staticSelect(item, block, context) {
  const initial = item.initial_options?.map((option) => option.value) || item.initial_option?.value;
  return select(item, block, context, optionNodes(item), initial);
}

function usersSelect(item, block, context) {
  const options = persons().map((user) => el("option", { value: user.id }, user.real_name));
  return select(item, block, context, options, item.initial_user || item.initial_users);
}

function channelsSelect(item, block, context) {
  const options = store.channels.filter((channel) => !channel.is_im)
    .map((channel) => el("option", { value: channel.id }, `#${channel.name}`));
  return select(item, block, context, options, item.initial_channel || item.initial_conversation);
}

function overflow(item, block, context) {
  const menu = el("div", { class: "menu", role: "menu", hidden: true });
  const opener = el("button", {
    type: "button", class: "button overflow", "aria-label": "More actions", "aria-haspopup": "menu", "aria-expanded": "false",
    onclick: () => toggle(menu.hidden),
  }, "⋯");
  function toggle(isOpen) {
    menu.hidden = !isOpen;
    opener.setAttribute("aria-expanded", String(isOpen));
    if (isOpen) menu.firstElementChild?.focus();
  }
  menu.append(...item.options.map((option) => el("button", {
    type: "button", role: "menuitem", class: "menu-item",
    onclick: () => { toggle(false); if (option.url) window.open(option.url, "_blank", "noopener"); use(item, block, context, option.value, opener); },
  }, textObject(option.text))));
  const wrap = el("span", { class: "overflow-wrap" }, opener, menu);
  wrap.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && !menu.hidden) { event.stopPropagation(); toggle(false); opener.focus(); }
    if (event.key === "ArrowDown") { event.preventDefault(); (document.activeElement.nextElementSibling || menu.firstElementChild)?.focus(); }
    if (event.key === "ArrowUp") { event.preventDefault(); (document.activeElement.previousElementSibling || menu.lastElementChild)?.focus(); }
  });
  wrap.addEventListener("focusout", (event) => { if (!wrap.contains(event.relatedTarget)) toggle(false); });
  return wrap;
}

function choices(kind) {
  return (item, block, context) => {
    const isMany = kind === "checkbox";
    const initial = (item.initial_options || [item.initial_option]).filter(Boolean).map((option) => option.value);
    if (initial.length) note(context, block, item, isMany ? initial : initial[0]);
    const name = `${block.block_id}-${item.action_id}-${Math.random()}`;
    const group = el("div", { class: "choices", role: isMany ? "group" : "radiogroup" });
    group.append(...item.options.map((option) => el("label", { class: "choice" },
      el("input", {
        type: kind, name, value: option.value, checked: initial.includes(option.value),
        onchange: () => {
          const chosen = [...group.querySelectorAll("input:checked")].map((input) => input.value);
          note(context, block, item, isMany ? chosen : chosen[0]);
          use(item, block, context, isMany ? chosen : chosen[0], group);
        },
      }),
      el("span", {}, textObject(option.text), option.description && el("span", { class: "hint" }, textObject(option.description))))));
    return group;
  };
}

function typed(type, initialKey) {
  return (item, block, context) => {
    const initial = item[initialKey] || "";
    if (initial) note(context, block, item, initial);
    const isLong = item.type === "plain_text_input" && item.multiline;
    const node = el(isLong ? "textarea" : "input", {
      class: "field", ...(isLong ? { rows: 4 } : { type }), value: initial, placeholder: words(item.placeholder),
      "aria-label": context.isInput ? null : words(item.placeholder) || item.action_id,
      maxLength: item.max_length || 3000, autocomplete: "off", data: { action: item.action_id },
      oninput: () => note(context, block, item, node.value),
      onchange: () => use(item, block, context, node.value, node),
    });
    if (item.focus_on_load) node.autofocus = true;
    return node;
  };
}

const DRAW = {
  button,
  workflow_button: button,
  static_select: staticSelect,
  multi_static_select: staticSelect,
  users_select: usersSelect,
  multi_users_select: usersSelect,
  channels_select: channelsSelect,
  conversations_select: channelsSelect,
  overflow,
  checkboxes: choices("checkbox"),
  radio_buttons: choices("radio"),
  plain_text_input: typed("text", "initial_value"),
  email_text_input: typed("email", "initial_value"),
  url_text_input: typed("url", "initial_value"),
  number_input: typed("number", "initial_value"),
  datepicker: typed("date", "initial_date"),
  timepicker: typed("time", "initial_time"),
  image: (item) => el("img", {
    class: "accessory-image", alt: item.alt_text || "",
    src: item.slack_file?.id ? `/_control/files/${encodeURIComponent(item.slack_file.id)}` : item.image_url,
  }),
};

