import type { ClaimedRefresh } from './store.js'

/** What a slow method can use while it computes. */
export interface ToastComputation {
  /** Aborts when the worker stops, or when `progress` finds that another worker now computes the value. */
  signal: AbortSignal
  /**
   * Reports progress to readers, from 0 to 1, with a text: `progress(0.4, 'page 4 of 10')`. Call it as often as you like: it is stored at
   * most twice a second.
   */
  progress(done: number, message?: string): void
}

/** A computation whose input has been loaded. */
export interface PreparedComputation {
  /** The version of the input, read before the computation begins. */
  version: string | null
  compute(computation: ToastComputation): unknown
}

/** Identifies a definition, so that a module that is evaluated again is not taken for a second definition. */
export interface DefinitionOrigin {
  /** `/app/src/async/toasts.ts:12:24` */
  place: string
  /** The text of the slow method. */
  code: string
}

/** A toast as the worker knows it: how to compute the value of a row. */
export interface RegisteredToast extends DefinitionOrigin {
  /** The name in the rows: `oat.breakfast`, or `oat.breakfast@2` where the code has a version. */
  name: string
  /** The name without the version of the code. */
  baseName: string
  /** The maximum size of a value, in bytes of JSON. */
  maxBytes: number
  /** Loads the input of the computation. Null if the parent is gone. */
  prepare(refresh: ClaimedRefresh): Promise<PreparedComputation | null>
  /** Which of these keys have a parent. Absent if that cannot be determined. */
  existingKeys?: ((keys: string[]) => Promise<Set<string>>) | undefined
}
