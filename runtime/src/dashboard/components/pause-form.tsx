import type { AttemptClass } from '../../attempt/attempt.js'
import { pathTo } from '../links.js'
import type { DashboardSettings } from '../options.js'

/** The form for another pause. It leads to the page that asks. */
export function PauseForm({
  settings,
  classes,
  calls,
}: {
  settings: DashboardSettings
  classes: readonly AttemptClass[]
  calls: readonly string[]
}) {
  return (
    <section class="card">
      <h2>Pause calls</h2>
      <p class="note">
        Calls that run go on. The others wait, in their order, and can still be recorded, cancelled and retried.
      </p>
      <form class="filters" method="get" action={pathTo(settings, 'pauses', 'confirm')}>
        <input type="hidden" name="action" value="pause" />
        {classes.length === 1 ? (
          <input type="hidden" name="model" value={classes[0]!.model} />
        ) : (
          <label>
            <span>Model</span>
            <select name="model">
              {classes.map(({ model }) => (
                <option key={model} value={model}>
                  {model}
                </option>
              ))}
            </select>
          </label>
        )}
        <label>
          <span>Call</span>
          <input name="call" list="calls" placeholder="empty: all calls" autocomplete="off" />
          <datalist id="calls">
            {calls.map((call) => (
              <option key={call} value={call} />
            ))}
          </datalist>
        </label>
        <label>
          <span>Until</span>
          <input name="until" placeholder="1h, or empty: until it is resumed" autocomplete="off" />
        </label>
        <label>
          <span>Reason</span>
          <input name="reason" maxlength={300} placeholder="shown to everybody" autocomplete="off" />
        </label>
        <button type="submit" class="primary">
          Pause
        </button>
      </form>
    </section>
  )
}
