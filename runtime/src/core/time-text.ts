/** A time for people, in UTC and to the second: `2026-11-26T08:12:40Z`. Commands accept it, so it can be pasted into `--since`. */
export function timeText(time: Date): string {
  return time.toISOString().replace(/\.\d+/, '')
}
