// The signs that matter most, drawn: they look the same everywhere, also where no emoji font is installed.

const SVG = "http://www.w3.org/2000/svg";
const LINE = { fill: "none", "stroke-width": 2.2, "stroke-linecap": "round", "stroke-linejoin": "round" };

const path = (d, more = {}) => ["path", { d, ...more }];
const line = (d, stroke = "currentColor", more = {}) => ["path", { ...LINE, d, stroke, ...more }];
const disc = (fill, more = {}) => ["circle", { cx: 10, cy: 10, r: 7.5, fill, ...more }];
const box = (fill) => ["rect", { x: 2, y: 2, width: 16, height: 16, rx: 3.5, fill }];
const white = (d) => line(d, "#fff");

const GREEN = "#2f9e63";
const RED = "#d0463a";
const AMBER = "#e8a913";
const BLUE = "#3b78c4";
const GREY = "#8b96a5";

const DRAWN = {
  white_check_mark: [box(GREEN), white("M6 10.4l2.8 2.8L14.2 7.2")],
  heavy_check_mark: [line("M4 10.6l4 4L16.5 5.5", GREEN, { "stroke-width": 3 })],
  x: [line("M4.5 4.5l11 11M15.5 4.5l-11 11", RED, { "stroke-width": 3.4 })],
  warning: [path("M10 2.2L18.6 17.5H1.4z", { fill: AMBER, stroke: AMBER, "stroke-width": 1.6, "stroke-linejoin": "round" }), line("M10 7.5v4.6M10 14.9v.1", "#3a2b00")],
  rotating_light: [path("M5 14V10a5 5 0 0 1 10 0v4z", { fill: RED }), path("M3.5 14.5h13v3h-13z", { fill: GREY }), line("M10 1v1.4M2.8 4.2l1.2 1M17.2 4.2l-1.2 1", RED, { "stroke-width": 1.6 })],
  large_green_circle: [disc(GREEN)], large_yellow_circle: [disc("#f0c330")], large_orange_circle: [disc("#ee8a2c")],
  red_circle: [disc(RED)], large_blue_circle: [disc(BLUE)], black_circle: [disc("#3b424c")],
  white_circle: [disc("none", { stroke: GREY, "stroke-width": 1.8, r: 6.6 })],
  hourglass: [path("M5 2h10v2.5c0 2.6-3 3.7-3 5.5s3 2.9 3 5.5V18H5v-2.5C5 12.9 8 11.8 8 10S5 7.1 5 4.5z", { fill: "#c9a86a" }), line("M4 2h12M4 18h12", "#8a6d3b")],
  hourglass_flowing_sand: [path("M5 2h10v2.5c0 2.6-3 3.7-3 5.5s3 2.9 3 5.5V18H5v-2.5C5 12.9 8 11.8 8 10S5 7.1 5 4.5z", { fill: "#e3c88f" }), path("M7 16.5c.8-2 2-2.3 3-3.3 1 1 2.2 1.3 3 3.3z", { fill: "#8a6d3b" }), line("M4 2h12M4 18h12", "#8a6d3b")],
  rocket: [path("M10 1.5c3 2.2 4.3 5.5 3.8 9.5H6.2C5.7 7 7 3.7 10 1.5z", { fill: BLUE }), path("M6.2 9.5L3.5 13v3l3-2zM13.8 9.5l2.7 3.5v3l-3-2z", { fill: RED }), path("M8 12.5h4l-2 6z", { fill: AMBER }), ["circle", { cx: 10, cy: 7, r: 1.7, fill: "#fff" }]],
  lock: [line("M6.5 9V6.5a3.5 3.5 0 0 1 7 0V9", GREY), ["rect", { x: 4, y: 8.5, width: 12, height: 9, rx: 2, fill: AMBER }]],
  unlock: [line("M6.5 9V5.5a3.5 3.5 0 0 1 6.8-1", GREY), ["rect", { x: 4, y: 8.5, width: 12, height: 9, rx: 2, fill: AMBER }]],
  pause_button: [box(BLUE), white("M7.5 6.5v7M12.5 6.5v7")],
  arrow_forward: [box(BLUE), path("M7.5 5.8l6.5 4.2-6.5 4.2z", { fill: "#fff" })],
  stop_button: [box(BLUE), path("M6.5 6.5h7v7h-7z", { fill: "#fff" })],
  leftwards_arrow_with_hook: [box(BLUE), white("M8.5 5L5.5 8l3 3M5.8 8h5.4a3 3 0 0 1 0 6H8")],
  rewind: [box(BLUE), path("M10 6v8L4.5 10zM15.5 6v8L10 10z", { fill: "#fff" })],
  arrows_counterclockwise: [box(BLUE), white("M14 8A4.5 4.5 0 0 0 6 7.5M6 12a4.5 4.5 0 0 0 8 .5M6 4.8v2.7h2.7M14 15.2v-2.7h-2.7")],
  no_entry: [disc(RED), white("M6.5 10h7")],
  octagonal_sign: [path("M6.7 2h6.6L18 6.7v6.6L13.3 18H6.7L2 13.3V6.7z", { fill: RED }), white("M7 10h6")],
  no_entry_sign: [disc("none", { stroke: RED, "stroke-width": 2.4 }), line("M5 5l10 10", RED)],
  information_source: [box(BLUE), white("M10 9.5v4.5M10 6.2v.1")],
  bell: [path("M10 2a5 5 0 0 1 5 5c0 4 1.5 5.5 2 7H3c.5-1.5 2-3 2-7a5 5 0 0 1 5-5z", { fill: AMBER }), path("M8 15.5h4a2 2 0 0 1-4 0z", { fill: "#9a7212" })],
  eyes: [["ellipse", { cx: 6, cy: 10, rx: 3.6, ry: 5.5, fill: "#fff", stroke: GREY, "stroke-width": 1.4 }], ["ellipse", { cx: 14, cy: 10, rx: 3.6, ry: 5.5, fill: "#fff", stroke: GREY, "stroke-width": 1.4 }], ["circle", { cx: 7, cy: 11, r: 2, fill: "#2a2f37" }], ["circle", { cx: 15, cy: 11, r: 2, fill: "#2a2f37" }]],
  tada: [path("M3 18L8 6.5l5.5 5.5z", { fill: AMBER }), line("M12 6.5c.5-2 2-3 3.5-3M14 9c1.5-1 3-.7 4 0M9.5 4c-.3-1 .1-2 .7-2.5", RED, { "stroke-width": 1.7 })],
  package: [path("M2.5 6L10 2.5 17.5 6v9L10 18.5 2.5 15z", { fill: "#c0915a" }), line("M2.5 6L10 9.5 17.5 6M10 9.5v9", "#84602f", { "stroke-width": 1.4 })],
  chart_with_upwards_trend: [["rect", { x: 1.5, y: 2.5, width: 17, height: 15, rx: 2, fill: "#e9eef4", stroke: GREY }], line("M4 14l4-4 3 2.5 5-7", RED, { "stroke-width": 1.8 })],
  bar_chart: [["rect", { x: 1.5, y: 2.5, width: 17, height: 15, rx: 2, fill: "#e9eef4", stroke: GREY }], path("M5 9h2.5v7H5z", { fill: GREEN }), path("M9 5.5h2.5V16H9z", { fill: BLUE }), path("M13 11h2.5v5H13z", { fill: RED })],
  memo: [path("M4 2h9l3 3v13H4z", { fill: "#f4f6f9", stroke: GREY }), line("M7 8h6M7 11h6M7 14h4", GREY, { "stroke-width": 1.3 })],
  clipboard: [path("M4 3h12v15H4z", { fill: "#b98a54" }), path("M6 5h8v11H6z", { fill: "#fff" }), path("M7.5 1.5h5v3h-5z", { fill: GREY })],
  snowflake: [line("M10 2v16M3 6l14 8M17 6L3 14", "#4fa3d8", { "stroke-width": 1.8 })],
  stopwatch: [disc("#fff", { stroke: GREY, "stroke-width": 2, cy: 11, r: 6.5 }), line("M10 11V7.5M10 2v2M8 1.8h4", "#3b424c", { "stroke-width": 1.7 })],
  large_green_square: [box(GREEN)], large_red_square: [box(RED)],
  white_large_square: [["rect", { x: 3, y: 3, width: 14, height: 14, rx: 2.5, fill: "none", stroke: GREY, "stroke-width": 1.8 }]],
  ballot_box_with_check: [box(BLUE), white("M6 10.4l2.8 2.8L14.2 7.2")],
  // For the page itself:
  "ui-reply": [line("M3.5 4.5h13v9H9l-3.5 3v-3h-2z", undefined, { "stroke-width": 1.6 })],
  "ui-link": [line("M8.5 11.5l3-3M9 6.5l1.8-1.8a3.2 3.2 0 0 1 4.5 4.5L13.5 11M11 13.5l-1.8 1.8a3.2 3.2 0 0 1-4.5-4.5L6.5 9", undefined, { "stroke-width": 1.7 })],
  "ui-eye": [line("M1.8 10S4.8 4.8 10 4.8 18.2 10 18.2 10 15.2 15.2 10 15.2 1.8 10 1.8 10z", undefined, { "stroke-width": 1.6 }), ["circle", { cx: 10, cy: 10, r: 2.4, fill: "currentColor" }]],
  "ui-pin": [line("M7.5 3h5l-.6 5.5 2.6 2.5h-9l2.6-2.5zM10 11v6", undefined, { "stroke-width": 1.6 })],
  "ui-file": [line("M5 2.5h6.5l3.5 3.5v11.5H5zM11.5 2.5V6H15", undefined, { "stroke-width": 1.6 })],
  "ui-send": [path("M3 3.5l14.5 6.5L3 16.5l2.2-5.6 6.3-.9-6.3-.9z", { fill: "currentColor" })],
  "ui-lock": [line("M6.5 9V6.5a3.5 3.5 0 0 1 7 0V9M4.5 9h11v8h-11z", undefined, { "stroke-width": 1.7 })],
};
const SAME = { double_vertical_bar: "pause_button", black_square_for_stop: "stop_button", repeat: "arrows_counterclockwise" };

export function sign(name, label) {
  const parts = DRAWN[name] || DRAWN[SAME[name]];
  if (!parts) return null;
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 20 20");
  svg.setAttribute("class", name.startsWith("ui-") ? "icon" : "sign-emoji");
  if (label) {
    svg.setAttribute("role", "img");
    svg.setAttribute("aria-label", label);
  } else {
    svg.setAttribute("aria-hidden", "true");
  }
  for (const [tag, attributes] of parts) {
    const node = document.createElementNS(SVG, tag);
    for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
    svg.append(node);
  }
  return svg;
}
