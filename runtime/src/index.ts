export type { ArgumentSchemas } from './attempt/arguments.js'
export {
  type AttemptClass,
  AttemptRecord,
  BaseAttempt,
  type BatchOptions,
} from './attempt/attempt.js'
export type { Batch, BatchCounts, BatchJson, BatchWaitOptions, CallIn } from './attempt/batches/batch.js'
export type {
  AddedFields,
  AttemptFilter,
  AttemptPriorities,
  BaseAttemptOptions,
  BulkOptions,
  ClientOf,
  DataOf,
  PerformOptions,
  RescheduleOptions,
  TargetsOf,
} from './attempt/binding.js'
export type {
  AttemptOf,
  BatchReference,
  Callee,
  CallInput,
  DebounceOptions,
  DeferredTarget,
  NotListed,
  RecordOptions,
  WithinTransaction,
} from './attempt/calls.js'
export type { CurrentCall } from './attempt/current.js'
export type { AttemptJson } from './attempt/fields.js'
export { limit } from './attempt/limits/define.js'
export { Limit, type LimitOptions, type Rate, type WindowRate } from './attempt/limits/limit.js'
export type { KeyStatus, LimitNumbers, LimitStatus, SetLimitOptions } from './attempt/limits/limits.js'
export type { Pause, PauseOptions } from './attempt/pauses.js'
export { RecordTarget, recordTarget, TargetRecord } from './attempt/record-target.js'
export type { Reencryption } from './attempt/reencrypt.js'
export type { AttemptError, AttemptRow, AttemptStatus, IfFailed } from './attempt/row.js'
export {
  defineSchedules,
  type MissedPolicy,
  type OverlapPolicy,
  type ScheduleInput,
  ScheduleList,
  type ScheduleOptions,
  type ScheduleSource,
} from './attempt/schedules/define.js'
export type { ScheduleStatus } from './attempt/schedules/rows.js'
export { Snooze } from './attempt/snooze.js'
export type { TargetSource } from './attempt/target-loader.js'
export type { Targets } from './attempt/target-types.js'
export {
  defineTargets,
  TargetList,
  type TargetOptions,
} from './attempt/targets.js'
export { attemptBatchTask, attemptTask, reencryptTask } from './attempt/tasks.js'
export type { WaitOptions } from './attempt/wait.js'
export { backoff } from './core/backoff.js'
export { type BoundDatabase, type ConnectOptions, connect, type Database } from './core/database.js'
export type { Duration } from './core/duration.js'
export { AesGcmEncryptor, type Encryptor, NullEncryptor } from './core/encryptor.js'
export type { ErrorCode } from './core/error-codes.js'
export {
  AsyncGenError,
  AttemptEndedError,
  DecryptionError,
  type ErrorRecord,
  InvalidArgumentsError,
  InvalidStateError,
  PayloadTooLargeError,
  PermanentError,
  RefreshFailedError,
  TimeoutError,
  TransactionEndedError,
  UnknownEncryptorError,
  UnknownTargetError,
  UnserializableError,
  WaitTimeoutError,
} from './core/errors.js'
export type { WorkerInfo } from './core/living-workers.js'
export type { PrismaClientLike, TransactionFor, TransactionOf } from './core/prisma/client.js'
export type { RowId } from './core/row-id.js'
export { isSerializationFailure } from './core/transient-errors.js'
export {
  type BackgroundReport,
  BaseReport,
  type BaseReportOptions,
  type ReportBase,
  type ReportClass,
  type ReportJson,
  ReportRecord,
} from './report/report.js'
export { type ReportTask, refreshReportTask } from './report/tasks.js'
export type { Operation, OperationEvent, OperationOutcome, TraceContext } from './telemetry/operation.js'
export type { CacheVersion, CompareVersions } from './toast/cache-version.js'
export {
  type AsyncCached,
  type AsyncCachedOptions,
  asyncCached,
  clearCached,
  type FetchOptions,
  hasWorkers,
} from './toast/cached.js'
export { toastMethods } from './toast/methods.js'
export type { ToastComputation } from './toast/registered-toast.js'
export { pruneToasts } from './toast/registry.js'
export {
  isReady,
  type ReadyToast,
  type ToastFailure,
  type ToastPlaceholder,
  type ToastResult,
  type Toastr,
} from './toast/result.js'
export type { CachedToast, ExpireIf, StalenessOptions } from './toast/staleness.js'
export { toastStates } from './toast/states.js'
export { refreshToastTask } from './toast/tasks.js'
export { defineToast, hasToast } from './toast/toast.js'
export type { ReadOptions, Toast, ToastOptions } from './toast/types.js'
export type { RetentionOptions } from './worker/retention.js'
export type { RunWorkerOptions } from './worker/settings.js'
export { type SweepResult, sweep, sweepTask } from './worker/sweep.js'
export { runWorker } from './worker/worker.js'
