import type { ComponentChildren } from 'preact'
import { withQuery } from '../links.js'
import { Hidden } from './hidden.js'

interface ChooserAction {
  name: string
  label: string
  /** Which of the rows that match it changes, if not all. */
  only?: string
  isDangerous?: boolean
}

interface ChooserProps {
  /** What the rows are: `attempts`. */
  noun: string
  /** The address of the page that asks; undefined if nothing can be done. */
  action: string | undefined
  actions: readonly ChooserAction[]
  /** The filter of the list, for actions on all that match. */
  parameters: Record<string, string | undefined>
  /** What stands at the left of the buttons. */
  order?: ComponentChildren
  children: ComponentChildren
}

/** A list whose rows can be chosen, with buttons for those that are chosen and for all that match. */
export function Chooser({ noun, action, actions, parameters, order, children }: ChooserProps) {
  const isActive = action !== undefined && actions.length > 0
  const toolbar = (
    <div class="toolbar">
      <p class="order">{order}</p>
      {isActive && <Actions {...{ noun, action, actions, parameters }} />}
    </div>
  )
  if (!isActive)
    return (
      <>
        {order && toolbar}
        {children}
      </>
    )
  return (
    <form method="get" action={action}>
      <Hidden fields={parameters} />
      {toolbar}
      {children}
    </form>
  )
}

function Actions({
  noun,
  action,
  actions,
  parameters,
}: Omit<ChooserProps, 'action' | 'children'> & { action: string }) {
  return (
    <fieldset class="actions">
      <legend>{`Chosen ${noun}`}</legend>
      {actions.map(({ name, label, isDangerous }) => (
        <button key={name} type="submit" name="action" value={name} class={isDangerous ? 'danger' : ''}>
          {label}
        </button>
      ))}
      <details class="menu">
        <summary>All that match</summary>
        <ul>
          {actions.map(({ name, label, only = '' }) => (
            <li key={name}>
              <a href={withQuery(action, { ...parameters, action: name, all: '1' })}>
                {`${[label, 'all', only].filter(Boolean).join(' ')} …`}
              </a>
            </li>
          ))}
        </ul>
      </details>
    </fieldset>
  )
}
