// Block Kit to DOM nodes. `context` says where an interactive element stands and what using it does.

import { el } from "./dom.js";
import { element } from "./elements.js";
import { channelMention, dateNode, emojiNode, groupMention, linkNode, literal, mrkdwn, plain, textObject, userMention } from "./mrkdwn.js";

export function blockNodes(blocks, context) {
  return blocks.map((block) => {
    const draw = DRAW[block.type];
    return draw ? draw(block, context) : el("div", { class: "block unknown" }, `(${block.type} block: not drawn here)`);
  });
}

const DRAW = {
  section: (block, context) => el("div", { class: "block section" },
    el("div", { class: "section-text" },
      block.text && el("div", { class: "text" }, textObject(block.text)),
      block.fields && el("div", { class: "fields" }, block.fields.map((field) => el("div", { class: "text" }, textObject(field))))),
    block.accessory && el("div", { class: "accessory" }, element(block.accessory, block, context))),
  header: (block) => el("h3", { class: "block header" }, textObject(block.text)),
  divider: () => el("hr", { class: "block divider" }),
  context: (block) => el("div", { class: "block context" }, block.elements.map((item) => (
    item.type === "image" ? picture(item, "context-image") : el("span", { class: "text" }, textObject(item))))),
  actions: (block, context) => el("div", { class: "block actions" },
    block.elements.map((item) => element(item, block, context))),
  image: (block) => el("figure", { class: "block image" },
    block.title && el("figcaption", {}, textObject(block.title)), picture(block, "picture")),
  input: (block, context) => inputBlock(block, context),
  rich_text: (block) => el("div", { class: "block rich text" }, block.elements.map(richElement)),
  markdown: (block) => el("div", { class: "block text" }, mrkdwn(block.text.replace(/\*\*(.+?)\*\*/g, "*$1*"))),
  table: (block) => el("div", { class: "block table" }, el("table", {}, el("tbody", {}, block.rows.map((row) => (
    el("tr", {}, row.map((cell) => el("td", {}, cell.type === "rich_text" ? cell.elements.map(richElement) : cell.text)))))))),
};

export function picture(holder, className) {
  const source = holder.slack_file?.id ? `/_control/files/${encodeURIComponent(holder.slack_file.id)}` : holder.image_url;
  return el("img", { class: className, src: source, alt: holder.alt_text || "", loading: "lazy" });
}

function inputBlock(block, context) {
  const control = element(block.element, block, { ...context, isInput: true });
  const error = context.errors?.[block.block_id];
  const isGroup = ["checkboxes", "radio_buttons"].includes(block.element.type);
  const label = [...textObject(block.label), block.optional && el("span", { class: "optional" }, " (optional)")];
  return el(isGroup ? "fieldset" : "label", { class: "block input", data: { block: block.block_id } },
    el(isGroup ? "legend" : "span", { class: "input-label" }, label),
    control,
    block.hint && el("span", { class: "hint" }, textObject(block.hint)),
    el("span", { class: "error", role: "alert" }, error || ""));
}

function richElement(item) {
  switch (item.type) {
    case "rich_text_list":
      return el(item.style === "ordered" ? "ol" : "ul", { style: { marginLeft: `${(item.indent || 0) * 1.5}em` } },
        item.elements.map((entry) => el("li", {}, entry.elements.map(leaf))));
    case "rich_text_preformatted": return el("pre", {}, el("code", {}, item.elements.map((entry) => entry.text || entry.url || "")));
    case "rich_text_quote": return el("blockquote", {}, item.elements.map(leaf));
    default: return el("div", {}, (item.elements || []).map(leaf));
  }
}

function leaf(item) {
  let node = LEAF[item.type] ? LEAF[item.type](item) : "";
  const style = item.style || {};
  if (style.code) node = el("code", {}, node);
  if (style.bold) node = el("strong", {}, node);
  if (style.italic) node = el("em", {}, node);
  if (style.strike) node = el("s", {}, node);
  if (style.underline) node = el("u", {}, node);
  return node;
}

const brokenLines = (text) => text.split("\n").flatMap((line, place) => (place ? [el("br"), line] : [line]));
const LEAF = {
  text: (item) => el("span", {}, brokenLines(item.text).map((part) => (typeof part === "string" ? literal(part) : part))),
  link: (item) => linkNode(item.url, item.text),
  user: (item) => userMention(item.user_id),
  channel: (item) => channelMention(item.channel_id),
  usergroup: (item) => groupMention(item.usergroup_id),
  emoji: (item) => emojiNode(item.name) || `:${item.name}:`,
  date: (item) => dateNode(item.timestamp, item.format, item.fallback, item.url),
  broadcast: (item) => el("span", { class: "mention me" }, `@${item.range}`),
  color: (item) => el("code", {}, item.value),
};

export function attachmentNodes(attachments, context) {
  return attachments.map((item) => {
    const colours = { good: "#2e8b57", warning: "#d9a400", danger: "#c0392b" };
    const colour = colours[item.color] || (/^#?[0-9a-f]{6}$/i.test(item.color || "") ? `#${item.color.replace("#", "")}` : "");
    return el("div", { class: "attachment", style: colour ? { borderLeftColor: colour } : {} },
      item.pretext && el("div", { class: "text" }, mrkdwn(item.pretext)),
      item.title && el("div", { class: "attachment-title" }, item.title_link ? linkNode(item.title_link, item.title) : plain(item.title)),
      item.text && el("div", { class: "text" }, mrkdwn(item.text)),
      item.fields && el("div", { class: "fields" }, item.fields.map((field) => (
        el("div", {}, el("strong", {}, field.title), el("div", { class: "text" }, mrkdwn(field.value)))))),
      item.blocks && blockNodes(item.blocks, context),
      item.image_url && el("img", { class: "picture", src: item.image_url, alt: item.fallback || "" }),
      item.footer && el("div", { class: "context block" }, mrkdwn(item.footer)));
  });
}
