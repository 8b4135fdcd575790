// The pages have no inline styles: the policy of their content does not allow any.

export const styles = `
:root {
  color-scheme: light dark;
  --ground: #f6f7f9; --surface: #ffffff; --raised: #f0f2f5; --line: #dfe3e8; --strong: #c3cad3;
  --text: #1b2330; --muted: #566173; --accent: #2f4fc4; --accent-text: #ffffff; --focus: #2f4fc4;
  --good: #19734a; --good-ground: #e2f3ea; --bad: #b3261e; --bad-ground: #fbe9e7; --busy: #1d5fbf; --busy-ground: #e4eefb;
  --wait: #5a4b9c; --wait-ground: #ece9f8; --late: #8a5200; --late-ground: #fbf0dc; --none: #4d5766; --none-ground: #e9ecf0;
  --bar-good: #4caf85; --bar-bad: #d9534a; --bar-range: #9db4e8;
  --radius: 10px; --mono: ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', monospace;
}
@media (prefers-color-scheme: dark) {
  :root {
    --ground: #0f1319; --surface: #171c24; --raised: #1f2630; --line: #2a323e; --strong: #3d4857;
    --text: #e6eaf0; --muted: #9aa6b6; --accent: #8ea6ff; --accent-text: #0e1430; --focus: #8ea6ff;
    --good: #6fd3a3; --good-ground: #14352a; --bad: #ff9c92; --bad-ground: #43201d; --busy: #8fbcff; --busy-ground: #172f4f;
    --wait: #bfb2ff; --wait-ground: #2b2550; --late: #f3c274; --late-ground: #3f2e10; --none: #b4becb; --none-ground: #2a323e;
    --bar-good: #3f9d75; --bar-bad: #e0665c; --bar-range: #465a92;
  }
}
*, *::before, *::after { box-sizing: border-box; }
body {
  margin: 0; background: var(--ground); color: var(--text);
  font: 15px/1.5 system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', 'DejaVu Sans', sans-serif;
  -webkit-text-size-adjust: 100%;
}
a { color: var(--accent); text-underline-offset: 0.15em; text-decoration-thickness: 0.06em; }
:focus-visible { outline: 2px solid var(--focus); outline-offset: 2px; border-radius: 4px; }
h1 { font-size: 1.5rem; line-height: 1.25; margin: 0 0 1rem; letter-spacing: -0.01em; overflow-wrap: anywhere; }
h2 { font-size: 1.05rem; line-height: 1.3; margin: 1.75rem 0 0.75rem; }
h3 { font-size: 0.9rem; margin: 1rem 0 0.4rem; color: var(--muted); font-weight: 600; }
code, pre { font-family: var(--mono); font-size: 0.86em; }
pre { margin: 0; white-space: pre-wrap; overflow-wrap: anywhere; }
bdi { unicode-bidi: isolate; }
.hidden { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }
.skip { position: absolute; left: 1rem; top: -4rem; background: var(--surface); padding: 0.5rem 0.75rem; border-radius: 6px; z-index: 2; }
.skip:focus { top: 0.5rem; }

.site { background: var(--surface); border-bottom: 1px solid var(--line); }
.bar { max-width: 76rem; margin: 0 auto; padding: 0 1.25rem; display: flex; align-items: center; gap: 1.25rem; }
.brand { display: flex; align-items: center; gap: 0.5rem; font-weight: 650; color: var(--text); text-decoration: none; padding: 0.75rem 0; }
.brand img { border-radius: 5px; }
.bar nav { display: flex; gap: 0.25rem; overflow-x: auto; scrollbar-width: none; flex: 1; }
.bar nav a { color: var(--muted); text-decoration: none; padding: 0.9rem 0.7rem 0.75rem; border-bottom: 2px solid transparent; white-space: nowrap; font-weight: 500; }
.bar nav a:focus-visible { outline-offset: -3px; }
.bar nav a:hover { color: var(--text); }
.bar nav a[aria-current] { color: var(--text); border-bottom-color: var(--accent); }
.user { margin: 0; color: var(--muted); font-size: 0.87rem; display: flex; gap: 0.5rem; align-items: center; white-space: nowrap; }
.tag { background: var(--none-ground); color: var(--none); border-radius: 5px; padding: 0.1rem 0.45rem; font-size: 0.8rem; }
main { max-width: 76rem; margin: 0 auto; padding: 1.75rem 1.25rem 3rem; }
footer { max-width: 76rem; margin: 0 auto; padding: 0 1.25rem 2rem; color: var(--muted); font-size: 0.85rem; display: flex; justify-content: space-between; gap: 1rem; flex-wrap: wrap; }

.notice { background: var(--busy-ground); color: var(--text); border-left: 4px solid var(--busy); border-radius: 6px; padding: 0.65rem 0.9rem; margin: 0 0 1rem; overflow-wrap: anywhere; }
.notice.problem { background: var(--late-ground); border-left-color: var(--late); }
.notice p { margin: 0; }
.note, .closed, .empty { color: var(--muted); }
.note { font-size: 0.87rem; margin: 0.5rem 0; }
.closed { font-style: italic; }
.empty { background: var(--surface); border: 1px dashed var(--strong); border-radius: var(--radius); padding: 2rem 1.25rem; text-align: center; margin: 0 0 1rem; }
.under { display: block; color: var(--muted); font-size: 0.85rem; font-weight: 400; margin: 0; overflow-wrap: anywhere; }
.bad { color: var(--bad); font-weight: 600; }

.cards { list-style: none; margin: 0 0 0.9rem; padding: 0; display: grid; grid-template-columns: repeat(4, 1fr); gap: 0.9rem; }
.stat { display: block; height: 100%; background: var(--surface); border: 1px solid var(--line); border-radius: var(--radius); padding: 0.85rem 1rem 0.8rem; color: inherit; text-decoration: none; }
.stat:hover { border-color: var(--strong); }
.stat .label { color: var(--muted); font-size: 0.87rem; font-weight: 500; }
.stat strong { display: block; font-size: 1.65rem; line-height: 1.25; font-weight: 620; letter-spacing: -0.02em; font-variant-numeric: tabular-nums; }
.stat.failed strong { color: var(--bad); }
.stat.running strong { color: var(--busy); }
.stat.succeeded strong { color: var(--good); }

.heading { display: flex; align-items: baseline; justify-content: space-between; gap: 1rem; flex-wrap: wrap; }
.choosers { display: flex; flex-wrap: wrap; gap: 0.5rem; max-width: 100%; }
.choices, .classes { display: flex; gap: 0.25rem; background: var(--raised); border-radius: 8px; padding: 0.2rem; width: fit-content; max-width: 100%; overflow-x: auto; }
.classes { margin-bottom: 1rem; }
.choices a, .classes a { padding: 0.15rem 0.7rem; border-radius: 6px; text-decoration: none; color: var(--muted); font-size: 0.87rem; white-space: nowrap; }
.choices a[aria-current], .classes a[aria-current] { background: var(--surface); color: var(--text); box-shadow: 0 1px 2px rgb(0 0 0 / 12%); }
.charts { display: grid; grid-template-columns: 1fr 1fr; gap: 0.9rem; }
.chart { margin: 0; background: var(--surface); border: 1px solid var(--line); border-radius: var(--radius); padding: 0.9rem 1rem 0.7rem; min-width: 0; }
.chart figcaption { display: flex; justify-content: space-between; gap: 1rem; flex-wrap: wrap; margin-bottom: 0.6rem; font-size: 0.9rem; }
.chart figcaption span { color: var(--muted); }
.chart svg { display: block; width: 100%; height: 7.5rem; border-bottom: 1px solid var(--strong); }
.chart .slot { fill: transparent; }
.chart g:hover .slot { fill: var(--raised); }
.chart .good { fill: var(--bar-good); }
.chart .bad { fill: var(--bar-bad); }
.chart .range { fill: var(--bar-range); }
.chart .median { fill: var(--accent); }
.axis { display: flex; justify-content: space-between; margin: 0.35rem 0 0; color: var(--muted); font-size: 0.8rem; }

.tabs { display: flex; gap: 0.2rem; overflow-x: auto; border-bottom: 1px solid var(--line); margin-bottom: 1rem; scrollbar-width: thin; }
.tabs a { color: var(--muted); text-decoration: none; padding: 0.5rem 0.75rem; border-bottom: 2px solid transparent; white-space: nowrap; margin-bottom: -1px; }
.tabs a:focus-visible { outline-offset: -3px; }
.tabs a::first-letter { text-transform: uppercase; }
.tabs a:hover { color: var(--text); }
.tabs a[aria-current] { color: var(--text); border-bottom-color: var(--accent); font-weight: 550; }
.count { color: var(--muted); font-size: 0.85em; font-weight: 400; font-variant-numeric: tabular-nums; }

.filters { display: flex; flex-wrap: wrap; gap: 0.75rem; align-items: end; margin-bottom: 1.1rem; }
.filters label { display: flex; flex-direction: column; gap: 0.2rem; flex: 1 1 12rem; max-width: 22rem; font-size: 0.87rem; color: var(--muted); min-width: 0; }
.filters .more { flex: 0 0 auto; }
.filters .more[open] { flex: 1 1 100%; order: 1; }
.filters .more summary { padding: 0.45rem 0.25rem; color: var(--accent); cursor: pointer; }
.fields { display: flex; flex-wrap: wrap; gap: 0.75rem; padding-top: 0.4rem; }
input:not([type='checkbox']), select { font: inherit; color: var(--text); background: var(--surface); border: 1px solid var(--strong); border-radius: 7px; padding: 0.42rem 0.6rem; width: 100%; min-width: 0; }
input::placeholder { color: var(--muted); opacity: 1; }
input[type='checkbox'] { width: 1.05rem; height: 1.05rem; accent-color: var(--accent); vertical-align: middle; margin: 0; }
button, .button { font: inherit; font-weight: 500; font-size: 0.92rem; line-height: 1.4; color: var(--text); background: var(--surface); border: 1px solid var(--strong); border-radius: 7px; padding: 0.42rem 0.85rem; cursor: pointer; text-decoration: none; display: inline-block; white-space: nowrap; }
button:hover, .button:hover { background: var(--raised); }
.primary { background: var(--accent); border-color: var(--accent); color: var(--accent-text); }
.primary:hover { background: color-mix(in srgb, var(--accent) 88%, var(--text)); }
.danger { color: var(--bad); border-color: color-mix(in srgb, var(--bad) 45%, var(--surface)); }
.danger:hover { background: var(--bad-ground); }
.danger.filled { background: var(--bad); border-color: var(--bad); color: var(--surface); }
button:disabled { opacity: 0.5; cursor: not-allowed; }
.buttons { display: flex; flex-wrap: wrap; gap: 0.5rem; margin: 0; }

.toolbar { display: flex; flex-wrap: wrap; align-items: center; justify-content: space-between; gap: 0.5rem 1rem; margin-bottom: 0.6rem; min-height: 2.2rem; }
.order { margin: 0; color: var(--muted); font-size: 0.87rem; }
.actions { border: 0; margin: 0; padding: 0; display: flex; flex-wrap: wrap; gap: 0.4rem; align-items: center; }
.actions legend { float: left; padding: 0; margin-right: 0.3rem; color: var(--muted); font-size: 0.87rem; }
.actions button, .actions summary { padding: 0.25rem 0.65rem; font-size: 0.87rem; }
.menu { position: relative; }
.menu summary { cursor: pointer; border: 1px solid var(--strong); border-radius: 7px; background: var(--surface); font-weight: 500; line-height: 1.4; }
.menu ul { position: absolute; right: 0; z-index: 1; list-style: none; margin: 0.3rem 0 0; padding: 0.3rem; background: var(--surface); border: 1px solid var(--strong); border-radius: 8px; box-shadow: 0 6px 24px rgb(0 0 0 / 18%); }
.menu li a { display: block; padding: 0.35rem 0.7rem; white-space: nowrap; text-decoration: none; border-radius: 5px; }
.menu li a:hover { background: var(--raised); }

.table { position: relative; overflow-x: auto; background: var(--surface); border: 1px solid var(--line); border-radius: var(--radius); margin: 0 0 1rem; }
table { border-collapse: collapse; width: 100%; font-size: 0.93rem; }
th, td { text-align: left; vertical-align: top; padding: 0.6rem 0.8rem; }
thead th { color: var(--muted); font-size: 0.8rem; font-weight: 600; border-bottom: 1px solid var(--line); background: var(--raised); white-space: nowrap; }
tbody tr + tr > * { border-top: 1px solid var(--line); }
tbody tr:hover { background: color-mix(in srgb, var(--raised) 60%, var(--surface)); }
tbody th { font-weight: 550; max-width: 24rem; }
tbody th a { text-decoration: none; }
tbody th a:hover { text-decoration: underline; }
.name { overflow-wrap: break-word; }
h1 .name { overflow-wrap: anywhere; }
.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
.time { white-space: nowrap; font-variant-numeric: tabular-nums; }
.text { max-width: 30rem; overflow-wrap: anywhere; }
.text code { color: var(--muted); }
.latest-error { display: block; color: var(--bad); font-size: 0.87rem; font-weight: 400; }
.choose { width: 2.4rem; padding-right: 0; }
td progress { display: block; width: 6rem; margin-top: 0.35rem; }
progress { accent-color: var(--busy); height: 0.5rem; }
.narrow { display: none; }

.status { margin-right: 0.3rem; display: inline-flex; align-items: center; gap: 0.35rem; border-radius: 99px; padding: 0.08rem 0.6rem 0.08rem 0.5rem; font-size: 0.82rem; font-weight: 550; background: var(--none-ground); color: var(--none); white-space: nowrap; }
.status::before { content: ''; width: 0.45rem; height: 0.45rem; border-radius: 50%; background: currentcolor; }
.status.pending, .status.queued { background: var(--wait-ground); color: var(--wait); }
.status.running, .status.refreshing, .status.building { background: var(--busy-ground); color: var(--busy); }
.status.succeeded, .status.fresh, .status.built { background: var(--good-ground); color: var(--good); }
.status.failed, .status.failing { background: var(--bad-ground); color: var(--bad); }
.status.expired, .status.stale, .status.paused { background: var(--late-ground); color: var(--late); }
.status.cancelled::before, .status.empty::before { background: transparent; border: 1.5px solid currentcolor; }
.status.empty { border: 0; display: inline-flex; padding: 0.08rem 0.6rem 0.08rem 0.5rem; margin: 0; }

.pages { display: flex; flex-wrap: wrap; gap: 0.6rem; align-items: center; }
.pages .note { flex: 1 1 100%; margin: 0; }
.crumbs { margin: 0 0 0.4rem; font-size: 0.87rem; }
.title { display: flex; justify-content: space-between; align-items: start; gap: 1rem; flex-wrap: wrap; margin-bottom: 1.1rem; }
.title h1 { margin: 0 0 0.2rem; }
.columns { display: grid; grid-template-columns: minmax(0, 1fr) 22rem; gap: 1rem; align-items: start; }
.card { background: var(--surface); border: 1px solid var(--line); border-radius: var(--radius); padding: 0.9rem 1.1rem 1rem; margin: 0 0 1rem; }
.card > h2:first-child { margin: 0 0 0.6rem; font-size: 0.95rem; }
.value { background: var(--raised); border-radius: 7px; padding: 0.7rem 0.85rem; max-height: 28rem; overflow: auto; }
dl { margin: 0; }
dl > div { display: flex; gap: 0.75rem; padding: 0.28rem 0; }
dt { color: var(--muted); flex: 0 0 7.5rem; font-size: 0.9rem; }
dd { margin: 0; overflow-wrap: anywhere; min-width: 0; font-variant-numeric: tabular-nums; }
.progress { display: flex; align-items: center; gap: 0.75rem; margin: 0 0 1.1rem; flex-wrap: wrap; }
.progress progress { flex: 1 1 12rem; max-width: 28rem; height: 0.7rem; }
.error + .error { border-top: 1px solid var(--line); margin-top: 1rem; padding-top: 1rem; }
.facts { display: flex; flex-wrap: wrap; gap: 0.2rem 0.8rem; margin: 0 0 0.4rem; color: var(--muted); font-size: 0.87rem; }
.facts strong { color: var(--text); }
.message { margin: 0 0 0.4rem; overflow-wrap: anywhere; }
.message strong { color: var(--bad); margin-right: 0.5rem; }
.message .lines { white-space: pre-wrap; }
.message .excerpt { display: block; font-family: var(--mono); font-size: 0.86em; }
.message .label { color: var(--muted); }
.cause { margin: 0.6rem 0 0 0.2rem; padding-left: 0.8rem; border-left: 2px solid var(--line); }
.error summary { color: var(--muted); font-size: 0.87rem; cursor: pointer; }
.stack { color: var(--muted); background: var(--raised); border-radius: 7px; padding: 0.6rem 0.8rem; margin-top: 0.4rem; max-height: 20rem; overflow: auto; }
.timeline { list-style: none; margin: 0; padding: 0; }
.timeline li { position: relative; display: flex; justify-content: space-between; gap: 1rem; padding: 0 0 0.7rem 1.35rem; }
.timeline li::before { content: ''; position: absolute; left: 0.15rem; top: 0.42rem; width: 0.65rem; height: 0.65rem; border-radius: 50%; background: var(--muted); }
.timeline li::after { content: ''; position: absolute; left: 0.43rem; top: 1.2rem; bottom: -0.3rem; border-left: 1.5px solid var(--line); }
.timeline li:last-child::after { display: none; }
.timeline li:last-child { padding-bottom: 0; }
.timeline .failed::before { background: var(--bad); }
.timeline .succeeded::before { background: var(--good); }
.timeline .running::before { background: var(--busy); }
.timeline .expired::before { background: var(--late); }
.timeline .next::before { background: var(--surface); border: 2px solid var(--wait); }
.timeline time, .clock { color: var(--muted); font-size: 0.87rem; white-space: nowrap; }
.clock { display: block; font-variant-numeric: tabular-nums; }
.plain { list-style: none; margin: 0; padding: 0; }
.plain li { padding: 0.25rem 0; overflow-wrap: anywhere; }
.workers { list-style: none; margin: 0; padding: 0; display: grid; grid-template-columns: repeat(auto-fill, minmax(min(24rem, 100%), 1fr)); gap: 1rem; }
.workers .card { margin: 0; }
.runs li { display: flex; gap: 0.75rem; align-items: center; }
.runs time { color: var(--muted); font-size: 0.87rem; margin-left: auto; white-space: nowrap; }
.runs progress { width: 6rem; }
.tasks { color: var(--muted); font-size: 0.85rem; margin: 0.75rem 0 0; }
.confirm { max-width: 40rem; background: var(--surface); border: 1px solid var(--line); border-radius: var(--radius); padding: 1.5rem; margin: 1rem auto; overflow-wrap: anywhere; }
.confirm .buttons { margin-top: 1.25rem; }

@media (max-width: 60rem) {
  .columns, .charts { grid-template-columns: minmax(0, 1fr); }
}
@media (max-width: 46rem) {
  .cards { grid-template-columns: 1fr 1fr; gap: 0.6rem; }
  .stat { padding: 0.65rem 0.8rem; }
  .stat strong { font-size: 1.4rem; }
  .bar { flex-wrap: wrap; gap: 0 1rem; padding: 0 0.9rem; }
  .bar nav { order: 1; flex: 1 1 100%; margin: 0 -0.9rem; padding: 0 0.5rem; }
  .bar nav a { padding: 0.5rem 0.6rem; }
  .brand { padding: 0.6rem 0 0.2rem; flex: 1; }
  main { padding: 1.1rem 0.9rem 2rem; }
  footer { padding: 0 0.9rem 1.5rem; }
  .wide { display: none; }
  .narrow { display: block; }
  th, td { padding: 0.55rem 0.6rem; }
  .filters label { flex: 1 1 100%; max-width: none; }
  .time { white-space: normal; }
  .menu ul { left: 0; right: auto; }
}
@media (prefers-reduced-motion: no-preference) {
  a, button, .stat { transition: background-color 0.12s, border-color 0.12s; }
}
@media (forced-colors: active) {
  .status { border: 1px solid; }
  .bar nav a[aria-current], .tabs a[aria-current] { border-bottom-color: Highlight; }
}
@media print {
  .site, .filters, .actions, .pages, footer { display: none; }
}
`
