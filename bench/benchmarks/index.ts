import type { BenchContext } from '../context.js'
import type { Table } from '../result.js'
import { churn } from './churn.js'
import { cli } from './cli.js'
import { failing } from './failing.js'
import { growth } from './growth.js'
import { idle } from './idle.js'
import { imports } from './imports.js'
import { latency } from './latency.js'
import { profile } from './profile.js'
import { reading } from './reading.js'
import { recording } from './recording.js'
import { recovery } from './recovery.js'
import { running } from './running.js'
import { scaling } from './scaling.js'
import { stampede } from './stampede.js'

/** All benchmarks by their names on the command line, in the order of the report. */
export const benchmarks: Record<string, (context: BenchContext) => Promise<Table[]>> = {
  running,
  recording,
  scaling,
  latency,
  recovery,
  reading,
  stampede,
  failing,
  idle,
  growth,
  churn,
  cli,
  profile,
  imports,
}
