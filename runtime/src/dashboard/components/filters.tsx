import type { FilterInput } from '../queries/filter.js'

interface FiltersProps {
  action: string
  input: FilterInput
  /** The names of targets and methods that `targets.ts` lists. */
  calls: readonly string[]
  /** The fields that the host has added to the model. */
  fields: readonly string[]
  isOpen: boolean
}

/** The form that narrows a list of attempts. */
export function Filters({ action, input, calls, fields, isOpen }: FiltersProps) {
  return (
    <search aria-label="Attempts">
      <form class="filters" method="get" action={action}>
        {input.status && <input type="hidden" name="status" value={input.status} />}
        <label>
          <span>Call</span>
          <input name="call" value={input.call} list="calls" placeholder="OrderClient.fulfill" autocomplete="off" />
          <datalist id="calls">
            {calls.map((call) => (
              <option key={call} value={call} />
            ))}
          </datalist>
        </label>
        <label>
          <span>Error</span>
          <input name="error" value={input.error} placeholder="name, code or message" autocomplete="off" />
        </label>
        <details class="more" open={isOpen}>
          <summary>More</summary>
          <div class="fields">
            <label>
              <span>Arguments</span>
              <input name="argument" value={input.argument} placeholder="text in the JSON" autocomplete="off" />
            </label>
            <label>
              <span>Token</span>
              <input name="token" value={input.token} placeholder="the whole token" autocomplete="off" />
            </label>
            <label>
              <span>Batch</span>
              <input name="batch" value={input.batch} placeholder="its id" inputmode="numeric" autocomplete="off" />
            </label>
            <label>
              <span>Schedule</span>
              <input name="schedule" value={input.schedule} placeholder="the whole name" autocomplete="off" />
            </label>
            <label>
              <span>Since</span>
              <input name="since" value={input.since} placeholder="1h, or 2026-11-01T08:30" autocomplete="off" />
            </label>
            <label>
              <span>Before</span>
              <input name="before" value={input.before} placeholder="1d, or 2026-11-01T08:30" autocomplete="off" />
            </label>
            {fields.length > 0 && (
              <>
                <label>
                  <span>Field</span>
                  <select name="field">
                    <option value="">any</option>
                    {fields.map((field) => (
                      <option key={field} value={field} selected={field === input.field}>
                        {field}
                      </option>
                    ))}
                  </select>
                </label>
                <label>
                  <span>Value</span>
                  <input name="value" value={input.value} placeholder="empty: no value" autocomplete="off" />
                </label>
              </>
            )}
          </div>
        </details>
        <button type="submit" class="primary">
          Filter
        </button>
      </form>
    </search>
  )
}
