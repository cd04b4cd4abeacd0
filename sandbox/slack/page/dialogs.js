// Confirm dialogs and modals, on the browser's own <dialog>: it keeps the focus inside and closes on Escape.

import { blockNodes } from "./blocks.js";
import { byId, el, toast } from "./dom.js";
import { plain, textObject } from "./mrkdwn.js";
import { post, store } from "./store.js";

export function confirmDialog(confirm) {
  return new Promise((resolve) => {
    const dialog = el("dialog", { class: "dialog confirm", "aria-labelledby": "confirm-title" },
      el("h2", { id: "confirm-title" }, textObject(confirm.title)),
      el("div", { class: "text" }, textObject(confirm.text)),
      el("footer", {},
        el("button", { type: "button", class: "button", onclick: () => dialog.close("no") },
          confirm.deny ? textObject(confirm.deny) : "Cancel"),
        el("button", { type: "button", class: `button ${confirm.style || "primary"}`, onclick: () => dialog.close("yes") },
          confirm.confirm ? textObject(confirm.confirm) : "Yes")));
    dialog.addEventListener("close", () => { dialog.remove(); resolve(dialog.returnValue === "yes"); });
    document.body.append(dialog);
    dialog.showModal();
  });
}

let shown = null; // { key, dialog, values }

// Shows the topmost open modal of the current user, without touching what is already filled in.
export function drawModal() {
  const view = store.views.filter((item) => item.user === store.me).at(-1);
  const key = view ? `${view.id}/${view.hash}` : null;
  if (shown && shown.key === key) {
    showErrors(view);
    return;
  }
  shown?.dialog.remove();
  shown = null;
  if (view) shown = openModal(view, key);
}

function openModal(view, key) {
  const values = new Map();
  const context = {
    values, errors: view.errors,
    use: (item, block, value) => post("view/click", { user: view.user, view: view.id, action_id: item.action_id, value })
      .then((answer) => complain(answer.outcome)),
  };
  const cancel = () => post("view/close", { user: view.user, view: view.id }).catch(() => null);
  const general = el("p", { class: "error", role: "alert", id: "modal-error" }, view.errors?.[""] || "");
  const submit = el("button", { type: "submit", class: "button primary" }, view.submit ? plain(view.submit.text) : "");
  const form = el("form", { class: "modal-form", noValidate: true, onsubmit: (event) => { event.preventDefault(); send(view, values, submit); } },
    el("header", {}, el("h2", { id: "modal-title" }, plain(view.title.text)),
      el("button", { type: "button", class: "icon-button", "aria-label": "Close", onclick: cancel }, "✕")),
    el("div", { class: "modal-body" }, general, blockNodes(view.blocks, context)),
    el("footer", {},
      el("button", { type: "button", class: "button", onclick: cancel }, view.close ? plain(view.close.text) : "Cancel"),
      view.submit && submit));
  const dialog = el("dialog", { class: "dialog modal", "aria-labelledby": "modal-title", oncancel: (event) => { event.preventDefault(); cancel(); } }, form);
  document.body.append(dialog);
  dialog.showModal();
  dialog.querySelector(".modal-body input, .modal-body textarea, .modal-body select")?.focus();
  return { key, dialog, values };
}

async function send(view, values, submit) {
  const filled = {};
  for (const [place, value] of values) {
    const [block, action] = place.split("\u0000");
    filled[block] = { ...(filled[block] || {}), [action]: value };
  }
  submit.setAttribute("aria-busy", "true");
  try {
    const answer = await post("view/submit", { user: view.user, view: view.id, values: filled });
    if (answer.is_open) showErrors({ ...view, errors: answer.errors });
  } catch (problem) {
    toast(problem.message, "bad");
  } finally {
    submit.removeAttribute("aria-busy");
  }
}

function showErrors(view) {
  const errors = view.errors || {};
  const general = byId("modal-error");
  if (general) general.textContent = errors[""] || "";
  for (const input of shown?.dialog.querySelectorAll("[data-block]") || []) {
    input.querySelector(".error").textContent = errors[input.dataset.block] || "";
  }
}

export function complain(outcome) {
  const sentences = {
    operation_timeout: "forge did not answer within 3 seconds. Try again?",
    dispatch_failed: "forge is not connected. Try again later.",
    http_error: "forge answered with an error.",
  };
  if (sentences[outcome]) toast(`⚠ ${sentences[outcome]}`, "bad");
}
