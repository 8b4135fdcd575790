export {
  type AttemptExpectation,
  type AttemptMatchers,
  attemptMatchers,
  expectAttempt,
  type RecordedAs,
} from './assertions.js'
export { type TestClock, testClock } from './clock.js'
export { type DrainOptions, type DrainResult, drain } from './drain.js'
export { failOnce } from './fail-once.js'
export { inline } from './inline.js'
export { loseRun } from './lose-run.js'
export type { AsymmetricMatcher, Expected, ExpectedArgs } from './match.js'
export { requireNoWorker, requireTestDatabase } from './preconditions.js'
export { prune } from './prune.js'
export { type RecordedFilter, recorded } from './recorded.js'
export { inRollback, type RollbackOptions } from './rollback.js'
export { perform } from './run.js'
export { type TestDatabase, type TestDatabaseOptions, testDatabase } from './test-database.js'
export { computeInline, refreshNow } from './toasts.js'
export { workerId } from './worker-id.js'
