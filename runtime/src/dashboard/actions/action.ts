/** What a user did in the dashboard. */
export type DashboardActionName =
  | 'retry'
  | 'cancel'
  | 'expire'
  | 'fail'
  | 'run-now'
  | 'pause'
  | 'resume'
  | 'refresh'
  | 'build'

/** An action of a user, after it was done: for your audit log. It is also the message of the diagnostics channel `async-gen:dashboard`. */
export interface DashboardAction {
  action: DashboardActionName
  /** The user that `authorize` returned. */
  user: string | undefined
  at: Date
  /** What was acted on, as a person names it: `Attempt 42`, `37 attempts of Attempt`, `oat.breakfast of 7`. */
  subject: string
  /** The model of the attempts or of the pause. */
  model?: string
  /** The ids of the rows of attempts, toasts or reports, if they were chosen one by one. */
  ids?: string[]
  /** The filter, if all that match it were chosen. */
  filter?: Record<string, unknown>
  /** What was paused or resumed: `OrderClient`, `OrderClient.fulfill`; undefined for all calls of the model. */
  paused?: string | undefined
  /**
   * How many attempts, pauses, toasts or reports were changed; with `error`, before it. Only for a filter of attempts, that number is in the
   * message of the error, if it is known.
   */
  changed: number
  /** The message of the error that ended the action. */
  error?: string
}
