// The message box: messages, and slash commands with hints while one types.

import { complain } from "./dialogs.js";
import { el, toast } from "./dom.js";
import { sign } from "./signs.js";
import { post, store, userOf } from "./store.js";

const COMMAND = "/forge";
const COMMAND_ITSELF = { insert: `${COMMAND} `, title: COMMAND, help: "The release bot" };
const MOST_SUGGESTIONS = 30;
const history = [];

// where(): { channel, thread_ts? } to write to. A thread takes no commands, as in real Slack.
export function composer(id, where, { isThread = false } = {}) {
  let suggestions = [];
  let chosen = 0;
  let recall = 0;
  let isPicking = false; // the arrow keys were used: Enter takes the suggestion instead of sending
  const listId = `${id}-suggestions`;
  const list = el("ul", { class: "suggestions", role: "listbox", id: listId, "aria-label": "Commands", hidden: true });
  const usage = el("div", { class: "usage", hidden: true });
  const waiting = el("div", { class: "waiting", role: "status" });
  const input = el("textarea", {
    id: `${id}-input`, class: "composer-input", rows: 1, autocomplete: "off", spellcheck: false,
    role: "combobox", "aria-expanded": "false", "aria-controls": listId, "aria-autocomplete": "list", "aria-label": "Message",
    oninput: () => { grow(); suggest(); }, onkeydown: onKey, onblur: () => setTimeout(() => show([]), 150), onfocus: suggest,
  });
  const sendButton = el("button", { type: "button", class: "send", "aria-label": "Send", onclick: send }, sign("ui-send"));
  const box = el("div", { class: "composer-box" }, list, usage, el("div", { class: "composer-row" }, input, sendButton));

  function grow() {
    input.style.height = "auto";
    input.style.height = `${Math.min(input.scrollHeight, 160)}px`;
  }

  function suggest() {
    const text = input.value;
    usage.hidden = true;
    if (isThread || !text.startsWith("/")) return show(mentions(text));
    if (!text.startsWith(`${COMMAND} `)) {
      return show(COMMAND.startsWith(text) ? [COMMAND_ITSELF, ...commandsLike("")] : []);
    }
    const words = text.slice(COMMAND.length + 1).split(/ +/);
    if (words.length === 1) return show(commandsLike(words[0]));
    const hint = longestHint(words);
    if (!hint) return show([]);
    const count = hint.name.split(" ").length;
    const place = words.length - 1 - count;
    if (place < 0) return show(commandsLike(words.join(" ")));
    showUsage(hint, place);
    const last = words.at(-1);
    return show((hint.words?.[place] || []).filter((word) => word.startsWith(last) && word !== last).map((word) => (
      { insert: `${COMMAND} ${[...words.slice(0, -1), word].join(" ")} `, title: word, help: "" })));
  }

  function commandsLike(start) {
    return store.hints.filter((hint) => hint.name.startsWith(start.toLowerCase()))
      .map((hint) => ({ insert: `${COMMAND} ${hint.name} `, title: `${COMMAND} ${hint.name}`, usage: hint.usage, help: hint.help }));
  }

  function longestHint(words) {
    const text = words.join(" ");
    return [...store.hints].sort((a, b) => b.name.length - a.name.length)
      .find((hint) => text === hint.name || text.startsWith(`${hint.name} `));
  }

  function showUsage(hint, place) {
    const parts = (hint.usage || "").match(/\[[^\]]*\]|<[^>]*>|\S+/g) || [];
    usage.replaceChildren(el("code", {}, `${COMMAND} ${hint.name} `, parts.map((part, index) => (
      el("span", { class: index === place ? "now" : "" }, `${part} `)))), el("span", { class: "hint" }, hint.help || ""));
    usage.hidden = false;
  }

  function mentions(text) {
    const match = /(^|\s)([@#])([\w.-]*)$/.exec(text);
    if (!match || text.startsWith("/")) return [];
    const names = match[2] === "@" ? [...store.users.map((user) => user.name), ...store.usergroups.map((group) => group.handle)]
      : store.channels.filter((channel) => !channel.is_im).map((channel) => channel.name);
    return names.filter((name) => name.startsWith(match[3]) && name !== match[3])
      .map((name) => ({ insert: `${text.slice(0, text.length - match[3].length)}${name} `, title: match[2] + name, help: "" }));
  }

  function show(found) {
    suggestions = found.slice(0, MOST_SUGGESTIONS);
    chosen = 0;
    isPicking = false;
    list.hidden = !suggestions.length;
    input.setAttribute("aria-expanded", String(!list.hidden));
    draw();
  }

  function draw() {
    list.replaceChildren(...suggestions.map((item, place) => el("li", {
      id: `${listId}-${place}`, role: "option", class: "suggestion", "aria-selected": String(place === chosen),
      onmousedown: (event) => { event.preventDefault(); take(place); },
    }, el("span", { class: "suggestion-title" }, item.title, " ", el("span", { class: "suggestion-usage" }, item.usage || "")),
    el("span", { class: "suggestion-help" }, item.help || ""))));
    if (suggestions.length) input.setAttribute("aria-activedescendant", `${listId}-${chosen}`);
    else input.removeAttribute("aria-activedescendant");
  }

  function take(place) {
    input.value = suggestions[place].insert;
    grow();
    suggest();
    input.focus();
  }

  function onKey(event) {
    if (event.isComposing) return;
    const isOpen = !list.hidden;
    if (isOpen && ["ArrowDown", "ArrowUp"].includes(event.key)) {
      event.preventDefault();
      isPicking = true;
      chosen = (chosen + (event.key === "ArrowDown" ? 1 : suggestions.length - 1)) % suggestions.length;
      draw();
    } else if (isOpen && event.key === "Tab" && !event.shiftKey) {
      event.preventDefault();
      take(chosen);
    } else if (isOpen && event.key === "Escape") {
      event.stopPropagation();
      show([]);
    } else if (event.key === "Enter" && !event.shiftKey) {
      event.preventDefault();
      if (isOpen && isPicking) take(chosen);
      else send();
    } else if (event.key === "ArrowUp" && (!input.value || recall) && history.length) {
      event.preventDefault();
      recall = Math.min(recall + 1, history.length);
      input.value = history.at(-recall);
      grow();
    }
  }

  async function send() {
    const text = input.value.trim();
    if (!text) return;
    input.value = "";
    recall = 0;
    grow();
    suggest();
    history.push(text);
    try {
      if (text.startsWith("/") && isThread) throw new Error("Slash commands don't work in threads. Type it in the channel.");
      if (text.startsWith("/")) await sendCommand(text);
      else await post("message", { user: store.me, text, ...where() });
    } catch (problem) {
      toast(problem.message, "bad");
      input.value = text;
    }
  }

  async function sendCommand(text) {
    const [command, ...rest] = text.split(" ");
    if (command !== COMMAND) throw new Error(`${command} is not a valid command. This workspace has ${COMMAND}.`);
    const line = el("div", {}, el("span", { class: "dots", "aria-hidden": "true" }, "● ● ●"), ` ${userOf(store.bot.id).name} is asked: ${text}`);
    waiting.append(line);
    try {
      const answer = await post("command", { user: store.me, text: rest.join(" "), ...where() });
      if (answer.outcome === "acknowledged" && !answer.shown.length) toast("Received.");
      if (answer.outcome !== "acknowledged") complain(answer.outcome);
    } finally {
      line.remove();
    }
  }

  return { node: el("div", { class: "composer-wrap" }, waiting, box), input, setPlaceholder: (text) => { input.placeholder = text; } };
}
