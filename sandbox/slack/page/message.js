// One message as a list item.

import { attachmentNodes, blockNodes } from "./blocks.js";
import { complain } from "./dialogs.js";
import { avatar, clock, el, toast } from "./dom.js";
import { emojiNode, mrkdwn } from "./mrkdwn.js";
import { sign } from "./signs.js";
import { post, store, userOf } from "./store.js";

// where: "channel" or "thread"
export function messageNode(message, where, openThread) {
  const author = userOf(message.user);
  const context = {
    use: async (item, block, value) => {
      try {
        const answer = await post("click", {
          user: store.me, channel: message.channel, ts: message.ts, action_id: item.action_id, block_id: block.block_id, value,
        });
        complain(answer.outcome);
      } catch (problem) {
        toast(problem.message, "bad");
      }
    },
  };
  return el("li", {
    class: `message ${message.ephemeral_for ? "ephemeral" : ""}`, data: { ts: message.ts },
    "aria-label": `${author.real_name || author.name}, ${clock(message.ts)}`,
  },
  avatar(author),
  el("div", { class: "message-body" },
    marks(message, where, openThread),
    el("div", { class: "message-head" },
      el("span", { class: "author" }, message.username || author.real_name || author.name),
      author.is_app && el("span", { class: "badge" }, "app"),
      el("a", {
        class: "time", href: permalink(message), data: { inside: "1" }, title: new Date(message.ts * 1000).toLocaleString(),
      }, clock(message.ts))),
    content(message, context),
    files(message),
    message.reactions && el("div", { class: "reactions" }, message.reactions.map((item) => (
      el("span", { class: "reaction" }, emojiNode(item.name) || `:${item.name}:`, ` ${item.count}`)))),
    where === "channel" && message.reply_count && repliesLink(message, openThread)),
  el("div", { class: "tools" },
    where === "channel" && !message.ephemeral_for && tool("Reply in thread", "ui-reply", () => openThread(rootOf(message))),
    tool("Copy link", "ui-link", () => {
      navigator.clipboard?.writeText(location.origin + permalink(message));
      toast("Link copied.");
    })));
}

const rootOf = (message) => message.thread_ts || message.ts;

function tool(label, icon, onclick) {
  return el("button", { type: "button", class: "icon-button", "aria-label": label, title: label, onclick }, sign(icon));
}

export function permalink(message) {
  const path = `/archives/${message.channel}/p${message.ts.replace(".", "")}`;
  const isReply = message.thread_ts && message.thread_ts !== message.ts;
  return isReply ? `${path}?thread_ts=${message.thread_ts}&cid=${message.channel}` : path;
}

function marks(message, where, openThread) {
  if (message.ephemeral_for) {
    return el("div", { class: "mark" }, sign("ui-eye"), " Only visible to you · ", el("button", {
      type: "button", class: "text-button",
      onclick: () => post("dismiss", { user: store.me, ts: message.ts }),
    }, "Dismiss"));
  }
  if (message.subtype === "thread_broadcast") {
    if (where === "thread") return el("div", { class: "mark" }, "Also sent to the channel");
    const parent = message.root?.text || "a thread";
    return el("div", { class: "mark" }, "Replied to a thread: ", el("button", {
      type: "button", class: "text-button", onclick: () => openThread(message.thread_ts),
    }, parent.length > 60 ? `${parent.slice(0, 60)}…` : parent));
  }
  return message.is_pinned ? el("div", { class: "mark" }, sign("ui-pin"), " Pinned") : null;
}

function content(message, context) {
  const edited = message.edited && el("span", { class: "edited" }, " (edited)");
  const attachments = message.attachments ? attachmentNodes(message.attachments, context) : [];
  if (message.blocks?.length) {
    return el("div", { class: "content" }, blockNodes(message.blocks, context), attachments, edited);
  }
  return el("div", { class: "content" }, message.text && el("div", { class: "text" }, mrkdwn(message.text), edited), attachments);
}

function files(message) {
  return (message.files || []).map((file) => {
    const source = `/_control/files/${encodeURIComponent(file.id)}`;
    const isPicture = file.mimetype.startsWith("image/") && file.mimetype !== "image/svg+xml";
    return el("figure", { class: "file" },
      el("figcaption", {}, file.title || file.name),
      isPicture
        ? el("a", { href: source, target: "_blank", rel: "noopener" }, el("img", { class: "picture", src: source, alt: file.alt_txt || file.title }))
        : el("a", { href: source, class: "file-link", download: file.name }, sign("ui-file"), ` ${file.name} · ${size(file.size)}`));
  });
}

const size = (bytes) => (bytes < 1024 ? `${bytes} B` : bytes < 1048576 ? `${Math.round(bytes / 1024)} kB` : `${(bytes / 1048576).toFixed(1)} MB`);

function repliesLink(message, openThread) {
  const word = message.reply_count === 1 ? "1 reply" : `${message.reply_count} replies`;
  return el("button", { type: "button", class: "replies", onclick: () => openThread(message.ts) },
    message.reply_users.slice(0, 4).map((id) => avatar(userOf(id), "small")),
    el("span", { class: "replies-count" }, word),
    el("span", { class: "replies-last" }, `last at ${clock(message.latest_reply)}`));
}

// Makes `list` show `messages`, touching only what changed, so that focus and half-filled inputs survive.
export function drawMessages(list, messages, where, openThread) {
  const isAtEnd = list.scrollHeight - list.scrollTop - list.clientHeight < 80;
  const known = new Map([...list.querySelectorAll("[data-ts]")].map((node) => [node.dataset.ts, node]));
  const wanted = [];
  let lastDay = "";
  for (const message of messages) {
    const today = new Date(message.ts * 1000).toDateString();
    if (where === "channel" && today !== lastDay) wanted.push(dayNode(list, today, message.ts));
    lastDay = today;
    const print = JSON.stringify(message) + store.me;
    let node = known.get(message.ts);
    if (!node || node.print !== print) {
      node = messageNode(message, where, openThread);
      node.print = print;
    }
    wanted.push(node);
  }
  const keep = new Set(wanted);
  for (const node of [...list.children]) if (!keep.has(node)) node.remove();
  wanted.forEach((node, place) => {
    if (list.children[place] !== node) list.insertBefore(node, list.children[place] || null);
  });
  if (isAtEnd) stayAtEnd(list);
}

// Pictures that load later make the list longer.
export function stayAtEnd(list) {
  list.scrollTop = list.scrollHeight;
  for (const image of list.querySelectorAll("img")) {
    if (!image.complete) image.addEventListener("load", () => { list.scrollTop = list.scrollHeight; }, { once: true });
  }
}

function dayNode(list, key, ts) {
  const old = [...list.querySelectorAll("[data-day]")].find((node) => node.dataset.day === key);
  return old || el("li", { class: "day", data: { day: key }, role: "separator" }, el("span", {}, dayWord(ts)));
}

function dayWord(ts) {
  const date = new Date(ts * 1000);
  return date.toDateString() === new Date().toDateString() ? "Today"
    : date.toLocaleDateString([], { weekday: "long", day: "numeric", month: "long" });
}
