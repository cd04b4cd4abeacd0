// What the page knows: a copy of the workspace's state, kept fresh by the stream of news.

export const store = {
  team: {}, bot: {}, users: [], channels: [], usergroups: [], views: [], connection: { state: "offline", sockets: 0 },
  notice: "", hints: [], panel: [], messages: new Map(), isReady: false,
  me: sessionStorage.getItem("me") || "", channel: "", thread: null, read: new Map(),
};

const listeners = [];
let isScheduled = false;
let newsSinceFetch = [];
let isFetching = false;

export function onChange(listener) {
  listeners.push(listener);
}

export function changed() {
  if (isScheduled) return;
  isScheduled = true;
  // A timer and not an animation frame: frames stop in hidden tabs, and unread counts must go on.
  setTimeout(() => {
    isScheduled = false;
    for (const listener of listeners) listener();
  }, 0);
}

export async function post(path, body = {}) {
  const answer = await fetch(`/_control/${path}`, {
    method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body),
  });
  const result = await answer.json();
  if (!answer.ok) throw new Error(result.error || `HTTP ${answer.status}`);
  return result;
}

const keyOf = (message) => `${message.channel}/${message.ts}`;

export async function refresh() {
  isFetching = true;
  newsSinceFetch = [];
  const state = await (await fetch("/_control/state")).json();
  isFetching = false;
  for (const key of ["team", "bot", "users", "channels", "usergroups", "views", "connection", "notice", "hints", "panel"]) {
    store[key] = state[key];
  }
  store.messages = new Map([...state.messages, ...state.ephemerals].map((message) => [keyOf(message), message]));
  store.isReady = true;
  for (const news of newsSinceFetch) apply(news);
  chooseDefaults();
  changed();
}

function chooseDefaults() {
  const people = persons();
  if (!people.some((user) => user.id === store.me)) store.me = people[0]?.id || "";
  const mine = store.channels.filter((channel) => !channel.is_im || channel.members.includes(store.me));
  if (!mine.some((channel) => channel.id === store.channel)) store.channel = mine[0]?.id || "";
  for (const channel of store.channels) {
    if (!store.read.has(channel.id)) store.read.set(channel.id, latest(channel.id));
  }
}

export function persons() {
  return store.users.filter((user) => user.id !== "USLACKBOT");
}

export function userOf(id) {
  if (id === store.bot.id) return { id, name: store.bot.name, real_name: store.bot.name, is_app: true, colour: "#2f4f7a" };
  return store.users.find((user) => user.id === id) || { id, name: id, real_name: id };
}

export function sorted() {
  return [...store.messages.values()].sort((a, b) => (a.ts < b.ts ? -1 : 1));
}

const isForMe = (message) => !message.ephemeral_for || message.ephemeral_for === store.me;
const isReply = (message) => message.thread_ts && message.thread_ts !== message.ts;

export function channelMessages(channel) {
  return sorted().filter((message) => message.channel === channel && isForMe(message)
    && (!isReply(message) || message.subtype === "thread_broadcast"));
}

export function threadMessages(channel, ts) {
  return sorted().filter((message) => message.channel === channel && isForMe(message)
    && (message.ts === ts || message.thread_ts === ts));
}

export function latest(channel) {
  return channelMessages(channel).at(-1)?.ts || "0";
}

export function unread(channel) {
  return channelMessages(channel).filter((message) => message.ts > (store.read.get(channel) || "0")
    && message.user !== store.me).length;
}

function apply(news) {
  switch (news.kind) {
    case "message": store.messages.set(keyOf(news.message), news.message); break;
    case "gone": store.messages.delete(keyOf(news)); break;
    case "connection": store.connection = { state: news.state, sockets: news.sockets }; break;
    case "panel": store.panel = news.groups; break;
    case "hints": store.hints = news.hints; break;
    case "notice": store.notice = news.notice; break;
    default: return false;
  }
  return true;
}

export function listen() {
  const stream = new EventSource("/_control/stream");
  // Also after a broken stream: what was missed is in the state.
  stream.onopen = () => refresh();
  stream.onerror = () => { store.connection = { state: "lost", sockets: 0 }; changed(); };
  stream.onmessage = (event) => {
    const news = JSON.parse(event.data);
    if (isFetching) newsSinceFetch.push(news);
    if (apply(news)) changed();
    else refresh();
  };
}
