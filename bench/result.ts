/** The values of one quantity, one for each round, or one for each measurement in a round. */
export type Values = number[]

/** What was measured of one contender. */
export interface Row {
  name: string
  /** By the key of the column. A contender may have no value in a column. */
  values: Record<string, Values>
  /** What a reader has to know of this row. */
  note?: string
}

export interface Column {
  key: string
  /** With the unit: `calls a second`. */
  title: string
  /** Digits after the decimal point. */
  digits: number
  /** Whether the column after it shows the ratio of each row to the base. */
  hasRatio?: boolean
}

/** One table of the report: contenders, and what was measured of each. */
export interface Table {
  /** How figures name it: `running`. */
  id: string
  title: string
  /** What one round does, in a sentence or two. */
  method: string
  columns: Column[]
  rows: Row[]
  /** The name of the row that ratios compare with. */
  base?: string
}

/** What one benchmark has measured, as bench/results/<name>.json holds it. */
export interface BenchmarkResult {
  benchmark: string
  /** `2026-11-26` */
  measuredOn: string
  /** How long the benchmark took. */
  seconds: number
  machine: Machine
  versions: Record<string, string>
  tables: Table[]
}

export interface Machine {
  cores: number
  memoryGB: number
  system: string
}
