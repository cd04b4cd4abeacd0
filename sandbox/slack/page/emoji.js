// The shortcodes that release messages use. Unknown ones stay as they were written.

const TABLE = `
white_check_mark ✅|heavy_check_mark ✔️|x ❌|warning ⚠️|rotating_light 🚨|rocket 🚀|hourglass ⌛|hourglass_flowing_sand ⏳
large_green_circle 🟢|large_yellow_circle 🟡|large_orange_circle 🟠|red_circle 🔴|large_blue_circle 🔵|white_circle ⚪|black_circle ⚫
lock 🔒|unlock 🔓|key 🔑|shield 🛡️|eyes 👀|thumbsup 👍|+1 👍|thumbsdown 👎|-1 👎|tada 🎉|fire 🔥|bug 🐛|wrench 🔧|hammer 🔨
gear ⚙️|package 📦|label 🏷️|bookmark 🔖|clipboard 📋|memo 📝|page_facing_up 📄|scroll 📜|link 🔗|mag 🔍|bell 🔔|no_bell 🔕
pause_button ⏸️|double_vertical_bar ⏸️|arrow_forward ▶️|black_square_for_stop ⏹️|stop_button ⏹️|rewind ⏪|fast_forward ⏩|leftwards_arrow_with_hook ↩️
arrows_counterclockwise 🔄|repeat 🔁|arrow_right ➡️|arrow_left ⬅️|arrow_up ⬆️|arrow_down ⬇️|heavy_minus_sign ➖|heavy_plus_sign ➕
chart_with_upwards_trend 📈|chart_with_downwards_trend 📉|bar_chart 📊|stopwatch ⏱️|alarm_clock ⏰|clock1 🕐|calendar 📆|date 📅
no_entry ⛔|no_entry_sign 🚫|octagonal_sign 🛑|construction 🚧|information_source ℹ️|question ❓|grey_question ❔|exclamation ❗|bulb 💡
snowflake ❄️|hammer_and_wrench 🛠️|floppy_disk 💾|file_cabinet 🗄️|wastebasket 🗑️|speech_balloon 💬|robot_face 🤖|wave 👋|raised_hand ✋|point_right 👉
bust_in_silhouette 👤|busts_in_silhouette 👥|sleeping 😴|smile 😄|slightly_smiling_face 🙂|thinking_face 🤔|pray 🙏|clap 👏|heart ❤️|star ⭐
ballot_box_with_check ☑️|white_large_square ⬜|black_large_square ⬛|large_green_square 🟩|large_red_square 🟥|pushpin 📌|anchor ⚓|ship 🚢|canary 🐤|baby_chick 🐤
triangular_flag_on_post 🚩|checkered_flag 🏁|test_tube 🧪|microscope 🔬|thermometer 🌡️|skull 💀|boom 💥|zap ⚡|recycle ♻️|house 🏠|globe_with_meridians 🌐
one 1️⃣|two 2️⃣|three 3️⃣|mega 📣|loudspeaker 📢|phone ☎️|pager 📟|ok 🆗|new 🆕|sos 🆘|small_red_triangle 🔺|small_blue_diamond 🔹
`;

const MAP = new Map(TABLE.trim().split(/[|\n]/).map((entry) => entry.trim().split(" ")));

// Longest first, so that a sign with a variation selector is found whole.
export const LITERAL = new RegExp([...MAP.values()].sort((a, b) => b.length - a.length)
  .map((sign) => sign.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")).join("|"), "gu");
const NAMES = new Map([...MAP].reverse().map(([name, sign]) => [sign, name]));

export function nameOf(sign) {
  return NAMES.get(sign) || "";
}

export function emoji(name) {
  return MAP.get(name.replace(/::skin-tone-\d$/, "")) || null;
}
