// The page: lays out channels, conversation, thread and sandbox, and keeps them drawn.

import { composer } from "./composer.js";
import { drawModal } from "./dialogs.js";
import { avatar, byId, el } from "./dom.js";
import { drawMessages, stayAtEnd } from "./message.js";
import { drawPanel } from "./panel.js";
import { sign } from "./signs.js";
import {
  changed, channelMessages, latest, listen, onChange, persons, store, threadMessages, unread, userOf,
} from "./store.js";

let dockTab = null; // "thread", "sandbox" or null
let wasDockChosen = false;
const main = composer("composer", () => ({ channel: store.channel }));
const reply = composer("reply", () => ({ channel: store.channel, thread_ts: store.thread }), { isThread: true });
const threadList = el("ol", { class: "messages thread-messages", "aria-label": "Thread" });
const panelHolder = el("div", { class: "panel-groups" });
const dockBody = el("div", { class: "dock-body" });
const tabs = el("div", { class: "tabs", role: "tablist" });

function start() {
  byId("composer").append(main.node);
  byId("dock").append(el("header", { class: "dock-head" }, tabs,
    el("button", { type: "button", class: "icon-button", "aria-label": "Close panel", onclick: () => openDock(null) }, "✕")), dockBody);
  byId("open-sandbox").addEventListener("click", () => openDock(dockTab === "sandbox" ? null : "sandbox"));
  byId("open-sidebar").addEventListener("click", () => byId("layout").classList.toggle("sidebar-open"));
  document.addEventListener("click", followInside);
  document.addEventListener("keydown", onKey);
  window.addEventListener("popstate", () => { readAddress(); changed(); });
  onChange(draw);
  listen();
}

function onKey(event) {
  if (event.key === "Escape" && !document.querySelector("dialog[open]")) {
    if (byId("layout").classList.contains("sidebar-open")) byId("layout").classList.remove("sidebar-open");
    else if (dockTab === "thread") openDock(store.panel.length && innerWidth >= 1100 ? "sandbox" : null);
  }
  const isTyping = /INPUT|TEXTAREA|SELECT/.test(document.activeElement?.tagName || "");
  if (event.key === "/" && !isTyping && !document.querySelector("dialog[open]")) main.input.focus();
}

// Links to messages of this workspace stay on the page.
function followInside(event) {
  const link = event.target.closest?.("a[data-inside]");
  if (!link || event.ctrlKey || event.metaKey) return;
  event.preventDefault();
  window.history.pushState(null, "", link.href);
  readAddress();
  changed();
}

let sought = "";

function readAddress() {
  const match = /^\/archives\/([^/]+)(?:\/p(\d{10})(\d{6}))?/.exec(location.pathname);
  if (!match || !store.channels.some((channel) => channel.id === match[1])) return;
  store.channel = match[1];
  const thread = new URLSearchParams(location.search).get("thread_ts");
  if (thread) openThread(thread);
  sought = match[2] ? `${match[2]}.${match[3]}` : "";
}

function showSought() {
  const node = sought && document.querySelector(`[data-ts="${CSS.escape(sought)}"]`);
  if (!node) return;
  sought = "";
  node.scrollIntoView({ block: "center" });
  node.classList.add("sought");
  setTimeout(() => node.classList.remove("sought"), 2500);
}

function openThread(ts) {
  store.thread = ts;
  openDock("thread");
  reply.input.focus();
}

function openDock(tab) {
  dockTab = tab;
  wasDockChosen = true;
  if (tab !== "thread") store.thread = null;
  changed();
}

function openChannel(id) {
  store.channel = id;
  if (dockTab === "thread") openDock(null);
  wasDockChosen = false;
  byId("layout").classList.remove("sidebar-open");
  byId("messages").replaceChildren();
  window.history.pushState(null, "", `/archives/${id}`);
  main.input.focus();
  changed();
}

function becomeUser(id) {
  store.me = id;
  sessionStorage.setItem("me", id);
  changed();
}

let isFirst = true;

function draw() {
  if (!store.isReady) return drawConnection();
  if (isFirst) { isFirst = false; readAddress(); }
  if (!wasDockChosen) dockTab = store.panel.length && innerWidth >= 1100 ? "sandbox" : null;
  if (!document.hidden) store.read.set(store.channel, latest(store.channel));
  byId("notice").textContent = store.notice;
  byId("notice").hidden = !store.notice;
  byId("team-name").textContent = store.team.name;
  drawConnection();
  drawChannels();
  drawPeople();
  drawConversation();
  drawDock();
  drawModal();
  showSought();
  return undefined;
}

function drawConnection() {
  const words = {
    connected: `forge connected · ${store.connection.sockets} ${store.connection.sockets === 1 ? "socket" : "sockets"}`,
    http: "forge called over HTTP", deaf: "forge connected, but deaf", offline: "forge offline",
    down: "Slack is down", lost: "This page lost the workspace",
  };
  const node = byId("connection");
  node.className = `connection ${store.connection.state}`;
  node.textContent = words[store.connection.state] || store.connection.state;
}

// Replaces only what differs, so that the keyboard's focus stays where it is.
function fill(holder, print, make) {
  const text = JSON.stringify(print);
  if (holder.print === text) return;
  holder.print = text;
  const focused = document.activeElement?.dataset?.key;
  holder.replaceChildren(...make());
  if (focused) holder.querySelector(`[data-key="${CSS.escape(focused)}"]`)?.focus();
}

function drawChannels() {
  const mine = store.channels.filter((channel) => !channel.is_im || channel.members.includes(store.me));
  const rows = mine.map((channel) => ({
    id: channel.id, isOpen: channel.id === store.channel, count: channel.id === store.channel ? 0 : unread(channel.id),
    name: channel.is_im ? store.bot.name : channel.name, sign: channel.is_im ? "●" : channel.is_private ? "ui-lock" : "#",
  }));
  fill(byId("channels"), rows, () => rows.map((row) => el("li", {}, el("button", {
    type: "button", class: `channel ${row.count ? "unread" : ""}`, "aria-current": row.isOpen ? "page" : null, data: { key: row.id },
    onclick: () => openChannel(row.id),
  }, el("span", { class: "sign", "aria-hidden": "true" }, sign(row.sign) || row.sign), el("span", { class: "name" }, row.name),
  row.count > 0 && el("span", { class: "count", "aria-label": `${row.count} unread` }, String(row.count))))));
}

function standing(user) {
  if (user.deleted) return "deactivated";
  if (user.team_id !== store.team.id) return "other workspace";
  if (user.is_bot) return "bot";
  if (user.is_ultra_restricted || user.is_restricted) return "guest";
  return "";
}

function drawPeople() {
  const people = persons();
  fill(byId("people"), [people, store.me], () => people.map((user) => {
    const isMe = user.id === store.me;
    return el("button", {
      type: "button", class: "person", role: "radio", "aria-checked": String(isMe), tabIndex: isMe ? 0 : -1, data: { key: user.id },
      onclick: () => becomeUser(user.id), onkeydown: stepThrough,
    }, avatar(user, "small"), el("span", { class: "person-words" },
      el("span", { class: "name" }, user.real_name),
      el("span", { class: "hint" }, [user.title, standing(user)].filter(Boolean).join(" · "))));
  }));
}

function stepThrough(event) {
  const step = { ArrowDown: 1, ArrowRight: 1, ArrowUp: -1, ArrowLeft: -1 }[event.key];
  if (!step) return;
  event.preventDefault();
  const people = persons();
  const place = people.findIndex((user) => user.id === store.me);
  becomeUser(people[(place + step + people.length) % people.length].id);
  setTimeout(() => document.querySelector(".person[aria-checked=true]")?.focus(), 0);
}

function drawConversation() {
  const channel = store.channels.find((item) => item.id === store.channel);
  const title = channel ? (channel.is_im ? store.bot.name : `#${channel.name}`) : "No channel";
  byId("channel-name").textContent = title;
  byId("channel-topic").textContent = channel?.topic?.value || "";
  const me = userOf(store.me);
  byId("you").textContent = `You are ${me.real_name}${me.title ? ` (${me.title})` : ""}`;
  document.title = `${title} · ${store.team.name}`;
  main.setPlaceholder(`Message ${title}, or / for commands`);
  const list = byId("messages");
  const messages = channelMessages(store.channel);
  const wasEmpty = !list.querySelector("[data-ts]");
  list.querySelector(".nothing")?.remove();
  drawMessages(list, messages, "channel", openThread);
  if (!messages.length) list.append(el("li", { class: "nothing" }, "Nothing here yet. Type / below to see what forge can do."));
  if (wasEmpty && !sought) stayAtEnd(list);
}

function drawDock() {
  const dock = byId("dock");
  const isOpen = dockTab !== null;
  dock.hidden = !isOpen;
  byId("layout").classList.toggle("dock-open", isOpen);
  const opener = byId("open-sandbox");
  opener.hidden = !store.panel.length;
  opener.setAttribute("aria-expanded", String(dockTab === "sandbox"));
  if (!isOpen) return;
  const shown = [store.thread && ["thread", "Thread"], store.panel.length && ["sandbox", "Sandbox"]].filter(Boolean);
  fill(tabs, [shown, dockTab], () => shown.map(([key, label]) => el("button", {
    type: "button", class: "tab", role: "tab", "aria-selected": String(key === dockTab), data: { key: `tab-${key}` },
    onclick: () => { dockTab = key; changed(); },
  }, label)));
  if (dockTab === "thread") drawThread();
  else { drawPanel(panelHolder, store.panel); mount(panelHolder); }
}

let threadShown = null;

function drawThread() {
  mount(threadList, reply.node);
  reply.setPlaceholder("Reply…");
  drawMessages(threadList, threadMessages(store.channel, store.thread), "thread", openThread);
  if (threadShown !== store.thread) stayAtEnd(threadList);
  threadShown = store.thread;
}

function mount(...nodes) {
  if (nodes.some((node, place) => dockBody.children[place] !== node) || dockBody.childElementCount !== nodes.length) {
    dockBody.replaceChildren(...nodes);
  }
}

document.addEventListener("visibilitychange", changed);
start();
