/** The output of a command: text, and the object for `--json`. */
export interface CommandResult {
  lines: string[]
  json: object
  /** Default: 0. */
  exitCode?: number
}
