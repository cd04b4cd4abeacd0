// Slack's mrkdwn to DOM nodes.

import { el } from "./dom.js";
import { LITERAL, emoji, nameOf } from "./emoji.js";
import { sign } from "./signs.js";
import { store, userOf } from "./store.js";

const unescape = (text) => text.replaceAll("&lt;", "<").replaceAll("&gt;", ">").replaceAll("&amp;", "&");
const INLINE = new RegExp([
  "`([^`\\n]+)`",
  "<([^<>\\n]+)>",
  ":([a-z0-9_+'-]+(?:::skin-tone-\\d)?):",
  "(?<![\\w*])\\*(?=\\S)([^*\\n]+?)(?<=\\S)\\*(?![\\w*])",
  "(?<![\\w_])_(?=\\S)([^_\\n]+?)(?<=\\S)_(?![\\w_])",
  "(?<![\\w~])~(?=\\S)([^~\\n]+?)(?<=\\S)~(?![\\w~])",
].join("|"), "g");

export function mrkdwn(text) {
  const nodes = [];
  String(text ?? "").split(/```\n?([\s\S]*?)```\n?/).forEach((part, place) => {
    if (place % 2) nodes.push(el("pre", {}, el("code", {}, unescape(flat(part)))));
    else nodes.push(...quotes(part));
  });
  return nodes;
}

function flat(code) {
  return code.replace(/<([^<>|\n]+)(?:\|([^<>\n]*))?>/g, (_, target, label) => label || target);
}

function quotes(text) {
  const nodes = [];
  let quoted = [];
  const flush = () => {
    if (quoted.length) nodes.push(el("blockquote", {}, lines(quoted)));
    quoted = [];
  };
  let plainLines = [];
  const flushPlain = () => {
    if (plainLines.length) nodes.push(...lines(plainLines));
    plainLines = [];
  };
  for (const line of text.split("\n")) {
    const match = /^(?:&gt;|>)\s?(.*)$/.exec(line);
    if (match) { flushPlain(); quoted.push(match[1]); } else { flush(); plainLines.push(line); }
  }
  flush();
  flushPlain();
  return nodes;
}

function lines(list) {
  return list.flatMap((line, place) => (place ? [el("br"), ...inline(line)] : inline(line)));
}

function inline(text) {
  const nodes = [];
  let end = 0;
  for (const match of text.matchAll(INLINE)) {
    if (match.index > end) nodes.push(...literal(unescape(text.slice(end, match.index))));
    nodes.push(...span(match));
    end = match.index + match[0].length;
  }
  if (end < text.length) nodes.push(...literal(unescape(text.slice(end))));
  return nodes;
}

// Text in which emoji stand as characters.
export function literal(text) {
  const nodes = [];
  let end = 0;
  for (const match of text.matchAll(LITERAL)) {
    nodes.push(text.slice(end, match.index), emojiNode(nameOf(match[0])));
    end = match.index + match[0].length;
  }
  return [...nodes, text.slice(end)].filter(Boolean);
}

function span([whole, code, entity, shortcode, bold, italic, strike]) {
  if (code !== undefined) return [el("code", {}, unescape(flat(code)))];
  if (entity !== undefined) return [entityNode(entity)];
  if (shortcode !== undefined) return [emojiNode(shortcode) || whole];
  if (bold !== undefined) return [el("strong", {}, inline(bold))];
  if (italic !== undefined) return [el("em", {}, inline(italic))];
  return [el("s", {}, inline(strike))];
}

export function emojiNode(name) {
  const label = name.replaceAll("_", " ");
  const character = emoji(name);
  return sign(name, label) || (character ? el("span", { class: "emoji", role: "img", "aria-label": label }, character) : null);
}

function entityNode(entity) {
  const bar = entity.indexOf("|");
  const target = bar < 0 ? entity : entity.slice(0, bar);
  const label = bar < 0 ? "" : unescape(entity.slice(bar + 1));
  if (target.startsWith("@")) return userMention(target.slice(1));
  if (target.startsWith("#")) return channelMention(target.slice(1), label);
  if (target.startsWith("!")) return special(target.slice(1), label);
  return linkNode(unescape(target), label);
}

export function userMention(id) {
  return el("span", { class: `mention ${id === store.me ? "me" : ""}` }, `@${userOf(id).name}`);
}

export function channelMention(id, label = "") {
  const channel = store.channels.find((item) => item.id === id);
  return el("a", { class: "mention", href: `/archives/${encodeURIComponent(id)}`, data: { inside: "1" } }, `#${channel?.name || label || id}`);
}

export function groupMention(id, label = "") {
  const group = store.usergroups.find((item) => item.id === id);
  const isMine = group?.users.includes(store.me);
  return el("span", { class: `mention ${isMine ? "me" : ""}` }, group ? `@${group.handle}` : label || `@${id}`);
}

function special(target, label) {
  if (target.startsWith("subteam^")) return groupMention(target.slice(8), label);
  if (target.startsWith("date^")) {
    const [, ts, format, link] = target.split("^");
    return dateNode(ts, unescape(format || "{date_num} {time}"), label, link);
  }
  return el("span", { class: "mention me" }, label || `@${target.split("^")[0]}`);
}

export function dateNode(ts, format, fallback, link) {
  const date = new Date(Number(ts) * 1000);
  if (Number.isNaN(date.getTime())) return fallback || "";
  const shown = format.replace(/\{(\w+)\}/g, (whole, name) => (DATE[name] ? DATE[name](date) : whole));
  const node = el("time", { dateTime: date.toISOString(), title: date.toLocaleString() }, shown);
  return link ? linkNode(link, shown) : node;
}

const pretty = (options) => (date) => {
  const days = Math.round((new Date(date).setHours(0, 0, 0, 0) - new Date().setHours(0, 0, 0, 0)) / 86400000);
  return { "-1": "yesterday", 0: "today", 1: "tomorrow" }[days] || date.toLocaleDateString([], options);
};
const SHORT = { day: "numeric", month: "short", year: "numeric" };
const LONG = { weekday: "long", day: "numeric", month: "long", year: "numeric" };
const NORMAL = { day: "numeric", month: "long", year: "numeric" };
const DATE = {
  date_num: (date) => date.toISOString().slice(0, 10),
  date: (date) => date.toLocaleDateString([], NORMAL),
  date_short: (date) => date.toLocaleDateString([], SHORT),
  date_long: (date) => date.toLocaleDateString([], LONG),
  date_pretty: pretty(NORMAL),
  date_short_pretty: pretty(SHORT),
  date_long_pretty: pretty(LONG),
  time: (date) => date.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", hourCycle: "h23" }),
  time_secs: (date) => date.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" }),
  ago: (date) => {
    const minutes = Math.round((date - Date.now()) / 60000);
    const words = new Intl.RelativeTimeFormat([], { numeric: "auto" });
    return Math.abs(minutes) < 90 ? words.format(minutes, "minute") : words.format(Math.round(minutes / 60), "hour");
  },
};

export function linkNode(target, label) {
  const isSafe = /^(https?:\/\/|mailto:)/i.test(target);
  if (!isSafe) return `<${target}${label ? `|${label}` : ""}>`;
  const isInside = target.startsWith(`${location.origin}/archives/`);
  return el("a", {
    href: target, ...(isInside ? { data: { inside: "1" } } : { target: "_blank", rel: "noopener noreferrer" }),
  }, label || target.replace(/^mailto:/, ""));
}

export function textObject(object) {
  if (!object) return [];
  if (object.type === "mrkdwn") return mrkdwn(object.text);
  return plain(object.text, object.emoji !== false);
}

export function plain(text, withEmoji = true) {
  const decoded = unescape(String(text ?? ""));
  if (!withEmoji) return [decoded];
  return decoded.split(/:([a-z0-9_+'-]+):/).flatMap((part, place) => (place % 2 ? emojiNode(part) || `:${part}:` : literal(part)));
}
